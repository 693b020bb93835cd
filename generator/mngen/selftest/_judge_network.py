"""The checks of the network between nodes, and its figures against what the type promises."""

from __future__ import annotations

import re
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from mngen.selftest._facts import Adapters, Allreduce, Nccl, Pair, nodes_of, of_kind
from mngen.selftest._judge_nodes import machine_of, verdict
from mngen.selftest._types import Check, Figure, State

if TYPE_CHECKING:
    from mngen.selftest._types import Expected, Machine, Run

_FLOW_PLACED, _FLOW_ELSEWHERE = 10.0, 5.0
"""Most gigabits per second of one TCP connection, within and outside a cluster placement group.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-network-bandwidth.html
"""
_LITTLE = 0.5
"""Less than this share of the possible is worth a look; AWS gives no figure."""
_PERFORMANCE = re.compile(r"(?P<most>Up to )?((?P<count>\d+)x )?(?P<each>\d+(\.\d+)?) Gigabit")


def promised(words: str) -> tuple[float, bool] | None:
    """Returns what AWS's words about a network promise.

    Args:
        words: Such as `Up to 10 Gigabit` or `4x 100 Gigabit`.

    Returns:
        Gigabits per second and whether that is for some time only (`Up to`); None for words
        without a number, such as `Moderate`.
    """
    match = _PERFORMANCE.fullmatch(words)
    if match is None:
        return None
    return int(match["count"] or 1) * float(match["each"]), bool(match["most"])


def uses_efa(pair: Pair) -> bool:
    """Returns whether what a pair of nodes sent each other went over EFA, by its counters."""
    return bool(pair.efa_bytes > pair.net_bytes)


def attainable(machine: Machine, pair: Pair) -> float | None:
    """Returns the gigabits per second that the streams of a pair can have at best, if known."""
    promise = promised(machine.network)
    if promise is None:
        return None
    if uses_efa(pair):
        return promise[0]
    flow = _FLOW_PLACED if machine.placed else _FLOW_ELSEWHERE
    return float(min(promise[0], flow * pair.streams))


def efa_check(expected: Expected, run: Run) -> Check:
    """Whether nodes have the Elastic Fabric Adapters of the spec, and MPI uses them."""
    title = "MPI uses the Elastic Fabric Adapter where the spec has it"
    facts = of_kind(run.facts, Adapters)
    pairs = of_kind(run.facts, Pair)
    wrong: dict[str, set[int]] = defaultdict(set)
    wanted = False
    for fact in facts:
        machine = machine_of(expected, run, fact.node)
        if machine is not None and machine.efa:
            wanted = True
            if fact.devices != machine.efa:
                wrong[f"{fact.devices} adapters instead of {machine.efa}"].add(fact.node)
    if wrong:
        remedy = "see `efa` of the environment; `mngen apply` declares the adapters"
        return verdict("efa", title, wrong, {}, remedy)
    if not pairs:
        return Check(
            id="efa", title=title, state=State.SKIPPED, seen="nothing was sent between nodes"
        )
    slow = {pair.b for pair in pairs if not uses_efa(pair)}
    if wanted and slow:
        return Check(
            id="efa",
            title=title,
            state=State.ERROR,
            seen=f"{nodes_of(slow)}: adapters are there, but MPI sent its data over TCP",
            remedy="build the container with `mngen container build --build-arg EFA=yes`, and "
            "allow all traffic from the security group to itself",
        )
    return Check(
        id="efa",
        title=title,
        state=State.OK,
        seen="MPI sent its data over EFA" if not slow else "not asked for; MPI used TCP",
    )


def network_check(expected: Expected, run: Run) -> Check:
    """Whether the nodes' bandwidth is near the possible, and no node is far behind."""
    title = "the network is about as fast as the instance type promises"
    pairs = of_kind(run.facts, Pair)
    if not pairs:
        seen = "there is one node" if expected.nodes == 1 else "it was not measured"
        return Check(id="network", title=title, state=State.SKIPPED, seen=seen)
    usual = median(pair.gbit for pair in pairs)
    wrong = []
    for pair in pairs:
        machine = machine_of(expected, run, pair.b)
        best = attainable(machine, pair) if machine is not None and expected.real else None
        if best is not None and pair.gbit < _LITTLE * best:
            wrong.append(f"nodes {pair.a} and {pair.b}: {pair.gbit:g} of {best:g} Gbit/s")
        elif expected.real and pair.gbit < _LITTLE * usual:
            wrong.append(f"nodes {pair.a} and {pair.b}: {pair.gbit:g} Gbit/s, others {usual:g}")
    if wrong:
        return Check(
            id="network",
            title=title,
            state=State.WARNING,
            seen="; ".join(wrong[:5]),
            remedy="types of `Up to …` have less for long; else see the placement group and the "
            "zone of the environment, and run it again: other nodes may do better",
        )
    slowest = min(pair.gbit for pair in pairs)
    note = "" if expected.real else ", which does not apply to AWS"
    return Check(
        id="network", title=title, state=State.OK, seen=f"{slowest:g} Gbit/s or more{note}"
    )


def sums_check(expected: Expected, run: Run) -> Check:
    """Whether an allreduce over all ranks gives the right sum."""
    del expected
    title = "an allreduce over all ranks gives the right sum"
    facts = of_kind(run.facts, Allreduce)
    if not facts:
        return Check(id="sums", title=title, state=State.SKIPPED, seen="it was not reached")
    wrong = [fact for fact in facts if not fact.right]
    if wrong:
        return Check(
            id="sums",
            title=title,
            state=State.ERROR,
            seen=f"wrong for {wrong[0].bytes} bytes",
            remedy="all nodes need the same container image: see its digest in `mngen status`",
        )
    return Check(id="sums", title=title, state=State.OK, seen=f"{facts[0].ranks} ranks")


def nccl_check(expected: Expected, run: Run) -> Check:
    """Whether NCCL sums over all GPUs, and over the adapters where nodes have them."""
    title = "NCCL sums over the GPUs of all nodes"
    machines = list(expected.machines.values())
    if not any(each.gpus for each in machines):
        return Check(id="nccl", title=title, state=State.OK, seen="the job requests no GPUs")
    facts = of_kind(run.facts, Nccl)
    if not facts:
        return Check(id="nccl", title=title, state=State.SKIPPED, seen="it was not reached")
    (fact,) = facts[:1]
    image = "`mngen container build` builds an image with CUDA, NCCL and aws-ofi-nccl"
    if fact.why:
        return Check(
            id="nccl",
            title=title,
            # Another library, such as PyTorch's own, may still work.
            state=State.WARNING,
            seen=fact.why,
            remedy=f"{image}; or test with a job of your own that its image has what it needs",
        )
    wanted = sum(_gpus_of(expected, run))
    seen = f"{fact.ranks} GPUs"
    if not fact.right or fact.ranks < wanted:
        seen += " gave a wrong sum" if not fact.right else f" instead of {wanted}"
        return Check(
            id="nccl",
            title=title,
            state=State.ERROR,
            seen=seen,
            remedy="see the line about GPUs, and run with a rank for each: `ranks_per_node`",
        )
    over_efa = fact.efa_bytes > fact.net_bytes
    if expected.nodes > 1 and all(each.efa for each in machines) and not over_efa:
        return Check(
            id="nccl",
            title=title,
            state=State.ERROR,
            seen=f"{seen}: adapters are there, but NCCL sent its data over TCP",
            remedy=f"{image}: without the last, NCCL does not use the adapters",
        )
    return Check(
        id="nccl", title=title, state=State.OK, seen=f"{seen}, over EFA" if over_efa else seen
    )


def _gpus_of(expected: Expected, run: Run) -> list[int]:
    """Returns the GPUs that each node must have; 0 where its type is not known."""
    machines = (machine_of(expected, run, node) for node in range(expected.nodes))
    return [machine.gpus if machine else 0 for machine in machines]


def figures_of(expected: Expected, run: Run) -> tuple[Figure, ...]:
    """Returns all that was measured, with what AWS promises where the nodes are AWS's."""
    figures = []
    for pair in of_kind(run.facts, Pair):
        between = f"nodes {pair.a} and {pair.b}"
        machine = machine_of(expected, run, pair.b)
        network = machine.network if machine is not None and expected.real else ""
        promise = promised(network)
        best = attainable(machine, pair) if machine is not None and expected.real else None
        flow = None
        if best is not None and not uses_efa(pair):
            flow = min(best, _FLOW_PLACED if machine and machine.placed else _FLOW_ELSEWHERE)
        streams = f"{pair.streams} stream{'' if pair.streams == 1 else 's'}"
        figures += [
            Figure(name=f"latency, {between}", value=pair.latency_us, unit="µs"),
            Figure(
                name=f"one stream, {between}",
                value=pair.single_gbit,
                unit="Gbit/s",
                promise=flow,
                note="most of one TCP connection" if flow else "",
            ),
            Figure(
                name=f"{streams}, {between}",
                value=pair.gbit,
                unit="Gbit/s",
                promise=promise[0] if promise else None,
                note=network,
            ),
        ]
    for fact in of_kind(run.facts, Allreduce):
        name = f"allreduce of {fact.bytes} bytes, {fact.ranks} ranks"
        figures.append(Figure(name=name, value=fact.us, unit="µs"))
    for summed in of_kind(run.facts, Nccl):
        if summed.us:
            # As nccl-tests counts it: what each GPU must send, whatever the algorithm.
            # https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md
            share = 2 * (summed.ranks - 1) / summed.ranks
            figures.append(
                Figure(
                    name=f"NCCL, bus bandwidth of {summed.bytes >> 20} MiB, {summed.ranks} GPUs",
                    value=round(share * summed.bytes / summed.us / 1000, 2),
                    unit="GB/s",
                )
            )
    return tuple(figures)
