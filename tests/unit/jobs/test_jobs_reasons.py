"""What Batch says of a blocked queue, in the words of AWS's guide.

Taken from https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html, the page
with all reasons and the pages that it was split into in 2026.
"""

from __future__ import annotations

import pytest

from mngen.jobs._reasons import REMEDIES, cause_of, code_of
from mngen.sandbox.batch._reasons import REASONS, reason

DOCUMENTED = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service "
    "cannot fulfill the capacity requested for instance type [instanceTypeName]",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": "MISCONFIGURATION:"
    "COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU "
    "requirement of the job.",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The "
    "job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) "
    "attached to the job queue.",
    "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS": "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS "
    "\N{EN DASH} Batch service role has a permission issue.",
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED": "MISCONFIGURATION:"
    "EC2_INSTANCE_CONFIGURATION_UNSUPPORTED - Your compute environment associated with this job "
    "queue has an unsupported instance type configuration.",
    "ACTION_REQUIRED": "ACTION_REQUIRED - CE(s) associated with the job queue are invalid.",
    "UNDETERMINED": "UNDETERMINED - Batch job is blocked, root cause is undetermined.",
}


@pytest.mark.parametrize("code", DOCUMENTED)
def test_every_documented_reason_is_known(code: str) -> None:
    cause = cause_of(DOCUMENTED[code], multi_node=False)
    assert cause.what == f"AWS Batch reports: {DOCUMENTED[code]}"
    assert cause.remedy == REMEDIES[code]
    assert cause.certain is (code != "UNDETERMINED")


def test_the_emulator_has_these_and_no_other() -> None:
    assert REMEDIES.keys() == DOCUMENTED.keys()
    assert {code: reason(code, "instanceTypeName") for code in REASONS} == DOCUMENTED


@pytest.mark.parametrize("between", [" - ", " \N{EN DASH} ", "\N{EM DASH}", ": ", " ", "."])
def test_the_code_is_read_by_its_own_characters(between: str) -> None:
    code = "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS"
    assert code_of(f"{code}{between}Batch service role has a permission issue.") == code
    assert code_of(code) == code


@pytest.mark.parametrize(
    "text", ["", "Dependent Job failed", "Host EC2 (instance i-0) terminated."]
)
def test_what_is_no_code_is_none(text: str) -> None:
    assert code_of(text) not in REMEDIES
    assert cause_of(text or "-", multi_node=True).remedy == "see the other causes"


def test_a_multi_node_job_is_not_promised_the_next_environment() -> None:
    cause = cause_of(DOCUMENTED["CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"], multi_node=True)
    assert "does not move on to the next environment" in cause.remedy
