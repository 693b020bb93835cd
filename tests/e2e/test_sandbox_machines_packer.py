"""Real Packer and real Ansible bake images of the sandbox's machines, over ssh."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.sandbox import MACHINE_SSH_PORT, Sandbox, prepare_machines
from tests.support.builders import base_ami
from tests.support.faults import Faults
from tests.support.needs import skip_without
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("machines")

# Packer that has its plugins built in cannot read the block that newer ones need.
BUILT_IN = (1, 6)

TEMPLATE = """
variable "endpoint" { type = string }
variable "base" { type = string }
variable "ssh_port" { type = number }
variable "ansible" { type = string }
variable "name" { type = string }

source "amazon-ebs" "image" {
  region                  = "us-east-1"
  custom_endpoint_ec2     = var.endpoint
  source_ami              = var.base
  instance_type           = "t3.micro"
  ami_name                = var.name
  ssh_username            = "ec2-user"
  ssh_interface           = "private_ip"
  ssh_port                = var.ssh_port
  ssh_timeout             = "5m"
  temporary_key_pair_type = "ed25519"

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 30
    iops                  = 3000
    throughput            = 125
    encrypted             = true
    delete_on_termination = true
  }

  run_tags        = { "mngen:image" = var.name }
  run_volume_tags = { "mngen:image" = var.name }
  snapshot_tags   = { "mngen:image" = var.name }
  tags            = { "mngen:image" = var.name }
}

build {
  sources = ["source.amazon-ebs.image"]

  provisioner "ansible" {
    command       = var.ansible
    playbook_file = "${path.root}/image.yml"
    user          = "ec2-user"
    use_proxy     = false

    # Each check takes two starts of Ansible; without one, Packer writes an inventory for Ansible 1.
    skip_version_check      = true
    inventory_file_template = "builder ansible_host={{ .Host }} ansible_port={{ .Port }}\\n"

    extra_arguments = ["--user", "ec2-user"]
    ansible_env_vars = [
      "ANSIBLE_HOST_KEY_CHECKING=False",
      "ANSIBLE_PIPELINING=True",
      "ANSIBLE_SSH_ARGS=-F none -o ControlMaster=no -o UserKnownHostsFile=/dev/null",
    ]
  }
}
"""

PLAYBOOK = """
- hosts: all
  become: true
  gather_facts: false
  tasks:
    - ansible.builtin.raw: echo baked >/etc/baked
"""


@pytest.fixture(scope="module")
def faults(sandbox: Sandbox) -> Iterator[Faults]:
    """The sandbox behind a port that keeps what Packer asks of it."""
    skip_without("machines", "packer")
    version = subprocess.run(["packer", "version"], capture_output=True, text=True, check=True)
    found = re.search(r"v(\d+)\.(\d+)", version.stdout)
    if found is None or tuple(map(int, found.groups())) > BUILT_IN:
        pytest.skip("this packer would fetch its plugins from the network")
    prepare_machines()
    with Faults(sandbox.endpoint) as running:
        yield running


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "image.yml").write_text(PLAYBOOK, encoding="utf-8")
    path = tmp_path / "image.pkr.hcl"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


def bake(faults: Faults, template: Path, base: str, name: str) -> subprocess.CompletedProcess[str]:
    home = template.parent / name
    home.mkdir()
    environment = {
        **faults.environment(),
        # How often and how fast Packer asks whether something is ready.
        "AWS_MAX_ATTEMPTS": "300",
        "AWS_POLL_DELAY_SECONDS": "1",
        "CHECKPOINT_DISABLE": "1",
        "HOME": str(home),
        "PACKER_CONFIG_DIR": str(home),
    }
    variables = {
        "ansible": str(Path(sys.executable).with_name("ansible-playbook")),
        "base": base,
        "endpoint": faults.endpoint,
        "name": name,
        "ssh_port": str(MACHINE_SSH_PORT),
    }
    given = [word for key, value in variables.items() for word in ("-var", f"{key}={value}")]
    return subprocess.run(
        ["packer", "build", "-color=false", *given, template],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def tagged(name: str) -> list[dict[str, Any]]:
    return [{"Name": "tag:mngen:image", "Values": [name]}]


def test_it_bakes_two_at_once_and_leaves_nothing(
    faults: Faults, sandbox: Sandbox, template: Path
) -> None:
    ec2, base, names = client(sandbox, "ec2"), base_ami(sandbox), ["packed-one", "packed-two"]
    groups = len(ec2.describe_security_groups()["SecurityGroups"])
    pairs = len(ec2.describe_key_pairs()["KeyPairs"])
    with ThreadPoolExecutor(len(names)) as pool:
        done = list(pool.map(lambda name: bake(faults, template, base, name), names))
    assert [each.returncode for each in done] == [0, 0], "".join(
        each.stdout[-3000:] + each.stderr[-3000:] for each in done
    )
    for name in names:
        (image,) = ec2.describe_images(Owners=["self"], Filters=tagged(name))["Images"]
        baked = sandbox.image_folder(image["ImageId"]) / "etc/baked"
        assert baked.read_text(encoding="utf-8") == "baked\n"
        disk = image["BlockDeviceMappings"][0]["Ebs"]
        assert disk["Encrypted"] is True
        (snapshot,) = ec2.describe_snapshots(OwnerIds=["self"], Filters=tagged(name))["Snapshots"]
        assert snapshot["SnapshotId"] == disk["SnapshotId"]
        assert ec2.describe_volumes(Filters=tagged(name))["Volumes"] == []
        (reservation,) = ec2.describe_instances(Filters=tagged(name))["Reservations"]
        assert reservation["Instances"][0]["State"]["Name"] == "terminated"
    assert len(ec2.describe_security_groups()["SecurityGroups"]) == groups
    assert len(ec2.describe_key_pairs()["KeyPairs"]) == pairs
    assert {call.service for call in faults.calls} == {"ec2"}


def test_it_is_told_what_aws_refuses(faults: Faults, sandbox: Sandbox, template: Path) -> None:
    faults.fail("ec2:RunInstances", "UnauthorizedOperation", "Not you.", status=403)
    done = bake(faults, template, base_ami(sandbox), "refused")
    faults.clear()
    assert done.returncode == 1
    assert "UnauthorizedOperation: Not you." in done.stdout
    assert client(sandbox, "ec2").describe_images(Filters=tagged("refused"))["Images"] == []
