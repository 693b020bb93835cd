"""Which FSx for Lustre file system a deployment has, and what is asked about it."""

from __future__ import annotations

from typing import Any

import pytest

from mngen.adoption._deployed import Deployed, Vpc, _read_lustre

LINK = {"FileSystemPath": "/cases", "DataRepositoryPath": "s3://my-cases/"}


def system(identifier: str, **more: Any) -> dict[str, Any]:
    return {"FileSystemId": identifier, "FileSystemType": "LUSTRE", "VpcId": "vpc-1", **more}


class Fsx:
    """A client that remembers of which file systems the links were asked for."""

    def __init__(self, *systems: dict[str, Any]) -> None:
        self.systems = systems
        self.asked: list[str] = []

    def get_paginator(self, operation: str) -> Fsx:
        assert operation == "describe_file_systems"
        return self

    def paginate(self) -> list[dict[str, Any]]:
        return [{"FileSystems": [each]} for each in self.systems]

    def describe_data_repository_associations(self, **wanted: Any) -> dict[str, Any]:
        [by_id] = wanted["Filters"]
        self.asked += by_id["Values"]
        return {"Associations": [LINK]}


@pytest.mark.parametrize(
    ("systems", "chosen", "own", "asked"),
    [
        (
            [
                system("fs-1"),
                system("fs-2", Tags=[{"Key": "mngen:deployment", "Value": "seismic"}]),
            ],
            "fs-2",
            True,
            ["fs-2"],
        ),
        (
            [system("fs-1"), system("fs-2", VpcId="vpc-2"), system("fs-3", FileSystemType="ONTAP")],
            "fs-1",
            False,
            [],
        ),
        ([system("fs-1"), system("fs-2")], None, False, []),
        ([], None, False, []),
    ],
    ids=["own", "the only one of the VPC", "several", "none"],
)
def test_links_are_asked_for_of_the_own_file_system_alone(
    systems: list[dict[str, Any]], chosen: str | None, own: bool, asked: list[str]
) -> None:
    made, fsx = Deployed(name="seismic", vpc=Vpc(id="vpc-1")), Fsx(*systems)
    _read_lustre(made, fsx)
    assert (made.lustre.get("FileSystemId"), made.own_lustre, fsx.asked) == (chosen, own, asked)
    assert made.lustre.get("Links", []) == ([LINK] if own else [])
