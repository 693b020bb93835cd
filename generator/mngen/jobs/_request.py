"""From what is asked for to what is sent: pure, so that the same order is the same request."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.account import Intent
from mngen.cluster import (
    CPUS_CHECK_VARIABLE,
    CPUS_VARIABLE,
    DEPLOYMENT_TAG,
    KEY_VARIABLES,
    RENDEZVOUS_VARIABLE,
    default_ranks,
    queue_name,
    registered_ranks,
    retry_conditions,
)
from mngen.errors import InputError, Problem, did_you_mean
from mngen.jobs._batch import job_id
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_batch.type_defs import JobDefinitionTypeDef

    from mngen.cluster import Cluster, ResolvedJob, ResolvedQueue
    from mngen.jobs._inputs import Inputs
    from mngen.jobs._types import Order
    from mngen.spec import Job

SECRET_LENGTH = 64
MASK = "*" * SECRET_LENGTH
"""Stands in a request for a secret that is not shown, and has its length."""

_MOST_DEPENDENCIES = 20
"""Most jobs that a job can depend on.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html (dependsOn)
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_SHARE = re.compile(r"[A-Za-z0-9]{1,255}")
_NO_SHARE = re.compile(r"[^A-Za-z0-9]")
_TAG_VALUE = re.compile(r"[^\w .:/=+@-]")
_LONGEST_KEY = 128
LONGEST_TAG_VALUE = 256


def with_inputs(order: Order, inputs: Inputs) -> Order:
    """Returns an order with the place of the job's inputs, and from where to fetch them.

    Args:
        order: What is asked for; its command may have `{inputs}`, which becomes the folder's path.
        inputs: See `Jobs.find_inputs`.
    """
    return msgspec.structs.replace(
        order,
        inputs=inputs.location,
        command=tuple(word.replace("{inputs}", inputs.location) for word in order.command),
        environment={**inputs.variables, **order.environment},
    )


def with_share(cluster: Cluster, order: Order, submitter: str) -> Order:
    """Returns an order with a share, if its queue needs one and it has none.

    It is that of the job in the spec, or else its submitter's.

    Args:
        cluster: The deployment.
        order: What is asked for.
        submitter: The user's name, of which the letters and digits count.
    """
    job = cluster.spec.jobs.get(order.job)
    queue = order.queue or (job and job.queue)
    fair = queue in cluster.spec.queues and cluster.spec.queues[queue].is_fair
    share = (job and job.share) or _NO_SHARE.sub("", submitter)[:255]
    if order.share is not None or not fair or not share:
        return order
    return msgspec.structs.replace(order, share=share)


def make_intent(cluster: Cluster, order: Order, *, registering: bool = False) -> Intent:
    """Returns what an order means for this cluster.

    Raises:
        InputError: It names what the spec does not have, or cannot be sent; carries every problem.
    """
    problems: list[Problem] = []
    job = _job(cluster, order.job, problems)
    queue = _queue(cluster, order.queue, job, problems)
    problems += _faults(order, job)
    if problems or job is None or queue is None:
        raise InputError(*problems)
    nodes = job.spec.nodes if order.nodes is None else order.nodes
    return Intent(
        job=job,
        queue=queue,
        nodes=nodes,
        vcpus=order.vcpus,
        memory=order.memory,
        gpus=order.gpus,
        command=order.command,
        environment=order.environment,
        share=order.share,
        after=after_of(order),
        tags=order.tags,
        priority=order.priority,
        overrides=json.dumps(
            _container_overrides(order, job, queue, MASK if nodes is not None else None),
            separators=(",", ":"),
        ),
        registering=registering,
    )


def make_request(
    cluster: Cluster,
    order: Order,
    intent: Intent,
    definition: str,
    secret: str | None,
    *,
    described: JobDefinitionTypeDef | None = None,
) -> dict[str, Any]:
    """Returns the arguments of SubmitJob.

    With a share, Batch demands a priority among the jobs of the share, from the definition or from
    the request. Source: https://github.com/nextflow-io/nextflow/pull/3505

    Args:
        cluster: The deployment.
        order: What is asked for.
        intent: What it means.
        definition: ARN of the revision to submit with.
        secret: The rendezvous secret of a multi-node job, or what stands for it; None for a job
            of one node, which needs none.
        described: That revision; None where there is none, and the job's file counts.
    """
    job = intent.job.spec
    content = job.from_file.content if isinstance(job, JobFromFile) else {}
    known: dict[str, Any] = dict(described or content or _of_spec(intent.job))
    overrides = _container_overrides(order, intent.job, intent.queue, secret)
    request: dict[str, Any] = {
        "jobName": order.name or intent.job.name,
        "jobQueue": queue_name(cluster.spec, intent.queue.name),
        "jobDefinition": definition,
        "tags": {**order.tags, DEPLOYMENT_TAG: cluster.spec.name},
    }
    if intent.size is not None:
        request["arrayProperties"] = {"size": intent.size}
    if intent.nodes is None:
        if overrides:
            request["containerOverrides"] = overrides
    else:
        request["nodeOverrides"] = _node_overrides(intent.nodes, known, overrides)
    if order.attempts is not None:
        # A submission's strategy replaces the definition's as a whole.
        request["retryStrategy"] = retry_strategy(order.attempts, job)
        if isinstance(job, JobFromFile):
            request["retryStrategy"] = {
                **known.get("retryStrategy", {}),
                "attempts": order.attempts,
            }
    if intent.after:
        request["dependsOn"] = [{"jobId": each} for each in intent.after]
    if order.timeout is not None:
        request["timeout"] = {"attemptDurationSeconds": order.timeout}
    if order.share is not None:
        request["shareIdentifier"] = order.share
        if order.priority is not None:
            request["schedulingPriorityOverride"] = order.priority
        elif known.get("schedulingPriority") is None:
            request["schedulingPriorityOverride"] = 0
    return request


def _of_spec(job: ResolvedJob) -> dict[str, Any]:
    """Returns what a definition has in any case that is yet to be registered."""
    if not job.groups:
        return {}
    ranges = [{"targetNodes": part.target} for part in job.groups]
    return {"nodeProperties": {"numNodes": job.spec.nodes, "nodeRangeProperties": ranges}}


def _node_overrides(
    nodes: int, definition: Mapping[str, Any], overrides: dict[str, Any]
) -> dict[str, Any]:
    """Returns the overrides of all nodes, in the node ranges of the definition.

    Batch refuses other ranges than those, and a number of nodes if none of them is open. A
    definition of mngen has one that is; one from a file, or that a script has registered, may not.
    Source: https://github.com/aws/aws-parallelcluster/pull/964,
    https://github.com/aws/aws-cdk/issues/29415
    """
    properties = definition.get("nodeProperties") or {}
    ranges = [each["targetNodes"] for each in properties.get("nodeRangeProperties", [])] or ["0:"]
    closed = not any(each.endswith(":") for each in ranges)
    return {
        **({} if closed and nodes == properties["numNodes"] else {"numNodes": nodes}),
        "nodePropertyOverrides": [
            {"targetNodes": each, "containerOverrides": overrides} for each in ranges
        ],
    }


def retry_strategy(attempts: int, job: Job) -> dict[str, Any]:
    """Returns the `retryStrategy` of a job definition or a submission.

    Args:
        attempts: How often the job is tried in all.
        job: The job of the spec, for what is tried again.
    """
    conditions = retry_conditions(job.retry, uploads=job.outputs is not None)
    return {"attempts": attempts, "evaluateOnExit": conditions}


def token_of(request: dict[str, Any], order: Order) -> str:
    """Returns a token of a request: equal for the same request, whichever user makes it.

    Args:
        request: The arguments of SubmitJob; a secret in them must be masked.
        order: What is asked for, for the inputs.
    """
    text = json.dumps({**request, "inputs": order.inputs}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def tag_value(text: str) -> str:
    """Returns a text as the value of a tag: at most 256 of the characters that AWS takes."""
    return _TAG_VALUE.sub("_", text)[:LONGEST_TAG_VALUE]


def _container_overrides(
    order: Order, job: ResolvedJob, queue: ResolvedQueue, secret: str | None
) -> dict[str, Any]:
    variables = {
        **_cpu_variables(job, queue),
        **_rank_variables(order, job, queue),
        **order.environment,
    }
    if secret is not None:
        variables[RENDEZVOUS_VARIABLE] = secret
    overrides: dict[str, Any] = {}
    if order.command:
        overrides["command"] = list(order.command)
    if variables:
        overrides["environment"] = [
            {"name": name, "value": value} for name, value in sorted(variables.items())
        ]
    needs = [("GPU", order.gpus), ("MEMORY", order.memory), ("VCPU", order.vcpus)]
    resources = [{"type": kind, "value": str(value)} for kind, value in needs if value is not None]
    if resources:
        overrides["resourceRequirements"] = resources
    return overrides


def _cpu_variables(job: ResolvedJob, queue: ResolvedQueue) -> dict[str, str]:
    """Returns what the wire-up must know about a queue other than the definition's."""
    limits = {each.nr_cpus for each in queue.environments}
    if limits == {job.nr_cpus} or job.spec.nodes is None:
        return {}
    limit = limits.pop() if len(limits) == 1 else None
    return {CPUS_CHECK_VARIABLE: "off"} if limit is None else {CPUS_VARIABLE: str(limit)}


def _rank_variables(order: Order, job: ResolvedJob, queue: ResolvedQueue) -> dict[str, str]:
    """Returns the number of ranks for what is asked for, where the definition's is another."""
    name = KEY_VARIABLES["ranks_per_node"]
    if job.spec.ranks_per_node or name in job.spec.environment:
        return {}
    ranks = default_ranks(
        job,
        queue,
        vcpus=order.vcpus or job.vcpus,
        gpus=order.gpus or job.gpus,
        environment={**job.spec.environment, **order.environment},
    )
    if order.gpus is None and ranks == registered_ranks(job):
        return {}
    # Without a number, the wire-up starts one rank for each CPU that it sees: it takes 0 for that.
    return {name: str(ranks or 0)}


def after_of(order: Order) -> tuple[str, ...]:
    """Returns the IDs of the jobs that an order waits for.

    They are sorted: the order in which they are given makes no other request.
    """
    return tuple(sorted({job_id(each) for each in order.after}))


def _job(cluster: Cluster, name: str, problems: list[Problem]) -> ResolvedJob | None:
    jobs = {each.name: each for each in cluster.jobs}
    if name in jobs:
        return jobs[name]
    known = ", ".join(f"`{each}`" for each in list(jobs)[:5])
    hint = did_you_mean(name, jobs) or (
        f"the jobs are {known}" if jobs else "add one to the spec under `jobs`, and apply it"
    )
    problems.append(Problem(f"the spec has no job `{name}`", hint=hint))
    return None


def _queue(
    cluster: Cluster, name: str | None, job: ResolvedJob | None, problems: list[Problem]
) -> ResolvedQueue | None:
    if name is None:
        return job.queue if job else None
    queues = {each.name: each for each in cluster.queues}
    if name in queues:
        return queues[name]
    known = ", ".join(f"`{each}`" for each in list(queues)[:5])
    hint = did_you_mean(name, queues) or f"the queues are {known}"
    problems.append(Problem(f"the spec has no queue `{name}`", hint=hint))
    return None


def _faults(order: Order, job: ResolvedJob | None) -> list[Problem]:
    """Returns what is wrong with an order in itself."""
    problems = []
    if order.name is not None and not _NAME.fullmatch(order.name):
        problems.append(
            Problem(
                f'invalid job name "{order.name}"',
                hint="use 1 to 128 letters, digits, hyphens and underscores, starting "
                "with a letter or digit",
            )
        )
    if order.share is not None and not _SHARE.fullmatch(order.share):
        problems.append(
            Problem(
                f'invalid share identifier "{order.share}"', hint="use 1 to 255 letters and digits"
            )
        )
    if order.nodes is not None and job is not None and job.spec.nodes is None:
        problems.append(
            Problem(
                f"`{order.job}` is a single-node job",
                hint="set `nodes` in the spec to make it a multi-node parallel job, and apply",
            )
        )
    if job is not None:
        problems += _of_ranges(order, job)
    for what, value, least, most in (
        ("nodes", order.nodes, 1, 1000),
        ("vcpus", order.vcpus, 1, None),
        ("memory", order.memory, 4, None),
        ("gpus", order.gpus, 1, None),
        ("attempts", order.attempts, 1, 10),
        ("timeout", order.timeout, 60, 31_536_000),
        ("priority", order.priority, 0, 9999),
    ):
        if value is not None and (value < least or (most is not None and value > most)):
            bounds = f"at least {least}" if most is None else f"between {least} and {most}"
            problems.append(Problem(f"`--{what}` must be {bounds}, not {value}"))
    if "" in after_of(order):
        problems.append(Problem("`--after` has an empty job ID", hint="mngen jobs lists the jobs"))
    if len(after_of(order)) > _MOST_DEPENDENCIES:
        problems.append(
            Problem(
                f"`--after` takes at most {_MOST_DEPENDENCIES} jobs, not {len(after_of(order))}",
                hint="let one job wait for some of them, and this job for that one",
            )
        )
    problems += _of_tags(order.tags)
    if RENDEZVOUS_VARIABLE in order.environment:
        problems.append(
            Problem(
                f"{RENDEZVOUS_VARIABLE} is reserved",
                hint="each submission generates a new secret",
            )
        )
    problems += faults_of_words(order)
    return problems


def faults_of_words(order: Order) -> Iterator[Problem]:
    """Yields what is wrong with the command and the variables of an order in themselves.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerOverrides.html
    (`command` has no empty string)
    """
    if order.command and not order.command[0].strip():
        yield Problem("the command has no program", hint="start it with the name of a program")
    elif "" in order.command:
        yield Problem(
            "the command has an empty word, which AWS Batch does not accept",
            hint="leave the word out, or use a value that the program takes for empty",
        )
    if any("\0" in text for text in (*order.command, *order.environment.values())):
        yield Problem("a command or variable contains a NUL character")


def _of_tags(tags: Mapping[str, str]) -> Iterator[Problem]:
    """Yields what is wrong with the tags of an order.

    Source: https://docs.aws.amazon.com/batch/latest/userguide/tag-restrictions.html
    """
    for key, value in tags.items():
        if not 1 <= len(key) <= _LONGEST_KEY or len(value) > LONGEST_TAG_VALUE:
            yield Problem(
                f'invalid tag "{key}"',
                hint=f"a key has 1 to {_LONGEST_KEY} characters, a value at most "
                f"{LONGEST_TAG_VALUE}",
            )
        elif _TAG_VALUE.search(key) or _TAG_VALUE.search(value):
            yield Problem(
                f'invalid tag "{key}={value}"',
                hint="use letters, digits, spaces and _ . : / = + - @",
            )
        elif key.casefold().startswith(("aws:", "mngen:")):
            yield Problem(
                f"tag keys starting with `{key.partition(':')[0]}:` are reserved",
                hint="use another key",
            )
        elif value.casefold().startswith("aws:"):
            yield Problem(
                f"tag values starting with `{value[:4]}` are reserved", hint="use another value"
            )


def _of_ranges(order: Order, job: ResolvedJob) -> Iterator[Problem]:
    """Yields what cannot be overridden in a definition whose node ranges differ."""
    if isinstance(job.spec, JobFromFile):
        differ, kind, place = len(job.spec.from_file.containers) > 1, "range", job.spec.definition
    else:
        differ, kind, place = bool(job.groups), "group", "`groups`"
    if not differ:
        return
    asked = {
        "a command": order.command,
        "--vcpus": order.vcpus,
        "--memory": order.memory,
        "--gpus": order.gpus,
    }
    for what, value in asked.items():
        if value:
            yield Problem(
                f"{what} would replace that of every node {kind} of `{order.job}`",
                hint=f"submit without it, or change {place} and apply",
            )
    if job.groups and order.nodes is not None:
        last = job.groups[-1]
        first = int(last.target.partition(":")[0])
        if order.nodes <= first:
            yield Problem(
                f"the node group `{last.group}` of `{order.job}` starts at node {first}, and "
                f"{order.nodes} nodes are requested",
                hint=f"use more than {first} `--nodes`",
            )
