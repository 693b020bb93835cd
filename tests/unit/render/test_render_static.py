"""What is rendered as it is: the same bytes as its source, and none of a checkout's leftovers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen import _resources
from mngen.errors import ToolError
from mngen.render import render
from mngen.render._static import static_tree
from mngen.rules import open_cluster
from tests.support.specs import FEATURES, make_spec, to_cluster

if TYPE_CHECKING:
    from pathlib import Path

ALL = {name: options[-1] for name, options in FEATURES.items()}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def test_the_container_folder_is_rendered_as_it_is() -> None:
    tree = render(open_cluster(_resources.examples() / "tutorial.yaml"))
    rendered = {path for path in tree if path.startswith("container/")}
    assert {"container/Dockerfile", "container/.dockerignore"} <= rendered
    for path in rendered:
        assert tree[path].encode() == (_resources.root() / path).read_bytes(), path


def test_an_image_from_elsewhere_needs_no_container_folder() -> None:
    for option, expected in (("default", True), ("named", True), ("elsewhere", False)):
        tree = render(to_cluster(make_spec({**ALL, "container": option})))
        assert any(path.startswith("container/") for path in tree) is expected


def test_every_file_is_in_the_tree_under_its_target(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"b.txt": "b\r\n", "deep/er/a": "no end of line", "é": "ü"})
    two = write(tmp_path / "two", {"x": ""})
    assert static_tree([(two, "z"), (one, "a/b")]) == {
        "a/b/b.txt": "b\r\n",
        "a/b/deep/er/a": "no end of line",
        "a/b/é": "ü",
        "z/x": "",
    }
    assert list(static_tree([(two, "z"), (one, "a/b")])) == [
        "a/b/b.txt",
        "a/b/deep/er/a",
        "a/b/é",
        "z/x",
    ]


def test_leftovers_of_a_checkout_stay_out(tmp_path: Path) -> None:
    folder = write(tmp_path, {"kept": "", ".dockerignore": "", "a/.mypy_cache/kept": ""})
    (folder / "__pycache__").mkdir()
    for name in ("__pycache__/x.pyc", "__pycache__/x", "x.pyc", ".kept.swp", "kept~", ".hidden"):
        (folder / name).write_bytes(b"\xff")
    assert set(static_tree([(folder, "t")])) == {"t/.dockerignore", "t/kept"}


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ToolError, match=r"cannot read .*picture\.png"):
        static_tree([(tmp_path, "t")])


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_files_is_a_broken_installation(tmp_path: Path, *, there: bool) -> None:
    folder = tmp_path / "container"
    if there:
        folder.mkdir()
    with pytest.raises(ToolError, match="files of mngen are missing") as caught:
        static_tree([(folder, "container")])
    assert caught.value.problems[0].hint == "install mngen again"
