"""Real bakes: Packer, or EC2's API, with real Ansible over ssh on the sandbox's machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mngen.cluster import IMAGE_TAG, INPUTS_TAG, NR_CPUS_TAG
from mngen.images import bake, choose_engine, list_images, look, prunable, prune
from tests.support.baking import Deployed, private_state, require_machines, spec_text
from tests.support.needs import skip_without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox

# Machines and Ansible take all of a processor: one file of such tests at a time.
pytestmark = pytest.mark.xdist_group("bake")

ENGINES = ["direct", "packer"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[None]:
    with private_state(tmp_path):
        yield


def needs(engine: str) -> None:
    require_machines()
    if engine == "packer":
        skip_without("packer")


@pytest.mark.parametrize("engine", ENGINES)
def test_images_are_what_the_spec_asks_for(
    engine: str, tmp_path: Path, sandbox: Sandbox, state: None
) -> None:
    needs(engine)
    name = f"real-{engine}"
    # Several at once, each with its own values, are seen in test_bake_faults.py, where that takes
    # less. Two that want the same share an image.
    types = ("c6i.2xlarge",) if engine == "packer" else ("r5.12xlarge", "m5.12xlarge")
    limits = {types[-1]: 4 if engine == "packer" else 24}
    own = "image: {packages: [nfs-utils], playbooks: [bake/site.yml]}\n"
    deployed = Deployed(tmp_path, sandbox, spec_text(*types, name=name, more=own), short=False)
    stages: list[tuple[str, str]] = []
    with sandbox.applied():
        survey = look(deployed.cluster, deployed.site, tree=deployed.tree, record=deployed.record)
        result = bake(
            survey,
            record=deployed.record,
            engine=choose_engine("packer" if engine == "packer" else "direct"),
            options=deployed.options,
            on_progress=lambda image, stage: stages.append((image, stage)),
        )
        again = look(deployed.cluster, deployed.site, tree=deployed.tree, record=deployed.record)
    shared = {"c6i.2xlarge": ("c6i.2xlarge",), "m5.12xlarge": ("m5.12xlarge", "r5.12xlarge")}
    assert [(each.image.names, each.problems) for each in result.outcomes] == [
        (shared[image], ()) for image in limits
    ]
    assert not result.problems
    assert deployed.left() == []

    # What was recorded, and that nothing is left to do.
    records = deployed.record.read()
    assert sorted(records) == sorted(name for image in limits for name in shared[image])
    assert all(records[name] == records[image] for image in limits for name in shared[image])
    assert not again.plan.targets

    # What AWS has.
    for image, limit in limits.items():
        record = records[image]
        assert record.baked_from is not None
        described = deployed.ec2.describe_images(ImageIds=[record.id])["Images"][0]
        tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
        assert tags["mngen:deployment"] == name
        assert tags[IMAGE_TAG] == image
        assert tags[NR_CPUS_TAG] == str(limit)
        assert tags[INPUTS_TAG] == record.baked_from.digest
        assert described["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
        check_inside(sandbox, record.id, image, limit)

    # What the user saw.
    for image in limits:
        seen = [stage for name, stage in stages if name == image]
        assert seen[-1] == f"done: {records[image].id}"
        assert {"launch", "stop", "create the image"} <= set(seen)


def check_inside(sandbox: Sandbox, ami: str, image: str, limit: int) -> None:
    """Look into an image: what was asked for is there, and nothing of the bake is left."""
    with sandbox.image_root(ami) as root:
        fstab = (root / "etc/fstab").read_text(encoding="utf-8")
        mounts = [line for line in fstab.splitlines() if " /efs " in line]
        assert len(mounts) == 1
        assert mounts[0].startswith("fs-0123456789abcdef0")
        assert "_netdev" in mounts[0]
        assert "tls" in mounts[0]
        entries = [
            path.read_text(encoding="utf-8")
            for path in (root / "boot/loader/entries").glob("*.conf")
        ]
        assert entries
        assert all(f"nr_cpus={limit}" in entry for entry in entries)
        assert f"nr_cpus={limit}" in (root / "etc/default/grub").read_text(encoding="utf-8")
        record = json.loads((root / "etc/mngen-image.json").read_text(encoding="utf-8"))
        assert record["image"] == image
        # Of the spec's own: packages and a playbook.
        assert record["packages"] == ["nfs-utils"]
        installed = root / "var/lib/mngen-machine/installed"
        assert installed.read_text(encoding="utf-8").split() == ["nfs-utils"]
        greeting = (root / "etc/motd").read_text(encoding="utf-8")
        assert greeting == f"This node starts from {image}.\n"
        assert not list((root / "etc/ssh").glob("ssh_host_*"))
        assert not (root / "home/ec2-user/.ssh/authorized_keys").exists()
        assert not (root / "var/lib/ecs/data/agent.db").exists()


def test_images_are_listed_and_those_that_nothing_uses_are_ended(
    tmp_path: Path, sandbox: Sandbox, state: None
) -> None:
    require_machines()
    deployed = Deployed(tmp_path, sandbox, spec_text("r5.12xlarge", name="listed"), short=True)

    def bake_again() -> str:
        survey = look(
            deployed.cluster, deployed.site, tree=deployed.tree, record=deployed.record, force=True
        )
        result = bake(
            survey,
            record=deployed.record,
            engine=choose_engine("direct"),
            options=deployed.options,
        )
        assert [each.problems for each in result.outcomes] == [()]
        return str(result.outcomes[0].id)

    def snapshots() -> list[Any]:
        filters = [{"Name": "tag:mngen:deployment", "Values": ["listed"]}]
        return list(deployed.ec2.describe_snapshots(Filters=filters)["Snapshots"])

    with sandbox.applied():
        first, second = bake_again(), bake_again()
        assert len(snapshots()) == 2
        found = {each.id: each for each in list_images(deployed.cluster, deployed.record.read())}
        assert found.keys() == {first, second}
        assert found[second].recorded_as == ("r5.12xlarge",)
        assert found[second].nr_cpus == 24
        assert found[first].recorded_as == ()
        unused = prunable(found.values())
        assert [each.id for each in unused] == [first]
        prune("us-east-1", unused)
        (left,) = list_images(deployed.cluster, deployed.record.read())
        assert left.id == second
        assert len(snapshots()) == 1
        deployed.ec2.deregister_image(ImageId=second)
        (gone,) = list_images(deployed.cluster, deployed.record.read())
        assert (gone.id, gone.state) == (second, "gone")
        survey = look(deployed.cluster, deployed.site, tree=deployed.tree, record=deployed.record)
        assert [target.reason for target in survey.plan.targets] == [f"{second} is gone"]
