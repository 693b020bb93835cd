"""Objects' names in fetching inputs."""

from __future__ import annotations

import pytest

import fetch_inputs
from bucket import TransferError


@pytest.mark.parametrize(
    ("name", "file"),
    [("a b", True), ("sub/..c", True), ("", False), ("sub/", False), ("sub/sub/", False)],
)
def test_markers_of_folders_are_no_files(name: str, file: bool) -> None:
    assert fetch_inputs.is_file(name) is file


@pytest.mark.parametrize("name", ["..", "../a", "a/../../b", "/etc/passwd", "a//b", "./a"])
def test_no_name_leaves_the_folder(name: str) -> None:
    with pytest.raises(TransferError, match="invalid name of an object") as caught:
        fetch_inputs.is_file(name)
    assert caught.value.code == 64
