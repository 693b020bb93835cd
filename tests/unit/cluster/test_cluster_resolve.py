"""What follows from an instance type: the numbers that nobody should compute by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mngen.catalog import load_catalog
from mngen.cluster import Cluster, nat_zone, registered_memory, resolve, zone_numbers
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


@pytest.mark.parametrize("kind", ["reservation", "group", "block"])
def test_reserved_capacity_has_no_placement_group_and_allocates_as_awss_examples(
    kind: str,
) -> None:
    """https://github.com/awslabs/awsome-distributed-ai, 1.architectures/3.aws-batch."""
    named = {kind: "cr-0123456789abcdef0"}
    (found,) = cluster({"instance": "p5.48xlarge", "capacity": named}).environments
    assert (found.allocation, found.placement_group) == ("BEST_FIT", None)
    other = {"allocation": "best-fit-progressive", "placement_group": {"existing": "mpi"}}
    (found,) = cluster({"instance": "p5.48xlarge", "capacity": named, **other}).environments
    assert (found.allocation, found.placement_group) == ("BEST_FIT_PROGRESSIVE", "mpi")


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
    # c5n.18xlarge has 189300 MiB measured and 36 cores, r5.12xlarge has 384 GiB and 24.
    assert (on_both.vcpus, on_both.memory) == (24, 189300 * 995 // 1000 - 32 - 36 * 220)
    assert (on_both.efa_interfaces, on_efa.efa_interfaces) == (0, 1)
    assert on_efa.vcpus == 36
    assert on_both.shared_memory == on_both.memory // 4
    assert (told.vcpus, told.memory, told.shared_memory) == (3, 100, 64)
    assert [environment.name for environment in on_both.queue.environments] == ["big", "small"]
    assert found.images == ("c5n.18xlarge-efa", "r5.12xlarge")
    assert found.placement_groups == ("big", "small")


# What Linux has of each type, as ec2instances.info measured it, and what of it registers: less the
# 32 MiB that Batch reserves. Copied here by hand, so that the catalog is not its own judge.
MEASURED = {
    "r5.12xlarge": 382682,
    "r5.24xlarge": 765870,
    "c5n.18xlarge": 189300,
    "m4.4xlarge": 64267,
    "m5.4xlarge": 63584,
    "c5.18xlarge": 141924,
    "c6i.32xlarge": 253799,
    "c7i.48xlarge": 380792,
    "hpc6a.48xlarge": 378734,
    "hpc7a.96xlarge": 757784,
    "hpc7g.16xlarge": 126509,
    "p4d.24xlarge": 1148726,
    "g7.48xlarge": 743672,
    "t3.micro": 904,
    "c5.xlarge": 7727,
}


@pytest.mark.parametrize("name", MEASURED)
def test_a_job_that_says_nothing_asks_for_less_than_registers(name: str) -> None:
    (each,) = cluster({"instance": name}).environments
    assert each.instance.measured_memory == MEASURED[name]
    registered = MEASURED[name] - 32
    assert each.job_memory <= each.usable_memory == registered_memory(each.instance)
    # Kernels differ by some 50 MiB: see thewca/worldcubeassociation.org#9974.
    assert registered * 0.99 < each.usable_memory < registered * 0.996


def test_no_type_of_the_catalog_is_asked_for_more_than_it_has() -> None:
    for instance in load_catalog():
        seen = instance.measured_memory
        if seen is not None:
            assert registered_memory(instance) < seen - 32, instance.name
            # What holds for those that nobody has measured, but for one type.
            unmeasured = msgspec.structs.replace(instance, measured_memory=None)
            if instance.name != "vt1.3xlarge":
                assert registered_memory(unmeasured) <= seen - 32, instance.name
        else:
            assert registered_memory(instance) == instance.memory * 94 // 100 - 256


@pytest.mark.parametrize(
    ("name", "taken"),
    # Huge pages seen on such instances: awslabs/awsome-distributed-ai, of 96 and of 192 CPUs.
    [("p4de.24xlarge", 21122), ("p5.48xlarge", 42242)],
)
def test_the_huge_pages_of_efa_are_not_a_jobs(name: str, taken: int) -> None:
    shared = {"instance": name, "hyperthreading": True}
    (plain,) = cluster(shared).environments
    (efa,) = cluster({**shared, "efa": True}).environments
    assert taken - 10 <= plain.usable_memory - efa.usable_memory <= taken
    assert efa.job_memory <= efa.usable_memory
    (limited,) = cluster({**shared, "efa": True, "hyperthreading": False}).environments
    assert plain.usable_memory - limited.usable_memory == taken // 2 - 1


@pytest.mark.parametrize(
    ("name", "multi_node", "cards"),
    [
        ("c5n.18xlarge", True, (0,)),
        ("hpc7a.96xlarge", True, (0, 1)),
        ("p5.48xlarge", True, tuple(range(32))),
        ("p6-b300.48xlarge", True, tuple(range(1, 17))),
        # One interface a card and two in all, of which the job's container needs one.
        ("hpc6id.32xlarge", True, (0,)),
        ("hpc6id.32xlarge", False, (0, 1)),
        ("hpc6a.48xlarge", True, (0,)),
    ],
)
def test_efa_leaves_an_interface_for_the_container(
    name: str, multi_node: bool, cards: tuple[int, ...]
) -> None:
    environment = {"instance": name, "efa": True, "multi_node": multi_node}
    (each,) = cluster(environment).environments
    assert each.efa_cards == cards
    (without,) = cluster({**environment, "efa": False}).environments
    assert without.efa_cards == ()


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


@pytest.mark.parametrize(
    ("zones", "numbers"),
    [
        (["us-east-1a", "us-east-1b"], [0, 1]),
        (["us-east-1b", "us-east-1a"], [1, 0]),
        (["us-east-1f", "us-east-1c"], [5, 2]),
        # No zone has such a letter so far.
        (["us-east-1a", "us-east-1z"], [0, 1]),
        # A Local Zone steps back, wherever it stands.
        (["us-east-1-bos-1a", "us-east-1a"], [1, 0]),
        (["us-east-1a", "us-east-1-bos-1a", "us-east-1b"], [0, 2, 1]),
    ],
)
def test_a_zones_range_does_not_depend_on_the_others(zones: list[str], numbers: list[int]) -> None:
    network = {"vpc": "new", "zones": zones}
    found = zone_numbers(cluster({"instance": "r5.large"}, network=network).spec)
    assert list(found.items()) == list(zip(zones, numbers, strict=True))


@pytest.mark.parametrize(
    ("zones", "zone"),
    [
        (["us-east-1b", "us-east-1a"], "us-east-1a"),
        # In the order of the alphabet, a Local Zone comes before all others.
        (["us-east-1-bos-1a", "us-east-1c", "us-east-1b"], "us-east-1b"),
        (["us-east-1-bos-1a"], "us-east-1-bos-1a"),
        ([], None),
    ],
)
def test_the_nat_gateway_is_in_an_ordinary_zone(zones: list[str], zone: str | None) -> None:
    network = {"vpc": "new", "zones": zones} if zones else {}
    assert nat_zone(cluster({"instance": "r5.large"}, network=network).spec) == zone


def test_of_several_types_that_with_the_least_memory_decides() -> None:
    others = ["m5.24xlarge", "m5a.24xlarge"]
    several = {
        "instance": "r5.24xlarge",
        "alternatives": others,
        "multi_node": False,
        "purchase": "spot",
        "allocation": "spot-price-capacity-optimized",
    }
    jobs = {"post": {"queue": "q", "command": ["true"]}}
    found = cluster(several, jobs=jobs)
    (environment,), (job,) = found.environments, found.jobs
    assert [each.name for each in environment.types] == ["r5.24xlarge", *others]
    assert environment.allocation == "SPOT_PRICE_CAPACITY_OPTIMIZED"
    # One AMI, one number of CPUs, and what Batch counts, whatever starts.
    assert found.images == ("r5.24xlarge",)
    assert (environment.schedulable_vcpus, environment.max_vcpus) == (48, 4 * 96)
    (alone,) = cluster({"instance": "m5.24xlarge"}, jobs=jobs).jobs
    assert job.memory <= alone.memory < 384 * 1024
    assert environment.most_usable_memory > 700 * 1024
