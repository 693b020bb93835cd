"""What jobs cost, as a picture in SVG: a bar for each week, in parts by user, job or queue.

A job counts in the week in which it was submitted, which begins on Monday in UTC. The same figures
always give the same bytes. The picture has the colours of a light or a dark page, as the reader's
browser prefers, and loads nothing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from mngen._svg import number, step, text
from mngen._text import counted
from mngen.cost._money import money
from mngen.cost._spent import name_by

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.cost._spent import By, Spent
    from mngen.jobs import Usage

# Distinguishable with any colour vision, and on white and on black.
# Source: https://jfly.uni-koeln.de/color/
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800")
_REST = "#8c8c8c"
_STYLE = (
    "text { font: 12px Helvetica, Arial, sans-serif; fill: #1f2328 } "
    ".title { font-size: 15px } .total { font-weight: bold } "
    ".ground { fill: #ffffff } .grid { stroke: #d8dee4 } "
    "@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ground { fill: #0d1117 } "
    ".grid { stroke: #30363d } }"
)
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 260, 64, 56
_PLOT_WIDTH, _PLOT_HEIGHT = 640.0, 280.0
_WIDEST_BAR = 64.0
_TICKS = 5
_LABEL = 78.0
"""Room that the date of a week takes, with a space beside it."""
_LEGEND_ROW = 22
_LONGEST_NAME = 16
_UNKNOWN = "unknown"
_DAYS = 7


class Weeks(Struct, frozen=True, kw_only=True):
    """What jobs cost by week.

    Attributes:
        deployment: The deployment.
        by: What the parts of a week are.
        currency: What amounts are in; None if there are no prices of the region.
        first: The Monday of the first week; None without jobs.
        names: The names of the parts, the dearest first.
        others: How many cheaper ones the last part is a sum of; 0 for none.
        amounts: For each week, from the first to the last, what each part cost.
        unpriced: How many jobs have no known price, and are not in the amounts.
    """

    deployment: str
    by: By
    currency: str | None
    first: date | None
    names: tuple[str, ...]
    others: int
    amounts: tuple[tuple[float, ...], ...]
    unpriced: int

    @property
    def total(self) -> float:
        """What all weeks cost together."""
        return sum(sum(week) for week in self.amounts)


def weeks_of(
    spent: Iterable[tuple[Usage, Spent]], deployment: str, by: By, currency: str | None
) -> Weeks:
    """Returns what jobs cost by week.

    Args:
        spent: Jobs with what they cost.
        deployment: The deployment.
        by: What the parts of a week are. Beyond seven, the cheapest are summed as `N others`.
        currency: What amounts are in; None if there are no prices of the region.
    """
    known = [(_monday(usage), name_by(usage, by), cost.amount) for usage, cost in spent]
    priced = [(week, name, amount) for week, name, amount in known if amount is not None]
    sums: dict[str, float] = {}
    for _, name, amount in priced:
        sums[name] = sums.get(name, 0.0) + amount
    order = sorted((name for name, amount in sums.items() if amount), key=lambda n: (-sums[n], n))
    own = order if len(order) <= len(_COLOURS) else order[: len(_COLOURS) - 1]
    names = [name or _UNKNOWN for name in own]
    others = len(order) - len(own)
    if others:
        names.append(f"{others} others")
    first = min((week for week, _, _ in priced), default=None)
    last = max((week for week, _, _ in priced), default=None)
    count = (last - first).days // _DAYS + 1 if first and last else 0
    amounts = [[0.0] * len(names) for _ in range(count)]
    places = {name: min(place, len(names) - 1) for place, name in enumerate(order)}
    for week, name, amount in priced:
        if first and amount:
            amounts[(week - first).days // _DAYS][places[name]] += amount
    return Weeks(
        deployment=deployment,
        by=by,
        currency=currency,
        first=first,
        names=tuple(names),
        others=others,
        amounts=tuple(map(tuple, amounts)),
        unpriced=len(known) - len(priced),
    )


def to_svg(weeks: Weeks) -> str:
    """Draws what jobs cost by week; the same figures always give the same text.

    Each part of a bar has its amount when the pointer rests on it.

    Args:
        weeks: The figures.
    """
    currency = weeks.currency or ""
    highest = max((sum(week) for week in weeks.amounts), default=0.0)
    tick = step(highest, _TICKS)
    top = tick * max(1, -(-highest // tick))
    rows = len(weeks.names) + 1 + bool(weeks.unpriced)
    height = _TOP + max(_PLOT_HEIGHT + _BOTTOM, rows * _LEGEND_ROW + _LEGEND_ROW)
    width = _LEFT + _PLOT_WIDTH + _RIGHT
    title = text(f"Cost of {weeks.deployment} by week and {weeks.by.value}")
    size = f'width="{number(width)}" height="{number(height)}"'
    box = f"0 0 {number(width)} {number(height)}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {size} role="img">',
        f"<style>{_STYLE}</style>",
        f"<title>{title}</title>",
        f'<rect class="ground" {size}/>',
        f'<text class="title" x="{_LEFT}" y="24">{title}</text>',
        f'<text x="{_LEFT}" y="46">{text(currency)}</text>',
        *_axis(top, tick),
        *_bars(weeks, top),
        *_legend(weeks),
    ]
    return "\n".join([*lines, "</svg>", ""])


def _axis(top: float, tick: float) -> list[str]:
    lines = []
    for index in range(round(top / tick) + 1):
        y = number(_y(index * tick, top))
        lines.append(f'<path class="grid" d="M{_LEFT} {y}h{number(_PLOT_WIDTH)}"/>')
        lines.append(
            f'<text x="{_LEFT - 8}" y="{number(_y(index * tick, top) + 4)}" '
            f'text-anchor="end">{index * tick:,.10g}</text>'
        )
    return lines


def _bars(weeks: Weeks, top: float) -> list[str]:
    centre = number(_LEFT + _PLOT_WIDTH / 2)
    if weeks.first is None:
        half = number(_TOP + _PLOT_HEIGHT / 2)
        nothing = "no jobs with a known price"
        return [f'<text x="{centre}" y="{half}" text-anchor="middle">{nothing}</text>']
    room = _PLOT_WIDTH / len(weeks.amounts)
    bar = min(room * 0.7, _WIDEST_BAR)
    # Of many weeks, every second or third has its date, and so on.
    every = max(1, -int(-_LABEL // room))
    lines = []
    for index, week in enumerate(weeks.amounts):
        monday = weeks.first + timedelta(days=_DAYS * index)
        middle = _LEFT + room * (index + 0.5)
        below = 0.0
        for name, amount, colour in zip(weeks.names, week, _colours(weeks), strict=True):
            if amount:
                y, base = _y(below + amount, top), _y(below, top)
                told = f"{monday}, {name}: {money(amount, weeks.currency or '')}"
                lines.append(
                    f'<rect x="{number(middle - bar / 2)}" y="{y:.3f}" width="{number(bar)}" '
                    f'height="{base - y:.3f}" fill="{colour}"><title>{text(told)}</title></rect>'
                )
                below += amount
        if index % every == 0:
            lines.append(
                f'<text x="{number(middle)}" y="{number(_TOP + _PLOT_HEIGHT + 18)}" '
                f'text-anchor="middle">{monday}</text>'
            )
    lines.append(
        f'<text x="{centre}" y="{number(_TOP + _PLOT_HEIGHT + 42)}" '
        'text-anchor="middle">week from Monday, UTC</text>'
    )
    return lines


def _legend(weeks: Weeks) -> list[str]:
    currency = weeks.currency or ""
    left = _LEFT + _PLOT_WIDTH + 24
    sums = [sum(week[place] for week in weeks.amounts) for place in range(len(weeks.names))]
    lines = []
    y = float(_TOP)
    for name, amount, colour in zip(weeks.names, sums, _colours(weeks), strict=True):
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        lines.append(
            f'<rect x="{number(left)}" y="{number(y)}" width="12" height="12" fill="{colour}"/>'
        )
        lines.append(
            f'<text x="{number(left + 18)}" y="{number(y + 10)}">'
            f"{text(short)} {money(amount, '').strip()}</text>"
        )
        y += _LEGEND_ROW
    if weeks.names:
        lines.append(
            f'<text x="{number(left + 18)}" y="{number(y + 10)}" class="total">'
            f"total {text(money(weeks.total, currency))}</text>"
        )
        y += _LEGEND_ROW
    if weeks.unpriced:
        lines.append(
            f'<text x="{number(left + 18)}" y="{number(y + 10)}">'
            f"{counted(weeks.unpriced, 'job')} not counted</text>"
        )
    return lines


def _colours(weeks: Weeks) -> tuple[str, ...]:
    """Returns the colours of the parts; a sum of others is grey."""
    colours = _COLOURS[: len(weeks.names)]
    return (*colours[:-1], _REST) if weeks.others else colours


def _y(amount: float, top: float) -> float:
    return _TOP + _PLOT_HEIGHT * (1 - amount / top)


def _monday(usage: Usage) -> date:
    day = datetime.fromtimestamp(usage.created, UTC).date()
    return day - timedelta(days=day.weekday())
