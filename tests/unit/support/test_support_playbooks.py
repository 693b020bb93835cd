"""Runs of playbooks: forked as good as started, and what came out for each host."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from mngen.images._ansible import LOCALE
from tests.support.needs import skip_without
from tests.support.playbooks import PROGRAM, Play, outcomes, server

if TYPE_CHECKING:
    from pathlib import Path

# As ansible-core 2.19 prints it.
PRINTED = """\
TASK [efa : Fetch the EFA installer] *******************************************
changed: [sound]
[ERROR]: Task failed: Module failed: non-zero return code
Origin: /playbooks/roles/efa/tasks/main.yml:6:3
fatal: [another]: FAILED! => {"changed": true, "msg": "is not signed\\nso it was not run"}
fatal: [gone]: UNREACHABLE! => {"changed": false, "msg": "no route", "unreachable": true}

PLAY RECAP *********************************************************************
another                    : ok=5    changed=0    unreachable=0    failed=1    skipped=1
gone                       : ok=1    changed=0    unreachable=1    failed=0    skipped=0
sound                      : ok=6    changed=12   unreachable=0    failed=0    skipped=1
"""


def test_each_host_has_what_was_printed_of_it() -> None:
    found = outcomes(PRINTED)
    assert found["sound"] == Play(0, "", 12)
    assert (found["another"].code, found["another"].changed) == (2, 0)
    assert "is not signed so it was not run" in found["another"].words
    assert found["gone"].code == 2
    assert found["gone"].output.startswith("UNREACHABLE! => ")
    assert found.keys() == {"another", "gone", "sound"}


# What Ansible took from its configuration: when it was imported, when it read its arguments, and in
# the process of a task.
PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "{{ query('ansible.builtin.config', 'DEFAULT_TIMEOUT', 'DEFAULT_FORKS') }}
          {{ lookup('ansible.builtin.env', 'SEEN') }} {{ ansible_forks }}"
    - ansible.builtin.raw: echo "$SEEN"; exit {{ code }}
    - ansible.builtin.debug:
      when: false
"""
CONFIG = """\
[defaults]
display_skipped_hosts = false
forks = 3
"""


@pytest.mark.parametrize("code", [0, 7])
def test_a_forked_run_is_as_a_started_one(code: int, tmp_path: Path) -> None:
    skip_without("playbook")
    playbook, config = tmp_path / "playbook.yml", tmp_path / "ansible.cfg"
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    config.write_text(CONFIG, encoding="utf-8")
    command = [str(PROGRAM), "-i", "here,", "-c", "local", "-e", f"code={code}", str(playbook)]
    environment = {name: text for name, text in os.environ.items() if "ANSIBLE" not in name}
    environment |= LOCALE | {
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_TIMEOUT": "41",
        "SEEN": "é",
    }
    forked = server().run(command, cwd=tmp_path, environment=environment, timeout=300)
    started = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert (forked.returncode, forked.stderr) == (started.returncode, started.stderr)
    assert forked.stdout == started.stdout
    assert '"msg": "[41, 3] é 3"' in started.stdout
    assert started.returncode == (2 if code else 0)
    # Where the configuration has them, and gone.
    assert [*(tmp_path / "home/tmp").iterdir()] == []
