"""What only has another name in the spec keeps its place in AWS.

The plans have the form of https://developer.hashicorp.com/terraform/internals/json-format.
"""

from __future__ import annotations

from typing import Any

import pytest

from mngen.terraform._moved import moved_blocks, moves_of, rescheduled
from mngen.terraform._summary import Kind, summarise

QUEUE, DEFINITION = "aws_batch_job_queue", "aws_batch_job_definition"


def change(call: str, kind: str, name: str, *actions: str) -> dict[str, Any]:
    values = {"name": name}
    return {
        "address": f"{call}.{kind}.this",
        "mode": "managed",
        "type": kind,
        "change": {
            "actions": list(actions),
            "before": None if actions == ("create",) else values,
            "after": None if actions == ("delete",) else values,
        },
    }


def moves(*changes: dict[str, Any]) -> dict[str, str]:
    return moves_of({"resource_changes": list(changes)})


def test_same_name_at_another_address_is_moved() -> None:
    found = moves(
        change("module.queue_wave[0]", QUEUE, "WaveQueue", "delete"),
        change("module.queue_a-b[0]", QUEUE, "WaveQueue", "create"),
        change("module.job_wave", DEFINITION, "wave", "delete"),
        change("module.job_model", DEFINITION, "wave", "create"),
    )
    assert found == {"module.queue_wave": "module.queue_a-b", "module.job_wave": "module.job_model"}
    assert moved_blocks(found).endswith(
        "moved {\n  from = module.queue_wave\n  to = module.queue_a-b\n}\n"
    )


def test_other_names_kinds_and_actions_stay_as_they_are() -> None:
    assert moves() == {}
    assert (
        moves(
            change("module.queue_wave[0]", QUEUE, "reef-wave", "delete"),
            change("module.queue_other[0]", QUEUE, "reef-other", "create"),
            # A definition may have the name of a queue.
            change("module.job_wave", DEFINITION, "reef-wave", "create"),
            change("module.queue_third[0]", QUEUE, "third", "delete", "create"),
            change("module.queue_fourth[0]", QUEUE, "reef-wave", "no-op"),
        )
        == {}
    )


POLICY = "arn:aws:batch:us-east-1:123456789012:scheduling-policy/fair"
UNKNOWN = object()


def scheduled(before: str | None, after: object, *actions: str) -> dict[str, Any]:
    """Return a change of a queue's policy; one that the apply makes is not known before."""
    found = change("module.queue_mpi[0]", QUEUE, "lab-mpi", *actions)
    values = found["change"]
    values["before"] = {"name": "lab-mpi", "scheduling_policy_arn": before}
    values["after"] = {"name": "lab-mpi"}
    if after is UNKNOWN:
        values["after_unknown"] = {"scheduling_policy_arn": True}
    else:
        values["after"]["scheduling_policy_arn"] = after
    return found


@pytest.mark.parametrize(
    ("before", "after", "replaced"),
    [
        (None, UNKNOWN, True),
        (None, POLICY, True),
        (POLICY, None, True),
        (POLICY, UNKNOWN, False),
        (POLICY, POLICY.replace("fair", "other"), False),
        (None, None, False),
    ],
)
def test_a_queue_is_replaced_for_its_first_or_without_its_last_policy(
    before: str | None, after: object, *, replaced: bool
) -> None:
    plan = {"resource_changes": [scheduled(before, after, "update")]}
    address = "module.queue_mpi[0].aws_batch_job_queue.this"
    assert rescheduled(plan) == ([address] if replaced else [])
    # What is replaced already is not asked for again.
    planned = scheduled(before, after, "delete", "create")
    planned["action_reason"] = "replace_by_request"
    plan = {"resource_changes": [planned]}
    assert rescheduled(plan) == []
    [shown] = summarise(plan).changes
    assert shown.kind is Kind.REPLACE
    why = "AWS Batch neither adds a scheduling policy to a queue nor removes it"
    assert (shown.reasons == (why,)) is replaced
    assert shown.consequence is not None
    assert shown.consequence.startswith("every job waiting or running in it is ended")
