"""The jobs of a deployment: everything that the commands do, one method each."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from mngen._aws import client, translated
from mngen.account import Account
from mngen.errors import InputError, ToolError, did_you_mean
from mngen.jobs import _clock
from mngen.jobs._arrays import counts_of, in_words, look_up, require_few, require_no_array
from mngen.jobs._batch import describe, job_id
from mngen.jobs._cancel import cancel
from mngen.jobs._cancel_many import cancel_many
from mngen.jobs._flow import linked, orders_of_flow, send_flow
from mngen.jobs._follow import Follower
from mngen.jobs._inputs import Inputs, bring
from mngen.jobs._inputs import find as find_inputs
from mngen.jobs._logs import in_groups, not_there, read, streams_of
from mngen.jobs._machines import with_instances
from mngen.jobs._request import make_intent, with_inputs, with_share
from mngen.jobs._retry import RetryPolicy
from mngen.jobs._status import describe_one, list_array, list_jobs, status_of
from mngen.jobs._submit import Prepared, Sender, prepare, require_all, submitter
from mngen.jobs._sweep import Sweep, make_sweep, send_sweep, waiting_for
from mngen.jobs._turns import turns_of
from mngen.jobs._types import (
    ENDED,
    STATES,
    Cause,
    JobStatus,
    JobSummary,
    LogLine,
    Order,
    State,
    Submission,
    Turns,
)
from mngen.jobs._usage import Usage, list_usage, usage_of
from mngen.jobs._wait import wait_for
from mngen.jobs._waiting import Explainer
from mngen.jobs._watch import Watcher
from mngen.jobs._why import causes_of, end_causes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

    from mngen.cluster import Cluster
    from mngen.errors import Problem
    from mngen.jobs._outputs import ArrayOutputs, Fetched, Outputs
    from mngen.jobs._plugin import Session
    from mngen.timeline import Timeline

    OnState = Callable[[State, str | None], None]

_LOG = logging.getLogger(__name__)


def resume_command(job: str, last: int) -> str:
    """Returns the command that follows a job from a moment on, in milliseconds since the epoch."""
    since = f" --since {last / 1000:.3f}" if last else ""
    return f"mngen logs {job} --follow{since}"


class Jobs:
    """The jobs of a deployment, on the account that the environment's credentials open.

    Args:
        cluster: The spec joined with the catalog; see `Jobs.of` for that of a file.
        connect: Makes a boto3 client of a service and a region, for example from another session.
    """

    def __init__(self, cluster: Cluster, connect: Callable[[str, str], Any] = client) -> None:
        self.cluster = cluster
        self._account = Account(cluster, {}, connect)
        self._connect = connect

    @classmethod
    def of(cls, file: str | Path, connect: Callable[[str, str], Any] = client) -> Jobs:
        """Returns the jobs of the deployment that a spec describes.

        Args:
            file: The spec, such as `mngen.yaml`.
            connect: See the class.

        Raises:
            InputError: The spec has errors; carries all of them.
        """
        from mngen.rules import open_cluster

        return cls(open_cluster(file), connect)

    @property
    def batch(self) -> BatchClient:
        """The client of Batch."""
        found: BatchClient = self._account.client("batch")
        return found

    @cached_property
    def _sender(self) -> Sender:
        region = self.cluster.spec.region
        # A client of the caller's own retries as the caller has it.
        once = client("batch", region, attempts=1) if self._connect is client else self.batch
        return Sender(self.batch, once)

    def prepare(self, order: Order, *, register: bool = False) -> Prepared:
        """Checks an order against the rules, and sends nothing.

        Raises:
            InputError: The order itself is not valid.
            ToolError: AWS does not answer.
        """
        order = with_share(self.cluster, order, submitter())
        return prepare(self._account, order, registering=register)

    def submit(
        self,
        job: str,
        *,
        register: bool = False,
        again: bool = False,
        upload: str | Path | None = None,
        on_progress: Callable[[Submission], None] | None = None,
        warn: Callable[[Problem], None] | None = None,
        **wanted: Any,
    ) -> Submission:
        """Submits a job of the spec.

        The same submission twice gives the same job, as long as that one waits, runs or has
        succeeded (for the week that Batch remembers it).

        Args:
            job: Its name in the spec.
            register: Whether to register a revision of its definition first, if the one in AWS
                differs from the spec.
            again: Whether to submit it even if the same was submitted before.
            upload: A file or folder to copy to the job, which finds it in the folder that
                `{inputs}` in the command and MNGEN_INPUTS in the environment name.
            on_progress: Is called with the job as soon as its id is known; again, with the job
                that counts, if someone else submitted the same at the same moment.
            warn: Is called with each warning of the rules.
            wanted: What differs from the definition: `nodes`, `queue`, `name`, `command`,
                `environment`, `vcpus`, `memory`, `attempts`, `timeout`, `share`,
                `priority`, `after`, `tags`; see `Order`.

        Raises:
            InputError: The submission breaks a rule; carries every error, and nothing was sent.
            ToolError: AWS refused it or does not answer.
        """
        if "command" in wanted:
            wanted["command"] = tuple(wanted["command"])
        if "after" in wanted:
            wanted["after"] = tuple(wanted["after"])
        order = Order(job=job, **wanted)
        inputs = None if upload is None else self.find_inputs(upload)
        if inputs is not None:
            order = with_inputs(order, inputs)
        prepared = self.prepare(order, register=register)
        prepared.require(warn)
        if inputs is not None:
            self.bring(inputs)
        return self.send(prepared, again=again, on_progress=on_progress)

    def prepare_flow(self, order: Order, *, register: bool = False) -> tuple[Prepared, ...]:
        """Checks a job and all that it is after in the spec, and sends nothing; see `send_flow`.

        Args:
            order: What is asked for of the job itself. Variables, inputs, tags and the share are
                for all jobs, and the first ones wait for what it is `after`. With a name, the
                others are named after it.
            register: As in `submit`, for all jobs.

        Returns:
            The submissions in their order, the job itself last. The IDs that they will wait for are
            shown as `(ID of mesh)`.

        Raises:
            InputError: One of the orders is not valid.
            ToolError: AWS does not answer.
        """
        # The order itself is checked first: it names the others.
        make_intent(self.cluster, order, registering=register)
        orders = orders_of_flow(self.cluster, order)
        ids = {each.job: f"(ID of {each.job})" for each in orders}
        return tuple(linked(self.prepare(each, register=register), ids) for each in orders)

    def send_flow(
        self,
        prepared: Sequence[Prepared],
        *,
        again: bool = False,
        on_progress: Callable[[Submission], None] | None = None,
    ) -> tuple[Submission, ...]:
        """Submits what `prepare_flow` has checked, each job after those that it waits for.

        Repeating it continues where it stopped: jobs that wait, run or have succeeded are found.
        One that failed is submitted again, and so are those after it, which wait for another ID.

        Args:
            prepared: The submissions.
            again: Whether to submit all of them even so.
            on_progress: Is called with each job as soon as its id is known.

        Raises:
            ToolError: AWS refused one or does not answer; what was submitted stays so.
        """
        return send_flow(self._sender, prepared, again=again, on_progress=on_progress)

    def find_inputs(self, path: str | Path) -> Inputs:
        """Returns files and where a job would find them; copies nothing yet.

        Args:
            path: A file, or a folder with all that is in it.

        Raises:
            InputError: There are no files, or there is no place for them.
        """
        from pathlib import Path

        return find_inputs(self.cluster.spec, Path(path))

    def bring(self, inputs: Inputs, progress: Callable[[int, int], None] | None = None) -> None:
        """Copies files to where a job finds or fetches them; repeating it changes nothing.

        Args:
            inputs: The files.
            progress: Is called with how many files are there, and of how many.

        Raises:
            InputError: A file cannot be read, or the shared file system cannot be written.
            ToolError: AWS refuses or does not answer.
        """
        with translated():
            bring(inputs, lambda: self._account.client("s3"), progress)

    def find_outputs(self, job: str, *, attempt: int | None = None) -> Outputs:
        """Returns what a job has left in the bucket or on the file system; fetches nothing yet.

        Args:
            job: Its id.
            attempt: The attempt; None for the last one, of a job that has ended.

        Raises:
            InputError: There is nothing, for a reason that it names.
            ToolError: AWS refuses or does not answer.
        """
        from mngen.jobs._outputs import find_outputs

        def described(wanted: str) -> JobDetailTypeDef | None:
            return look_up(self.batch, wanted)

        with translated():
            s3 = self._account.client("s3")
            return find_outputs(s3, self.cluster.spec, job, described, attempt)

    def find_array_outputs(self, job: str, *, attempt: int | None = None) -> ArrayOutputs | None:
        """Returns what the jobs of an array have left in the bucket; downloads nothing yet.

        Args:
            job: ID of the array.
            attempt: The attempt; None for the last one of each job, once it has ended.

        Returns:
            The outputs of each job that has any; None for a job that is not an array.

        Raises:
            InputError: None of its jobs has outputs.
            ToolError: AWS refuses or does not answer.
        """
        from mngen.jobs._outputs import find_array_outputs

        with translated():
            s3 = self._account.client("s3")
            return find_array_outputs(
                s3, self.cluster.spec, job, lambda ids: describe(self.batch, ids), attempt
            )

    def fetch(
        self,
        outputs: Outputs,
        to: str | Path,
        *,
        force: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Fetched:
        """Fetches the outputs of a job; repeating it continues where it was interrupted.

        Args:
            outputs: What `find_outputs` has found.
            to: The folder to create; it appears once it is complete.
            force: Whether to add the files to an existing folder, and to overwrite those in it.
            progress: Is called with how many files are there, and of how many.

        Raises:
            InputError: The folder exists, or cannot be written.
            ToolError: The disk is full, or AWS refuses or does not answer.
        """
        from pathlib import Path

        from mngen.jobs._outputs import fetch_outputs

        with translated():
            s3 = self._account.client("s3")
            return fetch_outputs(s3, outputs, Path(to), force=force, progress=progress)

    def send(
        self,
        prepared: Prepared,
        *,
        again: bool = False,
        on_progress: Callable[[Submission], None] | None = None,
    ) -> Submission:
        """Submits what was prepared; see `submit`.

        Raises:
            ToolError: AWS refused it or does not answer.
        """
        return self._sender.send(prepared, again=again, on_progress=on_progress)

    def sweep(
        self,
        order: Order,
        rows: Sequence[dict[str, str]],
        *,
        register: bool = False,
        again: bool = False,
        arrays: bool | None = None,
        flow: bool = False,
        inputs: Inputs | None = None,
        on_progress: Callable[[Submission], None] | None = None,
        warn: Callable[[Problem], None] | None = None,
        on_checked: Callable[[Sequence[Prepared]], None] | None = None,
    ) -> tuple[Submission, ...]:
        """Submits one job for each row; repeating it continues where it stopped.

        Jobs of one node are children of array jobs, as few as the rows fit into: their IDs are
        `PARENT:INDEX`. Nothing is sent before all rows are checked. Rows whose jobs wait, run or
        have succeeded are not submitted again, and those that failed are.

        Args:
            order: What all rows have in common. The jobs are named after it, with numbers.
            rows: Values by column: variables, and what takes the place of `{column}` in the
                command; see `mngen.jobs.read_rows`.
            register: Whether to register a revision of the definition first, as in `submit`.
            again: Whether to submit all of them even so.
            arrays: Whether jobs of one node go into arrays, which need a container image whose
                entrypoint is mngen's wire-up; None for those that run the deployment's own image.
            flow: Whether to submit the jobs first that the job is `after` in the spec, each once;
                see `prepare_flow`.
            inputs: Files to copy for all of them, once; the order has their place: `with_inputs`.
            on_progress: Is called with each job as soon as its id is known.
            warn: Is called with each warning of the rules, once.
            on_checked: Is called with the checked submissions before anything is sent.

        Returns:
            The jobs of a flow that come first, then the job of each row.

        Raises:
            InputError: A row breaks a rule; carries every error of every row.
            ToolError: AWS refused one or does not answer; what was submitted stays so.
        """
        earlier, sweep = self._plan_sweep(order, rows, register=register, arrays=arrays, flow=flow)
        prepared = _prepared(earlier, sweep)
        require_all(prepared, warn)
        if on_checked is not None:
            on_checked(prepared)
        if inputs is not None:
            self.bring(inputs)
        with translated():
            sent = send_flow(self._sender, earlier, again=again, on_progress=on_progress)
            if earlier:
                ids = [each.id for each in sent]
                names = [each.intent.job.name for each in earlier]
                sweep = waiting_for(sweep, dict(zip(names, ids, strict=True)))
            swept = send_sweep(
                self._sender, self.batch, sweep, again=again, on_progress=on_progress
            )
        return (*sent, *swept)

    def prepare_sweep(
        self,
        order: Order,
        rows: Sequence[dict[str, str]],
        *,
        register: bool = False,
        arrays: bool | None = None,
        flow: bool = False,
    ) -> tuple[Prepared, ...]:
        """Checks a sweep and sends nothing; see `sweep`.

        Returns:
            The submissions: the jobs of a flow that come first, then those of the rows, whose
            `count` is the number of their rows.

        Raises:
            InputError: The order itself is not valid, or a column has no use.
            ToolError: AWS does not answer.
        """
        return _prepared(
            *self._plan_sweep(order, rows, register=register, arrays=arrays, flow=flow)
        )

    def _plan_sweep(
        self,
        order: Order,
        rows: Sequence[dict[str, str]],
        *,
        register: bool,
        arrays: bool | None,
        flow: bool,
    ) -> tuple[tuple[Prepared, ...], Sweep]:
        """Returns the jobs that come first, and the sweep, checked with its rows.

        Raises:
            InputError: One of the orders or a row is not valid.
        """
        # The order itself is checked first: it names the others.
        make_intent(self.cluster, order, registering=register)
        *first, last = orders_of_flow(self.cluster, order) if flow else [order]
        ids = {each.job: f"(ID of {each.job})" for each in first}
        earlier = tuple(linked(self.prepare(each, register=register), ids) for each in first)
        sweep = make_sweep(self.prepare(last, register=register), rows, arrays=arrays)
        faults = sweep.faults()
        if faults:
            raise InputError(*faults)
        return earlier, sweep

    def status(
        self,
        job: str,
        *,
        why: bool = True,
        instances: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> JobStatus:
        """Returns the state of a job, of each of its nodes, and why it waits or never ran.

        Of an array, it returns how many of its jobs are in each state, why they wait, and the first
        that failed.

        Args:
            job: Its id.
            why: Whether to look for what a waiting job waits for, which takes some twenty calls,
                and up to 26 more for the instances of 1,000 nodes.
            instances: Whether to look for the EC2 instances that its nodes run on, which takes a
                call for each hundred; they stay unknown without the permission.
            progress: Is called with how many nodes were described, and of how many.

        Raises:
            InputError: Batch knows no such job.
            ToolError: AWS does not answer.
        """
        with translated():
            described = describe_one(self.batch, job)
            status = status_of(self.batch, self.cluster, described, progress)
            if instances:
                status = with_instances(status, lambda: self._account.client("ecs"))
            if not why:
                return status
            return msgspec.structs.replace(status, causes=self._causes(described))

    def list(
        self,
        *,
        queue: str | None = None,
        states: Collection[str] = (),
        name: str | None = None,
        since: float | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[JobSummary, ...]:
        """Returns the jobs of the deployment's queues, the newest first; an array is one of them.

        Args:
            queue: Name of a queue in the spec; None for all.
            states: States to show, such as `RUNNING`, of an array also those of its jobs; empty for
                all.
            name: Pattern that a job's name matches, with `*` and `?`.
            since: Leaves out what was submitted before, in seconds since the epoch; by default
                nothing that Batch remembers: a job that has not ended may be months old.
            tags: Tags that a job has; None for any.

        Raises:
            InputError: There is no such queue or state.
            ToolError: AWS does not answer.
        """
        if queue is not None:
            self._require_queue(queue)
        _require_states(states)
        with translated():
            return tuple(
                list_jobs(
                    self.batch,
                    self.cluster,
                    since=since or 0.0,
                    queue=queue,
                    states=states,
                    name=name,
                    tags=tags or {},
                )
            )

    def list_array(self, job: str, *, states: Collection[str] = ()) -> tuple[JobSummary, ...]:
        """Returns the jobs of an array, by index.

        Args:
            job: ID of the array.
            states: States to show, such as `FAILED`; empty for all.

        Raises:
            InputError: Batch knows no such array, or there is no such state.
            ToolError: AWS does not answer.
        """
        _require_states(states)
        wanted = [state for state in STATES if state in states]
        with translated():
            array = describe_one(self.batch, job)
            return tuple(list_array(self.batch, self.cluster, array, wanted))

    def watcher(self, *, repeat: bool = False) -> Watcher:
        """Returns what looks at the deployment round after round, as `mngen top` does.

        Args:
            repeat: Whether it repeats a call that fails for now. For a live page, the next round
                comes soon enough.
        """
        region = self.cluster.spec.region

        def connect(service: str) -> Any:
            if self._connect is client and not repeat:
                return client(service, region, attempts=1)
            # A client of the caller's own retries as the caller has it.
            return self._account.client(service)

        return Watcher(self.cluster, connect)

    def account_id(self) -> str:
        """Returns the number of the account that the jobs run in; that takes no permission.

        Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html

        Raises:
            ToolError: AWS does not answer.
        """
        with translated():
            sts = self._account.client("sts")
            return str(sts.get_caller_identity()["Account"])

    def turns(self, queue: str) -> Turns:
        """Returns whose turn it is in a queue, and how much each share uses.

        Args:
            queue: Name of a queue in the spec.

        Raises:
            InputError: There is no such queue.
            ToolError: AWS refuses or does not answer.
        """
        self._require_queue(queue)
        with translated():
            return turns_of(self.batch, self.cluster, queue)

    def _require_queue(self, queue: str) -> None:
        known = [each.name for each in self.cluster.queues]
        if queue not in known:
            raise InputError(
                f"the spec has no queue `{queue}`",
                hint=did_you_mean(queue, known) or f"the queues are {', '.join(known)}",
            )

    def usage(self, *, since: float | None = None) -> tuple[Usage, ...]:
        """Returns how long the jobs of the deployment used instances, the newest first.

        Args:
            since: Leaves out what was submitted before, in seconds since the epoch; by default
                everything that Batch remembers.

        Raises:
            ToolError: AWS does not answer.
        """
        with translated():
            return tuple(list_usage(self.batch, self.cluster, since or 0.0, _clock.now()))

    def usage_of(self, job: str) -> Usage:
        """Returns how long each node of a job, or each job of an array, used its instance.

        Args:
            job: Its id.

        Raises:
            InputError: Batch knows no such job.
            ToolError: AWS does not answer.
        """
        with translated():
            found = describe_one(self.batch, job)
            return usage_of(self.batch, self.cluster, found, _clock.now())

    def wait(
        self,
        job: str,
        *,
        timeout: float | None = None,
        on_progress: OnState | None = None,
    ) -> JobStatus:
        """Returns the state of a job once it has ended.

        Logs each new state, of an array also of its jobs, why the job does not start as far as
        that is certain, and when AWS does not answer.

        Args:
            job: Its id.
            timeout: Seconds after which to give up; None for never.
            on_progress: Is called with the state and Batch's reason for it at first, and each time
                that the state has changed.

        Raises:
            InputError: Batch knows no such job.
            ToolError: It had not ended in time (`WaitedTooLongError`), or AWS does not answer.
        """

        def changed(described: JobDetailTypeDef) -> None:
            reason = [described.get("statusReason"), in_words(counts_of(described))]
            _changed(described["status"], "; ".join(filter(None, reason)) or None, on_progress)

        with translated():
            found = describe_one(self.batch, job)
            retry = RetryPolicy(lambda: f"mngen wait {job_id(job)}")
            look = Explainer(self._causes).look
            ended = wait_for(
                self.batch, found, retry, timeout=timeout, on_progress=changed, look=look
            )
            causes = tuple(end_causes(self.batch, ended))
            for each in causes:
                _LOG.info("%s", each.what)
            status = status_of(self.batch, self.cluster, ended)
            return msgspec.structs.replace(status, causes=causes)

    def logs(
        self, job: str, *, node: int | None = None, since: float | None = None
    ) -> Iterator[LogLine]:
        """Yields what a job has written so far, all nodes in the order of time.

        Args:
            job: Its id. The jobs of an array stand for nodes.
            node: The node to read; None for all.
            since: Leaves out what is older, in seconds since the epoch.

        Raises:
            InputError: Batch knows no such job, it has no such node, or it has not run yet.
            ToolError: The log is gone, or AWS does not answer.
        """
        with translated():
            described = describe_one(self.batch, job)
            status = status_of(self.batch, self.cluster, described, children=True)
            streams = streams_of(status, node)
            if not streams:
                raise InputError(not_there(status), hint=f"mngen status {status.id}")
            lines = read(self._account.client("logs"), status, streams, since)
            yield from in_groups(lines, status)

    def follow(
        self,
        job: str,
        *,
        node: int | None = None,
        since: float | None = None,
        on_progress: OnState | None = None,
    ) -> Iterator[LogLine]:
        """Yields what a job writes, each line once, until it has ended; logs as `wait` does.

        Args:
            job: Its id. The jobs of an array of at most 1,000 stand for nodes.
            node: The node to read; None for all.
            since: Leaves out what is older, in seconds since the epoch.
            on_progress: As in `wait`.

        Raises:
            InputError: Batch knows no such job, it has no such node, or it is a larger array.
            ToolError: The log is gone, or AWS does not answer; the job goes on.
        """
        identifier = job_id(job)

        def resume() -> str:
            return resume_command(identifier, follower.last)

        def seen(status: JobStatus) -> None:
            _changed(status.state, status.reason, on_progress)

        follower = Follower(
            self._account.client("logs"),
            lambda: describe_one(self.batch, identifier),
            lambda described: status_of(self.batch, self.cluster, described, children=True),
            RetryPolicy(resume),
            watch=Explainer(self._causes).look,
            node=node,
            since=since,
        )
        with translated():
            described = describe_one(self.batch, identifier)
            require_few(described)
            status = status_of(self.batch, self.cluster, described, children=True)
        yield from follower.follow(status, seen)
        # The job has ended, whether AWS answers once more or not.
        with suppress(InputError, ToolError), translated():
            for each in end_causes(self.batch, describe_one(self.batch, identifier)):
                _LOG.info("%s", each.what)

    def timeline(self, job: str) -> Timeline:
        """Returns when each node of a job did what, from its submission to its end or until now.

        Args:
            job: Its id.

        Raises:
            InputError: Batch knows no such job, or it is an array.
            ToolError: The log is gone, or AWS does not answer.
        """
        from mngen.jobs._timeline import WIRE_UP_PATTERN, timeline_of

        with translated():
            described = describe_one(self.batch, job)
            require_no_array(described, "which have a timeline each")
            status = status_of(self.batch, self.cluster, described)
            streams = streams_of(status)
            lines = read(self._account.client("logs"), status, streams, None, WIRE_UP_PATTERN)
            return timeline_of(status, lines)

    def shell(self, job: str, *, node: int | None = None, command: Sequence[str] = ()) -> None:
        """Connects the terminal with a shell, or a command, in the container of a node.

        The job has `shell` in the spec. It returns when the shell has ended.

        Args:
            job: Its id, or that of one of its nodes.
            node: Index of the node; None for that of the id, or the main node.
            command: Program and arguments; none for a shell.

        Raises:
            InputError: There is no such job or node, it does not run, or it was submitted without
                `shell`.
            ToolError: The Session Manager plugin is missing or fails, the agent of ECS Exec does
                not run in the container, or AWS refuses or does not answer.
        """
        # Looking for a program needs `mngen.parts`, which no other method does.
        from mngen.jobs._plugin import connect, require_plugin

        plugin = require_plugin()
        session = self.open_shell(job, node=node, command=command)
        with translated():
            endpoint = self._account.client("ssm").meta.endpoint_url
        connect(plugin, session, self.cluster.spec.region, endpoint)

    def open_shell(
        self, job: str, *, node: int | None = None, command: Sequence[str] = ()
    ) -> Session:
        """Starts a shell in the container of a node, and returns the session to connect to.

        See `shell`.
        """
        from mngen.jobs._shell import find_place, open_session

        with translated():
            ecs = self._account.client("ecs")
            place = find_place(self.batch, ecs, self.cluster, job, node)
            return open_session(ecs, place, command)

    def _causes(self, job: JobDetailTypeDef) -> tuple[Cause, ...]:
        """Returns why a job waits, by facts of now: what was missing may have been added since."""
        return causes_of(Account(self.cluster, {}, self._account.client), job)

    def cancel(self, job: str, reason: str = "ended with mngen cancel") -> bool:
        """Cancels a job with all its nodes, or an array with all its jobs; False if it had ended.

        Args:
            job: Its id, or that of any of its nodes.
            reason: What Batch records.

        Raises:
            InputError: Batch knows no such job, or it is another deployment's.
            ToolError: AWS refuses or does not answer.
        """
        with translated():
            return cancel(self.batch, self.cluster, describe_one(self.batch, job), reason)

    def cancel_many(
        self,
        jobs: Sequence[JobSummary],
        reason: str = "ended with mngen cancel",
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Cancels jobs of a list, fifty a call, with all their nodes; see `list`.

        Args:
            jobs: The jobs; those that have ended stay as they are.
            reason: What Batch records.
            progress: Is called with how many jobs are done, and of how many.

        Raises:
            NotCancelledError: Some could not be cancelled, or AWS does not answer; it names them.
        """
        wanted = [each for each in jobs if each.state not in ENDED]
        with translated():
            cancel_many(self.batch, wanted, reason, progress=progress)


def _require_states(states: Collection[str]) -> None:
    """Refuses what is not a state.

    Raises:
        InputError: One is not.
    """
    for state in states:
        if state not in STATES:
            raise InputError(
                f'unknown job state "{state}"', hint=f"known states: {', '.join(STATES)}"
            )


def _changed(state: State, reason: str | None, on_progress: OnState | None) -> None:
    """Passes a new state of a job on, then logs it: a user who sees it may change it at once."""
    if on_progress is not None:
        on_progress(state, reason)
    _LOG.info("%s", f"{state}: {reason}" if reason else state)


def _prepared(earlier: Sequence[Prepared], sweep: Sweep) -> tuple[Prepared, ...]:
    """Returns the submissions of a sweep, the first of its rows with what speaks against all."""
    if earlier:
        names = (each.intent.job.name for each in earlier)
        sweep = waiting_for(sweep, {each: f"(ID of {each})" for each in names})
    first, *others = (each.prepared for each in sweep.parts(sweep.numbers))
    problems = tuple(dict.fromkeys((*sweep.base.problems, *first.problems)))
    return (*earlier, msgspec.structs.replace(first, problems=problems), *others)
