"""A spec that extends another is the one that a person would write by merging the two."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mngen.catalog import load_catalog
from mngen.errors import InputError, Problem, format_problem
from mngen.render import render
from mngen.rules import check_file, open_cluster, require
from mngen.spec import LoadedSpec, Spec, load, load_text, merged
from mngen.spec._extends import NULLS
from tests.support.cli import mngen_here
from tests.support.specs import Data, specs, to_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parents[3] / "docs"
BASE = """\
name: seismic
region: us-east-1
state: {bucket: states, key: own/place}
tags: {team: waves, cost: "1"}
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    zones: [us-east-1a]
queues:
  mpi: {environments: [r5]}
jobs:
  hello: {queue: mpi, nodes: 2, command: [hostname]}
  probe: {queue: mpi, command: [hostname]}
"""
PROD = """\
extends: mngen.yaml
name: seismic-prod
tags: {cost: null, stage: prod}
environments:
  r5: {max_nodes: 40, zones: [us-east-1c]}
  c5:
    instance: c5n.18xlarge
    max_nodes: 8
    efa: true
queues:
  mpi: {environments: [r5]}
  efa: {environments: [c5]}
jobs:
  hello: {queue: efa, nodes: 8}
  probe: null
"""
BY_HAND = """\
name: seismic-prod
region: us-east-1
state: {bucket: states}
tags: {team: waves, stage: prod}
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 40
    zones: [us-east-1c]
  c5:
    instance: c5n.18xlarge
    max_nodes: 8
    efa: true
queues:
  mpi: {environments: [r5]}
  efa: {environments: [c5]}
jobs:
  hello: {queue: efa, nodes: 8, command: [hostname]}
"""


def load_over(own: str, base: str = BASE, **more: str) -> LoadedSpec:
    files = {"mngen.yaml": base.encode(), **{name: text.encode() for name, text in more.items()}}
    return load_text(own.encode(), "mngen.prod.yaml", files)


def problems(own: str, base: str = BASE, **more: str) -> tuple[Problem, ...]:
    try:
        return load_over(own, base, **more).problems
    except InputError as error:
        return error.problems


def test_it_is_what_a_person_would_write() -> None:
    loaded = load_over(PROD)
    by_hand = load_text(BY_HAND.encode())
    assert loaded.require() == by_hand.require()
    trees = [render(require(each, load_catalog())) for each in (loaded, by_hand)]
    assert trees[0] == trees[1]


values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())
trees = st.recursive(values, lambda below: st.dictionaries(st.sampled_from("abcd"), below))
mappings = st.dictionaries(st.sampled_from("abcd"), trees)
leaves = st.integers() | st.lists(st.integers())


def level(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Data]:
    """Mappings in which a key is a mapping or not everywhere, as in specs."""
    return st.fixed_dictionaries({}, optional={"a": below, "b": below, "c": leaves, "d": leaves})


removing_nothing = level(level(level(st.dictionaries(st.sampled_from("cd"), leaves))))


@given(mappings)
def test_changing_nothing_leaves_everything(base: Data) -> None:
    assert merged(base, {}) == base
    assert list(merged(base, {})) == list(base)


@given(removing_nothing, removing_nothing, removing_nothing)
def test_changes_can_be_merged_first(base: Data, first: Data, second: Data) -> None:
    """If none removes a key, since a later one may add it again."""
    assert merged(merged(base, first), second) == merged(base, merged(first, second))


@settings(max_examples=25)
@given(specs())
def test_a_spec_that_changes_only_the_name(data: Data) -> None:
    base = to_yaml(data).decode()
    own = f"extends: mngen.yaml\nname: {data['name']}\n"
    state = {key: value for key, value in data.get("state", {}).items() if key != "key"}
    by_hand = {**data, "state": state} if state else data
    found = load_over(own, base).require()
    assert found == load_text(to_yaml(by_hand)).require()


def test_the_example_in_the_docs_is_sound(tmp_path: Path) -> None:
    page = (DOCS / "variants.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    assert [name for name, _ in blocks] == ["mngen.yaml", "mngen.prod.yaml"]
    dev, prod = (open_cluster(tmp_path / name).spec for name, _ in blocks)
    assert (dev.name, prod.name) == ("seismic-dev", "seismic")
    assert prod.environments["r5"].instance == dev.environments["r5"].instance
    assert (dev.jobs["solve"].nodes, prod.jobs["solve"].nodes) == (2, 32)
    assert (set(dev.jobs), set(prod.jobs)) == ({"solve", "probe"}, {"solve"})


def test_null_is_no_value_elsewhere() -> None:
    """Where a key may be null, that is its default, so that removing the key is the same."""
    found = {
        path[-2:]
        for path, field in fields()
        if NoneType in get_args(bare(field.type)) and field.default is not None
    }
    assert found == NULLS
    base = BASE.replace("mpi: {env", "mpi: {cancel_after: {misconfiguration: 900}, env")
    own = "extends: mngen.yaml\nname: x\nqueues: {mpi: {cancel_after: {misconfiguration: null}}}\n"
    assert load_over(own, base).require().queues["mpi"].cancel_after.misconfiguration is None


def bare(kind: Any) -> Any:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind


def fields(kind: Any = Spec, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every key of the spec, with names of entries left out."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield (*path, field.encode_name), field
            yield from fields(bare(field.type), (*path, field.encode_name))
    for inner in get_args(kind):
        yield from fields(bare(inner), path)


def test_the_whole_spec_is_shown(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").write_text(BASE)
    (tmp_path / "mngen.prod.yaml").write_text(PROD)
    shown = mngen_here("check", "--show", "--file", "mngen.prod.yaml", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert yaml.safe_load(shown.stdout) == yaml.safe_load(BY_HAND)
    assert load_text(shown.stdout.encode()).require() == load_text(BY_HAND.encode()).require()


def test_files_may_extend_each_other_in_a_chain() -> None:
    loaded = load_over(
        "extends: stage.yaml\nname: c\nregion: eu-west-1\n",
        **{"stage.yaml": "extends: mngen.yaml\nname: b\nprovider: 5\ntags: null\n"},
    )
    spec = loaded.require()
    assert (spec.name, spec.region, spec.provider, spec.tags) == ("c", "eu-west-1", 5, {})
    assert spec.jobs["hello"].nodes == 2


def place(problem: Problem) -> tuple[str | None, int | None]:
    return (problem.file, problem.position.line if problem.position else None)


@pytest.mark.parametrize(
    ("own", "message", "where"),
    [
        ("environments: {r5: {max_nodes: 0}}", "max_nodes", ("mngen.prod.yaml", 3)),
        ("environments:\n  r5:\n    size: 1", "unknown key `size`", ("mngen.prod.yaml", 5)),
        ("environments: {x: {max_nodes: 1}}", "lacks the key `instance`", ("mngen.prod.yaml", 3)),
        # Removed here, so missing here.
        ("environments: {r5: {max_nodes: null}}", "lacks the key", ("mngen.prod.yaml", 3)),
        ("region: null", "lacks the key `region`", ("mngen.prod.yaml", 3)),
        ("tags: [a]", "`tags` must be a mapping", ("mngen.prod.yaml", 3)),
        (
            "jobs:",
            "`jobs` has no value here, but has one in the extended spec",
            ("mngen.prod.yaml", 3),
        ),
        ("jobs:\n  probe:", "`probe` has no value here", ("mngen.prod.yaml", 4)),
        ("jobs: {other: null}", "`other` must be a mapping", ("mngen.prod.yaml", 3)),
    ],
)
def test_a_problem_is_where_its_value_was_written(
    own: str, message: str, where: tuple[str, int]
) -> None:
    found = problems(f"extends: mngen.yaml\nname: prod\n{own}\n")
    assert len(found) == 1
    assert message in found[0].message
    assert place(found[0]) == where


def test_a_problem_of_the_base_is_there() -> None:
    base = BASE.replace("max_nodes: 4", "max_nodes: 0").replace("nodes: 2", "nodes: 2, sise: 3")
    found = problems(PROD.replace("max_nodes: 40, ", ""), base)
    assert [place(each) for each in found] == [("mngen.yaml", 8), ("mngen.yaml", 13)]
    shown = format_problem(found[0])
    assert "--> mngen.yaml:8:16 (environments.r5.max_nodes)" in shown
    assert "8 |     max_nodes: 0" in shown
    # The same mistake that the other file mends is none.
    assert [place(each) for each in problems(PROD, base)] == [("mngen.yaml", 13)]


def test_a_rule_names_the_file_of_the_value(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").write_text(BASE)
    own = tmp_path / "mngen.prod.yaml"
    own.write_text("extends: mngen.yaml\nname: prod\njobs:\n  hello: {nodes: 50}\n")
    found = [each for each in check_file(own).problems if each.severity == "error"]
    assert [place(each) for each in found] == [(str(own), 4)]
    own.write_text("extends: mngen.yaml\nname: prod\nenvironments: {r5: {max_nodes: 1}}\n")
    found = [each for each in check_file(own).problems if each.severity == "error"]
    assert [place(each) for each in found] == [(str(tmp_path / "mngen.yaml"), 13)]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("extends: mngen.yaml\n", "the spec lacks the key `name`, which is not inherited"),
        ("extends: 5\nname: x\n", "`extends` must be the path of another spec"),
        ("extends:\nname: x\n", "`extends` must be the path of another spec"),
        ("extends: [mngen.yaml]\nname: x\n", "`extends` must be the path of another spec"),
        ('extends: "a\\0b"\nname: x\n', "`extends` must be the path of another spec"),
        ("extends: none.yaml\nname: x\n", "there is no file none.yaml"),
        ("extends: .\nname: x\n", "cannot read .: it is not a regular file"),
        ("extends: mngen.prod.yaml\nname: x\n", "`extends` leads back to mngen.prod.yaml"),
    ],
)
def test_an_extension_that_cannot_be(own: str, message: str) -> None:
    (found,) = problems(own)
    assert found.message.startswith(message)
    assert place(found) == ("mngen.prod.yaml", 1)


def test_the_other_file_is_named_plainly(tmp_path: Path) -> None:
    (tmp_path / "prod").mkdir()
    (tmp_path / "mngen.yaml").write_text(BASE.replace("max_nodes: 4", "max_nodes: 0"))
    own = tmp_path / "prod" / "mngen.yaml"
    own.write_text("extends: ../mngen.yaml\nname: prod\n")
    assert [place(each) for each in load(own).problems] == [(str(tmp_path / "mngen.yaml"), 8)]
    # Not where the folder is a link: its parent is that of the link's target.
    (tmp_path / "link").symlink_to("far/below")
    (tmp_path / "far" / "below").mkdir(parents=True)
    (tmp_path / "far" / "mngen.yaml").write_text(BASE)
    own = tmp_path / "link" / "mngen.yaml"
    own.write_text("extends: ../mngen.yaml\nname: prod\n")
    assert load(own).require().environments["r5"].max_nodes == 4


def test_a_circle_of_files() -> None:
    (found,) = problems(
        "extends: mngen.yaml\nname: a\n", "extends: mngen.prod.yaml\nname: b\nregion: us-east-1\n"
    )
    assert found.message == "`extends` leads back to mngen.prod.yaml"
    assert place(found) == ("mngen.yaml", 1)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    own = tmp_path / "mngen.prod.yaml"
    own.write_text("extends: pipe\nname: x\n")
    with pytest.raises(InputError, match="it is not a regular file"):
        load(own)


def test_a_base_that_is_not_yaml_or_empty() -> None:
    (found,) = problems("extends: mngen.yaml\nname: x\n", "a: [\n")
    assert found.message.startswith("not valid YAML")
    assert found.file == "mngen.yaml"
    for base in ("", "# nothing\n", "- a\n"):
        assert problems("extends: mngen.yaml\nname: x\n", base)


def test_each_path_of_a_file_starts_at_its_own_folder(tmp_path: Path) -> None:
    """A definition that the base names is looked for beside the base."""
    (tmp_path / "team").mkdir()
    base = BASE.replace("mpi, command: [hostname]}", "mpi, definition: a.json}")
    (tmp_path / "team" / "base.yaml").write_text(base)
    own = tmp_path / "mngen.prod.yaml"
    job = "other: {queue: mpi, definition: b.json}"
    own.write_text(f"extends: team/base.yaml\nname: x\njobs: {{{job}}}\n")
    first, second = sorted(load(own).problems, key=lambda each: each.message)
    assert first.message.startswith(f"cannot read {tmp_path / 'b.json'}: ")
    assert place(first) == (str(own), 3)
    assert second.message.startswith(f"cannot read {tmp_path / 'team' / 'a.json'}: ")
    assert place(second) == (str(tmp_path / "team" / "base.yaml"), 14)
    assert second.hint == "the path starts at the folder of base.yaml"


def test_a_key_beside_a_definition_of_the_other_file() -> None:
    base = BASE.replace("command: [hostname]}\n  probe", "definition: a.json}\n  probe")
    own = "extends: mngen.yaml\nname: x\njobs: {hello: {nodes: 3, command: [x]}}\n"
    found = problems(own, base)
    excluded = [each for each in found if "excluded" in each.message]
    assert {each.message for each in excluded} == {
        "`nodes` is excluded by `definition` (line 13 of mngen.yaml)",
        "`command` is excluded by `definition` (line 13 of mngen.yaml)",
    }
    assert {place(each) for each in excluded} == {("mngen.prod.yaml", 3)}


def test_cluster_of_a_file_that_extends(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").write_text(BASE)
    (tmp_path / "mngen.prod.yaml").write_text(PROD)
    spec: Spec = open_cluster(tmp_path / "mngen.prod.yaml").spec
    assert spec.name == "seismic-prod"
    assert spec.state is not None
    assert (spec.state.bucket, spec.state.key) == ("states", None)
