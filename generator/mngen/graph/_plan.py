"""The graph of a deployment with what a plan changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from mngen.graph._build import graph_of
from mngen.graph._model import Edge, Graph, Key, Kind, Mark, Node, in_numbers
from mngen.terraform import Kind as ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mngen.cluster import Cluster
    from mngen.terraform import Change, Plan

_MARKS = {
    ChangeKind.CREATE: Mark.ADD,
    ChangeKind.UPDATE: Mark.CHANGE,
    ChangeKind.REPLACE: Mark.REPLACE,
    ChangeKind.DESTROY: Mark.DESTROY,
    ChangeKind.IMPORT: Mark.IMPORT,
    ChangeKind.MOVE: Mark.MOVE,
    ChangeKind.FORGET: Mark.FORGET,
}
# The addresses of the rendered Terraform: templates/terraform.
_ENTRY = re.compile(r"module\.(job|queue|environment)_([A-Za-z0-9_-]+)(?:\[0\])?\.")
_ENTRIES = {"job": Kind.JOB, "queue": Kind.QUEUE, "environment": Kind.ENVIRONMENT}
_PLACEMENT_GROUP = re.compile(r"aws_placement_group\.group_(.+)")
_SINGLES = (
    (r"module\.identity\.", Kind.ROLES),
    (r"module\.registry\.", Kind.IMAGE),
    (r"module\.storage\.", Kind.EFS),
    (r"module\.fsx\.", Kind.FSX),
    (r"module\.notify\.", Kind.MESSAGES),
    (r"aws_budgets_budget\.this$|module\.deny_submit\.", Kind.BUDGET),
    (r"module\.dashboard\.", Kind.DASHBOARD),
    (r"aws_cloudwatch_log_group\.jobs$", Kind.LOGS),
    (r"module\.network\.(aws_vpc_endpoint\.|\w+\.(endpoints|s3$))", Kind.ENDPOINTS),
    (r"module\.network\.(aws_(nat|internet)_gateway|aws_eip|aws_route\.|\w+\.public\b)", Kind.NAT),
    (r"module\.network\.", Kind.VPC),
)
# The resource that a node stands for; others come and go with it.
_OWN_TYPES = {
    Kind.JOB: "aws_batch_job_definition",
    Kind.QUEUE: "aws_batch_job_queue",
    Kind.ENVIRONMENT: "aws_batch_compute_environment",
    Kind.IMAGE: "aws_ecr_repository",
    Kind.LOGS: "aws_cloudwatch_log_group",
    Kind.MESSAGES: "aws_sns_topic",
    Kind.BUDGET: "aws_budgets_budget",
    Kind.DASHBOARD: "aws_cloudwatch_dashboard",
    Kind.EFS: "aws_efs_file_system",
    Kind.FSX: "aws_fsx_lustre_file_system",
    Kind.VPC: "aws_vpc",
    Kind.NAT: "aws_nat_gateway",
}
_OTHER: Key = (Kind.OTHER, "")
_WAITING = {
    Kind.ENVIRONMENT: "waits for its AMI",
    Kind.QUEUE: "waits for an environment",
}


def planned_graph(plan: Plan, after: Cluster, before: Cluster | None) -> Graph:
    """Returns the graph of a deployment with each change of a plan at the node that it is about.

    What is destroyed is still there. Changes of resources that mngen did not render are counted in
    a node for all of them.

    Args:
        plan: The plan.
        after: The deployment afterwards.
        before: The deployment of the last apply; None before the first one, or if it is not known.
    """
    new = graph_of(after)
    old = graph_of(before) if before else Graph(title="", nodes=(), edges=())
    clusters = [each for each in (after, before) if each]
    changes: dict[Key, list[Change]] = {}
    for change in plan.summary.changes:
        # What is destroyed goes with what was there.
        sides = (old, new) if change.kind is ChangeKind.DESTROY else (new, old)
        known = [node for side in sides for node in side.nodes]
        for key in _owners(change, known, clusters):
            changes.setdefault(key, []).append(change)
    there, was = ({node.key: node for node in each.nodes} for each in (new, old))
    gone = {key for key in changes if key not in there}
    # Of an unknown record, everything was there; before a first apply, nothing.
    is_first = plan.spec_before is None
    fresh = {key for key in (*there, *gone) if key not in was} if before or is_first else set()
    kept = plan.kept
    nodes = (*new.nodes, *(was.get(key) or Node(kind=key[0], name=key[1]) for key in sorted(gone)))
    drawn = {node.key for node in nodes}
    return Graph(
        title=new.title,
        nodes=tuple(
            _marked(node, changes.get(node.key, []), fresh=fresh, gone=gone, kept=kept)
            for node in nodes
        ),
        edges=(*new.edges, *(edge for edge in old.edges if _is_shown(edge, gone, drawn))),
    )


def _owners(change: Change, nodes: Sequence[Node], clusters: Sequence[Cluster]) -> Iterable[Key]:
    """Returns the nodes that a resource belongs to: one, but for a placement group that is shared.

    Args:
        change: The change of the resource.
        nodes: The nodes of the deployment, those first that it may belong to rather.
        clusters: The deployment afterwards and before.
    """
    if found := _ENTRY.match(change.address):
        return [(_ENTRIES[found[1]], found[2])]
    if found := _PLACEMENT_GROUP.fullmatch(change.address):
        users = [
            (Kind.ENVIRONMENT, each.name)
            for cluster in clusters
            for each in cluster.environments
            if each.has_own_group and each.placement_group == found[1]
        ]
        return dict.fromkeys(users or [_OTHER])
    for pattern, kind in _SINGLES:
        if re.match(pattern, change.address):
            names = [node.name for node in nodes if node.kind is kind]
            # What exists already has a name, and what the deployment manages has none.
            own = change.type == _OWN_TYPES.get(kind)
            return [(kind, "" if own or not names else names[0])]
    return [_OTHER]


def _marked(
    node: Node, changes: list[Change], *, fresh: set[Key], gone: set[Key], kept: frozenset[str]
) -> Node:
    own = [each for each in changes if each.type == _OWN_TYPES.get(node.kind)]
    marks = [_MARKS[each.kind] for each in changes]
    parts = in_numbers(marks, "resource")
    if node.kind in _WAITING and not own and node.key not in gone and not _has_own(node, kept):
        return replace(node, mark=Mark.WAIT, notes=(_WAITING[node.kind], *parts))
    if own:
        # What is left over from an interrupted replacement goes beside one that stays.
        left = {each for each in own if each.kind is ChangeKind.DESTROY and each.address in kept}
        return replace(node, mark=_joined({_MARKS[each.kind] for each in own if each not in left}))
    if not marks:
        return node
    mark = _joined({*marks})
    whole = {Mark.ADD: fresh, Mark.DESTROY: gone}.get(mark, set())
    # What exists without the deployment is neither created nor destroyed.
    is_whole = node.key in whole and not node.existing
    if mark in (Mark.ADD, Mark.DESTROY) and not is_whole:
        # Parts of a node that stays come and go.
        mark = Mark.CHANGE
    # It is not changed either: its rules, targets or permissions are.
    is_changed = {*marks} == {Mark.CHANGE} and not node.existing
    if node.key != _OTHER and (is_whole or is_changed):
        parts = ()
    return replace(node, mark=mark, notes=parts)


def _joined(marks: set[Mark]) -> Mark:
    """Returns the mark that all have; of several, that of a change, or of a replacement."""
    if len(marks) == 1:
        return next(iter(marks))
    return Mark.REPLACE if Mark.REPLACE in marks else Mark.CHANGE


def _has_own(node: Node, kept: frozenset[str]) -> bool:
    """Returns whether the resource that a node stands for is there after the apply."""
    ending = f".{_OWN_TYPES[node.kind]}.this"
    return any(
        _ENTRIES[found[1]] is node.kind and found[2] == node.name
        for address in kept
        if address.endswith(ending) and (found := _ENTRY.match(address))
    )


def _is_shown(edge: Edge, gone: set[Key], drawn: set[Key]) -> bool:
    """Returns whether an arrow of the deployment before goes from or to what is destroyed."""
    ends = {edge.start, edge.end}
    return not ends.isdisjoint(gone) and ends <= drawn
