"""What is rendered for FSx for Lustre, by what AWS and its provider require."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mngen.cluster import fsx_link_label
from mngen.render import render
from tests.support.specs import make_spec, pairwise, to_cluster

if TYPE_CHECKING:
    from collections.abc import Iterable

BASE: dict[str, Any] = make_spec(pairwise()[0]) | {"storage": {}}
MODULE = "terraform/modules/fsx/main.tf"
# What the spec takes as a folder, with few letters, so that names meet.
FOLDER = r"[a_-][a._-]{0,5}"


def rendered(fsx: dict[str, Any] | None) -> dict[str, str]:
    return render(to_cluster(BASE | {"storage": {} if fsx is None else {"fsx": fsx}}))


def rules(text: str) -> dict[str, tuple[str, str]]:
    """Return by name the group of each rule, and the one that it refers to."""
    found = re.findall(
        r'resource "aws_vpc_security_group_(?:in|e)gress_rule" "(\w+)" {(.*?)\n}', text, re.DOTALL
    )
    return {
        name: (
            str(re.findall(r"security_group_id +=(.+)", body)[0]).strip(),
            str(re.findall(r"(?:referenced_security_group_id|cidr_ipv4) +=(.+)", body)[0]).strip(),
        )
        for name, body in found
    }


def test_without_it_nothing_speaks_of_it() -> None:
    tree = rendered(None)
    assert MODULE not in tree
    assert [path for path, text in tree.items() if "fsx" in text and path.startswith("terr")] == []
    assert "fsx" not in tree["packer/images.pkr.hcl"]


def test_ports_are_open_in_both_directions_and_among_servers() -> None:
    """https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html"""
    text = rendered({})[MODULE]
    assert re.search(r'"988" += \[988, 988\]', text)
    assert re.search(r'"1018-1023" += \[1018, 1023\]', text)
    nodes, servers = "var.node_security_group_id", "aws_security_group.servers.id"
    assert rules(text) == {
        "from_nodes": (servers, nodes),
        "to_nodes": (servers, nodes),
        "from_servers": (servers, servers),
        "to_servers": (servers, servers),
        "nodes_from_servers": (nodes, servers),
        "nodes_to_servers": (nodes, servers),
    }


def test_an_existing_one_is_only_opened() -> None:
    """Its group may have lost the rule that lets everything out, so both directions are added."""
    named = rendered({"id": "fs-0a1b2c3d4e5f60718", "security_group": "sg-0a1b2c3d4e5f60718"})
    nodes, servers = "var.node_security_group_id", "var.security_group_id"
    assert rules(named[MODULE]) == {
        "from_nodes": (servers, nodes),
        "to_nodes": (servers, nodes),
        "nodes_from_servers": (nodes, servers),
        "nodes_to_servers": (nodes, servers),
    }
    unnamed = rendered({"id": "fs-0a1b2c3d4e5f60718"})
    assert rules(unnamed[MODULE]) == {
        "nodes_from_servers": (nodes, "each.value.cidr"),
        "nodes_to_servers": (nodes, "each.value.cidr"),
    }
    for tree in (named, unnamed):
        assert "aws_fsx_lustre_file_system" not in tree[MODULE]


@pytest.mark.parametrize("protect", [True, False])
def test_only_what_is_protected_cannot_be_destroyed(*, protect: bool) -> None:
    text = rendered({"protect": protect})[MODULE]
    assert ("prevent_destroy = true" in text) is protect


def test_a_scratch_type_has_no_setting_that_fsx_refuses() -> None:
    """API_CreateFileSystemLustreConfiguration: only with persistent types."""
    text = rendered({})[MODULE]
    for name in ("per_unit_storage_throughput", "automatic_backup", "kms_key_id"):
        assert name not in text
    main = rendered({})["terraform/main.tf"]
    assert '"SCRATCH_2"' in main
    assert re.search(r'lustre_version += "2\.15"', main)


def test_the_lowest_throughput_is_the_default() -> None:
    main = rendered({"type": "persistent-2"})["terraform/main.tf"]
    assert re.search(r"throughput += 125\n", main)


def test_events_are_in_the_words_of_aws_and_paths_as_written() -> None:
    link = {"path": "s3://cases/a", "import": ["deleted", "new"], "export": ["changed"]}
    main = rendered({"s3": {"a": link}})["terraform/main.tf"]
    assert re.search(r'import += \["NEW", "DELETED"\]', main)
    assert re.search(r'export += \["CHANGED"\]', main)
    assert '"s3://cases/a"' in main


def links(folders: Iterable[str]) -> dict[str, str]:
    """Return the resource of each linked folder, in the order of the file."""
    text = rendered({"s3": {each: {"path": f"s3://cases/{each}"} for each in folders}})[MODULE]
    kind = "aws_fsx_data_repository_association"
    found = re.findall(
        rf'^resource "{kind}" "([^"]+)" {{\n(.*?)^}}', text, re.DOTALL | re.MULTILINE
    )
    assert len({name for name, _ in found}) == len(found)
    return dict(found)


def test_links_are_made_one_after_the_other() -> None:
    """https://github.com/hashicorp/terraform-provider-aws/issues/24678"""
    found = links(["wing", "9.cases", "a-b", "a_b", "a.b"])
    waits = [re.findall(r"depends_on += \[\w+\.([\w-]+)\]", body) for body in found.values()]
    assert waits == [[], *([name] for name in list(found)[:-1])]
    paths = [re.findall(r'file_system_path += "/(.+)"', body) for body in found.values()]
    assert sorted(paths) == [["9.cases"], ["a-b"], ["a.b"], ["a_b"], ["wing"]]


def test_another_link_changes_nothing_of_those_that_are_there() -> None:
    """A link is replaced where its arguments change, and `depends_on` is none of them."""

    def arguments(folders: list[str]) -> dict[str, str]:
        found = links(folders).items()
        return {name: re.sub(r"  depends_on += .+\n\n", "", body) for name, body in found}

    few, more = arguments(["b", "d"]), arguments(["a.a", "b", "c", "d", "e"])
    assert few.items() <= more.items()


@given(st.sets(st.from_regex(FOLDER, fullmatch=True), min_size=2, max_size=2))
def test_no_two_folders_have_the_same_resource(folders: set[str]) -> None:
    names = {fsx_link_label(each) for each in folders}
    assert len(names) == 2
    # https://developer.hashicorp.com/terraform/language/syntax/configuration
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", each) for each in names)


@pytest.mark.parametrize("scratch", [False, True], ids=["alone", "with scratch"])
def test_jobs_have_it_beside_what_they_mount_themselves(scratch: bool) -> None:
    hello = {"queue": "mpi", "command": ["a"], "mounts": [{"host": "/opt/a", "path": "/a"}]}
    environment = {"instance": "r5d.12xlarge", "max_nodes": 2}
    environment |= {"scratch": "/scratch"} if scratch else {}
    tree = render(
        to_cluster(
            BASE
            | {
                "storage": {"fsx": {"mount": "/fsx"}},
                "environments": {"mpi": environment},
                "queues": {"mpi": {"environments": ["mpi"]}},
                "jobs": {"hello": hello},
            }
        )
    )
    container = tree["terraform/modules/job_definition/container.tf"]
    wanted = ["efs_mount", "fsx_mount", *(["scratch_mount"] if scratch else []), "properties"]
    for key in ("mountPoints", "volumes"):
        listed = re.search(
            rf"^ +{key} += concat\(.*?^      \)", container, re.MULTILINE | re.DOTALL
        )
        assert listed
        # Each once: the one of a condition is on the line of its item too.
        assert list(dict.fromkeys(re.findall(r"var\.(\w+)", listed[0]))) == wanted
    jobs = tree["terraform/jobs.tf"]
    assert re.search(r'fsx_mount += "/fsx"', jobs)
    assert bool(re.search(r'scratch_mount += "/scratch"', jobs)) == scratch
