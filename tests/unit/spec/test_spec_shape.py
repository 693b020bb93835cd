"""Every fault of a spec's shape at once, each at its place; and what is sound is kept."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml
from botocore.loaders import Loader
from hypothesis import given, settings
from hypothesis import strategies as st

from mngen.catalog import load_catalog
from mngen.errors import InputError, Problem, format_problems
from mngen.rules import check
from mngen.spec import Spec, load, load_text
from mngen.spec._model import Retention
from tests.support.specs import FEATURES, Data, make_spec, specs, to_yaml

HERE = Path(__file__).resolve().parent

# One spec with every key of the language in it.
FULL: Data = make_spec(
    {name: options[-1] for name, options in FEATURES.items()} | {"vpc": "existing with tables"}
)


def value_paths(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """List the path of every value in a document, the document's own left out."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(data, dict):
        items = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    return [
        found for key, value in items for found in [(*path, key), *value_paths(value, (*path, key))]
    ]


def parent_of(data: Any, path: tuple[str | int, ...]) -> Any:
    for part in path[:-1]:
        data = data[part]
    return data


def changed(data: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return a document with another value, and with all else of the one that it was."""
    if not path:
        return value
    copied = copy.copy(data)
    copied[path[0]] = changed(data[path[0]], path[1:], value)
    return copied


# What is in `container_properties` has AWS's shape, by which a rule judges it.
OF_MODEL = [path for path in value_paths(FULL) if "container_properties" not in path[:-1]]

NAMED = {"environments", "queues", "jobs", "tags"}


def key_of(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return what all entries of a list, and all with names of their own, have in common."""
    names = {1} if path[0] in NAMED else set()
    return tuple(
        0 if isinstance(part, int) or at in names else part for at, part in enumerate(path)
    )


# Each key once: of every entry that has it, the same type reads it.
ONCE = list({key_of(path): path for path in OF_MODEL}.values())

# The jobs with one of these; the others have nothing that they do not have.
FEW_JOBS: Data = FULL | {
    "jobs": {
        name: job for name, job in FULL["jobs"].items() if ("jobs", name) in {p[:2] for p in ONCE}
    }
}


def problems(data: Any) -> tuple[Problem, ...]:
    return load_text(to_yaml(data)).problems


def test_the_full_spec_has_every_key_of_the_language() -> None:
    assert problems(FULL) == ()
    for name in ("network", "storage", "roles", "state", "container"):
        assert name in FULL
    assert len(value_paths(FULL)) > 100


WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=3),
    st.text(max_size=5).map(lambda text: text.encode(errors="ignore").decode()),
    st.just("x" * 10_000),
    st.just(10**30),
    st.lists(st.integers() | st.text("ab${", max_size=3), max_size=3),
    st.dictionaries(st.text("ab", max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=100)
@given(st.sampled_from(value_paths(FEW_JOBS)), WRONG)
def test_a_wrong_value_is_refused_at_its_key_and_never_a_crash(
    path: tuple[str | int, ...], wrong: Any
) -> None:
    text = to_yaml(changed(FEW_JOBS, path, wrong))
    loaded = load_text(text)
    # The rules get what is sound of it, and must not stumble over what is missing.
    check(loaded, load_catalog())
    loader = yaml.CSafeLoader(text)
    root = loader.get_single_node()
    try:
        msgspec.convert(loader.construct_document(root), Spec)
    except msgspec.ValidationError:
        assert loaded.problems
        first, last = lines_of(root, path)
        for problem in loaded.problems:
            assert problem.position is not None
            assert first <= problem.position.line <= last, problem
            assert problem.source_line == text.decode().split("\n")[problem.position.line - 1]
        with pytest.raises(InputError):
            loaded.require()


def lines_of(node: yaml.Node | None, path: tuple[str | int, ...]) -> tuple[int, int]:
    """Return the first and last line of an entry, counted from 1."""
    first = 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            key, node = next(pair for pair in node.value if pair[0].value == part)
            first = key.start_mark.line + 1
        else:
            assert isinstance(node, yaml.SequenceNode)
            assert isinstance(part, int)
            node = node.value[part]
            first = node.start_mark.line + 1
    assert node is not None
    return first, max(first, node.end_mark.line + 1)


@pytest.mark.parametrize("path", ONCE, ids=lambda path: ".".join(map(str, path)))
def test_every_key_refuses_a_value_of_another_kind(path: tuple[str | int, ...]) -> None:
    data = copy.deepcopy(FEW_JOBS)
    parent = parent_of(data, path)
    parent[path[-1]] = [] if isinstance(parent[path[-1]], dict) else {"a": {"b": "c"}}
    # JSON is YAML, and written in no time.
    found = load_text(json.dumps(data).encode()).problems
    assert found
    assert all(problem.path.startswith(str(path[0])) for problem in found)


@pytest.mark.parametrize(
    ("section", "key", "near"),
    [
        ((), "enviroments", "environments"),
        ((), "job", "jobs"),
        (("network",), "zone", "zones"),
        (("storage", "efs"), "mounts", "mount"),
        (("roles",), "instance-profile", "instance_profile"),
        (("environments", "mpi"), "instnace", "instance"),
        (("environments", "mpi"), "hyper_threading", "hyperthreading"),
        (("queues", "mpi-queue"), "prio", "priority"),
        (("jobs", "all-mpi"), "node", "nodes"),
        (("network", "ssh"), "keypair", "key_pair"),
    ],
)
def test_an_unknown_key_is_told_the_near_one(section: tuple[str, ...], key: str, near: str) -> None:
    data = copy.deepcopy(FULL)
    parent_of(data, (*section, key))[key] = 1
    (problem,) = problems(data)
    assert f"unknown key `{key}`" in problem.message
    assert problem.hint is not None
    assert f"`{near}`" in problem.hint
    assert problem.path == ".".join((*section, key))


def test_a_key_near_to_none_is_told_all() -> None:
    (problem,) = problems(FULL | {"xyzzy": 1})
    assert problem.hint is not None
    assert problem.hint.startswith("known keys: name, region, account")


@pytest.mark.parametrize(
    "path",
    [
        ("name",),
        ("region",),
        ("environments",),
        ("queues",),
        ("environments", "mpi", "instance"),
        ("environments", "mpi", "max_nodes"),
        ("queues", "two", "environments"),
        ("jobs", "all-mpi", "queue"),
        ("jobs", "one-mpi", "command"),
        ("network", "ssh", "key_pair"),
        ("network", "ssh", "from"),
        ("state", "bucket"),
    ],
    ids=".".join,
)
def test_a_missing_key_is_named_with_what_belongs_there(path: tuple[str, ...]) -> None:
    data = copy.deepcopy(FULL)
    del parent_of(data, path)[path[-1]]
    (problem,) = problems(data)
    assert problem.message.endswith(f"lacks the key `{path[-1]}`")
    assert problem.path == ".".join(path)
    assert problem.hint is not None
    assert problem.position is not None


def test_a_retention_is_one_that_cloudwatch_takes() -> None:
    # botocore has AWS's own description of the parameter, with every value.
    model = Loader().load_service_model("logs", "service-2")
    taken = re.findall(r"\d+", model["shapes"]["Days"]["documentation"].partition("</p>")[0])
    assert {str(each) for each in get_args(Retention)} == {*taken, "never"}
    (problem,) = problems(FULL | {"logs": {"retention": 45}})
    assert problem.path == "logs.retention"
    assert problem.position is not None
    assert "30, 60, 90" in f"{problem.message} {problem.hint}"


def test_too_many_entries_are_counted() -> None:
    tags = {f"key-{index}": "x" for index in range(41)}
    (problem,) = problems(FULL | {"tags": tags})
    assert problem.message == "`tags` has 41 entries; at most 40 are allowed"
    assert problem.path == "tags"


def test_what_is_sound_is_kept_for_the_rules() -> None:
    data = copy.deepcopy(FULL)
    data["environments"]["mpi"]["max_nodes"] = 0
    data["queues"]["two"]["environments"] = []
    data["region"] = 3
    loaded = load_text(to_yaml(data))
    assert loaded.spec is not None
    assert "mpi" not in loaded.spec.environments
    assert "efa" in loaded.spec.environments
    assert "two" not in loaded.spec.queues
    assert {("environments", "mpi"), ("queues", "two"), ("region",)} <= loaded.dropped
    assert len(loaded.problems) == 3


def test_problems_come_in_the_order_of_the_file() -> None:
    raw = b"region: 1\nname: 2\nname: test\nqueues: 3\nenvironments: 4\n"
    found = [
        problem.position.line for problem in load_text(raw).problems if problem.position is not None
    ]
    assert found == [1, 3, 4, 5]


def test_text_from_the_spec_cannot_forge_a_message() -> None:
    found = problems(FULL | {"name": "a\nerror: all is well", "region": "\x1b[31m"})
    shown = format_problems(found)
    assert "\nerror: all is well" not in shown
    assert "\x1b" not in shown


def test_long_text_is_shown_in_part() -> None:
    for data in (FULL | {"name": "x" * 10_000}, FULL | {"y" * 10_000: 1}):
        shown = format_problems(problems(data))
        assert max(map(len, shown.splitlines())) < 300


@settings(max_examples=40)
@given(specs())
def test_sound_specs_are_accepted(data: Data) -> None:
    spec = load_text(to_yaml(data)).require()
    # What was written is what was read, key by key.
    for name, job in data["jobs"].items():
        if "definition" in job:
            assert spec.jobs[name].definition == job["definition"]
            continue
        assert list(spec.jobs[name].command) == job["command"]
        assert spec.jobs[name].environment == job.get("environment", {})
    assert spec.tags == data.get("tags", {})


def test_golden_all_that_is_wrong_is_said_at_once(*, update_golden: bool) -> None:
    loaded = load(HERE / "data" / "bad.yaml")
    found = check(loaded, load_catalog())
    shown = format_problems(found).replace(f"{HERE / 'data'}/", "") + "\n"
    expected = HERE / "data" / "bad.txt"
    if update_golden:
        expected.write_text(shown, encoding="utf-8")
    assert shown == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ("5", r"`after` must be text or a list, not 5"),
        ("[mesh, 5]", r"`after\[1\]` must be text, not 5"),
        ("{mesh: 1}", r"`after` must be text or a list, not a mapping"),
        (str([f"j{n}" for n in range(21)]), r"`after` has 21 items; at most 20 are allowed"),
    ],
)
def test_a_name_or_a_list_of_names(after: str, says: str) -> None:
    found = load_text(
        b"name: x\nregion: us-east-1\nenvironments: {r5: {instance: r5.12xlarge, max_nodes: 2}}\n"
        b"queues: {mpi: {environments: [r5]}}\njobs:\n  mesh: {queue: mpi, command: [hostname]}\n"
        + f"  later: {{queue: mpi, command: [hostname], after: {after}}}\n".encode()
    ).problems
    [problem] = [each for each in found if each.position and each.position.line == 7]
    assert re.search(says, problem.message)
