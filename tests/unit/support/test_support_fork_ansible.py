"""What forks of Ansible find there already is what Ansible itself would read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
        cwd=Path(__file__).parents[3],
        env={"HOME": str(folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
