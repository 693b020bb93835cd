"""What mngen says of a task that failed."""

from __future__ import annotations

import pytest

from mngen.images._ansible import playbook_runs, reason, task_named

# As ansible-core 2.19 returns it.
COMMAND = {"changed": False, "msg": "non-zero return code", "rc": 1}


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({**COMMAND, "stderr": "no route\n", "stdout": "tried\n"}, "no route"),
        ({**COMMAND, "stderr": "", "stdout": "refused"}, "refused"),
        ({**COMMAND, "stderr": "", "stdout": ""}, "non-zero return code"),
        ({**COMMAND, "stderr": "".join(f"{n}\n" for n in range(9))}, "4\n5\n6\n7\n8"),
        ({"msg": "no nr_cpus\nno mount", "stderr": "a warning"}, "no nr_cpus\nno mount"),
        ({"stderr": "killed"}, "killed"),
        # As ssh leaves it after a command on a terminal.
        (
            {
                **COMMAND,
                "stderr": "Shared connection to 10.0.0.12 closed.\r\n",
                "stdout": "Loaded plugins: priorities\r\nno repository answers\r\n",
            },
            "Loaded plugins: priorities\nno repository answers",
        ),
        ({**COMMAND, "stderr": "no route\nConnection to ::1 closed.\r\n"}, "no route"),
        (
            {**COMMAND, "stderr": "Connection to db closed. Retry\n"},
            "Connection to db closed. Retry",
        ),
        ({}, ""),
    ],
)
def test_the_reason_is_what_the_command_wrote(result: dict[str, object], said: str) -> None:
    assert reason(result) == said


def test_playbooks_of_the_spec_run_before_the_verification() -> None:
    assert playbook_runs(()) == [("image.yml", {})]
    assert playbook_runs((), preload=True) == [("preload.yml", {}), ("image.yml", {})]
    assert playbook_runs(("b/x.yml",), preload=True)[:2] == [
        ("preload.yml", {}),
        ("image.yml", {"skip_tags": "verify,clean,seal"}),
    ]
    assert playbook_runs(("b/x.yml", "a/y.yml")) == [
        ("image.yml", {"skip_tags": "verify,clean,seal"}),
        ("own/b/x.yml", {}),
        ("own/a/y.yml", {}),
        ("image.yml", {"tags": "verify,clean,seal"}),
    ]


def test_a_task_of_the_spec_is_shown_with_its_place() -> None:
    run = "/home/me/.local/state/mngen/bakes/lab-1/playbooks"
    ours = f"{run}/roles/verify/tasks/main.yml:12"
    assert task_named("verify : Verify the image", ours) == "verify : Verify the image"
    own = f"{run}/own/bake/roles/x/tasks/main.yml:7"
    assert task_named("Ask", own) == "Ask (bake/roles/x/tasks/main.yml:7)"
