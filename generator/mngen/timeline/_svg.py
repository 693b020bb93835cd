"""A timeline as an SVG picture: nodes against time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._svg import number as _number
from mngen._svg import step as _step
from mngen._svg import text as _text
from mngen.timeline._model import Phase

if TYPE_CHECKING:
    from mngen.timeline._model import Row, Timeline

# Distinguishable with any colour vision. Source: https://jfly.uni-koeln.de/color/
_COLOURS = {
    Phase.QUEUED: "#dddddd",
    Phase.STARTING: "#999999",
    Phase.SETUP: "#56b4e9",
    Phase.RENDEZVOUS: "#f0e442",
    Phase.LAUNCH: "#0072b2",
    Phase.RUN: "#009e73",
    Phase.TEARDOWN: "#cc79a7",
}
_FAULT = "#d55e00"
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 190, 70, 40
_PLOT = 720
_TALLEST_ROW, _LOWEST_ROW, _TALLEST_PLOT = 24.0, 3.0, 2000.0
# Rows lower than this have no room for a line of text each.
_READABLE_ROW = 12.0
_TICKS = 8


def to_svg(timeline: Timeline) -> str:
    """Draws a timeline; the same timeline always gives the same text.

    Each bar names its phase and times when the pointer rests on it.
    """
    count = max(len(timeline.rows), 1)
    height = min(_TALLEST_ROW, max(_LOWEST_ROW, _TALLEST_PLOT / count))
    plot = height * count
    width, total = _LEFT + _PLOT + _RIGHT, _TOP + plot + _BOTTOM
    size = f'width="{width}" height="{_number(total)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_number(total)}" {size}>',
        "<style>text { font: 12px Helvetica, Arial, sans-serif }</style>",
        f"<title>{_text(timeline.title)}</title>",
        f'<rect {size} fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="22" style="font-size: 15px">{_text(timeline.title)}</text>',
        *_legend(timeline),
        *_axis(timeline.seconds, plot),
    ]
    for position, row in enumerate(timeline.rows):
        lines += _row(timeline, row, _TOP + position * height, height)
    return "\n".join([*lines, "</svg>", ""])


def _row(timeline: Timeline, row: Row, top: float, height: float) -> list[str]:
    bar = height * 0.75
    y = top + (height - bar) / 2
    lines = []
    for segment in row.segments:
        x, end = _x(timeline, segment.start), _x(timeline, segment.end)
        told = f"node {row.index}, {segment.phase}: {segment.start:.2f} to {segment.end:.2f} s"
        lines.append(
            f'<rect x="{_number(x)}" y="{_number(y)}" width="{_number(max(end - x, 0.5))}" '
            f'height="{_number(bar)}" fill="{_COLOURS[segment.phase]}">'
            f"<title>{_text(told)}</title></rect>"
        )
    for mark in row.marks:
        x = _x(timeline, mark.seconds)
        told = f"node {row.index}: {mark.text} at {mark.seconds:.2f} s"
        lines.append(
            f'<path d="M{_number(x)} {_number(top)}v{_number(height)}" stroke="{_FAULT}" '
            f'stroke-width="3"><title>{_text(told)}</title></path>'
        )
    if height < _READABLE_ROW and not (row.index == timeline.main or row.failed or row.marks):
        return lines
    base = top + height / 2 + 4
    size = "" if height >= _READABLE_ROW else f' style="font-size: {_number(max(height, 6))}px"'
    main = " main" if row.index == timeline.main else ""
    colour = _FAULT if row.failed else "#000000"
    told = ", ".join([*(mark.text for mark in row.marks), row.ending])
    lines.append(
        f'<text x="{_LEFT - 8}" y="{_number(base)}" text-anchor="end"{size}>'
        f"node {row.index}{main}</text>"
    )
    lines.append(
        f'<text x="{_LEFT + _PLOT + 8}" y="{_number(base)}" fill="{colour}"{size}>'
        f"{_text(told)}</text>"
    )
    return lines


def _axis(seconds: float, plot: float) -> list[str]:
    step = _step(seconds, _TICKS)
    lines = []
    for number in range(int(seconds / step) + 1 if seconds else 1):
        x = _number(_LEFT + (number * step / seconds * _PLOT if seconds else 0))
        lines.append(f'<path d="M{x} {_TOP}v{_number(plot)}" stroke="#e0e0e0"/>')
        lines.append(
            f'<text x="{x}" y="{_number(_TOP + plot + 18)}" text-anchor="middle" fill="#444444">'
            f"{number * step:g} s</text>"
        )
    return lines


def _legend(timeline: Timeline) -> list[str]:
    lines = []
    x = _LEFT
    entries: list[tuple[str, str]] = [(_COLOURS[phase], phase.value) for phase in timeline.phases]
    if any(row.marks for row in timeline.rows):
        entries.append((_FAULT, "fault"))
    for colour, word in entries:
        lines.append(f'<rect x="{x}" y="38" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{x + 17}" y="48">{word}</text>')
        x += 35 + 7 * len(word)
    return lines


def _x(timeline: Timeline, seconds: float) -> float:
    return _LEFT + (seconds / timeline.seconds * _PLOT if timeline.seconds else 0.0)
