from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import pytest

from mngen.errors import Position, Severity
from mngen.terraform._events import EventStream, asks_for_init
from mngen.terraform._hints import Situation, hint_for
from mngen.terraform._progress import measure
from mngen.terraform._summary import summarise
from tests.support.logs import logged

HERE = Situation("terraform -chdir=deploy/terraform", "/usr/bin/terraform")


def event(kind: str, message: str = "", **more: Any) -> str:
    return json.dumps({"@message": message, "type": kind, **more})


def hook(kind: str, address: str, action: str) -> str:
    return event(kind, address, hook={"resource": {"addr": address}, "action": action})


def test_only_what_a_person_wants_to_see_is_passed_on() -> None:
    stream = EventStream()
    written = (
        event("version", "Terraform 1.11.4"),
        event("planned_change", "hidden"),
        event("change_summary", "Plan: hidden", changes={"operation": "plan"}),
        event("refresh_start", "a: Refreshing"),
        event("refresh_complete", "hidden"),
        event("log", "\nInterrupt received.\nPlease wait.\n"),
        event("change_summary", "Apply complete!", changes={"operation": "apply"}),
        event("outputs", "hidden"),
        event("something_new", "shown"),
        "a wrapper's own words",
        "[1, 2]",
        "",
    )
    with logged() as lines:
        for line in written:
            stream.feed(line)
    assert lines == [
        "a: Refreshing",
        "Interrupt received.",
        "Please wait.",
        "Apply complete!",
        "shown",
        "a wrapper's own words",
        "[1, 2]",
    ]


def test_control_characters_never_reach_the_terminal() -> None:
    with logged() as lines:
        EventStream().feed(event("provision_progress", "a: \x1b]0;title\x07\x9b31m ok"))
    assert lines == ["a: \\x1b]0;title\\x07\\x9b31m ok"]


def test_steps_are_tracked_until_they_end() -> None:
    stream = EventStream()
    for line in (
        hook("apply_start", "a.a", "create"),
        hook("apply_complete", "a.a", "create"),
        hook("apply_start", "b.b", "delete"),
        hook("apply_start", "c.c", "update"),
        hook("apply_errored", "c.c", "update"),
    ):
        stream.feed(line)
    assert stream.done == {("a.a", "create")}
    assert stream.under_way == {("b.b", "delete")}


def test_a_replacement_is_done_when_both_its_steps_are() -> None:
    changes = [
        {"address": f"x.{name}", "mode": "managed", "type": "x", "change": {"actions": actions}}
        for name, actions in (
            ("anew", ["create", "delete"]),
            ("half", ["create", "delete"]),
            ("new", ["create"]),
            ("kept", ["forget"]),
        )
    ]
    progress = measure(
        summarise({"resource_changes": changes}),
        {("x.anew", "create"), ("x.anew", "delete"), ("x.half", "create")},
    )
    assert [change.address for change in progress.done] == ["x.anew"]
    assert progress.describe(1) == (
        "1 of 3 changes are done; the state holds 1 resource; left to do:\n"
        "  replace x.half\n  create x.new"
    )


def test_a_long_rest_is_not_listed_to_its_end() -> None:
    changes = [
        {"address": f"x.n{i}", "mode": "managed", "type": "x", "change": {"actions": ["create"]}}
        for i in range(25)
    ]
    text = measure(summarise({"resource_changes": changes}), frozenset()).describe(None)
    assert text.splitlines()[0] == "0 of 25 changes are done; left to do:"
    assert text.splitlines()[-1] == "  and 5 more"
    assert measure(summarise({}), frozenset()).describe(0).endswith("nothing is left to do")


DIAGNOSTIC = {
    "severity": "error",
    "summary": "Unsupported argument",
    "detail": 'An argument named "inputt" is not expected here.\nDid you mean "input"?\n',
    "address": "terraform_data.a",
    "range": {
        "filename": "main.tf",
        "start": {"line": 5, "column": 2, "byte": 81},
        "end": {"line": 5, "column": 8, "byte": 87},
    },
    "snippet": {"context": "resource", "code": " inputt = 1\n more", "start_line": 5},
}


def test_a_diagnostic_becomes_a_problem_with_its_place() -> None:
    stream = EventStream()
    for _ in range(2):
        stream.feed(event("diagnostic", diagnostic=DIAGNOSTIC))
    stream.feed(
        event("diagnostic", diagnostic={"severity": "error", "summary": "execution halted"})
    )
    stream.feed(event("diagnostic", diagnostic={"severity": "warning", "summary": "Deprecated"}))
    problem, warning = stream.problems(PurePath("deploy/terraform"), HERE)
    assert problem.message.splitlines()[0] == "Unsupported argument"
    assert problem.message.splitlines()[2] == '  Did you mean "input"?'
    assert problem.file == "deploy/terraform/main.tf"
    assert problem.position == Position(5, 2)
    assert problem.source_line == " inputt = 1"
    assert problem.path == "terraform_data.a"
    assert warning.severity is Severity.WARNING
    assert not stream.asks_for_init


def test_init_is_recognised_where_terraform_wraps_its_text() -> None:
    assert asks_for_init('Module not installed\nrun "terraform\ninit" to install all modules')
    assert asks_for_init("please run: tofu init")
    assert not asks_for_init("terraform initialised nothing")


LOCK = """Error acquiring the state lock
Error message: resource temporarily unavailable
Lock Info:
  ID:        0b6ad5ae-1a3a-3d3b-0c6a-0f9a8c1b2d3e
  Path:      terraform.tfstate
  Operation: OperationTypeApply
  Who:       ada@login1
  Version:   1.11.4
  Created:   2026-11-24 03:00:00.0 +0000 UTC
  Info:
"""


def test_a_held_lock_names_its_holder_and_the_way_out() -> None:
    hint = hint_for(LOCK, HERE) or ""
    assert hint.startswith("ada@login1 holds the state since 2026-11-24 03:00:00.0 +0000 UTC")
    assert "(OperationTypeApply)" in hint
    assert hint.endswith(
        "`terraform -chdir=deploy/terraform force-unlock 0b6ad5ae-1a3a-3d3b-0c6a-0f9a8c1b2d3e`"
    )
    assert "force-unlock" not in (hint_for("Error acquiring the state lock", HERE) or "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Failed to query available provider packages\nno such host", "HTTPS_PROXY"),
        ("No valid credential sources found", "aws sso login"),
        ("api error ExpiredToken: The security token included in the request is expired", "sso"),
        ("api error AccessDenied: not authorized", "mngen policy deployer"),
        ("User: x is not authorized to perform: batch:CreateJobQueue", "mngen policy deployer"),
        ("Backend configuration changed", "init -migrate-state"),
        ("Unsupported Terraform Core version", "/usr/bin/terraform: install a newer one"),
        (
            "locked provider registry.terraform.io/hashicorp/aws 5.1 does not match configured",
            "init -upgrade`",
        ),
        ("Saved plan is stale", "run the command again"),
        ("write /x: no space left on device", "free some space"),
        (
            "Failed to save state\nAccessDenied\nThe state was written to errored.tfstate",
            "state push errored.tfstate",
        ),
        ('S3 bucket "x" does not exist', "create the bucket"),
        (
            "creating EFS Mount Target (fs-1): UnsupportedAvailabilityZone: Mount targets are",
            "`network: {zones: […]}`",
        ),
    ],
)
def test_known_failures_have_a_hint(text: str, words: str) -> None:
    assert words in (hint_for(text, HERE) or "")


def test_an_attached_policy_is_named_with_how_to_detach_it() -> None:
    # The words of the AWS provider and of IAM:
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
    arn = "arn:aws:iam::123456789012:policy/lab-deny-submit-20261130"
    text = (
        f"deleting IAM Policy ({arn}): operation error IAM: DeletePolicy, https response error "
        "StatusCode: 409, DeleteConflict: Cannot delete a policy attached to entities."
    )
    hint = hint_for(text, HERE) or ""
    assert f"list-entities-for-policy --policy-arn {arn}\n" in hint
    for kind in ("role", "group", "user"):
        command = f"detach-{kind}-policy --{kind}-name {kind.upper()} --policy-arn {arn}"
        assert command in hint


def test_an_unknown_failure_has_none() -> None:
    assert hint_for("Invalid reference", HERE) is None
