from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from mngen.terraform import Kind, PlanSummary, render_summary, summarise


def resource(
    address: str,
    *actions: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    mode: str = "managed",
    **more: Any,
) -> dict[str, Any]:
    """One entry of `resource_changes`, in the shape of Terraform's JSON plan format 1.2."""
    change = {"actions": list(actions), "before": before, "after": after, "after_unknown": {}}
    change |= more.pop("change", {})
    kind = address.rpartition("module.")[2].split(".")[-2]
    return {"address": address, "mode": mode, "type": kind, "change": change, **more}


def summary_of(*resources: dict[str, Any], **more: Any) -> PlanSummary:
    return summarise({"resource_changes": list(resources), **more})


def shown(summary: PlanSummary, *, colour: bool = False) -> str:
    console = Console(
        force_terminal=colour, color_system="standard" if colour else None, width=40, record=True
    )
    with console.capture() as capture:
        console.print(render_summary(summary), soft_wrap=True)
    return capture.get()


def environment(**compute: Any) -> dict[str, Any]:
    return {"compute_resources": [{"max_vcpus": 96, "image_id": "ami-1", **compute}]}


CE = "module.env.aws_batch_compute_environment.r5"


def test_each_action_has_its_kind() -> None:
    summary = summary_of(
        resource("aws_vpc.new", "create", after={}),
        resource("aws_vpc.same", "no-op"),
        resource("aws_vpc.changed", "update", before={"a": 1, "b": 1}, after={"a": 2, "b": 1}),
        resource("aws_vpc.gone", "delete", before={}),
        resource("aws_vpc.anew", "delete", "create"),
        resource("aws_vpc.anew_first", "create", "delete"),
        resource("aws_vpc.forgotten", "forget"),
        resource("aws_vpc.moved", "no-op", previous_address="aws_vpc.was"),
        resource("aws_vpc.adopted", "no-op", change={"importing": {"id": "vpc-1"}}),
        resource("data.aws_vpc.read", "read", mode="data"),
        output_changes={"b": {"actions": ["create"]}, "a": {"actions": ["no-op"]}},
    )
    assert [(change.address, change.kind) for change in summary.changes] == [
        ("aws_vpc.new", Kind.CREATE),
        ("aws_vpc.changed", Kind.UPDATE),
        ("aws_vpc.gone", Kind.DESTROY),
        ("aws_vpc.anew", Kind.REPLACE),
        ("aws_vpc.anew_first", Kind.REPLACE),
        ("aws_vpc.forgotten", Kind.FORGET),
        ("aws_vpc.moved", Kind.MOVE),
        ("aws_vpc.adopted", Kind.IMPORT),
    ]
    assert [change.create_before_destroy for change in summary.replaced] == [False, True]
    assert summary.changed[0].attributes == ("a",)
    assert summary.outputs == ("b",)
    assert "1 to add, 1 to change, 2 to replace, 1 to destroy, 1 to import" in shown(summary)


def test_a_replacement_names_the_attribute_that_forces_it_with_both_values() -> None:
    summary = summary_of(
        resource(
            CE,
            "create",
            "delete",
            before=environment(placement_group="MPIgroup"),
            after=environment(placement_group="Other"),
            change={"replace_paths": [["compute_resources", 0, "placement_group"]]},
            action_reason="replace_because_cannot_update",
        )
    )
    assert summary.replaced[0].reasons == (
        'forced by compute_resources[0].placement_group: "MPIgroup" -> "Other"',
    )


@pytest.mark.parametrize(
    ("before", "after", "deleted"),
    [(90, 7, "7 days"), (0, 1, "1 day"), (7, 90, None), (7, 0, None), (0, 0, None)],
)
def test_a_shorter_retention_deletes_older_output(
    before: int, after: int, deleted: str | None
) -> None:
    [change] = summary_of(
        resource(
            "aws_cloudwatch_log_group.jobs",
            "update",
            before={"retention_in_days": before},
            after={"retention_in_days": after},
        )
    ).changes
    expected = deleted and f"the job logs in it that are older than {deleted} are deleted"
    assert change.consequence == expected
    assert not change.loses_data


def test_a_value_not_known_before_the_apply_is_said_to_be_so() -> None:
    summary = summary_of(
        resource(
            "aws_subnet.a",
            "delete",
            "create",
            before={"vpc_id": "vpc-1"},
            after={},
            change={"replace_paths": [["vpc_id"]], "after_unknown": {"vpc_id": True}},
        )
    )
    assert summary.replaced[0].reasons == ('forced by vpc_id: "vpc-1" -> (known after apply)',)


@pytest.mark.parametrize(
    "marks",
    [
        {"before_sensitive": {"token": True}, "after_sensitive": {"token": True}},
        {"before_sensitive": True, "after_sensitive": True},
        {
            "before_sensitive": {"token": [{"x": True}]},
            "after_sensitive": {"token": [{"x": True}]},
        },
    ],
)
def test_a_secret_that_forces_a_replacement_is_not_shown(marks: dict[str, Any]) -> None:
    summary = summary_of(
        resource(
            "aws_x.a",
            "delete",
            "create",
            before={"token": "old-secret"},
            after={"token": "new-secret"},
            change={"replace_paths": [["token"]], **marks},
        )
    )
    assert summary.replaced[0].reasons == ("forced by token: (sensitive) -> (sensitive)",)


def test_a_secret_not_known_before_the_apply_is_not_called_a_value() -> None:
    summary = summary_of(
        resource(
            "aws_x.a",
            "delete",
            "create",
            before={"token": "old"},
            after={},
            change={
                "replace_paths": [["token"]],
                "after_unknown": {"token": True},
                "after_sensitive": {"token": True},
                "before_sensitive": {"token": True},
            },
        )
    )
    assert "old" not in summary.replaced[0].reasons[0]


def test_odd_keys_and_long_values_stay_readable() -> None:
    summary = summary_of(
        resource(
            "aws_x.a",
            "delete",
            "create",
            before={"tags": {"a b": "x" * 200}},
            after={"tags": {"a b": "\x1b[31m\u202e"}},
            change={"replace_paths": [["tags", "a b"]]},
        )
    )
    (reason,) = summary.replaced[0].reasons
    assert reason.startswith('forced by tags["a b"]: "xxx')
    assert "…" in reason
    assert "\x1b" not in reason
    assert "\u202e" not in reason
    assert len(reason) < 120


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("replace_because_tainted", "failed or was interrupted"),
        ("replace_by_triggers", "replace_triggered_by"),
        ("delete_because_no_resource_config", "no longer has it"),
        ("delete_because_each_key", "no longer listed"),
    ],
)
def test_terraforms_own_reasons_are_put_in_words(reason: str, words: str) -> None:
    actions = ("delete",) if reason.startswith("delete") else ("delete", "create")
    (change,) = summary_of(resource("aws_x.a", *actions, action_reason=reason)).changes
    assert words in change.reasons[0]


def test_a_leftover_of_a_broken_replacement_is_explained() -> None:
    (change,) = summary_of(resource("aws_x.a", "delete", deposed="1234abcd")).changes
    assert change.reasons == ("left over from an interrupted replacement",)


def test_data_at_stake_is_named_last_and_in_red() -> None:
    summary = summary_of(
        resource("aws_efs_file_system.this", "delete", before={}),
        resource("aws_ecr_repository.this", "delete", "create"),
        resource("aws_vpc.this", "create"),
    )
    text = shown(summary)
    assert text.index("Data or jobs at stake:") > text.index("+ aws_vpc.this")
    assert "aws_efs_file_system.this is destroyed: every file on it is lost" in text
    assert "aws_ecr_repository.this is replaced: every container image in it is deleted" in text
    assert [change.loses_data for change in summary.changes] == [True, True, False]
    coloured = next(
        line for line in shown(summary, colour=True).splitlines() if "every file" in line
    )
    assert coloured.startswith("\x1b[1;31m")


def test_a_queue_or_environment_that_goes_ends_its_jobs() -> None:
    summary = summary_of(
        resource("aws_batch_job_queue.q", "delete"), resource(CE, "create", "delete")
    )
    assert [change.consequence for change in summary.at_stake] == [
        (
            "every job waiting or running in it is ended, and the costs of its jobs are no longer "
            "listed: run mngen cost --keep FILE first"
        ),
        "jobs still running on its instances are ended with them",
    ]


@pytest.mark.parametrize(
    ("after", "consequence"),
    [
        (environment(max_vcpus=192), None),
        ({**environment(), "tags": {"a": "b"}}, None),
        (
            environment(image_id="ami-2"),
            "its instances are replaced; a job that runs on for 30 minutes more is ended",
        ),
        (
            {
                **environment(image_id="ami-2"),
                "update_policy": [{"job_execution_timeout_minutes": 360}],
            },
            "its instances are replaced; a job that runs on for 360 minutes more is ended",
        ),
        (
            {
                **environment(image_id="ami-2"),
                "update_policy": [{"terminate_jobs_on_update": True}],
            },
            "its instances are replaced and the jobs running on them ended at once",
        ),
    ],
)
def test_an_environment_changed_in_place_interrupts_jobs_only_where_its_instances_go(
    after: dict[str, Any], consequence: str | None
) -> None:
    (change,) = summary_of(resource(CE, "update", before=environment(), after=after)).changes
    assert change.consequence == consequence


def test_no_changes_and_outputs_alone_are_told_apart() -> None:
    assert shown(summary_of()).startswith("No changes")
    outputs = summary_of(output_changes={"efs_id": {"actions": ["update"]}})
    assert "outputs change: efs_id" in shown(outputs)


def test_long_addresses_are_not_cut() -> None:
    address = "module." + "long" * 30 + ".aws_vpc.this"
    assert address in shown(summary_of(resource(address, "create")))


def test_the_data_for_machines_is_complete() -> None:
    summary = summary_of(
        resource("aws_vpc.a", "create"),
        resource(
            "aws_efs_file_system.b",
            "create",
            "delete",
            action_reason="replace_by_request",
        ),
    )
    assert summary.as_dict() == {
        "add": 1,
        "change": 0,
        "replace": 1,
        "destroy": 0,
        "changes": [
            {"address": "aws_vpc.a", "type": "aws_vpc", "action": "create"},
            {
                "address": "aws_efs_file_system.b",
                "type": "aws_efs_file_system",
                "action": "replace",
                "reasons": ["its replacement was asked for"],
                "consequence": "every file on it is lost, unless a backup holds it",
                "create_before_destroy": True,
            },
        ],
        "outputs": [],
        "spec": [],
    }
