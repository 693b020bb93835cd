"""The conditions for another attempt, by what AWS documents of them.

Sources: https://docs.aws.amazon.com/batch/latest/APIReference/API_RetryStrategy.html (at most five,
with attempts), https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html (the
patterns), https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html (`Host EC2*`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.loaders import Loader

from mngen.cluster import FINAL_EXIT_CODES, FINAL_UPLOAD_EXIT_CODE, retry_conditions
from mngen.spec import RetryCondition

if TYPE_CHECKING:
    from mngen.spec import Retried

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("uploads", [False, True])
def test_the_conditions_are_ones_that_batch_takes(*, uploads: bool) -> None:
    shapes = Loader().load_service_model("batch", "service-2")["shapes"]
    known = shapes["EvaluateOnExit"]["members"].keys()
    actions = {each.upper() for each in shapes["RetryAction"]["enum"]}
    conditions = retry_conditions(uploads=uploads)
    assert 1 <= len(conditions) <= 5
    for each in conditions:
        assert each.keys() <= known
        assert each["action"] in actions
        assert re.fullmatch(r"[A-Za-z0-9.:\s]*\*?", each.get("onStatusReason", ""))
        assert re.fullmatch(r"[0-9]*\*?", each.get("onExitCode", ""))


def test_the_rendered_module_has_the_same() -> None:
    text = (ROOT / "templates/terraform/modules/job_definition/main.tf.j2").read_text()
    names = {"on_status_reason": "onStatusReason", "on_exit_code": "onExitCode"}
    rendered = [
        {names.get(name, name): value for name, value in re.findall(r'(\w+) += "(.*)"', block)}
        for block in re.findall(r"evaluate_on_exit \{\n(.*?)\n *\}", text, re.DOTALL)
    ]
    assert rendered == retry_conditions()


def test_what_is_named_is_tried_again_and_nothing_else() -> None:
    oom = RetryCondition(exit_code="13*", reason="OutOf*")
    named: tuple[Retried, ...] = ("lost-host", "lost-node", 75, 66, oom)
    assert retry_conditions(named) == [
        {"action": "RETRY", "onStatusReason": "Host EC2*"},
        {"action": "RETRY", "onExitCode": "66"},
        {"action": "RETRY", "onExitCode": "67"},
        {"action": "RETRY", "onExitCode": "75"},
        {"action": "RETRY", "onExitCode": "13*", "onReason": "OutOf*"},
        {"action": "EXIT", "onReason": "*"},
    ]
    assert retry_conditions(()) == [{"action": "EXIT", "onReason": "*"}]


def test_the_named_exit_codes_are_those_of_the_wire_up() -> None:
    text = (ROOT / "container/mngen_wireup/errors.py").read_text(encoding="utf-8")
    codes = dict(re.findall(r"^([A-Z_]+) = (\d+)$", text, re.MULTILINE))
    wanted = [codes["MISSING"], codes["LOST"], codes["BAD_INPUTS"]]
    found = retry_conditions(("lost-node", "inputs"))[:-1]
    assert [each["onExitCode"] for each in found] == wanted
    assert {codes["BAD_ENVIRONMENT"], codes["BAD_CPUS"]} == {str(each) for each in FINAL_EXIT_CODES}
    assert codes["BAD_OUTPUTS"] == str(FINAL_UPLOAD_EXIT_CODE)


def test_a_job_whose_outputs_stayed_behind_is_not_computed_again() -> None:
    final = {"action": "EXIT", "onExitCode": "71"}
    assert retry_conditions(uploads=True) == [*retry_conditions(), final]
    # What the user names holds as it is.
    for named in ((), (71,), ("lost-node",)):
        assert retry_conditions(named, uploads=True) == retry_conditions(named)


@pytest.mark.parametrize("code", [*FINAL_EXIT_CODES, FINAL_UPLOAD_EXIT_CODE])
def test_the_wire_up_documents_each_final_code(code: int) -> None:
    assert f"\n| {code} | " in (ROOT / "docs/container.md").read_text(encoding="utf-8")
