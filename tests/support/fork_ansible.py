"""The program that forks for each run of a playbook; `tests.support.playbooks` starts and asks it.

To import Ansible takes 0.4 s of processor time. What differs from a start, besides what
`tests.support.forked` lists:

- Plugins of the user are not found, for which Ansible looks below ANSIBLE_HOME.
- Python's garbage collector is off: a run is over before it is missed.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from functools import cache
from importlib import import_module, reload
from pathlib import Path
from typing import Any

# What Ansible imports only when it is used, by the playbooks at least.
_PLUGINS = (
    *("action.assert", "action.command", "action.fail", "action.normal", "action.raw"),
    *("action.script", "action.set_fact", "action.shell"),
    *("become.sudo", "callback.default", "callback.junit", "connection.ssh", "filter.core"),
    *("filter.mathstuff", "lookup.file", "lookup.template", "shell.sh", "strategy.linear"),
    *("test.core", "test.mathstuff"),
)


def load() -> None:
    """Import what a run of the playbooks imports.

    Ansible reads its configuration when it is imported, and makes a temporary folder, which is gone
    at the end.
    """
    for name in [each for each in os.environ if each.startswith("ANSIBLE_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as home:
        os.environ["ANSIBLE_HOME"] = home
        import_module("ansible.cli.playbook")
        for name in _PLUGINS:
            import_module(f"ansible.plugins.{name}")
    _read_routes()
    # As where it was not asked for: the environment of a fork may have another.
    tempfile.tempdir = None


def _read_routes() -> None:
    """Read once where Ansible's own modules are: 370 KB of YAML, 55 ms of each run.

    Ansible lets others replace the function, and passes an ID of the content for a cache.
    """
    finder: Any = import_module("ansible.utils.collection_loader._collection_finder")
    finder._meta_yml_to_dict = cache(finder._meta_yml_to_dict)
    file = (
        Path(import_module("ansible").__file__ or "").parent / "config/ansible_builtin_runtime.yml"
    )
    finder._meta_yml_to_dict(file.read_bytes(), ("ansible.builtin", "runtime.yml"))


def main(control: int) -> None:
    """Fork for each request, and run `ansible-playbook` in each fork.

    Args:
        control: The file descriptor of a socket; see `tests.support.fork_server.Server`.
    """
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.support.fork_server import end, serve

    del sys.path[0]
    load()
    serve(control)
    gc.disable()
    constants = import_module("ansible.constants")
    # With the configuration of the fork's environment.
    reload(constants)
    end(import_module("ansible.cli.playbook").main)


if __name__ == "__main__":
    main(int(sys.argv[1]))
