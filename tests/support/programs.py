"""A program that writes down how it was called, in place of one that cannot run here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mngen.container import Engine

# A program of sh and of Python: no path with a space can stand after `#!`.
_SCRIPT = """\
#!/bin/sh
'''exec' '{python}' -I "$0" "$@"
' '''
import json, os, pathlib, sys
home = pathlib.Path(sys.argv[0]).parent
config = os.environ.get("DOCKER_CONFIG")
folder = pathlib.Path(config) if config else None
call = {{
    "arguments": sys.argv[1:],
    "stdin": sys.stdin.read() if sys.argv[1] == "login" else "",
    "config": json.loads((folder / "config.json").read_text()) if folder else None,
    "links": sorted(each.name for each in folder.iterdir() if each.is_symlink()) if folder else [],
    "folder": config,
}}
with (home / "calls").open("a") as file:
    file.write(json.dumps(call) + "\\n")
for key, answer in json.loads((home / "answers").read_text()).items():
    if " ".join(sys.argv[1:]).startswith(key):
        print(answer["text"])
        sys.exit(answer["code"])
"""


def program(folder: Path, name: str, answers: dict[str, tuple[int, str]] | None = None) -> Engine:
    """Put a program in a folder.

    Args:
        folder: It.
        name: What it is called.
        answers: Exit code and output, by how its arguments begin; 0 and nothing otherwise.
    """
    path = folder / name
    path.write_text(_SCRIPT.format(python=sys.executable), encoding="utf-8")
    path.chmod(0o755)
    told = {key: {"code": code, "text": text} for key, (code, text) in (answers or {}).items()}
    (folder / "answers").write_text(json.dumps(told), encoding="utf-8")
    return Engine(name, str(path))


def said(engine: Engine) -> list[dict[str, Any]]:
    """Return each call of a program: its arguments, what it read, its docker configuration."""
    file = Path(engine.path).parent / "calls"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
