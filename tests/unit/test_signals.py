"""What mngen does about signals, and what the programs that it starts get of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.cli import DEAF

# Each step prints which of the two signals a program started there ignores, as the kernel has it.
SCRIPT = """
import os, signal, subprocess
from mngen._signals import ENDINGS, settle_signals, take_signals

def show():
    mask = int(subprocess.check_output(["sed", "-n", "s/SigIgn://p", "/proc/self/status"]), 16)
    numbers = (signal.SIGHUP, signal.SIGINT)
    print([number.name for number in numbers if mask & 1 << number - 1])

def send(*numbers):
    taken = []
    try:
        for number in numbers:
            os.kill(os.getpid(), number)
            taken.append(number.name)
    except KeyboardInterrupt:
        taken.append("interrupted")
    print(taken)

count = 0
def take():
    global count
    count += 1

show()
settle_signals()
show()
with take_signals(take, ENDINGS):
    show()
    send(signal.SIGINT, signal.SIGTERM)
print(count)
show()
send(signal.SIGTERM)
send(signal.SIGINT)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what a process ignores")
@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ((), ["[]", "[]", "[]", "['SIGINT', 'SIGTERM']", "2", "[]"]),
        (DEAF, ["['SIGINT']", "[]", "[]", "['SIGINT', 'SIGTERM']", "1", "[]"]),
        (
            ("nohup",),
            ["['SIGHUP']", "['SIGHUP']", "['SIGHUP']", "['SIGINT', 'SIGTERM']", "2", "['SIGHUP']"],
        ),
    ],
    ids=["plain", "deaf", "nohup"],
)
@pytest.mark.usefixtures("hang_ups")
def test_ignored_signals_stay_ignored_and_programs_can_be_interrupted(
    start: tuple[str, ...], expected: list[str]
) -> None:
    done = subprocess.run(
        [*start, sys.executable, "-c", SCRIPT],
        # Where lines are measured, coverage would take SIGTERM for itself.
        env={name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *lines, by_sigterm, by_sigint = done.stdout.splitlines()
    assert lines == expected
    assert by_sigterm == "['interrupted']"
    assert by_sigint == ("['SIGINT']" if start == DEAF else "['interrupted']")


def test_the_tests_themselves_are_not_deaf() -> None:
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
