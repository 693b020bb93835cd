"""The JSON Schema says what the loader does, so that an editor and mngen agree."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mngen import _resources
from mngen.spec import Spec, initial, load_text, schema
from tests.support.specs import FEATURES, Data, make_spec, pairwise, specs, to_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FULL = make_spec({name: options[-1] for name, options in FEATURES.items()})


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA))["title"] == "mngen.yaml"


def properties(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, value in node.get("properties", {}).items():
            yield f"{path}.{name}", value
        for key, value in node.items():
            yield from properties(value, f"{path}.{key}")
    elif isinstance(node, list):
        for value in node:
            yield from properties(value, path)


def described(node: Any) -> bool:
    """Whether an editor finds a description: the node's own, or that of what it refers to."""
    if "description" in node:
        return True
    if "$ref" in node:
        return described(SCHEMA["$defs"][node["$ref"].rpartition("/")[2]])
    return any(described(each) for each in node.get("anyOf", []))


@pytest.mark.parametrize(("path", "node"), list(properties(SCHEMA)))
def test_every_key_is_described(path: str, node: Any) -> None:
    assert described(node), path


@pytest.mark.parametrize(
    "path", sorted(_resources.examples().glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_examples_are_valid(path: Any) -> None:
    VALIDATOR.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_what_init_writes_is_valid() -> None:
    VALIDATOR.validate(yaml.safe_load(initial("test", "us-east-1")))


@settings(max_examples=40)
@given(specs())
def test_what_the_loader_takes_the_schema_takes(data: Data) -> None:
    VALIDATOR.validate(data)


def test_every_feature_is_valid() -> None:
    for choice in pairwise():
        VALIDATOR.validate(make_spec(choice))


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    items = list(data.items()) if isinstance(data, dict) else list(enumerate(data))
    for key, value in items:
        yield data, key
        if isinstance(value, (dict, list)):
            yield from places(value)


@settings(max_examples=150)
@given(
    st.integers(0, len(list(places(FULL))) - 1),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 20_000),
        st.sampled_from([1.5, "", "a", "A b", "10.0.0.0/8", "x" * 300, [], {}, [1], {"a": 1}]),
        st.sampled_from(["create", "default", "sg-0123456789", "us-east-1a", "é"]),
    ),
)
def test_loader_and_schema_agree_on_any_value(place: int, value: Any) -> None:
    data = copy.deepcopy(FULL)
    parent, key = list(places(data))[place]
    parent[key] = value
    try:
        msgspec.convert(data, Spec)
    except msgspec.ValidationError:
        taken = False
    else:
        taken = True
    # The schema also wants an environment and a queue, which a rule asks for.
    if data["environments"] and data["queues"]:
        assert VALIDATOR.is_valid(data) is taken, list(VALIDATOR.iter_errors(data))[:1]


@pytest.mark.parametrize(
    "section",
    [
        (),
        ("network",),
        ("environments", "mpi"),
        ("jobs", "all-mpi"),
        ("jobs", "one-mpi", "ulimits"),
    ],
)
def test_the_schema_knows_no_other_keys(section: tuple[str, ...]) -> None:
    data = copy.deepcopy(FULL)
    parent: Any = data
    for part in section:
        parent = parent[part]
    parent["unknown"] = 1
    assert not VALIDATOR.is_valid(data)
    assert load_text(to_yaml(data)).problems
