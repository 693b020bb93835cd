"""Which changes of the playbooks make AMIs stale."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mngen import _resources
from mngen.errors import InputError
from mngen.images import playbooks_digest

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = "roles/cpus/tasks/main.yml"
SCRIPT = "roles/cpu_check/files/mngen-cpu-check.sh"
UNIT = "roles/efs/templates/mngen-efs.service.j2"


@pytest.fixture
def playbooks(tmp_path: Path) -> Path:
    """The playbooks, to be changed."""
    return Path(shutil.copytree(_resources.playbooks(), tmp_path / "playbooks"))


def test_every_file_and_its_name_counts(tmp_path: Path) -> None:
    (tmp_path / "roles").mkdir()
    (tmp_path / "image.yml").write_text("a")
    (tmp_path / "roles" / "x.yml").write_text("b")
    first = playbooks_digest(tmp_path)
    (tmp_path / "roles" / "x.yml").rename(tmp_path / "roles" / "y.yml")
    second = playbooks_digest(tmp_path)
    (tmp_path / "roles" / "y.yml").write_text("c")
    third = playbooks_digest(tmp_path)
    assert len({first, second, third}) == 3
    with pytest.raises(InputError, match="no playbooks"):
        playbooks_digest(tmp_path / "roles")


def commented(text: str) -> str:
    """Put a comment before every line that begins a value, and an empty line after."""
    return "".join(
        f"{line[: len(line) - len(line.lstrip())]}# more\n{line}" if "- name:" in line else line
        for line in text.splitlines(keepends=True)
    )


def test_comments_in_playbooks_do_not_count(playbooks: Path) -> None:
    before = playbooks_digest(playbooks)
    changed = 0
    for path in playbooks.rglob("tasks/*.yml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(f"# First.\n{commented(text)}\n# Last.\n", encoding="utf-8")
        changed += commented(text) != text
    (playbooks / "README.md").write_text("Read the sources.\n", encoding="utf-8")
    assert changed > 10
    assert playbooks_digest(playbooks) == before


@pytest.mark.parametrize(
    ("name", "change"),
    [
        # What looks like a comment and is not.
        (
            TASKS,
            lambda text: text + "\n- ansible.builtin.shell: |\n    # a line of a script\n    x\n",
        ),
        (TASKS, lambda text: text.replace("- name:", "- when: false\n  name:", 1)),
        (TASKS, lambda text: text.replace("name: ", "name: !unsafe ", 1)),
        ("group_vars/all.yml", lambda text: text + "\nmngen_more: yes\n"),
        # These are installed, comments and all.
        (SCRIPT, lambda text: text + "# a comment\n"),
        (UNIT, lambda text: text + "# a comment\n"),
    ],
)
def test_all_that_is_played_or_installed_counts(
    playbooks: Path, name: str, change: Callable[[str], str]
) -> None:
    before = playbooks_digest(playbooks)
    path = playbooks / name
    text = path.read_text(encoding="utf-8")
    path.write_text(change(text), encoding="utf-8")
    assert change(text) != text
    assert playbooks_digest(playbooks) != before


def test_what_a_scalar_is_counts(tmp_path: Path) -> None:
    found = set()
    for value in ("1", '"1"', "yes", "'yes'", "[a, b]", "[b, a]", "{a: 1, b: 2}", "{b: 2, a: 1}"):
        (tmp_path / "image.yml").write_text(f"x: {value}\n", encoding="utf-8")
        found.add(playbooks_digest(tmp_path))
    assert len(found) == 8


def test_a_file_that_is_not_yaml_counts_with_every_byte(tmp_path: Path) -> None:
    found = set()
    for text in ("a: [", "a: [ ", "a: [\n"):
        (tmp_path / "image.yml").write_text(text, encoding="utf-8")
        found.add(playbooks_digest(tmp_path))
    assert len(found) == 3


def test_both_parsers_of_yaml_give_one_digest(
    playbooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = yaml
    if not hasattr(module, "CSafeLoader"):
        pytest.skip("this PyYAML has no libyaml")
    fast = playbooks_digest(playbooks)
    monkeypatch.delattr(module, "CSafeLoader")
    assert playbooks_digest(playbooks) == fast
