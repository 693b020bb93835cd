from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment, FileSystemLoader

from mngen import _resources
from mngen.render._cache import MOST_FILES, TemplateCache, template_cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the cache will use, in a cache folder that does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mngen" / "templates"


def _render(source: str) -> str:
    cache = template_cache()
    assert cache is not None
    environment = Environment(
        loader=DictLoader({"a": source}), bytecode_cache=cache, autoescape=False
    )
    return environment.get_template("a").render(x=2)


def test_keeps_a_template_in_a_folder_of_the_users_alone(folder: Path) -> None:
    assert _render("{{ x }}") == "2"
    (kept,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    before = kept.stat()
    assert _render("{{ x }}") == "2"
    assert kept.stat().st_ino == before.st_ino  # a new file would say that it was compiled again


def test_compiles_a_changed_template_again(folder: Path) -> None:
    assert _render("{{ x }}") == "2"
    assert _render("{{ x + 1 }}") == "3"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("keep", [0, 1, 20, 200])
def test_survives_a_damaged_file(folder: Path, keep: int) -> None:
    assert _render("{{ x }}") == "2"
    (kept,) = folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:keep])
    assert _render("{{ x }}") == "2"


def test_survives_a_changed_byte(folder: Path) -> None:
    assert _render("{{ x }}") == "2"
    (kept,) = folder.iterdir()
    content = bytearray(kept.read_bytes())
    content[-10] ^= 0xFF
    kept.write_bytes(content)
    assert _render("{{ x }}") == "2"
    assert kept.read_bytes() != content


def test_survives_that_nothing_can_be_written(tmp_path: Path) -> None:
    gone = TemplateCache(tmp_path / "gone")
    environment = Environment(
        loader=DictLoader({"a": "{{ x }}"}), bytecode_cache=gone, autoescape=False
    )
    assert environment.get_template("a").render(x=2) == "2"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o750])
def test_does_not_trust_a_folder_that_others_can_open(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    assert template_cache() is None


@pytest.mark.parametrize("mode", [0o755, 0o711])
def test_the_folder_above_may_be_open_for_reading(folder: Path, mode: int) -> None:
    folder.parent.mkdir(parents=True)
    folder.parent.chmod(mode)
    assert _render("{{ x }}") == "2"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o733])
def test_does_not_trust_a_folder_that_others_can_replace(folder: Path, mode: int) -> None:
    folder.mkdir(mode=0o700, parents=True)
    folder.parent.chmod(mode)
    assert template_cache() is None


@pytest.mark.parametrize("part", ["folder", "above"])
def test_does_not_trust_a_link(folder: Path, tmp_path: Path, part: str) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if part == "above":
        folder = folder.parent
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tmp_path / "elsewhere")
    assert template_cache() is None


@pytest.mark.parametrize("value", ["/dev/null/cache", "/proc/no/such"])
def test_does_without_a_folder(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert template_cache() is None


def test_does_not_make_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    assert template_cache() is None
    assert list(tmp_path.iterdir()) == []


def test_ignores_a_relative_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert template_cache() is None
    assert list(tmp_path.iterdir()) == []


def test_a_template_has_one_file_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    for number in range(3):
        place = tmp_path / f"checkout-{number}"
        place.mkdir()
        (place / "a.tf.j2").write_text(f"{{{{ x }}}} {number}", encoding="utf-8")
        environment = Environment(
            loader=FileSystemLoader(place), bytecode_cache=template_cache(), autoescape=False
        )
        assert environment.get_template("a.tf.j2").render(x=2) == f"2 {number}"
    assert len(list(folder.iterdir())) == 1


def test_what_older_versions_left_is_removed_and_folders_stay(folder: Path) -> None:
    (folder / "machines").mkdir(parents=True)
    folder.chmod(0o700)
    for number in range(MOST_FILES + 9):
        left = folder / f"{number:040x}"
        left.write_bytes(b"left")
        os.utime(left, (number, number))
    assert _render("{{ x }}") == "2"
    kept = sorted(path.name for path in folder.iterdir() if path.is_file())
    assert len(kept) == MOST_FILES
    assert kept[0] == f"{10:040x}"
    assert (folder / "machines").is_dir()


def test_there_is_room_for_all_templates() -> None:
    folders = (_resources.templates(), _resources.root() / "packer")
    assert sum(len(list(place.rglob("*.j2"))) for place in folders) <= MOST_FILES // 2


def test_renders_the_same_with_and_without(folder: Path, tmp_path: Path) -> None:
    """Cold, warm and without a cache, in processes of their own: the same tree to the byte."""
    example = Path(__file__).resolve().parents[3] / "examples" / "tutorial.yaml"
    cache_home = folder.parents[1]
    trees = []
    for number, cache in enumerate((cache_home, cache_home, Path("/dev/null/cache"))):
        out = tmp_path / f"out-{number}"
        command = ["render", "--file", str(example), "--out", str(out)]
        subprocess.run(
            [sys.executable, "-c", "from mngen.cli import main; main()", *command],
            env={**os.environ, "XDG_CACHE_HOME": str(cache)},
            check=True,
            capture_output=True,
        )
        trees.append(
            {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        )
    assert trees[0] == trees[1] == trees[2]
    assert len(trees[0]) > 20
    assert any(folder.iterdir())
