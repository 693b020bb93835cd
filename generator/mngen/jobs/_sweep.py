"""A sweep: one job for each row of a CSV file, submitted in turn, and resumed where it stopped."""

from __future__ import annotations

import csv
import re
import time
from typing import TYPE_CHECKING

import msgspec

from mngen.account import Target
from mngen.errors import InputError, Problem
from mngen.jobs._register import register
from mngen.jobs._submit import Prepared, Sender, known_jobs
from mngen.rules import check_submission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mypy_boto3_batch.client import BatchClient

    from mngen.account import Intent
    from mngen.jobs._types import Order, Submission

_MOST_ROWS = 10_000
_PAUSE = 0.05
"""Seconds between two submissions, so that a sweep leaves others their share of Batch's rate."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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


def orders_of(order: Order, rows: Sequence[dict[str, str]]) -> list[Order]:
    """Returns an order for each row: its values as variables and in place of `{column}`.

    The command is taken word by word and never through a shell, so a value stays one word.

    Args:
        order: What all rows have in common.
        rows: Values by column.

    Raises:
        InputError: A column is neither named in the command nor the name of a variable, or names
            one that is set for all rows.
    """
    columns = list(rows[0])
    for column in columns:
        if column in order.environment:
            raise InputError(
                f"the column `{column}` is a variable that is set for all rows",
                hint="rename the column, or leave the variable to it",
            )
    unused = [
        column
        for column in columns
        if not _VARIABLE.fullmatch(column)
        and not any(f"{{{column}}}" in word for word in order.command)
    ]
    if unused:
        raise InputError(
            f"the column `{unused[0]}` is not a valid variable name, and the command does not use "
            f"`{{{unused[0]}}}`",
            hint="use letters, digits and underscores, or name it in the command",
        )
    digits = max(4, len(str(len(rows))))
    return [
        msgspec.structs.replace(
            order,
            name=f"{order.name or order.job}-{number:0{digits}}",
            command=tuple(_filled(word, row) for word in order.command),
            environment={
                **{name: value for name, value in row.items() if _VARIABLE.fullmatch(name)},
                **order.environment,
            },
        )
        for number, row in enumerate(rows, start=1)
    ]


def send_all(
    sender: Sender,
    batch: BatchClient,
    prepared: Sequence[Prepared],
    prefix: str,
    *,
    again: bool = False,
    on_progress: Callable[[Submission], None] | None = None,
) -> tuple[Submission, ...]:
    """Submits the jobs of a sweep in turn; those that were submitted before are found, not sent.

    Args:
        sender: Sends them.
        batch: A client for reading.
        prepared: The submissions.
        prefix: How their names begin.
        again: Whether to submit all of them even so.
        on_progress: Is called with each job as soon as its id is known.
    """
    if prepared[0].intent.registering:
        prepared = _registered(prepared)
    known = known_jobs(batch, prepared[0], prefix)
    done = []
    for each in prepared:
        submission = sender.send(each, again=again, on_progress=on_progress, known=known)
        done.append(submission)
        if not submission.existed:
            time.sleep(_PAUSE)
    return tuple(done)


def prepared_like(first: Prepared, order: Order, intent: Intent) -> Prepared:
    """Returns a submission that differs from a checked one in its words alone.

    Where it goes and what it asks for are the same, so only what needs no AWS is checked again.
    """
    same = msgspec.structs.replace(first, order=order, intent=intent, problems=())
    judged = Target(same.intent, first.target.account, first.definition)
    problems = check_submission(judged, offline=True)
    return msgspec.structs.replace(same, problems=problems)


def _registered(prepared: Sequence[Prepared]) -> list[Prepared]:
    """Registers the revision that all of them are submitted with, once."""
    definition = prepared[0].definition
    if definition is None:
        raise ValueError("a submission without a definition")
    arn = register(prepared[0].target, definition)
    return [
        msgspec.structs.replace(
            each,
            definition={**definition, "jobDefinitionArn": arn},
            intent=msgspec.structs.replace(each.intent, registering=False),
        )
        for each in prepared
    ]


def _filled(word: str, row: dict[str, str]) -> str:
    """Replaces each `{column}`, in one pass: a value that looks like one stays as it is."""
    pattern = "|".join(re.escape(f"{{{column}}}") for column in row)
    return re.sub(pattern, lambda match: row[match[0][1:-1]], word)
