"""`mngen cost` before it asks AWS: which files it writes to, and which it leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.cli._console import write_picture
from mngen.cli._main import run
from mngen.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("picture", "keep", "said"),
    [
        ("jobs.csv", None, "--picture takes an SVG file: jobs.csv"),
        ("jobs.csv", "jobs.csv", "--picture takes an SVG file: jobs.csv"),
        # A link with the name of a picture is none, and one to itself points nowhere.
        ("link.svg", None, "--picture takes an SVG file: link.svg"),
        ("one.svg", "./one.svg", "--picture and --keep are the same file: one.svg"),
        ("one.svg", "to-one", "--picture and --keep are the same file: one.svg"),
        ("loop.svg", "loop.svg", "--picture and --keep are the same file: loop.svg"),
    ],
)
def test_a_picture_is_never_written_over_kept_jobs(
    picture: str,
    keep: str | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "jobs.csv"
    kept.write_text("kept\n", encoding="utf-8")
    (tmp_path / "link.svg").symlink_to(kept)
    (tmp_path / "to-one").symlink_to("one.svg")
    (tmp_path / "loop.svg").symlink_to("loop.svg")
    arguments = ["cost", "--picture", picture, *(["--keep", keep] if keep else [])]
    assert run(arguments) == 1
    assert capsys.readouterr().err.startswith(f"error: {said}\n")
    assert kept.read_text(encoding="utf-8") == "kept\n"


def test_jobs_of_the_sandbox_are_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "--keep", "jobs.csv", "--sandbox"]) == 2
    assert "--keep: not with --sandbox" in capsys.readouterr().err


def test_a_picture_is_written_wholly_or_not_at_all(tmp_path: Path) -> None:
    file, link = tmp_path / "cost.svg", tmp_path / "link.svg"
    write_picture(file, "old")
    link.symlink_to(file)
    # What has the old one open still reads all of it.
    with file.open(encoding="utf-8") as seen:
        write_picture(file, "new")
        assert seen.read() == "old"
    assert file.read_text(encoding="utf-8") == "new"
    write_picture(link, "newer")
    assert (link.is_symlink(), file.read_text(encoding="utf-8")) == (True, "newer")
    with pytest.raises(InputError, match=r"cannot write .*No such file or directory"):
        write_picture(tmp_path / "none" / "cost.svg", "new")
    with pytest.raises(InputError, match="cannot write"):
        write_picture(tmp_path, "new")
