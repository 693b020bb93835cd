"""`mngen doctor`: what it shows, what it installs nothing of, and its exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mngen.parts import NEEDS, PARTS, all_parts_of
from tests.support.cli import CHECKOUT, mngen, mngen_here

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment with no program on PATH."""
    empty = tmp_path / "empty"
    empty.mkdir()
    return {"PATH": str(empty), "HOME": str(tmp_path), "MNGEN_TERRAFORM": "absent"}


def test_it_shows_every_part_that_a_command_uses(tmp_path: Path) -> None:
    done = mngen("doctor", cwd=tmp_path, program=CHECKOUT)
    assert (done.returncode, done.stderr) == (0, "")
    used = {name for need in NEEDS.values() if need.commands for name in all_parts_of(need.name)}
    for name in used:
        assert f"{PARTS[name].title} " in done.stdout
    assert "\nrehearse: " in done.stdout
    assert "\nplan, apply, output, destroy: " in done.stdout


def test_a_command_that_lacks_something_fails_and_says_how_to_get_it(
    tmp_path: Path, bare: dict[str, str]
) -> None:
    done = mngen_here("doctor", "apply", cwd=tmp_path, env=bare)
    assert done.returncode == 3
    assert done.stdout.splitlines()[-2:] == [
        "plan, apply, output, destroy: does not work",
        "help: run: pip install 'mngen[embedded]'",
    ]
    assert "plan: does not work" in done.stdout


def test_a_command_that_works_in_part_does_not_fail(tmp_path: Path, bare: dict[str, str]) -> None:
    done = mngen_here("doctor", "sandbox", cwd=tmp_path, env=bare)
    assert done.returncode == 0
    assert "sandbox: emulated instances do not boot, and bakes are not emulated" in done.stdout
    assert "\nsandbox: works in part\n" in done.stdout


def test_without_a_command_nothing_that_is_missing_is_a_failure(
    tmp_path: Path, bare: dict[str, str]
) -> None:
    done = mngen_here("doctor", cwd=tmp_path, env=bare)
    assert (done.returncode, done.stderr) == (0, "")
    assert "does not work" in done.stdout


def test_json_has_the_same(tmp_path: Path, bare: dict[str, str]) -> None:
    done = mngen_here("doctor", "apply", "--format", "json", cwd=tmp_path, env=bare)
    data = json.loads(done.stdout)
    assert done.returncode == 3
    assert data["install"] == "pip install 'mngen[embedded]'"
    (command,) = data["commands"]
    assert command["commands"] == ["plan", "apply", "output", "destroy"]
    assert (command["works"], command["missing"]) == (False, ["terraform"])
    (part,) = data["parts"]
    assert (part["name"], part["found"], part["where"]) == ("terraform", False, None)


@pytest.mark.parametrize("command", ["apply", "bake", "demo"])
def test_commands_that_read_what_was_deployed_need_terraform(
    command: str, tmp_path: Path, bare: dict[str, str]
) -> None:
    done = mngen_here("doctor", command, "--format", "json", cwd=tmp_path, env=bare)
    (judged,) = json.loads(done.stdout)["commands"]
    assert "terraform" in judged["missing"]
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("command", "left_out"),
    [
        ("container", "images are neither pushed nor listed"),
        ("import", "--from-terraform reads files with a state, no folders"),
        ("selftest", "--rehearse is not available"),
    ],
)
def test_some_work_in_part_without_what_only_an_option_uses(
    command: str, left_out: str, tmp_path: Path, bare: dict[str, str]
) -> None:
    done = mngen_here("doctor", command, "--format", "json", cwd=tmp_path, env=bare)
    (judged,) = json.loads(done.stdout)["commands"]
    assert left_out in [each["what"] for each in judged["left_out"]]


def test_a_command_of_mngen_that_needs_nothing_else(tmp_path: Path) -> None:
    done = mngen_here("doctor", "render", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "render needs nothing but mngen.\n")


def test_a_command_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = mngen_here("doctor", "rehaerse", cwd=tmp_path)
    assert done.returncode == 1
    assert "error: unknown command `rehaerse`\n  help: did you mean `rehearse`?" in done.stderr
