"""Logs why a job stays PENDING or RUNNABLE, for the user who waits for it; not in each round."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from mngen._aws import translated
from mngen.errors import ToolError
from mngen.jobs import _clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mypy_boto3_batch.type_defs import JobDetailTypeDef

    from mngen.jobs._types import Cause

_LOG = logging.getLogger(__name__)
_FIRST_SECONDS = 300.0
"""How old a job is when it is first looked into; then each time at twice the age."""


class Explainer:
    """Logs what a PENDING job waits for, once, and why one stays RUNNABLE for minutes.

    Args:
        causes: Finds out why a job waits, which takes dozens of calls.
    """

    def __init__(self, causes: Callable[[JobDetailTypeDef], Iterable[Cause]]) -> None:
        self._causes = causes
        self._next = _FIRST_SECONDS
        self._shown_pending = False

    def look(self, job: JobDetailTypeDef) -> None:
        """Logs what is certain, if it is time to; nothing if AWS does not answer."""
        if job["status"] == "PENDING" and job.get("dependsOn") and not self._shown_pending:
            self._shown_pending = True
            with suppress(ToolError), translated():
                for each in self._causes(job):
                    if each.certain:
                        _LOG.info("PENDING: %s", each.what)
            return
        age = _clock.now() - job.get("createdAt", 0) / 1000
        if job["status"] != "RUNNABLE" or age < self._next:
            return
        self._next = 2 * max(age, 1.0)
        with suppress(ToolError), translated():
            certain = [each for each in self._causes(job) if each.certain]
            for each in certain:
                _LOG.info("RUNNABLE for %.0f min: %s", age / 60, each.what)
            if certain:
                _LOG.info("for what to do: mngen status %s", job["jobId"])
