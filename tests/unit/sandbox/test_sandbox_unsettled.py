"""The jobs of the emulated Batch that are looked at for each request."""

from __future__ import annotations

from typing import Any

import pytest

from mngen.sandbox.batch._job import Job, Jobs, Script


def job(identifier: str) -> Job:
    of_no_queue: Any = None
    return Job(
        identifier, identifier, "arn", of_no_queue, of_no_queue, {}, [], 0, False, 0.0, Script()
    )


def test_settled_jobs_are_passed_over_in_the_order_of_submission() -> None:
    jobs = Jobs()
    for identifier in "abcd":
        jobs[identifier] = job(identifier)
    jobs["b"].settled = True
    assert [each.id for each in jobs.unsettled()] == ["a", "c", "d"]
    jobs["e"] = job("e")
    del jobs["a"]
    del jobs["b"]
    jobs["d"].settled = True
    assert [each.id for each in jobs.unsettled()] == ["c", "e"]
    assert list(jobs) == ["c", "d", "e"]


def test_whatever_changes_the_jobs_changes_those_that_are_looked_at() -> None:
    jobs = Jobs()
    jobs.update({identifier: job(identifier) for identifier in "abc"})
    jobs.setdefault("d", job("d"))
    assert [each.id for each in jobs.unsettled()] == ["a", "b", "c", "d"]
    assert jobs.pop("b").id == "b"
    assert [each.id for each in jobs.unsettled()] == ["a", "c", "d"]
    assert [each.id for each in jobs.values()] == ["a", "c", "d"]
    jobs.clear()
    assert jobs.unsettled() == []
    assert not jobs


def test_jobs_that_cannot_be_indexed_are_not_added() -> None:
    jobs: Any = Jobs()
    with pytest.raises(TypeError):
        jobs |= {"a": job("a")}
