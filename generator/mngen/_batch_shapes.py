"""Compares data with the shapes of the Batch API, as botocore has them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

_INPUTS = {
    "environments": "CreateComputeEnvironmentRequest",
    "queues": "CreateJobQueueRequest",
    "definitions": "RegisterJobDefinitionRequest",
}
_DETAILS = {
    "environments": "ComputeEnvironmentDetail",
    "queues": "JobQueueDetail",
    "definitions": "JobDefinition",
}
_TYPES: dict[str, tuple[type, str]] = {
    "string": (str, "a string"),
    "integer": (int, "a number"),
    "long": (int, "a number"),
    "boolean": (bool, "true or false"),
}
_SIZES = {"integer": 2**31, "long": 2**63}
_Path = tuple[str | int, ...]


class Fault(msgspec.Struct, frozen=True):
    """Something that the Batch API would refuse.

    Attributes:
        path: Where in the object.
        message: What is wrong.
        unknown: Whether the API does not have the key, rather than another type for its value.
        hint: What to do about it.
    """

    path: _Path
    message: str
    unknown: bool = False
    hint: str = ""


def faults(kind: str, data: dict[str, Any]) -> Iterator[Fault]:
    """Yields where an object is not of the form that Batch takes or describes.

    Args:
        kind: `environments`, `queues` or `definitions`.
        data: The object.
    """
    members = {**_members(_DETAILS[kind]), **_members(_INPUTS[kind])}
    yield from _object(members, data, ())


def lacking(kind: str, data: dict[str, Any]) -> Iterator[_Path]:
    """Yields the paths of the keys that Batch requires and an object does not have.

    Args:
        kind: `environments`, `queues` or `definitions`.
        data: An object without faults.
    """
    shape = _shape(_INPUTS[kind])
    known = {key: value for key, value in data.items() if key in shape.members}
    yield from _lacking(shape, known, ())


def lacking_properties(data: dict[str, Any]) -> Iterator[_Path]:
    """Yields the paths of required keys that container properties without faults do not have."""
    yield from _lacking(_shape("ContainerProperties"), data, ())


def members_of(kind: str) -> frozenset[str]:
    """Returns the keys that Batch takes, not only describes.

    Args:
        kind: `environments`, `queues` or `definitions`.
    """
    return frozenset(_members(_INPUTS[kind]))


def empty_values(data: Any, path: _Path = ()) -> Iterator[_Path]:
    """Yields the paths of empty strings.

    Arguments of a command and the values of variables, parameters and tags may be empty.
    """
    if data == "":
        yield path
    elif isinstance(data, dict):
        for key, value in data.items():
            free = key in {"command", "tags", "parameters", "options"}
            named = key == "value" and "environment" in path
            if not free and not named:
                yield from empty_values(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from empty_values(value, (*path, number))


@cache
def _model() -> Any:
    from botocore.model import ServiceModel

    from mngen._descriptions import Catalog

    return ServiceModel(Catalog().load_service_model("batch", "service-2"), "batch")


@cache
def _shape(name: str) -> Any:
    # One object each: botocore makes the members of each object again, with all below them.
    return _model().shape_for(name)


def _members(shape: str) -> dict[str, Any]:
    return dict(_shape(shape).members)


def _object(members: dict[str, Any], data: dict[str, Any], path: _Path) -> Iterator[Fault]:
    for key, value in data.items():
        if key in members:
            yield from _value(members[key], value, (*path, key))
        else:
            yield Fault(
                (*path, key),
                "unknown key: the AWS CLI refuses it",
                unknown=True,
                hint=did_you_mean(key, members) or "remove it",
            )


def _lacking(shape: Any, value: Any, path: _Path) -> Iterator[_Path]:
    if shape.type_name == "structure":
        for key in shape.required_members:
            if key not in value:
                yield (*path, key)
        for key, each in value.items():
            yield from _lacking(shape.members[key], each, (*path, key))
    elif shape.type_name == "list":
        for number, each in enumerate(value):
            yield from _lacking(shape.member, each, (*path, number))


def _value(shape: Any, value: Any, path: _Path) -> Iterator[Fault]:
    if value is None:
        return
    kind = shape.type_name
    if kind == "structure":
        if isinstance(value, dict):
            yield from _object(shape.members, value, path)
        else:
            yield Fault(path, "expected an object")
    elif kind == "list":
        if isinstance(value, list):
            for number, each in enumerate(value):
                yield from _value(shape.member, each, (*path, number))
        else:
            yield Fault(path, "expected a list")
    elif kind == "map":
        if not isinstance(value, dict):
            yield Fault(path, "expected an object")
            return
        for key, each in value.items():
            yield from _value(shape.value, each, (*path, key))
    else:
        wanted, words = _TYPES.get(kind, (object, ""))
        # A bool is an int to Python, not to AWS.
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            yield Fault(path, f"expected {words}")
        elif isinstance(value, int) and not abs(value) < _SIZES.get(kind, _SIZES["long"]):
            yield Fault(path, "the number is too large")
