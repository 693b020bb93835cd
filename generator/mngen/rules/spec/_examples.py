"""The examples of a rule as whole specs, which the tests run and the documentation shows.

An example is the part of a spec that matters; what a sound spec has besides is appended here, below
it, so that its lines keep their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from mngen.errors import Position

if TYPE_CHECKING:
    from mngen.rules.spec._rule import SpecRule
    from mngen.spec import LoadedSpec

_MARK = "  #! "


@dataclass(frozen=True, slots=True)
class Example:
    """One example.

    Attributes:
        part: The part that matters, as a reader sees it.
        spec: The whole spec, which begins with that part.
        position: Where the problem is to be reported, in the spec or in the file that it names;
            None for an example without a problem.
        files: The files that it may name, by their paths from the spec.
    """

    part: str
    spec: str
    position: Position | None
    files: dict[str, str]


def read_example(rule: type[SpecRule], written: str) -> Example:
    """Reads an example: the line at fault ends in `#!` and the text at which the caret stands.

    Args:
        rule: The rule.
        written: Its failing or its passing example.
    """
    part, position = _without_mark(written)
    files = {}
    for name, text in rule.files.items():
        files[name], marked = _without_mark(text)
        if name in part:
            position = position or marked
    return Example(part, part + _rest_of(part), position, files)


def load_example(rule: type[SpecRule], written: str) -> LoadedSpec:
    """Loads an example of a rule, with the files that it names."""
    from mngen.spec import load_text

    example = read_example(rule, written)
    files = {name: text.encode() for name, text in example.files.items()}
    return load_text(example.spec.encode(), files=files)


def _without_mark(written: str) -> tuple[str, Position | None]:
    """Returns a text without the mark of the line at fault, and where that points."""
    position = None
    lines = []
    for number, line in enumerate(written.splitlines(), start=1):
        shown, mark, pointed = line.partition(_MARK)
        if mark:
            position = Position(number, shown.index(pointed) + 1)
        lines.append(shown)
    return "\n".join(lines) + "\n", position


# A page of the documentation reads an example more than once, and so do the tests.
@cache
def _rest_of(part: str) -> str:
    import yaml

    return yaml.safe_dump(_rest(yaml.safe_load(part)), sort_keys=False)


def _rest(data: dict[str, Any]) -> dict[str, Any]:
    """Returns the keys that are not in the part."""
    environments = data.get("environments")
    queues = data.get("queues")
    if environments is None:
        named = [each for queue in (queues or {}).values() for each in queue["environments"]]
        environments = {
            name: {"instance": "r5.12xlarge", "max_nodes": 16} for name in named or ["r5"]
        }
    if queues is None:
        queues = {f"queue-{name}": {"environments": [name]} for name in environments}
    region = data.get("region", "us-east-1")
    whole = {
        "name": "seismic",
        "region": "us-east-1",
        # In the default VPC there is something to remark on whatever the example is about.
        "network": {"vpc": "new", "zones": [f"{region}{letter}" for letter in "abcdef"]},
        "environments": environments,
        "queues": queues,
    }
    return {key: value for key, value in whole.items() if key not in data}
