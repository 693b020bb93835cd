"""`mngen graph`: what it prints and writes, and which files it leaves alone."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from mngen import _resources
from mngen.cli._main import run
from tests.support.cli import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TUTORIAL = str(_resources.examples() / "tutorial.yaml")


def test_a_picture_is_printed_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["graph", "--file", TUTORIAL]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("flowchart LR\n  accTitle: Deployment tutorial in us-east-1\n")
    assert printed.err == ""
    file = tmp_path / "tutorial.mmd"
    assert run(["graph", "--file", TUTORIAL, "--picture", str(file)]) == 0
    assert capsys.readouterr() == ("", f"graph: {file}\n")
    assert file.read_text(encoding="utf-8") == printed.out
    picture = tmp_path / "tutorial.svg"
    options = ["--format", "svg"]
    assert run(["graph", "--file", TUTORIAL, *options, "--picture", str(picture)]) == 0
    assert capsys.readouterr() == ("", f"graph: {picture}\n")
    assert run(["graph", "--file", TUTORIAL, *options]) == 0
    assert capsys.readouterr() == (picture.read_text(encoding="utf-8"), "")
    assert ET.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    # Each format has names of its own.
    assert run(["graph", "--file", TUTORIAL, *options, "--picture", str(file)]) == 1
    assert capsys.readouterr().err.startswith(f"error: --picture takes a .svg file: {file}\n")
    assert file.read_text(encoding="utf-8").startswith("flowchart LR\n")


def test_other_files_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "mngen.yaml"
    spec.write_text("name: x\n", encoding="utf-8")
    (tmp_path / "link.mmd").symlink_to(spec)
    for name in ("mngen.yaml", "link.mmd"):
        assert run(["graph", "--picture", name]) == 1
        assert capsys.readouterr().err.startswith(f"error: --picture takes a .mmd file: {name}\n")
    assert spec.read_text(encoding="utf-8") == "name: x\n"
    missing = tmp_path / "missing" / "x.mmd"
    assert run(["graph", "--file", TUTORIAL, "--picture", str(missing)]) == 1
    assert capsys.readouterr().err.startswith(f"error: cannot write {missing}: ")


def test_a_spec_with_errors_is_not_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "mngen.yaml"
    spec.write_text("name: x\nregion: us-east-1\n", encoding="utf-8")
    assert run(["graph", "--file", str(spec)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"{spec}:1:" in printed.err
    assert run(["graph", "--file", str(tmp_path / "none.yaml")]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_neither_aws_nor_terraform_is_needed(tmp_path: Path) -> None:
    """No program is on PATH, and what calls AWS is never imported."""
    done = subprocess.run(
        [*CHECKOUT, "graph", "--file", TUTORIAL],
        env={"PATH": str(tmp_path), "PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "mngen.graph" in imported
    assert imported.isdisjoint({"boto3", "botocore", "mngen.terraform", "rich", "moto"})
