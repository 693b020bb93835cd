"""What a rule is that the spec and the instance catalog suffice to judge."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from mngen.rules._rule import Match, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mngen.rules.spec._subject import Subject


class SpecRule(Rule):
    """A rule that the spec and the instance catalog suffice to judge (MN1xx, MN4xx, MN5xx).

    Attributes:
        failing: Part of a spec that breaks this rule and no other. The line at fault ends in `#!`
            and the text at which the problem points; see `mngen.rules.spec._examples`.
        passing: The same part, mended.
        besides: Ids of other rules that the examples cannot but break as well.
        files: Files that the examples name, by their paths from the spec.
    """

    besides: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[Mapping[str, str]] = MappingProxyType({})
    failing: ClassVar[str]
    passing: ClassVar[str]

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        """Yields each place where the rule does not hold."""
        raise NotImplementedError
