"""The shell functions that the scripts of the playbooks share."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from mngen._resources import playbooks

if TYPE_CHECKING:
    from pathlib import Path

VARS = playbooks() / "roles" / "bootstrap" / "vars" / "main.yml"
# Without what only root can do.
PUT = """
put() {
  if [ ! -f "$2" ] || [ "$(base64 -w 0 "$2")" != "$3" ]; then
    echo "$3" | base64 -d >"$2"
    echo "wrote $1"
  fi
}
"""
MOUNT = "^[[:space:]]*[^#[:space:]][^[:space:]]*[[:space:]]+/efs[.]x[[:space:]]"
LINE = r"fs-1:/ /efs.x efs a\nb,'c' 0 0"


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, f"{LINE}\n"),
        ("", f"{LINE}\n"),
        ("UUID=1 / xfs\n", f"UUID=1 / xfs\n{LINE}\n"),
        # A last line without its newline.
        ("UUID=1 / xfs", f"UUID=1 / xfs\n{LINE}\n"),
        ("# fs-0:/ /efs.x efs\n /efs-x\n", f"# fs-0:/ /efs.x efs\n /efs-x\n{LINE}\n"),
        # Of several, the last.
        ("a /efs.x b\n  c\t/efs.x d\n\nlast\n", f"a /efs.x b\n{LINE}\n\nlast\n"),
        (f"first\n{LINE}\nlast", f"first\n{LINE}\nlast"),
    ],
    ids=["no-file", "empty", "added", "no-newline", "others", "replaced", "there"],
)
def test_a_line_is_in_a_file_once(
    before: str | None, after: str, shell: str, tmp_path: Path
) -> None:
    functions = yaml.safe_load(VARS.read_text(encoding="utf-8"))["bootstrap_functions"]
    file = tmp_path / "fstab"
    if before is not None:
        file.write_text(before, encoding="utf-8")
    script = f'{functions}{PUT}line 644 "$@"\n'
    command = [shell, "-c", script, "sh", str(file), MOUNT, LINE]

    def run() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert bool(run()) == (before != after)
    assert file.read_text(encoding="utf-8") == after
    assert run() == ""
