"""The report card as a web page: one file that loads nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from mngen import __version__
from mngen._text import replaced
from mngen.selftest._types import State

if TYPE_CHECKING:
    from mngen.selftest._types import Card, Check, Figure

# Distinguishable with any colour vision. Source: https://jfly.uni-koeln.de/color/
_COLOURS = {
    State.ERROR: "#d55e00",
    State.WARNING: "#e69f00",
    State.SKIPPED: "#999999",
    State.OK: "#009e73",
}
_BAR, _HEIGHT = 300, 16
_STYLE = """\
body { font: 15px/1.4 Helvetica, Arial, sans-serif; margin: 2em auto; max-width: 62em }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #dddddd; padding: 0.4em; text-align: left; vertical-align: top }
td.state { color: #ffffff; font-weight: bold; text-align: center; width: 5em }
td.number { text-align: right; white-space: nowrap }
p.remedy { color: #444444; margin: 0.2em 0 0 }"""


def to_page(card: Card) -> str:
    """Returns the card as HTML; the same card always gives the same text."""
    verdict = "passed" if card.passed else "failed"
    job = f"<p>job {_text(card.job)}</p>" if card.job else ""
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8">',
        f"<title>mngen selftest: {_text(card.title)}</title>",
        f"<style>\n{_STYLE}\n</style></head>",
        "<body>",
        f"<h1>Self-test {verdict}</h1>",
        f"<p>{_text(card.title)}</p>{job}",
        "<table><tr><th>state</th><th>check</th><th>what was seen</th></tr>",
        *map(_check, card.checks),
        "</table>",
    ]
    if card.figures:
        lines += [
            "<h2>Figures</h2>",
            "<table><tr><th>what</th><th>measured</th><th>of the possible</th></tr>",
            *map(_figure, card.figures),
            "</table>",
        ]
    lines += [f"<p>mngen {_text(__version__)}</p>", "</body></html>", ""]
    return "\n".join(lines)


def _check(check: Check) -> str:
    remedy = f'<p class="remedy">To do: {_text(check.remedy)}</p>' if check.remedy else ""
    colour = _COLOURS[check.state]
    return (
        f'<tr id="{_text(check.id)}"><td class="state" style="background: {colour}">'
        f"{check.state}</td><td>{_text(check.title)}</td><td>{_text(check.seen)}{remedy}</td></tr>"
    )


def _figure(figure: Figure) -> str:
    bar = ""
    if figure.promise:
        width = round(min(figure.value / figure.promise, 1.0) * _BAR, 1)
        told = f"{share(figure)} of {figure.promise:g} {figure.unit}"
        told += f" ({figure.note})" if figure.note else ""
        bar = (
            f'<svg width="{_BAR}" height="{_HEIGHT}" role="img" aria-label="{_text(told)}">'
            f'<rect width="{_BAR}" height="{_HEIGHT}" fill="#dddddd"/>'
            f'<rect width="{width:g}" height="{_HEIGHT}" fill="#0072b2"/></svg><br>{_text(told)}'
        )
    return (
        f'<tr><td>{_text(figure.name)}</td><td class="number">{figure.value:g} '
        f"{_text(figure.unit)}</td><td>{bar}</td></tr>"
    )


def share(figure: Figure) -> str:
    """Returns how much of a promise was measured, in percent; empty where there is none."""
    return f"{100 * figure.value / figure.promise:.0f} %" if figure.promise else ""


def _text(text: str) -> str:
    """Escapes text of a log, in which anything may stand."""
    return escape(replaced(text))
