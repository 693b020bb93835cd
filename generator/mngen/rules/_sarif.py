"""Problems as SARIF 2.1.0, which code hosts show beside the lines of a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mngen import __version__
from mngen.errors import Severity
from mngen.rules._all import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.errors import Problem
    from mngen.rules._rule import Rule

SHAPE = "MN100"
"""Stands for every fault of the spec's shape, for which there is no class."""

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def to_sarif(problems: Iterable[Problem]) -> dict[str, Any]:
    """Returns problems as a SARIF log with one run, as JSON-ready data.

    Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    descriptors = [_shape(), *map(_descriptor, RULES)]
    index = {each["id"]: number for number, each in enumerate(descriptors)}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "mngen", "version": __version__, "rules": descriptors}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem, index) for problem in problems],
            }
        ],
    }


def _descriptor(rule: type[Rule]) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.__name__,
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.why}\n\nWhat to do: {rule.remedy}.\n\n{rule.manual_test}"},
        "helpUri": rule.source_url,
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _shape() -> dict[str, Any]:
    return {
        "id": SHAPE,
        "name": "SoundShape",
        "shortDescription": {"text": "The spec has the shape that `mngen schema` describes."},
        "defaultConfiguration": {"level": "error"},
    }


def _result(problem: Problem, index: dict[str, int]) -> dict[str, Any]:
    rule = problem.rule or SHAPE
    text = problem.message + (f"\n{problem.hint}" if problem.hint else "")
    result: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": index[rule],
        "level": _LEVELS[problem.severity],
        "message": {"text": text},
    }
    location: dict[str, Any] = {}
    if problem.file is not None:
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(problem.file)}}
        if problem.position is not None:
            physical["region"] = {
                "startLine": problem.position.line,
                "startColumn": problem.position.column,
            }
        location["physicalLocation"] = physical
    if problem.path:
        location["logicalLocations"] = [{"fullyQualifiedName": problem.path}]
    if location:
        result["locations"] = [location]
    return result


def _uri(file: str) -> str:
    path = quote(file.replace("\\", "/"))
    return f"file://{path}" if path.startswith("/") else path.removeprefix("./")
