"""The page of `mngen top`: lines that are never wider than the terminal.

Columns that do not fit are left out, the least important first.
"""

from typing import TYPE_CHECKING, NamedTuple, TypeVar

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

_Row = TypeVar("_Row")


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
        height: Rows of the terminal, which decide how many queues, environments and jobs are shown;
            None for all.
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
    queues, environments = overview.queues, overview.environments
    if height is not None:
        queues, environments = _fitting(overview, height - len(lines))
    lines += [Text(), *_table(_queue_columns(queues, now), width)]
    lines += [_cut(text, width, "red") for each in queues if (text := _queue_fault(each))]
    lines += _more(len(overview.queues) - len(queues), "queue", width)
    if environments:
        lines += [Text(), *_table(_environment_columns(environments), width)]
        lines += [
            _cut(f"{each.name} {_plain(each.fault)}", width, "red")
            for each in environments
            if each.fault
        ]
        lines += _more(len(overview.environments) - len(environments), "environment", width)
    lines.append(Text())
    jobs = overview.jobs
    if not jobs:
        return [*lines, _cut("No jobs run or wait.", width)]
    # One line for the headings, and one for how many more jobs there are.
    room = len(jobs) if height is None else max(_FEWEST_JOBS, height - len(lines) - 2)
    shown = jobs if len(jobs) <= room else jobs[:room]
    lines += _table(_job_columns(shown, now), width)
    return [*lines, *_more(len(jobs) - len(shown), "job", width)]


def _fitting(
    overview: "Overview", height: int
) -> "tuple[tuple[QueueView, ...], tuple[EnvironmentView, ...]]":
    """Returns the queues and environments that leave half of the lines to the jobs, if need be.

    Args:
        overview: The deployment.
        height: How many lines there are for all three.
    """
    queues = [
        (each, 1 + bool(_queue_fault(each)), bool(sum(each.counts.values())))
        for each in overview.queues
    ]
    environments = [
        (each, 1 + bool(each.fault), bool(each.running or each.desired_vcpus))
        for each in overview.environments
    ]
    # Those of the headings, those between the tables, and the one for how many more jobs there are.
    left = height - 7
    left -= min(len(overview.jobs), max(_FEWEST_JOBS, left // 2))
    need = sum(lines for _, lines, _ in queues)
    room = max(left // 2, left - sum(lines for _, lines, _ in environments))
    return _chosen(queues, room), _chosen(environments, left - min(need, room))


def _chosen(rows: "list[tuple[_Row, int, bool]]", room: int) -> "tuple[_Row, ...]":
    """Returns the rows that fit, in their order: those with a fault first, then those in use.

    Args:
        rows: Each with the lines that it takes, two with a fault, and whether it is in use.
        room: How many lines there are; if not all fit, the last has how many more rows there are.
    """
    if sum(lines for _, lines, _ in rows) <= room:
        return tuple(each for each, _, _ in rows)
    order = sorted(range(len(rows)), key=lambda index: (-rows[index][1], not rows[index][2]))
    taken, chosen = 1, set[int]()
    for index in order:
        if taken + rows[index][1] <= room or not chosen:
            taken += rows[index][1]
            chosen.add(index)
    return tuple(each for index, (each, _, _) in enumerate(rows) if index in chosen)


def _more(count: int, what: str, width: int) -> list[Text]:
    return [_cut(f"and {counted(count, f'more {what}')}", width, "dim")] if count else []


def _queue_columns(queues: "tuple[QueueView, ...]", now: float) -> list[_Column]:
    columns = [_Column("queue", [each.name for each in queues], 9, elastic=True)]
    weights = dict(zip(UNFINISHED, (3, 4, 7, 6, 8), strict=True))
    for state, weight in weights.items():
        cells = [str(each.counts.get(state, _UNKNOWN)) for each in queues]
        columns.append(_Column(state.lower(), cells, weight, right=True))
    oldest = [_UNKNOWN if each.oldest is None else duration(now - each.oldest) for each in queues]
    return [*columns, _Column("oldest", oldest, 5, right=True)]


def _queue_fault(queue: "QueueView") -> str:
    if not queue.exists:
        return f"{queue.name} does not exist: run mngen apply"
    return f"{queue.name} {_plain(queue.fault)}" if queue.fault else ""


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
    """Returns the name of a job, of an array with how many of its jobs have finished."""
    if job.array is None:
        return job.name
    if not job.children:
        return f"{job.name}[{job.array}]"
    finished = job.array - sum(job.children.get(state, 0) for state in UNFINISHED)
    return f"{job.name}[{finished}/{job.array}]"


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
