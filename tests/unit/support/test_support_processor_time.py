"""The table of processor time: what the kernel counts, and to which group it is added."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.support.processor_time import ControlGroup, ProcessorTime

if TYPE_CHECKING:
    from pathlib import Path

# As the kernel's documentation describes them (cgroup-v1/cpuacct, cgroup-v2 "cpu.stat").
FIRST = ("cpuacct.usage", "2500000000\n")
SECOND = ("cpu.stat", "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n")


@pytest.mark.parametrize(("file", "text"), [FIRST, SECOND], ids=["version 1", "version 2"])
def test_what_the_kernel_counts_is_read(file: str, text: str, tmp_path: Path) -> None:
    top = tmp_path / "cpuacct" if (file, text) == FIRST else tmp_path
    top.mkdir(exist_ok=True)
    group = ControlGroup(tmp_path)
    [made] = top.glob("mngen-tests-*")
    assert (made / "cgroup.procs").read_text(encoding="utf-8") == str(os.getpid())
    (made / file).write_text(text, encoding="utf-8")
    assert group.seconds() == 2.5
    group.leave()
    assert (top / "cgroup.procs").read_text(encoding="utf-8") == str(os.getpid())


def report(name: str, seconds: float) -> SimpleNamespace:
    return SimpleNamespace(nodeid=name, processor_seconds=seconds, duration=2 * seconds)


class Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines.append(title)

    def line(self, text: str) -> None:
        self.lines.append(text)


def shown(plugin: ProcessorTime) -> list[str]:
    screen = Screen()
    plugin.pytest_terminal_summary(screen)
    return [" ".join(line.split()) for line in screen.lines]


def test_phases_are_added_up_by_group_or_file() -> None:
    plugin = ProcessorTime(None)
    for each in (
        report("tests/e2e/test_a.py::test_one[x@y]", 1.0),
        report("tests/e2e/test_a.py::test_two", 0.5),
        report("tests/e2e/test_b.py::test_one[x@y]@key changes", 2.0),
        report("tests/e2e/test_c.py::test_one@key changes", 3.0),
    ):
        plugin.pytest_runtest_logreport(each)
    assert shown(plugin) == [
        "processor time",
        "5.0 s 10.0 s key changes",
        "1.5 s 3.0 s test_a",
        "6.5 s 13.0 s all",
    ]


def test_where_nothing_can_be_counted_the_reason_is_shown() -> None:
    plugin = ProcessorTime(None, "Read-only file system")
    plugin.pytest_runtest_logreport(report("tests/e2e/test_a.py::test_one", 0.0))
    assert shown(plugin) == ["processor time", "not measured: Read-only file system"]
