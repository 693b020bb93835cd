"""The table of what stands for something of Amazon's, against what is in the folder."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from mngen.sandbox.machines import _root

FOLDER = _root._SOURCES
TABLE = Path(__file__).parents[3] / "docs" / "stand-ins.md"
ALL_ROWS = re.findall(r"^\| `([^`]+)` \|", TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
# What a machine without an init has besides is written by the script that boots it.
CHROOT = FOLDER.parent / "_chroot.sh"
ROWS = [row for row in ALL_ROWS if not row.startswith(CHROOT.name)]
FILES = sorted(
    path.relative_to(FOLDER).as_posix()
    for path in FOLDER.rglob("*")
    if path.is_file() and path.name != "__init__.py" and path.suffix != ".pyc"
)
PROGRAMS = [
    name
    for name in FILES
    if name.endswith((".py", ".service", ".socket"))
    or any(f"/{folder}/" in name for folder in ("bin", "sbin", "libexec"))
]


def test_the_table_and_the_folder_agree() -> None:
    assert [name for name in FILES if not any(fnmatchcase(name, row) for row in ROWS)] == []
    assert [row for row in ROWS if not any(fnmatchcase(name, row) for name in FILES)] == []


def test_the_table_has_the_programs_of_a_machine_without_an_init() -> None:
    script = CHROOT.read_text(encoding="utf-8")
    # A file that is written, or a link: `cat >run/boot/NAME`, `ln -s PROGRAM run/boot/NAME`.
    made = set(re.findall(r"(?:>|^ln -s \S+ )run/boot/(\S+)", script, flags=re.MULTILINE))
    assert "systemctl" in made
    assert {f"{CHROOT.name}: {name}" for name in made} == set(ALL_ROWS) - set(ROWS)


def test_there_are_programs_and_units() -> None:
    assert {"mount_efs.py", "files/common/usr/libexec/amazon-ecs-init"} <= set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_names_its_source(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert re.search(r"^(# )?Source: \S", text, flags=re.MULTILINE)


def test_every_program_is_laid() -> None:
    laid = set(_root._PROGRAMS.values())
    for programs in _root._BASE_PROGRAMS.values():
        laid |= set(programs.values())
    assert laid == {name for name in PROGRAMS if "/" not in name}


def test_docker_is_not_enabled_by_hand() -> None:
    assert not {"docker", "containerd"} & set(_root._ENABLED)
