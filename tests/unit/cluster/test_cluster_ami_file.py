"""The record of machine images: what it keeps, what it refuses, and how it is written."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from mngen.cluster import AMIS_FILE, AmiFile, AmiRecord, BakedFrom
from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

FROM = BakedFrom(
    architecture="x86_64",
    base="amazon-linux-2023",
    base_ami="ami-0123456789abcdef0",
    nr_cpus=24,
    efa=False,
    efs="fs-0123456789abcdef0",
    mount="/efs",
    tls=True,
    playbooks="0" * 64,
)
RECORD = AmiRecord(
    id="ami-0aaaaaaaaaaaaaaa1", baked_from=FROM, baked_at="2026-01-31T12:00:00Z", mngen="0.1.0"
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = AmiFile(tmp_path / "amis.auto.tfvars.json")
    assert file.read() == {}
    file.update({"r5.12xlarge": RECORD})
    assert file.read() == {"r5.12xlarge": RECORD}


def test_other_images_stay_as_they_are_and_all_are_sorted(tmp_path: Path) -> None:
    file = AmiFile(tmp_path / "amis.auto.tfvars.json")
    by_hand = AmiRecord(id="ami-0bbbbbbbbbbbbbbb2")
    file.update({"r5.12xlarge": RECORD})
    file.update({"c5n.18xlarge": by_hand})
    assert list(file.read()) == ["c5n.18xlarge", "r5.12xlarge"]
    assert file.read()["c5n.18xlarge"] == by_hand
    text = file.path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert json.loads(text)["amis"]["r5.12xlarge"]["baked_from"]["nr_cpus"] == 24


def test_a_record_by_hand_needs_no_more_than_the_id(tmp_path: Path) -> None:
    path = tmp_path / AMIS_FILE
    path.parent.mkdir()
    path.write_text('{"amis": {"x86_64": {"id": "ami-0123456789abcdef0", "note": "by hand"}}}')
    assert AmiFile(path).read() == {"x86_64": AmiRecord(id="ami-0123456789abcdef0")}


def test_many_at_once_lose_none(tmp_path: Path) -> None:
    file = AmiFile(tmp_path / "amis.auto.tfvars.json")
    names = [f"t{number}.large" for number in range(12)]
    threads = [threading.Thread(target=file.update, args=({name: RECORD},)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(file.read()) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == ["amis.auto.tfvars.json"]


@pytest.mark.parametrize("text", ["", "{", '{"amis": []}', '{"amis": {"a": {}}}', "\xff"])
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, text: str) -> None:
    file = AmiFile(tmp_path / "amis.auto.tfvars.json")
    file.path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="damaged") as caught:
        file.read()
    assert caught.value.problems[0].file == str(file.path)
    with pytest.raises(InputError, match="damaged"):
        file.update({"a": RECORD})
    assert file.path.read_bytes() == text.encode("latin-1")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot write"):
        AmiFile(tmp_path / "absent" / "amis.auto.tfvars.json").update({"a": RECORD})


def test_the_digest_tells_any_two_inputs_apart() -> None:
    changes = {
        "architecture": "arm64",
        "base": "amazon-linux-2",
        "base_ami": "ami-0fffffffffffffff0",
        "nr_cpus": 48,
        "efa": True,
        "efs": "fs-0fffffffffffffff0",
        "mount": "/shared",
        "tls": False,
        "playbooks": "1" * 64,
        "iam": True,
        "access_point": "fsap-0123456789abcdef0",
        "kms_key": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd",
        "gpu": True,
        "fsx": "fs-0a1b2c3d4e5f60718",
        "fsx_mount": "/fsx",
        "fsx_folders": ("results",),
        "scratch": "/scratch",
        "packages": ("htop",),
        "own_playbooks": ("bake/site.yml",),
        "efa_version": "1.49.0",
        "preload": (f"sha256:{'1' * 64}",),
        "volume": 64,
    }
    assert changes.keys() == set(BakedFrom.__struct_fields__)
    others = {
        msgspec.structs.replace(FROM, **{name: value}).digest for name, value in changes.items()
    }
    assert len(others | {FROM.digest}) == len(changes) + 1
    assert len(FROM.digest) == 16
