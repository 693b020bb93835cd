"""What a rule is: one class, with all that its documentation, its tests and SARIF need."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from mngen.errors import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules._subject import Subject
    from mngen.spec import Path


class Match(msgspec.Struct, frozen=True):
    """One place where a rule does not hold.

    Attributes:
        path: The place in the spec.
        message: What is wrong there, in the user's words.
        hint: What to do about it; None for the rule's own remedy.
        key: Whether the key is wrong rather than its value.
        secret: Whether the line may hold a secret, and must not be shown.
    """

    path: Path
    message: str
    hint: str | None = None
    key: bool = False
    secret: bool = False


class Rule:
    """Base of every rule. A rule is never instantiated: it is its class.

    Attributes:
        id: Such as `MN101`; never used again for another rule.
        severity: An error certainly fails or costs; a warning probably does; an info is worth
            knowing.
        title: What holds where the rule is kept, as a statement.
        why: What happens on AWS where it is not.
        remedy: What to do.
        source_url: Where AWS, or the provider's issue, documents the fact.
        manual_test: A command by which a reader can see the fact on an account.
    """

    id: ClassVar[str]
    severity: ClassVar[Severity] = Severity.ERROR
    title: ClassVar[str]
    why: ClassVar[str]
    remedy: ClassVar[str]
    source_url: ClassVar[str]
    manual_test: ClassVar[str]

    @classmethod
    def as_dict(cls) -> dict[str, str]:
        """Returns what the rule says of itself, as JSON-ready data."""
        return {
            "id": cls.id,
            "severity": cls.severity.value,
            "title": cls.title,
            "why": cls.why,
            "remedy": cls.remedy,
            "manual_test": cls.manual_test,
            "source_url": cls.source_url,
        }


class SpecRule(Rule):
    """A rule that the spec and the instance catalog suffice to judge (MN1xx).

    Attributes:
        failing: Part of a spec that breaks this rule and no other. The line at fault ends in `#!`
            and the text at which the problem points; see `mngen.rules._examples`.
        passing: The same part, mended.
        besides: Ids of other rules that the examples cannot but break as well.
    """

    besides: ClassVar[tuple[str, ...]] = ()
    failing: ClassVar[str]
    passing: ClassVar[str]

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        """Yields each place where the rule does not hold."""
        raise NotImplementedError
