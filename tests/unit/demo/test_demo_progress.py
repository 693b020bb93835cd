"""How the demo shows its progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pexpect
import pytest

SCRIPT = """
import logging, sys
from mngen.cli._log import shown_log
from mngen.cli._demo import shown_progress, show_plan
from mngen.demo import Clock, Plan, PlannedStep

steps = (PlannedStep("bake", 90), PlannedStep("destroy", 60, "nothing; missing: [bold]root"))
show_plan(Plan(steps, ("run: apt-get install x",)))
with shown_log(), shown_progress() as begin:
    begin(Clock(steps))
    logging.getLogger("mngen.demo").info("a line [red] of progress")
    sys.stdin.read(int(sys.argv[1]))
    begin(Clock(steps, [90.0]))
    sys.stdin.read(int(sys.argv[1]))
print("end")
"""
# A bar is drawn several times a second: it stays until a line is sent. Lines need no time.
BAR, LINES = ([sys.executable, "-c", SCRIPT, characters] for characters in ("1", "0"))
PLAN = [
    "2 steps, about 2 min left:",
    "  1 bake",
    "  2 destroy: nothing; missing: [bold]root",
    "  help: run: apt-get install x",
]
SOON = 120.0
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_on_a_terminal_there_is_a_bar_with_the_step_and_the_time_left() -> None:
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    env.pop("NO_COLOR", None)
    with pexpect.spawn(BAR[0], BAR[1:], env=env, encoding="utf-8", timeout=SOON) as child:
        screen = ""
        for bar in (r"1/2 bake .*about 2 min left", r"2/2 destroy .*about 1 min left"):
            while not re.search(bar, CONTROL.sub("", screen)):
                screen += child.read_nonblocking(10_000, timeout=SOON)
            child.sendline()
        screen += child.read()
    text = CONTROL.sub("", screen)
    assert [line for line in text.splitlines() if line in PLAN] == PLAN
    assert "a line [red] of progress" in text


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1", "TERM": "xterm"}])
def test_on_a_dumb_terminal_there_are_lines_alone(variables: dict[str, str]) -> None:
    env = {**os.environ, **variables}
    with pexpect.spawn(LINES[0], LINES[1:], env=env, encoding="utf-8", timeout=SOON) as child:
        assert child.read().splitlines() == [*PLAN, "a line [red] of progress", "end"]


def test_in_a_pipe_there_are_lines_alone() -> None:
    done = subprocess.run(LINES, capture_output=True, text=True, timeout=SOON, check=False)
    assert done.stderr.splitlines() == [*PLAN, "a line [red] of progress"]
    assert done.stdout == "end\n"
