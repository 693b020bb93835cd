"""The clockwork of the emulated Batch: which job runs where, and since when.

Nothing runs in the background. Each request first updates every job to the state that it has
reached by now, so what is seen depends on the time alone, not on the number of requests: a job is
RUNNABLE at once, STARTING as soon as an environment of its queue has room for it, RUNNING a moment
later, and it ends when its script does. In a queue with a scheduling policy, whose turn it is
follows from the shares (`_shares`).

A multi-node job does not go on to the next environment of its queue while one before it is out of
capacity: it stays, and blocks the queue.
Source: https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_capacity.html
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import median_low
from typing import TYPE_CHECKING, Any

from mngen.catalog import vcpu_quota
from mngen.sandbox.batch import _reasons as reasons
from mngen.sandbox.batch._array import DEPENDENCY_FAILED, follow_children
from mngen.sandbox.batch._clock import clock_of
from mngen.sandbox.batch._environments import catalog, fault_of, role_fault
from mngen.sandbox.batch._interfaces import nodes_meet, task_interface_fits
from mngen.sandbox.batch._job import LOG_GROUP, Attempt, Job, Jobs
from mngen.sandbox.batch._overrides import TOO_LONG, is_too_long
from mngen.sandbox.batch._reserved import (
    instances_until,
    reservation_obstacle,
    reservation_of,
    started,
)
from mngen.sandbox.batch._shares import in_turn
from mngen.sandbox.batch._unjoined import Unjoined, scale_up
from mngen.sandbox.emulator._misc import granted_vcpus

if TYPE_CHECKING:
    from moto.batch.models import ComputeEnvironment

    from mngen.catalog import InstanceType


_TIMED_OUT = "Job attempt duration exceeded timeout"
_EXITED = "Essential container in task exited"
_KILLED = 137
_RESERVED_MEMORY = 32
WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
_NEVER_MET = 66
"""What the wire-up exits with where nodes are missing (MISSING of mngen_wireup.errors)."""


@dataclass(slots=True)
class State:
    """The jobs of one account and region.

    Attributes:
        jobs: By id, in the order of submission.
        exhausted: Instance types of which EC2 has none left, and names of environments whose zone
            has none.
        kernel_limits: The `nr_cpus` of AMIs without a disk, by their ids.
        blocked: The reason for which queues are blocked on request: its code, by the queue's name.
        unjoined: Environments whose instances do not all join their cluster, by name.
        start_seconds: How long a placed job is STARTING.
        run_seconds: How long a job runs that does not set it itself.
    """

    jobs: Jobs = field(default_factory=Jobs)
    exhausted: set[str] = field(default_factory=set)
    kernel_limits: dict[str, int] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    unjoined: dict[str, Unjoined] = field(default_factory=dict)
    start_seconds: float = 0.1
    run_seconds: float = 1.0


@dataclass(slots=True)
class Round:
    """What is known in one pass over the jobs, which goes in the order of submission.

    Attributes:
        now: Seconds since the epoch.
        taken: How many nodes run in each environment, by its ARN.
        blocked: ARNs of the queues that a job ahead blocks.
        waiting: Why no further child of an array is placed, by the ID of the array: one before it
            was not, and children are alike.
    """

    now: float
    taken: Counter[str]
    blocked: set[str] = field(default_factory=set)
    waiting: dict[str, str | None] = field(default_factory=dict)


def state_of(backend: Any) -> State:
    """Returns the jobs of a Batch; moto's reset drops them with all else that it holds."""
    state: State = backend.__dict__.setdefault("sandbox_state", State())
    return state


def advance(backend: Any, now: float) -> None:
    """Updates every job to the state that it has reached.

    Args:
        backend: The Batch of an account and region.
        now: Seconds since the epoch.
    """
    state = state_of(backend)
    open_jobs = [job for job in state.jobs.unsettled() if not job.ended]
    taken: Counter[str] = Counter()
    for job in open_jobs:
        if nodes := _held(job):
            taken.update(nodes)
    this = Round(now, taken)
    for job in list(in_turn(backend, open_jobs, state.jobs.values(), now)):
        if _stays(job):
            continue
        before = _held(job)
        while not job.ended and _step(backend, state, job, this):
            taken.subtract(before)
            before = _held(job)
            taken.update(before)
        if _blocks(job):
            this.blocked.add(job.queue.arn)


def stop(job: Job, reason: str, how: str, now: float) -> None:
    """Cancels a job from outside: all its nodes, in any state.

    One that waits for other jobs is cancelled once they have finished (`_queue_up`). The children
    of an array are cancelled with it; by CancelJob, those alone that have not started.
    """
    if job.ended:
        return
    job.end, job.end_reason = how, reason
    if job.children:
        for child in job.children:
            if how == "terminated" or child.status in WAITING:
                stop(child, reason, how, now)
        return
    if job.status == "PENDING" and job.depends_on:
        return
    job.status, job.status_reason = "FAILED", reason
    if job.attempts and not job.attempts[-1].stopped:
        attempt = job.attempts[-1]
        attempt.stopped = now
        attempt.status_reason = reason
        attempt.exit_code = _KILLED if attempt.started else None


def _stays(job: Job) -> bool:
    """Whether a job is held in its state, and no other one has to wait for it."""
    return job.script.hold == job.status and not job.children and not job.multi_node


def _held(job: Job) -> dict[str, int]:
    """Returns the nodes that a job has, by the ARN of their environment; empty for none."""
    if job.status not in ("STARTING", "RUNNING"):
        return {}
    return {job.attempts[-1].environment.arn: len(job.containers)}


def scaled(
    backend: Any, environment: ComputeEnvironment, described: dict[str, Any]
) -> dict[str, Any]:
    """Returns a description of an environment with the vCPUs that Batch wants in it.

    Those are what its jobs have, or its minimum. Batch lets instances idle for some minutes; here
    they go with their job.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html
    """
    vcpus = sum(
        found.vcpus * len(job.containers)
        for job in state_of(backend).jobs.unsettled()
        if environment.arn in _held(job)
        and (found := catalog().get(job.attempts[-1].instance_type)) is not None
    )
    resources = described.get("computeResources")
    if not vcpus or not resources:
        return described
    desired = max(vcpus, int(resources.get("desiredvCpus") or 0))
    return {**described, "computeResources": {**resources, "desiredvCpus": desired}}


def _step(backend: Any, state: State, job: Job, this: Round) -> bool:
    """Takes a job one state further; False where it stays for now."""
    if job.children:
        follow_children(job)
        return False
    if job.script.hold == job.status:
        return False
    if job.status in ("SUBMITTED", "PENDING"):
        return _queue_up(state, job)
    if job.status == "RUNNABLE":
        array = "" if job.parent is None else job.parent.id
        if array in this.waiting:
            job.status_reason = this.waiting[array]
            return False
        environment, instance_type, job.status_reason = _place(backend, state, job, this)
        if environment is None:
            if array:
                this.waiting[array] = job.status_reason
            return False
        if is_too_long(job, environment):
            job.status, job.status_reason = "FAILED", TOO_LONG
            return False
        wish = state.unjoined.get(environment.name)
        if wish is not None and not scale_up(backend, environment, wish, len(job.containers)):
            return False
        job.status = "STARTING"
        job.attempts.append(Attempt(this.now, environment, instance_type))
        return True
    attempt = job.attempts[-1]
    if job.status == "STARTING":
        if this.now < attempt.placed + state.start_seconds:
            return False
        attempt.started = attempt.placed + state.start_seconds
        _start(backend, job, attempt)
        return True
    return _finish(backend, job, attempt, this.now)


def _queue_up(state: State, job: Job) -> bool:
    """Takes a job to RUNNABLE once all that it depends on have succeeded.

    It fails as soon as one of them has failed. One that was cancelled meanwhile fails once all of
    them have finished. That this also holds for TerminateJob, which "cancels" such a job, is
    inferred.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/job_dependencies.html,
    https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html; the words of the
    reason: `_array`.

    Jobs that are gone (`forget` of the control) are not waited for.
    """
    ids = [each["jobId"] for each in job.depends_on]
    before = [state.jobs[each] for each in ids if each in state.jobs]
    if job.status == "SUBMITTED":
        job.status = "PENDING"
    elif job.end:
        if not all(each.ended for each in before):
            return False
        job.status, job.status_reason = "FAILED", job.end_reason
    elif any(each.status == "FAILED" for each in before):
        job.status, job.status_reason = "FAILED", DEPENDENCY_FAILED
    elif all(each.status == "SUCCEEDED" for each in before):
        job.status = "RUNNABLE"
    else:
        return False
    return True


def _start(backend: Any, job: Job, attempt: Attempt) -> None:
    """Starts the containers; their log driver needs its group, which Batch makes for its own.

    The words where an image is not pulled: https://github.com/nextflow-io/nextflow/issues/5099
    """
    if len(job.attempts) <= job.script.unpulled:
        _fail_to_start(
            job,
            attempt,
            "CannotPullContainerError: write /var/lib/docker/tmp/GetImageBlob887491687: no space "
            "left on device",
        )
        return
    group = job.log_group(job.main)
    if group == LOG_GROUP:
        backend.logs_backend.ensure_log_group(group)
    if group in backend.logs_backend.groups:
        job.status = "RUNNING"
        return
    _fail_to_start(
        job,
        attempt,
        "CannotStartContainerError: Error response from daemon: failed to initialize logging "
        "driver: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified "
        "log group does not exist.",
    )


def _fail_to_start(job: Job, attempt: Attempt, reason: str) -> None:
    attempt.stopped = attempt.started
    attempt.started = 0.0
    attempt.reason = reason
    _fail(job, attempt, "Task failed to start")


def _fail(job: Job, attempt: Attempt, status_reason: str, *, final: bool = False) -> None:
    """Finishes an attempt that failed: the job waits for another one, or has failed."""
    attempt.status_reason = status_reason
    if not final and len(job.attempts) < job.most_attempts and _again(job, status_reason):
        job.status, job.status_reason = "RUNNABLE", None
    else:
        job.status, job.status_reason = "FAILED", status_reason


def _finish(backend: Any, job: Job, attempt: Attempt, now: float) -> bool:
    limit = float(job.timeout.get("attemptDurationSeconds") or job.script.seconds)
    end = attempt.started + min(limit, job.script.seconds)
    if limit >= job.script.seconds:
        end = max(end, job.script.released)
    resources = attempt.environment.compute_resources
    last = instances_until(backend.ec2_backend, resources)
    # The instances of a capacity block end before it does.
    cut = last < end
    end = min(end, last)
    if now < end:
        return False
    attempt.stopped = end
    timed_out = limit < job.script.seconds and not cut
    number = len(job.attempts) - 1
    attempt.exit_code = _KILLED if timed_out else job.exit_of(job.main, number)
    if len(job.containers) > 1 and not nodes_meet(backend.ec2_backend, resources):
        attempt.exit_code = _NEVER_MET
    attempt.reason = job.script.reason
    status_reason = _TIMED_OUT if timed_out else _EXITED
    if cut or (job.script.lost and not timed_out):
        attempt.exit_code = None
        status_reason = f"Host EC2 (instance {job.instance(job.main)}) terminated."
    if attempt.exit_code == 0:
        job.status, job.status_reason = "SUCCEEDED", _EXITED
        attempt.status_reason = _EXITED
    else:
        _fail(job, attempt, status_reason, final=timed_out)
    return True


def _again(job: Job, status_reason: str) -> bool:
    """Whether another attempt follows: the first condition that matches decides, or else it does.

    Source: https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html
    """
    attempt = job.attempts[-1]
    ends = {
        "onExitCode": "" if attempt.exit_code is None else str(attempt.exit_code),
        "onReason": attempt.reason or "",
        "onStatusReason": status_reason,
    }
    for condition in job.conditions:
        wanted = {key: condition[key] for key in ends if key in condition}
        if all(_matches(ends[key], pattern) for key, pattern in wanted.items()):
            return condition["action"].upper() == "RETRY"
    return True


def _matches(text: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern


def _place(
    backend: Any, state: State, job: Job, this: Round
) -> tuple[ComputeEnvironment | None, str, str | None]:
    """Returns the environment that takes a job with the type of its instances, or why none does.

    Neither where it is full.
    """
    if job.queue.arn in this.blocked:
        return None, "", None
    environments: list[Any] = list(job.queue.environments)
    if code := state.blocked.get(job.queue.name):
        instance_type = environments[0].compute_resources["instanceTypes"][0]
        return None, "", reasons.reason(code, instance_type)
    valid = [each for each in environments if not fault_of(backend, each)]
    if not valid:
        return None, "", reasons.reason(reasons.INVALID)
    if all(role_fault(backend, each.service_role) for each in valid):
        return None, "", reasons.reason(reasons.SERVICE_ROLE)
    enabled = [each for each in valid if each.state == "ENABLED"]
    if not enabled:
        # The guide has no separate reason for this.
        return None, "", reasons.reason(reasons.UNDETERMINED)
    obstacles = []
    for environment in enabled:
        taken = this.taken[environment.arn]
        obstacle, instance_type = _obstacle(backend, state, job, environment, taken)
        if obstacle == "":
            return environment, instance_type, None
        obstacles.append(obstacle)
        if job.multi_node and obstacle == reasons.NO_CAPACITY:
            break
    # A full environment is not a fault: the job waits its turn.
    if None in obstacles:
        return None, "", None
    code = obstacles[-1] if reasons.NO_CAPACITY in obstacles else obstacles[0]
    return None, "", reasons.reason(str(code), instance_type)


def _blocks(job: Job) -> bool:
    """Whether a job lets none behind it start: a multi-node job that waits for capacity."""
    waits = job.status == "RUNNABLE" and (job.status_reason or "").startswith(reasons.NO_CAPACITY)
    return job.multi_node and waits


def _obstacle(
    backend: Any, state: State, job: Job, environment: ComputeEnvironment, taken: int
) -> tuple[str | None, str]:
    """Returns why an environment does not take a job, "" if it does, and the type in question.

    With BEST_FIT, Batch waits for the type that fits the job best; otherwise it goes on to another
    one. Which it prefers depends on prices and capacity, which are not known here: it is the first
    one, in the order that the environment lists them.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html
    """
    found = []
    strategy = environment.compute_resources.get("allocationStrategy") or "BEST_FIT"
    for name in environment.compute_resources["instanceTypes"]:
        obstacle = _type_obstacle(backend, state, job, environment, taken, catalog().get(name))
        if obstacle == "":
            return obstacle, name
        found.append((obstacle, name))
        if strategy == "BEST_FIT" and obstacle != reasons.JOB_RESOURCE:
            break
    # A type that is full or has no capacity now can take the job later; one that is too small not.
    return next((each for each in found if each[0] != reasons.JOB_RESOURCE), found[0])


def _type_obstacle(
    backend: Any,
    state: State,
    job: Job,
    environment: ComputeEnvironment,
    taken: int,
    instance: InstanceType | None,
) -> str | None:
    """Returns why instances of one type do not take a job: "" if they do, None if all are taken."""
    resources = environment.compute_resources
    spot = resources["type"] == "SPOT"
    if instance is None or (job.multi_node and spot):
        return reasons.UNDETERMINED
    override = (resources.get("ec2Configuration") or [{}])[0].get("imageIdOverride")
    image = backend.ec2_backend.amis.get(override) if override else None
    if (override and image is None) or not _has_profile(backend, resources):
        return reasons.UNDETERMINED
    if job.multi_node and not task_interface_fits(backend.ec2_backend, resources):
        return reasons.UNDETERMINED
    vcpus, memory, gpus = _needs(job)
    limit = _kernel_limit(backend, state, image)
    registered = (
        min(instance.vcpus, limit or instance.vcpus),
        _registered_memory(instance),
        _registered_gpus(instance, resources),
    )
    if any(need > has for need, has in zip((vcpus, memory, gpus), registered, strict=True)):
        return reasons.JOB_RESOURCE
    nodes = len(job.containers)
    if nodes * instance.vcpus > resources["maxvCpus"]:
        return reasons.MAX_RESOURCE
    if {instance.name, environment.name} & state.exhausted:
        return reasons.NO_CAPACITY
    ec2 = backend.ec2_backend
    reservation = reservation_of(ec2, resources)
    if reservation is not None:
        others = started(backend, state.jobs.values(), reservation.id)
        now = clock_of(backend).now()
        if code := reservation_obstacle(ec2, reservation, resources, nodes, others, now):
            return code
    total = (taken + nodes) * instance.vcpus
    if total > resources["maxvCpus"]:
        return None
    # EC2 does not count the instances of capacity blocks:
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html
    if reservation is not None and reservation.is_block:
        return ""
    return "" if _within_quota(backend, instance, total, spot=spot) else reasons.UNDETERMINED


def _needs(job: Job) -> tuple[float, int, int]:
    """Returns the vCPUs, the MiB and the GPUs that the largest node asks for."""
    needs = [
        {each["type"]: float(each["value"]) for each in one.get("resourceRequirements") or []}
        for one in job.containers
    ]
    return (
        max(each.get("VCPU", 1.0) for each in needs),
        int(max(each.get("MEMORY", 4.0) for each in needs)),
        int(max(each.get("GPU", 0.0) for each in needs)),
    )


def _registered_gpus(instance: InstanceType, resources: dict[str, Any]) -> int:
    """Returns the GPUs that the ECS agent registers: those that NVIDIA's driver shows it.

    Only the GPU-optimized AMI has that driver, and the setting with which the agent looks for GPUs.
    An image with both has a type that ends with `_NVIDIA`. An AMI of one's own may have them under
    another type, which is not known here: stricter than the agent, for jobs that ask for GPUs.
    Source: https://github.com/aws/amazon-ecs-agent (ecs-init/gpu/nvidia_gpu_manager.go),
    https://github.com/aws/amazon-ecs-ami (scripts/al2023/gpu)
    """
    kind = (resources.get("ec2Configuration") or [{}])[0].get("imageType", "")
    return instance.gpus if kind.endswith("_NVIDIA") and instance.gpu_maker == "NVIDIA" else 0


def _kernel_limit(backend: Any, state: State, image: Any) -> int | None:
    """Returns the `nr_cpus` with which an AMI's kernel starts; None for no limit.

    The ECS agent registers the CPUs that are online, whatever the AMI is called or tagged: an AMI
    that was baked here has its boot loader's files; the control has it for one without a disk.
    Source: https://github.com/aws/amazon-ecs-agent (ecs-agent/api/ecs/client/ecs_client.go)
    """
    if image is None:
        return None
    told = state.kernel_limits.get(image.id)
    limit: int | None = backend.ec2_backend.machines.kernel_limit(image.id)
    return told if limit is None else limit


def _registered_memory(instance: InstanceType) -> int:
    """Returns the memory that the ECS agent registers, in MiB: measured, never by a formula.

    The agent takes `MemTotal` less ECS_RESERVED_MEMORY, which Batch sets to 32. A type that was not
    measured has the median of what was measured where EC2 states as much memory.
    Source: https://github.com/aws/amazon-ecs-agent (ecs-agent/api/ecs/client/ecs_client.go),
    https://github.com/aws/aws-cdk/issues/9900
    """
    seen = instance.measured_memory
    return (_median_memory(instance.memory) if seen is None else seen) - _RESERVED_MEMORY


@lru_cache
def _median_memory(memory: int) -> int:
    measured = [each for each in catalog() if each.measured_memory]
    nearest = min(abs(each.memory - memory) for each in measured)
    shares = [
        (each.measured_memory or 0) / each.memory
        for each in measured
        if abs(each.memory - memory) == nearest
    ]
    return int(memory * median_low(shares))


def _has_profile(backend: Any, resources: dict[str, Any]) -> bool:
    role = resources.get("instanceRole", "")
    profiles = backend.iam_backend.get_instance_profiles()
    return any(role in (each.arn, each.name) for each in profiles)


def _within_quota(backend: Any, instance: InstanceType, vcpus: int, *, spot: bool) -> bool:
    quota = vcpu_quota(instance, spot=spot)
    if quota is None:
        return True
    return vcpus <= granted_vcpus(backend.account_id, backend.region_name, quota.code)
