"""What the rules say of GPUs: where they are, how many, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from mngen.catalog import Catalog, load_catalog
from mngen.errors import Severity
from mngen.rules import check
from mngen.spec import load_text

if TYPE_CHECKING:
    from mngen.errors import Problem


def problems(text: str, catalog: Catalog | None = None) -> list[Problem]:
    # What else such a type has, its disks, is the business of another rule.
    return check(load_text(text.encode()), catalog or load_catalog(), skip=["MN442"])


def spec(instance: str, *jobs: str, base: str = "amazon-linux-2023") -> str:
    return (
        "name: test\nregion: us-east-1\n"
        f"network: {{vpc: new, zones: [us-east-1a]}}\nimage: {{base: {base}}}\n"
        "environments:\n"
        f"  e: {{instance: {instance}, max_nodes: 4, multi_node: false}}\n"
        "queues:\n  q: {environments: [e]}\n"
        "jobs:\n" + "".join(f"  j{number}: {job}\n" for number, job in enumerate(jobs))
    )


ALL = "{queue: q, command: [nvidia-smi]}"
NONE = "{queue: q, command: [hostname], gpus: 0}"


@pytest.mark.parametrize(
    ("instance", "base", "rules"),
    [
        ("p5.48xlarge", "amazon-linux-2023", []),
        ("g6.12xlarge", "amazon-linux-2023", []),
        ("r5.12xlarge", "amazon-linux-2023", []),
        ("p3dn.24xlarge", "amazon-linux-2023", ["MN409"]),
        ("g5g.16xlarge", "amazon-linux-2023", ["MN409"]),
        ("g6f.xlarge", "amazon-linux-2023", ["MN105"]),
        ("p3dn.24xlarge", "amazon-linux-2", ["MN106"]),
        ("p6-b200.48xlarge", "amazon-linux-2", ["MN106", "MN409"]),
    ],
)
def test_types_that_the_ami_serves(instance: str, base: str, rules: list[str]) -> None:
    assert [each.rule for each in problems(spec(instance, ALL, base=base))] == rules


def test_a_type_that_is_not_served_is_refused_with_its_line_and_the_reason() -> None:
    (graviton,) = problems(spec("g5g.16xlarge", ALL))
    assert graviton.position is not None
    assert graviton.position.line == 6
    assert "is arm64, and GPU jobs run on x86_64 only" in graviton.message
    (volta,) = problems(spec("p3dn.24xlarge", ALL))
    assert "of amazon-linux-2023 does not serve" in volta.message
    new = problems(spec("p6-b200.48xlarge", ALL, base="amazon-linux-2"))[-1]
    assert new.hint == "write `base: amazon-linux-2023`, or leave it out"


def test_gpus_that_no_job_wants_are_a_warning() -> None:
    (idle,) = problems(spec("g5g.16xlarge", NONE))
    assert (idle.rule, idle.severity) == ("MN105", Severity.WARNING)
    assert "no job can use them: `g5g.16xlarge` is arm64" in idle.message
    assert [each.rule for each in problems(spec("g5g.16xlarge", NONE, ALL))] == ["MN409"]
    # Without a job in the spec, others may come.
    nothing = spec("g5g.16xlarge").replace("jobs:\n", "")
    assert [each.rule for each in problems(nothing)] == ["MN409"]


def test_gpus_of_another_maker_are_refused() -> None:
    shipped = load_catalog()
    amd = msgspec.structs.replace(shipped.require("g5.12xlarge"), gpu_maker="AMD")
    catalog = Catalog([amd], date=shipped.date, source="a test")
    (problem,) = problems(spec("g5.12xlarge", ALL), catalog)
    assert problem.rule == "MN409"
    assert "are of AMD, and the AMI has the drivers of NVIDIA" in problem.message


@pytest.mark.parametrize(
    ("instance", "gpus", "message"),
    [
        ("g5.12xlarge", 4, None),
        ("g5.12xlarge", 5, "the job requests 5 GPUs a node, and a node of `e` (`g5.12xlarge`) has"),
        ("r5.12xlarge", 1, "the job requests 1 GPUs a node, and a node of `e` (`r5.12xlarge`) has"),
        ("p5.48xlarge", 8, None),
        ("p5.48xlarge", 9, "a node of `e` (`p5.48xlarge`) has 8"),
    ],
)
def test_a_job_cannot_have_more_gpus_than_a_node(
    instance: str, gpus: int, message: str | None
) -> None:
    found = problems(spec(instance, f"{{queue: q, command: [hostname], gpus: {gpus}}}"))
    assert [each.rule for each in found] == (["MN410"] if message else [])
    if message:
        assert message in found[0].message
        assert found[0].position is not None
        assert found[0].position.line == 10


def test_gpus_of_a_part_of_one_cannot_be_requested() -> None:
    found = problems(spec("g6f.xlarge", "{queue: q, command: [hostname], gpus: 1}"))
    assert [each.rule for each in found] == ["MN105", "MN410"]
    assert "has none that a job can use" in found[1].message


@pytest.mark.parametrize(
    ("job", "idle"),
    [
        ("gpus: 1", "3 of the 4"),
        ("gpus: 1, vcpus: 12, memory: 40000", None),
        ("gpus: 1, vcpus: 24, memory: 40000", "2 of the 4"),
        ("gpus: 1, vcpus: 12, memory: 90000", "2 of the 4"),
        ("gpus: 2, vcpus: 24, memory: 90000", None),
        # One GPU is left over, which no second job of this kind could use.
        ("gpus: 3", None),
        ("gpus: 4", None),
    ],
)
def test_gpus_that_a_job_keeps_from_others(job: str, idle: str | None) -> None:
    found = problems(spec("g5.12xlarge", f"{{queue: q, command: [hostname], {job}}}"))
    assert [each.rule for each in found] == (["MN411"] if idle else [])
    if idle:
        assert f"{idle} GPUs of a node of `e` stay idle" in found[0].message


def test_a_multi_node_job_keeps_all_gpus_of_its_nodes() -> None:
    text = spec("g5.12xlarge", "{queue: q, nodes: 2, vcpus: 1, memory: 900, gpus: 2, command: [a]}")
    found = problems(text.replace(", multi_node: false", ""))
    (idle,) = [each for each in found if each.rule == "MN411"]
    assert "2 of the 4 GPUs of a node of `e` stay idle: a multi-node job" in idle.message
    assert idle.hint == "remove `gpus` to use all of a node"


def test_gpus_are_idle_only_if_no_job_requests_them() -> None:
    assert [each.rule for each in problems(spec("g5.12xlarge", NONE))] == ["MN105"]
    assert problems(spec("g5.12xlarge", NONE, ALL)) == []
    without_jobs = spec("g5.12xlarge").replace("jobs:\n", "")
    assert problems(without_jobs) == []


def test_a_job_that_fits_one_of_two_environments_is_warned_of() -> None:
    text = (
        spec("g5.48xlarge", "{queue: q, command: [hostname], gpus: 8}")
        .replace(
            "queues:", "  f: {instance: g5.24xlarge, max_nodes: 4, multi_node: false}\nqueues:"
        )
        .replace("[e]", "[e, f]")
    )
    found = [each for each in problems(text) if each.rule == "MN150"]
    assert ["too small for this job's `gpus`: 8" in each.message for each in found] == [True]
