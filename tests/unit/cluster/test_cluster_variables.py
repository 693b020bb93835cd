"""The environment of a job's containers: the wire-up's variables, and the job's own before them."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from mngen.catalog import load_catalog
from mngen.cluster import KEY_VARIABLES, WIRE_UP_VARIABLES, job_variables, key_variables, resolve
from mngen.spec import load_text
from tests.support.specs import to_yaml

R5 = {"instance": "r5.12xlarge", "max_nodes": 2}


def variables(*environments: dict[str, Any], mount: str = "/efs", **job: Any) -> dict[str, str]:
    named = {f"e{index}": environment for index, environment in enumerate(environments or (R5,))}
    made = {"queue": "q", "nodes": 2, "command": ["x"], **job}
    data = {
        "name": "test",
        "region": "us-east-1",
        "storage": {"efs": {"mount": mount}},
        "environments": named,
        "queues": {"q": {"environments": list(named)}},
        "jobs": {"j": {key: value for key, value in made.items() if value is not None}},
    }
    cluster = resolve(load_text(to_yaml(data)).require(), load_catalog())
    return job_variables(cluster.spec, cluster.jobs[0])


def test_the_shared_folder_and_the_limited_cpus_are_always_told() -> None:
    assert variables(mount="/a/b") == {"MNGEN_SHARED": "/a/b", "MNGEN_CPUS": "24"}


@pytest.mark.parametrize(
    ("environments", "cpus"),
    [
        ([R5, R5], "24"),
        ([R5, {"instance": "r5.24xlarge", "max_nodes": 2}], None),
        ([{**R5, "hyperthreading": True}], None),
        ([R5, {**R5, "hyperthreading": True}], None),
        # One thread a core: there is nothing to limit.
        ([{"instance": "c7g.16xlarge", "max_nodes": 2}], None),
    ],
    ids=["same", "differ", "not limited", "one of two limited", "one thread a core"],
)
def test_cpus_are_told_where_every_machine_of_the_queue_has_as_many(
    environments: list[dict[str, Any]], cpus: str | None
) -> None:
    assert variables(*environments).get("MNGEN_CPUS") == cpus


def test_keys_are_told_in_the_wire_ups_words() -> None:
    arguments = ["--bind-to", "core", "--mca", "a b", "it's ${HOME}"]
    found = variables(ranks_per_node=6, threads_per_rank=4, launcher="intelmpi", mpi_args=arguments)
    assert shlex.split(found.pop("MNGEN_MPI_ARGS")) == arguments
    assert found == {
        "MNGEN_SHARED": "/efs",
        "MNGEN_CPUS": "24",
        "MNGEN_RANKS_PER_NODE": "6",
        "MNGEN_THREADS_PER_RANK": "4",
        "MNGEN_LAUNCHER": "intelmpi",
    }


HYPERTHREADED = {**R5, "hyperthreading": True}
LARGER = {"instance": "r5.24xlarge", "max_nodes": 2}
GPUS = {"instance": "g5.12xlarge", "max_nodes": 2}


@pytest.mark.parametrize(
    ("environments", "job", "ranks"),
    # An r5.12xlarge has 24 cores of two threads, an r5.24xlarge 48, and a c7g one thread a core.
    [
        ([R5], {"vcpus": 4}, "4"),
        ([R5], {"vcpus": 24}, None),
        ([R5], {}, None),
        ([HYPERTHREADED], {"vcpus": 4}, "2"),
        ([HYPERTHREADED], {"vcpus": 1}, "1"),
        ([HYPERTHREADED], {"vcpus": 48}, None),
        ([{"instance": "c7g.16xlarge", "max_nodes": 2}], {"vcpus": 4}, "4"),
        ([{**LARGER, "cpus": 24}], {"vcpus": 4}, "4"),
        ([{**LARGER, "cpus": 64}], {"vcpus": 4}, "2"),
        ([R5, LARGER], {}, "24"),
        ([LARGER, HYPERTHREADED], {"vcpus": 4}, "2"),
        ([R5], {"vcpus": 12, "threads_per_rank": 4}, "3"),
        ([R5], {"vcpus": 2, "threads_per_rank": 4}, "1"),
        ([R5], {"vcpus": 12, "environment": {"MNGEN_THREADS_PER_RANK": "4"}}, "3"),
        ([HYPERTHREADED], {"vcpus": 12, "threads_per_rank": 2}, "6"),
        ([R5], {"vcpus": 4, "ranks_per_node": 7}, "7"),
        ([R5], {"vcpus": 4, "environment": {"MNGEN_RANKS_PER_NODE": "7"}}, "7"),
        ([R5], {"vcpus": 4, "launcher": "main"}, "4"),
        ([R5], {"vcpus": 4, "launcher": "torchrun"}, "4"),
        ([R5], {"vcpus": 4, "launcher": "none"}, None),
        ([R5], {"vcpus": 4, "environment": {"MNGEN_LAUNCHER": "none"}}, None),
        ([R5], {"vcpus": 4, "nodes": 1}, None),
        ([GPUS], {"vcpus": 8, "gpus": 1}, "1"),
        ([GPUS], {"vcpus": 8, "gpus": 0}, "4"),
    ],
)
def test_a_job_that_may_share_its_instance_gets_no_more_ranks_than_it_asks_for_cores(
    environments: list[dict[str, Any]], job: dict[str, Any], ranks: str | None
) -> None:
    found = variables(*environments, **{"nodes": None, **job})
    assert found.get("MNGEN_RANKS_PER_NODE") == ranks


def test_the_jobs_own_variables_come_first_and_an_empty_one_takes_away() -> None:
    own = {"MNGEN_SHARED": "/scratch", "MNGEN_CPUS": "", "DEBUG": "1"}
    assert variables(environment=own) == own
    assert list(variables(environment=own)) == sorted(own)


def test_every_key_has_a_variable_that_the_wire_up_reads() -> None:
    assert set(KEY_VARIABLES.values()) <= WIRE_UP_VARIABLES
    assert "MNGEN_SHARED" in WIRE_UP_VARIABLES
    spec = load_text(
        to_yaml(
            {
                "name": "test",
                "region": "us-east-1",
                "environments": {"r5": R5},
                "queues": {"q": {"environments": ["r5"]}},
                "jobs": {"j": {"queue": "q", "command": ["x"]}},
            }
        )
    ).require()
    assert key_variables(spec.jobs["j"]) == {}
