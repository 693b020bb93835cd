"""The body of the dashboard as real Terraform computes it, without a provider and without AWS."""

from __future__ import annotations

import json
import os
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from mngen.render import render
from mngen.rules.spec import _observed
from tests.support.needs import skip_without
from tests.support.published_metrics import PUBLISHED
from tests.support.specs import to_cluster
from tests.support.terraform_program import terraform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The bodies are computed once, by one worker.
pytestmark = pytest.mark.xdist_group("dashboard")

MODULE = "terraform/modules/dashboard"
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
COLUMNS = 24

SPEC: dict[str, Any] = {
    "name": "reef",
    "region": "us-east-1",
    "dashboard": True,
    "environments": {"r5": {"instance": "r5.12xlarge", "max_nodes": 4}},
    "queues": {"mpi": {"environments": ["r5"]}},
}
NEW_NETWORK = {"network": {"vpc": "new", "zones": ["us-east-1a"]}}
LUSTRE = {"storage": {"fsx": {"type": "scratch-2", "size": 1200}}}
ECS = "arn:aws:ecs:us-east-1:123456789012:cluster"
VARIABLES: dict[str, Any] = {
    "name": "mngen-reef-us-east-1",
    "deployment": "reef",
    "region": "us-east-1",
    "queue_names": ["reef-mpi", "reef-serial"],
    "environments": {
        "r5": {"cluster_arn": f"{ECS}/AWSBatch-reef-r5-0a1b-c2d3", "max_nodes": 4},
        "unbaked": {"cluster_arn": None, "max_nodes": 8},
    },
    "file_system_id": "fs-0a1b2c3d4e5f60718",
    "log_group": "/mngen/reef/jobs",
}
LUSTRE_ID = {"lustre_id": "fs-8a1b2c3d4e5f60718"}
NAT_ID = {"nat_gateway_id": "nat-0a1b2c3d4e5f60718"}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default VPC": ({}, {}),
    "NAT": (NEW_NETWORK, NAT_ID),
    "Lustre": (LUSTRE, LUSTRE_ID),
    "all": (NEW_NETWORK | LUSTRE, {**NAT_ID, **LUSTRE_ID}),
    "nothing baked": ({}, {"environments": {"r5": {"cluster_arn": None, "max_nodes": 4}}}),
    "many": (
        NEW_NETWORK | LUSTRE,
        {
            **NAT_ID,
            **LUSTRE_ID,
            "queue_names": [f"reef-{number:03}" for number in range(100)],
            "environments": {
                f"e{number:03}": {"cluster_arn": f"{ECS}/c{number:03}", "max_nodes": 1}
                for number in range(100)
            },
        },
    ),
}


def body_of(folder: Path, further: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Compute the body that the module of a spec has with some values."""
    tree = render(to_cluster(SPEC | further))
    for file in ("body.tf", "variables.tf"):
        (folder / file).write_text(tree[f"{MODULE}/{file}"], encoding="utf-8")
    output = 'output "body" {\n  value = local.body\n}\n'
    (folder / "output.tf").write_text(output, encoding="utf-8")
    given = json.dumps(VARIABLES | values)
    (folder / "terraform.tfvars.json").write_text(given, encoding="utf-8")
    printed(folder, "apply", "-auto-approve", "-no-color")
    body: dict[str, Any] = json.loads(printed(folder, "output", "-json", "body"))
    return body


def printed(folder: Path, *arguments: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = terraform(folder, env, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    skip_without("terraform-program")
    return {
        kind: body_of(tmp_path_factory.mktemp("body"), further, values)
        for kind, (further, values) in KINDS.items()
    }


def graphs(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["properties"] for each in body["widgets"] if each["type"] == "metric"]


def metrics(graph: dict[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield of each line of a graph its namespace, name and dimensions, and how it is drawn."""
    for *names, last in graph["metrics"]:
        rendering = last if isinstance(last, dict) else {}
        yield names if rendering else [*names, last], rendering


@pytest.mark.parametrize("kind", KINDS)
def test_aws_documents_every_metric(kind: str, bodies: dict[str, dict[str, Any]]) -> None:
    found = set()
    for graph in graphs(bodies[kind]):
        for names, rendering in metrics(graph):
            if not names:
                assert rendering["expression"]
                continue
            namespace, metric, *dimensions = names
            dimension, known = PUBLISHED[namespace]
            assert dimensions[::2] == [dimension]
            assert dimensions[1]
            assert rendering.get("stat", graph.get("stat")) in known[metric]
            found.add(namespace)
    expected = {"AWS/Batch", "AWS/EFS"}
    expected |= {"AWS/ECS"} if kind != "nothing baked" else set()
    expected |= {"AWS/NATGateway"} if "nat_gateway_id" in KINDS[kind][1] else set()
    expected |= {"AWS/FSx"} if "lustre_id" in KINDS[kind][1] else set()
    assert found == expected


@pytest.mark.parametrize("kind", KINDS)
def test_expressions_use_metrics_of_their_graph(
    kind: str, bodies: dict[str, dict[str, Any]]
) -> None:
    for graph in graphs(bodies[kind]):
        lines = list(metrics(graph))
        assert any(each.get("visible", True) for _, each in lines), graph["title"]
        named = [each["id"] for _, each in lines if "id" in each]
        assert len(named) == len(set(named))
        hidden = {each["id"] for _, each in lines if not each.get("visible", True)}
        expressions = [each["expression"] for names, each in lines if not names]
        used = {name for each in expressions for name in re.findall(r"\bm\d+\b", each)}
        assert used == hidden, graph["title"]


@pytest.mark.parametrize("kind", KINDS)
def test_widgets_neither_overlap_nor_leave_the_grid(
    kind: str, bodies: dict[str, dict[str, Any]]
) -> None:
    widgets = bodies[kind]["widgets"]
    for each in widgets:
        assert each["x"] >= 0
        assert each["y"] >= 0
        assert each["x"] + each["width"] <= COLUMNS
        # Narrower, a legend has no room.
        assert each["width"] >= 6
    for one, other in combinations(widgets, 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        above = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or above, (one, other)
    # No gap either: every row is full.
    area = sum(each["width"] * each["height"] for each in widgets)
    assert area == COLUMNS * max(each["y"] + each["height"] for each in widgets)


@pytest.mark.parametrize("kind", KINDS)
def test_aws_takes_the_body(kind: str, bodies: dict[str, dict[str, Any]]) -> None:
    # It loads moto, which no process that collects tests needs otherwise.
    from mngen.sandbox.emulator._dashboards import faults

    assert list(faults(bodies[kind])) == []
    # What AWS does not take for granted: a region of each, and a graph without any metric.
    for graph in graphs(bodies[kind]):
        assert graph["region"] == "us-east-1"
        assert graph["metrics"]


def test_the_rule_counts_what_is_shown(bodies: dict[str, dict[str, Any]]) -> None:
    counted = [len(graph["metrics"]) for graph in graphs(bodies["many"])]
    assert sum(counted) == (
        _observed._OF_THE_REST + 100 * (_observed._OF_QUEUE + _observed._OF_ENVIRONMENT)
    )
    assert max(counted) == 100 * _observed._OF_ENVIRONMENT // 2


def test_what_is_shown(bodies: dict[str, dict[str, Any]]) -> None:
    assert [graph["title"] for graph in graphs(bodies["all"])] == [
        "reef-mpi: jobs that entered a state",
        "reef-mpi: jobs that ended",
        "reef-mpi: minutes of an attempt",
        "reef-serial: jobs that entered a state",
        "reef-serial: jobs that ended",
        "reef-serial: minutes of an attempt",
        "CPUs that jobs use and reserve (%)",
        "Memory that jobs use and reserve (%)",
        "Connections to the EFS file system",
        "EFS throughput",
        "FSx for Lustre throughput",
        "FSx for Lustre free capacity",
        "NAT gateway throughput",
        "NAT gateway errors",
    ]
    names = [names for graph in graphs(bodies["all"]) for names, _ in metrics(graph) if names]
    values = {tuple(each[2:]) for each in names}
    assert values == {
        ("JobQueueName", "reef-mpi"),
        ("JobQueueName", "reef-serial"),
        # The name, not the ARN, and none for what is not baked.
        ("ClusterName", "AWSBatch-reef-r5-0a1b-c2d3"),
        ("FileSystemId", VARIABLES["file_system_id"]),
        ("FileSystemId", LUSTRE_ID["lustre_id"]),
        ("NatGatewayId", NAT_ID["nat_gateway_id"]),
    }
    [clients] = [each for each in graphs(bodies["all"]) if each["title"].startswith("Connections")]
    [line] = clients["annotations"]["horizontal"]
    assert line["value"] == 12
    [logs] = [each for each in bodies["all"]["widgets"] if each["type"] == "log"]
    assert logs["properties"]["query"].startswith("SOURCE '/mngen/reef/jobs' | ")
