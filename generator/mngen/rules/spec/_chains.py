"""Rules about the order of jobs (`after`)."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING

from mngen.errors import did_you_mean
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Job, Path

_DEPENDENCIES = "https://docs.aws.amazon.com/batch/latest/userguide/job_dependencies.html"


class EarlierJobExists(SpecRule):
    id = "MN500"
    title = "`after` must name other jobs of the spec"
    why = (
        "AWS Batch knows the jobs that a job depends on by their IDs. To get these, `mngen submit "
        "--flow` submits the named jobs first."
    )
    remedy = "name a job of this spec"
    source_url = _DEPENDENCIES
    manual_test = "aws batch submit-job --depends-on jobId=ID"
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  mesh: {queue: mpi, command: [blockMesh]}
  solve:
    queue: mpi
    command: [simpleFoam]
    after: mehs  #! mehs
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  mesh: {queue: mpi, command: [blockMesh]}
  solve:
    queue: mpi
    command: [simpleFoam]
    after: mesh
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        known = subject.spec.jobs
        if ("jobs",) in subject.dropped:
            return
        for name, job in known.items():
            for path, earlier in _named(name, job):
                if (earlier != name and earlier in known) or ("jobs", earlier) in subject.dropped:
                    continue
                others = [each for each in known if each != name]
                those = ", ".join(f"`{each}`" for each in others[:5])
                hint = f"the other jobs are {those}" if those else "remove `after`"
                message = f"there is no job `{earlier}`"
                if earlier == name:
                    message = f"the job `{name}` cannot wait for itself"
                else:
                    hint = did_you_mean(earlier, others) or hint
                yield Match(path, message, hint)


class NoCircle(SpecRule):
    id = "MN501"
    title = "Jobs must not wait for each other"
    why = (
        "AWS Batch knows the jobs that a job depends on by their IDs, so they must be submitted "
        "before it. In a circle, none can be the first."
    )
    remedy = "remove one of the names from `after`"
    source_url = _DEPENDENCIES
    manual_test = "aws batch submit-job --depends-on jobId=ID"
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  mesh:
    queue: mpi
    command: [blockMesh]
    after: post  #! post
  solve: {queue: mpi, command: [simpleFoam], after: [mesh]}
  post: {queue: mpi, command: [foamToVTK], after: [solve]}
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  mesh:
    queue: mpi
    command: [blockMesh]
  solve: {queue: mpi, command: [simpleFoam], after: [mesh]}
  post: {queue: mpi, command: [foamToVTK], after: [solve]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        earlier_jobs = _after_circles(subject.spec.jobs)
        shown: set[tuple[str, str]] = set()
        for name in earlier_jobs:
            for path, earlier in _named(name, subject.spec.jobs[name]):
                # A job that waits for itself is the other rule's.
                if earlier not in earlier_jobs[name] or (name, earlier) in shown:
                    continue
                back = _way(earlier_jobs, earlier, name)
                if back is None:
                    continue
                shown.update(pairwise((name, *back)))
                order = " after ".join(f"`{each}`" for each in (name, *back))
                yield Match(path, f"the jobs wait for each other: {order}")


def _named(name: str, job: Job) -> Iterator[tuple[Path, str]]:
    """Yields the jobs that a job is after, each once, with their places in the spec."""
    if isinstance(job.after, str):
        yield ("jobs", name, "after"), job.after
        return
    for number, each in enumerate(job.after):
        if each not in job.after[:number]:
            yield ("jobs", name, "after", number), each


def _after_circles(jobs: Mapping[str, Job]) -> dict[str, list[str]]:
    """Returns the jobs that wait for each other, or for such ones, with those that each is after.

    It takes as long as there are names in `after`: a way back is then sought from few jobs, if any.
    """
    earlier = {
        name: [each for each in job.predecessors if each in jobs and each != name]
        for name, job in jobs.items()
    }
    later: dict[str, list[str]] = {name: [] for name in jobs}
    for name, names in earlier.items():
        for each in names:
            later[each].append(name)
    waits_for = {name: len(names) for name, names in earlier.items()}
    ready = [name for name, count in waits_for.items() if count == 0]
    while ready:
        done = ready.pop()
        del waits_for[done]
        for name in later[done]:
            waits_for[name] -= 1
            if waits_for[name] == 0:
                ready.append(name)
    return {
        name: [each for each in names if each in waits_for]
        for name, names in earlier.items()
        if name in waits_for
    }


def _way(jobs: Mapping[str, Sequence[str]], start: str, end: str) -> tuple[str, ...] | None:
    """Returns a shortest way from a job to another that it is after, both included, or None."""
    later = {start: ""}
    front = deque([start])
    while front and end not in later:
        name = front.popleft()
        for each in jobs[name]:
            if each not in later:
                later[each] = name
                front.append(each)
    if end not in later:
        return None
    way = [end]
    while way[-1] != start:
        way.append(later[way[-1]])
    return tuple(reversed(way))
