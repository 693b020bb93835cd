"""What is kept of finished jobs, since AWS Batch forgets them: CSV, one line for each job.

A line is written once, with the amount at the prices known on that day, and never changed. Each
names its deployment and account, so that several can share a file.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from mngen.cost._places import LocalFile, Place
from mngen.cost._spent import NO_PRICE, Spent, csv_text, spent_of
from mngen.errors import InputError, Position, Problem
from mngen.jobs import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mngen.catalog import Prices

_COLUMNS = (
    "deployment",
    "account",
    "region",
    "id",
    "name",
    "job",
    "queue",
    "user",
    "state",
    "submitted",
    "nodes",
    "attempts",
    "node_seconds",
    "instances",
    "amount",
    "currency",
    "not_counted",
)
_FINISHED = ("SUCCEEDED", "FAILED")
_MEND = (
    "the file was not changed; mend the line or restore an earlier version, or keep jobs in "
    "another file"
)


class Origin(NamedTuple):
    """Where jobs ran: other accounts and regions can have a deployment of the same name.

    Attributes:
        deployment: The name of the deployment.
        account: The number of its account, twelve digits.
        region: Its region.
    """

    deployment: str
    account: str
    region: str


class KeptJob(Struct, frozen=True, kw_only=True):
    """A finished job as the file has it.

    Attributes:
        origin: Where it ran.
        usage: How long it used instances.
        amount: What it cost at the prices known when it was kept; None if there was none.
        currency: What the amount is in; empty for none.
        reason: Why the amount was not known; empty otherwise.
    """

    origin: Origin
    usage: Usage
    amount: float | None
    currency: str
    reason: str


class Kept(Struct, frozen=True, kw_only=True):
    """What a file keeps of a deployment.

    Attributes:
        jobs: Its finished jobs.
        added: How many of them are new in the file.
    """

    jobs: tuple[KeptJob, ...]
    added: int


def keep(where: Path | Place, usages: Iterable[Usage], prices: Prices, origin: Origin) -> Kept:
    """Adds the finished jobs that a file lacks to it, and returns all that it has of a deployment.

    Of several that run at the same time, none loses what another one adds.

    Args:
        where: The path of the file, which need not exist yet, or another place.
        usages: How long jobs used instances, finished or not; one whose end AWS Batch does not
            report is not added yet.
        prices: The prices of instance types.
        origin: Where the jobs ran.

    Raises:
        InputError: The file is damaged, or is not a file; it was not changed.
        ToolError: It cannot be read or written.
    """
    finished = [
        each
        for each in sorted(usages, key=lambda each: (each.created, each.id))
        if each.state in _FINISHED and not each.is_open
    ]
    place = LocalFile(where) if isinstance(where, Path) else where
    known: list[KeptJob] = []
    new: list[KeptJob] = []

    def changed(raw: bytes) -> bytes | None:
        nonlocal known, new
        known = _parsed(place, raw)
        ids = {each.usage.id for each in known}
        new = [_new(each, prices, origin) for each in finished if each.id not in ids]
        if not new:
            return None
        content = _appended(raw, new)
        # What could not be read again is not written.
        known = _parsed(place, content)
        return content

    place.change(changed)
    own = tuple(each for each in known if each.origin == origin)
    return Kept(jobs=own, added=len(new))


def _new(usage: Usage, prices: Prices, origin: Origin) -> KeptJob:
    spent, place = spent_of(usage, prices, origin.region), prices.region(origin.region)
    return KeptJob(
        origin=origin,
        usage=usage,
        amount=spent.amount,
        currency=place.currency if place and spent.amount is not None else "",
        reason=spent.reason,
    )


def _appended(raw: bytes, new: Sequence[KeptJob]) -> bytes:
    """Returns the content with further lines; what was there stays as it is, unless it is empty."""
    whole = csv_text(_COLUMNS, map(_row, new)).encode()
    if not raw.removeprefix(codecs.BOM_UTF8).strip():
        return whole
    ended = raw if raw.endswith(b"\n") else raw + b"\n"
    return ended + whole.partition(b"\n")[2]


def _row(kept: KeptJob) -> tuple[object, ...]:
    usage = kept.usage
    submitted = datetime.fromtimestamp(usage.created, UTC).isoformat(timespec="milliseconds")
    texts = (*kept.origin, usage.id, usage.name, usage.job, usage.queue, usage.user or "")
    return (
        # The csv module writes a carriage return without quotes, which it refuses to read.
        *(each.replace("\r", " ") for each in texts),
        *(usage.state, submitted, usage.nodes, usage.attempts),
        f"{usage.seconds:.3f}",
        " ".join(f"{name}={share:.6g}" for name, share in sorted(usage.shares.items())),
        *("" if kept.amount is None else f"{kept.amount:.6f}", kept.currency),
        kept.reason,
    )


def _parsed(place: Place, raw: bytes) -> list[KeptJob]:
    """Returns the jobs of a file; none of an empty one.

    Raises:
        InputError: A line is damaged.
    """
    try:
        # Spreadsheets begin a file with a mark of its encoding.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _damaged(place, line, "", "it is not UTF-8") from None
    if not text.strip():
        return []
    lines = [each.removesuffix("\r") for each in text.split("\n")]
    reader = csv.reader(io.StringIO(text), strict=True)
    found: dict[str, KeptJob] = {}
    is_headed = False
    try:
        for row in reader:
            at = (place, reader.line_num, lines[min(reader.line_num, len(lines)) - 1])
            if not row:
                # Editors leave an empty line at the end.
                continue
            if not is_headed:
                if tuple(row) != _COLUMNS:
                    raise _damaged(*at, f"the header must be {','.join(_COLUMNS)}")
                is_headed = True
                continue
            try:
                kept = _job(row)
            except ValueError as error:
                raise _damaged(*at, str(error)) from None
            if kept.usage.id in found:
                raise _damaged(*at, f"the job {kept.usage.id} is in the file twice")
            found[kept.usage.id] = kept
    except csv.Error as error:
        line = reader.line_num
        raise _damaged(place, line, lines[min(line, len(lines)) - 1], str(error)) from None
    return list(found.values())


def _job(row: Sequence[str]) -> KeptJob:
    """Returns the job of a line.

    Raises:
        ValueError: It is damaged; the message has how.
    """
    if len(row) != len(_COLUMNS):
        raise ValueError(f"it has {len(row)} columns, not {len(_COLUMNS)}")
    cells = dict(zip(_COLUMNS, row, strict=True))
    if cells["state"] not in _FINISHED or not cells["id"]:
        raise ValueError("it is not a finished job")
    created = _read(cells, "submitted", lambda text: datetime.fromisoformat(text).timestamp())
    seconds = _read(cells, "node_seconds", _amount)
    usage = Usage(
        id=cells["id"],
        name=cells["name"],
        job=cells["job"],
        queue=cells["queue"],
        user=cells["user"] or None,
        state=cells["state"],
        created=created,
        nodes=_read(cells, "nodes", int),
        attempts=_read(cells, "attempts", int),
        seconds=seconds,
        shares=_read(cells, "instances", _shares),
    )
    return KeptJob(
        origin=Origin(cells["deployment"], _read(cells, "account", _account), cells["region"]),
        usage=usage,
        amount=_read(cells, "amount", _amount) if cells["amount"] else None,
        currency=cells["currency"],
        reason=cells["not_counted"],
    )


def _read(cells: dict[str, str], name: str, convert: Any) -> Any:
    try:
        return convert(cells[name])
    except (ValueError, OverflowError):
        raise ValueError(f'invalid {name} "{cells[name]}"') from None


def _account(text: str) -> str:
    # Spreadsheets leave zeros at the beginning out, and write long numbers as 1.23457E+11.
    number = text.zfill(12)
    if re.fullmatch("[0-9]{12}", number) is None:
        raise ValueError
    return number


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def _shares(text: str) -> dict[str, float]:
    shares = {}
    for each in text.split():
        name, _, share = each.partition("=")
        shares[name] = _amount(share)
    return shares


def _damaged(place: Place, line: int, text: str, what: str) -> InputError:
    return InputError(
        Problem(
            f"the file of kept jobs is damaged: {what}",
            file=str(place),
            position=Position(line, 1),
            source_line=text,
            hint=_MEND,
        )
    )


def spent_when_kept(kept: KeptJob, prices: Prices) -> Spent:
    """Returns what a kept job cost: at the price known then, or at today's if there was none.

    Args:
        kept: The job.
        prices: The prices of instance types.
    """
    now = spent_of(kept.usage, prices, kept.origin.region)
    if kept.amount is None and kept.reason and not kept.reason.startswith(NO_PRICE):
        # A job whose instances are not known, for one: that does not change.
        return replace(now, instance=None, share=1.0, amount=None, reason=kept.reason, possible=())
    place = prices.region(kept.origin.region)
    if kept.amount is None or (place and place.currency != kept.currency):
        return now
    return replace(now, amount=kept.amount, reason="")
