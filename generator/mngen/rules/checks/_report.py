"""The whole of `mngen check`: a file in, a report out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mngen._text import counted
from mngen.errors import InputError, Severity
from mngen.rules.account import AWS_RULES
from mngen.rules.checks._judge import at_level, chosen, refuse_unknown
from mngen.rules.checks._spec import check, require
from mngen.rules.spec import SPEC_RULES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from mngen.errors import Problem


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    Attributes:
        file: The spec, as the user named it.
        problems: What is wrong, in the order of the file.
        unanswered: What AWS did not answer, each with the rules that could not judge for it.
        rules: How many rules judged.
        asked_aws: Whether AWS was asked.
    """

    file: str
    problems: tuple[Problem, ...]
    unanswered: tuple[Problem, ...]
    rules: int
    asked_aws: bool

    def with_more(self, problems: Iterable[Problem]) -> Report:
        """Returns the report with further problems of the deployment."""
        return replace(self, problems=(*self.problems, *problems))

    @property
    def everything(self) -> tuple[Problem, ...]:
        """All problems: those of the spec, then those of asking AWS."""
        return self.problems + self.unanswered

    @property
    def exit_code(self) -> int:
        """1 if there is an error, else 3 if AWS did not answer everything, else 0."""
        if self.count(Severity.ERROR):
            return 1
        return 3 if self.unanswered else 0

    def count(self, severity: Severity) -> int:
        """Returns how many problems of the spec have this severity."""
        return sum(problem.severity is severity for problem in self.problems)

    @property
    def summary(self) -> str:
        """One line: what was checked, and with what result."""
        parts = [
            counted(count, severity.value)
            for severity in Severity
            if (count := self.count(severity))
        ]
        if self.unanswered:
            parts.append("AWS did not answer all of it")
        where = " and AWS" if self.asked_aws else ""
        return f"{self.file}{where}: {self.rules} rules, {', '.join(parts) or 'no problems'}"

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as JSON-ready data."""
        return {
            "file": self.file,
            "rules": self.rules,
            "asked_aws": self.asked_aws,
            "counts": {severity.value: self.count(severity) for severity in Severity},
            "problems": [problem.as_dict() for problem in self.problems],
            "unanswered": [problem.as_dict() for problem in self.unanswered],
        }


def check_file(
    file: Path,
    *,
    skip: Collection[str] = (),
    level: Severity | None = None,
    aws: bool = False,
    out: Path | None = None,
) -> Report:
    """Checks a spec by every rule.

    Args:
        file: The spec.
        skip: Ids of rules to leave out.
        level: The least severity to report; None for all.
        aws: Whether to ask AWS too. It is asked about a spec without errors only.
        out: The rendered tree, whose file of AMIs is judged with AWS; None for none.

    Raises:
        InputError: `skip` names a rule that there is not, or the catalog beside the spec or the
            file of AMIs is damaged.
    """
    from mngen.catalog import load_catalog
    from mngen.spec import load

    refuse_unknown(skip)
    try:
        loaded = load(file)
    except InputError as error:
        return Report(str(file), error.problems, (), 0, asked_aws=False)
    catalog = load_catalog(file)
    problems = check(loaded, catalog, skip=skip)
    rules = len(chosen(SPEC_RULES, skip))
    unanswered: tuple[Problem, ...] = ()
    sound = all(problem.severity is not Severity.ERROR for problem in problems)
    if aws and sound:
        from mngen.cluster import AMIS_FILE, AmiFile
        from mngen.rules.checks._account import check_aws

        answers = check_aws(
            require(loaded, catalog, skip=skip),
            skip=skip,
            document=loaded.document,
            images=AmiFile(out / AMIS_FILE).read() if out else {},
        )
        problems += answers.problems
        unanswered = answers.unanswered
        rules += len(chosen(AWS_RULES, skip))
    return Report(
        str(file), tuple(at_level(problems, level)), unanswered, rules, asked_aws=aws and sound
    )
