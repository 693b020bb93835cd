"""Jobs on what real Terraform made: its names and definitions are those that are asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mngen.errors import InputError
from mngen.jobs import Jobs, Order
from mngen.sandbox import start_sandbox
from tests.support.builders import base_ami
from tests.support.cli import mngen
from tests.support.sandbox import client
from tests.support.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
name: deployed
region: us-east-1
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1a]}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    nodes: 2
    command: [python3, /efs/mpi_example.py, "it's ${quoted} \\"so\\""]
    environment: {OMP_NUM_THREADS: "1", EMPTY: ""}
    attempts: 2
    timeout: 600
  one: {queue: mpi, command: [hostname]}
  coupled:
    queue: mpi
    nodes: 3
    timeout: 600
    groups:
      ocean:
        nodes: "1:"
        command: [/opt/ocean, "${STEP}"]
        image: docker.io/lab/ocean:v2
        environment: {STEP: "600", EMPTY: ""}
      coupler: {nodes: "0:0", command: [/opt/coupler], memory: 65536, vcpus: 8}
"""


def test_a_job_runs_on_what_terraform_made(
    tmp_path: Path,
    terraform_env: dict[str, str],
    requires_provider: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with (
        start_sandbox() as sandbox,
        Stack(tmp_path, sandbox.environment("us-east-1", terraform_env)) as stack,
    ):
        stack.render(SPEC)
        stack.apply()
        ec2, ecr = client(sandbox, "ec2"), client(sandbox, "ecr")
        base = base_ami(sandbox)
        image = ec2.copy_image(Name="deployed-r5", SourceImageId=base, SourceRegion="us-east-1")[
            "ImageId"
        ]
        ec2.create_tags(Resources=[image], Tags=[{"Key": "mngen:image", "Value": "r5.12xlarge"}])
        (stack.terraform_folder / "amis.auto.tfvars.json").write_text(
            json.dumps({"amis": {"r5.12xlarge": {"id": image}}}), encoding="utf-8"
        )
        with sandbox.applied():
            jobs = Jobs.of(tmp_path / "mngen.yaml")
            before = {each.rule for each in jobs.prepare(Order(job="hello")).problems}
            # Neither the queue nor the container image is there yet.
            assert before == {"MN302", "MN312"}
        stack.apply()
        ecr.put_image(
            repositoryName="deployed/mpi",
            imageManifest=json.dumps({"schemaVersion": 2}),
            imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
            imageTag="v1",
        )
        with sandbox.applied():
            # No rule finds a fault: the definition is the spec's, field by field.
            assert jobs.prepare(Order(job="one")).problems == ()
            assert jobs.prepare(Order(job="hello", nodes=4)).problems == ()
            assert jobs.prepare(Order(job="coupled", nodes=4)).problems == ()
        done = mngen(
            "submit",
            "hello",
            "--nodes",
            "4",
            "--follow",
            cwd=tmp_path,
            env={**sandbox.environment(), "XDG_STATE_HOME": str(tmp_path / "state")},
        )
        assert done.returncode == 0, done.stderr
        identifier = done.stdout.split()[0]
        assert "end: exit 0" in done.stdout
        with sandbox.applied():
            found = jobs.status(identifier)
            assert found.log_group == stack.outputs()["log_group"]
        assert (found.state, found.queue, len(found.nodes)) == ("SUCCEEDED", "mpi", 4)
        # By hand: 3.024 USD an hour; a day of one node, and 10 minutes of two nodes, twice.
        planned = stack.mngen("plan")
        assert planned.returncode == 0, planned.stderr
        assert planned.stdout.splitlines()[-1] == (
            "price: at most one 72.58 USD (1 x r5.12xlarge x 24 h); hello 2.02 USD (2 x "
            "r5.12xlarge x 10 min x 2 attempts); coupled 1.51 USD (3 x r5.12xlarge x 10 min); on "
            "demand in us-east-1, 2026-07-20"
        )
        price = json.loads(stack.mngen("plan", "--format", "json").stdout)["price"]
        assert [each["job"] for each in price["jobs"]] == ["one", "hello", "coupled"]
        cost = mngen(
            "cost", identifier, "--format", "json", cwd=tmp_path, env=sandbox.environment()
        )
        ran = sum(
            attempt["stoppedAt"] - attempt["startedAt"]
            for node in client(sandbox, "batch").describe_jobs(
                jobs=[f"{identifier}#{index}" for index in range(4)]
            )["jobs"]
            for attempt in node["attempts"]
        )
        assert json.loads(cost.stdout)["total"]["amount"] == pytest.approx(ran / 3.6e6 * 3.024)
        with sandbox.applied():
            check_node_groups(jobs)
            coupled = client(sandbox, "batch").describe_job_definitions(
                jobDefinitionName="deployed-coupled", status="ACTIVE"
            )["jobDefinitions"]
        assert [each["revision"] for each in coupled] == [1]
        ranges = coupled[0]["nodeProperties"]["nodeRangeProperties"]
        assert [each["targetNodes"] for each in ranges] == ["0:0", "1:"]
        of_coupler, of_ocean = (each["container"] for each in ranges)
        assert of_coupler["command"] == ["/opt/coupler"]
        assert of_ocean["command"] == ["/opt/ocean", "${STEP}"]
        assert of_ocean["image"] == "docker.io/lab/ocean:v2"
        assert of_coupler["image"].endswith("/deployed/mpi:v1")
        assert of_coupler["volumes"] == of_ocean["volumes"] != []
        assert {"type": "VCPU", "value": "8"} in of_coupler["resourceRequirements"]
        # The second plan is empty.
        assert stack.unchanged()
        with sandbox.applied():
            check_registered_groups(tmp_path / "mngen.yaml")


def check_node_groups(jobs: Jobs) -> None:
    """Submit a job with node groups, and see which group each node belongs to."""
    submitted = jobs.submit("coupled", nodes=4, environment={"CASE": "north"})
    jobs.wait(submitted.id)
    found = jobs.status(submitted.id)
    assert [each.group for each in found.nodes] == ["coupler", "ocean", "ocean", "ocean"]
    assert found.state == "SUCCEEDED"
    prefixes = [str(each.log_stream).rpartition("/default/")[0] for each in found.nodes]
    assert prefixes == ["deployed-coupled/coupler", *["deployed-coupled/ocean"] * 3]
    with pytest.raises(InputError, match="a command would replace that of every node group"):
        jobs.submit("coupled", command=("hostname",))
    with pytest.raises(InputError, match="`ocean` of `coupled` starts at node 1, and 1 nodes"):
        jobs.submit("coupled", nodes=1)


def check_registered_groups(spec: Path) -> None:
    """Register what the spec says after a change: another group, other commands and images."""
    text = spec.read_text(encoding="utf-8").replace('nodes: "1:"', 'nodes: "2:"')
    ice = 'ice: {nodes: "1:1", command: [/opt/ice], gpus: 0, shared_memory: 2048}'
    spec.write_text(text.replace("coupler: {", f"{ice}\n      coupler: {{"), encoding="utf-8")
    jobs = Jobs.of(spec)
    [problem] = jobs.prepare(Order(job="coupled")).problems
    assert problem.rule == "MN314"
    assert problem.message.endswith("differs from the spec in groups")
    submitted = jobs.submit("coupled", register=True)
    found = jobs.status(submitted.id)
    assert found.definition == "deployed-coupled:2"
    assert [each.group for each in found.nodes] == ["coupler", "ice", "ocean"]
    # The revision is the spec's, field by field.
    assert jobs.prepare(Order(job="coupled")).problems == ()
    text = spec.read_text(encoding="utf-8").replace("[/opt/ice]", "[/opt/thaw]")
    spec.write_text(text.replace("lab/ocean:v2", "lab/ocean:v3"), encoding="utf-8")
    [problem] = Jobs.of(spec).prepare(Order(job="coupled")).problems
    assert problem.message.endswith("differs from the spec in command, image")
