"""Processor time by group of tests: `make e2e PYTEST=--processor-time`.

Each worker moves into a separate control group, which counts what all processes below it take, also
those that no process waits for, such as a sandbox. What a process takes is added to the test that
runs meanwhile, though another may have started it.

Sources: https://docs.kernel.org/admin-guide/cgroup-v1/cpuacct.html (cpuacct.usage, in ns),
https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.stat, usage_usec).
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

_MOUNT = Path("/sys/fs/cgroup")
_SHOWN = 30


class ControlGroup:
    """A control group that this process moves into.

    Args:
        mount: Where control groups are mounted; of version 1, its folder `cpuacct` is used.

    Raises:
        OSError: There are none, or this user may make none.
    """

    def __init__(self, mount: Path = _MOUNT) -> None:
        first = mount / "cpuacct"
        self._folder = (first if first.is_dir() else mount) / f"mngen-tests-{os.getpid()}"
        self._folder.mkdir(exist_ok=True)
        (self._folder / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")

    def leave(self) -> None:
        """Move back to the topmost group, and remove this one where nothing runs in it."""
        with suppress(OSError):
            own = str(os.getpid())
            (self._folder.parent / "cgroup.procs").write_text(own, encoding="utf-8")
            self._folder.rmdir()

    def seconds(self) -> float:
        """Return the processor time so far, of the user's and the system's."""
        with suppress(FileNotFoundError):
            return int((self._folder / "cpuacct.usage").read_text(encoding="utf-8")) / 1e9
        lines = (self._folder / "cpu.stat").read_text(encoding="utf-8").splitlines()
        return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6


class ProcessorTime:
    """The plugin: measures where tests run, and sums up where results are shown.

    Args:
        group: Counts for this process; None where no test runs, or nothing can be counted.
        reason: Why nothing can.
    """

    def __init__(self, group: ControlGroup | None, reason: str = "") -> None:
        self._group = group
        self._reason = reason
        self._before = group.seconds() if group else 0.0
        self._totals: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def pytest_collection_finish(self) -> None:
        """Leave out what it took to collect the tests."""
        if self._group is not None:
            self._before = self._group.seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        """Give the report of a phase the time since the one before; xdist hands it on."""
        report = yield
        if self._group is not None:
            now = self._group.seconds()
            report.processor_seconds = now - self._before
            self._before = now
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up what came of a phase, under its group, or its file where it has none."""
        file, _, test = report.nodeid.partition("::")
        # As xdist adds it. The name of a case may have the same sign, and ends with a bracket.
        _, marked, name = test.rpartition("@")
        total = self._totals[name if marked and name[-1:] != "]" else Path(file).stem]
        total[0] += getattr(report, "processor_seconds", 0.0)
        total[1] += report.duration

    def pytest_unconfigure(self) -> None:
        """Tidy up."""
        if self._group is not None:
            self._group.leave()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the groups that took most."""
        terminalreporter.section("processor time")
        lines = [f"not measured: {self._reason}"] if self._reason else table(self._totals)
        for line in lines:
            terminalreporter.line(line)


def table(totals: dict[str, list[float]]) -> list[str]:
    """Return the lines of the table: seconds of processors, seconds that passed, group."""
    ranked = sorted(totals.items(), key=lambda each: -each[1][0])
    rows = [(*figures, name) for name, figures in ranked[:_SHOWN]]
    sums = [sum(figures[column] for figures in totals.values()) for column in (0, 1)]
    return [f"{cpu:9.1f} s {wall:9.1f} s  {name}" for cpu, wall, name in [*rows, (*sums, "all")]]


def plugin(*, runs_tests: bool) -> ProcessorTime:
    """Return the plugin for a process of pytest.

    Args:
        runs_tests: Whether this process runs tests, not only workers that do.
    """
    try:
        return ProcessorTime(ControlGroup() if runs_tests else None)
    except OSError as error:
        return ProcessorTime(None, str(error))
