"""What is missing for a need on this machine, in the words of an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen.errors import ToolError
from mngen.parts._judge import how_to_get, missing_among
from mngen.parts._probe import Finding, find, find_all
from mngen.parts._system import this_system
from mngen.parts._table import NEEDS, NODE_PATH, PARTS, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.parts._judge import System


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something cannot be done here.

    Attributes:
        message: What is missing.
        hint: How to get it.
    """

    message: str
    hint: str


def missing(*names: str, node_path: str = NODE_PATH) -> dict[str, Finding]:
    """Returns what is missing for needs, or among parts: by the part's name, what was found of it.

    Args:
        names: Needs and parts.
        node_path: The search path of a rehearsal's nodes.
    """
    parts = dict.fromkeys(part for name in names for part in parts_of(name))
    findings = find_all(parts, lambda part: find(part, node_path=node_path))
    return {name: findings[name] for name in missing_among(parts, findings)}


def trouble(*names: str, node_path: str = NODE_PATH) -> Trouble | None:
    """Returns why the first of the needs cannot be satisfied here, or None where all can.

    Args:
        names: Needs, and parts that they need this time.
        node_path: The search path of a rehearsal's nodes.
    """
    found = missing(*names, node_path=node_path)
    if not found:
        return None
    return explain(names[0], found, this_system())


def require(*names: str, node_path: str = NODE_PATH, otherwise: str = "") -> None:
    """Checks that needs are satisfied on this machine.

    Args:
        names: Needs, and parts that they need this time.
        node_path: The search path of a rehearsal's nodes.
        otherwise: What to do instead of getting what is missing.

    Raises:
        ToolError: They are not; the hint shows how to get what is missing.
    """
    found = trouble(*names, node_path=node_path)
    if found is not None:
        raise ToolError(found.message, hint="; or ".join(filter(None, (found.hint, otherwise))))


def explain(need: str, found: Mapping[str, Finding], system: System) -> Trouble:
    """Returns the words for what is missing.

    Args:
        need: The name of the need.
        found: What was found of the parts that are missing.
        system: The system.
    """
    titles = ", ".join(PARTS[name].title for name in found)
    told = [each.trouble for each in found.values() if each.trouble]
    details = f" ({'; '.join(told)})" if told else ""
    return Trouble(
        f"cannot {NEEDS[need].title}; missing: {titles}{details}",
        "; ".join(how_to_get(found, system).lines),
    )
