"""Which images are baked and why, without AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest

from mngen.catalog import load_catalog
from mngen.cluster import AmiFile, AmiRecord, BakedFrom
from mngen.errors import InputError, Severity
from mngen.images import chosen_images, stale_images
from mngen.images._plan import differences, plan_bake, wanted_inputs
from mngen.images._site import Site
from mngen.rules import require
from mngen.spec import load_text

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.cluster import Cluster, MachineImage

SPEC = """
name: seismic
region: us-east-1
environments:
  a: {instance: r5.12xlarge, max_nodes: 4}
  b: {instance: m5.12xlarge, max_nodes: 4}
  c: {instance: r5.24xlarge, max_nodes: 4}
  d: {instance: r5.24xlarge, max_nodes: 4, hyperthreading: true}
  e: {instance: c6g.16xlarge, max_nodes: 4}
  f: {instance: c5n.18xlarge, max_nodes: 4, efa: true}
queues:
  q: {environments: [a]}
"""
AMI = "ami-0aaaaaaaaaaaaaaa{}"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return require(load_text(SPEC.encode()), load_catalog())


def wanted(cluster: Cluster) -> dict[MachineImage, BakedFrom]:
    return {
        image: wanted_inputs(
            cluster,
            image,
            efs="fs-1",
            base_amis={"x86_64": "ami-1", "arm64": "ami-2"},
            playbooks="p",
        )
        for image in cluster.machine_images
    }


def test_types_that_want_the_same_share_an_image(cluster: Cluster) -> None:
    assert [
        (image.names, image.architecture, image.nr_cpus, image.efa, image.builder)
        for image in cluster.machine_images
    ] == [
        (("arm64",), "arm64", None, False, "t4g.micro"),
        (("c5n.18xlarge-efa",), "x86_64", 36, True, "t3.micro"),
        (("m5.12xlarge", "r5.12xlarge"), "x86_64", 24, False, "t3.micro"),
        (("r5.24xlarge",), "x86_64", 48, False, "t3.micro"),
        (("x86_64",), "x86_64", None, False, "t3.micro"),
    ]
    served = sorted(name for image in cluster.machine_images for name in image.names)
    assert tuple(served) == cluster.images


def test_instance_types_choose_their_images(cluster: Cluster) -> None:
    def names(*types: str) -> list[str]:
        return [image.name for image in chosen_images(cluster, types)]

    assert names() == [image.name for image in cluster.machine_images]
    assert names("r5.12xlarge") == ["m5.12xlarge"]
    # One environment limits the CPUs, the other does not.
    assert names("r5.24xlarge") == ["r5.24xlarge", "x86_64"]
    with pytest.raises(InputError, match=r"no environment .* `r5\.2xlarge`") as caught:
        names("r5.2xlarge")
    assert "`r5.12xlarge`" in str(caught.value.problems[0].hint)


def test_an_alternative_chooses_the_image_of_its_environment() -> None:
    several = "instance: m5.24xlarge, alternatives: [m5a.24xlarge], multi_node: false"
    text = SPEC.replace("queues:", f"  g: {{{several}, max_nodes: 4}}\nqueues:")
    cluster = require(load_text(text.encode()), load_catalog())
    (image,) = chosen_images(cluster, ["m5a.24xlarge"])
    assert image == chosen_images(cluster, ["m5.24xlarge"])[0]
    assert "m5.24xlarge" in image.names


def test_nothing_recorded_bakes_everything(cluster: Cluster) -> None:
    plan = plan_bake(wanted(cluster), {}, there=())
    assert not plan.kept
    assert {target.reason for target in plan.targets} == {"not baked yet"}
    assert len(plan.targets) == 5


def test_what_is_up_to_date_is_kept_unless_forced(cluster: Cluster) -> None:
    inputs = wanted(cluster)
    records = {
        name: AmiRecord(id=AMI.format(number), baked_from=baked_from)
        for number, (image, baked_from) in enumerate(inputs.items())
        for name in image.names
    }
    there = {record.id for record in records.values()}
    plan = plan_bake(inputs, records, there=there)
    assert not plan.targets
    assert {kept.reason for kept in plan.kept} == {"up to date"}
    forced = plan_bake(inputs, records, there=there, force=True)
    assert not forced.kept
    assert {target.reason for target in forced.targets} == {"asked for"}


def test_a_type_added_to_the_spec_gets_the_image_that_serves_it(cluster: Cluster) -> None:
    image = next(each for each in cluster.machine_images if "r5.12xlarge" in each.names)
    baked_from = wanted(cluster)[image]
    record = AmiRecord(id=AMI.format(1), baked_from=baked_from)
    plan = plan_bake({image: baked_from}, {"r5.12xlarge": record}, there={record.id})
    assert [kept.record for kept in plan.kept] == [record]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"base_ami": "ami-9"}, "there is another base image"),
        ({"playbooks": "q"}, "the playbooks changed"),
        ({"efs": "fs-2", "mount": "/x"}, "the file system changed, the mount point changed"),
        ({"nr_cpus": 12}, "the limit of CPUs changed"),
        ({"tls": False}, "the way to mount changed"),
        ({"iam": True}, "mounting with IAM changed"),
        ({"access_point": "fsap-0123456789abcdef0"}, "the access point changed"),
        ({"kms_key": "arn:aws:kms:us-east-1:1:key/2"}, "the key of its snapshots changed"),
    ],
)
def test_an_input_that_changed_is_said(
    cluster: Cluster, change: dict[str, object], reason: str
) -> None:
    image, baked_from = next(iter(wanted(cluster).items()))
    old = msgspec.structs.replace(baked_from, **change)
    record = AmiRecord(id=AMI.format(1), baked_from=old)
    plan = plan_bake({image: baked_from}, {image.name: record}, there={record.id})
    assert [target.reason for target in plan.targets] == [reason]
    assert differences(old, baked_from, unknown=set(change)) == []


def test_an_image_that_is_gone_is_baked_again_and_one_by_hand_is_kept(cluster: Cluster) -> None:
    image, baked_from = next(iter(wanted(cluster).items()))
    by_hand = AmiRecord(id=AMI.format(1))
    plan = plan_bake({image: baked_from}, {image.name: by_hand}, there=())
    assert [target.reason for target in plan.targets] == [f"{by_hand.id} is gone"]
    plan = plan_bake({image: baked_from}, {image.name: by_hand}, there={by_hand.id})
    assert [kept.reason for kept in plan.kept] == ["recorded by hand"]


def test_stale_images_are_told_without_aws(cluster: Cluster, tmp_path: Path) -> None:
    record = AmiFile(tmp_path / "amis.auto.tfvars.json")
    assert stale_images(cluster, record) == []
    image = cluster.machine_images[0]
    baked_from = wanted(cluster)[image]
    record.update({image.name: AmiRecord(id=AMI.format(1), baked_from=baked_from)})
    (problem,) = stale_images(cluster, record)
    assert problem.severity is Severity.WARNING
    assert problem.message == (
        f"the AMI `{image.name}` ({AMI.format(1)}) is stale: the playbooks changed"
    )
    assert "mngen bake" in str(problem.hint)


class TestSite:
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "efs": {"id": "fs-1", "dns_name": "fs-1.efs.us-east-1.amazonaws.com", "mount": "/efs"},
        "network": {
            "vpc_id": "vpc-1",
            "subnets_by_zone": {"us-east-1b": ["subnet-2"], "us-east-1a": ["subnet-1", "subnet-3"]},
            "security_group_ids": ["sg-1"],
        },
        "builder_profile_arn": "arn:aws:iam::123456789012:instance-profile/x/seismic-builder",
    }

    def test_outputs_are_read(self) -> None:
        site = Site.from_outputs(self.OUTPUTS)
        assert site.subnets == {"us-east-1a": "subnet-1", "us-east-1b": "subnet-2"}
        assert site.instance_profile == "seismic-builder"
        assert site.security_group_ids == ("sg-1",)

    def test_lustre_is_read_where_there_is_one(self) -> None:
        assert Site.from_outputs(self.OUTPUTS).fsx_id is None
        assert Site.from_outputs({**self.OUTPUTS, "fsx": {"id": "fs-2"}}).fsx_id == "fs-2"

    @pytest.mark.parametrize("missing", ["efs", "network", "builder_profile_arn"])
    def test_what_was_not_applied_yet_is_said_with_the_command(self, missing: str) -> None:
        outputs = {name: value for name, value in self.OUTPUTS.items() if name != missing}
        with pytest.raises(InputError, match=missing) as caught:
            Site.from_outputs(outputs)
        assert "mngen apply" in str(caught.value.problems[0].hint)
