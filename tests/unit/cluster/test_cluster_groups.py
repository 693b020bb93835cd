"""What each node group of a job has: its own keys, and else those of the job."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mngen.catalog import load_catalog
from mngen.cluster import Cluster, ResolvedJob, execution_access, job_variables, resolve
from mngen.spec import load_text
from tests.support.specs import to_yaml

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf"
OTHER = "arn:aws:secretsmanager:us-east-1:123456789012:secret:other-AbCdEf"


def cluster_of(groups: dict[str, Any], **job: Any) -> Cluster:
    data = {
        "name": "test",
        "region": "us-east-1",
        "environments": {"e": {"instance": "r5.12xlarge", "max_nodes": 16}},
        "queues": {"q": {"environments": ["e"]}},
        "jobs": {"j": {"queue": "q", "nodes": 9, "command": ["x"], "groups": groups, **job}},
    }
    return resolve(load_text(to_yaml(data)).require(), load_catalog())


def parts(groups: dict[str, Any], **job: Any) -> tuple[ResolvedJob, ...]:
    return cluster_of(groups, **job).jobs[0].parts


def test_groups_are_in_the_order_of_their_nodes_and_the_last_is_open() -> None:
    found = parts({"c": {"nodes": "5:8"}, "a": {"nodes": "1:4"}, "b": {"nodes": "0:0"}})
    assert [(each.group, each.target) for each in found] == [
        ("b", "0:0"),
        ("a", "1:4"),
        ("c", "5:"),
    ]


def test_a_job_without_groups_is_its_only_part() -> None:
    [part] = parts({})
    assert (part.group, part.target, part.spec.command) == (None, "0:", ("x",))


def test_a_group_has_what_it_names_and_else_what_the_job_has() -> None:
    first, last = parts(
        {
            "first": {"nodes": "0:0"},
            "last": {
                "nodes": "1:",
                "command": ["y"],
                "vcpus": 4,
                "memory": 4096,
                "ranks_per_node": 2,
                "environment": {"A": "2", "C": "3"},
                "image": "docker.io/a/b:1",
            },
        },
        vcpus=8,
        ranks_per_node=6,
        environment={"A": "1", "B": "1"},
    )
    assert (first.spec.command, first.vcpus, first.spec.image) == (("x",), 8, None)
    assert first.spec.environment == {"A": "1", "B": "1"}
    assert (last.spec.command, last.vcpus, last.spec.image) == (("y",), 4, "docker.io/a/b:1")
    assert (last.memory, last.shared_memory) == (4096, 1024)
    assert last.spec.environment == {"A": "2", "B": "1", "C": "3"}


def test_the_wire_up_learns_of_its_group_and_of_what_it_runs() -> None:
    groups: dict[str, Any] = {"driver": {"nodes": "0:0"}, "idle": {"nodes": "1:1"}}
    groups["workers"] = {"nodes": "2:", "command": ["work"]}
    cluster = cluster_of(groups, launcher="main")
    driver, idle, workers = (job_variables(cluster.spec, each) for each in cluster.jobs[0].parts)
    assert driver["MNGEN_GROUP"] == "driver"
    assert "MNGEN_RUNS_BESIDE" not in driver | idle
    assert (workers["MNGEN_GROUP"], workers["MNGEN_RUNS_BESIDE"]) == ("workers", "yes")
    for part in parts(groups, launcher="openmpi"):
        assert "MNGEN_RUNS_BESIDE" not in job_variables(cluster.spec, part)


def test_only_the_images_that_secrets_are_for_are_pulled_with_the_execution_role() -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/{}:1"
    groups: dict[str, Any] = {
        "own": {"nodes": "0:0", "image": image.format("own")},
        "closed": {"nodes": "1:1", "image": image.format("b"), "registry_credentials": OTHER},
        "rest": {"nodes": "2:"},
    }
    cluster = cluster_of(groups, image=image.format("a"), registry_credentials=SECRET)
    found = execution_access(cluster.spec)
    assert found.secrets == (OTHER, SECRET)
    assert [each.rpartition("/")[2] for each in found.repositories] == ["a", "b"]


@settings(max_examples=50)
@given(st.sets(st.integers(1, 8), max_size=4))
def test_each_node_has_the_part_of_its_range(starts: set[int]) -> None:
    firsts = [0, *sorted(starts)]
    lasts = [*(each - 1 for each in firsts[1:]), 8]
    bounds = list(zip(firsts, lasts, strict=True))
    groups = {f"g{first}": {"nodes": f"{first}:{last}"} for first, last in bounds}
    targets = [f"{first}:{last}" if last < 8 else f"{first}:" for first, last in bounds]
    expected = [(f"g{first}", target) for first, target in zip(firsts, targets, strict=True)]
    assert [(each.group, each.target) for each in parts(groups)] == expected
