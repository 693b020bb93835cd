"""Following jobs of many nodes over HTTP against the sandbox: every line once, with few calls."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mngen.jobs import Jobs
from tests.support.batch import Deployed, hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.jobs import LogLine
    from tests.support.faults import Faults
    from tests.support.recording import Call

NODES = 1000
GET, FILTER = "logs:GetLogEvents", "logs:FilterLogEvents"


def write(deployed: Deployed, job: str, *nodes: int, text: str) -> None:
    deployed.control(jobs={job: {"log": {node: [f"{text} {node}"] for node in nodes}}})


def until(lines: Iterator[LogLine], wanted: set[str]) -> list[LogLine]:
    """Take lines until all that are wanted have come."""
    left, found = set(wanted), []
    while left:
        found.append(next(lines))
        left.discard(found[-1].text)
    return found


def rounds(calls: list[Call]) -> list[Counter[str]]:
    """Split calls into rounds: each begins with reading the main node's stream."""
    found: list[Counter[str]] = []
    before = ""
    for call in calls:
        if call.action == GET != before:
            found.append(Counter())
        found[-1][call.action] += 1
        before = call.action
    return found


def test_a_thousand_nodes_are_followed_with_a_handful_of_calls(
    large: Deployed, faults: Faults
) -> None:
    jobs = Jobs(large.cluster)
    job = hold(jobs, "RUNNING", nodes=NODES)
    write(large, job, *range(NODES), text="before")
    lines = jobs.follow(job)
    found = until(lines, {f"before {node}" for node in range(NODES)})
    begun = next(n for n, call in enumerate(faults.calls) if call.action == GET)
    some = (0, 1, 499, 998, 999)
    write(large, job, *some, text="meanwhile")
    found += until(lines, {f"meanwhile {node}" for node in some})
    # The last words of a node whose turn has just been are not lost.
    write(large, job, *range(NODES), text="at the end")
    large.control(jobs={job: {"hold": None, "seconds": 0}})
    found += lines

    seen = Counter((line.node, line.text) for line in found)
    assert [each for each, count in seen.items() if count > 1] == []
    for node in range(NODES):
        assert {(node, f"before {node}"), (node, f"at the end {node}")} <= seen.keys()
    assert {(node, f"meanwhile {node}") for node in some} <= seen.keys()
    starts = [line for line in found if " start: node " in line.text]
    ends = [line for line in found if " end: " in line.text]
    assert [len(starts), len(ends)] == [NODES, NODES]

    calls = faults.calls[begun:]
    each_round = rounds(calls)
    assert max(each[FILTER] for each in each_round) <= 4
    assert max(each[GET] for each in each_round) <= 5
    assert len({call.values["logStreamName"] for call in calls if call.action == GET}) == 1
    # Its nodes are described once more: as it has ended.
    described = [call for call in calls if call.action == "batch:DescribeJobs"]
    assert sum(len(call.values["jobs"]) > 1 for call in described) == 10
    assert faults.count("ecs:DescribeContainerInstances") == 0


def test_a_stream_that_is_not_there_hides_no_other(large: Deployed, faults: Faults) -> None:
    jobs = Jobs(large.cluster)
    job = hold(jobs, "RUNNING", nodes=12)
    missing = jobs.status(job).nodes[7]
    large.logs.delete_log_stream(
        logGroupName=f"/mngen/{large.name}/jobs", logStreamName=missing.log_stream
    )
    assert {line.node for line in jobs.logs(job)} == {*range(12)} - {7}
    lines = jobs.follow(job)
    write(large, job, 3, text="there")
    until(lines, {"there 3"})
    write(large, job, 7, text="late")
    until(lines, {"late 7"})
    large.control(jobs={job: {"hold": None, "seconds": 0}})
    assert {line.node for line in lines if " end: " in line.text} == {*range(12)}
