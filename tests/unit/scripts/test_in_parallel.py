from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import in_parallel
from tests.support.cli import DEAF
from tests.support.processes import mentioned

SCRIPT = [sys.executable, str(Path(in_parallel.__file__))]

WAITS_FOR = "until [ -e {} ]; do sleep 0.01; done"

NEVER_ENDS = "trap 'touch {0}-interrupted; exit 7' INT; touch {0}; while :; do sleep 0.05; done"


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]


def run(first: str, second: str) -> subprocess.CompletedProcess[str]:
    command = [*SCRIPT, *shell(first), "--", *shell(second)]
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
        timeout=120,
    )


def test_the_second_is_shown_after_the_first_which_it_runs_beside(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    result = run(
        f"{WAITS_FOR.format(begun)}; echo first",
        f"echo second; touch {begun}; echo trouble >&2",
    )

    assert result.stdout == "first\nsecond\ntrouble\n"
    assert result.returncode == 0


def test_the_output_of_the_second_is_shown_before_it_ends(tmp_path: Path) -> None:
    read = tmp_path / "read"
    command = [*SCRIPT, "true", "--", *shell(f"echo second; {WAITS_FOR.format(read)}; echo more")]

    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as running:
        assert running.stdout
        assert running.stdout.readline() == "second\n"
        read.touch()
        assert running.stdout.read() == "more\n"

    assert running.returncode == 0


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [("true", "exit 4", 4), ("true", "kill -9 $$", 137), ("kill -9 $$", "true", 137)],
)
def test_it_exits_as_what_failed(first: str, second: str, code: int) -> None:
    assert run(first, second).returncode == code


def test_if_the_first_fails_the_second_is_interrupted_and_not_shown(tmp_path: Path) -> None:
    second = f"echo second; {NEVER_ENDS.format(tmp_path / 'second')}"

    result = run(f"{WAITS_FOR.format(tmp_path / 'second')}; echo first; exit 3", second)

    assert result.stdout == "first\n"
    assert result.returncode == 3
    assert (tmp_path / "second-interrupted").exists()


@pytest.mark.parametrize("start", [[], DEAF], ids=["listening", "deaf"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_both(number: signal.Signals, start: list[str], tmp_path: Path) -> None:
    names = [tmp_path / "first", tmp_path / "second"]
    first, second = (shell(NEVER_ENDS.format(name)) for name in names)
    begun = "; ".join(WAITS_FOR.format(name) for name in names)

    with subprocess.Popen([*start, *SCRIPT, *first, "--", *second]) as running:
        subprocess.run(shell(begun), check=True, timeout=120)
        running.send_signal(number)

    assert running.returncode == 130
    assert (tmp_path / "first-interrupted").exists()
    assert (tmp_path / "second-interrupted").exists()


def test_further_signals_leave_nothing_running(tmp_path: Path) -> None:
    names = [tmp_path / "first", tmp_path / "second"]
    first, second = (
        shell(NEVER_ENDS.format(name).replace("exit 7", "sleep 0.2; exit 7")) for name in names
    )
    begun = "; ".join(WAITS_FOR.format(name) for name in names)

    with subprocess.Popen([*SCRIPT, *first, "--", *second]) as running:
        subprocess.run(shell(begun), check=True, timeout=120)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT) * 5:
            running.send_signal(number)

    assert running.returncode == 130
    assert mentioned(str(tmp_path)) == []


def test_it_ends_with_the_reader_of_its_output(tmp_path: Path) -> None:
    endless = f"while :; do echo {tmp_path}; done"

    with subprocess.Popen([*SCRIPT, "true", "--", *shell(endless)], stdout=subprocess.PIPE) as run:
        assert run.stdout
        run.stdout.readline()
        run.stdout.close()

    assert run.returncode == 141
    assert mentioned(str(tmp_path)) == []
