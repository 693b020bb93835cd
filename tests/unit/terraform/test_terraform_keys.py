"""The keys of the spec that a plan changes, as `mngen plan` shows them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from rich.console import Console

from mngen.terraform import PlanSummary, render_summary, summarise

BEFORE: dict[str, Any] = {
    "name": "lab",
    "region": "us-east-1",
    "environments": {"mpi": {"instance": "r5.12xlarge", "max_nodes": 4}},
    "queues": {"mpi": {"environments": ["mpi"]}},
    "jobs": {"a": {"queue": "mpi", "command": ["true"], "environment": {"TOKEN": "hush"}}},
}


def summary_of(before: object, after: object, **more: Any) -> PlanSummary:
    """Summarise a plan in which the record of the spec changes, and what else is given."""
    change = {"actions": ["update"], "before": before, "after": after, "before_sensitive": True}
    return summarise({"output_changes": {"spec": change}, **more})


def shown(summary: PlanSummary) -> str:
    console = Console(width=40, record=True)
    with console.capture() as capture:
        console.print(render_summary(summary), soft_wrap=True)
    return capture.get()


def changed(**more: Any) -> dict[str, Any]:
    return {**BEFORE, **more}


def test_each_key_is_shown_with_both_values_and_what_its_change_does() -> None:
    environments = {"mpi": {"instance": "r5.24xlarge", "max_nodes": 8}}
    text = shown(summary_of(BEFORE, changed(environments=environments)))
    assert text.startswith("\nChanged in the spec since the last apply:\n")
    assert (
        '  environments.mpi.instance: "r5.12xlarge" -> "r5.24xlarge"  '
        "(new-ami, instances, new-jobs)\n"
        "  environments.mpi.max_nodes: 4 -> 8  (in-place)\n" in text
    )
    explained = [line.split(":")[0].strip() for line in text.splitlines() if ": " in line[:15]]
    assert explained == ["in-place", "new-jobs", "new-ami", "instances"]
    assert "run `mngen bake` before `mngen apply`" in text


def test_values_of_environment_variables_are_never_shown() -> None:
    jobs = {"a": {**BEFORE["jobs"]["a"], "environment": {"TOKEN": "hush2", "MORE": "hush3"}}}
    summary = summary_of(BEFORE, changed(jobs=jobs))
    text = shown(summary)
    assert "jobs.a.environment.TOKEN: changed  (new-jobs)" in text
    assert "jobs.a.environment.MORE: added  (new-jobs)" in text
    assert "hush" not in text + str(summary.as_dict())
    assert "hush" not in str(summary_of(BEFORE, changed(jobs={})).as_dict())


def test_the_json_names_the_effects() -> None:
    more = changed(storage={"efs": {"tls": False}}, queues={})
    assert summary_of(BEFORE, more).as_dict()["spec"] == [
        {"key": "storage.efs.tls", "before": True, "after": False, "update": ["bake"]},
        {"key": "queues.mpi", "entry": "removed", "update": ["entry"]},
    ]


def test_the_record_alone_is_no_change_of_an_output() -> None:
    summary = summary_of(BEFORE, changed(storage={"efs": {"tls": False}}))
    assert summary.outputs == ()
    assert "No resource changes; the record of the spec changes." in shown(summary)


def test_nothing_is_shown_where_the_former_spec_is_not_known() -> None:
    for before, after in ((None, BEFORE), (BEFORE, None), (BEFORE, BEFORE), ("x", BEFORE)):
        assert summary_of(before, after).keys == ()


def test_a_terminal_gets_no_control_characters() -> None:
    more = changed(container={"image": "a\x1b[31mb"}, environments={"\x1b[2J": {}})
    assert "\x1b" not in shown(summary_of(BEFORE, more))


def test_a_plan_without_changed_keys_loads_no_model() -> None:
    script = (
        "import sys\n"
        "from mngen.terraform import summarise\n"
        "same = {'actions': ['no-op'], 'before': {}, 'after': {}}\n"
        "summarise({'output_changes': {'spec': same}})\n"
        "sys.exit('msgspec' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
