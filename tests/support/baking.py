"""A deployment whose first apply is done, as far as baking is concerned, on the sandbox."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.catalog import load_catalog
from mngen.cluster import AmiFile
from mngen.images import Options, Site
from mngen.render import Deployment, render
from mngen.rules import require
from mngen.sandbox import prepare_machines
from mngen.spec import load_text
from tests.support.needs import skip_without
from tests.support.playbooks import CONFIG
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.cluster import Cluster
    from mngen.sandbox import Sandbox

_PROGRAM = Path(__file__).with_name("bake_deployment.py")

REGION = "us-east-1"
EFS = "fs-0123456789abcdef0"

# What a bake does on a builder, in one task: enough where it matters how a bake goes, not what it
# bakes. A module would have to be packed for the builder, and to start Python there.
SHORT_PLAYBOOK = """\
---
- name: Bake
  hosts: all
  become: true
  gather_facts: false
  tasks:
    - name: Write what was asked for
      ansible.builtin.raw: echo "{{ mngen_image }} {{ mngen_nr_cpus }}" >/etc/baked
"""


# A playbook of the spec, which fails on one image.
OWN_PLAYBOOK = b"""\
- name: Greet who logs in
  hosts: all
  become: true
  gather_facts: false
  tasks:
    - name: Ask the licence server
      ansible.builtin.command: sh -c "echo no answer >&2; exit 3"
      when: mngen_image == "m4.4xlarge"
      changed_when: false

    - name: Write the message
      ansible.builtin.template:
        src: motd.j2
        dest: /etc/motd
        mode: "0644"
"""
OWN_FILES = {
    "bake/site.yml": OWN_PLAYBOOK,
    "bake/templates/motd.j2": b"This node starts from {{ mngen_image }}.\n",
}


def spec_text(*types: str, name: str = "seismic", more: str = "") -> str:
    """Return a spec with an environment for each instance type."""
    environments = "".join(
        f"  e{number}: {{instance: {each}, max_nodes: 4}}\n" for number, each in enumerate(types)
    )
    return (
        f"name: {name}\nregion: {REGION}\n{more}environments:\n{environments}"
        "queues:\n  q: {environments: [e0]}\n"
    )


def require_machines() -> None:
    """Skip where the sandbox can have no machines, or there is no Ansible.

    Else make what they start from: a bake waits less long for an instance than that may take.
    """
    skip_without("demo-bake")
    prepare_machines()


class Deployed:
    """One deployment.

    Attributes:
        cluster: Its cluster.
        site: What a first apply would have made.
        tree: The rendered tree.
        record: Its record of AMIs.
        options: How its builders are reached.
        ec2: A client of the sandbox's EC2.
    """

    def __init__(self, folder: Path, sandbox: Sandbox, text: str, *, short: bool) -> None:
        self.folder = folder
        loaded = load_text(text.encode(), files=OWN_FILES)
        self.cluster: Cluster = require(loaded, load_catalog())
        self.tree = folder / "deploy"
        Deployment(self.tree).write(render(self.cluster))
        if short:
            playbook = self.tree / "playbooks" / "image.yml"
            playbook.write_text(SHORT_PLAYBOOK, encoding="utf-8")
        self.record = AmiFile(self.tree / "terraform" / "amis.auto.tfvars.json")
        self.options = Options.for_sandbox()
        self.ec2: Any = client(sandbox, "ec2", REGION)
        self.site = self._site(sandbox)

    def _site(self, sandbox: Sandbox) -> Site:
        name = self.cluster.spec.name
        vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = {
            each["AvailabilityZone"]: each["SubnetId"]
            for each in self.ec2.describe_subnets()["Subnets"]
        }
        group = self.ec2.create_security_group(GroupName=name, Description="nodes", VpcId=vpc)
        client(sandbox, "iam", REGION).create_instance_profile(InstanceProfileName=name)
        return Site(
            efs_id=EFS,
            efs_dns_name=f"{EFS}.efs.{REGION}.amazonaws.com",
            vpc_id=vpc,
            subnets=dict(sorted(subnets.items())[:2]),
            security_group_ids=(group["GroupId"],),
            instance_profile=name,
        )

    @property
    def parts(self) -> tuple[Cluster, Site, Path, Path, Options]:
        """What `bake_deployment` takes."""
        return self.cluster, self.site, self.tree, self.record.path, self.options

    def linger(self, *images: str) -> None:
        """Let the playbook stay in its first task on some builders: without names r5.12xlarge's."""
        playbook = self.tree / "playbooks" / "image.yml"
        text = playbook.read_text(encoding="utf-8")
        named = list(images or ("r5.12xlarge",))
        asleep = f"sleep {{{{ 600 if mngen_image in {named} else 0 }}}}; echo"
        playbook.write_text(text.replace("raw: echo", f"raw: {asleep}"), encoding="utf-8")

    def left(self) -> list[str]:
        """List what is there of bakes that cost money or stand in the way: ids and names."""
        from mngen.images import find_leftovers

        return [each.id for each in find_leftovers(self.ec2, self.cluster.spec.name)]


@contextmanager
def private_state(folder: Path) -> Iterator[None]:
    """Keep the logs and locks of bakes in a folder of the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield


def bake_command(deployed: Deployed, engine: str) -> list[str]:
    """Return a command that bakes a deployment in a separate process."""
    import pickle

    file = deployed.folder / "deployed.pickle"
    file.write_bytes(pickle.dumps(deployed.parts))
    return [sys.executable, "-P", str(_PROGRAM), str(file), engine]


def environment(sandbox_environment: dict[str, str], folder: Path) -> dict[str, str]:
    """Return the environment for such a command."""
    config = folder / "ansible.cfg"
    config.write_text(CONFIG, encoding="utf-8")
    return {
        **sandbox_environment,
        "ANSIBLE_CONFIG": str(config),
        "HOME": str(folder),
        # Ansible itself refuses to run in it.
        "LC_ALL": "C",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_STATE_HOME": str(folder / "state"),
    }
