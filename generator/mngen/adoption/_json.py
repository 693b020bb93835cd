"""Reads the JSON files that people pass to `aws batch … --cli-input-json`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen._batch_shapes import faults
from mngen._json_text import parse_json
from mngen.adoption._inventory import Inventory
from mngen.adoption._item import Item
from mngen.adoption._lines import Line, Outcome, Place
from mngen.errors import InputError, Problem
from mngen.spec import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_KINDS = {
    "computeEnvironmentName": "environments",
    "jobQueueName": "queues",
    "jobDefinitionName": "definitions",
}
_LISTS = {
    "computeEnvironments": "environments",
    "jobQueues": "queues",
    "jobDefinitions": "definitions",
}
# What people leave out of a description that they pass on.
_BESIDE = {"ResponseMetadata", "nextToken"}


def read_json(files: Iterable[Path]) -> Inventory:
    """Reads files for the AWS CLI: compute environments, job queues, job definitions.

    A file holds one object as a create or register command takes it, or the lists that a describe
    command prints. Comments and a byte order mark are allowed.

    Raises:
        InputError: A file cannot be read, is not JSON or is none of these; carries all problems.
    """
    names = [str(file) for file in files]
    inventory = Inventory(source=", ".join(names))
    problems: list[Problem] = []
    for name in names:
        try:
            _read(name, inventory)
        except InputError as error:
            problems += error.problems
    if not problems:
        problems += _twice(inventory)
    if problems:
        raise InputError(*problems)
    return inventory


def _read(name: str, inventory: Inventory) -> None:
    data = _parse(name)
    if not isinstance(data, dict):
        raise InputError(_problem(name, "expected a JSON object"))
    found = list(_objects(name, data))
    if not found:
        raise InputError(
            _problem(
                name,
                "not a compute environment, job queue or job definition",
                hint=f"one of {', '.join((*_KINDS, *_LISTS))} is required",
            )
        )
    problems = []
    for kind, item in found:
        for fault in list(faults(kind, item.data)):
            place = item.at(*fault.path)
            if fault.unknown:
                inventory.lines.append(
                    Line(
                        outcome=Outcome.CANNOT,
                        place=place,
                        why=fault.message,
                        todo=fault.hint,
                    )
                )
                _remove(item.data, fault.path)
            else:
                problems.append(_problem(name, f"{place.pointer}: {fault.message}"))
        _of(inventory, kind).append(item)
    if problems:
        raise InputError(*problems)
    for field in ("region", "account"):
        if isinstance(data.get(field), str) and getattr(inventory, field) is None:
            setattr(inventory, field, data[field])


def _objects(name: str, data: dict[str, Any]) -> Iterator[tuple[str, Item]]:
    for key, kind in _KINDS.items():
        if key in data:
            beside = {key: value for key, value in data.items() if key not in _BESIDE}
            yield kind, Item(beside, Place(name))
            return
    for key, kind in _LISTS.items():
        each = data.get(key, [])
        for number, value in enumerate(each if isinstance(each, list) else []):
            if isinstance(value, dict):
                yield kind, Item(value, Place(name, f"/{key}/{number}"))


def _remove(data: Any, path: tuple[str | int, ...]) -> None:
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]


def _of(inventory: Inventory, kind: str) -> list[Item]:
    found: list[Item] = getattr(inventory, kind)
    return found


def _twice(inventory: Inventory) -> list[Problem]:
    problems = []
    for key, kind in _KINDS.items():
        seen: dict[tuple[Any, Any], Item] = {}
        for item in _of(inventory, kind):
            identity = (item.data.get(key), item.data.get("revision"))
            if identity in seen:
                first = seen[identity].place
                problems.append(
                    _problem(
                        item.place.file,
                        f'{item.place.pointer}/{key}: "{identity[0]}" is also in '
                        f"{first.file}{first.pointer}",
                        hint="pass each once",
                    )
                )
            seen.setdefault(identity, item)
    return problems


def _parse(name: str) -> Any:
    return parse_json(name, read_file(Path(name))).data


def _problem(name: str, message: str, *, hint: str | None = None) -> Problem:
    return Problem(message, file=name, hint=hint)
