"""The conditions for another attempt, by what AWS documents of them.

Sources: https://docs.aws.amazon.com/batch/latest/APIReference/API_RetryStrategy.html (at most five,
with attempts), https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html (the
patterns), https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html (`Host EC2*`).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from botocore.loaders import Loader

from mngen.cluster import FINAL_EXIT_CODES, retry_conditions

ROOT = Path(__file__).resolve().parents[3]


def test_the_conditions_are_ones_that_batch_takes() -> None:
    shapes = Loader().load_service_model("batch", "service-2")["shapes"]
    known = shapes["EvaluateOnExit"]["members"].keys()
    actions = {each.upper() for each in shapes["RetryAction"]["enum"]}
    conditions = retry_conditions()
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


@pytest.mark.parametrize("code", FINAL_EXIT_CODES)
def test_the_wire_up_documents_each_final_code(code: int) -> None:
    assert f"\n| {code} | " in (ROOT / "docs/container.md").read_text(encoding="utf-8")
