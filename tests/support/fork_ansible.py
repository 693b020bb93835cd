"""The program that forks for each run of a playbook; `tests.support.playbooks` starts and asks it.

To import Ansible takes 0.4 s of processor time. What differs from a start, besides what
`tests.support.forked` lists:

- Plugins of the user are not found, for which Ansible looks below ANSIBLE_HOME.
- What Ansible's own plugins document, and where its modules are, is read already.
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
    *("action.script", "action.set_fact", "action.shell", "filter.core", "filter.mathstuff"),
    *("lookup.file", "lookup.template", "strategy.linear", "test.core", "test.mathstuff"),
    *("cache.memory", "callback.oneline", "connection._paramiko_ssh", "inventory.auto"),
    *("inventory.host_list", "inventory.ini", "inventory.toml"),
)
# Likewise; these have settings.
_WITH_SETTINGS = (
    *("become.runas", "become.su", "become.sudo", "callback.default"),
    *("callback.junit", "callback.minimal", "callback.tree", "connection.local"),
    *("connection.paramiko_ssh", "connection.psrp", "connection.ssh", "connection.winrm"),
    *("inventory.script", "inventory.yaml", "shell.cmd", "shell.powershell"),
    *("shell.sh", "vars.host_group_vars"),
)

Settings = list[tuple[str, str, Any]]
"""Kind and name of a plugin, and its settings as its documentation defines them."""


def load() -> Settings:
    """Import what a run of the playbooks imports; return the settings of plugins.

    Ansible reads its configuration when it is imported, and makes a temporary folder, which is gone
    at the end.
    """
    for name in [each for each in os.environ if each.startswith("ANSIBLE_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as home:
        os.environ["ANSIBLE_HOME"] = home
        import_module("ansible.cli.playbook")
        for name in ("playbook.handler_task_include", *(f"plugins.{each}" for each in _PLUGINS)):
            import_module(f"ansible.{name}")
        settings = _read_settings()
    _read_routes()
    # As where it was not asked for: the environment of a fork may have another.
    tempfile.tempdir = None
    return settings


def _read_settings() -> Settings:
    """Read the documentation of plugins once: YAML that takes 40 ms of each run."""
    constants: Any = import_module("ansible.constants")
    loaders: Any = import_module("ansible.plugins.loader")
    found = []
    for each in _WITH_SETTINGS:
        kind, name = each.split(".")
        module = import_module(f"ansible.plugins.{each}")
        getattr(loaders, f"{kind}_loader")._load_config_defs(name, module, module.__file__)
        found.append((kind, name, constants.config.get_configuration_definitions(kind, name)))
    return found


def _read_routes() -> None:
    """Read once where Ansible's own modules are: 370 KB of YAML, 55 ms of each run.

    Ansible lets others replace the function, and passes an ID of the content for a cache.
    """
    finder: Any = import_module("ansible.utils.collection_loader._collection_finder")
    finder._meta_yml_to_dict = cache(finder._meta_yml_to_dict)
    file = Path(finder.__file__).parents[2] / "config" / "ansible_builtin_runtime.yml"
    finder._meta_yml_to_dict(file.read_bytes(), ("ansible.builtin", "runtime.yml"))


def main(control: int) -> None:
    """Fork for each request, and run `ansible-playbook` in each fork.

    Args:
        control: The file descriptor of a socket; see `tests.support.fork_server.Server`.
    """
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.support.fork_server import end, serve

    del sys.path[0]
    gc.disable()
    settings = load()
    serve(control)
    constants: Any = import_module("ansible.constants")
    # With the configuration of the fork's environment.
    reload(constants)
    for kind, name, definitions in settings:
        constants.config.initialize_plugin_configuration_definitions(kind, name, definitions)
    end(import_module("ansible.cli.playbook").main)


if __name__ == "__main__":
    main(int(sys.argv[1]))
