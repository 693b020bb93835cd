"""From a file to a spec: parse, check the shape, keep what is sound."""

from __future__ import annotations

from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from mngen.errors import InputError, Problem, Severity
from mngen.spec._document import read_file
from mngen.spec._extends import parse_spec
from mngen.spec._model import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path as FilePath

    from mngen.spec._document import Document, Path

_START_HINT = "run mngen init to create one"

# What a spec without sound required keys is judged with; `dropped` names them for the rules.
_STAND_INS = {"name": "unnamed", "region": "us-east-1", "environments": {}, "queues": {}}


# What msgspec knows of a type it works out at the first use, and two threads that do so at the same
# time crash the process: seen with 0.22.
_CONVERTING = Lock()


class LoadedSpec(msgspec.Struct, frozen=True):
    """A spec with the document that it came from.

    Attributes:
        spec: The spec, or the sound part of it; None where too little is sound to go on.
        document: The document, for the positions of problems found later.
        problems: What is wrong with the shape; empty for a sound spec.
        dropped: Paths of the entries that were left out of `spec` because they are wrong.
    """

    spec: Spec | None
    document: Document
    problems: tuple[Problem, ...] = ()
    dropped: frozenset[Path] = frozenset()

    def require(self) -> Spec:
        """Returns the whole spec.

        Raises:
            InputError: The shape is wrong; carries every problem of it.
        """
        if self.spec is None or self.problems:
            raise InputError(*self.problems)
        return self.spec


def load_text(
    raw: bytes, name: str = "mngen.yaml", files: Mapping[str, bytes] = MappingProxyType({})
) -> LoadedSpec:
    """Loads a spec from the bytes of a file.

    Args:
        raw: UTF-8 YAML.
        name: The file as the user named it, for messages, and for the folder of the files that the
            spec names: the one that it extends, and definitions.
        files: Content of such files in place of what is on the disk, by their paths from the spec.

    Raises:
        InputError: The bytes, or those of a file that the spec extends, are not one YAML document.
    """
    document = parse_spec(name, raw, files)
    if document.data is None:
        problem = Problem(f"{name} is empty", file=name, hint="run mngen init to create one")
        return LoadedSpec(None, document, (problem,))
    problems = list(document.problems)
    dropped: set[Path] = set()
    try:
        with _CONVERTING:
            spec = msgspec.convert(document.data, Spec)
    except msgspec.ValidationError:
        # Only a spec that is wrong is worth the import.
        from mngen.spec._shape import ShapeCheck

        shape = ShapeCheck(document)
        sound = shape.salvage_root(document.data, Spec, _STAND_INS)
        problems += shape.problems
        dropped = shape.dropped
        spec = msgspec.convert(sound, Spec)
    if any(job.definition is not None for job in spec.jobs.values()):
        # The shapes of the Batch API are slow to read, and few specs need them.
        from mngen.spec._taken import with_definitions

        spec, found = with_definitions(spec, document, files)
        problems += (problem for each in found.values() for problem in each)
        dropped |= {("jobs", job) for job in found}
    if spec.image.playbooks:
        from mngen.spec._playbooks import with_playbooks

        spec, wrong = with_playbooks(spec, document, files)
        problems += wrong
        dropped |= {("image", "playbooks")} if wrong else set()
    return LoadedSpec(spec, document, _in_order(problems), frozenset(dropped))


def load(path: FilePath) -> LoadedSpec:
    """Loads a spec from a file.

    Raises:
        InputError: The file cannot be read or is not one YAML document.
    """
    raw = read_file(path, hint=f"{_START_HINT}; --file names another")
    return load_text(raw, str(path))


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=_by_position))


def _by_position(problem: Problem) -> tuple[int, int, Severity]:
    position = problem.position
    return (
        (position.line, position.column, problem.severity) if position else (0, 0, problem.severity)
    )
