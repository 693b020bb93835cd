"""What is read of a state has the addresses that Terraform prints."""

from __future__ import annotations

from typing import Any

from tests.support.states import attributes, outputs


def resource(kind: str, *instances: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"mode": "managed", "type": kind, "name": "this", "instances": instances, **more}


def test_addresses_are_those_that_terraform_prints() -> None:
    state = {
        "outputs": {"zones": {"value": ["a"], "type": ["list", "string"]}},
        "resources": [
            resource("aws_vpc", {"attributes": {"id": "vpc-1"}}),
            resource("aws_region", {"attributes": {"id": "x"}}, mode="data", module="module.a"),
            resource(
                "aws_subnet",
                {"index_key": "us-east-1a", "attributes": {"id": "subnet-1"}},
                {"index_key": 1, "attributes": {"id": "subnet-2"}},
                module="module.network[0]",
            ),
        ],
    }
    assert attributes(state) == {
        "aws_vpc.this": {"id": "vpc-1"},
        "module.a.data.aws_region.this": {"id": "x"},
        'module.network[0].aws_subnet.this["us-east-1a"]': {"id": "subnet-1"},
        "module.network[0].aws_subnet.this[1]": {"id": "subnet-2"},
    }
    assert outputs(state) == {"zones": ["a"]}
