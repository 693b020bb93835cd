"""Submitting: check, look for an earlier submission, send once, and report the ID at once."""

from __future__ import annotations

import getpass
import secrets
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from mngen._aws import may_have_worked, translate, translated, was_throttled
from mngen.account import Intent, Target, newest_definition
from mngen.cluster import SUBMISSION_TAG, SUBMITTER_TAG, definition_name
from mngen.errors import InputError, Severity
from mngen.jobs import _clock
from mngen.jobs._batch import describe
from mngen.jobs._denied import budget_named
from mngen.jobs._journal import recorded
from mngen.jobs._register import register, revision_wanted
from mngen.jobs._request import (
    MASK,
    SECRET_LENGTH,
    make_intent,
    make_request,
    tag_value,
    token_of,
)
from mngen.jobs._twins import as_submission, counts, find, token_in
from mngen.jobs._types import Order, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDefinitionTypeDef

    from mngen.account import Account
    from mngen.errors import Problem
    from mngen.jobs._journal import Entry

_ATTEMPTS = 5
_FIRST_PAUSE = 1.0  # seconds; doubled from one attempt to the next
LISTED_AFTER = 6.0
"""Seconds within which Batch lists a job that it took; AWS gives no figure."""
ARRAY_LISTED_AFTER = 30.0
"""The same for an array, which would make up to 10,000 jobs once more."""
LOOK_SECONDS = 1.0


class Prepared(Struct, frozen=True):
    """A submission that is ready to be sent.

    Attributes:
        order: What is asked for.
        intent: What it means.
        target: Where it goes.
        definition: The revision to submit with; None where there is none.
        problems: What the rules found.
    """

    order: Order
    intent: Intent
    target: Target
    definition: JobDefinitionTypeDef | None
    problems: tuple[Problem, ...]

    @property
    def count(self) -> int:
        """How many jobs it makes: those of an array, or one."""
        return self.intent.size or 1

    @property
    def shown(self) -> dict[str, Any]:
        """The request, the secret masked; of a revision yet to be registered, the name."""
        arn = self.definition["jobDefinitionArn"] if self.definition else "none"
        if self.intent.registering and self.definition != self.target.definition:
            arn = f"{arn.rpartition(':')[0]}:(new revision)"
        return self._masked(arn)

    @property
    def token(self) -> str:
        """The token of the request, in which the secret is not."""
        arn = self.definition["jobDefinitionArn"] if self.definition else "none"
        return token_of(self._masked(arn), self.order)

    def sent(self, arn: str) -> tuple[dict[str, Any], str]:
        """Returns the request with a fresh secret, and its token, in which the secret is not."""
        multi_node = self.intent.nodes is not None
        token = token_of(self._masked(arn), self.order)
        secret = secrets.token_hex(SECRET_LENGTH // 2) if multi_node else None
        return self._request(arn, secret), token

    def require(self, warn: Callable[[Problem], None] | None = None) -> None:
        """Refuses a submission that breaks a rule.

        Raises:
            InputError: Carries every error.
        """
        require_all([self], warn)

    def _masked(self, arn: str) -> dict[str, Any]:
        return self._request(arn, None if self.intent.nodes is None else MASK)

    def _request(self, arn: str, secret: str | None) -> dict[str, Any]:
        cluster = self.target.account.cluster
        return make_request(
            cluster, self.order, self.intent, arn, secret, described=self.definition
        )


def prepare(account: Account, order: Order, *, registering: bool = False) -> Prepared:
    """Checks an order without sending anything.

    Args:
        account: The deployment and its account.
        order: What is asked for.
        registering: Whether a revision of the definition that differs from the spec is replaced.

    Raises:
        InputError: The order itself is not valid.
        ToolError: AWS does not answer.
    """
    intent = make_intent(account.cluster, order, registering=registering)
    with translated():
        newest = newest_definition(
            account.client("batch"), definition_name(account.cluster.spec, intent.job.name)
        )
        target = Target(intent, account, newest)
        wanted = revision_wanted(target) if registering else newest
    judged = Target(intent, account, wanted)
    from mngen.rules import check_submission

    return Prepared(order, intent, target, wanted, check_submission(judged))


def require_all(
    prepared: Iterable[Prepared], warn: Callable[[Problem], None] | None = None
) -> None:
    """Refuses submissions of which one breaks a rule; what several break is reported once.

    Args:
        prepared: The submissions.
        warn: Is called with each warning.

    Raises:
        InputError: Carries every error.
    """
    problems = tuple(dict.fromkeys(problem for each in prepared for problem in each.problems))
    errors = [each for each in problems if each.severity is Severity.ERROR]
    for each in problems:
        if warn is not None and each.severity is not Severity.ERROR:
            warn(each)
    if errors:
        raise InputError(*errors)


class Sender:
    """Sends prepared submissions, each once.

    Args:
        batch: A client for reading.
        once: A client of Batch that tries each call once.
    """

    def __init__(self, batch: BatchClient, once: BatchClient) -> None:
        self._batch = batch
        self._once = once

    def send(
        self,
        prepared: Prepared,
        *,
        again: bool = False,
        on_progress: Callable[[Submission], None] | None = None,
        known: dict[str, Any] | None = None,
        rejected: Collection[str] = (),
    ) -> Submission:
        """Submits a job, unless the same request made one that still counts.

        Args:
            prepared: A submission without errors.
            again: Whether to submit it even so.
            on_progress: Is called with the job as soon as its id is known.
            known: Jobs that count, by token, where they were looked for already.
            rejected: IDs of arrays that the same request may have made, and that do not count: the
                children that it stands for have failed, which their array shows later.

        Raises:
            ToolError: AWS refused it or does not answer.
        """
        definition = prepared.definition
        if definition is None:
            raise ValueError("a submission without a definition")
        arn = definition["jobDefinitionArn"]
        with translated():
            if prepared.intent.registering:
                arn = register(prepared.target, definition)
            request, token = prepared.sent(arn)
            if again:
                token = secrets.token_hex(len(token) // 2)
            request["tags"] |= {SUBMISSION_TAG: token, SUBMITTER_TAG: tag_value(submitter())}
            spec = prepared.target.account.cluster.spec
            with budget_named(spec), recorded(token) as entry:
                before = None if again else self._before(request, token, entry, known, rejected)
                if before is None:
                    job, began = self._submit(request, token, entry, rejected), True
                else:
                    job, began = before["jobId"], False
                    entry.finish(job)
            submission = Submission(
                id=job,
                name=request["jobName"],
                queue=prepared.intent.queue.name,
                definition=arn.rpartition("/")[2],
                nodes=prepared.intent.nodes or 1,
                token=token,
                by=request["tags"][SUBMITTER_TAG],
                after=prepared.intent.after,
            )
            if before is not None:
                submission = as_submission(before, prepared.intent)
            if on_progress is not None:
                on_progress(submission)
            # Two who submit the same array at once would run every row twice.
            if began and not again and (known is None or prepared.intent.size is not None):
                submission = self._settle(prepared, request, submission, on_progress, rejected)
        return submission

    def _before(
        self,
        request: dict[str, Any],
        token: str,
        entry: Entry,
        known: dict[str, Any] | None,
        rejected: Collection[str],
    ) -> Any:
        """Returns the job that the same request made, if one counts."""
        if known is not None and token in known:
            return known[token]
        if entry.job is not None and entry.job not in rejected:
            for job in describe(self._batch, [entry.job]):
                # Of another account, or of a sandbox that is gone, the ID means nothing.
                if token_in(job) == token and counts(job):
                    return job
        found = (self._look(request, rejected) if known is None else known).get(token)
        listed_after = _listed_after(request)
        if found is None and entry.is_lost and _clock.now() - (entry.began or 0.0) < listed_after:
            found = self._look_until_listed(request, token, rejected)
        return found

    def _look(self, request: dict[str, Any], rejected: Collection[str] = ()) -> dict[str, Any]:
        found: dict[str, Any] = dict(
            find(
                self._batch,
                request["jobQueue"],
                request["jobName"],
                [request["jobDefinition"]],
                rejected=rejected,
            )
        )
        return found

    def _look_until_listed(
        self, request: dict[str, Any], token: str, rejected: Collection[str]
    ) -> Any:
        deadline = _clock.monotonic() + _listed_after(request)
        while True:
            found = self._look(request, rejected).get(token)
            if found is not None or _clock.monotonic() > deadline:
                return found
            _clock.sleep(LOOK_SECONDS)

    def _submit(
        self, request: dict[str, Any], token: str, entry: Entry, rejected: Collection[str]
    ) -> str:
        """Sends the request until Batch takes it; where no answer was read, looks before."""
        pause = _FIRST_PAUSE
        for attempt in range(_ATTEMPTS):
            entry.begin()
            try:
                job = self._once.submit_job(**request)["jobId"]
            # What was refused for good leaves as it is.
            except Exception as error:
                last = attempt == _ATTEMPTS - 1
                if may_have_worked(error):
                    found = self._look_until_listed(request, token, rejected)
                    if found is not None:
                        entry.finish(found["jobId"])
                        return str(found["jobId"])
                elif not was_throttled(error) or last:
                    raise
                if last:
                    raise translate(error) from error
                _clock.sleep(pause)
                pause *= 2
            else:
                entry.finish(job)
                return job
        raise AssertionError

    def _settle(
        self,
        prepared: Prepared,
        request: dict[str, Any],
        submission: Submission,
        on_progress: Callable[[Submission], None] | None,
        rejected: Collection[str],
    ) -> Submission:
        """Cancels our job if another user submitted the same one a moment earlier."""
        first = self._look(request, rejected).get(submission.token)
        if first is None or first["jobId"] == submission.id:
            return submission
        self._batch.terminate_job(
            jobId=submission.id, reason=f"mngen: submitted a moment before as {first['jobId']}"
        )
        submission = as_submission(first, prepared.intent)
        if on_progress is not None:
            on_progress(submission)
        return submission


def _listed_after(request: dict[str, Any]) -> float:
    """Returns within how many seconds Batch lists what a request made."""
    return ARRAY_LISTED_AFTER if "arrayProperties" in request else LISTED_AFTER


def submitter() -> str:
    """Returns the name of the user on this machine; `unknown` where it has none."""
    try:
        return getpass.getuser()
    # Of a user id without an account there is no name (Python 3.13: OSError).
    except (KeyError, OSError, ImportError):
        return "unknown"
