"""A timeline as text: a bar a node, for a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mngen.timeline._model import Phase

if TYPE_CHECKING:
    from mngen.timeline._model import Row, Timeline

# Signs that differ without colour too, the application's being the most solid.
_SIGNS = {
    Phase.QUEUED: ("·", "."),
    Phase.STARTING: ("╌", "-"),
    Phase.SETUP: ("─", "="),
    Phase.RENDEZVOUS: ("░", "w"),
    Phase.LAUNCH: ("▒", "l"),
    Phase.RUN: ("█", "#"),
    Phase.TEARDOWN: ("▓", "x"),
}
_COLOURS = {
    Phase.QUEUED: "90",
    Phase.STARTING: "90",
    Phase.SETUP: "36",
    Phase.RENDEZVOUS: "33",
    Phase.LAUNCH: "34",
    Phase.RUN: "32",
    Phase.TEARDOWN: "35",
}
_MARK = ("✗", "!")
_NARROWEST = 10
_MOST_ROWS = 40


def to_text(
    timeline: Timeline, width: int = 80, *, colour: bool = False, ascii_only: bool = False
) -> str:
    """Shows a timeline as lines of text.

    Args:
        timeline: It.
        width: Columns of the terminal.
        colour: Whether to colour the bars.
        ascii_only: Whether the terminal has no more than ASCII.
    """
    shown, left_out = _shown(timeline)
    labels = [_label(timeline, row) for row in shown]
    endings = [_ending(row) for row in shown]
    margin = max(map(len, labels), default=0)
    tail = max(map(len, endings), default=0)
    bar = max(_NARROWEST, width - margin - tail - 4)
    edge = "|" if ascii_only else "│"
    lines = [timeline.title] if timeline.title else []
    for row, label, ending in zip(shown, labels, endings, strict=True):
        cells = _cells(timeline, row, bar, ascii_only=ascii_only)
        painted = "".join(_paint(cell, colour=colour) for cell in _runs(cells))
        lines.append(f"{label:<{margin}} {edge}{painted}{edge} {ending}")
    lines.append(_axis(timeline.seconds, margin + 2, bar))
    lines += [f"({left_out})"] if left_out else []
    lines.append(_legend(timeline, colour=colour, ascii_only=ascii_only))
    return "\n".join(line.rstrip() for line in lines)


def _shown(timeline: Timeline) -> tuple[list[Row], str]:
    """Chooses the rows of a large job: the main node and those unlike the others first."""
    rows = list(timeline.rows)
    if len(rows) <= _MOST_ROWS:
        return rows, ""
    usual, _ = Counter(row.ending for row in rows).most_common(1)[0]
    first = sorted(
        rows, key=lambda row: (row.index != timeline.main, row.ending == usual, not row.marks)
    )
    shown = sorted(first[:_MOST_ROWS], key=lambda row: row.index)
    hidden = Counter(row.ending for row in first[_MOST_ROWS:])
    words = ", ".join(f"{count} more nodes: {ending}" for ending, count in sorted(hidden.items()))
    return shown, words


def _label(timeline: Timeline, row: Row) -> str:
    return f"[{row.index}] main" if row.index == timeline.main else f"[{row.index}]"


def _ending(row: Row) -> str:
    return ", ".join([*(f"{mark.text} at {mark.seconds:.1f} s" for mark in row.marks), row.ending])


def _cells(timeline: Timeline, row: Row, bar: int, *, ascii_only: bool) -> list[tuple[str, str]]:
    """Returns a sign and its colour for each column of a bar."""
    cells = [(" ", "")] * bar
    scale = bar / timeline.seconds if timeline.seconds else 0.0
    for segment in row.segments:
        first = min(int(segment.start * scale), bar - 1)
        # Even the shortest phase is seen, if only until the next one starts in the same column.
        last = max(first + 1, round(segment.end * scale))
        sign = _SIGNS[segment.phase][ascii_only]
        for column in range(first, min(last, bar)):
            cells[column] = (sign, _COLOURS[segment.phase])
    for mark in row.marks:
        cells[min(int(mark.seconds * scale), bar - 1)] = (_MARK[ascii_only], "1;31")
    return cells


def _runs(cells: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Joins neighbours of the same colour."""
    runs: list[tuple[str, str]] = []
    for sign, colour in cells:
        if runs and runs[-1][1] == colour:
            runs[-1] = (runs[-1][0] + sign, colour)
        else:
            runs.append((sign, colour))
    return runs


def _paint(run: tuple[str, str], *, colour: bool) -> str:
    text, code = run
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def _axis(seconds: float, margin: int, bar: int) -> str:
    end = f"{seconds:.1f} s"
    return " " * margin + "0" + end.rjust(bar - 1)


def _legend(timeline: Timeline, *, colour: bool, ascii_only: bool) -> str:
    signs = [
        _paint((_SIGNS[phase][ascii_only], _COLOURS[phase]), colour=colour) + f" {phase}"
        for phase in timeline.phases
    ]
    if any(row.marks for row in timeline.rows):
        signs.append(_paint((_MARK[ascii_only], "1;31"), colour=colour) + " fault")
    return "  ".join(signs)
