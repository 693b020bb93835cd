"""What the rules say of node groups: of their ranges, and of what each group has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.catalog import load_catalog
from mngen.rules import check
from mngen.spec import load_text

if TYPE_CHECKING:
    from mngen.errors import Problem

SPEC = """\
name: seismic
region: us-east-1
network: {vpc: vpc-01234567, subnets: [subnet-01234567]}
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  coupled:
    queue: mpi
    nodes: 9
"""


def problems(groups: str, *, job: str = "    command: [hostname]\n") -> list[Problem]:
    return check(load_text(f"{SPEC}{job}    groups:\n{groups}".encode()), load_catalog())


def group(name: str, nodes: str, keys: str = "") -> str:
    return f'      {name}: {{nodes: "{nodes}"{keys}}}\n'


@pytest.mark.parametrize(
    ("ranges", "line", "message"),
    [
        (["0:"], None, ""),
        (["0:8"], None, ""),
        (["4:", "0:0", "1:3"], None, ""),
        (["0:9"], 14, "there is no node 9: the nodes of the job are 0 to 8"),
        (["0:3", "12:"], 15, "there is no node 12: the nodes of the job are 0 to 8"),
        (["0:3", "8:4"], 15, "the range ends at node 4, before it starts at node 8"),
        # Batch takes nested ranges, of which the inner one counts.
        (["0:", "4:5"], 15, "the nodes 4 to 5 are already in `g0`"),
        (["0:4", "4:"], 15, "node 4 is already in `g0`"),
        (["1:"], 14, "node 0 is in no node group"),
        (["5:", "0:2"], 14, "the nodes 3 to 4 are in no node group"),
        (["0:2", "3:6"], 15, "the nodes 7 to 8 are in no node group"),
    ],
)
def test_every_node_is_in_one_group(ranges: list[str], line: int | None, message: str) -> None:
    found = problems("".join(group(f"g{number}", each) for number, each in enumerate(ranges)))
    assert [(each.rule, each.message) for each in found] == ([("MN418", message)] if line else [])
    for each in found:
        assert each.position is not None
        assert each.position.line == line


def test_nodes_at_the_end_can_have_a_group_more() -> None:
    [found] = problems(group("all", "0:6"))
    assert found.hint == 'end this range with node 8, or add a group with nodes: "7:"'


def test_yaml_would_read_a_range_as_a_number() -> None:
    """YAML 1.1 counts 1:8 as 68: https://yaml.org/type/int.html."""
    [found] = problems("      all: {nodes: 1:8}\n")
    assert "must be a node range in quotes" in found.message
    assert found.hint == "put it in quotes, so that YAML leaves it as text"


def test_batch_takes_five() -> None:
    six = "".join(group(f"g{number}", f"{number}:{number}") for number in range(6))
    assert [each.message for each in problems(six)] == [
        "`groups` has 6 entries; at most 5 are allowed"
    ]


@pytest.mark.parametrize(
    ("keys", "rule", "pointed"),
    [
        (", vcpus: 99", "MN147", "99"),
        (", memory: 99999999", "MN148", "9999"),
        (", gpus: 1", "MN410", "1}"),
        (', command: [""]', "MN152", '""'),
        (', environment: {"A=B": c}', "MN153", '"A=B'),
        (", environment: {AWS_BATCH_X: c}", "MN154", "AWS"),
        (", environment: {MNGEN_WAITS: c}", "MN199", "MNGEN"),
        (", ranks_per_node: 25", "MN198", "25"),
        (", image: https://quay.io/x:1", "MN158", "https"),
        (", image: quay.io/me/app", "MN159", "quay"),
    ],
)
def test_what_a_group_has_is_judged_as_that_of_a_job(keys: str, rule: str, pointed: str) -> None:
    line = group("g", "0:", keys)
    [found] = problems(line)
    assert found.rule == rule
    assert found.position is not None
    assert (found.position.line, found.position.column) == (14, line.index(pointed) + 1)
    assert found.path.startswith("jobs.coupled.groups.g.")


def test_what_is_wrong_with_the_job_is_said_once() -> None:
    found = problems(
        group("first", "0:0") + group("rest", "1:", ", environment: {B: c}"),
        job="    command: [hostname]\n    vcpus: 99\n    environment: {MNGEN_WAITS: '1'}\n",
    )
    assert [(each.rule, each.path) for each in found] == [
        ("MN147", "jobs.coupled.vcpus"),
        ("MN199", "jobs.coupled.environment.MNGEN_WAITS"),
    ]


def test_a_job_needs_no_command_where_each_group_has_one() -> None:
    both = group("first", "0:0", ", command: [a]") + group("rest", "1:", ", command: [b]")
    assert problems(both, job="") == []
    [found] = problems(group("first", "0:0", ", command: [a]") + group("rest", "1:"), job="")
    assert found.message == "`coupled` lacks the key `command`"
    assert found.position is not None
    assert found.position.line == 9


def test_all_commands_together_must_fit_the_definition() -> None:
    long = f', command: [echo, "{"#" * 13_000}"]'
    assert problems(group("first", "0:0", long) + group("rest", "1:")) == []
    [found] = problems(group("first", "0:0", long) + group("rest", "1:", long))
    assert found.rule == "MN157"
