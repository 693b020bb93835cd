"""Members of the emulator's answers, which are those that moto finds.

Source: moto itself (moto.core.serialize), with the descriptions of services that botocore has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("moto")
from moto.core.serialize import EC2Serializer, XFormedAttributePicker
from moto.core.utils import get_service_model
from moto.moto_api._internal.moto_random import MotoRandom

from mngen.sandbox.emulator._serialize import Random, Serializer, _moto_get_value


@dataclass
class Vpc:
    """As a backend may hold one: short names, and names with underscores."""

    id: str = "vpc-1"
    cidr_block: str = "10.0.0.0/16"
    is_default: bool = False
    state: str | None = None


class Subnet(dict[str, Any]):
    """A mapping with a name of its own."""


@dataclass
class Owner:
    """One whose `id` is what a member calls `OwnerId`."""

    id: str = "123"


VALUES = [
    Vpc(),
    Vpc(state="available"),
    {"VpcId": "vpc-2", "cidr_block": "10.1.0.0/16", "Tags": [{"Key": "a"}], "state": None},
    {"vpcId": "vpc-3", "ownerId": "1", "tagSet": []},
    Subnet(id="subnet-1", VpcId="vpc-4"),
    Owner(),
    {"id": "of what it is depends on the class"},
    {},
]
CHANGED = {
    "DescribeVpcs.VpcId": str.upper,
    "Vpc.State": lambda value: value or "pending",
    "Block": lambda value: f"{value} or more",
    "Tags": lambda value: value or None,
}


def serializer(changed: dict[str, Any]) -> Any:
    model = get_service_model("ec2").operation_model("DescribeVpcs")
    return EC2Serializer(model, value_picker=XFormedAttributePicker(response_transformers=changed))


@pytest.mark.parametrize("changed", [{}, CHANGED], ids=["as they are", "changed"])
@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_member_is_the_one_that_moto_finds(value: Any, changed: dict[str, Any]) -> None:
    writer = serializer(changed)
    vpc = writer.operation_model.output_shape.members["Vpcs"].member
    # What is kept of one class must not answer for another.
    for each in (*VALUES, value):
        for path in (["DescribeVpcs"], ["DescribeVpcs", "Vpc"]):
            writer.path = path
            for key, shape in vpc.members.items():
                shape.parent = vpc
                expected = _outcome(_moto_get_value, writer, each, key, shape)
                assert _outcome(Serializer.get_value, writer, each, key, shape) == expected


def _outcome(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    # A change of what is not there.
    except TypeError as error:
        return str(error)


@pytest.mark.parametrize("more", [{}, {"include_digits": False}, {"lower_case": True}])
def test_texts_are_of_the_letters_that_moto_draws(more: dict[str, bool]) -> None:
    ours: Any = type("Ours", (Random, MotoRandom), {})
    drawn = [set(each.get_random_string(3_000, **more)) for each in (ours(1), MotoRandom(1))]
    assert drawn[0] == drawn[1]
    assert len(ours().get_random_string()) == len(MotoRandom().get_random_string())
