"""The reference pages are those of the commands and of the spec's schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from mngen.spec import Effect, schema
from scripts import reference

if TYPE_CHECKING:
    from pathlib import Path


def test_committed_pages_are_up_to_date() -> None:
    wanted = reference.pages()
    committed = {name: (reference.DOCS / name).read_text(encoding="utf-8") for name in wanted}
    assert committed == wanted, "run `make docs`"


def test_only_what_has_changed_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    (tmp_path / "spec.md").write_text("old", encoding="utf-8")
    (tmp_path / "assets").mkdir()
    reference.main()
    assert capsys.readouterr().out == (
        "wrote docs/assets/graph.svg\n"
        "wrote docs/commands.md\nwrote docs/parts.md\nwrote docs/spec.md\n"
    )
    assert (tmp_path / "spec.md").read_text(encoding="utf-8") == reference.pages()["spec.md"]
    reference.main()
    assert capsys.readouterr().out == ""


def test_every_key_of_the_spec_is_in_its_page() -> None:
    page = reference.spec_page(schema())
    for definition in schema()["$defs"].values():
        for key in definition["properties"]:
            assert f"\n- `{key}` (" in page


def test_key_has_type_default_limits_and_description() -> None:
    lines = reference.spec_page(schema()).splitlines()
    assert (
        "- `max_nodes` (integer, required): Most instances at a time; max_vcpus follows from it. "
        "1 to 10000. Change: `in-place`." in lines
    )
    assert "- `tls` (boolean, default `true`): " in "\n".join(lines)
    assert (
        "- `environments` (mapping of names, required): Compute environments by name. "
        "See [`environments.<name>`](#environmentsname). Change: `entry`." in lines
    )


def test_the_page_explains_every_word_for_a_change() -> None:
    lines = reference.spec_page(schema()).splitlines()
    words = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert words == [effect.value for effect in Effect]
    named = {
        word
        for line in lines
        if "Change: " in line
        for word in re.findall(r"`([a-z-]+)`", line.rpartition("Change: ")[2])
    }
    assert named == set(words)


def test_markdown_finds_nothing_in_a_description_but_code() -> None:
    document = {
        "$ref": "#/$defs/A",
        "$defs": {
            "A": {
                "description": "x\n<y>  `<z>` [n](u) *b*",
                "properties": {"k": {"type": "string", "description": "d", "default": "v"}},
            }
        },
    }
    page = reference.spec_page(document)
    assert "\nx \\<y> `<z>` \\[n](u) \\*b\\*\n\n- `k` (string, default `v`): d\n" in page


@pytest.mark.parametrize(
    "line",
    [
        "## mngen ami prune",
        "mngen submit [OPTIONS] {job} [-- COMMAND ...]",
        "- `-f, --file <path>`: Spec file \\[default: mngen.yaml]",
        "- `-e, --env NAME=VALUE`: Environment variable; repeatable",
    ],
)
def test_commands_have_usage_options_and_defaults(line: str) -> None:
    assert line in reference.commands_page().splitlines()
