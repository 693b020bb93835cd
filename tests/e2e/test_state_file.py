"""What tests read of a state's file is what Terraform prints of it.

A real deployment is compared in `tests/e2e/test_deploy_efa.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.needs import skip_without
from tests.support.states import attributes, outputs, printed_attributes, resources
from tests.support.terraform_program import terraform

if TYPE_CHECKING:
    from pathlib import Path

PROVIDER = 'provider["terraform.io/builtin/terraform"]'
KEYS = ["us-east-1a", "é", '${x} $x %{y} " \\ \n', 1]


def instance(number: int, **more: Any) -> dict[str, Any]:
    values = {"input": {"value": number, "type": "number"}, "output": None}
    return {
        "schema_version": 0,
        "attributes": {"id": str(number), "triggers_replace": None, **values},
        **more,
    }


def resource(*instances: dict[str, Any], **more: str) -> dict[str, Any]:
    kind = {"mode": "managed", "type": "terraform_data", "name": "this"}
    return {**kind, "provider": PROVIDER, "instances": instances, **more}


def test_attributes_and_outputs_are_those_that_terraform_prints(
    tmp_path: Path, terraform_env: dict[str, str]
) -> None:
    skip_without("terraform-program")
    # Of the data source, what may be of any type is left out: no template has it.
    nothing = dict.fromkeys(("backend", "config", "defaults", "outputs", "workspace"))
    read = {"schema_version": 0, "attributes": nothing}
    state = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": 1,
        "lineage": "0a1b2c3d",
        "outputs": {"zones": {"value": ["a"], "type": ["list", "string"]}},
        "resources": [
            resource(instance(0)),
            resource(read, mode="data", type="terraform_remote_state", module="module.a"),
            resource(
                *(instance(number, index_key=key) for number, key in enumerate(KEYS)),
                module='module.network[0].module.zone["é"]',
            ),
            # One that was replaced, and whose predecessor is still to be deleted; and one of
            # which nothing else is there.
            resource(
                instance(1, index_key=0),
                instance(2, index_key=0, deposed="0a1b2c3d"),
                instance(3, index_key=1, deposed="1a2b3c4d"),
                name="replaced",
            ),
        ],
        "check_results": None,
    }
    file = tmp_path / "terraform.tfstate"
    file.write_text(json.dumps(state), encoding="utf-8")
    done = terraform(tmp_path, terraform_env, "show", "-json", str(file), seconds=300)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)["values"]
    found = attributes(state)
    assert found == printed_attributes(printed["root_module"])
    assert len(found) == 2 + len(KEYS) + 2
    assert {*found} - {*resources(state)} == {"module.a.data.terraform_remote_state.this"}
    assert found["terraform_data.replaced[0]"]["id"] == "1"
    assert outputs(state) == {name: each["value"] for name, each in printed["outputs"].items()}
