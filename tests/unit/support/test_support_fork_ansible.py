"""What forks of Ansible find there already is what Ansible itself would read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """\
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


def test_where_modules_are(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parents[3],
        env={"HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
