"""`mngen import` as a user runs it: all files or none, and none that is there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mngen.adoption import Adoption, save
from mngen.errors import InputError, ToolError
from tests.support.adoption import DEFINITION, ENVIRONMENT, QUEUE, changed, write
from tests.support.cli import mngen_here, read_tree
from tests.support.processes import outcome

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN = ["mngen.yaml", "adoption.md"]
FILE = "definitions/tsunami_nodes.json"
SOURCES = ["0.json", "1.json", "2.json"]


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    """A folder with the files of the tutorial's kind of setup."""
    write(tmp_path, ENVIRONMENT, QUEUE, DEFINITION)
    return tmp_path


def test_files_become_a_spec_that_check_accepts(setup: Path) -> None:
    done = mngen_here("import", "--from-json", *SOURCES, "--name", "tsunami", cwd=setup)
    assert done.returncode == 0, done.stderr
    assert sorted(read_tree(setup)) == sorted([*SOURCES, *WRITTEN, FILE])
    assert f"wrote mngen.yaml\nwrote adoption.md\nwrote {FILE}\n" in done.stderr
    assert "next: read adoption.md, then mngen check --file mngen.yaml" in done.stderr
    # What breaks a job is shown at once.
    assert "jobRoleArn -> jobs.tsunami_nodes.definition: no job role" in done.stdout
    assert mngen_here("check", cwd=setup).returncode == 0


def test_same_files_give_the_same_bytes(setup: Path) -> None:
    arguments = ("import", "--from-json", *SOURCES, "--name", "tsunami")
    assert mngen_here(*arguments, cwd=setup).returncode == 0
    first = read_tree(setup)
    assert mngen_here(*arguments, cwd=setup).returncode == 0
    assert read_tree(setup) == first


def test_unfilled_files_write_nothing_and_name_each_gap(tmp_path: Path) -> None:
    gaps = {
        "subnets": [""],
        "securityGroupIds": [""],
        "ec2KeyPair": "",
        "imageId": "",
        "instanceRole": "",
    }
    unfilled = {**changed(ENVIRONMENT, **gaps), "serviceRole": ""}
    write(tmp_path, unfilled, QUEUE)
    arguments = ("import", "--from-json", "0.json", "1.json", "--region", "eu-west-1")
    done = mngen_here(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    for pointer in (
        "/computeResources/subnets/0",
        "/computeResources/securityGroupIds/0",
        "/computeResources/ec2KeyPair",
        "/computeResources/imageId",
        "/computeResources/instanceRole",
        "/serviceRole",
    ):
        assert f"cannot: 0.json#{pointer}" in done.stdout, pointer
    assert "6 of the values cannot be written in a spec; nothing was written" in done.stderr
    assert sorted(read_tree(tmp_path)) == ["0.json", "1.json"]
    assert mngen_here(*arguments, "--partial", cwd=tmp_path).returncode == 0
    assert "mngen.yaml" in read_tree(tmp_path)


@pytest.mark.parametrize("option", ["--from-json", "--from-pcluster"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "there is no file missing"),
        (".", "cannot read .: Is a directory"),
    ],
)
def test_file_that_cannot_be_read(option: str, name: str, said: str, tmp_path: Path) -> None:
    done = mngen_here("import", option, name, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert read_tree(tmp_path) == {}


def test_dry_run_writes_nothing_and_shows_every_line_as_json(setup: Path) -> None:
    done = mngen_here("import", "--from-json", *SOURCES, "--dry-run", "--format", "json", cwd=setup)
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert shown["written"] == []
    assert shown["spec"].startswith("# Written by mngen import")
    assert {line["outcome"] for line in shown["lines"]} == {"kept", "changed"}
    assert shown["lines"][0]["breaks"] is True
    assert sorted(read_tree(setup)) == SOURCES


def test_spec_that_exists_is_never_overwritten_unasked(setup: Path) -> None:
    (setup / "mngen.yaml").write_text("name: mine\n", encoding="utf-8")
    done = mngen_here("import", "--from-json", *SOURCES, cwd=setup)
    assert done.returncode == 1
    assert "mngen.yaml already exists" in done.stderr
    assert sorted(read_tree(setup)) == sorted([*SOURCES, "mngen.yaml"])
    assert mngen_here("import", "--from-json", *SOURCES, "--overwrite", cwd=setup).returncode == 0
    assert b"name: mine" not in (setup / "mngen.yaml").read_bytes()


def test_definition_of_another_is_not_overwritten(setup: Path) -> None:
    (setup / "definitions").mkdir()
    (setup / FILE).write_text("{}", encoding="utf-8")
    done = mngen_here("import", "--from-json", *SOURCES, cwd=setup)
    assert done.returncode == 1
    assert f"{FILE} already exists" in done.stderr
    assert sorted(read_tree(setup)) == sorted([*SOURCES, FILE])


def test_of_two_imports_at_once_one_is_written_whole(setup: Path) -> None:
    def run(name: str) -> str:
        wanted = ("import", "--from-json", *SOURCES, "--name", name)
        return outcome(lambda: mngen_here(*wanted, cwd=setup).returncode)

    names = ["first", "second"]
    with ThreadPoolExecutor() as pool:
        codes = [*pool.map(run, names)]
    assert sorted(codes) == ["0", "1"]
    winner = names[codes.index("0")]
    assert f"name: {winner}\n" in (setup / "mngen.yaml").read_text(encoding="utf-8")


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where a folder belongs", encoding="utf-8")
    adoption = Adoption(spec="name: x\n", report="# x\n", imports="# x\n", lines=())
    with pytest.raises(ToolError, match="cannot write"):
        save(adoption, tmp_path / "mngen.yaml", tmp_path / "out")
    assert sorted(read_tree(tmp_path)) == ["out"]


def test_existing_files_are_all_named(tmp_path: Path) -> None:
    for name in ("mngen.yaml", "adoption.md"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    adoption = Adoption(spec="a", report="b", imports="", lines=())
    with pytest.raises(InputError) as caught:
        save(adoption, tmp_path / "mngen.yaml", tmp_path / "deploy")
    assert len(caught.value.problems) == 2


def test_device_is_not_read_as_a_spec_that_exists(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").symlink_to("/dev/zero")
    adoption = Adoption(spec="a", report="b", imports="", lines=())
    with pytest.raises(InputError, match="is not a file"):
        save(adoption, tmp_path / "mngen.yaml", tmp_path / "deploy", overwrite=True)
    assert sorted(each.name for each in tmp_path.iterdir() if not each.is_dir()) == ["mngen.yaml"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("x.json",),
        ("--from-json", "x.json", "--from-account"),
        ("--queue", "q"),
        ("--from-json", "x", "--job", "j"),
    ],
)
def test_one_source_is_required(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = mngen_here("import", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "help: see `mngen import --help`" in done.stderr
