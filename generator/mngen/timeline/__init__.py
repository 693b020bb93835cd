"""When each node of a job did what: from log lines to a picture.

`parse_line` reads a line of the wire-up, `clock_of` finds out when the clock of such lines started;
`build` makes a `Timeline` of what is known of each node; `to_text` and `to_svg` show it. Nothing
here knows where the lines came from: a rehearsal or AWS.
"""

from mngen.timeline._lines import Stage, WireUpLine, parse_line
from mngen.timeline._model import Mark, NodeRecord, Phase, Row, Segment, Timeline, build, clock_of
from mngen.timeline._svg import to_svg
from mngen.timeline._text import to_text

__all__ = [
    "Mark",
    "NodeRecord",
    "Phase",
    "Row",
    "Segment",
    "Stage",
    "Timeline",
    "WireUpLine",
    "build",
    "clock_of",
    "parse_line",
    "to_svg",
    "to_text",
]
