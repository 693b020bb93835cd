"""Arguments that are converted without pydantic: the same values and errors as typer's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import typer

from mngen.cli import app
from mngen.cli._options import Format
from mngen.cli._quick import QuickCommand, _QuickArgument, _QuickOption
from tests.support.cli import faults_without, mngen_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXTS = ("", " ", "x", "a=b", "é", "-", "0", "1", "5", "-1", "007", " 5", "5 ", "1_0", "1e3", "1.0")
MORE = (
    b"\\u0665".decode("unicode_escape"),
    "9" * 15,
    "9" * 30,
    "json",
    "JSON",
    "pretty",
    "netns",
    "true",
    "None",
    "/",
    "../x",
    "~",
)
CONTEXT = typer.Context(typer.core.TyperCommand("test"))


def parameters(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for each in command.get_params(CONTEXT):
        yield " ".join((*path, each.name)), each
    for name, below in getattr(command, "commands", {}).items():
        yield from parameters(below, (*path, name))


ALL = dict(parameters(typer.main.get_command(app)))
QUICK = sorted(
    name for name, each in ALL.items() if isinstance(each, (_QuickArgument, _QuickOption))
)


def result(convert: Callable[[Any, Any], Any], value: object) -> object:
    try:
        found = convert(CONTEXT, value)
    except typer.TyperException as error:
        return type(error), error.format_message()
    return type(found), found


@pytest.mark.parametrize("name", [name for name in QUICK if not ALL[name].callback])
def test_the_same_as_typer(name: str) -> None:
    quick = ALL[name]
    typers_own = super(type(quick), quick).process_value
    values: list[object] = [None, quick.default, *TEXTS, *MORE]
    if getattr(quick, "multiple", False) or quick.nargs == -1:
        values = [None, (), *((text,) for text in (*TEXTS, *MORE)), ("x", "5"), ("5", "x")]
    for value in values:
        assert result(quick.process_value, value) == result(typers_own, value), value


def test_all_of_ours_are_converted_quickly() -> None:
    assert set(ALL) == set(QUICK)
    of_typers = {"help", "install_completion", "show_completion"}
    ours = {name: each for name, each in ALL.items() if name.split()[-1] not in of_typers}
    assert {each.kind for each in ours.values()} >= {str, int, bool, Path, Format}
    assert [name for name, each in ours.items() if each.kind is None] == []


@pytest.mark.parametrize(
    "settings", [{"exists": True}, {"resolve_path": True}, {"dir_okay": False}]
)
def test_a_path_with_conditions_is_left_to_typer(settings: dict[str, Any]) -> None:
    other = typer.Typer()

    def command(path: Any) -> None:
        del path

    command.__annotations__["path"] = Annotated[str, typer.Option(**settings)]
    other.command(cls=QuickCommand)(command)
    path: Any
    (path,) = typer.main.get_command(other).get_params(CONTEXT)[:1]
    assert path.name == "path"
    assert path.kind is None


def test_pydantic_is_not_imported(tmp_path: Path) -> None:
    assert mngen_here("init", cwd=tmp_path).returncode == 0
    commands = [
        ["--help"],
        ["render", "--help"],
        ["check"],
        ["check", "--format", "json", "--skip", "MN101"],
        ["render", "--out", "there", "--provider", "6"],
        ["ami", "list", "--help"],
        ["instances", "r5*", "--min-cores", "48"],
    ]
    assert faults_without("pydantic", commands, cwd=tmp_path) == ""
