"""Container images in AMIs: which ones, what a bake is made of, and when one is stale."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from mngen.catalog import load_catalog
from mngen.cluster import (
    AmiFile,
    AmiRecord,
    DigestFile,
    builder_volume,
    preloaded_images,
    pulled_repositories,
)
from mngen.container import Stored
from mngen.errors import InputError, Severity
from mngen.images import Site, playbooks_digest, stale_images
from mngen.images._direct import _IMAGE_SECONDS
from mngen.images._plan import plan_bake, wanted_inputs
from mngen.images._preload import check_size, pulled
from mngen.policy import Part, policy
from mngen.render import render
from mngen.rules import require
from mngen.spec import load_text
from tests.support.logs import logged

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.cluster import BakedFrom, Cluster, MachineImage

SPEC = """\
name: seismic
region: us-east-1
image: {preload: true}
environments:
  big: {instance: r5.24xlarge, max_nodes: 4, root_volume: 200}
  small: {instance: r5.12xlarge, max_nodes: 4, root_volume: 100}
  same: {instance: m5.12xlarge, max_nodes: 4, root_volume: 50}
  idle: {instance: c5.18xlarge, max_nodes: 4}
  own: {instance: c5.9xlarge, max_nodes: 4, image: ami-0123456789abcdef0}
queues:
  big: {environments: [big]}
  small: {environments: [small]}
  own: {environments: [own]}
jobs:
  wave: {queue: small, nodes: 4, command: [wave]}
  wide:
    queue: big
    nodes: 4
    command: [wide]
    groups:
      head: {nodes: "0:0", image: "quay.io/lab/head:v2"}
      rest: {nodes: "1:"}
  other: {queue: big, command: [x], image: "210987654321.dkr.ecr.eu-west-1.amazonaws.com/lab/x:v1"}
  closed:
    queue: big
    command: [x]
    image: quay.io/lab/closed:v1
    registry_credentials: arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-AbCdEf
  elsewhere: {queue: own, command: [x], image: "quay.io/lab/own:v1"}
"""
OTHER = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/lab/x:v1"
URL = "123456789012.dkr.ecr.us-east-1.amazonaws.com/seismic/mpi"
DIGEST = f"sha256:{'1' * 64}"
SITE = Site(
    efs_id="fs-1",
    efs_dns_name="fs-1.efs.us-east-1.amazonaws.com",
    vpc_id="vpc-1",
    subnets={"us-east-1a": "subnet-1"},
    security_group_ids=(),
    instance_profile="builder",
    repository_url=URL,
)
AMI = "ami-0aaaaaaaaaaaaaaa1"


def loaded(text: str) -> Cluster:
    return require(load_text(text.encode()), load_catalog())


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return loaded(SPEC)


def image_of(cluster: Cluster, name: str) -> MachineImage:
    return next(each for each in cluster.machine_images if name in each.names)


def made_of(cluster: Cluster, image: MachineImage, digest: str = DIGEST) -> BakedFrom:
    bases = {"x86_64": "ami-1", "arm64": "ami-2", "x86_64-gpu": "ami-3"}
    return wanted_inputs(cluster, image, efs="fs-1", base_amis=bases, playbooks="p", digest=digest)


def test_an_ami_gets_the_images_of_the_jobs_that_run_on_it(cluster: Cluster) -> None:
    found = {each.name: preloaded_images(cluster, each) for each in cluster.machine_images}
    assert found == {
        "c5.18xlarge": (),
        "m5.12xlarge": (None,),
        "r5.24xlarge": (None, OTHER, "quay.io/lab/head:v2"),
    }
    without = loaded(SPEC.replace("image: {preload: true}\n", ""))
    assert not any(preloaded_images(without, each) for each in without.machine_images)


def test_the_builder_has_the_root_volume_of_the_nodes(cluster: Cluster) -> None:
    volumes = {each.name: builder_volume(cluster, each) for each in cluster.machine_images}
    # Two environments share an AMI: what fits the smaller one fits both.
    assert volumes == {"c5.18xlarge": 30, "m5.12xlarge": 50, "r5.24xlarge": 200}
    packer = render(cluster)["packer/images.pkr.hcl"]
    assert [line.split()[-1] for line in packer.splitlines() if "volume_size" in line] == [
        "30",
        "50",
        "200",
    ]


def test_packer_waits_as_long_as_the_direct_engine_for_large_snapshots(cluster: Cluster) -> None:
    # The block as in packer-plugin-amazon (common/state.go): both numbers multiplied are the time.
    packer = render(cluster)["packer/images.pkr.hcl"]
    blocks = re.findall(
        r"aws_polling {\n +delay_seconds += (\d+)\n +max_attempts += (\d+)\n", packer
    )
    assert len(blocks) == 2
    assert {int(delay) * int(attempts) for delay, attempts in blocks} == {_IMAGE_SECONDS}
    assert len(re.findall(r"^source ", packer, re.MULTILINE)) == 3


def test_only_a_spec_with_the_key_has_the_playbook_and_the_right_to_pull(cluster: Cluster) -> None:
    tree = render(cluster)
    role = "terraform/modules/identity/main.tf"
    assert "playbooks/preload.yml" in tree
    assert '"ecr:GetAuthorizationToken"' in tree[role]
    assert pulled_repositories(cluster) == (
        "ecr:eu-west-1:210987654321:repository/lab/x",
        "seismic/mpi",
    )
    plain = render(loaded(SPEC.replace("image: {preload: true}\n", "")))
    assert [path for path in plain if "preload" in path] == []
    assert "ecr:" not in plain[role]
    assert "preload" not in plain["packer/images.pkr.hcl"]
    own = "roles: {instance_profile: 'arn:aws:iam::123456789012:instance-profile/nodes'}\n"
    assert pulled_repositories(loaded(SPEC + own)) == ()


def test_the_deployer_may_give_builders_the_right_to_pull(cluster: Cluster) -> None:
    def puts(of: Cluster) -> list[Any]:
        found = policy(Part.DEPLOYER, of, "123456789012")["Statement"]
        return [each for each in found if "iam:PutRolePolicy" in each["Action"]]

    assert "arn:aws:iam::123456789012:role/seismic-builder-*" in json.dumps(puts(cluster))
    plain = loaded(SPEC.replace("image: {preload: true}\n", ""))
    assert "seismic-builder" not in json.dumps(puts(plain))


def test_what_is_in_an_ami_is_named_by_its_digest(cluster: Cluster) -> None:
    inputs = made_of(cluster, image_of(cluster, "r5.24xlarge"))
    assert inputs.preload == (DIGEST, OTHER, "quay.io/lab/head:v2")
    assert pulled(inputs, SITE) == [f"{URL}@{DIGEST}", OTHER, "quay.io/lab/head:v2"]
    assert inputs.volume == 200
    plain = made_of(cluster, image_of(cluster, "c5.18xlarge"))
    assert (plain.preload, plain.volume) == ((), None)


def test_an_image_that_was_pushed_since_is_a_reason_to_bake(cluster: Cluster) -> None:
    image = image_of(cluster, "r5.12xlarge")
    record = AmiRecord(id=AMI, baked_from=made_of(cluster, image))
    new = made_of(cluster, image, f"sha256:{'2' * 64}")
    plan = plan_bake({image: new}, {image.name: record}, there={AMI})
    assert [each.reason for each in plan.targets] == ["the container image to preload changed"]


def recorded(cluster: Cluster, folder: Path, **changes: Any) -> AmiFile:
    """Record an AMI that is up to date but for some inputs."""
    from mngen import _resources

    image = image_of(cluster, "r5.12xlarge")
    inputs = msgspec.structs.replace(
        made_of(cluster, image),
        **{"playbooks": playbooks_digest(_resources.playbooks(), preload=True), **changes},
    )
    record = AmiFile(folder / "amis.auto.tfvars.json")
    record.update({image.name: AmiRecord(id=AMI, baked_from=inputs)})
    return record


def test_an_ami_with_a_previous_image_is_told_and_no_warning(
    cluster: Cluster, tmp_path: Path
) -> None:
    record = recorded(cluster, tmp_path)
    digests = DigestFile(tmp_path / "container.auto.tfvars.json")
    # Where it was pushed is not known here.
    assert stale_images(cluster, record) == []
    digests.record("v1", DIGEST)
    assert stale_images(cluster, record) == []
    digests.record("v1", f"sha256:{'2' * 64}")
    (problem,) = stale_images(cluster, record)
    assert problem.severity is Severity.INFO
    assert problem.message == (
        f"the AMI `m5.12xlarge` ({AMI}) has a previous container image: nodes fetch what changed "
        "when a job starts"
    )
    assert problem.hint == "run mngen bake, and nodes have all of it again"


def test_an_ami_without_the_image_is_stale(cluster: Cluster, tmp_path: Path) -> None:
    record = recorded(cluster, tmp_path, preload=(), volume=None, tls=False)
    DigestFile(tmp_path / "container.auto.tfvars.json").record("v1", DIGEST)
    (problem,) = stale_images(cluster, record)
    assert problem.severity is Severity.WARNING
    assert problem.message.endswith(
        "is stale: the way to mount changed, the container image to preload changed, the size of "
        "the root volume changed"
    )
    # The role of builders gets the right to pull from the apply.
    assert problem.hint == (
        "run mngen apply, which lets builders pull the container images, then mngen bake; until "
        "then, nodes start from the old AMI"
    )


def test_an_image_of_another_repository_needs_an_apply_first(
    cluster: Cluster, tmp_path: Path
) -> None:
    record = recorded(cluster, tmp_path)
    DigestFile(tmp_path / "container.auto.tfvars.json").record("v1", DIGEST)
    text = SPEC.replace("nodes: 4, command: [wave]", f"command: [wave], image: '{OTHER}'")
    (problem,) = stale_images(loaded(text), record)
    assert problem.severity is Severity.INFO
    assert str(problem.hint).startswith("run mngen apply, which lets builders pull")


@pytest.mark.parametrize("preload", [True, False])
def test_a_root_volume_below_the_snapshot_is_an_error_on_its_line(
    tmp_path: Path, *, preload: bool
) -> None:
    # EC2: "Volume of size 40GB is smaller than snapshot 'snap-…', expect size >= 50GB".
    record = recorded(loaded(SPEC), tmp_path)
    text = SPEC.replace("root_volume: 50", "root_volume: 40")
    if not preload:
        text = text.replace("image: {preload: true}\n", "")
    spec = load_text(text.encode(), "mngen.yaml")
    error, stale = stale_images(require(spec, load_catalog()), record, spec.document)
    assert error.severity is Severity.ERROR
    assert error.message == (
        "the root volume of `same` is smaller than the snapshot of the AMI `m5.12xlarge` "
        f"({AMI}), which has 50 GiB: EC2 starts no node"
    )
    assert error.position
    assert text.splitlines()[error.position.line - 1].startswith("  same:")
    assert "before mngen apply" in str(error.hint)
    assert (stale.severity, stale.hint) == (Severity.WARNING, "run mngen bake")


def test_the_playbook_counts_for_amis_that_it_is_played_for(tmp_path: Path) -> None:
    (tmp_path / "image.yml").write_text("- hosts: all\n")
    (tmp_path / "roles/preload/files").mkdir(parents=True)
    before = playbooks_digest(tmp_path), playbooks_digest(tmp_path, preload=True)
    (tmp_path / "preload.yml").write_text("- hosts: all\n")
    (tmp_path / "roles/preload/files/x.sh").write_text("exit\n")
    assert playbooks_digest(tmp_path) == before[0]
    assert playbooks_digest(tmp_path, preload=True) != before[1]


@pytest.mark.parametrize(("gib", "said"), [(4, 0), (10, 1)])
def test_a_large_image_is_said_before_the_bake(gib: int, said: int) -> None:
    stored = Stored((), DIGEST, gib * 1024**3, None)
    with logged() as lines:
        check_size(stored, 50)
    assert len(lines) == said
    assert all("no space is left on the root volume of 50 GiB" in line for line in lines)


def test_an_image_that_cannot_fit_is_refused() -> None:
    stored = Stored((), DIGEST, 51 * 1024**3, None)
    with pytest.raises(InputError, match=r"has 51\.0 GiB, compressed") as caught:
        check_size(stored, 50)
    assert "raise `root_volume` of the environments" in str(caught.value.problems[0].hint)
