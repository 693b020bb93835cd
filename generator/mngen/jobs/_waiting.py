"""Whoever waits for a job that stays RUNNABLE is told why, and not in each round."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mngen._aws import translated
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mypy_boto3_batch.type_defs import JobDetailTypeDef

    from mngen.jobs._types import Cause

_FIRST_SECONDS = 300.0
"""How old a job is when it is first looked into; then each time at twice the age."""


class Explainer:
    """Reports why a job waits once it has waited for minutes.

    Args:
        causes: Finds out why a job waits, which takes dozens of calls.
        report: Is called with each line.
    """

    def __init__(
        self,
        causes: Callable[[JobDetailTypeDef], Iterable[Cause]],
        report: Callable[[str], None],
    ) -> None:
        self._causes = causes
        self._report = report
        self._next = _FIRST_SECONDS

    def look(self, job: JobDetailTypeDef) -> None:
        """Reports what is certain, if it is time to; nothing where AWS does not answer."""
        age = time.time() - job.get("createdAt", 0) / 1000
        if job["status"] != "RUNNABLE" or age < self._next:
            return
        self._next = 2 * max(age, 1.0)
        with suppress(ToolError), translated():
            certain = [each for each in self._causes(job) if each.certain]
            for each in certain:
                self._report(f"RUNNABLE for {age / 60:.0f} min: {each.what}")
            if certain:
                self._report(f"for what to do: mngen status {job['jobId']}")
