"""The order of jobs: what `after` may name, and where it goes round in a circle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.catalog import load_catalog
from mngen.errors import Severity
from mngen.rules import check
from mngen.spec import load_text

if TYPE_CHECKING:
    from mngen.errors import Problem

HEAD = """\
name: x
region: us-east-1
environments: {r5: {instance: r5.12xlarge, max_nodes: 2}}
queues: {mpi: {environments: [r5]}}
jobs:
"""


def problems(**after: str) -> list[Problem]:
    jobs = "".join(
        f"  {name}: {{queue: mpi, command: [hostname]{f', after: {names}' if names else ''}}}\n"
        for name, names in after.items()
    )
    found = check(load_text((HEAD + jobs).encode()), load_catalog())
    return [each for each in found if each.rule in ("MN500", "MN501")]


def line(problem: Problem) -> int:
    assert problem.position is not None
    return problem.position.line - HEAD.count("\n")


def test_a_chain_and_a_diamond_are_sound() -> None:
    assert problems(d="[b, c]", c="a", b="a", a="") == []
    assert problems(a="[]") == []


def test_a_job_cannot_wait_for_itself() -> None:
    [problem] = problems(mesh="", solve="[mesh, solve]")
    assert (problem.rule, line(problem)) == ("MN500", 2)
    assert "`solve` cannot wait for itself" in problem.message
    assert problem.hint == "the other jobs are `mesh`"


@pytest.mark.parametrize(
    ("name", "hint"), [("mesg", "did you mean `mesh`?"), ("zzz", "the other jobs are `mesh`")]
)
def test_an_unknown_job_is_named_with_the_nearest(name: str, hint: str) -> None:
    [problem] = problems(mesh="", solve=f"[mesh, {name}]")
    assert (problem.message, problem.hint) == (f"there is no job `{name}`", hint)
    assert problem.path == "jobs.solve.after[1]"


def test_each_circle_is_reported_once() -> None:
    [first, second] = problems(a="b", b="a", c="d", d="[e, a]", e="c")
    assert "`a` after `b` after `a`" in first.message
    assert "`c` after `d` after `e` after `c`" in second.message
    assert (line(first), line(second)) == (1, 3)


def test_a_long_circle_is_found() -> None:
    names = [f"j{number}" for number in range(1500)]
    chain = dict(zip(names, [*names[1:], ""], strict=True))
    assert problems(**chain) == []
    [problem] = problems(**{**chain, names[-1]: names[0]})
    assert problem.rule == "MN501"


def test_a_job_that_the_loader_refused_is_not_unknown() -> None:
    text = HEAD + (
        "  mesh: {queue: mpi, command: [hostname], timeout: 1}\n"
        "  solve: {queue: mpi, command: [hostname], after: mesh}\n"
    )
    found = check(load_text(text.encode()), load_catalog())
    assert {each.rule for each in found if each.severity is Severity.ERROR} == {None}
