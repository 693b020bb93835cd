"""The examples of a rule as whole specs, which the tests run and the documentation shows.

An example is the part of a spec that matters; what a sound spec has besides is appended here, below
it, so that its lines keep their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
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
        position: Where the problem is to be reported; None for an example without a problem.
    """

    part: str
    spec: str
    position: Position | None


def read_example(written: str) -> Example:
    """Reads an example: the line at fault ends in `#!` and the text at which the caret stands."""
    import yaml

    position = None
    lines = []
    for number, line in enumerate(written.splitlines(), start=1):
        shown, mark, pointed = line.partition(_MARK)
        if mark:
            position = Position(number, shown.index(pointed) + 1)
        lines.append(shown)
    part = "\n".join(lines) + "\n"
    rest = yaml.safe_dump(_rest(yaml.safe_load(part)), sort_keys=False)
    return Example(part, part + rest, position)


def load_example(rule: type[SpecRule], written: str) -> LoadedSpec:
    """Loads an example of a rule, with the files that it names."""
    from mngen.spec import load_text

    files = {name: text.encode() for name, text in rule.files.items()}
    return load_text(read_example(written).spec.encode(), files=files)


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
