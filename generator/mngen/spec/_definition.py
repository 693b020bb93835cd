"""A job whose definition is a JSON file, and that definition."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.errors import InputError
from mngen.spec._document import parse
from mngen.spec._model import Job

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mngen.errors import Problem
    from mngen.spec._document import Document, Path


class JobDefinition(msgspec.Struct, frozen=True):
    """What a file registers.

    Attributes:
        file: The file, for messages.
        text: Its text, for positions.
        content: The arguments of RegisterJobDefinition, without those that have no effect.
    """

    file: str
    text: str
    content: dict[str, Any]

    @property
    def containers(self) -> tuple[tuple[Path, dict[str, Any]], ...]:
        """The containers with their paths: one, or that of each node range."""
        return tuple(containers_of(self.content))

    @property
    def main(self) -> tuple[Path, dict[str, Any]]:
        """The container of the main node, with its path."""
        return self.container_of(self.content.get("nodeProperties", {}).get("mainNode", 0))

    @property
    def roles(self) -> tuple[tuple[Path, str], ...]:
        """The ARNs of the roles that it names, with their paths."""
        return tuple(
            ((*path, key), container[key])
            for path, container in self.containers
            for key in ("jobRoleArn", "executionRoleArn")
            if key in container
        )

    @property
    def variables(self) -> tuple[tuple[Path, str, str], ...]:
        """The environment variables of all containers: path, name and value."""
        return tuple(
            ((*path, "environment", number), each.get("name", ""), each.get("value", ""))
            for path, container in self.containers
            for number, each in enumerate(container.get("environment", []))
        )

    @property
    def with_shell(self) -> tuple[tuple[Path, dict[str, Any]], ...]:
        """The containers that shells open in, with their paths."""
        return tuple(each for each in self.containers if each[1].get("enableExecuteCommand"))

    def container_of(self, node: int) -> tuple[Path, dict[str, Any]]:
        """Returns the container of a node, with its path; of a node of no range, the last one.

        Args:
            node: Index of the node.
        """
        nodes = self.content.get("nodeProperties")
        if nodes is None:
            return self.containers[0]
        found = [
            each
            for each, (first, last) in zip(self.containers, _ranges(nodes), strict=True)
            if first <= node and (last is None or node <= last)
        ]
        # Of ranges that overlap, the later one counts.
        return (found or self.containers)[-1]

    def locate(self, problem: Problem, path: Path) -> Problem:
        """Returns a problem placed in the file, at its line if it is found.

        Args:
            problem: What is wrong.
            path: Where in the file.
        """
        return located(problem, self.file, self.text, path)


class JobFromFile(Job, frozen=True, kw_only=True):
    """A job with a `definition`, whose other keys follow from the file.

    Attributes:
        given: The job as it is in the spec.
        from_file: The file's definition.
        paths: Where in the file the value of a key is.
    """

    given: Job
    from_file: JobDefinition
    paths: dict[str, Path]


def located(problem: Problem, file: str, text: str, path: Path) -> Problem:
    """Returns a problem placed in a JSON file: at its line, if a parser of YAML finds it."""
    # It knows the lines, but is slow.
    document = _document(file, text)
    return document.locate(problem, path) if document else problem.at(file, None, None)


@lru_cache(maxsize=2)
def _document(file: str, text: str) -> Document | None:
    """Parses a file once for all its problems; None if it is not YAML, as nearly all JSON is."""
    try:
        return parse(file, text.encode())
    except InputError:
        return None


def containers_of(data: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields the containers of a job definition with their paths."""
    if "containerProperties" in data:
        yield ("containerProperties",), data["containerProperties"]
    nodes = data.get("nodeProperties", {})
    for number, each in enumerate(nodes.get("nodeRangeProperties", [])):
        if "container" in each:
            yield ("nodeProperties", "nodeRangeProperties", number, "container"), each["container"]


def need_of(container: Mapping[str, Any], kind: str) -> tuple[Path, int]:
    """Returns what a container asks for, with its path in it; 0 if nothing.

    AWS Batch has it in a list. Older definitions may have it as a key beside that list, except for
    GPUs.

    Args:
        container: The container.
        kind: `VCPU`, `MEMORY` (MiB) or `GPU`.
    """
    for number, each in enumerate(container.get("resourceRequirements", [])):
        if each["type"] == kind:
            return ("resourceRequirements", number, "value"), int(float(each["value"]))
    key = {"VCPU": "vcpus", "MEMORY": "memory", "GPU": "gpus"}[kind]
    return (key,), container.get(key, 0)


def _ranges(nodes: dict[str, Any]) -> list[tuple[int, int | None]]:
    """Returns the first and the last node of each range; None for the last one of the job."""
    bounds = [each["targetNodes"].split(":") for each in nodes["nodeRangeProperties"]]
    return [(int(first or 0), int(last) if last else None) for first, last in bounds]
