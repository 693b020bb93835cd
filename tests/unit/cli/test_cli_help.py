"""`mngen --help`: sections, whole summaries, and options of one kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

import mngen.cli
from mngen.cli import app
from tests.support.cli import faults_without
from tests.support.cli import mngen as run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
MOST_CHARACTERS = 45


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command of the CLI with its path, such as `ami list`; the CLI itself is ``."""
    command = command or typer.main.get_command(app)
    yield " ".join(path), command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


COMMANDS = dict(commands())


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The help as it is shown where the terminal has 80 columns."""
    env = {"COLUMNS": "80", "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"}
    done = run("--help", cwd=tmp_path_factory.mktemp("help"), env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_what_is_not_logged_does_not_load_logging(tmp_path: Path) -> None:
    """Nothing that these commands load may log: no handler would show it."""
    (tmp_path / "mngen.yaml").write_bytes((ROOT / "examples" / "tutorial.yaml").read_bytes())
    commands = [["--help"], ["init", "--file", "begun.yaml"], ["render"], ["render", "--check"]]
    commands += [["rules"], ["schema"]]
    assert faults_without("logging", commands, cwd=tmp_path) == ""


def test_sections_hold_every_command_once(text: str) -> None:
    sections = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert sections == ["Options", "Spec", "Deploy", "Images", "Jobs", "More"]
    shown = re.findall(r"^  (\w+) +\S", text.partition("\nSpec:\n")[2], re.MULTILINE)
    files = Path(mngen.cli.__file__).parent.glob("[!_]*.py")
    assert sorted(shown) == sorted(each.stem.rstrip("_") for each in files)


def test_no_summary_is_cut_off(text: str) -> None:
    lines = [line.split(maxsplit=1) for line in text.partition("\nSpec:\n")[2].splitlines()]
    shown = {line[0]: line[-1] for line in lines if line}
    for path, command in COMMANDS.items():
        summary = command.help.partition("\n")[0].rstrip(".")
        assert re.match(r"[A-Z]\w+[ ,]", summary), summary
        if path:
            assert len(summary) <= MOST_CHARACTERS, (path, summary)
        if path and " " not in path:
            assert shown[path] == summary


@pytest.mark.parametrize("path", [each for each in COMMANDS if each])
def test_format_is_the_one_option_for_the_output_format(path: str) -> None:
    names = {name for each in COMMANDS[path].params for name in each.opts}
    assert names.isdisjoint({"--output", "--output-format"})


@pytest.mark.parametrize("path", COMMANDS)
def test_options_are_described_by_a_phrase(path: str) -> None:
    for each in COMMANDS[path].params:
        described = getattr(each, "help", None)
        assert described, (path, each.name)
        if "completion" not in str(each.name):
            assert not described.endswith("."), (path, each.name)


@pytest.mark.parametrize("group", ["", "ami", "container"])
def test_group_without_a_command_shows_its_help(group: str, tmp_path: Path) -> None:
    done = run(*group.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Usage: {' '.join(['mngen', *group.split()])} [OPTIONS] COMMAND")


@pytest.mark.parametrize("name", ["image", "images", "sweep", "_app"])
def test_unknown_command_is_refused(name: str, tmp_path: Path) -> None:
    done = run(name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"No such command '{name}'" in done.stderr
