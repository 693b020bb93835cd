"""The row of a sweep that this child of an array job runs.

`mngen submit --sweep` submits rows as an array job, whose children share one command and one
environment. All rows are packed in MNGEN_ROWS: as JSON, compressed with zlib, in base64. The index
of the child chooses one.

The first word of the command is `GUARD`, which no image has as a program: a wire-up that knows no
rows fails there, in place of running the command with `{column}` in it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import zlib

from mngen_wireup.errors import BAD_ENVIRONMENT, WireupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence
    from typing import Any

ROWS = "MNGEN_ROWS"
GUARD = "mngen-sweep-needs-a-newer-container-image"
INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"
"""https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html"""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Row:
    """One row.

    Attributes:
        number: Its number in the sweep, from 1.
        index: Its index in the array, from 0.
        values: Its values by column.
    """

    def __init__(self, number: int, index: int, values: dict[str, str]) -> None:
        self.number, self.index, self.values = number, index, values

    def described(self, words: Sequence[str]) -> str:
        """Returns the row for the log, with the values of the columns that a command uses.

        Others may be secrets, and are in no log so far.

        Args:
            words: The command as it was submitted.
        """
        columns = (
            f"{column}={value}" if any(f"{{{column}}}" in word for word in words) else column
            for column, value in self.values.items()
        )
        return f"{self.number}, index {self.index} of the array: {', '.join(columns)}"

    def variables(self) -> dict[str, str]:
        """Returns the values of the columns that are named as variables are."""
        return {name: value for name, value in self.values.items() if _VARIABLE.fullmatch(name)}

    def command(self, words: Sequence[str]) -> list[str]:
        """Returns a command with the values in place of `{column}`.

        Each word is replaced in one pass: a value that looks like a column stays as it is.

        Args:
            words: The command as it was submitted, with the guard.

        Raises:
            WireupError: It does not start with the guard.
        """
        if not words or words[0] != GUARD:
            raise WireupError(
                BAD_ENVIRONMENT, f"{ROWS} is set, and the command does not start with {GUARD}"
            )
        columns = sorted(self.values, key=len, reverse=True)  # `{n}}` is not `{n}` and a brace
        pattern = "|".join(re.escape(f"{{{column}}}") for column in columns)
        return [
            re.sub(pattern, lambda match: self.values[match[0][1:-1]], word) for word in words[1:]
        ]


def take_row(environ: MutableMapping[str, str]) -> Row:
    """Returns the row of this container, and takes all rows out of its environment.

    Raises:
        WireupError: They cannot be read, or there is none with the index of this job; or a value
            has a character that neither a variable nor an argument can have in this container.
    """
    numbers, columns = _unpacked(environ.pop(ROWS))
    index = environ.get(INDEX, "")
    if not index.isdecimal() or int(index) >= len(numbers):
        given = f"{INDEX}={index!r}" if index else f"{INDEX} is not set"
        raise WireupError(
            BAD_ENVIRONMENT,
            f"no row for this job: {given}, and {ROWS} has rows 0 to {len(numbers) - 1}",
        )
    place = int(index)
    values = {column: texts[place] for column, texts in columns.items()}
    for column, value in values.items():
        _check_encoding(column, value)
    return Row(numbers[place], place, values)


def _check_encoding(column: str, value: str) -> None:
    """Refuses a value that neither a variable nor an argument can have in this container."""
    try:
        os.fsencode(value)
    except UnicodeEncodeError as error:
        raise WireupError(
            BAD_ENVIRONMENT,
            f"the column {column} has a character that the locale of the container lacks: {error};"
            " set LC_ALL=C.UTF-8 in the image or the job",
        ) from None


def _unpacked(text: str) -> tuple[list[int], dict[str, list[str]]]:
    """Returns the numbers of the rows, and the values of each column."""
    try:
        data: Any = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
        numbers = [number for first, last in data["numbers"] for number in range(first, last + 1)]
        columns: dict[str, list[str]] = data["columns"]
        if numbers and columns and all(_is_column(each, numbers) for each in columns.values()):
            return numbers, columns
    except (ValueError, zlib.error, LookupError, TypeError, AttributeError):
        pass
    raise WireupError(
        BAD_ENVIRONMENT, f"{ROWS} cannot be read: submit the sweep again with `mngen submit`"
    )


def _is_column(texts: Any, numbers: list[int]) -> bool:
    return len(texts) == len(numbers) and all(isinstance(each, str) for each in texts)
