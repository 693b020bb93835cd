"""What the rules say of particular specs: the subtle ones, and what they must not say."""

from __future__ import annotations

import pytest
from botocore.loaders import Loader

from mngen.catalog import load_catalog
from mngen.cluster import names
from mngen.errors import InputError, Problem, Severity
from mngen.rules import at_level, check, require
from mngen.rules.spec._ranges import parse_range
from mngen.spec import load_text

HEAD = (
    "name: seismic\nregion: us-east-1\nnetwork: {vpc: vpc-01234567, subnets: [subnet-01234567]}\n"
)
IAM = "arn:aws:iam::123456789012"
R5 = "environments:\n  r5: {instance: r5.12xlarge, max_nodes: 16}\n"
MPI = "queues:\n  mpi: {environments: [r5]}\n"


def problems(text: str) -> list[Problem]:
    return check(load_text(text.encode()), load_catalog())


def ids(text: str) -> list[str | None]:
    return [problem.rule for problem in problems(text)]


def environment(**fields: object) -> str:
    written = {"instance": "r5.12xlarge", "max_nodes": 16, **fields}
    inner = ", ".join(f"{key}: {value}" for key, value in written.items())
    return f"{HEAD}environments:\n  r5: {{{inner}}}\n{MPI}"


def job(**fields: object) -> str:
    written = {"queue": "mpi", "command": "[hostname]", **fields}
    inner = ", ".join(f"{key}: {value}" for key, value in written.items())
    return f"{HEAD}{R5}{MPI}jobs:\n  hello: {{{inner}}}\n"


def network(inner: str) -> str:
    return f"name: seismic\nregion: us-east-1\nnetwork: {{{inner}}}\n{R5}{MPI}"


LUSTRE = "storage: {fsx: {mount: /fsx}}\n"


class TestPlacesInContainers:
    """Each job has the file systems of the deployment besides what its keys name."""

    def test_lustre_has_its_place(self) -> None:
        text = job(mounts="[{host: /fsx/tools, path: /fsx}]")
        assert "MN471" in ids(text + LUSTRE)
        assert "MN471" not in ids(text)

    def test_folders_of_lustre_are_on_the_nodes(self) -> None:
        text = job(mounts="[{host: /fsx/tools, path: /tools}]")
        assert "MN414" not in ids(text + LUSTRE)
        assert "MN414" in ids(text)

    def test_scratch_space_has_its_place_and_is_on_the_nodes(self) -> None:
        text = job(mounts="[{host: /scratch/a, path: /scratch}]")
        disks = text.replace("r5.12xlarge,", "r5d.12xlarge, scratch: /scratch,")
        assert {"MN414", "MN471"} & {*ids(text)} == {"MN414"}
        assert {"MN414", "MN471"} & {*ids(disks)} == {"MN471"}

    def test_scratch_space_is_apart_from_both_file_systems(self) -> None:
        for path in ("/efs/scratch", "/fsx/scratch"):
            text = environment(instance="r5d.12xlarge", scratch=path)
            assert "MN441" in ids(text + LUSTRE)

    def test_mount_points_of_further_properties_have_places_of_their_own(self) -> None:
        points = "{mountPoints: [{sourceVolume: efs, containerPath: PLACE}]}"
        for place, taken in (("/efs/", True), ("/a", True), ("/b", False)):
            text = job(
                mounts="[{host: /opt/a, path: /a}]",
                container_properties=points.replace("PLACE", place),
            )
            assert ("MN471" in ids(text)) == taken

    def test_volumes_have_names_of_their_own(self) -> None:
        text = job(container_properties="{volumes: [{name: fsx, host: {sourcePath: /opt/a}}]}")
        assert "MN478" in ids(text + LUSTRE)
        assert "MN478" not in ids(text)

    def test_mount_points_have_volumes(self) -> None:
        text = job(
            container_properties="{volumes: [{name: a, host: {sourcePath: /opt/a}}], mountPoints: "
            "[{sourceVolume: VOLUME, containerPath: /b}]}"
        )
        for volume in ("a", "efs"):
            assert "MN478" not in ids(text.replace("VOLUME", volume))
        [problem] = [each for each in problems(text.replace("VOLUME", "fsx")) if each.rule]
        assert (problem.rule, problem.message) == ("MN478", "there is no volume `fsx`")
        assert "MN478" not in ids(text.replace("VOLUME", "fsx") + LUSTRE)

    @pytest.mark.parametrize(
        "volumes", ["", "[null]", "[{name: a, host: }]", "[{name: a, host: {sourcePath: }}]"]
    )
    def test_properties_without_a_value_are_named(self, volumes: str) -> None:
        text = job(container_properties=f"{{volumes: {volumes}}}")
        [problem] = [each for each in problems(text) if each.rule == "MN478"]
        assert problem.message == "no value"

    def test_swap_of_further_properties_is_within_its_bounds(self) -> None:
        text = job(container_properties="{linuxParameters: {swappiness: 101}}")
        [problem] = [each for each in problems(text) if each.rule == "MN478"]
        assert problem.message == "expected 0 to 100"


class TestUnsoundParts:
    """What the loader refused must not make a rule complain of what stands in its place."""

    def test_an_unknown_type_hides_no_other_error_of_its_environment(self) -> None:
        # Each is wrong whatever the type: multi-node on Spot, a bid without Spot, two zones.
        spot = environment(instance="r5.12xlrge", purchase="spot")
        assert ids(spot) == ["MN101", "MN110"]
        assert ids(environment(purchase="spot")) == ["MN110"]
        bid = environment(
            instance="r5.12xlrge", bid_percentage=50, zones="[us-east-1a, us-east-1b]"
        )
        assert set(ids(bid)) == {"MN101", *ids(bid.replace("12xlrge", "12xlarge"))}
        assert len(ids(bid)) == 3

    def test_an_unknown_type_is_not_blamed_for_what_depends_on_it(self) -> None:
        text = environment(instance="r5.12xlrge", efa="true", hyperthreading="true")
        asked = "jobs:\n  big: {queue: mpi, nodes: 2, vcpus: 96, memory: 500000, command: [a]}\n"
        assert ids(text + asked) == ["MN101"]

    def test_jobs_of_an_unknown_types_queue_are_judged(self) -> None:
        text = environment(instance="r5.12xlrge") + (
            "jobs:\n  many: {queue: mpi, nodes: 64, command: [a]}\n"
        )
        known = ids(text.replace("12xlrge", "12xlarge"))
        assert known
        assert set(ids(text)) == {"MN101", *known}

    def test_queue_of_a_dropped_environment(self) -> None:
        text = HEAD + R5.replace("max_nodes: 16", "max_nodes: many") + MPI
        [problem] = problems(text)
        assert problem.rule is None
        assert problem.path == "environments.r5.max_nodes"

    def test_job_of_a_dropped_queue(self) -> None:
        assert ids(job(nodes=2).replace("[r5]", "r5")) == [None]

    def test_default_in_place_of_an_unsound_value(self) -> None:
        # `multi_node` falls back to true, which Spot would not allow.
        assert ids(environment(purchase="spot", multi_node="maybe")) == [None]

    def test_unsound_network(self) -> None:
        assert ids(network("vpc: new, nat: false, endpoints: [s4]")) == [None]

    def test_unsound_region(self) -> None:
        text = environment(zones="[us-east-1a]").replace("region: us-east-1", "region: Frankfurt")
        assert ids(text) == [None]

    def test_everything_missing(self) -> None:
        assert {problem.rule for problem in problems("tags: {}\n")} == {None}

    def test_everything_unsound_besides_is_still_judged(self) -> None:
        text = environment(instance="r5.12xlrge") + "container: {tag: '-'}\n"
        assert ids(text) == ["MN101", None]

    def test_misspelt_environment_is_reported_once(self) -> None:
        assert ids(HEAD + R5 + "queues:\n  mpi: {environments: [r6]}\n") == ["MN135"]

    @pytest.mark.parametrize(
        "condition",
        [
            "exit_code: 13",
            "reasons: OutOfMemory",
            # White space that the AWS provider does not take, by its own pattern of Go:
            # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/batch/job_definition.go
            r'reason: "Out\u00a0of"',
            'status_reason: "Host EC2 (instance*"',
            f"reason: {'a' * 513}",
            f"reason: {'a' * 512}*",
        ],
    )
    def test_an_unsound_condition_is_not_called_empty(self, condition: str) -> None:
        assert ids(job(attempts=2, retry=f"[{{{condition}}}]")) == [None]
        assert ids(job(attempts=2, retry=f"[{{reason: {'a' * 511}*}}]")) == []

    def test_job_of_an_unsound_queue_is_judged_when_that_is_mended(self) -> None:
        assert ids(job(vcpus=96).replace("[r5]", "[r6]")) == ["MN135"]


class TestOrderAndChoice:
    TEXT = (
        job(nodes=32, environment="{AWS_BATCH_X: '', TOKEN: abcdef}")
        + "container: {tag: latest}\nprovider: 5\n"
    )

    def test_in_the_order_of_the_file(self) -> None:
        found = problems(self.TEXT)
        places = [
            (each.position.line, each.position.column)
            for each in found
            if each.position is not None
        ]
        assert len(places) == len(found)
        assert places == sorted(places)

    def test_levels(self) -> None:
        found = problems(self.TEXT)
        assert {each.severity for each in found} == set(Severity)
        warnings = at_level(found, Severity.WARNING)
        assert {each.severity for each in warnings} == {Severity.ERROR, Severity.WARNING}
        assert at_level(found, None) == found
        loaded = load_text(self.TEXT.encode())
        assert check(loaded, load_catalog(), level=Severity.WARNING) == warnings

    def test_unknown_rule_to_skip(self) -> None:
        with pytest.raises(InputError) as refused:
            check(load_text(self.TEXT.encode()), load_catalog(), skip=["MN101", "MN1O1", "x"])
        [first, second] = refused.value.problems
        assert first.message == "there is no rule `MN1O1`"
        assert str(first.hint).startswith("did you mean `MN")
        assert second.hint == "`mngen rules` lists them"


class TestRequire:
    def test_gives_the_cluster_and_the_warnings(self) -> None:
        warned: list[Problem] = []
        text = environment() + "container: {tag: latest}\nprovider: 5\n"
        cluster = require(load_text(text.encode()), load_catalog(), warn=warned.append)
        assert [each.nr_cpus for each in cluster.environments] == [24]
        assert [each.rule for each in warned] == ["MN159"]

    def test_raises_all_errors_and_only_these(self) -> None:
        text = job(nodes=32, memory=393_216) + "container: {tag: latest}\nsurplus: 1\n"
        with pytest.raises(InputError) as refused:
            require(load_text(text.encode()), load_catalog())
        assert [each.rule for each in refused.value.problems] == ["MN145", "MN148", None]

    def test_empty_file(self) -> None:
        with pytest.raises(InputError, match="is empty"):
            require(load_text(b""), load_catalog())

    def test_skipped_error_is_let_through(self) -> None:
        cluster = require(load_text(job(nodes=32).encode()), load_catalog(), skip=["MN145"])
        assert cluster.jobs[0].spec.nodes == 32


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # One thread a core: vCPUs are cores, and none of them is out of reach.
        ({"instance": "hpc7a.96xlarge", "efa": "true"}, []),
        # hpc7a and its like are not sold on the Spot market.
        ({"instance": "hpc7a.96xlarge", "purchase": "spot", "multi_node": "false"}, ["MN111"]),
        ({"purchase": "spot", "multi_node": "false"}, []),
        ({"purchase": "spot"}, ["MN110"]),
        # best-fit on Spot: replaced on update, and a role of its own.
        (
            {"purchase": "spot", "multi_node": "false", "allocation": "best-fit"},
            ["MN115", "MN114"],
        ),
        ({"multi_node": "false", "allocation": "spot-capacity-optimized"}, ["MN113"]),
        ({"purchase": "spot", "multi_node": "false", "allocation": "best-fit-progressive"}, []),
        ({"multi_node": "false", "placement_group": "g", "zones": "[us-east-1a]"}, []),
        ({"multi_node": "false", "zones": "[us-east-1a, us-east-1b]"}, []),
        ({"zones": "[us-east-1a, us-east-1b]"}, ["MN120"]),
        # A Local Zone is in its region; a zone of another region with a longer name is not.
        ({"zones": "[us-east-1-bos-1a]"}, []),
        ({"zones": "[us-east-11a]"}, ["MN125"]),
        # A burstable type cannot join the group that multi-node environments have by default.
        ({"instance": "t3.2xlarge"}, ["MN123", "MN104"]),
        ({"instance": "p4d.24xlarge", "efa": "true"}, ["MN442"]),
        ({"instance": "p4d.24xlarge", "efa": "true", "scratch": "/scratch"}, []),
        ({"instance": "p4d.24xlarge", "efa": "true", "image": "ami-0123456789abcdef0"}, []),
        ({"scratch": "/scratch"}, ["MN440"]),
        ({"instance": "d2.8xlarge", "scratch": "/scratch", "placement_group": "true"}, ["MN440"]),
        ({"instance": "c5d.18xlarge", "scratch": "/tmp/scratch"}, ["MN441"]),
        ({"instance": "c5d.18xlarge", "scratch": "/efs"}, ["MN441"]),
        ({"instance": "c5d.18xlarge", "scratch": "/mnt"}, ["MN441"]),
        ({"instance": "c5d.18xlarge", "scratch": "/mnt/nvme"}, []),
        ({"min_nodes": 17}, ["MN116"]),
        ({"hyperthreading": "true"}, []),
    ],
)
def test_environments(fields: dict[str, object], expected: list[str]) -> None:
    assert ids(environment(**fields)) == expected


@pytest.mark.parametrize(
    ("allocation", "provider", "expected"),
    [
        # hashicorp/terraform-provider-aws#38695: version 5 replaces such an environment.
        ("spot-price-capacity-optimized", 5, ["MN196", "MN114"]),
        ("spot-price-capacity-optimized", 6, []),
        ("spot-capacity-optimized", 5, ["MN196"]),
    ],
)
def test_spot_prices_and_versions_of_the_provider(
    allocation: str, provider: int, expected: list[str]
) -> None:
    text = environment(purchase="spot", multi_node="false", allocation=allocation)
    assert sorted(map(str, ids(f"{text}provider: {provider}\n"))) == sorted(expected)


@pytest.mark.parametrize(
    ("of_job", "of_main", "places"),
    [
        ("launcher: mpich, mpi_args: [-genvall]", "", ["mpi_args[0]"]),
        # The wire-up reads what the container has, and variables win over the keys.
        (
            "environment: {MNGEN_LAUNCHER: mpich, MNGEN_MPI_ARGS: '-n 4 -genvall'}",
            "",
            ["environment.MNGEN_MPI_ARGS"],
        ),
        (
            "launcher: intelmpi",
            "environment: {MNGEN_MPI_ARGS: -envall}",
            ["groups.ocean.environment.MNGEN_MPI_ARGS"],
        ),
        (
            "launcher: mpich, mpi_args: [-genvall], environment: {MNGEN_MPI_ARGS: -prepend-rank}",
            "",
            [],
        ),
        (
            "launcher: mpich, mpi_args: [-genvall], environment: {MNGEN_LAUNCHER: openmpi}",
            "",
            [],
        ),
        ("launcher: mpich, environment: {MNGEN_MPI_ARGS: '\"-genvall'}", "", []),
    ],
)
def test_hydra_gets_no_environment_for_groups_from_keys_or_variables(
    of_job: str, of_main: str, places: list[str]
) -> None:
    text = (
        f"{HEAD}{R5}{MPI}jobs:\n  a: {{queue: mpi, nodes: 2, command: [hostname], {of_job}, "
        f"groups: {{ice: {{nodes: '1:'}}, ocean: {{nodes: '0:0', {of_main}}}}}}}\n"
    )
    found = [problem.path for problem in problems(text) if problem.rule == "MN421"]
    assert found == [f"jobs.a.{place}" for place in places]


def test_nearest_types_with_efa_are_named() -> None:
    [problem] = problems(environment(instance="c5n.4xlarge", efa="true"))
    assert problem.rule == "MN128"
    assert str(problem.hint).startswith(
        "types near it that have one: `c5n.9xlarge`, `c5n.18xlarge`"
    )
    [problem] = problems(environment(instance="r5.24xlarge", efa="true"))
    assert "`r5n.24xlarge`" in str(problem.hint)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # An r5.12xlarge without hyper-threading registers 24 of its 48 vCPUs.
        ({"vcpus": 24}, []),
        ({"vcpus": 25}, ["MN147"]),
        ({"nodes": 16}, []),
        ({"nodes": 17}, ["MN145"]),
        # 393216 MiB: 5 % are to be left, and one part in 64 can never be had.
        # Linux was seen to have 382682 MiB; half a percent more is possible, half a percent less
        # and the agent's 32 MiB are safe.
        ({"memory": 380_736}, []),
        ({"memory": 380_737}, ["MN149"]),
        ({"memory": 384_595}, ["MN149"]),
        ({"memory": 384_596}, ["MN148"]),
        ({"memory": 8192, "shared_memory": 8192}, []),
        ({"memory": 8192, "shared_memory": 8193}, ["MN151"]),
        ({"shared_memory": 400_000}, ["MN151"]),
        ({"environment": "{OMP_NUM_THREADS: '4'}"}, []),
        ({"environment": "{aws_batch_x: '4'}"}, ["MN154"]),
        ({"environment": "{'': '4'}"}, ["MN153"]),
        ({"environment": "{AWS_SECRET_ACCESS_KEY: x}"}, ["MN155"]),
        ({"environment": "{SOME: AKIAIOSFODNN7EXAMPLE}"}, ["MN155"]),
        ({"environment": "{URL: 'https://me:pass@example.org/'}"}, ["MN155"]),
        ({"environment": "{GITHUB_TOKEN: x, SECRET_ARN: y, TOKENS_PER_SECOND: '3'}"}, ["MN155"]),
        ({"environment": "{PASSWORD: ''}"}, ["MN156"]),
        ({"image": "quay.io/me/app"}, ["MN159"]),
        ({"image": "localhost:5000/me/app"}, ["MN159"]),
        ({"image": "quay.io/me/app:latest"}, ["MN159"]),
        ({"image": f"quay.io/me/app@sha256:{'0' * 64}"}, []),
        ({"image": "'quay.io/me/app v1'"}, ["MN158"]),
        ({"command": "[' ']"}, ["MN152"]),
    ],
)
def test_jobs(fields: dict[str, object], expected: list[str]) -> None:
    assert ids(job(**fields)) == expected


def test_hyperthreading_doubles_what_a_job_may_ask_for() -> None:
    text = job(vcpus=48).replace("max_nodes: 16", "max_nodes: 16, hyperthreading: true")
    assert ids(text) == []
    assert ids(text.replace("vcpus: 48", "vcpus: 49")) == ["MN147"]


def test_job_in_the_smaller_of_two_environments() -> None:
    text = (
        job(vcpus=48)
        .replace(R5, R5 + "  big: {instance: r5.24xlarge, max_nodes: 16}\n")
        .replace("[r5]", "[r5, big]")
    )
    assert ids(text) == ["MN138", "MN178", "MN150"]


def test_a_queue_of_several_zones_does_not_help_multi_node_jobs_without_capacity() -> None:
    """As AWS's guide has it: job_stuck_in_runnable_capacity, note 3."""
    text = (
        HEAD
        + "environments:\n"
        + "".join(
            f"  {zone}: {{instance: r5.12xlarge, max_nodes: 16, zones: [us-east-1{zone}]}}\n"
            for zone in "abc"
        )
        + "queues:\n  mpi: {environments: [a, b, c]}\n"
    )
    assert ids(text) == ["MN178"]
    assert ids(text.replace("b, c]}", "b, c], cancel_after: {capacity: 600}}")) == []
    single = text.replace("max_nodes: 16,", "max_nodes: 16, multi_node: false,")
    assert ids(single) == []


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("vpc: new, zones: [us-east-1a]", []),
        ("vpc: new", ["MN172"]),
        ("vpc: default", ["MN161"]),
        ("vpc: new, zones: [us-east-1a], cidr: 10.0.0.0/16", []),
        ("vpc: new, zones: [us-east-1a], cidr: 10.0.0.0/15", ["MN167"]),
        ("vpc: new, zones: [us-east-1a], cidr: 10.0.0.0/22", []),
        ("vpc: new, zones: [us-east-1a], cidr: 10.0.0.0/23", ["MN167"]),
        ("vpc: new, zones: [us-east-1a], cidr: 10.0.0.300/16", ["MN166"]),
        ("vpc: new, zones: [us-east-1a], cidr: 10.0.0.0/33", ["MN166"]),
        ("vpc: new, zones: [us-east-1a], cidr: 10.0.0.1/16", ["MN166"]),
        ("vpc: new, zones: [us-east-1a], cidr: 010.0.0.0/16", ["MN166"]),
        ("vpc: new, zones: [us-east-1a], cidr: 127.0.0.0/16", ["MN168"]),
        ("vpc: new, zones: [us-east-1a], cidr: 224.0.0.0/16", ["MN168"]),
        ("vpc: new, zones: [us-east-1a], cidr: 172.17.128.0/20", ["MN170"]),
        ("vpc: new, zones: [us-east-1a], cidr: 172.16.0.0/16", []),
        ("vpc: new, zones: [us-east-1a], cidr: 100.64.0.0/16", []),
        ("vpc: new, zones: [us-east-1a], cidr: 8.8.0.0/16", ["MN169"]),
        ("vpc: new, zones: [us-east-1a], nat: false", ["MN160", "MN109"]),
        ("vpc: new, zones: [us-east-1a], nat: true, endpoints: []", []),
        ("vpc: new, zones: [us-east-1a], endpoints: [s3, ecr.api]", ["MN162"]),
        ("vpc: new, zones: [us-east-1a], endpoints: [s3, s3]", ["MN177"]),
        ("vpc: default, nat: true", ["MN161", "MN165"]),
        ("vpc: vpc-0123456789abcdef0", ["MN163"]),
        ("vpc: vpc-0123456789abcdef0, subnets: [subnet-01234567]", []),
        ("vpc: new, zones: [us-east-1a], route_tables: [rtb-01234567]", ["MN164"]),
        ("vpc: new, zones: [us-east-1a], ssh: {key_pair: k, from: [10.0.0.0/8]}", []),
        ("vpc: new, zones: [us-east-1a], ssh: {key_pair: k, from: [0.0.0.0/0]}", ["MN173"]),
        ("vpc: new, zones: [us-east-1a], ssh: {key_pair: k, from: [0.0.0.0/1]}", ["MN173"]),
        ("vpc: new, zones: [us-east-1a], ssh: {key_pair: k, from: [8.8.8.8/32]}", ["MN176"]),
        (
            "vpc: new, zones: [us-east-1a], ssh: {key_pair: k, from: [10.0.0.0/8, 10.1.0.0/16]}",
            ["MN175"],
        ),
        (
            "vpc: new, zones: [us-east-1a], ssh: {key_pair: k, from: [10.1.0.0/16, 10.0.0.0/8]}",
            ["MN175"],
        ),
        (
            "vpc: new, zones: [us-east-1a], ssh: {key_pair: k, from: [10.0.0.0/8, 10.0.0.0/8]}",
            ["MN177"],
        ),
    ],
)
def test_networks(inner: str, expected: list[str]) -> None:
    assert ids(network(inner)) == expected


@pytest.mark.parametrize(
    ("inner", "reached"),
    [
        ("endpoints: [s3, logs]", "logs, s3"),
        ("endpoints: []", "services that the VPC already has an endpoint for"),
    ],
)
def test_containers_in_the_default_vpc_reach_what_has_an_endpoint(inner: str, reached: str) -> None:
    [problem] = problems(network(f"vpc: default, {inner}"))
    assert problem.message.endswith(f"have no public address and reach only {reached}")


def test_bits_below_the_prefix_are_explained() -> None:
    [problem] = problems(network("vpc: new, zones: [us-east-1a], cidr: 10.1.2.3/16"))
    assert problem.hint == (
        "write 10.1.0.0/16 for the whole range, or 10.1.2.3/32 for the one address"
    )


@pytest.mark.parametrize("text", ["10.0.0.0/16", "0.0.0.0/0", "10.0.0.1/32"])
def test_ranges(text: str) -> None:
    assert str(parse_range(text)) == text


@pytest.mark.parametrize(
    ("mount", "sound"),
    [
        ("/efs", True),
        ("/shared/efs", True),
        ("/home/efs", True),
        ("/mnt/efs", True),
        ("/home", False),
        ("/opt", False),
        ("/tmp", False),
        ("/var/lib/docker", False),
        ("/proc/efs", False),
        ("/dev/shm", False),
    ],
)
def test_mount_points(mount: str, sound: bool) -> None:
    assert ids(environment() + f"storage: {{efs: {{mount: {mount}}}}}\n") == (
        [] if sound else ["MN181"]
    )


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ("service: create", ["MN185"]),
        ("service: 'arn:aws:iam::123456789012:role/AWSBatchServiceRole'", ["MN185"]),
        (f"service: '{IAM}:role/aws-service-role/batch.amazonaws.com/AWSServiceRole'", []),
        ("spot_fleet: create", ["MN187"]),
        ("permissions_boundary: 'arn:aws-us-gov:iam::123456789012:policy/b'", ["MN186"]),
        (f"instance_profile: '{IAM}:instance-profile/i'", []),
        ("job_policies: ['arn:aws:iam::aws:policy/job-function/Billing']", []),
        ("job_policies: ['arn:aws:iam::123456789012:policy/AdministratorAccess']", []),
        ("job_policies: ['arn:aws:iam::aws:policy/PowerUserAccess']", ["MN189"]),
        ("instance_policies: ['arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy']", []),
        ("instance_policies: ['arn:aws:iam::aws:policy/IAMFullAccess']", ["MN189"]),
        ("instance_policies: ['arn:aws-cn:iam::aws:policy/IAMReadOnlyAccess']", ["MN186"]),
        (f"instance_policies: ['{IAM}:policy/a', '{IAM}:policy/a']", ["MN177"]),
        (
            f"instance_profile: '{IAM}:instance-profile/i', instance_policies: ['{IAM}:policy/a']",
            ["MN407"],
        ),
        (
            f"instance_policies: ['arn:aws:iam::aws:policy/service-role/{names.AGENT_POLICY}']",
            ["MN430"],
        ),
    ],
)
def test_identities(roles: str, expected: list[str]) -> None:
    assert ids(environment() + f"roles: {{{roles}}}\n") == expected


def test_two_accounts() -> None:
    roles = f"instance_profile: '{IAM}:instance-profile/i', spot_fleet: none"
    other = "permissions_boundary: 'arn:aws:iam::210987654321:policy/b'"
    assert ids(environment() + f"roles: {{{roles}, {other}}}\n") == ["MN188"]


def test_placement_group_that_spans_all_zones_by_default() -> None:
    text = environment(multi_node="false", placement_group="MPIgroup")
    assert ids(text) == []  # one subnet, so one zone
    default = text.replace("vpc: vpc-01234567, subnets: [subnet-01234567]", "vpc: default")
    assert ids(default) == ["MN120"]


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("us-east-1", "aws"),
        ("cn-northwest-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
    ],
)
def test_partitions(region: str, partition: str) -> None:
    text = environment().replace("us-east-1", region)
    roles = f"roles: {{permissions_boundary: 'arn:{partition}:iam::123456789012:policy/b'}}\n"
    assert ids(text + roles) == []
    for given, expected in ((partition, []), ("aws-other", ["MN404"])):
        policy = f"arn:{given}:batch:{region}:123456789012:scheduling-policy/fair"
        queues = MPI.replace("]", f"], scheduling_policy: '{policy}'")
        assert ids(text.replace(MPI, queues)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tags: {Project: a, project: b}", ["MN193"]),
        ("tags: {'Mngen:image': a}", ["MN191"]),
        ("state: {bucket: 192.168.1.1}", ["MN195"]),
        ("state: {bucket: my-state-s3alias}", ["MN195"]),
        ("state: {bucket: my.state}", []),
        ("container: {image: 'docker.io/me/app:v1', tag: v2}", ["MN194"]),
        ("container: {image: 'docker.io/me/app'}", ["MN159"]),
        ("container: {image: 'localhost:5000/me/app:v1'}", []),
    ],
)
def test_names(text: str, expected: list[str]) -> None:
    assert ids(environment() + text + "\n") == expected


def test_every_problem_leads_on() -> None:
    text = (
        job(nodes=32, vcpus=96, memory=10**6, environment="{AWS_BATCH_X: ''}")
        + "tags: {Name: x}\nroles: {service: create}\n"
    )
    for problem in problems(text):
        assert problem.hint
        assert str(problem.source_url).startswith("https://")
        assert problem.position is not None
        assert problem.source_line


class TestWireUp:
    """What a job tells the wire-up."""

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"nodes": 2, "ranks_per_node": 24}, []),
            ({"nodes": 2, "ranks_per_node": 25}, ["MN198"]),
            ({"nodes": 2, "ranks_per_node": 6, "threads_per_rank": 4}, []),
            # There are as many ranks as there are CPUs for unless something else is said.
            ({"nodes": 2, "threads_per_rank": 24}, []),
            ({"nodes": 2, "threads_per_rank": 25}, ["MN198"]),
            # A node of a multi-node job has the machine for itself; a single-node job does not.
            ({"nodes": 2, "vcpus": 4, "ranks_per_node": 24}, []),
            ({"vcpus": 4, "ranks_per_node": 8}, ["MN198"]),
        ],
    )
    def test_threads_and_cpus(self, fields: dict[str, object], expected: list[str]) -> None:
        assert ids(job(**fields)) == expected

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            (
                {
                    "ranks_per_node": 1,
                    "threads_per_rank": 2,
                    "environment": '{OMP_NUM_THREADS: "2"}',
                },
                [],
            ),
            (
                {
                    "ranks_per_node": 1,
                    "threads_per_rank": 2,
                    "environment": '{OMP_NUM_THREADS: "1"}',
                },
                ["MN197"],
            ),
            ({"mpi_args": "[-x, A]", "environment": '{MNGEN_MPI_ARGS: "-x A"}'}, []),
            ({"mpi_args": "[-x, A]", "environment": '{MNGEN_MPI_ARGS: "-x B"}'}, ["MN197"]),
            ({"environment": '{MNGEN_RANKS_PER_NODE: "2"}'}, []),
            ({"environment": '{MNGEN_RANK_PER_NODE: "2"}'}, ["MN199"]),
        ],
    )
    def test_what_is_said_twice(self, fields: dict[str, object], expected: list[str]) -> None:
        assert ids(job(nodes=2, **fields)) == expected


def test_a_job_cannot_have_the_cores_that_cpus_leaves_unused() -> None:
    text = f"{environment(instance='r5.24xlarge', cpus=24)}jobs:\n"
    text += "  half: {queue: mpi, command: [hostname], vcpus: 24}\n"
    text += "  all: {queue: mpi, command: [hostname], vcpus: 48}\n"
    [(path, message)] = [
        (each.path, each.message) for each in problems(text) if each.severity is Severity.ERROR
    ]
    assert path == "jobs.all.vcpus"
    assert message.endswith("registers 24, its `cpus`, of the 96 vCPUs")


@pytest.mark.parametrize(
    ("base", "version", "hint"),
    [
        ("amazon-linux-2", "1.49.0", None),
        ("amazon-linux-2", "1.49.1", "write `efa_version: 1.49.0`, or remove the key"),
        ("amazon-linux-2", "1.50.0", "write `efa_version: 1.49.0`, or remove the key"),
        ("amazon-linux-2", "1.9.5", "remove `efa_version`, or name 1.11.0 or newer"),
        ("amazon-linux-2023", "1.51.0", None),
        ("amazon-linux-2023", "1.24.1", "remove `efa_version`, or name 1.25.0 or newer"),
    ],
)
def test_the_efa_installer_supports_the_base(base: str, version: str, hint: str | None) -> None:
    # Sources: the installer's ChangeLog, and for 1.49.0
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-changelog.html (at 1.50.0).
    text = environment(instance="c5n.18xlarge", efa="true")
    text += f"image: {{base: {base}, efa_version: {version}}}\n"
    found = [each for each in problems(text) if each.rule == "MN434"]
    assert [each.hint for each in found] == ([] if hint is None else [hint])
    assert all(each.path == "image.efa_version" for each in found)


def test_partitions_without_budgets_are_those_without_an_endpoint() -> None:
    # AWS's own list of endpoints, which botocore has.
    partitions = Loader().load_data("endpoints")["partitions"]
    known = {names.partition_of(next(iter(each["regions"]))) for each in partitions}
    lacking = {each["partition"] for each in partitions if "budgets" not in each["services"]}
    assert lacking & known == names.WITHOUT_BUDGETS


@pytest.mark.parametrize(
    ("nodes", "reserve", "other", "warned"),
    [
        # 16 nodes of 48 vCPUs are 768; 90 % of them are 691, which are 14 whole nodes.
        (15, 10, False, True),
        (14, 10, False, False),
        (16, 0, False, False),
        # What is kept is a part of all vCPUs of the queue, and the other environment has enough.
        (16, 10, True, False),
    ],
)
def test_what_a_reserve_leaves_to_one_share(
    nodes: int, reserve: int, other: bool, warned: bool
) -> None:
    """By https://docs.aws.amazon.com/batch/latest/APIReference/API_FairsharePolicy.html."""
    text = job(nodes=nodes).replace("[r5]", f"[r5], shares: {{reserve: {reserve}}}")
    if other:
        more = "  other: {instance: r5.24xlarge, max_nodes: 4}\n"
        text = text.replace(R5, R5 + more).replace("[r5]", "[r5, other]")
    assert ids(text).count("MN542") == warned


STORAGE = "storage: {bucket: my-results}\n"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"outputs": "'/efs/runs/{job}'"}, []),
        ({"outputs": "/efs/runs"}, ["MN514"]),
        ({"outputs": "/efs"}, ["MN513"]),
        # Not in the file system, though it has its name in its own.
        ({"outputs": "/efs-runs"}, []),
        ({"outputs": "/proc/self"}, ["MN512"]),
        ({"outputs": "/work/out", "tmpfs": "[{path: /work, size: 64}]"}, []),
        (
            {
                "outputs": "/lab/out/x",
                "mounts": "[{host: /opt/lab, path: /lab, read_only: true}, "
                "{host: /opt/out, path: /lab/out}]",
            },
            [],
        ),
        (
            {
                "outputs": "/lab/out/x",
                "mounts": "[{host: /opt/lab, path: /lab}, "
                "{host: /opt/out, path: /lab/out, read_only: true}]",
            },
            ["MN512"],
        ),
        (
            {
                "outputs": "/results",
                "container_properties": "{readonlyRootFilesystem: true}",
            },
            ["MN512"],
        ),
        (
            {
                "outputs": "'/efs/runs/{job}'",
                "container_properties": "{readonlyRootFilesystem: true}",
            },
            [],
        ),
    ],
)
def test_places_of_outputs(fields: dict[str, object], expected: list[str]) -> None:
    assert ids(STORAGE + job(**fields)) == expected


@pytest.mark.parametrize("points", ["true", "1", "x", "[1, {containerPath: 1}]", "{a: b}"])
def test_mount_points_of_another_form_are_another_rules_matter(points: str) -> None:
    fields = {"outputs": "'/efs/{job}'", "container_properties": f"{{mountPoints: {points}}}"}
    assert set(ids(STORAGE + job(**fields))) == {"MN478"}


@pytest.mark.parametrize("place", ["results", "/a/../b", "/a/./b", "/a b", "'/a/{jobs}'", "/"])
def test_what_is_no_place_of_outputs(place: str) -> None:
    assert ids(STORAGE + job(outputs=place)) == [None]


def test_outputs_need_a_bucket_and_a_role() -> None:
    text = job(outputs="'/results/{job}'")
    assert ids(text) == ["MN510"]
    assert ids(job(outputs="'/efs/{job}'", tmpfs="[{path: /work, size: 64}]")) == []
    assert ids(job(outputs="'/work/{job}'", tmpfs="[{path: /work, size: 64}]")) == ["MN510"]
    assert ids(LUSTRE + job(outputs="'/fsx/{job}'")) == []
    assert ids("roles: {job: none}\n" + job(outputs="'/efs/{job}'")) == []
    # A bucket that is not valid is reported alone.
    assert ids("storage: {bucket: A}\n" + text) == [None]
    none = STORAGE + "roles: {job: none}\n"
    assert ids(none + text) == ["MN511"]
    own = job(outputs="'/efs/runs/{job}'", role="arn:aws:iam::123456789012:role/a")
    assert ids(none + own) == []
