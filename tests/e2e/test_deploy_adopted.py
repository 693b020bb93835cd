"""What was made by hand is taken over by real Terraform: nothing of it is replaced or lost.

The queue, the job definition and the repository are made by AWS's API, as a reader of the tutorial
has them, and come into the state by import blocks, as Terraform documents them:
https://developer.hashicorp.com/terraform/language/import. The ids are those of the provider's
documentation of each resource.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.sandbox import ACCOUNT_ID
from tests.support.sandbox import client, make_environment
from tests.support.stack import Stack, TerraformError, changes, only

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

REGION = "ap-southeast-2"
BATCH = f"arn:aws:batch:{REGION}:{ACCOUNT_ID}"
QUEUE = "module.queue_mpi[0].aws_batch_job_queue.this"
JOB = "module.job_example.aws_batch_job_definition.this"
COUPLED = "module.job_coupled.aws_batch_job_definition.this"
REPOSITORY = "module.registry.aws_ecr_repository.this"
SPEC = f"""
name: adopted
region: {REGION}
network: {{endpoints: []}}
environments:
  new: {{instance: r5.24xlarge, max_nodes: 4}}
queues:
  mpi:
    aws_name: MultiNodeQueue_R5_MAX_24
    environments: [new]
    legacy: ["{BATCH}:compute-environment/R5_ON_DEMAND_MAXCPU_24"]
    priority: 1000
    protect: true
container:
  aws_name: aws_multi_node_batch
  tag: v1.1
  protect: true
jobs:
  example:
    aws_name: multi_node_job_definition
    queue: mpi
    nodes: 2
    command: [python3, /efs/example.py]
    protect: true
  coupled:
    aws_name: coupled
    queue: mpi
    definition: coupled.json
    protect: true
"""
WITH_KEYS = SPEC.replace("definition: coupled.json", "command: [main]\n    nodes: 3")
DEFINITION = json.loads(
    (Path(__file__).resolve().parents[1] / "specs" / "definitions" / "coupled.json")
    .read_text(encoding="utf-8")
    .replace("r5.12xlarge", "r5.24xlarge")
)
DESCRIBED = ("jobDefinitionArn", "revision", "status", "containerOrchestrationType", "tags")
"""What AWS adds to a definition, and tags, to which Terraform adds those of the deployment."""

IMPORTS = f"""
import {{
  to = {QUEUE}
  id = "{BATCH}:job-queue/MultiNodeQueue_R5_MAX_24"
}}

import {{
  to = {JOB}
  id = "{BATCH}:job-definition/multi_node_job_definition:2"
}}

import {{
  to = {COUPLED}
  id = "{BATCH}:job-definition/coupled:1"
}}

import {{
  to = {REPOSITORY}
  id = "aws_multi_node_batch"
}}
"""


class Lab:
    """What a group has in its account, made by hand."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.batch = client(sandbox, "batch", REGION)
        self.ecr = client(sandbox, "ecr", REGION)

    def make(self) -> None:
        """Make the environment, the queue, two revisions and a repository with an image."""
        make_environment(self.sandbox, REGION, "R5_ON_DEMAND_MAXCPU_24")
        self.batch.create_job_queue(
            jobQueueName="MultiNodeQueue_R5_MAX_24",
            priority=1000,
            computeEnvironmentOrder=[
                {"order": 1, "computeEnvironment": "R5_ON_DEMAND_MAXCPU_24"},
            ],
        )
        registry = f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com"
        for memory in (8000, 12000):
            container = {
                "image": f"{registry}/aws_multi_node_batch:v1.1",
                "vcpus": 24,
                "memory": memory,
                "environment": [{"name": "NUM_CORES", "value": "24"}],
            }
            self.batch.register_job_definition(
                jobDefinitionName="multi_node_job_definition",
                type="multinode",
                nodeProperties={
                    "numNodes": 2,
                    "mainNode": 0,
                    "nodeRangeProperties": [{"targetNodes": "0:1", "container": container}],
                },
            )
        content = {key: each for key, each in DEFINITION.items() if key not in DESCRIBED}
        self.batch.register_job_definition(**content)
        self.ecr.create_repository(
            repositoryName="aws_multi_node_batch", imageTagMutability="MUTABLE"
        )
        manifest = {"schemaVersion": 2, "config": {"digest": "sha256:" + "0" * 64}}
        self.ecr.put_image(
            repositoryName="aws_multi_node_batch",
            imageManifest=json.dumps(manifest),
            imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
            imageTag="v1.1",
        )

    def queue(self) -> dict[str, Any]:
        """Describe the queue."""
        found = self.batch.describe_job_queues(jobQueues=["MultiNodeQueue_R5_MAX_24"])["jobQueues"]
        [queue] = found
        return dict(queue)

    def order(self) -> list[str]:
        """Return the names of the queue's environments, in their order."""
        order = sorted(self.queue()["computeEnvironmentOrder"], key=lambda each: each["order"])
        return [each["computeEnvironment"].rpartition("/")[2] for each in order]

    def definitions(self, name: str = "multi_node_job_definition") -> dict[int, dict[str, Any]]:
        """Describe the active revisions of a job definition, in their order."""
        found = self.batch.describe_job_definitions(jobDefinitionName=name, status="ACTIVE")
        revisions = {each["revision"]: dict(each) for each in found["jobDefinitions"]}
        return dict(sorted(revisions.items()))

    def repository(self) -> dict[str, Any]:
        """Describe the repository."""
        [found] = self.ecr.describe_repositories(repositoryNames=["aws_multi_node_batch"])[
            "repositories"
        ]
        return dict(found)

    def images(self) -> list[Any]:
        """List the images in the repository."""
        found = self.ecr.list_images(repositoryName="aws_multi_node_batch")
        return list(found["imageIds"])


def test_names_arns_images_and_revisions_are_kept_from_stage_to_stage(
    sandbox: Sandbox, terraform_env: dict[str, str], requires_provider: None, tmp_path: Path
) -> None:
    sandbox.reset()
    lab = Lab(sandbox)
    lab.make()
    queue, images, repository = lab.queue(), lab.images(), lab.repository()
    with Stack(tmp_path, sandbox.environment(REGION, terraform_env)) as stack:
        # As `describe-job-definitions` prints it.
        (stack.folder / "coupled.json").write_text(json.dumps(DEFINITION), encoding="utf-8")
        stack.render(SPEC)
        (stack.terraform_folder / "imports.tf").write_text(IMPORTS, encoding="utf-8")

        # Adopted before any AMI is baked: the queue goes on with what it has.
        done = stack.apply()
        assert only(done, "delete") == {}
        assert set(only(done, "update")) <= {QUEUE, JOB, COUPLED, REPOSITORY}
        assert not any("lifecycle_policy" in address for address in done)
        assert stack.unchanged()
        assert lab.queue()["jobQueueArn"] == queue["jobQueueArn"]
        assert lab.order() == ["R5_ON_DEMAND_MAXCPU_24"]
        assert list(lab.definitions()) == [1, 2, 3]
        # It gets tags, and no new revision: it is the file's already.
        [coupled] = lab.definitions("coupled").values()
        assert coupled["tags"] == {"group": "ocean", "mngen:deployment": "adopted"}
        assert lab.images() == images
        for kept in ("repositoryArn", "createdAt", "imageTagMutability", "encryptionConfiguration"):
            assert lab.repository()[kept] == repository[kept]
        assert stack.outputs()["queues"] == {"mpi": "MultiNodeQueue_R5_MAX_24"}

        # Without its name the queue would be another one.
        stack.render(SPEC.replace("    aws_name: MultiNodeQueue_R5_MAX_24\n", ""))
        with pytest.raises(TerraformError, match=r"module\.queue_mpi\[0\]") as refused:
            stack.plan()
        assert "prevent_destroy" in str(refused.value)

        (stack.terraform_folder / "imports.tf").unlink()

        # With another name in the spec alone, the queue and the job definition stay.
        renamed = SPEC.replace("  mpi:\n", "  other:\n").replace("queue: mpi", "queue: other")
        stack.render(renamed.replace("  example:\n", "  model:\n"))
        assert only(changes(stack.plan()), "delete") == {QUEUE: ["delete"], JOB: ["delete"]}
        assert stack.kept() == {
            QUEUE: "module.queue_other[0].aws_batch_job_queue.this",
            JOB: "module.job_model.aws_batch_job_definition.this",
        }

        # The new environment comes before the old one, and then the old one leaves.
        longer = {**DEFINITION, "timeout": {"attemptDurationSeconds": 7200}}
        (stack.folder / "coupled.json").write_text(json.dumps(longer), encoding="utf-8")
        stack.render(SPEC)
        stack.record_images("r5.24xlarge")
        done = stack.apply()
        assert only(done, "delete") == {}
        assert only(done, "update") == {QUEUE: ["update"], COUPLED: ["update"]}
        # The provider has registered all that is in the file, and nothing else.
        before, after = lab.definitions("coupled").values()
        wanted = {key: each for key, each in before.items() if key not in DESCRIBED}
        wanted["timeout"] = longer["timeout"]
        assert {key: each for key, each in after.items() if key not in DESCRIBED} == wanted
        assert after["tags"] == before["tags"]
        new, old = lab.order()
        assert (new[:12], old) == ("adopted-new-", "R5_ON_DEMAND_MAXCPU_24")
        assert stack.unchanged()
        # A definition from a file becomes one with keys in place.
        last = WITH_KEYS.replace(
            f'    legacy: ["{BATCH}:compute-environment/R5_ON_DEMAND_MAXCPU_24"]\n', ""
        )
        stack.render(last)
        assert stack.apply() == {QUEUE: ["update"], COUPLED: ["update"]}
        assert list(lab.definitions("coupled")) == [1, 2, 3]
        assert stack.unchanged()
        assert lab.order() == [new]
        assert lab.queue()["jobQueueArn"] == queue["jobQueueArn"]
        named = lab.batch.describe_compute_environments(computeEnvironments=[old])
        assert [each["status"] for each in named["computeEnvironments"]] == ["VALID"]

        # Even unprotected, a repository with images is never deleted.
        stack.render(last.replace("protect: true", "protect: false"))
        with pytest.raises(TerraformError, match="RepositoryNotEmptyException"):
            stack.destroy()
        assert lab.images() == images
        lab.ecr.batch_delete_image(repositoryName="aws_multi_node_batch", imageIds=images)
        stack.destroy()
        assert stack.resources() == []
