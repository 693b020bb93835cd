"""A deployment whose first apply is done, as far as baking is concerned, on the sandbox."""

from __future__ import annotations

import os
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.catalog import load_catalog
from mngen.cluster import AmiFile
from mngen.images import Options, Site
from mngen.render import Deployment, render
from mngen.rules import require
from mngen.spec import load_text
from tests.support.needs import skip_without
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.cluster import Cluster
    from mngen.sandbox import Sandbox

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
    - name: Write the message
      ansible.builtin.template:
        src: motd.j2
        dest: /etc/motd
        mode: "0644"

    - name: Ask the licence server
      ansible.builtin.command: sh -c "echo no answer >&2; exit 3"
      when: mngen_image == "m4.4xlarge"
      changed_when: false
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
    """Skip where the sandbox can have no machines, or there is no Ansible."""
    skip_without("demo-bake")


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


# Bakes as `mngen bake` does, without Terraform: what is killed or interrupted is a real process.
_SCRIPT = """
import pickle, sys
from pathlib import Path
from mngen.cluster import AmiFile
from mngen.images import Cancel, bake, choose_engine, look
from mngen.cli._bake import _interrupts
cluster, site, tree, record, options = pickle.loads(Path(sys.argv[1]).read_bytes())
record = AmiFile(record)
cancel = Cancel()
survey = look(cluster, site, tree=tree, record=record)
with _interrupts(cancel):
    result = bake(survey, record=record, engine=choose_engine(sys.argv[2]), options=options,
                  cancel=cancel, on_progress=lambda name, stage: print(name, stage, flush=True))
for problem in [*result.problems, *(p for o in result.outcomes for p in o.problems)]:
    print("problem:", problem.message, flush=True)
sys.exit(130 if result.interrupted else 3 if any(o.id is None for o in result.outcomes) else 0)
"""


def bake_command(deployed: Deployed, engine: str) -> list[str]:
    """Return a command that bakes a deployment in a separate process."""
    import pickle

    parts = (
        deployed.cluster,
        deployed.site,
        deployed.tree,
        deployed.record.path,
        deployed.options,
    )
    file = deployed.folder / "deployed.pickle"
    file.write_bytes(pickle.dumps(parts))
    return [sys.executable, "-c", textwrap.dedent(_SCRIPT), str(file), engine]


def environment(sandbox_environment: dict[str, str], folder: Path) -> dict[str, str]:
    """Return the environment for such a command."""
    return {
        **sandbox_environment,
        "HOME": str(folder),
        # Ansible itself refuses to run in it.
        "LC_ALL": "C",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_STATE_HOME": str(folder / "state"),
    }
