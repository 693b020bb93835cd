"""What each key says of its change, and which keys differ between two specs."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings

from mngen.catalog import load_catalog
from mngen.images._plan import wanted_inputs
from mngen.render import render
from mngen.rules import require
from mngen.spec import (
    UPDATE_KEY,
    Effect,
    KeyChange,
    Spec,
    key_changes,
    keys,
    load_text,
    schema,
    written,
)
from tests.support.key_changes import (
    ALONE,
    COMMON,
    ENVIRONMENTS,
    GROUPS,
    IN_PLACE,
    JOBS,
    LINKS,
    QUEUES,
    changed,
    entry,
    few,
    many,
    many_changed,
)
from tests.support.specs import Data, specs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mngen.cluster import Cluster
    from mngen.render import Tree
    from tests.support.key_changes import Key

DECLARED = dict(keys())
NAME = "<name>"

IN_GROUP: dict[str, Any] = {
    "nodes": "0:0",
    "command": ["true"],
    "vcpus": 2,
    "memory": 4096,
    "gpus": 2,
    "shared_memory": 64,
    "ranks_per_node": 2,
    "threads_per_rank": 2,
    "environment": {"A": "b"},
    "registry_credentials": "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-AbCdEf",
    "image": "docker.io/me/app:v2",
}
"""Keys of a node group with another value of each."""

UNPLANNED = {
    # Both are in the job's definition as the other keys of groups, and those of the job, are.
    ("jobs", NAME, "groups"),
    ("jobs", NAME, "groups", NAME, "gpus"),
    # Terraform has another state, or none, where these change.
    ("region",),
    ("provider",),
    *(("state", key) for key in ("bucket", "key", "region")),
    # Of an existing VPC. They reach the same attributes as the zones of a new one, and a route
    # table is an attribute of the endpoint that the provider updates.
    ("network", "subnets"),
    ("network", "route_tables"),
    # Of no AMI of the deployment.
    ("image", "base_amis", "arm64"),
    ("image", "base_amis", "gpu"),
    ("image", "efa_version"),
    # They change nothing that Terraform sees, and their files must be there.
    ("image", "playbooks"),
    # Planned with a file system that is there: see the end-to-end test.
    ("storage", "efs", "id"),
    ("storage", "efs", "security_group"),
    # Of an existing file system. With `iam` it is in the policies that `iam` adds.
    ("storage", "efs", "access_point"),
    # Only beside `container.image`. What it changes in jobs, that of a job changes alike.
    ("container", "registry_credentials"),
    # Likewise, with an FSx for Lustre file system that is there.
    ("storage", "fsx", "id"),
    ("storage", "fsx", "security_group"),
    # No plan changes by it: see the test of the template.
    ("storage", "fsx", "protect"),
}
"""Keys that the changes of `tests.support.key_changes` leave out."""


def sections(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for value in node.values():
            yield from sections(value)


@pytest.mark.parametrize("key", list(DECLARED), ids=".".join)
def test_every_key_says_what_a_change_of_it_does(key: Key) -> None:
    assert DECLARED[key], f"add affects(...) to {'.'.join(key)} in spec/_model.py"
    assert len(set(DECLARED[key])) == len(DECLARED[key])
    assert Effect.NONE not in DECLARED[key] or len(DECLARED[key]) == 1


def test_the_schema_shows_it_at_every_key_that_is_no_section() -> None:
    shown = [node[UPDATE_KEY] for _, node in sections(schema()) if UPDATE_KEY in node]
    assert sorted(shown) == sorted([str(each) for each in effects] for effects in DECLARED.values())


def test_every_word_is_used_and_explained() -> None:
    assert {effect for effects in DECLARED.values() for effect in effects} == set(Effect)
    assert len({effect.meaning for effect in Effect}) == len(Effect)


def test_a_plan_is_made_for_every_key() -> None:
    planned = {
        *(("environments", NAME, *key.split(".")) for key in ENVIRONMENTS),
        *(("queues", NAME, *key) for key in QUEUES),
        *(("jobs", NAME, key) for key in JOBS),
        *(("jobs", NAME, "groups", NAME, key) for key in GROUPS),
        *(("storage", "fsx", "s3", NAME, key) for key in LINKS),
        *(("environments",), ("queues",), ("jobs",)),
        *IN_PLACE,
        *COMMON,
        *(key for change in ALONE.values() for key in change),
    }
    assert planned.isdisjoint(UNPLANNED)
    assert planned | UNPLANNED == DECLARED.keys()


def cluster_of(data: Data) -> Cluster:
    return _cluster(json.dumps(data))


# Most changes begin with one of a few specs.
@lru_cache(maxsize=16)
def _cluster(text: str) -> Cluster:
    files = {"bake/site.yml": b"- hosts: all\n"}
    return require(load_text(text.encode(), files=files), load_catalog())


def tree_of(data: Data) -> Tree:
    return _tree(json.dumps(data))


@lru_cache(maxsize=16)
def _tree(text: str) -> Tree:
    return render(_cluster(text))


NO_AMIS = {"x86_64": "", "arm64": "", "x86_64-gpu": ""}


def made_of(cluster: Cluster) -> list[Any]:
    """Return what the AMIs of a cluster are baked from, apart from what only AWS knows."""
    efs = cluster.spec.storage.efs.id or f"new {cluster.spec.storage.efs.kms_key}"
    fsx = cluster.spec.storage.fsx
    # Terraform replaces a file system if one of these changes: see the end-to-end test.
    lustre = "" if fsx is None else fsx.id or f"{fsx.type} {fsx.zone} {fsx.kms_key}"
    return [
        wanted_inputs(cluster, image, efs=efs, base_amis=NO_AMIS, playbooks="", fsx=lustre)
        for image in cluster.machine_images
    ]


def one(data: Data, kind: str, key: str) -> Data:
    """Return a deployment of one environment, its queue and a job, one of them an entry of it."""
    only: dict[str, str] = {"environments": "plain", "queues": "plain", "jobs": "queue"}
    if (kind, key) == ("jobs", "gpus"):
        only = {"environments": "gpus", "queues": "gpus"}
    if (kind, key) == ("jobs", "share"):
        only["queues"] = data["jobs"][key]["queue"]
    only[kind] = key
    if kind == "environments":
        data["queues"] = {"plain": {"environments": [key]}}
        data["jobs"] = {"queue": {"queue": "plain", "command": ["true"]}}
    return {**data, **{each: {name: data[each][name]} for each, name in only.items()}}


def grouped(key: str, change: object = None) -> Data:
    """Return a deployment of a job with two node groups, of which a key may have another value."""
    first: Data = {"nodes": "0:1"}
    second: Data = {"nodes": "2:"}
    if key == "registry_credentials":
        first["image"] = "docker.io/me/app:v1"
    if change is not None:
        first[key] = change
    if key == "nodes" and change is not None:
        second["nodes"] = "1:"
    instance = "g5.12xlarge" if key == "gpus" else "r5.12xlarge"
    return {
        "name": "many",
        "region": "us-east-1",
        "network": {"vpc": "default"},
        "environments": {"e": {"instance": instance, "max_nodes": 4}},
        "queues": {"q": {"environments": ["e"]}},
        "jobs": {
            "coupled": {
                "queue": "q",
                "nodes": 3,
                "command": ["hostname"],
                "groups": {"first": first, "second": second},
            }
        },
    }


def few_ready() -> Data:
    """Return `few` with what some of its changes need: endpoints where it has no NAT gateway, and
    whence its builders are reached."""
    needed: tuple[Key, ...] = (("network", "endpoints"), ("image", "ssh_from"))
    return changed(few(), {key: IN_PLACE[key] for key in needed})


NOTIFY: tuple[Key, ...] = (("notify", "emails"), ("notify", "topic"))
LATER = {"queue": "mpi", "command": ["hostname"]}

CASES: dict[Key, tuple[Data, Data]] = {
    **{key: (few(), changed(few(), {key: value})) for key, value in COMMON.items()},
    **{
        key: (few(), changed(few(), {key: value}))
        for change in ALONE.values()
        for key, value in change.items()
    },
    **{
        ("environments", NAME, *key.split(".")): (
            one(many(), "environments", entry(key)),
            one(
                {**many(), "environments": many_changed()["environments"]},
                "environments",
                entry(key),
            ),
        )
        for key in ENVIRONMENTS
    },
    **{
        ("jobs", NAME, key): (
            one(many(), "jobs", entry(key)),
            one({**many(), "jobs": many_changed()["jobs"]}, "jobs", entry(key)),
        )
        for key in JOBS
        if key not in {"queue", "after"}
    },
    # It names another job.
    ("jobs", NAME, "after"): (
        changed(few(), {("jobs", "later"): LATER}),
        changed(few(), {("jobs", "later"): {**LATER, "after": "hello"}}),
    ),
    **{
        ("jobs", NAME, "groups", NAME, key): (grouped(key), grouped(key, change))
        for key, change in IN_GROUP.items()
    },
    ("jobs", NAME, "groups"): (
        changed(grouped(""), {("jobs", "coupled", "groups"): {}}),
        grouped(""),
    ),
    **{
        key: (few_ready(), changed(few_ready(), {key: value}))
        for key, value in IN_PLACE.items()
        if key not in {("network", "endpoints"), ("image", "ssh_from")}
    },
    ("image", "playbooks"): (
        few(),
        changed(few(), {("image", "playbooks"): ["bake/site.yml"]}),
    ),
    **{
        ("storage", "fsx", "s3", NAME, key): (
            few(),
            changed(few(), {("storage", "fsx", "s3", folder, key): value}),
        )
        for key, (folder, value) in LINKS.items()
    },
    # Neither a link to S3 nor backups beside the other.
    ("storage", "fsx", "backup_days"): (
        changed(few(), {("storage", "fsx", "s3"): {}}),
        changed(few(), {("storage", "fsx", "s3"): {}, ("storage", "fsx", "backup_days"): 7}),
    ),
    # Subscriptions of an existing topic are not the deployment's.
    ("notify", "topic"): (
        few(),
        changed(few(), {key: ALONE["aws_name"][key] for key in NOTIFY}),
    ),
    ("storage", "fsx", "id"): (
        few(),
        changed(few(), {("storage", "fsx", "id"): "fs-0a1b2c3d4e5f60718"}),
    ),
    ("storage", "efs", "id"): (
        few(),
        changed(few(), {("storage", "efs", "id"): "fs-0a1b2c3d4e5f60718"}),
    ),
}


@pytest.mark.parametrize("key", list(CASES), ids=".".join)
def test_a_bake_is_asked_for_where_amis_are_made_of_something_else(key: Key) -> None:
    before, after = (cluster_of(data) for data in CASES[key])
    others = before.images != after.images
    assert (Effect.NEW_AMI in DECLARED[key]) is others
    assert (Effect.BAKE in DECLARED[key]) is (not others and made_of(before) != made_of(after))


@pytest.mark.parametrize("key", list(CASES), ids=".".join)
def test_new_jobs_are_spoken_of_where_job_definitions_are_others(key: Key) -> None:
    before, after = (tree_of(data) for data in CASES[key])
    if key == ("name",):
        return
    assert (Effect.JOBS in DECLARED[key]) is (_jobs(before) != _jobs(after))


def _jobs(tree: Mapping[str, str]) -> list[str]:
    main = tree["terraform/main.tf"].partition("container_image =")[2].partition("\n  security")[0]
    repository = tree["terraform/main.tf"].partition('"./modules/registry"')[2].partition("}")[0]
    # What protects a definition from Terraform is no part of it.
    return [tree["terraform/jobs.tf"].replace("_protected", ""), main, repository]


@pytest.mark.parametrize(
    "key", [key for key in DECLARED if key[0] in {"state", "provider"}], ids=".".join
)
def test_the_place_of_the_state_and_the_provider_are_a_matter_of_init(key: Key) -> None:
    value: dict[str, Any] = {"bucket": "b-1", "key": "k", "region": "us-east-2", "provider": 5}
    before = changed(few(), {("state", "bucket"): "b-0"})
    trees = [tree_of(data) for data in (before, changed(before, {key: value[key[-1]]}))]
    assert trees[0]["terraform/versions.tf"] != trees[1]["terraform/versions.tf"]
    assert DECLARED[key] == (Effect.INIT,)


@settings(max_examples=40)
@given(specs())
def test_what_is_written_down_is_the_whole_spec(data: Data) -> None:
    spec = msgspec.convert(data, Spec)
    assert msgspec.convert(json.loads(json.dumps(written(spec))), Spec) == spec
    assert key_changes(written(spec), written(spec)) == []


@settings(max_examples=40)
@given(specs(), specs())
def test_two_specs_differ_where_a_key_does(one: Data, other: Data) -> None:
    before, after = (msgspec.convert(data, Spec) for data in (one, other))
    changes = key_changes(written(before), written(after))
    assert (before == after) is (not changes)
    for each in changes:
        assert each.effects
        assert each.before != each.after or each.is_entry


def base(**more: Any) -> Data:
    environments = {"a": {"instance": "r5.12xlarge", "max_nodes": 2}}
    return {"environments": environments, "queues": {"q": {"environments": ["a"]}}, **more}


def test_a_default_has_its_value() -> None:
    before, after = base(), base(storage={"efs": {"throughput": "elastic"}})
    [change] = key_changes(before, after)
    assert change == KeyChange(
        ("storage", "efs", "throughput"), "bursting", "elastic", (Effect.IN_PLACE,)
    )
    [back] = key_changes(after, before)
    assert (back.before, back.after) == ("elastic", "bursting")


def test_a_section_that_goes_changes_each_of_its_keys() -> None:
    ssh = {"key_pair": "mine", "from": ["10.0.0.0/8"]}
    changes = key_changes(base(network={"ssh": ssh}), base())
    assert [(each.path[-1], each.before, each.after) for each in changes] == [
        ("key_pair", "mine", None),
        ("from", ["10.0.0.0/8"], None),
    ]


def test_an_entry_is_added_removed_or_changed_as_a_whole() -> None:
    job = {"queue": "q", "command": ["true"]}
    before = base(jobs={"a": {**job, "environment": {"X": "1", "Y": "1"}}, "b": job})
    after = base(jobs={"a": {**job, "environment": {"X": "2", "Z": "1"}}, "c": job})
    assert [(each.path, each.before, each.after) for each in key_changes(before, after)] == [
        (("jobs", "a", "environment", "X"), True, True),
        (("jobs", "a", "environment", "Y"), True, False),
        (("jobs", "a", "environment", "Z"), False, True),
        (("jobs", "b"), True, False),
        (("jobs", "c"), False, True),
    ]


def test_a_null_is_no_default() -> None:
    queue = {"environments": ["a"], "cancel_after": {"misconfiguration": None}}
    [change] = key_changes(base(), base(queues={"q": queue}))
    assert (change.before, change.after) == (600, None)


def test_what_another_version_wrote_is_left_aside() -> None:
    assert key_changes(base(further={"key": 1}), base(network="new")) == []
