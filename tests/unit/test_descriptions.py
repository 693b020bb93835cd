"""Descriptions of AWS's services are read as botocore itself reads them, each once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from botocore import BOTOCORE_ROOT
from botocore.exceptions import UnknownServiceError
from botocore.loaders import JSONFileLoader, Loader

from mngen._descriptions import Catalog, Descriptions

DATA = Path(BOTOCORE_ROOT, "data")


@pytest.mark.parametrize(
    "name",
    ["ec2/2016-11-15/service-2.json.gz", "endpoints.json", "_retry.json"],
    ids=["packed", "plain", "small"],
)
def test_what_is_read_is_what_botocore_reads(name: str, tmp_path: Path) -> None:
    # A copy, because botocore completes the endpoints that other tests ask for.
    shutil.copy(DATA / name, tmp_path)
    place = str(tmp_path / Path(name).name.split(".")[0])
    found = Descriptions().load_file(place)
    assert found
    assert found == JSONFileLoader().load_file(place)
    assert Descriptions().load_file(place) is found


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert Descriptions().load_file(str(tmp_path / "absent")) is None


def test_a_broken_one_is_reported_as_botocore_does(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    for loader in (Descriptions(), JSONFileLoader()):
        with pytest.raises(ValueError, match=r"."):
            loader.load_file(str(tmp_path / "broken"))


def test_every_session_of_a_process_reads_a_file_once_and_lists_few_folders(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from mngen._descriptions import read_once; read_once()\n"
        "import boto3, botocore\n"
        "listed = []\n"
        "sys.addaudithook(lambda what, found: what == 'os.listdir' and listed.append(found[0]))\n"
        "one, two = (boto3.Session().client('ec2', 'us-east-1').meta for _ in range(2))\n"
        "assert one.service_model.metadata is two.service_model.metadata\n"
        "assert len([each for each in listed if each.startswith(botocore.BOTOCORE_ROOT)]) < 9\n"
        "assert 'ec2' in boto3.Session().get_available_services()\n"
        "assert len(list(boto3.Session().get_available_services())) > 300\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, env=dict(os.environ), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1", "paginators-1"])
def test_a_service_is_found_where_botocore_finds_it(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Loader(file_loader=Descriptions()).load_service_model("efs", kind)
    listed: list[object] = []
    listdir = os.listdir

    def listing(folder: str) -> list[str]:
        listed.append(folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", listing)
    assert Catalog().load_service_model("efs", kind) == expected
    assert listed == [str(DATA / "efs")]


def test_all_services_are_listed_on_request() -> None:
    assert list(Catalog().list_available_services("waiters-2")) == (
        Loader().list_available_services("waiters-2")
    )


@pytest.mark.parametrize(("service", "kind"), [("efz", "service-2"), ("efs", "waiters-2")])
def test_one_that_is_not_there_is_reported_as_botocore_does(service: str, kind: str) -> None:
    messages = []
    for loader in (Catalog(), Loader()):
        with pytest.raises(UnknownServiceError) as raised:
            loader.load_service_model(service, kind)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
