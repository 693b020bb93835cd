"""mngen apply and destroy before a person at a terminal."""

from __future__ import annotations

import re
import signal
import stat
from pathlib import Path

import pexpect
import pytest

from tests.support.cli import CHECKOUT
from tests.support.deploy import SLOW, sleeper, state, wait_until, write_tree
from tests.support.processes import state_of

TREE = """
resource "terraform_data" "a" {
  input = sensitive("hunter2")
}
"""
QUESTION = re.escape("Apply this plan? [y/N]: ")


@pytest.fixture
def env(terraform_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir()
    return {**terraform_env, "TMPDIR": str(tmp_path / "tmp"), "TERM": "xterm"}


def at_terminal(tmp_path: Path, env: dict[str, str], *arguments: str) -> pexpect.spawn[str]:
    return pexpect.spawn(
        CHECKOUT[0],
        [*CHECKOUT[1:], *arguments],
        cwd=str(tmp_path),
        env=env,
        timeout=120,
        encoding="utf-8",
        dimensions=(24, 80),
    )


def end(child: pexpect.spawn[str]) -> tuple[str, int | None]:
    child.expect(pexpect.EOF)
    text = child.before or ""
    child.close()
    return text, child.exitstatus


def interrupt(child: pexpect.spawn[str]) -> None:
    """Press Ctrl-C once mngen waits for the terminal.

    A signal between the question and the wait would be seen only after the next key: on a busy
    machine, mngen may not have come so far when the question is read here.
    """
    process = child.pid
    assert process is not None
    wait_until(lambda: state_of(process) == "S", "mngen to wait for an answer")
    child.sendintr()


def test_yes_applies(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, TREE)
    child = at_terminal(tmp_path, env, "apply")
    child.expect(QUESTION)
    child.sendline("perhaps")
    child.expect(QUESTION)
    child.sendline("yes")
    text, code = end(child)
    assert code == 0
    assert "Apply complete! Resources: 1 added" in text
    assert state(folder) == {"terraform_data.a": None}


@pytest.mark.parametrize("answer", ["n", "no", ""])
def test_no_changes_nothing(tmp_path: Path, env: dict[str, str], answer: str) -> None:
    folder = write_tree(tmp_path, TREE)
    child = at_terminal(tmp_path, env, "apply")
    child.expect(QUESTION)
    child.sendline(answer)
    text, code = end(child)
    assert code == 1
    assert "Nothing was changed." in text
    assert not (folder / "terraform.tfstate").exists()


def test_the_end_of_input_changes_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, TREE)
    child = at_terminal(tmp_path, env, "apply")
    child.expect(QUESTION)
    child.sendeof()
    text, code = end(child)
    assert code == 1
    assert "Nothing was changed." in text
    assert not (folder / "terraform.tfstate").exists()


def test_ctrl_c_at_the_question_changes_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, TREE)
    child = at_terminal(tmp_path, env, "apply")
    child.expect(QUESTION)
    interrupt(child)
    text, code = end(child)
    assert code == 130
    assert "Traceback" not in text
    assert not (folder / "terraform.tfstate").exists()


def test_ctrl_c_during_the_apply_reaches_terraform_once(
    tmp_path: Path, env: dict[str, str]
) -> None:
    folder = write_tree(tmp_path, SLOW)
    child = at_terminal(tmp_path, env, "apply", "--yes")
    process = sleeper(folder)
    child.sendintr()
    text, code = end(child)
    assert code == 130
    assert text.count("Gracefully shutting down...") == 1
    assert "1 of 3 changes are done" in text
    assert not process.exists()
    assert state(folder) == {"terraform_data.first": None, "terraform_data.slow": "tainted"}


def test_destroy_asks_too(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, TREE)
    end(at_terminal(tmp_path, env, "apply", "--yes"))
    child = at_terminal(tmp_path, env, "destroy")
    child.expect(re.escape("Destroy these resources? [y/N]: "))
    assert "\x1b[31m- terraform_data.a" in (child.before or ""), "in red on a terminal"
    child.sendline("y")
    text, code = end(child)
    assert (code, state(folder)) == (0, {}), text


def test_no_changes_ask_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    write_tree(tmp_path, TREE)
    end(at_terminal(tmp_path, env, "apply", "--yes"))
    text, code = end(at_terminal(tmp_path, env, "apply"))
    assert code == 0
    assert "No changes" in text


def test_the_plan_has_no_name_is_private_and_dies_with_mngen(
    tmp_path: Path, env: dict[str, str]
) -> None:
    folder = write_tree(tmp_path, TREE)
    rendered = sorted(folder.iterdir())
    child = at_terminal(tmp_path, env, "apply")
    child.expect(QUESTION)
    files = [
        descriptor
        for descriptor in Path(f"/proc/{child.pid}/fd").iterdir()
        if str(tmp_path / "tmp") in str(descriptor.readlink())
    ]
    assert len(files) == 1
    assert files[0].read_bytes().startswith(b"PK"), "the plan, which is a zip file"
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    assert files[0].stat().st_nlink == 0
    child.kill(signal.SIGKILL)
    wait_until(lambda: not child.isalive(), "mngen to be gone")
    child.close()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert sorted(folder.iterdir()) == rendered
