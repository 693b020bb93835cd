"""The record of pushed images: what it keeps, and what it refuses."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from mngen.cluster import DigestFile
from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = f"sha256:{'1' * 64}"
DIGEST = f"sha256:{'d' * 64}"


class TestRecord:
    """The digests beside the rendered Terraform."""

    def test_it_keeps_every_tag(self, tmp_path: Path) -> None:
        path = tmp_path / "container.auto.tfvars.json"
        assert DigestFile(path).read() == {}
        DigestFile(path).record("v2", DIGEST)
        DigestFile(path).record("v1", LOCAL)
        assert DigestFile(path).read() == {"v1": LOCAL, "v2": DIGEST}
        assert path.read_text().endswith("}\n")
        mask = os.umask(0)
        os.umask(mask)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
        assert [each.name for each in tmp_path.iterdir()] == [path.name]

    @pytest.mark.parametrize(
        "text", ["", "[]", '{"container_digests": [1]}', '{"other": 1}', "\xff"]
    )
    def test_a_damaged_one_is_not_overwritten(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "record.json"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(InputError, match="damaged") as caught:
            DigestFile(path).record("v1", DIGEST)
        assert "version control" in str(caught.value.problems[0].hint)
        assert path.read_bytes() == text.encode("latin-1")

    def test_a_folder_that_is_not_there_names_the_digest(self, tmp_path: Path) -> None:
        with pytest.raises(ToolError, match="cannot write") as caught:
            DigestFile(tmp_path / "absent" / "record.json").record("v1", DIGEST)
        assert DIGEST in str(caught.value.problems[0].hint)
