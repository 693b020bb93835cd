"""`mngen import` as a user runs it: all files or none, and none that is there."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from mngen.adoption import Adoption, save
from mngen.errors import InputError, ToolError
from tests.support.cli import CHECKOUT, mngen, read_tree

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER = """\
Region: eu-west-1
Scheduling:
  Scheduler: awsbatch
  AwsBatchQueues:
    - Name: reef
      Networking: {SubnetIds: [subnet-0123456789abcdef0]}
      ComputeResources: [{Name: nodes, InstanceTypes: [c5.2xlarge], MaxvCpus: 64}]
"""
IMPORT = ("import", "--from-pcluster", "cluster.yaml")
WRITTEN = ["adoption.md", "cluster.yaml", "mngen.yaml"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a cluster file."""
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    return tmp_path


def test_cluster_file_becomes_a_spec_that_check_accepts(folder: Path) -> None:
    done = mngen(*IMPORT, "--name", "reef", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert sorted(read_tree(folder)) == WRITTEN
    assert "wrote mngen.yaml\nwrote adoption.md\n" in done.stderr
    assert "next: read adoption.md, then mngen check --file mngen.yaml" in done.stderr
    # What breaks a job is shown at once.
    assert "/home of the head node is not shared" in done.stdout
    assert mngen("check", cwd=folder).returncode == 0


def test_same_file_gives_the_same_bytes(folder: Path) -> None:
    assert mngen(*IMPORT, cwd=folder).returncode == 0
    first = read_tree(folder)
    assert mngen(*IMPORT, cwd=folder).returncode == 0
    assert read_tree(folder) == first


def test_dry_run_writes_nothing_and_shows_every_line_as_json(folder: Path) -> None:
    done = mngen(*IMPORT, "--dry-run", "--format", "json", cwd=folder)
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert shown["written"] == []
    assert shown["spec"].startswith("# Written by mngen import")
    assert {line["outcome"] for line in shown["lines"]} == {"kept", "changed"}
    assert shown["lines"][0]["breaks"] is True
    assert sorted(read_tree(folder)) == ["cluster.yaml"]


def test_spec_that_exists_is_never_overwritten_unasked(folder: Path) -> None:
    (folder / "mngen.yaml").write_text("name: mine\n", encoding="utf-8")
    done = mngen(*IMPORT, cwd=folder)
    assert done.returncode == 1
    assert "mngen.yaml already exists" in done.stderr
    assert sorted(read_tree(folder)) == ["cluster.yaml", "mngen.yaml"]
    assert mngen(*IMPORT, "--overwrite", cwd=folder).returncode == 0
    assert b"name: mine" not in (folder / "mngen.yaml").read_bytes()


def test_of_two_imports_at_once_one_is_written_whole(folder: Path) -> None:
    runs = [
        subprocess.Popen(
            [*CHECKOUT, *IMPORT, "--name", name],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in ("first", "second")
    ]
    assert sorted(run.wait(timeout=300) for run in runs) == [0, 1]
    winner = ["first", "second"][[run.returncode for run in runs].index(0)]
    assert f"name: {winner}\n" in (folder / "mngen.yaml").read_text(encoding="utf-8")


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    # A folder where the spec belongs: the report, which comes first, is removed again.
    (tmp_path / "mngen.yaml").mkdir()
    adoption = Adoption(spec="name: x\n", report="# x\n", lines=())
    with pytest.raises(ToolError, match="cannot write"):
        save(adoption, tmp_path / "mngen.yaml")
    assert [each.name for each in tmp_path.iterdir()] == ["mngen.yaml"]


def test_existing_files_are_all_named(tmp_path: Path) -> None:
    for name in ("mngen.yaml", "adoption.md"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    adoption = Adoption(spec="a", report="b", lines=())
    with pytest.raises(InputError) as caught:
        save(adoption, tmp_path / "mngen.yaml")
    assert len(caught.value.problems) == 2


def test_source_is_required(tmp_path: Path) -> None:
    done = mngen("import", cwd=tmp_path)
    assert done.returncode == 2
    assert "--from-pcluster" in done.stderr
