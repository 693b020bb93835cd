"""Flowcharts of deployments: read back by the rules of mermaid, and compared with the spec.

Of mermaid (https://github.com/mermaid-js/mermaid, at df032c9) these are its grammar,
packages/mermaid/src/diagrams/flowchart/parser/flow.jison; what replaces entities before the grammar
sees them, packages/mermaid/src/utils.ts; and the limits of
packages/mermaid/src/schemas/config.schema.yaml.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from msgspec.structs import replace

from mngen.catalog import load_catalog
from mngen.graph import Edge, Graph, Group, Kind, Mark, Node, graph_of, mermaid_texts, to_mermaid
from mngen.rules import require
from mngen.spec import load
from tests.support.golden import SPECS
from tests.support.specs import FRAGMENTS, make_spec, pairwise, texts, to_cluster

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.cluster import Cluster

MAX_TEXT_SIZE = 50_000
MAX_EDGES = 500
ID = r"[a-z][a-z0-9]*"
# `<string>[^"]+`; a quote with a backtick begins a state of its own, md_string.
STRING = r'"(?!`)([^"]+)"'
KEYWORDS = {
    *("style", "default", "linkStyle", "interpolate", "classDef", "class", "href", "click", "call"),
    *("flowchart-elk", "graph", "flowchart", "subgraph", "end"),
}
# Of `idStringToken`, those that a word without marks can be. The lexer takes the first rule that
# fits, so that no id may begin with a keyword.
BAD_ID = re.compile(rf"({'|'.join(sorted(KEYWORDS, key=len, reverse=True))})")


# What would be Markdown in a line, by the sections of https://spec.commonmark.org/0.31.2/, and of
# https://github.github.com/gfm/ for what is struck out and for addresses.
PUNCTUATION = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""
MARKDOWN = re.compile(
    # Thematic breaks, headings, fences, quotes, lists and definitions.
    r"^\s|^[-*_=](\s|[-*_=]|\Z)|^#{1,6}(\s|\Z)|^(`{3}|~{3})|^>|^[-+*](\s|\Z)"
    r"|^\d{1,9}[.)](\s|\Z)|^\[.+\]:"
    # Escapes, code, links.
    rf"|\\({PUNCTUATION}|\Z)|`|\]\("
    # Runs that open emphasis: left-flanking, and with `_` not right-flanking.
    r"|\*(?![\s*])|~(?![\s~])|(?<![A-Za-z0-9_])_+(?![\s_])"
    r"|(https?|ftp)://|www\.|[a-z0-9.+_-]@[a-z0-9_-]",
    re.IGNORECASE,
)


class Flowchart:
    """A flowchart that was read back.

    Attributes:
        title: The text of accTitle.
        frames: The titles of the subgraphs by their ids, with the ids of their nodes.
        nodes: The lines of each node by its id.
        classes: The class of each node that has one.
        links: Start, end and text of each link.
        styles: The names of the classes that are defined.
    """

    def __init__(self, text: str) -> None:
        self.title = ""
        self.frames: dict[str, tuple[str, list[str]]] = {}
        self.nodes: dict[str, list[str]] = {}
        self.classes: dict[str, str] = {}
        self.links: list[tuple[str, str, str]] = []
        self.styles: list[str] = []
        self._open: str | None = None
        head, *lines = encoded(text).splitlines()
        assert head == "flowchart LR"
        for line in lines:
            self._read(line.strip())
        assert self._open is None
        for start, end, _ in self.links:
            assert {start, end} <= {*self.nodes, *self.frames}
        for each in (*self.nodes, *self.frames, *self.classes.values(), *self.styles):
            assert BAD_ID.match(each) is None, each
        assert {*self.classes.values()} == {*self.styles}

    def _read(self, line: str) -> None:
        # `.*direction\s+TB[^\n]*` and so on: the whole line, whatever is before or behind it.
        if re.match(r".*direction\s+(TB|BT|RL|LR|TD)", line):
            assert line == "direction LR"
            assert self._open is not None
        # accTitle\s*":"\s* and then, to the end of the line, [^\n]*
        elif found := re.fullmatch(r"accTitle: ([^\n;#]+)", line):
            self.title = found[1]
        elif found := re.fullmatch(rf"subgraph ({ID})\[{STRING}\]", line):
            assert self._open is None
            self._open = found[1]
            self.frames[found[1]] = (decoded(found[2]), [])
        elif line == "end":
            assert self._open is not None
            self._open = None
        elif found := re.fullmatch(rf"({ID})\[{STRING}\](?::::({ID}))?", line):
            assert self._open is not None
            self.frames[self._open][1].append(found[1])
            self.nodes[found[1]] = [decoded(each) for each in found[2].split("<br/>")]
            if found[3]:
                self.classes[found[1]] = found[3]
        elif found := re.fullmatch(rf"({ID}) -->(?:\|{STRING}\|)? ({ID})", line):
            self.links.append((found[1], found[3], decoded(found[2] or "")))
        else:
            # stylesOpt: styles with commas between, of numbers, words, colons, spaces and #.
            found = re.fullmatch(rf"classDef ({ID}) ([a-z-]+:[#a-z0-9 ]+,?)+", line)
            assert found is not None, line
            self.styles.append(found[1])


def encoded(text: str) -> str:
    """Do to a diagram what `encodeEntities` does before it is parsed."""
    for word in ("style", "classDef"):
        text = re.sub(rf"{word}.*:\S*#.*;", lambda found: found[0][:-1], text)
    return re.sub(
        r"#(\w+);",
        lambda found: f"ﬂ°{'°' * found[1].isdecimal()}{found[1]}¶ß",
        text,
        flags=re.ASCII,
    )


def decoded(text: str) -> str:
    """Do to a label what `decodeEntities` and a browser do."""
    # What is left is not text, to HTML or to Markdown.
    assert not re.search(r"[<>&*`~\[\]|\\{}#;:@%'()=+^!]|\b_\W|\W_\b", text), text
    html_text = text.replace("ﬂ°°", "&#").replace("ﬂ°", "&").replace("¶ß", ";")
    shown = html.unescape(html_text)
    # `hasKatex` and `lineBreakRegex` of common.ts look at what is shown, and so does marked.
    assert not re.search(r"\$\$.*\$\$|\\n", shown)
    assert not MARKDOWN.search(shown), shown
    # Neither is printable, so that no text has them.
    return re.sub("[\u200a\u200b]", "", shown).replace("\u02cb", "`")


def cluster_of(path: Path) -> Cluster:
    return require(load(path), load_catalog(path.parent))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_flowchart_has_all_of_the_spec(path: Path) -> None:
    cluster = cluster_of(path)
    spec = cluster.spec
    read = Flowchart(to_mermaid(graph_of(cluster)))
    assert read.title == f"Deployment {spec.name} in {spec.region}"
    titles = {
        group: [read.nodes[each][0] for each in members]
        for group, (_, members) in read.frames.items()
    }
    assert titles.get("jobs", []) == sorted(spec.jobs)
    assert titles["queues"] == sorted(spec.queues)
    assert titles["environments"][: len(spec.environments)] == sorted(spec.environments)
    names = {each: lines[0] for each, lines in read.nodes.items()}
    links = {(names.get(start, start), names.get(end, end)) for start, end, _ in read.links}
    members = {group: {*ids} for group, (_, ids) in read.frames.items()}
    for name, job in spec.jobs.items():
        assert (name, job.queue) in links
    for name, queue in spec.queues.items():
        for environment in queue.environments:
            assert (name, environment) in links
    # Each environment starts from one AMI, and each AMI that is drawn is needed.
    images = [(start, end) for start, end, _ in read.links if end in members["amis"]]
    assert len(images) == len(spec.environments)
    assert {end for _, end in images} == members["amis"]
    for resolved in cluster.environments:
        [lines] = [
            read.nodes[each]
            for each in read.frames["environments"][1]
            if names[each] == resolved.name
        ]
        assert resolved.instance.name in lines[1]
        assert f"{resolved.spec.min_nodes} to {resolved.spec.max_nodes} node" in lines[2]
    assert titles["storage"][0] == "EFS"
    assert ("FSx for Lustre" in titles["storage"]) == (spec.storage.fsx is not None)
    assert ("SNS topic" in titles.get("messages", [])) == (spec.notify is not None)
    assert ("Budget" in titles.get("messages", [])) == (spec.budget is not None)
    nat = spec.network.vpc == "new" and spec.network.nat is not False
    assert ("NAT gateway" in titles["network"]) == nat
    assert ("environments", "storage", "mount") in read.links


def test_the_smallest_example_as_it_is_written() -> None:
    [path] = [each for each in SPECS if each.stem == "minimal"]
    assert to_mermaid(graph_of(cluster_of(path))) == (
        "flowchart LR\n"
        "  accTitle: Deployment minimal in us-east-1\n"
        '  subgraph jobs["Jobs"]\n'
        '    n0["hello<br/>2 nodes, 24 vCPUs each"]\n'
        "  end\n"
        '  subgraph queues["Job queues"]\n'
        '    n1["mpi<br/>priority 1"]\n'
        "  end\n"
        '  subgraph environments["Compute environments"]\n'
        '    n2["r5-24<br/>r5.12xlarge<br/>0 to 4 nodes<br/>placement group r5-24"]\n'
        "  end\n"
        '  subgraph amis["AMIs"]\n'
        '    n3["r5.12xlarge<br/>x86_64, 24 CPUs"]\n'
        "  end\n"
        '  subgraph containers["Container image, roles, logs"]\n'
        "    direction LR\n"
        '    n4["Container image<br/>ECR minimal/mpi<br/>tag v1"]\n'
        '    n5["IAM roles<br/>for instances, jobs"]\n'
        '    n6["Log group<br/>/mngen/minimal/jobs<br/>kept 90 days"]\n'
        "  end\n"
        '  subgraph storage["Storage"]\n'
        "    direction LR\n"
        '    n7["EFS<br/>at /efs"]\n'
        "  end\n"
        '  subgraph network["Network"]\n'
        "    direction LR\n"
        '    n8["VPC<br/>default<br/>existing"]:::existing\n'
        '    n9["VPC endpoints<br/>S3 gateway"]\n'
        "  end\n"
        "  n0 --> n1\n"
        "  n1 --> n2\n"
        "  n2 --> n3\n"
        '  jobs -->|"use"| containers\n'
        '  environments -->|"mount"| storage\n'
        '  environments -->|"in"| network\n'
        "  classDef existing stroke-dasharray:4 2\n"
    )


@pytest.mark.parametrize("choice", pairwise(), ids=lambda choice: choice["machines"])
def test_every_feature_is_a_sound_flowchart(choice: dict[str, str]) -> None:
    graph = graph_of(to_cluster(make_spec(choice)))
    text = to_mermaid(graph)
    read = Flowchart(text)
    assert len(read.nodes) == len(graph.nodes)
    assert next(mermaid_texts(graph)) == text == to_mermaid(graph)


NASTY = (
    *("end", "class", "style: x#y;", "classDef a:#b;", "direction TB", "direction  LR", "call a()"),
    *('"`*b*`"', "#quot;", "#35;", "<img onerror=alert(1)>", "&amp;", "]:::add", "n0 --> n1"),
    *("%%{init: {}}%%", "%% no", "---", "\\n", "__init__", "a_b", "1. one", "a@{shape: x}", "||"),
    *("(-", "{{", "~~~", "click n0 href", "é中🧪", "\x1b[2J\x00", "lifestyle: #1;", "ﬂ°°35¶ß"),
)
# What mermaid 11.9.0 shows as "Unsupported markdown", or without its marks.
MARKDOWN_TEXTS = (
    *(
        "www.registry.example/a/b:v1",
        "see WWW.a.example",
        "http://x.example/y",
        "HTTPS://x.example",
    ),
    *(
        "ftp://a.example",
        "a@b.co",
        "mailto:a.b@c.de",
        "[a](b)",
        "![a](b)",
        "[x]: y",
        "<http://x.de>",
    ),
    *("__x__", "_x_", "_a_b_", "(_x_)", "-_x_-", "*x*", "**x**", "a*b*c", "/*", "~x~", "~~x~~"),
    *(
        "`x`",
        "``x``",
        "```",
        "\\*a\\*",
        "a\\",
        "# one",
        "#",
        "> q",
        "- a",
        "+ a",
        "* a",
        "-",
        "***",
    ),
    *("1) one", "12. a", "1.", "===", "- [ ] a", "    code", "| a | b |"),
)


def one(*lines: str) -> Graph:
    nodes = (Node(kind=Kind.JOB, name=lines[0], lines=lines[1:]),)
    return Graph(title="Deployment x in y", nodes=nodes, edges=())


@pytest.mark.parametrize("text", [*NASTY, *FRAGMENTS])
def test_nothing_in_a_box_is_grammar_or_markup(text: str) -> None:
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text)
    read = Flowchart(to_mermaid(one("a" + text, "b" + text, "k: " + text)))
    assert read.nodes == {"n0": ["a" + shown, "b" + shown, "k: " + shown]}


@pytest.mark.parametrize("text", MARKDOWN_TEXTS)
def test_nothing_in_a_box_is_markdown(text: str) -> None:
    lines = (text, f"a {text}", f"{text} b", text)
    assert Flowchart(to_mermaid(one(*lines))).nodes == {"n0": [*lines]}


def test_names_of_aws_and_of_images_are_as_they_are() -> None:
    names = ("registry.example/a_b/c-d:v1.2", "/mngen/few/jobs", "10.0.0.0/16", "2 nodes, Spot")
    text = to_mermaid(one("a", *names))
    assert not re.search("#(8203|8202);", text)


@given(texts(min_size=1))
def test_nothing_in_any_box_is_grammar_or_markup(text: str) -> None:
    read = Flowchart(to_mermaid(one("direction", "direction " + text)))
    [lines] = read.nodes.values()
    assert lines[0] == "direction"
    assert lines[1].startswith("direction ")


def test_long_names_are_cut_in_their_middle() -> None:
    names = [f"{'x' * 60}-{number}" for number in (1, 2)]
    nodes = tuple(Node(kind=Kind.JOB, name=name) for name in names)
    read = Flowchart(to_mermaid(Graph(title="t", nodes=nodes, edges=())))
    [first], [second] = read.nodes.values()
    assert len(first) == len(second) == 32
    assert first != second
    assert (first[0], first[-2:]) == ("x", "-1")
    # Mermaid wraps lines at spaces.
    line = "12 resources will be destroyed"
    assert Flowchart(to_mermaid(one("a", line, "b " * 60))).nodes["n0"][1] == line


def many(jobs: int, queues: int) -> Graph:
    """Return a graph of so many jobs with long names in so many queues and environments."""
    lines = ("y" * 40,) * (3 if queues == 1 else 0)
    nodes = [
        *(
            Node(kind=Kind.JOB, name=f"job-{number:04}-{'x' * 40}", lines=lines)
            for number in range(jobs)
        ),
        *(Node(kind=Kind.QUEUE, name=f"q{number}") for number in range(queues)),
        *(Node(kind=Kind.ENVIRONMENT, name=f"e{number}") for number in range(queues)),
    ]
    edges = [
        *(
            Edge((Kind.JOB, nodes[number].name), (Kind.QUEUE, f"q{number % queues}"))
            for number in range(jobs)
        ),
        *(
            Edge((Kind.QUEUE, f"q{number}"), (Kind.ENVIRONMENT, f"e{other % queues}"))
            for number in range(queues)
            for other in range(number, number + 3)
        ),
        Edge(Group.ENVIRONMENTS, Group.STORAGE, "mount"),
    ]
    nodes.append(Node(kind=Kind.EFS))
    return Graph(title="t", nodes=tuple(nodes), edges=tuple(edges))


@pytest.mark.parametrize(
    ("jobs", "queues", "boxes", "links"),
    [
        # 500 links are allowed, one more job is one too many.
        (481, 6, 481 + 6 + 6 + 1, 481 + 18 + 1),
        (482, 6, 6 + 6 + 6 + 1, 6 + 18 + 1),
        # As many jobs would be too much text.
        (490, 1, 1 + 1 + 1 + 1, 3),
        # Queues and environments that are too many are folded, too.
        (900, 180, 4, 3),
    ],
)
def test_what_is_too_large_for_mermaid_is_folded(
    jobs: int, queues: int, boxes: int, links: int
) -> None:
    text = next(mermaid_texts(many(jobs, queues)))
    read = Flowchart(text)
    assert len(text) <= MAX_TEXT_SIZE
    assert len(read.links) <= MAX_EDGES
    assert (len(read.nodes), len(read.links)) == (boxes, links)
    folded = [lines[0] for lines in read.nodes.values() if " jobs: " in lines[0]]
    if boxes < jobs:
        assert sum(int(each.split()[0]) for each in folded) == jobs


@pytest.mark.parametrize(
    ("jobs", "queues", "boxes"),
    [
        (55, 2, 55 + 2 + 2 + 1),
        # One job more, and the other jobs of each queue are one box.
        (56, 2, 2 + 2 + 2 + 2 + 1),
        # Queues and environments that are too many are folded, too.
        (120, 40, 2 + 2 + 1 + 1),
    ],
)
def test_what_a_plan_leaves_as_it_is_is_folded_first(jobs: int, queues: int, boxes: int) -> None:
    graph = many(jobs, queues)
    changed = (3, jobs + 1) if jobs == 120 else (0, 7)
    nodes = list(graph.nodes)
    for number in changed:
        nodes[number] = replace(nodes[number], mark=Mark.CHANGE)
    graph = Graph(title="t", nodes=tuple(nodes), edges=graph.edges)
    text, *others = mermaid_texts(graph)
    read = Flowchart(text)
    assert len(read.nodes) == boxes
    whole = [lines for lines in read.nodes.values() if lines[-1] == "will be changed"]
    assert len(whole) == 2
    assert not any(" jobs: " in lines[0] for lines in whole)
    named = {lines[0] for lines in read.nodes.values()}
    assert {nodes[number].name for number in changed if number >= jobs} <= named
    # Each has fewer boxes than the one before.
    sizes = [len(Flowchart(each).nodes) for each in (text, *others)]
    assert sizes == sorted({*sizes}, reverse=True)
    # Without a plan, all are drawn.
    assert len(Flowchart(next(mermaid_texts(many(jobs, queues)))).nodes) == len(nodes)


def test_what_is_folded_says_what_happens_to_how_many() -> None:
    marks = [Mark.ADD, Mark.ADD, None, Mark.DESTROY]
    nodes = tuple(
        Node(kind=Kind.JOB, name=f"job-{number}", mark=mark) for number, mark in enumerate(marks)
    )
    queue = Node(kind=Kind.QUEUE, name="q")
    edges = tuple(Edge(node.key, queue.key) for node in nodes)
    graph = Graph(title="t", nodes=(*nodes, queue), edges=edges)
    # All but one are changed, so that they are folded last.
    *_, folded = mermaid_texts(graph)
    read = Flowchart(folded)
    assert read.nodes["n0"] == ["4 jobs: job-0, …", "1 will be destroyed", "2 will be added"]
    assert read.classes["n0"] == "change"
