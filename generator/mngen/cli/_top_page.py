"""The page of `mngen top`: lines that are never wider than the terminal.

Columns that do not fit are left out, the least important first.
"""

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from mngen._text import counted, printable
from mngen.cli._jobs import duration, state_style
from mngen.jobs import UNFINISHED

if TYPE_CHECKING:
    from mngen.jobs import ActiveJob, EnvironmentView, Overview, QueueView

_GAP = 2
_SHORTEST = 8
_LONGEST = 32
_FEWEST_JOBS = 3
_UNKNOWN = "-"


class _Column(NamedTuple):
    """A column of a table.

    Attributes:
        heading: Its heading.
        cells: Its cells.
        weight: How important it is; of those that do not all fit, the ones with less go.
        right: Whether it is aligned to the right.
        elastic: Whether its cells may be cut off.
        is_state: Whether its cells are states of jobs.
    """

    heading: str
    cells: list[str]
    weight: int
    right: bool = False
    elastic: bool = False
    is_state: bool = False


def page(
    overview: "Overview",
    *,
    width: int,
    height: int | None = None,
    now: float,
    note: str = "",
) -> list[Text]:
    """Returns a deployment as lines.

    Args:
        overview: The deployment.
        width: Columns of the terminal.
        height: Rows of the terminal, which decide how many jobs are shown; None for all.
        now: The time, in seconds since the epoch.
        note: What to show about the last round; empty for nothing.
    """
    from datetime import datetime

    when = datetime.fromtimestamp(overview.time).astimezone()
    title = f"{overview.deployment}  {overview.region}  {when:%H:%M:%S}"
    oldest = overview.time - overview.oldest_figure
    if overview.complete and oldest >= 1:
        title += f"  figures of the last {duration(oldest)}"
    lines = [_cut(title, width, "bold"), *([_cut(_plain(note), width, "yellow")] if note else [])]
    lines += [Text(), *_table(_queue_columns(overview.queues, now), width)]
    lines += [_cut(text, width, "red") for text in _queue_faults(overview.queues)]
    if overview.environments:
        lines += [Text(), *_table(_environment_columns(overview.environments), width)]
        lines += [
            _cut(f"{each.name} {_plain(each.fault)}", width, "red")
            for each in overview.environments
            if each.fault
        ]
    lines.append(Text())
    jobs = overview.jobs
    if not jobs:
        return [*lines, _cut("No jobs run or wait.", width)]
    # One line for the headings, and one for how many more jobs there are.
    room = len(jobs) if height is None else max(_FEWEST_JOBS, height - len(lines) - 2)
    shown = jobs if len(jobs) <= room else jobs[:room]
    lines += _table(_job_columns(shown, now), width)
    if len(shown) < len(jobs):
        lines.append(_cut(f"and {counted(len(jobs) - len(shown), 'more job')}", width, "dim"))
    return lines


def _queue_columns(queues: "tuple[QueueView, ...]", now: float) -> list[_Column]:
    columns = [_Column("queue", [each.name for each in queues], 9, elastic=True)]
    weights = dict(zip(UNFINISHED, (3, 4, 7, 6, 8), strict=True))
    for state, weight in weights.items():
        cells = [str(each.counts.get(state, _UNKNOWN)) for each in queues]
        columns.append(_Column(state.lower(), cells, weight, right=True))
    oldest = [_UNKNOWN if each.oldest is None else duration(now - each.oldest) for each in queues]
    return [*columns, _Column("oldest", oldest, 5, right=True)]


def _queue_faults(queues: "tuple[QueueView, ...]") -> list[str]:
    missing = [f"{each.name} does not exist: run mngen apply" for each in queues if not each.exists]
    return missing + [f"{each.name} {_plain(each.fault)}" for each in queues if each.fault]


def _environment_columns(environments: "tuple[EnvironmentView, ...]") -> list[_Column]:
    return [
        _Column("environment", [each.name for each in environments], 9, elastic=True),
        _Column(
            "running",
            [_UNKNOWN if each.running is None else str(each.running) for each in environments],
            7,
            right=True,
        ),
        _Column("desired", [_size(each, each.desired_vcpus) for each in environments], 6, True),
        _Column("max", [_size(each, each.max_vcpus) for each in environments], 8, True),
        _Column("instance", [", ".join(each.types) for each in environments], 5, elastic=True),
    ]


def _size(environment: "EnvironmentView", vcpus: int) -> str:
    """Returns an amount of vCPUs in instances, where all of these have equally many."""
    if environment.vcpus is None:
        return f"{vcpus} vCPU"
    # AWS Batch starts no parts of instances.
    return str(-(-vcpus // environment.vcpus))


def _job_columns(jobs: "tuple[ActiveJob, ...]", now: float) -> list[_Column]:
    left = [each.left(now) for each in jobs]
    return [
        _Column("job", [_name(each) for each in jobs], 9, elastic=True),
        _Column("id", [each.id for each in jobs], 4),
        _Column("nodes", [str(each.nodes) for each in jobs], 7, right=True),
        _Column("state", [each.state for each in jobs], 8, is_state=True),
        _Column("age", [duration(now - each.created) for each in jobs], 6, right=True),
        _Column(
            "left",
            [_UNKNOWN if each is None else duration(each) for each in left],
            5,
            right=True,
        ),
        _Column("user", [_plain(each.user or _UNKNOWN) for each in jobs], 3, elastic=True),
        _Column("queue", [each.queue for each in jobs], 2, elastic=True),
    ]


def _name(job: "ActiveJob") -> str:
    return job.name if job.array is None else f"{job.name}[{job.array}]"


def _table(columns: list[_Column], width: int) -> list[Text]:
    """Returns the headings and the rows of a table, with the columns that fit."""
    wide = {each.heading: _widest(each) for each in columns}
    least = {
        each.heading: min(wide[each.heading], _SHORTEST) if each.elastic else wide[each.heading]
        for each in columns
    }
    chosen: set[str] = set()
    taken = -_GAP
    for each in sorted(columns, key=lambda each: -each.weight):
        if taken + _GAP + least[each.heading] <= width or not chosen:
            taken += _GAP + least[each.heading]
            chosen.add(each.heading)
    shown = [each for each in columns if each.heading in chosen]
    widths = {each.heading: least[each.heading] for each in shown}
    for each in sorted(shown, key=lambda each: -each.weight):
        more = max(0, min(wide[each.heading] - least[each.heading], width - taken))
        widths[each.heading] += more
        taken += more
    lines = [_row([_cell(each, each.heading, widths, "dim") for each in shown], width)]
    for index in range(len(columns[0].cells)):
        cells = [
            _cell(
                each,
                each.cells[index],
                widths,
                state_style(each.cells[index]) if each.is_state else "",
            )
            for each in shown
        ]
        lines.append(_row(cells, width))
    return lines


def _widest(column: _Column) -> int:
    widest = max(map(cell_len, (column.heading, *column.cells)))
    return min(widest, max(_LONGEST, cell_len(column.heading))) if column.elastic else widest


def _cell(column: _Column, text: str, widths: dict[str, int], style: str) -> Text:
    width = widths[column.heading]
    short = width - cell_len(text)
    if short < 0:
        return Text(set_cell_size(text, width - 1) + "…", style)
    return Text(" " * short + text if column.right else text + " " * short, style)


def _row(cells: list[Text], width: int) -> Text:
    line = Text(" " * _GAP).join(cells)
    line.rstrip()
    line.truncate(width)
    return line


def _plain(text: str) -> str:
    return printable(text, keep="")


def _cut(text: str, width: int, style: str = "") -> Text:
    line = Text(text, style)
    line.truncate(width, overflow="ellipsis")
    return line
