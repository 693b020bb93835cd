"""A sweep: one job for each row of a CSV file, submitted in arrays where the rows allow it.

Jobs of one node go into as few array jobs as their rows fit into (`mngen.jobs._rows`); those of
several nodes are submitted one by one, since AWS Batch has no arrays of them. Either way a row is
sent once: what was submitted before is found (`mngen.jobs._swept`).
"""

from __future__ import annotations

import csv
import json
import logging
import re
import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.account import Target
from mngen.cluster import (
    ECR_IMAGE,
    ROWS_GUARD,
    ROWS_VARIABLE,
    SUBMISSION_TAG,
    SUBMITTER_TAG,
    VARIABLE_PREFIX,
    repository_name,
)
from mngen.errors import InputError, Problem
from mngen.jobs import _clock
from mngen.jobs._flow import linked
from mngen.jobs._journal import recorded
from mngen.jobs._register import register
from mngen.jobs._request import LONGEST_TAG_VALUE, faults_of_words, make_intent, token_of
from mngen.jobs._rows import Rows, cut, pack, runs, unpack
from mngen.jobs._submit import Prepared, Sender, require_all
from mngen.jobs._swept import Found, child_of, find_rows
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mypy_boto3_batch.client import BatchClient

    from mngen.jobs._journal import Entry
    from mngen.jobs._types import Order, Submission

_MOST_ROWS = 10_000
_PAUSE = 0.05
"""Seconds between two submissions, so that a sweep leaves others their share of Batch's rate."""

_LARGEST_REQUEST = 30 * 1024
"""Most bytes of a request.

Source: https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html
"""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMED_ROWS = 5

_LOG = logging.getLogger(__name__)


def read_rows(file: Path) -> list[dict[str, str]]:
    """Returns the rows of a CSV file with a header, as texts by column.

    Raises:
        InputError: The file cannot be read, or is not such a table; carries every problem.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"invalid CSV file {file}: {error}") from None
    problems = []
    if not header or not rows:
        problems.append(
            Problem(f"{file} has no rows", hint="write a header, then one job per line")
        )
    if len(set(header)) < len(header) or "" in header:
        problems.append(Problem(f"{file}: column names must be unique and not empty"))
    if len(rows) > _MOST_ROWS:
        problems.append(Problem(f"{file} has {len(rows)} rows, more than {_MOST_ROWS}"))
    problems += [
        Problem(f"{file}:{line}: {len(row)} values for {len(header)} columns")
        for line, row in rows
        if len(row) != len(header)
    ]
    if problems:
        raise InputError(*problems)
    return [dict(zip(header, row, strict=True)) for _, row in rows]


@dataclass(frozen=True, slots=True)
class Part:
    """What is submitted at once: an array of some rows, or a job of one.

    Attributes:
        prepared: The submission.
        numbers: The numbers of its rows, in the order of their indexes in the array.
    """

    prepared: Prepared
    numbers: tuple[int, ...]

    @property
    def is_array(self) -> bool:
        """Whether it is an array."""
        return self.prepared.intent.size is not None


@dataclass(frozen=True)
class Sweep:
    """A sweep as it is asked for.

    Attributes:
        base: What all rows have in common, as a checked submission; it is sent for no row.
        rows: The rows, of which the first is number 1, by column.
        arrays: Whether the rows go into arrays.
    """

    base: Prepared
    rows: tuple[Mapping[str, str], ...]
    arrays: bool

    @property
    def name(self) -> str:
        """How the names of its jobs begin, before the hyphen and the number."""
        return self.base.order.name or self.base.order.job

    @property
    def numbers(self) -> range:
        """The numbers of its rows."""
        return range(1, len(self.rows) + 1)

    @cached_property
    def token(self) -> str:
        """Identifies the sweep: equal for all that is the same but the rows."""
        request = self.base.shown
        return token_of({**request, "arrayProperties": {}}, self.base.order)

    def name_of(self, number: int, last: int | None = None) -> str:
        """Returns the name of the job of a row, or of the array of several."""
        digits = max(4, len(str(len(self.rows))))
        ends = (number,) if last is None else (number, last)
        return "-".join((self.name, *(f"{each:0{digits}}" for each in ends)))

    def parts(self, numbers: Sequence[int]) -> list[Part]:
        """Returns the submissions of some rows, in their order.

        Args:
            numbers: The numbers of the rows.
        """
        return self._all if len(numbers) == len(self.rows) else self._cut(numbers)

    @cached_property
    def _all(self) -> list[Part]:
        """All submissions, which are checked first and sent then."""
        return self._cut(self.numbers)

    def _cut(self, numbers: Sequence[int]) -> list[Part]:
        if not self.arrays:
            return [Part(self.job(each), (each,)) for each in numbers]
        room = self._room()
        cuts = cut(numbers, lambda part: len(self._packed(part)) <= room)
        return [
            Part(self.job(each[0]) if len(each) == 1 else self._array(each), tuple(each))
            for each in cuts
        ]

    def job(self, number: int) -> Prepared:
        """Returns the submission of one row alone."""
        return self._like_base(self._order(number))

    def faults(self) -> tuple[Problem, ...]:
        """Returns what is wrong with rows in themselves, however they are sent.

        What an array could have, a row that is left alone could not: an empty word.
        """
        rows: dict[Problem, list[int]] = {}
        for number in self.numbers:
            for problem in faults_of_words(self._order(number)):
                rows.setdefault(problem, []).append(number)
        return tuple(
            problem
            if len(numbers) == len(self.rows)
            else replace(problem, message=f"{_in_words(numbers)}: {problem.message}")
            for problem, numbers in rows.items()
        )

    def _order(self, number: int) -> Order:
        row, order = self.rows[number - 1], self.base.order
        words = order.command or command_in(self.base)
        if not order.command and not any(f"{{{name}}}" in word for word in words for name in row):
            words = ()  # the definition's own is not repeated
        return msgspec.structs.replace(
            order,
            name=self.name_of(number),
            command=tuple(filled(word, row) for word in words),
            environment={**variables_of(row), **order.environment},
        )

    def _array(self, numbers: Sequence[int], packed: str | None = None) -> Prepared:
        order = self.base.order
        variables = {ROWS_VARIABLE: self._packed(numbers) if packed is None else packed}
        array = msgspec.structs.replace(
            order,
            name=self.name_of(numbers[0], numbers[-1]),
            command=(ROWS_GUARD, *(order.command or command_in(self.base))),
            environment={**order.environment, **variables},
        )
        return self._like_base(array, size=len(numbers))

    def _packed(self, numbers: Sequence[int]) -> str:
        rows = tuple(self.rows[number - 1] for number in numbers)
        return pack(Rows(self.token, tuple(numbers), rows))

    def _room(self) -> int:
        """Returns how many characters of packed rows fit into a request, beside all else in it."""
        from mngen.rules import LARGEST_OVERRIDES

        array = self._array(self.numbers, packed="")
        request = dict(array.shown)
        request["tags"] = {
            **request["tags"],
            SUBMISSION_TAG: self.token,
            SUBMITTER_TAG: "_" * LONGEST_TAG_VALUE,
        }
        return min(
            LARGEST_OVERRIDES - len(array.intent.overrides),
            _LARGEST_REQUEST - len(json.dumps(request)),
        )

    def _like_base(self, order: Order, size: int | None = None) -> Prepared:
        """Returns a submission that differs from the base in its words alone.

        Where it goes and what it asks for are the same, so only what needs no AWS is checked.
        """
        from mngen.rules import check_submission

        base = self.base
        cluster, registering = base.target.account.cluster, base.intent.registering
        intent = make_intent(cluster, order, registering=registering)
        intent = msgspec.structs.replace(intent, after=base.intent.after)
        if size is not None:
            # The wire-up sets the columns: their names are checked as if they were sent.
            columns = dict.fromkeys(variables_of(self.rows[0]), "set")
            environment = {**columns, **intent.environment}
            intent = msgspec.structs.replace(intent, size=size, environment=environment)
        same = msgspec.structs.replace(base, order=order, intent=intent, problems=())
        judged = Target(intent, base.target.account, base.definition)
        return msgspec.structs.replace(same, problems=check_submission(judged, offline=True))


def make_sweep(base: Prepared, rows: Sequence[Mapping[str, str]], *, arrays: bool | None) -> Sweep:
    """Returns a sweep whose columns are all of use.

    The command is taken word by word and never through a shell, so a value stays one word.

    Args:
        base: What all rows have in common, checked; its command is the order's, or else the job's.
        rows: Values by column.
        arrays: Whether rows go into arrays; None for those of jobs that run the deployment's own
            container image, whose entrypoint takes the row. They need jobs of one node whose
            definition is mngen's own, and no column that decides over what is sent.

    Raises:
        InputError: There are no rows, or their columns differ; or a column is neither named in the
            command nor the name of a variable, or names one that is set for all rows; or they
            cannot go into arrays, and are to.
    """
    if not rows:
        raise InputError("the sweep has no rows")
    order, columns = base.order, list(rows[0])
    if any(each.keys() != rows[0].keys() for each in rows):
        raise InputError("the rows of a sweep must have the same columns")
    for column in columns:
        if column in order.environment:
            raise InputError(
                f"the column `{column}` is a variable that is set for all rows",
                hint="rename the column, or leave the variable to it",
            )
    words = order.command or command_in(base)
    unused = [
        column
        for column in columns
        if not _VARIABLE.fullmatch(column) and not any(f"{{{column}}}" in word for word in words)
    ]
    if unused:
        raise InputError(
            f"the column `{unused[0]}` is not a valid variable name, and the command does not use "
            f"`{{{unused[0]}}}`",
            hint="use letters, digits and underscores, or name it in the command",
        )
    if ROWS_VARIABLE in (*columns, *order.environment):
        raise InputError(f"{ROWS_VARIABLE} is reserved", hint="use another name")
    obstacle = _obstacle(base, columns)
    if arrays and obstacle:
        raise InputError(
            f"the rows cannot be an array job: {obstacle}", hint="submit without --array"
        )
    if arrays is None:
        arrays = _has_wire_up(base)
        if not arrays and not obstacle and len(rows) > 1:
            _LOG.info(
                "one job for each row: `%s` does not run the container image of this deployment; "
                "with --array, rows go into array jobs, if the entrypoint of its image is the "
                "wire-up",
                base.intent.job.name,
            )
    return Sweep(base, tuple(rows), arrays and not obstacle and len(rows) > 1)


def _obstacle(base: Prepared, columns: Sequence[str]) -> str | None:
    """Returns why rows cannot go into arrays; None if they can."""
    if base.intent.nodes is not None:
        return "AWS Batch has none of multi-node jobs"
    if isinstance(base.intent.job.spec, JobFromFile):
        return f"`{base.intent.job.name}` has a `definition`"
    own = next((each for each in columns if each.startswith(VARIABLE_PREFIX)), None)
    return f"the column `{own}` decides over what is submitted" if own else None


def _has_wire_up(base: Prepared) -> bool:
    """Whether the entrypoint of a job's image is known to be the wire-up.

    It is in the image that `mngen container build` makes. AWS Batch passes the command to the
    entrypoint of an image, and one that ignores its arguments would run without its row.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerOverrides.html
    """
    spec = base.target.account.cluster.spec
    if base.intent.job.spec.image or spec.container.image:
        return False
    described: Any = base.definition or {}
    image = described.get("containerProperties", {}).get("image")
    found = ECR_IMAGE.fullmatch(image or "")
    return image is None or (found is not None and found["repository"] == repository_name(spec))


def waiting_for(sweep: Sweep, ids: Mapping[str, str]) -> Sweep:
    """Returns a sweep whose jobs also wait for those that their job is after in the spec.

    Args:
        sweep: The sweep.
        ids: IDs of the jobs of its flow, by their names in the spec.
    """
    return replace(sweep, base=linked(sweep.base, ids))


def command_in(prepared: Prepared) -> tuple[str, ...]:
    """Returns the command of the definition; empty where its nodes have different ones, or none."""
    described: Any = prepared.definition or {}
    ranges = described.get("nodeProperties", {}).get("nodeRangeProperties", [])
    containers = [each.get("container") for each in ranges] or [
        described.get("containerProperties")
    ]
    words = (containers[0] or {}).get("command", []) if len(containers) == 1 else []
    return tuple(words)


def send_sweep(
    sender: Sender,
    batch: BatchClient,
    sweep: Sweep,
    *,
    again: bool = False,
    on_progress: Callable[[Submission], None] | None = None,
) -> tuple[Submission, ...]:
    """Submits the jobs of a sweep in turn; those that were submitted before are found, not sent.

    Args:
        sender: Sends them.
        batch: A client for reading.
        sweep: The sweep.
        again: Whether to submit all of them even so.
        on_progress: Is called with the job of each row as soon as its id is known.

    Returns:
        The job of each row.

    Raises:
        InputError: A row that is left alone breaks a rule; nothing was sent.
        ToolError: AWS refused one or does not answer; what was submitted stays so.
    """
    if sweep.base.intent.registering:
        sweep = _registered(sweep)
    done: dict[int, Submission] = {}

    def report(number: int, submission: Submission) -> None:
        done[number] = submission
        if on_progress is not None:
            on_progress(submission)

    # Of two that submit the same sweep on one machine, one waits.
    with recorded(sweep.token) as entry:
        known = Found({}, frozenset()) if again else find_rows(batch, sweep, entry)
        found = known.rows
        parts = sweep.parts([each for each in sweep.numbers if each not in found])
        require_all(each.prepared for each in parts)
        following = {part.numbers[0]: part for part in parts}
        for number in sweep.numbers:
            if number in found:
                report(number, found[number])
            elif number in following:
                part = following[number]
                submission = _send(sender, sweep, part, entry, known, again=again)
                for index, each in enumerate(part.numbers):
                    name = sweep.name_of(each)
                    child = child_of(submission, index, name) if part.is_array else submission
                    report(each, child)
                if not submission.existed:
                    _clock.sleep(_PAUSE)
    return tuple(done[number] for number in sweep.numbers)


def _send(
    sender: Sender, sweep: Sweep, part: Part, entry: Entry, found: Found, *, again: bool
) -> Submission:
    """Submits a part, and keeps a record of it if there are arrays.

    That of the request alone would not do: once a row has failed, the next array is another one.
    """
    if sweep.arrays:
        entry.begin("" if again else part.prepared.token)
    submission = sender.send(part.prepared, again=again, known={}, rejected=found.arrays)
    if sweep.arrays:
        entry.finish(submission.id)
    return submission


def _registered(sweep: Sweep) -> Sweep:
    """Registers the revision that all rows are submitted with, once."""
    base = sweep.base
    if base.definition is None:
        raise ValueError("a submission without a definition")
    arn = register(base.target, base.definition)
    base = msgspec.structs.replace(
        base,
        definition={**base.definition, "jobDefinitionArn": arn},
        intent=msgspec.structs.replace(base.intent, registering=False),
    )
    return replace(sweep, base=base)


def rows_in_words(prepared: Prepared) -> str | None:
    """Returns which rows an array carries, and the command of the first; None for no array.

    The request itself has them packed.

    Args:
        prepared: A submission.
    """
    rows = unpack(prepared.intent.environment.get(ROWS_VARIABLE, ""))
    if rows is None or prepared.intent.size is None:
        return None
    _, *words = prepared.intent.command
    command = shlex.join(filled(word, rows.values[0]) for word in words)
    which = _in_words(rows.numbers)
    return f"{prepared.order.name}: {which}; row {rows.numbers[0]}" + (
        f" runs {command}" if command else f" has {dict(rows.values[0])}"
    )


def _in_words(numbers: Sequence[int]) -> str:
    """Returns numbers of rows, neighbours together."""
    spans = [str(first) if first == last else f"{first}-{last}" for first, last in runs(numbers)]
    more = len(spans) - _NAMED_ROWS
    named = ", ".join(spans[:_NAMED_ROWS]) + (f" and {more} more" if more > 0 else "")
    return f"{'row' if len(numbers) == 1 else 'rows'} {named}"


def variables_of(row: Mapping[str, str]) -> dict[str, str]:
    """Returns the values of the columns that are named as variables are."""
    return {name: value for name, value in row.items() if _VARIABLE.fullmatch(name)}


def filled(word: str, row: Mapping[str, str]) -> str:
    """Replaces each `{column}`, in one pass: a value that looks like one stays as it is.

    Of `{n}` and `{n}}` it is the longer one, in whichever order the columns are.
    """
    columns = sorted(row, key=len, reverse=True)
    pattern = "|".join(re.escape(f"{{{column}}}") for column in columns)
    return re.sub(pattern, lambda match: row[match[0][1:-1]], word)
