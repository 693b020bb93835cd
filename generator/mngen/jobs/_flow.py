"""A flow: a job of the spec with all that it is `after`, submitted in order, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mngen.jobs._request import after_of
from mngen.jobs._types import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mngen.cluster import Cluster
    from mngen.jobs._submit import Prepared, Sender
    from mngen.jobs._types import Submission


def jobs_of_flow(cluster: Cluster, job: str) -> tuple[str, ...]:
    """Returns the names of a job and of all that it is after, each once, the job itself last.

    Args:
        cluster: The deployment, in whose spec no job waits for itself.
        job: The job's name.
    """
    before = {each.name: each.spec.predecessors for each in cluster.jobs}
    order: dict[str, None] = {}
    waiting = [job]
    # Not recursive: a chain may be longer than Python's stack.
    while waiting:
        name = waiting[-1]
        missing = [each for each in before.get(name, ()) if each not in order]
        if missing:
            waiting.append(missing[0])
        else:
            order[waiting.pop()] = None
    return tuple(order)


def orders_of_flow(cluster: Cluster, order: Order) -> list[Order]:
    """Returns the orders of a flow, in the order in which they are submitted.

    Variables, inputs, tags and the share are for all jobs; the other options are the last job's.
    The jobs that come first wait for what the order is after.

    Args:
        cluster: The deployment.
        order: What is asked for.
    """
    specs = {each.name: each for each in cluster.jobs}
    *earlier, _ = jobs_of_flow(cluster, order.job)
    orders = []
    for name in earlier:
        job = specs[name]
        orders.append(
            Order(
                job=name,
                name=None if order.name is None else f"{order.name}-{name}",
                environment=order.environment,
                inputs=order.inputs,
                share=order.share if job.queue.spec.is_fair else None,
                after=() if job.spec.predecessors else order.after,
                tags=order.tags,
            )
        )
    return [*orders, msgspec.structs.replace(order, after=() if earlier else order.after)]


def linked(prepared: Prepared, ids: Mapping[str, str]) -> Prepared:
    """Returns a submission of a flow that waits for the jobs that it is after.

    Args:
        prepared: The submission.
        ids: IDs of the flow's jobs, by their names in the spec.
    """
    before = prepared.intent.job.spec.predecessors
    after = sorted({*after_of(prepared.order), *(ids[each] for each in before)})
    intent = msgspec.structs.replace(prepared.intent, after=tuple(after))
    return msgspec.structs.replace(prepared, intent=intent)


def send_flow(
    sender: Sender,
    prepared: Sequence[Prepared],
    *,
    again: bool = False,
    on_progress: Callable[[Submission], None] | None = None,
) -> tuple[Submission, ...]:
    """Submits the jobs of a flow in order; those that were submitted before are found, not sent.

    The ID of an earlier job is part of the request of a later one. So an interrupted flow
    continues where it stopped, and a job that failed is submitted again with all that follow it.

    Args:
        sender: Sends them.
        prepared: The submissions, each after those that it waits for.
        again: Whether to submit all of them even so.
        on_progress: Is called with each job as soon as its id is known.
    """
    ids: dict[str, str] = {}
    done = []
    for each in prepared:
        submission = sender.send(linked(each, ids), again=again, on_progress=on_progress)
        ids[each.intent.job.name] = submission.id
        done.append(submission)
    return tuple(done)
