"""ansible-lint's strictest profile has nothing to say about the playbooks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mngen._resources import playbooks
from mngen.images._ansible import LOCALE

PROGRAM = Path(sys.executable).with_name("ansible-lint")


def lint(folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    # ansible-lint finds ansible on PATH, and keeps its cache in the folder that it runs in.
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    config = playbooks() / ".ansible-lint"
    return subprocess.run(
        [PROGRAM, "--offline", "--nocolor", "--strict", "-c", config, folder],
        cwd=home,
        env=os.environ
        | LOCALE
        | {"PATH": path, "HOME": str(home), "ANSIBLE_HOME": str(home / "ansible")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_ansible_lint_has_nothing_to_say(tmp_path: Path) -> None:
    done = lint(playbooks(), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Profile 'production' was required, and it passed." in done.stderr


def test_ansible_lint_would_say_it(tmp_path: Path) -> None:
    book = tmp_path / "book.yml"
    book.write_text("- hosts: all\n  tasks:\n    - shell: echo\n", encoding="utf-8")
    done = lint(book, tmp_path)
    assert done.returncode == 2
    assert "no-changed-when" in done.stdout
