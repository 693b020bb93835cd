"""Which files of a folder are outputs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from upload_outputs import LONGEST_KEY, find_files

if TYPE_CHECKING:
    from pathlib import Path


def test_the_smallest_file_goes_first(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, size in (("large", 30), ("sub/small", 1), ("empty", 0), ("also", 1)):
        (tmp_path / name).write_bytes(bytes(size))
    found = find_files(str(tmp_path), "p")
    assert found.files == [("empty", 0), ("also", 1), ("sub/small", 1), ("large", 30)]
    assert (found.left_out, found.problems) == ([], [])


def test_links_and_special_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to("/etc")
    (tmp_path / "file").symlink_to("/etc/passwd")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = find_files(str(tmp_path), "p")
    assert found.files == []
    assert sorted(found.left_out) == [
        f"{tmp_path}/{name}" for name in ("broken", "file", "folder", "pipe")
    ]


def test_keys_have_an_end(tmp_path: Path) -> None:
    """At most 1,024 bytes of UTF-8.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    """
    (tmp_path / "é").write_bytes(b"")
    prefix = "p" * (LONGEST_KEY - len("/é".encode()))
    assert LONGEST_KEY == 1024
    assert find_files(str(tmp_path), prefix).files == [("é", 0)]
    found = find_files(str(tmp_path), prefix + "p")
    assert found.problems == ["'é': its key would be longer than 1024 bytes"]


def test_a_folder_that_the_job_has_removed_has_no_files(tmp_path: Path) -> None:
    found = find_files(str(tmp_path / "gone"), "p")
    assert (found.files, found.left_out, found.problems) == ([], [], [])


def test_a_file_in_place_of_the_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    [problem] = find_files(str(tmp_path / "out"), "p").problems
    assert problem.endswith("out': Not a directory")
