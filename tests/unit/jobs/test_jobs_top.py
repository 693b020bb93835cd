"""`mngen top` over HTTP against the sandbox: its calls, its page, and its terminal."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from mngen.jobs import Jobs, Overview
from tests.support.batch import Deployed, hold
from tests.support.cli import CHECKOUT
from tests.support.faults import Faults

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mngen.jobs import Watcher

PATIENCE = 180  # seconds
NODES = 1000
ALTERNATE_SCREEN, LEFT_AGAIN = "\x1b[?1049h", "\x1b[?1049l"


def whole(watcher: Watcher) -> Overview:
    while not (found := watcher.look()).complete:
        pass
    return found


def test_a_thousand_nodes_take_at_most_12_calls_a_round(large: Deployed, faults: Faults) -> None:
    jobs = Jobs(large.cluster)
    running = hold(jobs, "RUNNING", nodes=NODES)
    waiting = hold(jobs, "RUNNABLE", nodes=2)
    watcher = jobs.watcher()
    for _ in range(4):
        before = len(faults.calls)
        found = watcher.look()
        calls = Counter(call.action for call in faults.calls[before:])
        assert sum(calls.values()) <= 12, calls
    assert found.complete
    assert [(each.id, each.state, each.nodes) for each in found.jobs] == [
        (running, "RUNNING", NODES),
        (waiting, "RUNNABLE", 2),
    ]
    (r5,) = [each for each in found.environments if each.name == "r5"]
    # An r5.12xlarge has 48 vCPUs.
    assert (r5.running, r5.desired_vcpus, r5.max_vcpus) == (NODES, 48 * NODES, 48 * NODES)
    assert found.queues[0].oldest == large.job(waiting)["createdAt"] / 1000
    job = large.job(running)
    assert found.jobs[0].started == job["startedAt"] / 1000
    assert found.jobs[0].timeout == job["timeout"]["attemptDurationSeconds"] == 3600
    assert found.jobs[0].user == job["tags"]["mngen:submitter"]
    jobs.cancel(running)
    jobs.cancel(waiting)


def test_without_a_terminal_it_prints_one_page(deployed: Deployed, jobs: Jobs, run: Any) -> None:
    running = hold(jobs, "RUNNING", name="seen-once")
    deployed.batch.update_compute_environment(
        computeEnvironment=deployed.environments["m4"], state="DISABLED"
    )
    try:
        # Wide enough for every column, whatever the job's age is.
        shown = run("top", env={"COLUMNS": "120"})
        narrow = run("top", env={"COLUMNS": "60"})
        data = json.loads(run("top", "--format", "json").stdout)
    finally:
        deployed.batch.update_compute_environment(
            computeEnvironment=deployed.environments["m4"], state="ENABLED"
        )
        jobs.cancel(running)
    assert (shown.returncode, shown.stderr) == (0, "")
    (row,) = [line.split() for line in shown.stdout.splitlines() if "seen-once" in line]
    assert row[:4] == ["seen-once", running, "2", "RUNNING"]
    assert row[-1] == "big"
    assert "m4 is disabled" in shown.stdout.splitlines()
    lines = narrow.stdout.splitlines()
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("seen-once ") for line in lines)
    assert "\x1b" not in shown.stdout
    assert [each["id"] for each in data["jobs"]] == [running]
    by_name = {each["name"]: each for each in data["environments"]}
    assert by_name["r5"]["running"] == 2
    assert by_name["m4"]["fault"] == "is disabled"
    assert run("top", "--every", "0").returncode == 2


def test_a_page_that_cannot_be_had(deployed: Deployed, run: Any) -> None:
    with Faults(deployed.sandbox.endpoint) as faults:
        faults.fail("batch:DescribeJobQueues", "ExpiredTokenException", status=403)
        done: subprocess.CompletedProcess[str] = run("top", env=faults.environment())
    assert done.returncode == 3
    assert done.stderr.startswith("error: the AWS credentials have expired\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("output_format", ["pretty", "json"])
def test_a_page_that_is_printed_outlasts_a_throttled_call(
    output_format: str, deployed: Deployed, run: Any
) -> None:
    with Faults(deployed.sandbox.endpoint) as faults:
        faults.fail("batch:ListJobs", "TooManyRequestsException", status=429, times=1)
        done = run("top", "--format", output_format, env=faults.environment())
        assert faults.count("batch:ListJobs", status=429) == 1
    assert (done.returncode, done.stderr) == (0, "")


class Live:
    """The command on a terminal of 60 columns and 24 rows, in a shell that shows its settings.

    Attributes:
        faults: What it meets in place of the sandbox.
        terminal: The terminal.
    """

    def __init__(self, deployed: Deployed, folder: Path) -> None:
        self.faults = Faults(deployed.sandbox.endpoint)
        environment: Any = {**self.faults.environment(), "TERM": "xterm-256color"}
        script = 'trap : INT; stty -g; "$@"; code=$?; stty -g; echo "ended with $code"'
        terminal: Any = pexpect.spawn(
            "sh",
            ["-c", script, "sh", *CHECKOUT, "top", "--every", "1"],
            cwd=str(folder),
            env=environment,
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(24, 60),
        )
        self.terminal = terminal
        self.terminal.expect(r"([0-9a-f]+:[0-9a-f:]+)\r\n")
        (self.settings,) = self.terminal.match.groups()
        self.terminal.expect_exact(ALTERNATE_SCREEN)

    def rounds(self) -> int:
        """Count the rounds that were begun."""
        return self.faults.count("batch:DescribeJobQueues")

    def widest(self) -> int:
        """Wait for the next page; return the length of its longest line."""
        self.terminal.expect_exact("No jobs run or wait.")
        # A page begins at the top left, without the end of a line before it.
        drawn = str(self.terminal.before).replace("\x1b[H", "\n")
        drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
        return max(map(len, drawn.splitlines()))

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit code, and what was shown after the page."""
        self.terminal.expect_exact(LEFT_AGAIN)
        self.terminal.expect(r"([0-9a-f]+:[0-9a-f:]+)\r\nended with (\d+)\r\n")
        # Echo, line mode and all that is as it was.
        settings, code = self.terminal.match.groups()
        assert settings == self.settings
        return int(code), str(self.terminal.before)

    def close(self) -> None:
        """End what is left of it."""
        self.terminal.close(force=True)
        self.faults.__exit__()


@pytest.fixture
def live(deployed: Deployed, folder: Path, state_home: Path) -> Iterator[Callable[[], Live]]:
    begun: list[Live] = []

    def start() -> Live:
        begun.append(Live(deployed, folder))
        begun[-1].faults.__enter__()
        return begun[-1]

    yield start
    for each in begun:
        each.close()


def test_a_live_page_follows_jobs_until_q(
    deployed: Deployed, jobs: Jobs, live: Callable[[], Live]
) -> None:
    running = hold(jobs, "RUNNING", name="seen-live")
    page = live()
    page.terminal.expect_exact("seen-live")
    page.terminal.expect_exact("RUNNING")
    jobs.cancel(running)
    page.terminal.expect_exact("No jobs run or wait.")
    # The terminal becomes narrower; what is drawn next fits it.
    page.terminal.setwinsize(24, 30)
    widths = [page.widest()]
    while widths[-1] != 30:
        assert len(widths) < 20, widths
        widths.append(page.widest())
    page.terminal.send("q")
    code, rest = page.ended()
    assert (code, rest.strip().removeprefix("\x1b[?25h")) == (0, "")


@pytest.mark.parametrize("fault", ["throttled", "lost"])
def test_a_live_page_stays_while_aws_does_not_answer(
    fault: str, deployed: Deployed, live: Callable[[], Live]
) -> None:
    page = live()
    page.terminal.expect_exact("No jobs run or wait.")
    if fault == "throttled":
        page.faults.fail("batch:ListJobs", "TooManyRequestsException", status=429, times=1)
        page.terminal.expect_exact("AWS is throttling ListJobs")
    else:
        page.faults.drop("batch:ListJobs", times=1)
        page.terminal.expect_exact("cannot reach AWS")
    # The last page is still there, and the next round succeeds.
    page.terminal.expect_exact("No jobs run or wait.")
    before = page.rounds()
    while page.rounds() < before + 2:
        page.terminal.expect_exact("No jobs run or wait.")
    # Ctrl-C.
    page.terminal.sendintr()
    assert page.ended()[0] == 0


def test_a_live_page_ends_with_the_error_of_expired_credentials(live: Callable[[], Live]) -> None:
    page = live()
    page.terminal.expect_exact("No jobs run or wait.")
    page.faults.fail("batch:DescribeJobQueues", "ExpiredTokenException", status=403)
    code, rest = page.ended()
    assert code == 3
    assert "the AWS credentials have expired\r\n" in rest
    assert "Traceback" not in rest


def test_q_ends_a_live_page_whose_call_hangs(live: Callable[[], Live]) -> None:
    page = live()
    page.terminal.expect_exact("No jobs run or wait.")
    held = page.faults.hold("batch:ListJobs")
    assert held.reached.wait(PATIENCE)
    page.terminal.send("q")
    assert page.ended()[0] == 0
