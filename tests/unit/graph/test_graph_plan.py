"""Graphs of plans: each change is at its node, with its mark in colour and in words.

The addresses are those of the golden trees, and the actions those of Terraform's plan as JSON:
https://developer.hashicorp.com/terraform/internals/json-format
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from mngen.catalog import load_catalog
from mngen.graph import Graph, Kind, Mark, Node, graph_of, planned_graph, to_mermaid
from mngen.rules import require
from mngen.spec import load_text, written
from mngen.terraform import Plan, summarise
from tests.support.golden import GOLDEN, SPECS
from tests.unit.graph.test_graph_mermaid import Flowchart, cluster_of

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.cluster import Cluster

BEFORE = """\
name: lab
region: us-east-1
environments:
  mpi: {instance: r5.24xlarge, max_nodes: 4}
  old: {instance: r5.24xlarge, max_nodes: 4}
queues:
  mpi: {environments: [mpi]}
  old: {environments: [old]}
jobs:
  solve: {queue: mpi, nodes: 2, command: [hostname]}
  mesh: {queue: old, nodes: 1, command: [hostname]}
  same: {queue: mpi, nodes: 1, command: [hostname]}
"""
AFTER = """\
name: lab
region: us-east-1
environments:
  mpi: {instance: r5.24xlarge, max_nodes: 8}
  new: {instance: c5.18xlarge, max_nodes: 4}
queues:
  mpi: {environments: [mpi], shares: {}}
  new: {environments: [new]}
jobs:
  solve: {queue: mpi, nodes: 4, command: [hostname]}
  same: {queue: mpi, nodes: 1, command: [hostname]}
  post: {queue: new, nodes: 1, command: [hostname]}
budget: {monthly: 100, emails: [lab@example.org]}
"""
ENVIRONMENT = "module.environment_{}[0].aws_batch_compute_environment.this"
QUEUE = "module.queue_{}[0].aws_batch_job_queue.this"
JOB = "module.job_{}.aws_batch_job_definition.this"


def cluster(text: str) -> Cluster:
    return require(load_text(text.encode()), load_catalog())


def changed(address: str, *actions: str, **more: Any) -> dict[str, Any]:
    kind = re.split(r"\.(?![^\[]*\])", address)[-2]
    change = {"actions": list(actions), "before": {}, "after": {}}
    return {"address": address, "mode": "managed", "type": kind, "change": change, **more}


def planned(
    *resources: dict[str, Any], before: str | None = BEFORE, after: str = AFTER, known: bool = True
) -> Graph:
    """Return the graph of a plan; of an unknown record, it has a former spec and no cluster."""
    record = written(cluster(before).spec) if before else None
    data = {
        "resource_changes": list(resources),
        "output_changes": {"spec": {"actions": ["update"], "before": record, "after": {}}},
    }
    plan = Plan(summarise(data), is_destroy=False, has_changes=True, descriptor=-1, data=data)
    return planned_graph(plan, cluster(after), cluster(before) if before and known else None)


def marks(graph: Graph) -> dict[str, tuple[Mark | None, tuple[str, ...]]]:
    return {
        f"{node.kind} {node.name}".strip(): (node.mark, node.words)
        for node in graph.nodes
        if node.mark
    }


STANDING = (
    *(changed(QUEUE.format(name), "no-op") for name in ("mpi", "new")),
    *(changed(ENVIRONMENT.format(name), "no-op") for name in ("mpi", "new")),
)


def test_each_change_is_at_its_node() -> None:
    graph = planned(
        changed(ENVIRONMENT.format("mpi"), "update"),
        changed("module.environment_mpi[0].aws_launch_template.this", "update"),
        changed(ENVIRONMENT.format("old"), "delete"),
        changed("module.environment_old[0].aws_launch_template.this", "delete"),
        changed("aws_placement_group.group_old", "delete"),
        changed("aws_placement_group.group_new", "create"),
        changed(QUEUE.format("mpi"), "delete", "create"),
        changed("module.queue_mpi[0].aws_batch_scheduling_policy.this[0]", "create"),
        changed(QUEUE.format("old"), "delete"),
        changed(JOB.format("solve"), "update"),
        changed(JOB.format("mesh"), "delete"),
        changed(JOB.format("same"), "no-op"),
        changed(JOB.format("post"), "create"),
        changed("aws_budgets_budget.this", "create"),
        changed('aws_s3_bucket.own["a.b"]', "create"),
        changed("module.own.aws_s3_bucket.this", "delete"),
    )
    assert marks(graph) == {
        "compute environment mpi": (Mark.CHANGE, ("will be changed",)),
        "compute environment old": (Mark.DESTROY, ("will be destroyed",)),
        # Its placement group is created, and it is not, before its AMI is baked.
        "compute environment new": (Mark.WAIT, ("waits for its AMI", "1 resource will be added")),
        "job queue mpi": (Mark.REPLACE, ("will be replaced",)),
        "job queue old": (Mark.DESTROY, ("will be destroyed",)),
        "job queue new": (Mark.WAIT, ("waits for an environment",)),
        "job solve": (Mark.CHANGE, ("will be changed",)),
        "job mesh": (Mark.DESTROY, ("will be destroyed",)),
        "job post": (Mark.ADD, ("will be added",)),
        "Budget": (Mark.ADD, ("will be added",)),
        "Other resources": (
            Mark.CHANGE,
            ("1 resource will be destroyed", "1 resource will be added"),
        ),
    }
    read = Flowchart(to_mermaid(graph))
    names = {each: lines[0] for each, lines in read.nodes.items()}
    shown = {(names[start], names[end]) for start, end, _ in read.links if start in names}
    # What is destroyed is where it was.
    assert {("mesh", "old"), ("old", "old"), ("solve", "mpi"), ("post", "new")} <= shown
    for key, lines in read.nodes.items():
        classed = read.classes.get(key)
        words = [line for line in lines if line.startswith(("will be", "waits", "1 resource"))]
        assert bool(words) == (classed not in (None, "existing")), lines


@pytest.mark.parametrize(
    ("before", "known", "mark"),
    [(None, True, Mark.ADD), (BEFORE, True, Mark.CHANGE), (BEFORE, False, Mark.CHANGE)],
    ids=["first apply", "known", "unknown record"],
)
def test_what_is_new_is_known_from_the_record(before: str | None, known: bool, mark: Mark) -> None:
    graph = planned(
        changed("module.identity.aws_iam_role.job", "create"),
        changed("module.network.aws_security_group.nodes", "create"),
        *STANDING,
        before=before,
        known=known,
    )
    found = marks(graph)
    assert found["IAM roles"][0] is mark
    # An existing VPC is never new: the deployment has something in it.
    assert found["VPC default"] == (Mark.CHANGE, ("1 resource will be added",))
    assert graph.nodes[-1].kind is not Kind.OTHER


def test_what_an_interrupted_replacement_left_is_no_end() -> None:
    left = changed(JOB.format("solve"), "delete", deposed="a1b2c3d4")
    found = marks(planned(left, changed(JOB.format("solve"), "no-op"), *STANDING))
    assert found == {"job solve": (Mark.CHANGE, ("will be changed",))}
    # Without a record of the job, its node is what the address has.
    gone = marks(planned(changed(JOB.format("lost"), "delete"), *STANDING, known=False))
    assert gone == {"job lost": (Mark.DESTROY, ("will be destroyed",))}


def test_a_file_system_that_gives_way_to_an_existing_one_is_shown_beside_it() -> None:
    existing = AFTER + "storage: {efs: {id: fs-0123456789abcdef0}}\n"
    graph = planned(
        changed("module.storage.aws_efs_file_system.this[0]", "delete"),
        changed('module.storage.aws_efs_mount_target.this["us-east-1a"]', "delete"),
        changed("module.storage.aws_vpc_security_group_egress_rule.nfs[0]", "create"),
        *STANDING,
        after=existing,
    )
    assert marks(graph) == {
        "EFS": (Mark.DESTROY, ("will be destroyed",)),
        "EFS fs-0123456789abcdef0": (Mark.CHANGE, ("1 resource will be added",)),
    }


def test_an_existing_file_system_that_is_no_longer_used_is_not_destroyed() -> None:
    existing = BEFORE + "storage: {efs: {id: fs-0123456789abcdef0}}\n"
    graph = planned(
        changed("module.storage.aws_efs_file_system.this", "create"),
        changed("module.storage.aws_vpc_security_group_egress_rule.nfs[0]", "delete"),
        *STANDING,
        before=existing,
    )
    assert marks(graph) == {
        "EFS": (Mark.ADD, ("will be added",)),
        "EFS fs-0123456789abcdef0": (Mark.CHANGE, ("1 resource will be destroyed",)),
    }


def test_parts_of_a_topic_that_gives_way_are_not_of_the_existing_one() -> None:
    notify = "notify: {{events: [failed], {}}}\n"
    before = BEFORE + notify.format("emails: [lab@example.org]")
    after = AFTER + notify.format("topic: 'arn:aws:sns:us-east-1:123456789012:lab'")
    changes = (
        changed("module.notify.aws_sns_topic_policy.this[0]", "delete"),
        changed('module.notify.aws_sns_topic_subscription.emails["lab@example.org"]', "delete"),
        changed("module.notify.aws_cloudwatch_event_target.jobs", "update"),
        *STANDING,
    )
    topic = changed("module.notify.aws_sns_topic.this[0]", "delete")
    graph = planned(topic, *changes, before=before, after=after)
    assert marks(graph) == {
        "SNS topic": (Mark.DESTROY, ("will be destroyed",)),
        # The topic itself stays as it is.
        "SNS topic lab": (Mark.CHANGE, ("1 resource will be changed",)),
    }
    # An existing one that was there before keeps what is destroyed.
    kept = planned(*changes, before=BEFORE + after[len(AFTER) :], after=after)
    assert marks(kept) == {
        "SNS topic lab": (
            Mark.CHANGE,
            ("2 resources will be destroyed", "1 resource will be changed"),
        )
    }


def resources(path: Path) -> list[str]:
    """Return the addresses of all resources in a golden tree."""
    found = []
    folder = GOLDEN / path.stem / "provider-6" / "terraform"
    text = "".join(each.read_text(encoding="utf-8") for each in sorted(folder.glob("*.tf")))
    found += [".".join(each) for each in re.findall(r'(?m)^resource "(\w+)" "([\w-]+)"', text)]
    modules = re.findall(r'(?m)^module "([\w-]+)" \{\n  source = "\./modules/(\w+)"\n(.*)', text)
    for name, source, line in modules:
        index = "[0]" if line.lstrip().startswith("count") else ""
        for file in sorted((folder / "modules" / source).glob("*.tf")):
            own = re.findall(r'(?m)^resource "(\w+)" "(\w+)"', file.read_text(encoding="utf-8"))
            found += [f"module.{name}{index}.{'.'.join(each)}" for each in own]
    return found


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_resource_that_is_rendered_has_its_node(path: Path) -> None:
    addresses = resources(path)
    assert len(addresses) > 15
    deployment = cluster_of(path)
    data = {"resource_changes": [changed(each, "create") for each in addresses]}
    plan = Plan(summarise(data), is_destroy=False, has_changes=True, descriptor=-1, data=data)
    graph = planned_graph(plan, deployment, None)
    assert [node.key for node in graph.nodes] == [each.key for each in graph_of(deployment).nodes]
    for node in graph.nodes:
        if node.existing:
            # Rules and permissions for it, or nothing.
            assert node.mark in (None, Mark.CHANGE), node
        else:
            assert (node.mark is Mark.ADD) == (node.kind is not Kind.AMI), node
    # Each by itself is at one node, but for a placement group that several environments share.
    for address in addresses:
        data = {"resource_changes": [changed(address, "delete", "create")]}
        plan = Plan(summarise(data), is_destroy=False, has_changes=True, descriptor=-1, data=data)
        marked = [each for each in planned_graph(plan, deployment, None).nodes if replaced(each)]
        shared = address.startswith("aws_placement_group.")
        assert len(marked) == 1 or (shared and marked), address


def replaced(node: Node) -> bool:
    return any("will be replaced" in line for line in node.words)
