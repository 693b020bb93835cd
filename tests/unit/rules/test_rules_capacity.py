"""The rules about reserved capacity that ask AWS, over HTTP against the emulated AWS."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import pytest

from mngen._aws import client
from mngen.catalog import load_catalog
from mngen.rules import check_aws, require
from mngen.spec import load_text
from tests.support.batch import make_block
from tests.support.sandbox import control, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.errors import Problem
    from mngen.sandbox import Sandbox

REGION = "us-east-1"
R5 = {
    "InstanceType": "r5.12xlarge",
    "InstancePlatform": "Linux/UNIX",
    "AvailabilityZone": "us-east-1a",
    "InstanceMatchCriteria": "targeted",
    "InstanceCount": 4,
}
OF_CAPACITY = {f"MN{number}" for number in range(240, 247)}


class Aws:
    """The emulated account."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.connect = functools.cache(client)
        self.ec2: Any = self.connect("ec2", REGION)

    def reserve(self, **changes: Any) -> str:
        made = self.ec2.create_capacity_reservation(**{**R5, **changes})
        return str(made["CapacityReservation"]["CapacityReservationId"])

    def group(self, *reservations: str, pool: bool = True) -> str:
        groups: Any = self.connect("resource-groups", REGION)
        name = unique("lab")
        kind = "AWS::EC2::CapacityReservationPool" if pool else "AWS::ResourceGroups::Generic"
        groups.create_group(Name=name, Configuration=[{"Type": kind}])
        for each in reservations:
            arn = f"arn:aws:ec2:{REGION}:123456789012:capacity-reservation/{each}"
            groups.group_resources(Group=name, ResourceArns=[arn])
        return name

    def ask(
        self, capacity: str, *, more: str = "", instance: str = "r5.12xlarge", timeout: int = 3600
    ) -> list[Problem]:
        """Judge an environment with reserved capacity; return what is said of that."""
        text = (
            f"name: seismic\nregion: {REGION}\nenvironments:\n  mpi:\n    instance: {instance}\n"
            f"    max_nodes: 4\n    zones: [us-east-1a]\n    capacity: {{{capacity}}}\n{more}"
            "queues:\n  mpi: {environments: [mpi]}\n"
            f"jobs:\n  run: {{queue: mpi, nodes: 2, command: [a], timeout: {timeout}}}\n"
        )
        loaded = load_text(text.encode())
        cluster = require(loaded, load_catalog())
        answers = check_aws(cluster, document=loaded.document, connect=self.connect)
        assert answers.unanswered == ()
        return [each for each in answers.problems if each.rule in OF_CAPACITY]


@pytest.fixture(scope="module")
def aws(sandbox: Sandbox) -> Iterator[Aws]:
    with sandbox.applied(REGION):
        yield Aws(sandbox)


def said(problems: list[Problem]) -> list[tuple[str | None, str, str]]:
    assert all(each.position for each in problems)
    return [(each.rule, each.path, each.message) for each in problems]


def test_what_fits_is_not_remarked_on(aws: Aws) -> None:
    assert aws.ask(f"reservation: {aws.reserve()}") == []
    assert aws.ask(f"block: {make_block(aws.ec2)}", instance="p5.48xlarge") == []
    assert aws.ask(f"group: {aws.group(aws.reserve())}") == []


def test_a_reservation_that_is_not_there(aws: Aws) -> None:
    assert said(aws.ask("reservation: cr-0123456789abcdef0")) == [
        (
            "MN240",
            "environments.mpi.capacity.reservation",
            (
                "there is no capacity reservation `cr-0123456789abcdef0` in us-east-1 that this "
                "account may use"
            ),
        )
    ]


def test_a_block_and_a_reservation_are_not_each_other(aws: Aws) -> None:
    block, reservation = make_block(aws.ec2), aws.reserve()
    [problem] = aws.ask(f"block: {reservation}", instance="p5.48xlarge")
    assert problem.message == f"`{reservation}` is a capacity reservation"
    assert problem.hint == f"write `capacity: {{reservation: {reservation}}}`"
    [problem] = aws.ask(f"reservation: {block}", instance="p5.48xlarge")
    assert problem.hint == f"write `capacity: {{block: {block}}}`"


def test_a_reservation_that_has_ended(aws: Aws) -> None:
    cancelled, block = aws.reserve(), make_block(aws.ec2)
    aws.ec2.cancel_capacity_reservation(CapacityReservationId=cancelled)
    [problem] = aws.ask(f"reservation: {cancelled}")
    assert problem.message == f"the capacity reservation `{cancelled}` is cancelled"
    control(aws.sandbox, reservations={block: {"starts": 1e9, "ends": 1.7e9}})
    [problem] = aws.ask(f"block: {block}", instance="p5.48xlarge")
    assert problem.message == (
        f"the capacity block `{block}` is expired, since 2023-11-14 22:13 UTC"
    )


def test_a_reservation_that_does_not_match(aws: Aws) -> None:
    other = aws.reserve(InstanceType="r5.24xlarge", AvailabilityZone="us-east-1b")
    assert said(aws.ask(f"reservation: {other}")) == [
        (
            "MN241",
            "environments.mpi.instance",
            (
                f"the capacity reservation `{other}` is for r5.24xlarge, and the environment has "
                "r5.12xlarge"
            ),
        ),
        (
            "MN241",
            "environments.mpi.zones",
            (
                f"the capacity reservation `{other}` is in us-east-1b, and the environment in "
                "us-east-1a"
            ),
        ),
    ]
    for changes in ({"Tenancy": "dedicated"}, {"InstancePlatform": "Windows"}):
        [problem] = aws.ask(f"reservation: {aws.reserve(**changes)}")
        assert (problem.rule, problem.path) == ("MN241", "environments.mpi.capacity.reservation")


def test_the_placement_group_of_a_reservation(aws: Aws) -> None:
    name = unique("pg")
    group = aws.ec2.create_placement_group(GroupName=name, Strategy="cluster")["PlacementGroup"]
    inside, outside = aws.reserve(PlacementGroupArn=group["GroupArn"]), aws.reserve()
    existing = f"    placement_group: {{existing: {name}}}\n"
    assert aws.ask(f"reservation: {inside}", more=existing) == []
    [problem] = aws.ask(f"reservation: {inside}")
    assert (problem.rule, problem.hint) == (
        "MN241",
        f"write `placement_group: {{existing: {name}}}`",
    )
    [problem] = aws.ask(f"reservation: {outside}", more=existing)
    assert (problem.rule, problem.path) == ("MN242", "environments.mpi.placement_group")


def test_fewer_instances_than_nodes(aws: Aws) -> None:
    few = aws.reserve(InstanceCount=3)
    assert said(aws.ask(f"reservation: {few}")) == [
        (
            "MN243",
            "environments.mpi.max_nodes",
            f"the capacity reservation `{few}` has 3 instances, and `max_nodes` allows 4",
        )
    ]


def test_a_job_that_outlives_its_block(aws: Aws) -> None:
    block = make_block(aws.ec2, hours=24)
    day = 24 * 3600
    [problem] = aws.ask(f"block: {block}", instance="p5.48xlarge", timeout=day)
    assert (problem.rule, problem.path) == ("MN244", "jobs.run.timeout")
    assert problem.message.endswith(f", {day - 1800} seconds after it begins")
    now = time.time()
    control(aws.sandbox, reservations={block: {"starts": now - 60, "ends": now + 5400}})
    [problem] = aws.ask(f"block: {block}", instance="p5.48xlarge", timeout=3601)
    assert problem.message.endswith(" seconds from now")


def test_an_open_reservation(aws: Aws) -> None:
    anyone = aws.reserve(InstanceMatchCriteria="open")
    [problem] = aws.ask(f"reservation: {anyone}")
    assert (problem.rule, problem.path) == ("MN245", "environments.mpi.capacity.reservation")


def test_groups(aws: Aws) -> None:
    [problem] = aws.ask("group: nowhere")
    assert problem.message == "there is no resource group `nowhere` in us-east-1"
    [problem] = aws.ask(f"group: {aws.group(pool=False)}")
    assert "is not a pool of capacity reservations" in problem.message
    other = aws.reserve(AvailabilityZone="us-east-1b")
    name = aws.group(other, make_block(aws.ec2))
    [problem] = aws.ask(f"group: {name}")
    assert problem.message == (
        f"no reservation in the resource group `{name}` is for r5.12xlarge in us-east-1a"
    )
    assert {problem.rule, problem.path} == {"MN246", "environments.mpi.capacity.group"}


def test_a_block_is_outside_the_quota(aws: Aws) -> None:
    quotas: Any = aws.connect("service-quotas", REGION)
    quota = {"ServiceCode": "ec2", "QuotaCode": "L-417A185B"}
    before = quotas.get_service_quota(**quota)["Quota"]["Value"]
    quotas.request_service_quota_increase(**quota, DesiredValue=0)
    try:
        text = (
            f"name: seismic\nregion: {REGION}\nenvironments:\n"
            "  p5: {{instance: p5.48xlarge, max_nodes: 4, zones: [us-east-1a]{}}}\n"
            "queues: {{mpi: {{environments: [p5]}}}}\n"
        )
        for capacity, rules in (
            ("", {"MN211"}),
            (f", capacity: {{block: {make_block(aws.ec2)}}}", set()),
        ):
            loaded = load_text(text.format(capacity).encode())
            answers = check_aws(require(loaded, load_catalog()), connect=aws.connect)
            assert {each.rule for each in answers.problems} & {"MN211"} == rules
    finally:
        quotas.request_service_quota_increase(**quota, DesiredValue=before)
