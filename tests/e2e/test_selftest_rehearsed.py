"""The self-test's program with real MPI between nodes of this machine, and faults to be found."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from mngen.selftest import State, judge
from mngen.selftest._here import run_here
from tests.support.cli import mngen
from tests.support.wireup import needs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("selftest-rehearse", "taskset")


def carded(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    done = mngen(
        *("selftest", "--rehearse", "--format", "json", "--keep", str(folder / "kept")),
        *arguments,
        cwd=folder,
        timeout=400,
    )
    assert done.returncode in (0, 1), done.stderr
    card = json.loads(done.stdout)
    log = (folder / "kept/log.txt").read_text(encoding="utf-8")
    return done.returncode, card, log


def states(card: dict[str, Any]) -> dict[str, str]:
    return {each["id"]: each["state"] for each in card["checks"]}


def test_a_machine_that_is_as_it_should_be(tmp_path: Path) -> None:
    code, card, log = carded(tmp_path, "--report", "page.html")
    assert code == 0, log
    assert card["passed"]
    assert set(states(card).values()) <= {"ok", "skipped"}
    assert [each for each, state in states(card).items() if state == "skipped"] == [
        "siblings",
        "image",
    ]
    figures = {each["name"]: each["value"] for each in card["figures"]}
    assert figures["latency, nodes 0 and 1"] > 0
    assert figures["one stream, nodes 0 and 1"] > 0
    # What arrived was counted by the kernel, too: 8 MiB a round, and three rounds at the least.
    pair = next(line for line in log.splitlines() if '"k": "pair"' in line)
    assert json.loads(pair.partition("mngen-selftest ")[2])["net_bytes"] > 3 * 8 * 2**20
    assert (tmp_path / "page.html").read_text() == (tmp_path / "kept/report.html").read_text()
    assert json.loads((tmp_path / "kept/card.json").read_text()) == card


def test_three_nodes_are_all_looked_at() -> None:
    expected, run = run_here(3, on_line=lambda _: None)
    card = judge(expected, run)
    assert card.passed, card
    assert [each.name for each in card.figures if each.name.startswith("latency")] == [
        "latency, nodes 0 and 1",
        "latency, nodes 0 and 2",
    ]


@pytest.mark.parametrize(
    ("fault", "check", "seen"),
    [
        ("cpus", "cpus", "node 1: only "),
        (
            "unshared",
            "files",
            "node 0: does not see what node 1 wrote; node 1: does not see what node 0 wrote",
        ),
        ("pinning", "pinning", "nodes 0, 1: ranks 0 and 1 are both on CPU "),
    ],
)
def test_a_fault_is_found_and_nothing_else(
    tmp_path: Path, fault: str, check: str, seen: str
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one CPU: the fault cannot be made")
    code, card, log = carded(tmp_path, "--fault", fault)
    assert code == 1, log
    wrong = [each for each in card["checks"] if each["state"] == State.ERROR]
    assert [each["id"] for each in wrong] == [check], log
    assert wrong[0]["seen"].startswith(seen)
    assert wrong[0]["remedy"]


def test_what_is_wrong_with_arguments_is_said_before_anything_starts(tmp_path: Path) -> None:
    done = mngen("selftest", "--fault", "cpus", cwd=tmp_path)
    assert done.returncode == 2
    assert "--fault: only with --rehearse" in done.stderr
    done = mngen("selftest", "--rehearse", "--report", "absent/page.html", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot write absent/page.html: folder absent does not exist" in done.stderr
