"""Terraform's machine-readable stream (`plan -json`, `apply -json`), read line by line.

Its format: https://developer.hashicorp.com/terraform/internals/machine-readable-ui. OpenTofu
writes the same.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mngen._text import printable
from mngen.errors import Position, Problem, Severity
from mngen.terraform._hints import Situation, hint_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

_LOG = logging.getLogger(__name__)
# The summary shows all this better, and diagnostics are shown as problems.
_SILENT = frozenset(
    {"planned_change", "resource_drift", "outputs", "refresh_complete", "diagnostic"}
)
# Terraform's message for every branch of its graph that it did not enter after an interrupt.
_ECHO = "execution halted"
_ASKS_FOR_INIT = re.compile(r"(terraform|tofu) init\b")


@dataclass(slots=True)
class EventStream:
    """Reads the stream, logs what a user wants to see, and keeps the rest.

    Each logged line is free of control characters.

    Attributes:
        show_version: Whether Terraform's version is worth a line.
        show_summary: Whether its count at the end is: for a destroy it is "Apply complete!".
        diagnostics: Terraform's diagnostics so far, as it sent them.
        done: What is complete so far: pairs of a resource's address and one of `create`,
            `update`, `delete`.
        under_way: The same for what has begun and is neither complete nor failed.
    """

    show_version: bool = False
    show_summary: bool = True
    diagnostics: list[Mapping[str, Any]] = field(default_factory=list)
    done: set[tuple[str, str]] = field(default_factory=set)
    under_way: set[tuple[str, str]] = field(default_factory=set)

    def feed(self, line: str) -> None:
        """Reads one line. What is not an event (a wrapper's own output) is logged as it is."""
        event = _parse(line)
        if event is None:
            self._show(line)
            return
        kind = event.get("type")
        if kind == "diagnostic":
            self.diagnostics.append(event["diagnostic"])
        elif kind in ("apply_start", "apply_complete", "apply_errored"):
            self._track(kind, event["hook"])
        if self._is_worth_showing(event):
            self._show(event["@message"])

    @property
    def asks_for_init(self) -> bool:
        """Whether Terraform asks for `terraform init` first."""
        return any(asks_for_init(_text_of(diagnostic)) for diagnostic in self.diagnostics)

    def problems(self, folder: PurePath, situation: Situation) -> list[Problem]:
        """Returns the diagnostics as problems, each once.

        Args:
            folder: The folder that Terraform ran in, as the user named it.
            situation: For their hints.
        """
        found = (
            problem_from(diagnostic, folder, situation)
            for diagnostic in self.diagnostics
            if diagnostic.get("summary") != _ECHO
        )
        return list(dict.fromkeys(found))

    def _is_worth_showing(self, event: Mapping[str, Any]) -> bool:
        kind = event.get("type")
        if kind == "version":
            return self.show_version
        if kind == "change_summary":
            return self.show_summary and event["changes"].get("operation") != "plan"
        return kind not in _SILENT

    def _track(self, kind: str, hook: Mapping[str, Any]) -> None:
        step = (hook["resource"]["addr"], hook["action"])
        if kind == "apply_start":
            self.under_way.add(step)
            return
        self.under_way.discard(step)
        if kind == "apply_complete":
            self.done.add(step)

    def _show(self, text: str) -> None:
        for line in text.splitlines():
            if line.strip():
                _LOG.info("%s", printable(line))


def problem_from(diagnostic: Mapping[str, Any], folder: PurePath, situation: Situation) -> Problem:
    """Turns one of Terraform's diagnostics into a problem, with a hint where we know one.

    Args:
        diagnostic: As in Terraform's JSON output: `severity`, `summary`, `detail`, and where it
            has them `address`, `range` and `snippet`.
        folder: What file names in it are relative to.
        situation: For the hint.
    """
    text = _text_of(diagnostic)
    position, source_line, file = None, None, None
    where = diagnostic.get("range")
    if where:
        start = where["start"]
        position = Position(start["line"], start["column"])
        file = str(folder / where["filename"])
        snippet = diagnostic.get("snippet") or {}
        if snippet.get("start_line") == start["line"]:
            source_line = snippet.get("code", "").partition("\n")[0]
    severity = diagnostic.get("severity")
    return Problem(
        text.replace("\n", "\n  "),
        severity=Severity.WARNING if severity == "warning" else Severity.ERROR,
        path=diagnostic.get("address", ""),
        file=file,
        position=position,
        source_line=source_line,
        hint=hint_for(text, situation),
    )


def asks_for_init(text: str) -> bool:
    """Returns whether a message of Terraform's asks for `terraform init`."""
    return _ASKS_FOR_INIT.search(" ".join(text.split())) is not None


def _text_of(diagnostic: Mapping[str, Any]) -> str:
    summary, detail = diagnostic.get("summary", ""), diagnostic.get("detail", "").strip()
    return f"{summary}\n{detail}" if detail else summary


def _parse(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "@message" in event else None
