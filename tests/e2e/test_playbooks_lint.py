"""ansible-lint's strictest profile has nothing to say about the playbooks.

It gets their files, not their folder: for a folder, it starts Ansible to check the syntax of each
role alone, which the playbooks that import it show as well. What it checks of a role's folder is
tested here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from mngen._resources import playbooks
from mngen.images._ansible import LOCALE

PROGRAM = Path(sys.executable).with_name("ansible-lint")


def test_ansible_lint_has_something_to_say_of_a_control_alone(tmp_path: Path) -> None:
    control = tmp_path / "control.yml"
    control.write_text("- hosts: all\n  tasks:\n    - shell: echo\n", encoding="utf-8")
    # ansible-lint finds ansible on PATH, and keeps its cache in the folder that it runs in.
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    config = playbooks() / ".ansible-lint"
    files = [path for path in playbooks().rglob("*") if path.is_file()]
    options = ("--offline", "--nocolor", "--strict", "--format", "pep8", "-c", str(config))
    done = subprocess.run(
        [str(PROGRAM), *options, *map(str, files), str(control)],
        cwd=tmp_path,
        env=os.environ
        | LOCALE
        | {"PATH": path, "HOME": str(tmp_path), "ANSIBLE_HOME": str(tmp_path / "ansible")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    said = done.stdout.splitlines()
    assert [line for line in said if not line.startswith("control.yml:")] == []
    assert any("no-changed-when" in line for line in said)
    assert "Profile 'production' was required" in done.stderr
    counted = re.search(r"in (\d+) files processed", done.stderr)
    assert counted
    assert int(counted[1]) > len(list(playbooks().rglob("*.yml")))


def test_roles_are_named_as_galaxy_asks_and_each_is_imported() -> None:
    """What ansible-lint tells of a role's folder, see its rule role-name, and what its syntax
    check of a playbook stands on."""
    roles = {role.name for role in (playbooks() / "roles").iterdir()}
    assert [name for name in roles if not re.fullmatch("[a-z][a-z0-9_]*", name)] == []
    imported: set[str] = set()
    for playbook in playbooks().glob("*.yml"):
        text = playbook.read_text(encoding="utf-8")
        imported |= set(re.findall(r"import_role:\n +name: (\w+)$", text, re.MULTILINE))
    assert imported == roles
