from __future__ import annotations

import pytest

from mngen.catalog import InstanceType, load_catalog, vcpu_quota


@pytest.mark.parametrize(
    ("name", "vcpus", "nr_cpus"),
    [
        ("r5.24xlarge", 96, 48),
        ("r5.12xlarge", 48, 24),
        ("c5n.18xlarge", 72, 36),
        ("m4.4xlarge", 16, 8),
        ("p4d.24xlarge", 96, 48),
        ("hpc6a.48xlarge", 96, None),
        ("hpc6id.32xlarge", 64, None),
        ("hpc7a.96xlarge", 192, None),
        ("hpc7g.16xlarge", 64, None),
        ("c6g.16xlarge", 64, None),
    ],
)
def test_the_limit_is_the_cores_and_only_where_cores_have_several_threads(
    name: str, vcpus: int, nr_cpus: int | None
) -> None:
    instance = load_catalog().require(name)
    assert instance.vcpus == vcpus
    assert instance.nr_cpus == nr_cpus


@pytest.mark.parametrize("family", ["c7a", "m7a", "r7a", "c6g", "c7g", "m8g", "hpc7g"])
def test_no_size_of_a_single_threaded_family_is_limited(family: str) -> None:
    found = load_catalog().match(family)
    assert found
    assert {each.nr_cpus for each in found} == {None}


@pytest.mark.parametrize(
    ("name", "interfaces", "cards"),
    [
        ("c5n.18xlarge", 1, (0,)),
        ("c5n.4xlarge", 0, ()),
        ("hpc7a.96xlarge", 2, (0, 1)),
        ("p4d.24xlarge", 4, (0, 1, 2, 3)),
        ("p5.48xlarge", 32, tuple(range(32))),
        ("p6-b300.48xlarge", 16, tuple(range(1, 17))),
        ("r5.24xlarge", 0, ()),
    ],
)
def test_efa(name: str, interfaces: int, cards: tuple[int, ...]) -> None:
    instance = load_catalog().require(name)
    assert instance.efa is (interfaces > 0)
    assert instance.max_efa_interfaces == interfaces
    assert instance.efa_cards == cards


# Models and memory as AWS's engineers list them for these types, in
# https://github.com/awslabs/awsome-distributed-ai (1.architectures/efa-cheatsheet.md) and
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html.
@pytest.mark.parametrize(
    ("name", "count", "model", "gib"),
    [
        ("p4d.24xlarge", 8, "A100", 40),
        ("p4de.24xlarge", 8, "A100", 80),
        ("p5.48xlarge", 8, "H100", 80),
        ("p5.4xlarge", 1, "H100", 80),
        ("p5en.48xlarge", 8, "H200", 141),
        ("p6-b200.48xlarge", 8, "B200", 179),
        ("g5.12xlarge", 4, "A10G", 22),
        ("g5g.16xlarge", 2, "T4g", 16),
        ("g6f.xlarge", 0, "L4", 2),
        ("r5.24xlarge", 0, "", 0),
    ],
)
def test_gpus(name: str, count: int, model: str, gib: int) -> None:
    instance = load_catalog().require(name)
    assert (instance.gpus, instance.gpu_name) == (count, model)
    assert instance.gpu_memory // 1024 == gib
    assert instance.gpu_maker == ("NVIDIA" if model else "")


@pytest.mark.parametrize(
    ("name", "count", "size"),
    [
        # https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-types.html
        ("c5d.18xlarge", 2, 900),
        ("hpc6id.32xlarge", 4, 3800),
        ("i3en.24xlarge", 8, 7500),
        ("p4d.24xlarge", 8, 1000),
        ("p5.48xlarge", 8, 3800),
        ("g5.12xlarge", 1, 3800),
        ("r5.24xlarge", 0, 0),
    ],
)
def test_instance_store(name: str, count: int, size: int) -> None:
    instance = load_catalog().require(name)
    assert (instance.scratch_disks, instance.disk_size) == (count, size)


def test_disks_without_nvme_cannot_be_scratch() -> None:
    instance = load_catalog().require("d2.8xlarge")
    assert (instance.disks, instance.scratch_disks) == (24, 0)


def test_what_else_is_known_of_a_type() -> None:
    instance = load_catalog().require("p4d.24xlarge")
    assert (instance.family, instance.size) == ("p4d", "24xlarge")
    assert instance.memory == 1152 * 1024
    assert instance.gpus == 8
    assert instance.network_cards == 4
    assert instance.hypervisor == "nitro"
    assert instance.cluster_placement
    assert not load_catalog().require("t3.micro").cluster_placement
    assert load_catalog().require("t3.micro").burstable
    assert load_catalog().require("r5.metal").bare_metal
    assert load_catalog().require("m4.4xlarge").spot
    assert not load_catalog().require("hpc6a.48xlarge").spot


def test_figures_that_contradict_each_other_make_no_type() -> None:
    with pytest.raises(ValueError, match="96 vCPUs are not 40 cores x 2 threads"):
        InstanceType(
            name="r5.24xlarge",
            vcpus=96,
            cores=40,
            threads_per_core=2,
            memory=1024,
            architecture="x86_64",
        )


@pytest.mark.parametrize(
    ("name", "spot", "code"),
    [
        ("r5.24xlarge", False, "L-1216C47A"),
        ("im4gn.large", False, "L-1216C47A"),
        ("m4.4xlarge", True, "L-34B43A08"),
        ("hpc7a.96xlarge", False, "L-F7808C92"),
        ("hpc7a.96xlarge", True, None),
        ("gr6.4xlarge", False, "L-DB2E81BA"),
        ("p4d.24xlarge", False, "L-417A185B"),
        ("p4d.24xlarge", True, "L-7212CCBC"),
        ("p5.48xlarge", True, "L-C4BD4855"),
        ("p6-b200.48xlarge", True, None),
        ("u7in-16tb.224xlarge", False, "L-43DA4232"),
        ("mac2.metal", False, None),
    ],
)
def test_quota(name: str, spot: bool, code: str | None) -> None:
    quota = vcpu_quota(load_catalog().require(name), spot=spot)
    assert (quota.code if quota else None) == code


def test_every_type_that_batch_can_run_counts_against_a_known_quota() -> None:
    unknown = [
        each.name
        for each in load_catalog()
        if vcpu_quota(each) is None and not each.architecture.endswith("_mac")
    ]
    assert unknown == []
