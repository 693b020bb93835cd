"""Reads the memory that Linux was seen to have on each instance type.

EC2 reports how much memory it sells; what of it Linux can give away, and so what the ECS agent
registers, differs by type from 79 % to 99 % and is documented nowhere. The project behind
ec2instances.info starts every type and writes down what it sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from mngen.errors import InputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

URL = (
    "https://github.com/vantage-sh/ec2instances.info/blob/main/"
    "scraper/aws/ec2/extras/manually_fetched_data.json"
)


class _Memory(msgspec.Struct):
    total_mb: Annotated[int, Meta(ge=1)]


class _Record(msgspec.Struct):
    ran_at: str
    memory: _Memory | None = None


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measured memory.

    Attributes:
        memory: `MemTotal` in MiB, rounded down, by the name of the instance type.
        source: Where it comes from, in words; empty where nothing was measured.
    """

    memory: dict[str, int]
    source: str


def read_measurements(path: Path) -> Measurements:
    """Reads the project's own file, `manually_fetched_data.json`.

    Raises:
        InputError: The file cannot be read, or is not what it should be.
    """
    try:
        records = msgspec.json.decode(path.read_bytes(), type=dict[str, _Record])
    except OSError as error:
        raise _unusable(path, f"cannot read it: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unusable(path, str(error)) from None
    measured = {name: each for name, each in records.items() if each.memory is not None}
    if not measured:
        raise _unusable(path, "it holds no measurement")
    newest = max(each.ran_at for each in measured.values())[:10]
    return Measurements(
        {name: each.memory.total_mb for name, each in measured.items() if each.memory},
        f"vantage-sh/ec2instances.info, {path.name}, measured up to {newest} (MIT License)",
    )


def _unusable(path: Path, reason: str) -> InputError:
    return InputError(
        Problem(
            f"cannot use the memory measurements: {reason}",
            file=str(path),
            hint=f"download {URL}",
        )
    )
