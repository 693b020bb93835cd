"""What a picture of a deployment is made of."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from mngen._text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable


class Group(StrEnum):
    """The frames of a picture, in their order; the values are their ids in mermaid."""

    JOBS = "jobs"
    QUEUES = "queues"
    ENVIRONMENTS = "environments"
    AMIS = "amis"
    CONTAINERS = "containers"
    MESSAGES = "messages"
    STORAGE = "storage"
    NETWORK = "network"
    OTHER = "other"

    @property
    def caption(self) -> str:
        """What is written on the frame."""
        return _CAPTIONS[self]


_CAPTIONS = {
    Group.JOBS: "Jobs",
    Group.QUEUES: "Job queues",
    Group.ENVIRONMENTS: "Compute environments",
    Group.AMIS: "AMIs",
    Group.CONTAINERS: "Container image, roles, logs",
    Group.MESSAGES: "Messages, budget, dashboard",
    Group.STORAGE: "Storage",
    Group.NETWORK: "Network",
    Group.OTHER: "Your own files",
}


class Kind(StrEnum):
    """What a node stands for, in words."""

    JOB = "job"
    QUEUE = "job queue"
    ENVIRONMENT = "compute environment"
    LEGACY = "existing compute environment"
    AMI = "AMI"
    IMAGE = "Container image"
    ROLES = "IAM roles"
    LOGS = "Log group"
    MESSAGES = "SNS topic"
    BUDGET = "Budget"
    DASHBOARD = "Dashboard"
    EFS = "EFS"
    FSX = "FSx for Lustre"
    BUCKET = "S3 bucket"
    VPC = "VPC"
    NAT = "NAT gateway"
    ENDPOINTS = "VPC endpoints"
    OTHER = "Other resources"

    @property
    def group(self) -> Group:
        """The frame that nodes of this kind are in."""
        return _GROUPS[self]

    @property
    def is_named(self) -> bool:
        """Whether a deployment can have several, which differ in their names."""
        return self in _NAMED


_GROUPS = {
    Kind.JOB: Group.JOBS,
    Kind.QUEUE: Group.QUEUES,
    Kind.ENVIRONMENT: Group.ENVIRONMENTS,
    Kind.LEGACY: Group.ENVIRONMENTS,
    Kind.AMI: Group.AMIS,
    Kind.IMAGE: Group.CONTAINERS,
    Kind.ROLES: Group.CONTAINERS,
    Kind.LOGS: Group.CONTAINERS,
    Kind.MESSAGES: Group.MESSAGES,
    Kind.BUDGET: Group.MESSAGES,
    Kind.DASHBOARD: Group.MESSAGES,
    Kind.EFS: Group.STORAGE,
    Kind.FSX: Group.STORAGE,
    Kind.BUCKET: Group.STORAGE,
    Kind.VPC: Group.NETWORK,
    Kind.NAT: Group.NETWORK,
    Kind.ENDPOINTS: Group.NETWORK,
    Kind.OTHER: Group.OTHER,
}
_NAMED = {Kind.JOB, Kind.QUEUE, Kind.ENVIRONMENT, Kind.LEGACY, Kind.AMI}


class Mark(StrEnum):
    """What a plan does to a node; the values are the names of classes in mermaid."""

    REPLACE = "replace"
    DESTROY = "destroy"
    CHANGE = "change"
    ADD = "add"
    IMPORT = "import"
    MOVE = "move"
    FORGET = "forget"
    WAIT = "wait"

    @property
    def words(self) -> str:
        """The same for a reader who does not see colours."""
        return _WORDS[self]


_WORDS = {
    Mark.REPLACE: "will be replaced",
    Mark.DESTROY: "will be destroyed",
    Mark.CHANGE: "will be changed",
    Mark.ADD: "will be added",
    Mark.IMPORT: "will be imported",
    Mark.MOVE: "will be moved",
    Mark.FORGET: "will be forgotten",
    Mark.WAIT: "not created yet",
}


def in_numbers(marks: Iterable[Mark | None], what: str = "") -> tuple[str, ...]:
    """Returns in words what happens to how many, a line for each mark.

    Args:
        marks: The mark of each.
        what: What is counted; empty where that is clear.
    """
    counts = Counter(marks)
    return tuple(
        f"{counted(counts[mark], what) if what else counts[mark]} {mark.words}"
        for mark in Mark
        if counts[mark]
    )


Key = tuple[Kind, str]
"""What a node is known by: its kind and its name."""


class Node(Struct, frozen=True, kw_only=True):
    """A box of a picture.

    Attributes:
        kind: What it stands for.
        name: Its name in the spec or on AWS; empty for what a deployment has once and creates.
        lines: What is known about it, in short.
        existing: Whether the deployment uses it without managing it.
        mark: What a plan does to it; None for nothing.
        notes: The same in words, a line each; empty for those of the mark.
    """

    kind: Kind
    name: str = ""
    lines: tuple[str, ...] = ()
    existing: bool = False
    mark: Mark | None = None
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.kind, self.name

    @property
    def words(self) -> tuple[str, ...]:
        """What a plan does to it, in words; empty for nothing."""
        return self.notes or ((self.mark.words,) if self.mark else ())

    @property
    def text(self) -> tuple[str, ...]:
        """The lines of the box, the first of which is its title."""
        title = (self.name,) if self.kind.is_named else (self.kind.value, self.name)
        existing = "existing" if self.existing else ""
        return tuple(filter(None, (*title, *self.lines, existing, *self.words)))


class Edge(Struct, frozen=True):
    """An arrow of a picture, between nodes or frames.

    Attributes:
        start: The key of a node, or a frame.
        end: Likewise.
        label: What is written on it; empty for nothing.
    """

    start: Key | Group
    end: Key | Group
    label: str = ""


class Graph(Struct, frozen=True, kw_only=True):
    """A picture before it is drawn.

    Attributes:
        title: What it shows, in a few words.
        nodes: Its boxes, in the order of their frames.
        edges: Its arrows.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def groups(self) -> dict[Group, list[Node]]:
        """The nodes of each frame that has any, in order."""
        found = {
            group: [node for node in self.nodes if node.kind.group is group] for group in Group
        }
        return {group: nodes for group, nodes in found.items() if nodes}
