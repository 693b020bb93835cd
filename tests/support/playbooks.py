"""Runs the playbooks as a user does: ansible-playbook, in a separate process.

That is forked from one that has Ansible loaded. Tests of baking start the program itself.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen._resources import playbooks
from mngen.images._ansible import LOCALE, SECONDS_TO_CONNECT
from mngen.sandbox.machines._root import _SOURCES, USER
from tests.support.forked import server_of
from tests.support.machines import ssh_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.forked import ForkServer
    from tests.support.machines import Machine

_SERVER = Path(__file__).with_name("fork_ansible.py")

PROGRAM = Path(sys.executable).with_name("ansible-playbook")

CONFIG = "[defaults]\ninternal_poll_interval = 0.01\n"
"""A configuration for Ansible, which looks each millisecond whether a task is done: that takes 2 %
of a processor."""


def keep_code(folder: Path) -> Path:
    """Have Python keep what it compiles of zip files, as emulated instances do.

    Args:
        folder: Where to write what does that, to be named in ``PYTHONPATH``.

    Returns:
        The folder with what it keeps, made when there is something.
    """
    kept = folder / "kept"
    text = (_SOURCES / "zip_imports.py").read_text(encoding="utf-8")
    assert text.count('"/run/mngen-compiled"') == 1
    text = text.replace('"/run/mngen-compiled"', repr(str(kept)))
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return kept


@dataclass(frozen=True)
class Play:
    """What came out of a run.

    Attributes:
        code: The exit code.
        output: What it printed: standard output, then standard error.
        changed: How many tasks changed something; 0 where it reached no machine.
    """

    code: int
    output: str
    changed: int

    @property
    def words(self) -> str:
        """The output with each run of white space as one space, however it was wrapped."""
        return " ".join(self.output.replace("\\n", " ").split())


def variables(base: str, **others: Any) -> dict[str, Any]:
    """Return a complete set of variables."""
    return {
        "mngen_base": base,
        "mngen_efs_id": "fs-0123456789abcdef0",
        "mngen_efs_dns_name": "fs-0123456789abcdef0.efs.us-east-1.amazonaws.com",
        "mngen_efs_mount": "/efs",
        "mngen_efs_tls": True,
        "mngen_nr_cpus": 48,
        "mngen_efa": False,
        "mngen_gpu": False,
        "mngen_scratch": "",
        "mngen_image": "r5-24xlarge",
        "mngen_version": "1.2.3",
        "mngen_arch": "x86_64",
        **others,
    }


def server() -> ForkServer:
    """Return what forks for each run."""
    return server_of(_SERVER, {**os.environ, **LOCALE})


def play(
    folder: Path,
    extra: dict[str, Any],
    *arguments: str,
    machine: Machine | None = None,
    playbook: str = "image.yml",
) -> Play:
    """Run a playbook, on a machine or on none.

    Args:
        folder: Where Ansible keeps its own files.
        extra: The variables, passed in a file.
        arguments: Further ones for ansible-playbook.
        machine: Without one, the host is an address that nothing listens on.
        playbook: Its file.
    """
    file = folder / "vars.json"
    file.write_text(json.dumps(extra), encoding="utf-8")
    config = folder / "ansible.cfg"
    config.write_text(CONFIG, encoding="utf-8")
    env = {name: text for name, text in os.environ.items() if not name.startswith("ANSIBLE_")}
    env |= LOCALE | {
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SSH_ARGS": " ".join(ssh_options(machine)) if machine else "",
        "ANSIBLE_TIMEOUT": str(SECONDS_TO_CONNECT),
    }
    address = machine.address if machine else "127.0.0.1"
    command = [str(PROGRAM), "-i", f"{address},", "-u", USER, str(playbooks() / playbook)]
    done = server().run(
        [*command, "-e", f"@{file}", *arguments], cwd=folder, environment=env, timeout=900
    )
    output = done.stdout + done.stderr
    recap = re.search(r"\bchanged=(\d+)", output)
    return Play(done.returncode, output, int(recap[1]) if recap else 0)


def play_each(
    folder: Path,
    hosts: Mapping[str, dict[str, Any]],
    *arguments: str,
    machine: Machine | None = None,
) -> tuple[Play, dict[str, Play]]:
    """Run a playbook once for several hosts: in each task one after the other, in their order.

    That takes one start of Ansible, for what would take one each.

    Args:
        folder: Where Ansible keeps its own files.
        hosts: The variables of each host, by its name.
        arguments: Further ones for ansible-playbook.
        machine: What all hosts are; without one, they cannot be reached.

    Returns:
        What came out of it all, and for each, with what Ansible printed of the task that failed.
    """
    reached = {"ansible_host": machine.address} if machine else {}
    inventory = folder / "hosts.json"
    listed = {name: {**extra, **reached} for name, extra in hosts.items()}
    inventory.write_text(json.dumps({"all": {"hosts": listed}}), encoding="utf-8")
    address = machine.address if machine else "127.0.0.1"
    only = ("--inventory", str(inventory), "--limit", f"!{address}", "--forks", "1")
    done = play(folder, {}, *only, *arguments, machine=machine)
    return done, outcomes(done.output)


def outcomes(output: str) -> dict[str, Play]:
    """Return what came out for each host of a run, from what Ansible printed."""
    failed = dict(re.findall(r"^fatal: \[(.+?)\]: (.*)$", output, re.MULTILINE))
    counts = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+) ", output, re.MULTILINE)
    return {
        name: Play(2 if name in failed else 0, failed.get(name, ""), int(changed))
        for name, changed in counts
    }
