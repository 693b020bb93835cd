"""Attempts of jobs over HTTP against the sandbox: what is tried again, and what status says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.catalog import load_catalog
from mngen.cluster import retry_conditions
from mngen.jobs import Jobs, Order
from mngen.jobs._attempts import explain_attempts
from mngen.rules import require
from mngen.spec import load_text
from tests.support.batch import Deployed, hold, spec_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mngen.jobs import JobStatus
    from mngen.sandbox import Sandbox

NAMED = """\
  named:
    queue: small
    command: [hostname]
    attempts: 3
    retry: [lost-host, lost-node, image-pull]
  plain: {queue: small, command: [hostname], attempts: 3}
"""


@pytest.fixture(scope="module")
def retried(sandbox: Sandbox) -> Deployed:
    return Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}", more=NAMED))


@pytest.fixture
def own(
    retried: Deployed, state_home: Path, inside: None, connect: Callable[[str, str], Any]
) -> Jobs:
    return Jobs(retried.cluster, connect)


def ended(deployed: Deployed, jobs: Jobs, job: str, wish: dict[str, Any], **more: Any) -> JobStatus:
    identifier = hold(jobs, "RUNNABLE", job, **more)
    deployed.control(jobs={identifier: {"seconds": 0, "hold": None, **wish}})
    return jobs.wait(identifier, timeout=180)


# By AWS's rules: the first condition that holds decides, and none means another attempt.
# https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html
@pytest.mark.parametrize(
    ("job", "wish", "attempts", "said"),
    [
        ("named", {"exits": [66, 0]}, 2, None),
        ("named", {"exits": [67, 66, 0]}, 3, None),
        ("named", {"exits": [1]}, 1, 'not tried again: EXIT on reason "*"'),
        ("named", {"exits": [70]}, 1, "attempt 1 of 3 failed with exit code 70, and was not"),
        ("named", {"lost": True}, 3, "attempt 3 of 3 failed (Host EC2"),
        ("named", {"unpulled": 1}, 2, None),
        (
            "plain",
            {"exits": [1, 64]},
            2,
            "exit code 64, and was not tried again: EXIT on exit code",
        ),
        ("plain", {"exits": [1]}, 3, "attempt 3 of 3 failed with exit code 1, the last one"),
        ("plain", {"unpulled": 9}, 3, "attempt 3 of 3 failed (CannotPullContainerError"),
    ],
)
def test_what_is_tried_again(
    retried: Deployed,
    own: Jobs,
    job: str,
    wish: dict[str, Any],
    attempts: int,
    said: str | None,
) -> None:
    found = ended(retried, own, job, wish)
    assert found.attempt == attempts
    if said is None:
        assert (found.state, found.retried) == ("SUCCEEDED", None)
    else:
        assert found.state == "FAILED"
        assert said in (found.retried or "")


def test_other_attempts_keep_what_is_tried_again(retried: Deployed, own: Jobs) -> None:
    found = ended(retried, own, "named", {"exits": [66, 1]}, attempts=5)
    assert (found.attempt, found.attempts, found.state) == (2, 5, "FAILED")


def test_an_attempt_that_follows_is_explained(retried: Deployed, own: Jobs) -> None:
    identifier = hold(own, "RUNNING", "named")
    # The second attempt is not placed.
    retried.control(jobs={identifier: {"exits": [67], "hold": "RUNNABLE", "seconds": 0}})
    deadline = time.monotonic() + 180
    while (found := own.status(identifier, why=False)).state != "RUNNABLE":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found.retried == (
        'attempt 1 of 3 failed with exit code 67, and was tried again: RETRY on exit code "67"'
    )
    own.cancel(identifier)


def test_a_cancelled_job_is_not_tried_again(retried: Deployed, own: Jobs) -> None:
    identifier = hold(own, "RUNNING", "plain")
    own.cancel(identifier)
    found = own.wait(identifier, timeout=180)
    assert found.attempt == 1
    assert "a cancelled job is not tried again" in (found.retried or "")


def test_a_changed_spec_differs_from_the_definition(
    retried: Deployed, own: Jobs, connect: Callable[[str, str], Any]
) -> None:
    """The spec names other reasons than the definition in AWS: MN314, and --register."""
    text = spec_text(retried.name, more=NAMED.replace(", image-pull]", "]"))
    other = Jobs(require(load_text(text.encode()), load_catalog()), connect)
    prepared = other.prepare(Order(job="named"))
    assert any(each.rule == "MN314" and "retry" in each.message for each in prepared.problems)
    assert not any(each.rule == "MN314" for each in own.prepare(Order(job="named")).problems)
    done = other.submit("named", register=True, name=f"n{uuid4().hex[:8]}")
    conditions = retried.job(done.id)["retryStrategy"]["evaluateOnExit"]
    assert [each.get("onReason") for each in conditions] == [None, None, None, "*"]


def test_a_protected_definition_differs_only_from_reasons_that_the_spec_names(
    retried: Deployed, connect: Callable[[str, str], Any]
) -> None:
    """Terraform leaves its conditions as they are: nobody asked for the default ones."""

    def differs(job: str) -> bool:
        more = NAMED.replace("hostname]", "hostname]\n    protect: true", 1)
        more = more.replace("lost-host, lost-node, image-pull", "inputs").replace(
            "attempts: 3}", "attempts: 3, protect: true}"
        )
        text = spec_text(retried.name, more=more)
        jobs = Jobs(require(load_text(text.encode()), load_catalog()), connect)
        return any(each.rule == "MN314" for each in jobs.prepare(Order(job=job)).problems)

    name = f"{retried.name}-plain"
    found = retried.batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    strategy = {"attempts": 3, "evaluateOnExit": [{"action": "EXIT", "onExitCode": "9"}]}
    retried.batch.register_job_definition(
        jobDefinitionName=name,
        type=found[-1]["type"],
        containerProperties=found[-1]["containerProperties"],
        timeout=found[-1]["timeout"],
        retryStrategy=strategy,
    )
    assert differs("named")
    assert not differs("plain")


def test_a_protected_definition_without_the_condition_of_its_outputs_differs(
    retried: Deployed, connect: Callable[[str, str], Any]
) -> None:
    """Another attempt would compute again what only could not be uploaded."""
    name = f"{retried.name}-plain"
    found = retried.batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]

    def differs(
        *conditions: dict[str, str],
        attempts: int = 3,
        bucket: str = "storage: {bucket: outputs}\n",
    ) -> bool:
        retried.batch.register_job_definition(
            jobDefinitionName=name,
            type=found[-1]["type"],
            containerProperties=found[-1]["containerProperties"],
            timeout=found[-1]["timeout"],
            retryStrategy={"attempts": attempts, "evaluateOnExit": list(conditions)},
        )
        more = NAMED.replace(
            "attempts: 3}", f"attempts: {attempts}, protect: true, outputs: /efs/of}}"
        )
        text = spec_text(retried.name, more=more) + bucket
        jobs = Jobs(require(load_text(text.encode()), load_catalog()), connect)
        messages = [each.message for each in jobs.prepare(Order(job="plain")).problems]
        return any("retry" in each.partition("differs")[2] for each in messages)

    def ends(code: str, **more: str) -> dict[str, str]:
        return {"action": "EXIT", "onExitCode": code, **more}

    assert differs(ends("9"))
    assert not differs(ends("9"), attempts=1)
    # They stay where they are.
    assert not differs(ends("9"), bucket="")
    assert not differs(ends("71"))
    assert not differs(ends("7*"))
    # The first condition decides of which every pattern matches:
    # https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
    assert differs({"action": "RETRY", "onExitCode": "7*"}, ends("71"))
    assert differs(ends("71", onReason="Essential*"))
    assert not differs({"action": "RETRY", "onStatusReason": "Host EC2*"}, ends("71"))
    assert not differs({"action": "EXIT", "onReason": "*"})


# The first and the last one were decided by something that the attempt does not show.
@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("RUNNABLE", 1, "attempt 1 of 3 failed with exit code 1, and was tried again"),
        (
            "FAILED",
            1,
            'attempt 1 of 3 failed with exit code 1, and was not tried again: EXIT on reason "*"',
        ),
        ("FAILED", 66, "attempt 1 of 3 failed with exit code 66, and was not tried again"),
    ],
)
def test_no_condition_is_named_that_contradicts_what_was_done(
    status: str, code: int, said: str
) -> None:
    job: Any = {
        "status": status,
        "attempts": [{"container": {"exitCode": code}}],
        "retryStrategy": {"attempts": 3, "evaluateOnExit": retry_conditions(("lost-node",))},
    }
    assert explain_attempts(job) == said
