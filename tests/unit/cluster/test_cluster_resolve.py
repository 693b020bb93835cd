"""What follows from an instance type: the numbers that nobody should compute by hand."""

from __future__ import annotations

from typing import Any

import pytest

from mngen.catalog import load_catalog
from mngen.cluster import Cluster, job_memory, registered_memory, resolve
from mngen.errors import InputError
from mngen.spec import load_text
from tests.support.specs import to_yaml


def cluster(environment: dict[str, Any], **rest: Any) -> Cluster:
    data = {
        "name": "test",
        "region": "us-east-1",
        "environments": {"e": {"max_nodes": 4, **environment}},
        "queues": {"q": {"environments": ["e"]}},
        **rest,
    }
    return resolve(load_text(to_yaml(data)).require(), load_catalog())


@pytest.mark.parametrize(
    ("instance", "vcpus", "cores"),
    [
        ("r5.24xlarge", 96, 48),
        ("r5.12xlarge", 48, 24),
        ("c5n.18xlarge", 72, 36),
        ("m4.4xlarge", 16, 8),
    ],
)
def test_the_cores_limit_what_the_agent_sees_and_not_what_is_billed(
    instance: str, vcpus: int, cores: int
) -> None:
    (found,) = cluster({"instance": instance, "min_nodes": 1}).environments
    assert (found.nr_cpus, found.schedulable_vcpus) == (cores, cores)
    assert (found.min_vcpus, found.max_vcpus) == (vcpus, 4 * vcpus)
    assert found.image == instance


@pytest.mark.parametrize("instance", ["hpc7a.96xlarge", "c7g.16xlarge", "hpc6a.48xlarge"])
def test_a_type_with_one_thread_a_core_is_not_halved(instance: str) -> None:
    (found,) = cluster({"instance": instance}).environments
    assert found.nr_cpus is None
    assert found.schedulable_vcpus == found.instance.vcpus == found.instance.cores
    assert found.image == found.instance.architecture


def test_hyperthreading_kept_needs_no_image_of_its_own() -> None:
    (found,) = cluster({"instance": "r5.12xlarge", "hyperthreading": True}).environments
    assert (found.nr_cpus, found.schedulable_vcpus, found.image) == (None, 48, "x86_64")


def test_efa_makes_another_image() -> None:
    (found,) = cluster({"instance": "c5n.18xlarge", "efa": True}).environments
    assert found.image == "c5n.18xlarge-efa"


@pytest.mark.parametrize(
    ("said", "group"),
    [
        ({}, "e"),
        ({"placement_group": True}, "e"),
        ({"placement_group": False}, None),
        ({"placement_group": "MPIgroup"}, "MPIgroup"),
        ({"multi_node": False}, None),
        ({"multi_node": False, "placement_group": True}, "e"),
    ],
)
def test_placement_group(said: dict[str, Any], group: str | None) -> None:
    (found,) = cluster({"instance": "r5.12xlarge", **said}).environments
    assert found.placement_group == group


@pytest.mark.parametrize(
    ("said", "allocation"),
    [
        ({}, "BEST_FIT_PROGRESSIVE"),
        ({"allocation": "best-fit"}, "BEST_FIT"),
        ({"purchase": "spot", "multi_node": False}, "SPOT_CAPACITY_OPTIMIZED"),
        (
            {
                "purchase": "spot",
                "multi_node": False,
                "allocation": "spot-capacity-optimized",
            },
            "SPOT_CAPACITY_OPTIMIZED",
        ),
    ],
)
def test_allocation(said: dict[str, Any], allocation: str) -> None:
    (found,) = cluster({"instance": "m4.4xlarge", **said}).environments
    assert found.allocation == allocation


def test_zones_of_multi_node_are_the_networks_first() -> None:
    zones = ["us-east-1b", "us-east-1a"]
    network = {"zones": zones}
    assert cluster({"instance": "r5.large"}, network=network).environments[0].zones == (zones[0],)
    serial = {"instance": "r5.large", "multi_node": False}
    assert cluster(serial, network=network).environments[0].zones == ()
    chosen = {"instance": "r5.large", "zones": [zones[1]]}
    assert cluster(chosen, network=network).environments[0].zones == (zones[1],)


def test_a_job_takes_what_the_smallest_machine_of_its_queue_has() -> None:
    environments = {
        "big": {"instance": "c5n.18xlarge", "max_nodes": 2, "efa": True},
        "small": {"instance": "r5.12xlarge", "max_nodes": 2},
    }
    data = {
        "name": "test",
        "region": "us-east-1",
        "environments": environments,
        "queues": {"both": {"environments": ["big", "small"]}, "efa": {"environments": ["big"]}},
        "jobs": {
            "on-both": {"queue": "both", "nodes": 2, "command": ["x"]},
            "on-efa": {"queue": "efa", "nodes": 2, "command": ["x"]},
            "told": {"queue": "both", "vcpus": 3, "memory": 100, "command": ["x"]},
        },
    }
    found = resolve(load_text(to_yaml(data)).require(), load_catalog())
    on_both, on_efa, told = found.jobs
    # c5n.18xlarge has 192 GiB and 36 cores, r5.12xlarge has 384 GiB and 24.
    assert (on_both.vcpus, on_both.memory) == (24, 192 * 1024 * 95 // 100)
    assert (on_both.efa_interfaces, on_efa.efa_interfaces) == (0, 1)
    assert on_efa.vcpus == 36
    assert on_both.shared_memory == on_both.memory // 4
    assert (told.vcpus, told.memory, told.shared_memory) == (3, 100, 64)
    assert [environment.name for environment in on_both.queue.environments] == ["big", "small"]
    assert found.images == ("c5n.18xlarge-efa", "r5.12xlarge")
    assert found.placement_groups == ("big", "small")


def test_memory_leaves_the_system_its_share() -> None:
    machine = load_catalog().require("m5.large")
    assert machine.memory == 8192
    # AWS documents 7985 for a machine of 8192, of which its image reserves 32.
    assert job_memory(machine) < registered_memory(machine) <= 7985 - 32


def test_parts_are_sorted_by_name_whatever_the_file_says() -> None:
    def data(names: list[str]) -> dict[str, Any]:
        return {
            "name": "test",
            "region": "us-east-1",
            "environments": {name: {"instance": "r5.large", "max_nodes": 1} for name in names},
            "queues": {name: {"environments": [name]} for name in names},
        }

    forth = resolve(load_text(to_yaml(data(["a", "b"]))).require(), load_catalog())
    back = resolve(load_text(to_yaml(data(["b", "a"]))).require(), load_catalog())
    assert forth == back


def test_an_unknown_instance_type_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"r5\.13xlarge"):
        cluster({"instance": "r5.13xlarge"})
