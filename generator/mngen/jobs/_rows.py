"""Rows of a sweep in the environment of an array job, of which each child takes one.

A request for an array has one environment for all children, so the rows travel in it, packed into
one variable: as JSON, compressed with zlib, in base64. `container/mngen_wireup/row.py` unpacks
them in the container; here they are packed, and read again to see which rows were submitted.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MOST_CHILDREN = 10_000
"""Most jobs of an array; the fewest are 2.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ArrayProperties.html
"""


class Rows(msgspec.Struct, frozen=True):
    """Some rows of a sweep, each with its number.

    Attributes:
        sweep: Identifies the sweep: equal for all that is the same but the rows.
        numbers: The numbers of the rows, from 1, in the order of their indexes in the array.
        values: Their values, by column.
    """

    sweep: str
    numbers: tuple[int, ...]
    values: tuple[Mapping[str, str], ...]


class _Packed(msgspec.Struct):
    """What is packed: numbers as runs and values by column, which is how they compress best."""

    sweep: str
    numbers: list[tuple[int, int]]
    columns: dict[str, list[str]]


def pack(rows: Rows) -> str:
    """Returns rows as one text of letters, digits and `+/=`.

    Args:
        rows: At least one, all with the same columns.
    """
    columns = {name: [each[name] for each in rows.values] for name in rows.values[0]}
    data = {"sweep": rows.sweep, "numbers": runs(rows.numbers), "columns": columns}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(text: str) -> Rows | None:
    """Returns the rows of a packed text; None if it is something else."""
    try:
        raw = zlib.decompress(base64.b64decode(text, validate=True))
        data = msgspec.json.decode(raw, type=_Packed)
    # msgspec's error for invalid JSON is a ValueError.
    except (ValueError, zlib.error):
        return None
    # Counted before they are written out: anyone may have submitted this text.
    lengths = [last - first + 1 for first, last in data.numbers]
    if not data.columns or any(each < 1 for each in lengths):
        return None
    if any(len(each) != sum(lengths) for each in data.columns.values()):
        return None
    numbers = tuple(number for first, last in data.numbers for number in range(first, last + 1))
    names = list(data.columns)
    values = tuple(
        dict(zip(names, row, strict=True)) for row in zip(*data.columns.values(), strict=True)
    )
    return Rows(data.sweep, numbers, values)


def cut(
    numbers: Sequence[int], fits: Callable[[Sequence[int]], bool], most: int = MOST_CHILDREN
) -> list[Sequence[int]]:
    """Cuts the numbers of rows into as few consecutive parts as fit.

    Args:
        numbers: The numbers.
        fits: Whether some consecutive ones fit into one array.
        most: Most of them in a part.

    Returns:
        The parts in their order, none of them empty. A part of one row is there whether it fits or
        not, since it needs no array.
    """
    parts: list[Sequence[int]] = []
    first, guess = 0, 1
    while first < len(numbers):
        guess = _longest(numbers[first : first + most], fits, guess)
        parts.append(numbers[first : first + guess])
        first += guess
    return parts


def _longest(numbers: Sequence[int], fits: Callable[[Sequence[int]], bool], guess: int) -> int:
    """Returns how many of the first numbers fit, at least one.

    Few more are tried than fit, since packing takes time: about as many as fitted into the part
    before, then further from that each time, then between.

    Args:
        numbers: The numbers.
        fits: See `cut`. Rows that are packed take more room with each further one, or nearly so.
        guess: About how many fit, which is tried first.
    """
    known, refused = 1, len(numbers) + 1
    tried, step = guess, max(1, guess // 16)
    while known + 1 < refused:
        tried = min(max(tried, known + 1), refused - 1)
        if fits(numbers[:tried]):
            known = tried
        else:
            refused = tried
        if refused > len(numbers):
            tried = known + step
        elif known == 1:
            tried = refused - step
        else:
            tried = (known + refused) // 2
        step *= 2
    return known


def runs(numbers: Iterable[int]) -> list[list[int]]:
    """Returns numbers as the first and last ones of their runs."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
