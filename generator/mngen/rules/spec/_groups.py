"""Rules about the node groups of a job."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from mngen.cluster import KEY_VARIABLES, key_variables
from mngen.rules._rule import Match
from mngen.rules.spec._contents import DEFINITIONS
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Job, Path

_RANGES = (
    "aws batch describe-job-definitions --status ACTIVE "
    "--query 'jobDefinitions[].nodeProperties.nodeRangeProperties[].targetNodes'"
)


class GroupsHaveAllNodes(SpecRule):
    id = "MN418"
    title = "Node groups must have all nodes of the job, each once"
    why = (
        "AWS Batch rejects node ranges that leave out a node or name one that the job does not "
        "have. Where two ranges share a node, one of them silently counts for nothing there."
    )
    remedy = 'write the ranges so that each starts where the one before ends: "0:0", "1:4", "5:"'
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_NodeRangeProperty.html"
    manual_test = _RANGES
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  coupled:
    queue: mpi
    nodes: 9
    groups:
      coupler: {nodes: "0:0", command: [/opt/coupler]}
      ocean: {nodes: "2:", command: [/opt/ocean]}  #! "2:"
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  coupled:
    queue: mpi
    nodes: 9
    groups:
      coupler: {nodes: "0:0", command: [/opt/coupler]}
      ocean: {nodes: "1:", command: [/opt/ocean]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            if job.spec.nodes is not None and job.spec.groups:
                yield from _faults(job.name, job.spec, job.spec.nodes)


def _faults(name: str, job: Job, nodes: int) -> Iterator[Match]:
    """Yields what is wrong with the ranges of a job's node groups."""
    bounds = {group: each.bounds(nodes) for group, each in job.groups.items()}
    wrong = False
    for group, (first, last) in bounds.items():
        path = ("jobs", name, "groups", group, "nodes")
        if max(first, last) >= nodes:
            wrong = True
            yield Match(
                path,
                f"there is no node {max(first, last)}: the nodes of the job are 0 to {nodes - 1}",
            )
        elif first > last:
            wrong = True
            yield Match(path, f"the range ends at node {last}, before it starts at node {first}")
    if wrong:
        return
    free, before = 0, ""
    for group, (first, last) in sorted(bounds.items(), key=lambda each: each[1]):
        path = ("jobs", name, "groups", group, "nodes")
        if first < free:
            yield Match(path, f"{_nodes(first, min(last, free - 1))} already in `{before}`")
        elif first > free:
            yield Match(path, f"{_nodes(free, first - 1)} in no node group")
        if last >= free:
            free, before = last + 1, group
    if free < nodes:
        yield Match(
            ("jobs", name, "groups", before, "nodes"),
            f"{_nodes(free, nodes - 1)} in no node group",
            f'end this range with node {nodes - 1}, or add a group with nodes: "{free}:"',
        )


def _nodes(first: int, last: int) -> str:
    return f"node {first} is" if first == last else f"the nodes {first} to {last} are"


class GroupsOfManyNodes(SpecRule):
    id = "MN419"
    title = "A job with node groups must have `nodes`"
    why = (
        "A single-node job has one container: AWS Batch has node ranges for multi-node jobs alone."
    )
    remedy = "add `nodes`, or remove `groups`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-node-groups.html"
    manual_test = _RANGES
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  coupled:
    queue: mpi
    groups:  #! groups
      coupler: {nodes: "0:0", command: [/opt/coupler]}
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  coupled:
    queue: mpi
    nodes: 1
    groups:
      coupler: {nodes: "0:0", command: [/opt/coupler]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            if job.groups and job.nodes is None and ("jobs", name, "nodes") not in subject.dropped:
                yield Match(
                    ("jobs", name, "groups"), "node groups of a job without `nodes`", key=True
                )


class RanksHaveNodesEnvironment(SpecRule):
    id = "MN421"
    title = "Hydra must not give the main node's environment to node groups"
    why = (
        "With -genvall, a rank has the variables of the main node in place of those of its "
        "container. It does not find the command of its node group, and fails at once."
    )
    remedy = "remove the option: each rank has its container's environment"
    source_url = "https://github.com/pmodels/mpich/blob/main/doc/wiki/how_to/Using_the_Hydra_Process_Manager.md"
    manual_test = DEFINITIONS.format("environment")
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  coupled:
    queue: mpi
    nodes: 2
    launcher: mpich
    mpi_args: [-genvall]  #! -genvall
    groups:
      ocean: {nodes: "0:0", command: [/opt/ocean]}
      atmosphere: {nodes: "1:", command: [/opt/atmosphere]}
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  coupled:
    queue: mpi
    nodes: 2
    launcher: mpich
    groups:
      ocean: {nodes: "0:0", command: [/opt/ocean]}
      atmosphere: {nodes: "1:", command: [/opt/atmosphere]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            if not job.groups:
                continue
            # Only the main node, which is the first, starts Hydra.
            group, part = next(iter(job.parts.items()))
            variables = key_variables(part) | part.environment
            if variables.get(KEY_VARIABLES["launcher"], "").strip() not in ("mpich", "intelmpi"):
                continue
            for place, word in _mpi_args(part):
                if word.lstrip("-") in ("genvall", "envall"):
                    own = group is not None and place[-1] in job.groups[group].environment
                    yield Match(
                        ("jobs", name, *(("groups", group) if own else ()), *place),
                        f"with {word}, no rank finds the command of its node group",
                    )


def _mpi_args(part: Job) -> Iterator[tuple[Path, str]]:
    """Yields the words that a part of a job gives to mpirun, with their places in it.

    A variable has precedence over the key.
    """
    variable = KEY_VARIABLES["mpi_args"]
    if variable not in part.environment:
        for number, word in enumerate(part.mpi_args):
            yield ("mpi_args", number), word
        return
    # The wire-up reports a variable that no shell could split.
    with suppress(ValueError):
        for word in shlex.split(part.environment[variable]):
            yield ("environment", variable), word
