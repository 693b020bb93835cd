"""A run of a playbook that is forked does what a started one does, and knows what that reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mngen.images._ansible import LOCALE
from tests.support.needs import skip_without
from tests.support.playbooks import PROGRAM, server

ROUTES = """\
from pathlib import Path
import ansible
from tests.support import fork_ansible
fork_ansible.load()
from ansible.utils.collection_loader import _collection_finder as finder, _collection_meta as meta
counted = finder._meta_yml_to_dict
assert counted.cache_info().misses == 1
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
import ansible_collections.ansible.builtin as builtin
assert counted.cache_info()[:2] == (1, 1)
file = Path(ansible.__file__).parent / "config" / "ansible_builtin_runtime.yml"
assert counted(file.read_bytes(), ("ansible.builtin", "runtime.yml")) == (
    meta._meta_yml_to_dict(file.read_bytes(), None)
)
assert builtin._collection_meta["plugin_routing"]["modules"]
"""


# A run reads the same.
SETTINGS = """\
import sys
from importlib import import_module, reload
from pathlib import Path
from tests.support import fork_ansible
settings = fork_ansible.load()
assert all(definitions for _, _, definitions in settings)
constants = import_module("ansible.constants")
playbook = Path(sys.argv[1], "play.yml")
playbook.write_text("- {hosts: all, gather_facts: false, tasks: [debug: {msg: done}]}")
sys.argv = ["ansible-playbook", "-i", "a,", "-c", "local", str(playbook)]
reload(constants)
try:
    import_module("ansible.cli.playbook").main()
except SystemExit as ended:
    assert ended.code == 0
known = {(kind, name): definitions for kind, name, definitions in settings}
read = {
    (kind, name): definitions
    for kind, plugins in constants.config._plugins.items()
    for name, definitions in plugins.items()
}
assert len(known) == len(settings)
both = known.keys() & read.keys()
assert len(both) > 15, sorted(read)
for each in both:
    assert known[each] == read[each], each
"""


def test_where_modules_are(tmp_path: Path) -> None:
    check(ROUTES, tmp_path)


def test_settings_of_plugins(tmp_path: Path) -> None:
    check(SETTINGS, tmp_path)


def check(script: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=Path(__file__).parents[2],
        env={"HOME": str(folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


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
