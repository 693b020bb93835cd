"""The self-test on AWS: submitted once, waited for, its log collected, or cancelled."""

from __future__ import annotations

import logging
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mngen._aws import translated
from mngen._signals import ENDINGS, take_signals
from mngen.errors import InputError, MngenError, ToolError
from mngen.jobs import WaitedTooLongError
from mngen.selftest._expect import expected_on_aws
from mngen.selftest._facts import complete, parse
from mngen.selftest._types import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.cluster import AmiRecord
    from mngen.jobs import Jobs, JobStatus, Submission
    from mngen.jobs._submit import Prepared
    from mngen.jobs._types import State
    from mngen.selftest._order import Choice
    from mngen.selftest._types import Expected

_LOG = logging.getLogger(__name__)
DEFAULT_WAIT = 1800.0
"""Seconds that the job may wait for its nodes."""
_LOG_SECONDS = 60.0
"""Seconds in which CloudWatch must show the last lines of a job; AWS gives no figure."""
_PAUSE = 2.0


class OnAws:
    """A run on AWS.

    Args:
        jobs: The deployment's jobs.
        choice: What is submitted.
        records: The record of the AMIs that were baked, by the images' names; empty for none.
    """

    def __init__(
        self,
        jobs: Jobs,
        choice: Choice,
        records: Mapping[str, AmiRecord],
    ) -> None:
        self.id = ""
        self.lines: list[str] = []
        self._jobs = jobs
        self._choice = choice
        self._records = records
        self._types: dict[int, str] = {}
        self._amis: dict[int, str] = {}

    def prepare(self) -> Prepared:
        """Checks the submission against the rules, and sends nothing.

        Raises:
            InputError: The order itself is not valid.
            ToolError: AWS does not answer.
        """
        return self._jobs.prepare(self._choice.order)

    def run(
        self, prepared: Prepared, *, wait: float = DEFAULT_WAIT, pause: float = _PAUSE
    ) -> tuple[Expected, Run]:
        """Submits the job, and waits until it has ended and its log has come.

        If it is interrupted or gives up, it cancels the job.

        Args:
            prepared: What `prepare` returned, without errors.
            wait: Seconds that the job may wait for its nodes.
            pause: Seconds between two looks at a log that is not whole.

        Returns:
            What it must show, and what it showed.

        Raises:
            ToolError: AWS refused it or does not answer, or the job did not start in time.
            KeyboardInterrupt: A signal asked to end.
        """
        expected = self._expected(prepared)
        with take_signals(_interrupt, ENDINGS):
            try:
                self._jobs.send(prepared, again=True, on_progress=self._submitted)
                status = self._wait(wait)
            except BaseException:
                self._cancel()
                raise
            self._read(status, pause)
        return expected, self._as_run(status)

    def _submitted(self, submission: Submission) -> None:
        self.id = submission.id
        _LOG.info("submitted %s to %s", submission.id, submission.queue)

    def _expected(self, prepared: Prepared) -> Expected:
        amis: dict[str, str] = {}
        with translated():
            for each in self._choice.queue.environments:
                live = prepared.target.live(each)
                resources = {} if live is None else live.get("computeResources", {})
                for image in resources.get("ec2Configuration", []):
                    if "imageIdOverride" in image:
                        amis[each.name] = image["imageIdOverride"]
        return expected_on_aws(
            self._jobs.cluster,
            self._choice.job,
            self._choice.queue,
            self._choice.nodes,
            amis=amis,
            records=self._records,
        )

    def _wait(self, wait: float) -> JobStatus:
        def changed(state: State, _reason: str | None) -> None:
            if state == "RUNNING":
                # ECS forgets an instance soon after it has ended.
                self._look()

        try:
            status = self._jobs.wait(
                self.id, timeout=wait + self._choice.timeout, on_progress=changed
            )
        except WaitedTooLongError:
            causes = self._jobs.status(self.id, instances=False).causes
            why = "; ".join(cause.what for cause in causes) or "no cause can be seen from here"
            raise ToolError(
                f"the job did not finish within {wait + self._choice.timeout:g} s: {why}",
                hint="; ".join(cause.remedy for cause in causes)
                or "wait longer for its nodes with --wait",
            ) from None
        self._look()
        return status

    def _look(self) -> None:
        """Asks what the nodes run on; without the permission, the rest of the card stays."""
        with suppress(MngenError):
            for node in self._jobs.status(self.id, why=False).nodes:
                if node.instance_type:
                    self._types[node.index] = node.instance_type
                if node.ami:
                    self._amis[node.index] = node.ami

    def _read(self, status: JobStatus, pause: float) -> None:
        deadline = time.monotonic() + _LOG_SECONDS
        main = next((node.index for node in status.nodes if node.main), 0)
        last = re.compile(rf"mngen\[{main}\] \S+ end: exit ")
        while True:
            # One that never ran has no log.
            with suppress(InputError):
                self.lines = [line.text for line in self._jobs.logs(self.id)]
            whole = complete(parse(self.lines)) or any(map(last.match, self.lines))
            if whole or not status.started or time.monotonic() > deadline:
                return
            time.sleep(pause)

    def _as_run(self, status: JobStatus) -> Run:
        said = [line for line in self.lines if " error: " in line or " lost: " in line]
        reason = said[0].partition(": ")[2] if said else status.reason or ""
        return Run(
            facts=parse(self.lines),
            succeeded=status.state == "SUCCEEDED",
            exit_code=status.exit_code,
            reason=reason,
            id=self.id,
            types=self._types,
            amis=self._amis,
        )

    def _cancel(self) -> None:
        if not self.id:
            return
        try:
            if self._jobs.cancel(self.id, "mngen selftest gave up"):
                _LOG.info("cancelled %s", self.id)
        except MngenError as error:
            _LOG.warning(
                "could not cancel %s: %s; it stops after %s s at the latest, or run: mngen cancel "
                "%s",
                self.id,
                error,
                self._choice.timeout,
                self.id,
            )


def _interrupt() -> None:
    raise KeyboardInterrupt
