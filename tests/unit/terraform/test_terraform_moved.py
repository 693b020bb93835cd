"""What only has another name in the spec keeps its place in AWS.

The plans have the form of https://developer.hashicorp.com/terraform/internals/json-format.
"""

from __future__ import annotations

from typing import Any

from mngen.terraform._moved import moved_blocks, moves_of

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
