"""Fair share in the emulated Batch: scheduling policies, whose turn it is, and the snapshot of it.

moto keeps any policy, and its queues have no order. Source:
https://docs.aws.amazon.com/batch/latest/userguide/share-identifiers.html (the share with the lowest
use times its weight comes first, within a share the job with the highest priority),
https://docs.aws.amazon.com/batch/latest/APIReference/API_FairsharePolicy.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_ShareAttributes.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteSchedulingPolicy.html and
https://docs.aws.amazon.com/batch/latest/APIReference/API_GetJobQueueSnapshot.html.

AWS does not document how past use decays, or how it counts jobs that are about to start: here all
use in the time of `shareDecaySeconds` counts alike, and jobs that run or are next add their vCPUs.
`computeReservation` is kept, and holds nothing back. The words of the refusals are our own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from moto.batch.exceptions import ClientException

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from mngen.sandbox.batch._job import Job

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_SHARE = re.compile(r"[A-Za-z0-9]{1,255}\*?")
_WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
_RUNS = ("STARTING", "RUNNING")
_MOST_SHARES = 500
_LEAST_WEIGHT, _MOST_WEIGHT = 0.0001, 999.9999
_MOST_DECAY = 604_800
_LEAST_DECAY = 600
"""What a decay of 0 stands for, in seconds."""
_FRONT = 100
_TOP_SHARES = 20


def create_policy(backend: Any, request: dict[str, Any]) -> Any:
    """Creates a scheduling policy from a CreateSchedulingPolicy request.

    Raises:
        ClientException: Batch would refuse the request.
        NotImplementedError: It asks for quota shares.
    """
    name = request.get("name") or ""
    if not _NAME.fullmatch(name):
        raise ClientException("name must be 1 to 128 letters, digits, hyphens and underscores")
    if request.get("quotaSharePolicy"):
        raise NotImplementedError("quota shares")
    if any(each.name == name for each in backend.policies.values()):
        raise ClientException("Object already exists")
    content = _checked(request.get("fairsharePolicy") or {})
    return backend.create_scheduling_policy(name, content, request.get("tags"))


def update_policy(backend: Any, request: dict[str, Any]) -> None:
    """Replaces the content of a scheduling policy.

    Raises:
        ClientException: Batch would refuse the request.
    """
    policy = backend.policies.get(request.get("arn"))
    if policy is None:
        raise ClientException(f"Scheduling policy {request.get('arn')} does not exist")
    policy.fairshare_policy = _checked(request.get("fairsharePolicy") or {})


def delete_policy(backend: Any, arn: str) -> None:
    """Deletes a scheduling policy.

    Raises:
        ClientException: A job queue uses it.
    """
    if any(queue.schedule_policy == arn for queue in backend.queues.values()):
        raise ClientException("Cannot delete, a job queue uses the scheduling policy")
    backend.delete_scheduling_policy(arn)


def check_policy(backend: Any, arn: str | None) -> None:
    """Refuses a policy that does not exist for a queue."""
    if arn is not None and arn not in backend.policies:
        raise ClientException(f"Scheduling policy {arn} does not exist")


def in_turn(
    backend: Any, open_jobs: Collection[Job], jobs: Collection[Job], now: float
) -> Iterator[Job]:
    """Yields jobs in the order in which Batch dispatches them: as submitted, or by share.

    Args:
        backend: The Batch of an account and region.
        open_jobs: Those that have not ended, in the order of their submission.
        jobs: All, in that order: what has ended counts for the use of a share.
        now: Seconds since the epoch.
    """
    with_shares = (each for each in open_jobs if each.queue.schedule_policy)
    fair = {
        arn: iter(front(backend, arn, jobs, now))
        for arn in {each.queue.arn for each in with_shares if _waits(each)}
    }
    if not fair:
        yield from open_jobs
        return
    for job in open_jobs:
        waits = _waits(job) and job.queue.arn in fair
        yield next(fair[job.queue.arn]) if waits else job


def _waits(job: Job) -> bool:
    """Whether a job is still to be dispatched; an array never is, its children are."""
    return job.status in _WAITING and not job.children


def front(backend: Any, queue: str, jobs: Iterable[Job], now: float) -> list[Job]:
    """Returns the jobs that wait in a queue, the next one first.

    Args:
        backend: The Batch of an account and region.
        queue: The queue's ARN.
        jobs: All jobs, in the order of their submission.
        now: Seconds since the epoch.
    """
    own = [job for job in jobs if job.queue.arn == queue]
    waiting = [job for job in own if _waits(job)]
    policy = backend.policies.get(backend.queues[queue].schedule_policy)
    if policy is None:
        return waiting
    content = policy.fairshare_policy
    window = max(content["shareDecaySeconds"], _LEAST_DECAY)
    # vCPUs: on average over the window, and of what runs now.
    use: dict[str, float] = defaultdict(float)
    for job in own:
        use[job.share] += _used(job, now, window) / window
        use[job.share] += job.vcpus if job.status in _RUNS else 0.0
    lines: dict[str, list[Job]] = {}
    for job in sorted(waiting, key=lambda each: -(each.priority or 0)):
        lines.setdefault(job.share, []).append(job)
    weights = {share: _weight(content["shareDistribution"], share) for share in lines}
    found = []
    while lines:
        share = min(lines, key=lambda each: (use[each] * weights[each], lines[each][0].created))
        job = lines[share].pop(0)
        use[share] += job.vcpus
        found.append(job)
        if not lines[share]:
            del lines[share]
    return found


def snapshot(backend: Any, queue: Any, jobs: Iterable[Job], now: float) -> dict[str, Any]:
    """Returns the structure that GetJobQueueSnapshot holds.

    A job is taken to be at its position since its submission.
    """
    jobs = list(jobs)
    runnable = [each for each in front(backend, queue.arn, jobs, now) if each.status == "RUNNABLE"]
    use: dict[str, float] = defaultdict(float)
    for job in jobs:
        if job.queue is queue and job.status in _RUNS:
            use[job.share] += job.vcpus
    stamp = round(now * 1000)
    utilization: dict[str, Any] = {
        "totalCapacityUsage": [_capacity(sum(use.values()))],
        "lastUpdatedAt": stamp,
    }
    if queue.schedule_policy:
        utilization["fairshareUtilization"] = {
            "activeShareCount": len(use),
            "topCapacityUtilization": [
                {"shareIdentifier": share, "capacityUsage": [_capacity(vcpus)]}
                for share, vcpus in sorted(use.items(), key=lambda each: -each[1])[:_TOP_SHARES]
            ],
        }
    return {
        "frontOfQueue": {
            "jobs": [
                {"jobArn": each.arn, "earliestTimeAtPosition": round(each.created * 1000)}
                for each in runnable[:_FRONT]
            ],
            "lastUpdatedAt": stamp,
        },
        "queueUtilization": utilization,
    }


def _capacity(vcpus: float) -> dict[str, Any]:
    return {"capacityUnit": "VCPU", "quantity": float(vcpus)}


def _used(job: Job, now: float, window: float) -> float:
    """Returns the vCPU seconds that a job has used in the last `window` seconds."""
    seconds = 0.0
    for attempt in job.attempts:
        begin = max(attempt.started or attempt.placed, now - window)
        seconds += max(0.0, (attempt.stopped or now) - begin)
    return seconds * job.vcpus


def _weight(distribution: list[dict[str, Any]], share: str) -> float:
    for each in distribution:
        name = each["shareIdentifier"]
        if name == share or (name.endswith("*") and share.startswith(name[:-1])):
            return float(each.get("weightFactor") or 1.0)
    return 1.0


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the content of a fair-share policy with Batch's defaults.

    Raises:
        ClientException: Batch would refuse it.
    """
    reservation = content.get("computeReservation") or 0
    decay = content.get("shareDecaySeconds") or 0
    distribution = content.get("shareDistribution") or []
    if not 0 <= reservation <= 99:
        raise ClientException("computeReservation must be between 0 and 99")
    if not 0 <= decay <= _MOST_DECAY:
        raise ClientException(f"shareDecaySeconds must be between 0 and {_MOST_DECAY}")
    if len(distribution) > _MOST_SHARES:
        raise ClientException(f"shareDistribution can have at most {_MOST_SHARES} entries")
    names: list[str] = []
    for each in distribution:
        name, weight = each.get("shareIdentifier") or "", each.get("weightFactor")
        if not _SHARE.fullmatch(name):
            raise ClientException(f"shareIdentifier {name!r} is not valid")
        if weight is not None and not _LEAST_WEIGHT <= weight <= _MOST_WEIGHT:
            raise ClientException(
                f"weightFactor must be between {_LEAST_WEIGHT} and {_MOST_WEIGHT}"
            )
        if any(_overlap(name, other) or _overlap(other, name) for other in names):
            raise ClientException(f"shareIdentifier {name!r} overlaps with another one")
        names.append(name)
    return {
        "computeReservation": reservation,
        "shareDecaySeconds": decay,
        "shareDistribution": distribution,
    }


def _overlap(one: str, other: str) -> bool:
    if one.endswith("*"):
        return other.rstrip("*").startswith(one[:-1])
    return one == other
