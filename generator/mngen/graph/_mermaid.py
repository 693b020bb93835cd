"""A graph as a flowchart of mermaid, which GitHub and GitLab draw.

The grammar is that of mermaid's packages/mermaid/src/diagrams/flowchart/parser/flow.jison. All text
is in quotes, and each id is our own: a name such as `end` would be a keyword. In quotes, too,
- a quote closes the text, and one with a backtick begins Markdown;
- `#…;` is an entity, and the semicolon of one that follows `style` or `classDef` and a colon in the
  line is cut off (`encodeEntities` in packages/mermaid/src/utils.ts);
- `direction TB` makes the whole line a statement of direction, wherever it stands in it;
- HTML is HTML, and two percent signs may begin a comment.
So all but letters, digits and a few marks are entities by their numbers.

That does not protect from Markdown. Versions 11.0 to 11.12 read each label as Markdown with marked,
and in a label of several lines the entities are text again before that. They show "Unsupported
markdown" in place of links, lists, headings and code. So characters of no width stand in what would
be Markdown, and a hair space behind what would open emphasis; a backtick is a similar letter.

https://github.com/mermaid-js/mermaid
https://github.com/markedjs/marked/blob/v15.0.8/src/rules.ts
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mngen._text import replaced
from mngen.graph._cut import cut
from mngen.graph._fold import levels
from mngen.graph._model import Graph, Group, Key, Mark, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

# The defaults of `maxTextSize` and `maxEdges`, which a diagram cannot change:
# packages/mermaid/src/schemas/config.schema.yaml of mermaid.
_MOST_CHARACTERS = 50_000
_MOST_EDGES = 500
_MOST_PLANNED = 60
"""Nodes in a plan's picture, in which a reader looks for what changes."""
_LONGEST_WORD, _LONGEST_LINE = 32, 64
"""In characters. Boxes are 200 pixels wide; mermaid wraps lines in them, but no words."""
# Dark text on light colours, on a light page and on a dark one; the kinds of border differ, too.
_STYLES = {
    Mark.REPLACE: "fill:#ffd8b5,stroke:#bc4c00,color:#1f2328,stroke-width:4px",
    Mark.DESTROY: "fill:#ffd7d5,stroke:#a40e26,color:#1f2328,stroke-width:3px,stroke-dasharray:6 3",
    Mark.CHANGE: "fill:#fff1b8,stroke:#7d4e00,color:#1f2328,stroke-width:2px",
    Mark.ADD: "fill:#cdeedd,stroke:#005f46,color:#1f2328,stroke-width:2px",
    Mark.IMPORT: "fill:#d8ecff,stroke:#0550ae,color:#1f2328,stroke-width:2px",
    Mark.MOVE: "fill:#d8ecff,stroke:#0550ae,color:#1f2328,stroke-width:2px",
    Mark.FORGET: "fill:#eaeef2,stroke:#57606a,color:#1f2328,stroke-dasharray:6 3",
    Mark.WAIT: "fill:#eaeef2,stroke:#57606a,color:#1f2328,stroke-dasharray:2 2",
}
_EXISTING = "existing"
_EXISTING_STYLE = "stroke-dasharray:4 2"
# An underscore between letters or digits is none of Markdown's.
_UNSAFE = re.compile(
    r"[^A-Za-z0-9_ .,/-]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=direction) ", re.ASCII
)
# What is found after entities are text. Of mermaid: two dollar signs around a formula, a line break
# written as such, and the marks around an entity that the grammar is about to see.
_BREAKS = re.compile(
    r"(?<=\$)(?=\$)|(?<=[\\ﬂ¶])"
    # Of Markdown: what a line begins with, inline links, addresses of e-mail and of the web.
    r"|^(?=[-+*#>~=_|:<\[\s]|[0-9]+[.)](?:\s|\Z))"
    r"|(?<=\])(?=\()|(?<=@)|(?<=www)(?=\.)|(?<=tp)(?=s?://)",
    re.IGNORECASE,
)
# Before a space, it opens nothing:
# https://spec.commonmark.org/0.31.2/#left-flanking-delimiter-run
_OPENING = re.compile(r"(?<![A-Za-z0-9_])_+(?![\s_])|\*+(?![\s*])|~+(?![\s~])")


def mermaid_texts(graph: Graph) -> Iterator[str]:
    """Yields a graph as flowcharts that forges draw, each with fewer nodes than the one before.

    A large one of a plan is folded in any case, but for what the plan changes.
    """
    is_plan = any(node.mark for node in graph.nodes)
    for each in levels(graph, _MOST_PLANNED if is_plan else None):
        text = to_mermaid(each)
        if len(each.edges) <= _MOST_EDGES and len(text) <= _MOST_CHARACTERS:
            yield text


def to_mermaid(graph: Graph) -> str:
    """Writes a graph as a flowchart; the same graph always gives the same text."""
    ids: dict[Key | Group, str] = {group: group.value for group in Group}
    lines = ["flowchart LR", f"  accTitle: {_text(graph.title)}"]
    connected = {each for edge in graph.edges for each in (edge.start, edge.end)}
    for group, nodes in graph.groups.items():
        lines.append(f'  subgraph {group}["{_text(group.caption)}"]')
        if connected.isdisjoint(node.key for node in nodes):
            # One below the other. Mermaid ignores it where a node has an arrow to another frame.
            lines.append("    direction LR")
        for node in nodes:
            ids[node.key] = f"n{len(ids) - len(Group)}"
            lines.append(f"    {ids[node.key]}{_box(node)}")
        lines.append("  end")
    for edge in graph.edges:
        arrow = f'-->|"{_text(edge.label)}"|' if edge.label else "-->"
        lines.append(f"  {ids[edge.start]} {arrow} {ids[edge.end]}")
    used = {_class(node) for node in graph.nodes}
    styles = {**{mark.value: style for mark, style in _STYLES.items()}, _EXISTING: _EXISTING_STYLE}
    lines += [f"  classDef {name} {style}" for name, style in styles.items() if name in used]
    return "\n".join([*lines, ""])


def _box(node: Node) -> str:
    label = "<br/>".join(_text(_cut_words(line)) for line in node.text)
    name = _class(node)
    return f'["{label}"]' + (f":::{name}" if name else "")


def _class(node: Node) -> str:
    if node.mark:
        return node.mark.value
    return _EXISTING if node.existing else ""


def _cut_words(line: str) -> str:
    return cut(" ".join(cut(word, _LONGEST_WORD) for word in line.split(" ")), _LONGEST_LINE)


def _text(text: str) -> str:
    plain = replaced(text).replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}")
    plain = _OPENING.sub(lambda found: f"{found[0]}\N{HAIR SPACE}", plain)
    parted = _BREAKS.sub("\N{ZERO WIDTH SPACE}", plain)
    return _UNSAFE.sub(lambda found: f"#{ord(found[0])};", parted)
