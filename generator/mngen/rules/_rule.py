"""What a rule is: one class, with all that its documentation, its tests and SARIF need."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import msgspec

from mngen.errors import Severity

if TYPE_CHECKING:
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


class Waiting(Enum):
    """What it means for a job that waits in RUNNABLE if a rule does not hold.

    Attributes:
        NOTHING: It was decided when the job was submitted.
        CAUSE: The job waits until the rule holds.
        POSSIBLE: The job may wait, or fail once it is placed.
    """

    NOTHING = "nothing"
    CAUSE = "cause"
    POSSIBLE = "possible"


class Rule:
    """Base of every rule. A rule is never instantiated: it is its class.

    Attributes:
        id: Such as `MN101`; never used again for another rule.
        severity: An error certainly fails or costs; a warning probably does; an info is worth
            knowing.
        title: The requirement: what must hold (an error), or should (a warning or an info).
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
        """Returns the rule's own description, as JSON-ready data."""
        return {
            "id": cls.id,
            "severity": cls.severity.value,
            "title": cls.title,
            "why": cls.why,
            "remedy": cls.remedy,
            "manual_test": cls.manual_test,
            "source_url": cls.source_url,
        }
