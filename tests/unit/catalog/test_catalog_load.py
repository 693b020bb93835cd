from __future__ import annotations

from datetime import date
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mngen.catalog
from mngen.catalog import CATALOG_NAME, Catalog, InstanceType, load_catalog
from mngen.catalog._file import decode, encode
from mngen.errors import InputError, format_problems

SHIPPED = Path(mngen.catalog.__file__).with_name("instance-types.json")


def instance_type(*, cores: int, threads: int, **others: Any) -> InstanceType:
    return InstanceType(vcpus=cores * threads, cores=cores, threads_per_core=threads, **others)


# From a regular expression they would take longer than all else of a type.
NAMES = st.builds(
    "{}{}{}.{}large".format,
    st.text(ascii_lowercase, min_size=1, max_size=3),
    st.integers(0, 99),
    st.text(ascii_lowercase, max_size=2),
    st.sampled_from(["", "x", "2x", "9x", "12x", "24x", "3"]),
)
STRATEGIES = st.lists(st.sampled_from(["cluster", "partition", "spread"]), unique=True)

# `st.builds` keeps these: a strategy that is made for each drawing takes longer than the drawing.
instance_types = st.builds(
    instance_type,
    name=NAMES,
    cores=st.integers(1, 512),
    threads=st.integers(1, 4),
    memory=st.integers(1, 2**40),
    architecture=st.sampled_from(["x86_64", "arm64"]),
    max_efa_interfaces=st.integers(0, 32),
    card_interfaces=st.lists(st.integers(1, 15)).map(tuple),
    network_performance=st.text(),
    placement_strategies=STRATEGIES.map(tuple),
    current_generation=st.booleans(),
    gpus=st.integers(0, 16),
    gpu_name=st.text(),
    gpu_memory=st.integers(0, 2**20),
    disks=st.integers(0, 24),
    disk_size=st.integers(0, 2**14),
    nvme_disks=st.booleans(),
)


unique_types = st.lists(instance_types, unique_by=lambda each: each.name)


def catalog_beside(folder: Path, content: bytes) -> Path:
    (folder / CATALOG_NAME).write_bytes(content)
    return folder / "mngen.yaml"


def one_type(name: str = "r5.24xlarge") -> bytes:
    return encode([load_catalog().require(name)], date=date(2026, 1, 2), source="a test")


def test_the_shipped_catalog_is_dated_and_names_its_source() -> None:
    catalog = load_catalog()
    assert len(catalog) > 1300
    assert catalog.date >= date(2026, 11, 1)
    assert "DescribeInstanceTypes" in catalog.source
    assert catalog.path is None


def test_the_shipped_memory_was_measured_and_names_who_did() -> None:
    catalog = load_catalog()
    assert catalog.memory_source.startswith("vantage-sh/ec2instances.info")
    assert "MIT" in catalog.memory_source
    licence = SHIPPED.with_suffix(".LICENSE").read_text(encoding="utf-8")
    assert "Permission is hereby granted, free of charge" in licence
    # What AL2023 showed on a t2.micro and on EKS nodes agrees: 949.6 MiB, and 7 MiB apart.
    assert catalog.require("t2.micro").measured_memory == 949
    measured = [each for each in catalog if each.measured_memory]
    assert len(measured) > 1000


def test_the_shipped_file_is_what_its_types_encode_to() -> None:
    catalog = load_catalog()
    written = encode(
        catalog, date=catalog.date, source=catalog.source, memory_source=catalog.memory_source
    )
    assert written == SHIPPED.read_bytes()


def test_the_order_is_natural() -> None:
    names = load_catalog().names
    assert [name for name in names if name.startswith("r5.")] == [
        *(f"r5.{size}" for size in ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge")),
        *(f"r5.{size}" for size in ("12xlarge", "16xlarge", "24xlarge", "metal")),
    ]


@settings(deadline=None)
@given(unique_types)
def test_a_file_holds_what_was_put_in_it_whatever_the_order(types: list[InstanceType]) -> None:
    content = encode(types, date=date(2026, 1, 2), source="a test")
    assert content == encode(reversed(types), date=date(2026, 1, 2), source="a test")
    assert len(content.splitlines()) == len(types) + 2 + (not types)
    read = decode(content, "x")
    assert sorted(read.types, key=lambda each: each.name) == sorted(
        types, key=lambda each: each.name
    )
    assert encode(read.types, date=read.date, source=read.source) == content


@settings(deadline=None)
@given(unique_types, st.integers(0, 600), st.integers(0, 600), st.tuples(*[st.booleans()] * 3))
def test_match_gives_exactly_what_meets_all_conditions(
    types: list[InstanceType], low: int, high: int, flags: tuple[bool, bool, bool]
) -> None:
    efa, gpus, disks = flags
    catalog = Catalog(types, date=date(2026, 1, 2), source="a test")
    found = catalog.match(
        "*large", min_cores=low, max_cores=high, efa=efa, min_memory=low, gpus=gpus, disks=disks
    )
    expected = [
        each
        for each in types
        if low <= each.cores <= high and each.memory >= low
        if each.efa is efa and bool(each.gpus) is gpus
        if (each.nvme_disks and each.disks > 0) is disks
    ]
    assert found == expected


def test_match_takes_a_pattern_or_a_family_in_any_case() -> None:
    catalog = load_catalog()
    assert {each.family for each in catalog.match("r5*")} >= {"r5", "r5a", "r5n"}
    assert {each.family for each in catalog.match("R5")} == {"r5"}
    assert [each.name for each in catalog.match("C5N.18xlarge")] == ["c5n.18xlarge"]
    assert catalog.match("r5", architecture="arm64") == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("r5.25xlarge", "`r5.24xlarge`"),
        ("r5.24xlarg", "`r5.24xlarge`"),
        ("R5.24XLARGE", "`r5.24xlarge`"),
        ("c5n18xlarge", "`c5n.18xlarge`"),
        ("r5", "sizes large, xlarge, 2xlarge"),
        ("r5.", "sizes large, xlarge, 2xlarge"),
        ("", "mngen instances --refresh"),
        ("\x1b[31m${x}", "mngen instances --refresh"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        load_catalog().require(name)
    (problem,) = caught.value.problems
    assert name in problem.message
    assert hint in str(problem.hint)
    assert load_catalog().get(name) is None


def test_a_catalog_beside_the_spec_stands_alone(tmp_path: Path) -> None:
    spec = catalog_beside(tmp_path, one_type())
    catalog = load_catalog(spec)
    assert catalog.names == ("r5.24xlarge",)
    assert catalog.source == "a test"
    assert catalog.path == tmp_path / CATALOG_NAME
    assert load_catalog(tmp_path).names == catalog.names
    assert CATALOG_NAME in str(catalog.unknown("x9.large").hint)


def test_without_a_file_beside_the_spec_the_shipped_one_serves(tmp_path: Path) -> None:
    assert load_catalog(tmp_path / "mngen.yaml") is load_catalog()


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    spec = catalog_beside(tmp_path, one_type())
    before = load_catalog(spec)
    assert load_catalog(spec) is before
    catalog_beside(tmp_path, one_type("c5n.18xlarge"))
    assert load_catalog(spec).names == ("c5n.18xlarge",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "ends too early"),
        (one_type()[:100], "ends too early"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"<<<<<<< HEAD\n" + one_type(), "not JSON"),
        (one_type().replace(b'a test"', b'\xff\xff"'), "not JSON"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field"),
        (one_type().replace(b'"cores":48', b'"cores":"48"'), "Expected `int`"),
        (one_type().replace(b'"cores":48', b'"cores":-48'), ">= 1"),
        (one_type().replace(b'"cores":48', b'"cores":40'), "96 vCPUs are not 40 cores"),
        (one_type().replace(b'"cores"', b'"kores"'), "kores"),
        (one_type().replace(b"2026-01-02", b"yesterday"), "date"),
        (one_type().replace(b'"format":4', b'"format":5'), "has format 5"),
        (one_type().replace(b'"format":4', b'"format":5,"new":[]'), "has format 5"),
        (one_type().replace(b'{"name"', b'{"name":"r5.24xlarge","name"', 1), None),
        (one_type()[:-4] + b",\n" + one_type().splitlines()[1] + b"\n]}\n", "more than once"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name_and_the_way_out(
    tmp_path: Path, content: bytes, says: str | None
) -> None:
    spec = catalog_beside(tmp_path, content)
    if says is None:
        assert load_catalog(spec).names == ("r5.24xlarge",)
        return
    with pytest.raises(InputError) as caught:
        load_catalog(spec)
    (problem,) = caught.value.problems
    assert says in problem.message
    assert problem.file == str(tmp_path / CATALOG_NAME)
    assert "mngen instances --refresh" in str(problem.hint)


def test_a_syntax_error_is_shown_in_its_line(tmp_path: Path) -> None:
    lines = one_type().splitlines()
    lines[1] = lines[1].replace(b'"cores":48', b'"cores":oops')
    with pytest.raises(InputError) as caught:
        load_catalog(catalog_beside(tmp_path, b"\n".join(lines)))
    (problem,) = caught.value.problems
    assert problem.position is not None
    assert problem.position.line == 2
    assert lines[1][problem.position.column - 1 :].startswith(b"oops")
    assert "oops" in format_problems([problem])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError):
        decode(data, "x")


@settings(deadline=None)
@given(st.integers(0, len(one_type()) - 1), st.integers(0, 255))
def test_one_wrong_byte_never_makes_a_traceback(index: int, byte: int) -> None:
    content = bytearray(one_type())
    content[index] = byte
    try:
        read = decode(bytes(content), "x")
    except InputError:
        return
    assert all(each.vcpus == each.cores * each.threads_per_core for each in read.types)


def test_what_is_in_the_way_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / CATALOG_NAME).mkdir()
    with pytest.raises(InputError, match="cannot read"):
        load_catalog(tmp_path)
    (tmp_path / CATALOG_NAME).rmdir()
    (tmp_path / CATALOG_NAME).symlink_to("nowhere")
    with pytest.raises(InputError, match="a broken symbolic link"):
        load_catalog(tmp_path)


def test_the_shipped_file_has_one_line_a_type() -> None:
    lines = SHIPPED.read_bytes().splitlines()
    names = [msgspec.json.decode(line.rstrip(b","))["name"] for line in lines[1:-1]]
    assert tuple(names) == load_catalog().names
