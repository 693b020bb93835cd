"""What the boxes of a deployment's picture say, against the spec that they are made from.

Node ranges are those of AWS Batch, `targetNodes` of
https://docs.aws.amazon.com/batch/latest/APIReference/API_NodeRangeProperty.html: from 0, both ends
included.
"""

from __future__ import annotations

import re

import pytest

from mngen.catalog import load_catalog
from mngen.graph import Graph, Kind, Mark, Node, graph_of, to_mermaid, to_svg
from mngen.rules import require
from mngen.spec import load_text

HEAD = """\
name: lab
region: us-east-1
environments:
  mpi: {instance: p4d.24xlarge, max_nodes: 8, scratch: /scratch}
  plain: {instance: c5.18xlarge, max_nodes: 4}
queues:
  mpi: {environments: [mpi]}
  plain: {environments: [plain]}
jobs:
"""


def boxes(text: str) -> dict[str, Node]:
    cluster = require(load_text(text.encode()), load_catalog())
    return {node.name: node for node in graph_of(cluster).nodes}


def group(name: str, nodes: str, more: str = "") -> str:
    return f'      {name}: {{nodes: "{nodes}", command: [run]{more}}}\n'


@pytest.mark.parametrize(
    ("nodes", "groups", "lines"),
    [
        (1, "", ("1 node, 8 vCPUs and 2 GPUs",)),
        (4, "", ("4 nodes, 8 vCPUs and 2 GPUs each",)),
        (
            4,
            group("one", "0:0", ", memory: 1024") + group("rest", "1:"),
            ("4 nodes, 8 vCPUs and 2 GPUs each", "node groups one, rest"),
        ),
        (
            4,
            group("one", "0:0", ", vcpus: 2, gpus: 0") + group("rest", "1:"),
            ("4 nodes", "one (0:0): 2 vCPUs", "rest (1:3): 8 vCPUs, 2 GPUs"),
        ),
        (
            4,
            group("one", "0:0", ", gpus: 1") + group("rest", "1:"),
            ("4 nodes", "one (0:0): 8 vCPUs, 1 GPU", "rest (1:3): 8 vCPUs, 2 GPUs"),
        ),
        (
            5,
            "".join(
                group(f"g{number}", f"{number}:{number}", f", vcpus: {number + 1}")
                for number in range(4)
            )
            + group("rest", "4:"),
            ("5 nodes, 1 to 8 vCPUs, 2 GPUs each", "node groups g0, g1, g2, 2 more"),
        ),
        (
            4,
            "".join(
                group(f"g{number}", f"{number}:{number}", f", gpus: {number}")
                for number in range(4)
            ),
            ("4 nodes, 8 vCPUs each, 0 to 3 GPUs", "node groups g0, g1, g2, 1 more"),
        ),
    ],
    ids=["one", "same", "same groups", "two sizes", "GPUs", "vCPUs of many", "GPUs of many"],
)
def test_a_size_is_that_of_each_node_that_it_is_said_of(
    nodes: int, groups: str, lines: tuple[str, ...]
) -> None:
    job = f"  solve:\n    queue: mpi\n    nodes: {nodes}\n    command: [run]\n    vcpus: 8\n"
    job += "    gpus: 2\n" + (f"    groups:\n{groups}" if groups else "")
    assert boxes(HEAD + job)["solve"].lines == lines


def test_images_of_node_groups_are_beside_that_of_the_job() -> None:
    job = "  solve:\n    queue: mpi\n    nodes: 2\n    image: docker.io/lab/all:v1\n    groups:\n"
    own = [f", image: 'docker.io/lab/{name}:v1'" for name in ("first", "second")]
    one = job + group("one", "0:0", own[0]) + group("two", "1:")
    both = job + group("one", "0:0", own[0]) + group("two", "1:", own[1])
    assert boxes(HEAD + one)["solve"].lines[2:] == (
        "docker.io/lab/all:v1",
        "one: docker.io/lab/first:v1",
    )
    # No node has that of the job.
    assert boxes(HEAD + both)["solve"].lines[2:] == (
        "one: docker.io/lab/first:v1",
        "two: docker.io/lab/second:v1",
    )


def test_scratch_space_is_in_the_box_of_its_environment() -> None:
    found = boxes(HEAD + "  solve: {queue: mpi, nodes: 1, command: [run]}\n")
    assert "scratch at /scratch" in found["mpi"].lines
    assert not any("scratch" in line for line in found["plain"].lines)


def test_an_existing_environment_is_called_so() -> None:
    node = Node(kind=Kind.LEGACY, name="old", existing=True)
    assert node.text == ("old", "existing")
    marked = Node(kind=Kind.LEGACY, name="old", existing=True, mark=Mark.CHANGE)
    assert marked.text == ("old", "existing", "will be changed")


@pytest.mark.parametrize("line", ["capacity reservation cr-0123456789abcdef0", "fs-0123abcd"])
def test_an_id_of_aws_stays_whole(line: str) -> None:
    identifier = line.rsplit(maxsplit=1)[-1]
    long = Node(kind=Kind.JOB, name="j", lines=(line, f"{'x' * 80} {identifier}", "y" * 80))
    graph = Graph(title="t", nodes=(long,), edges=())
    for text in (to_mermaid(graph), to_svg(graph)):
        assert "…" in text or "#8230;" in text
        shown = re.sub("<title>.*?</title>", "", text)
        assert shown.count(identifier) == 2
