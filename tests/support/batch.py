"""A deployment's Batch resources in a sandbox, made with boto3 as Terraform would make them.

Real Terraform takes half a minute for the same; that the two agree is tested end to end.
"""

from __future__ import annotations

import json
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from mngen.catalog import load_catalog
from mngen.cluster import (
    batch_image_type,
    container_properties,
    grants_shell,
    job_variables,
    retry_conditions,
    writes_outputs,
)
from mngen.jobs import UNFINISHED
from mngen.rules import require
from mngen.sandbox import ACCOUNT_ID
from mngen.spec import JobFromFile, load_text
from tests.support.builders import base_ami
from tests.support.sandbox import client, control

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.cluster import Cluster, ResolvedEnvironment, ResolvedJob
    from mngen.jobs import Jobs
    from mngen.sandbox import Sandbox


def spec_text(name: str, *, nodes: int = 2, max_nodes: int = 4, more: str = "") -> str:
    """Write a spec with a multi-node job `mpi`, a single-node job `one`, and a queue for each."""
    return f"""\
name: {name}
region: us-east-1
environments:
  r5: {{instance: r5.12xlarge, max_nodes: {max_nodes}, zones: [us-east-1a]}}
  m4: {{instance: m4.4xlarge, max_nodes: 8, multi_node: false, purchase: spot}}
queues:
  big: {{environments: [r5]}}
  small: {{environments: [m4]}}
jobs:
  mpi:
    queue: big
    nodes: {nodes}
    command: [python3, /efs/mpi_example.py]
    environment: {{OMP_NUM_THREADS: "1"}}
    timeout: 3600
  one: {{queue: small, command: [hostname]}}
{more}"""


def make_block(ec2: Any, instance: str = "p5.48xlarge", count: int = 4, *, hours: int = 48) -> str:
    """Purchase a capacity block in the first zone; return its id. It begins the next day."""
    [offering] = ec2.describe_capacity_block_offerings(
        InstanceType=instance, InstanceCount=count, CapacityDurationHours=hours
    )["CapacityBlockOfferings"]
    bought = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=offering["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )
    return str(bought["CapacityReservation"]["CapacityReservationId"])


def _reserved(environment: ResolvedEnvironment) -> dict[str, Any]:
    """Return what the launch template has for reserved capacity that is named by its id."""
    capacity = environment.spec.capacity
    if capacity is None:
        return {}
    target = {"CapacityReservationTarget": {"CapacityReservationId": capacity.id}}
    market = {"InstanceMarketOptions": {"MarketType": "capacity-block"}} if capacity.block else {}
    return {"CapacityReservationSpecification": target, **market}


def hold(jobs: Jobs, state: str, job: str = "mpi", **wanted: Any) -> str:
    """Submit a job that does not leave a state, and wait until it is there."""
    variables = {"MNGEN_SANDBOX_HOLD": state, **wanted.pop("environment", {})}
    name = wanted.pop("name", None) or f"n{uuid4().hex[:10]}"
    identifier = jobs.submit(job, name=name, environment=variables, **wanted).id
    deadline = time.monotonic() + 180
    while jobs.status(identifier, why=False, instances=False).state != state:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return identifier


def _of_nodes(job: ResolvedJob) -> dict[str, Any]:
    """Return what follows from the adapters, the GPUs and the disks of a job's nodes."""
    found: dict[str, Any] = {}
    limits = {"memlock": -1} if job.efa_interfaces or job.gpus else {}
    limits |= {"nofile": 1_024_000, "stack": 67_108_864} if job.gpus else {}
    if limits:
        found["ulimits"] = [
            {"name": name, "hardLimit": limit, "softLimit": limit} for name, limit in limits.items()
        ]
    if job.efa_interfaces:
        paths = [f"/dev/infiniband/uverbs{index}" for index in range(job.efa_interfaces)]
        rights = ["READ", "WRITE", "MKNOD"]
        found["linuxParameters"] = {
            "devices": [
                {"hostPath": path, "containerPath": path, "permissions": rights} for path in paths
            ]
        }
    if job.scratch:
        mount = {"containerPath": job.scratch, "readOnly": False, "sourceVolume": "scratch"}
        found["volumes"] = [{"name": "scratch", "host": {"sourcePath": job.scratch}}]
        found["mountPoints"] = [mount]
    return found


def _merged(container: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """Add further properties to a container, as the module of job definitions does."""
    merged = {**container, **properties}
    for key in ("volumes", "mountPoints"):
        if key in properties:
            merged[key] = [*container.get(key, []), *properties[key]]
    if "linuxParameters" in properties:
        linux = {**container.get("linuxParameters", {}), **properties["linuxParameters"]}
        devices = container.get("linuxParameters", {}).get("devices", [])
        if devices:
            linux["devices"] = [*devices, *properties["linuxParameters"].get("devices", [])]
        merged["linuxParameters"] = linux
    return merged


def array_of(deployed: Deployed, size: int, job: str = "one", **changes: Any) -> str:
    """Submit an array, as another tool would; return its ID.

    Args:
        deployed: The deployment.
        size: How many jobs it has.
        job: A single-node job of the spec.
        changes: What the request has besides; `variables` are those of the jobs.
    """
    variables = changes.pop("variables", {})
    environment = [{"name": key, "value": value} for key, value in variables.items()]
    answer = deployed.batch.submit_job(
        **{
            "jobName": f"n{uuid4().hex[:10]}",
            "jobQueue": f"{deployed.name}-small",
            "jobDefinition": f"{deployed.name}-{job}",
            "arrayProperties": {"size": size},
            "containerOverrides": {"environment": environment},
            **changes,
        }
    )
    return str(answer["jobId"])


def refused(call: Any, **arguments: Any) -> str:
    """Make a call that AWS Batch refuses; return its message."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == "ClientException"
    return str(caught.value.response["Error"]["Message"])


class Deployed:
    """A deployment that stands in a sandbox.

    Attributes:
        cluster: The spec joined with the catalog.
        sandbox: The emulated AWS.
        images: IDs of the AMIs, by the images' names.
        job_role: Name of the role that the containers run with.
        environments: Names of the compute environments, by their name in the spec.
    """

    def __init__(
        self, sandbox: Sandbox, text: str, files: Mapping[str, bytes] = MappingProxyType({})
    ) -> None:
        self.sandbox = sandbox
        loaded = load_text(text.encode(), files=files)
        self.cluster: Cluster = require(loaded, load_catalog())
        self.name = self.cluster.spec.name
        self.batch = client(sandbox, "batch")
        self.ec2 = client(sandbox, "ec2")
        self.iam = client(sandbox, "iam")
        self.logs = client(sandbox, "logs")
        self.environments: dict[str, str] = {}
        self._make()

    def control(self, **wishes: Any) -> None:
        """Set how the emulator's jobs behave."""
        control(self.sandbox, **wishes)

    def job(self, identifier: str) -> dict[str, Any]:
        """Describe a job."""
        found: dict[str, Any] = self.batch.describe_jobs(jobs=[identifier])["jobs"][0]
        return found

    def reached(self, identifier: str, *states: str) -> dict[str, Any]:
        """Wait until a job is in one of some states; describe it."""
        deadline = time.monotonic() + 180
        while (found := self.job(identifier))["status"] not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def drain(self) -> None:
        """Terminate every job of the deployment, and wait until its instances are free again."""
        queues = [each.spec.aws_name or f"{self.name}-{each.name}" for each in self.cluster.queues]
        # With a filter, one listing has jobs in all states.
        # Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html (filters)
        everything = [{"name": "AFTER_CREATED_AT", "values": ["0"]}]
        pages = self.batch.get_paginator("list_jobs")
        deadline = time.monotonic() + 180
        while left := [
            each["jobId"]
            for queue in queues
            for page in pages.paginate(jobQueue=queue, filters=everything)
            for each in page["jobSummaryList"]
            if each["status"] in UNFINISHED
        ]:
            assert time.monotonic() < deadline, left
            for identifier in left:
                self.batch.terminate_job(jobId=identifier, reason="the test has ended")
            time.sleep(0.05)

    def ecs_members(self, environment: str) -> set[str]:
        """Read which EC2 instances have joined the ECS cluster of an environment."""
        described = self.batch.describe_compute_environments(
            computeEnvironments=[self.environments[environment]]
        )["computeEnvironments"]
        cluster = described[0]["ecsClusterArn"]
        ecs = client(self.sandbox, "ecs")
        arns = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
        found = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)
        return {each["ec2InstanceId"] for each in found["containerInstances"]}

    def register(self, job: ResolvedJob, **changes: Any) -> None:
        """Register a job's definition as the rendered module does."""
        if isinstance(job.spec, JobFromFile):
            content: dict[str, Any] = job.spec.from_file.content
            named = {"jobDefinitionName": job.spec.aws_name or f"{self.name}-{job.name}"}
            self.batch.register_job_definition(**(content | named))
            return
        container = {**self._container(job), **changes}
        arguments: dict[str, Any] = {"containerProperties": container, "type": "container"}
        if job.spec.nodes is not None:
            nodes = [{"targetNodes": "0:", "container": container}]
            arguments = {
                "type": "multinode",
                "nodeProperties": {
                    "mainNode": 0,
                    "numNodes": job.spec.nodes,
                    "nodeRangeProperties": nodes,
                },
            }
        self.batch.register_job_definition(
            jobDefinitionName=job.spec.aws_name or f"{self.name}-{job.name}",
            platformCapabilities=["EC2"],
            propagateTags=True,
            retryStrategy={
                "attempts": job.spec.attempts,
                "evaluateOnExit": retry_conditions(
                    job.spec.retry, uploads=job.spec.outputs is not None
                ),
            },
            timeout={"attemptDurationSeconds": job.spec.timeout},
            tags={"mngen:deployment": self.name},
            **arguments,
        )

    def _make(self) -> None:
        # Another test of the session may have lowered a quota for good.
        quotas = client(self.sandbox, "service-quotas")
        for code in ("L-1216C47A", "L-34B43A08"):
            quotas.request_service_quota_increase(
                ServiceCode="ec2", QuotaCode=code, DesiredValue=4096
            )
        self.logs.create_log_group(logGroupName=f"/mngen/{self.name}/jobs")
        self._make_job_role()
        self.profile = f"{self.name}-node"
        self.iam.create_instance_profile(InstanceProfileName=self.profile)
        self.iam.create_role(RoleName=self.profile, AssumeRolePolicyDocument="{}")
        self.iam.add_role_to_instance_profile(
            InstanceProfileName=self.profile, RoleName=self.profile
        )
        base = base_ami(self.sandbox)
        self.images = {name: self._image(name, base) for name in self.cluster.images}
        self.push_image()
        subnets = self.ec2.describe_subnets()["Subnets"]
        groups = self.ec2.describe_security_groups()["SecurityGroups"]
        for environment in self.cluster.environments:
            self._environment(environment, subnets, groups)
        for queue in self.cluster.queues:
            policy = self._policy(queue.name)
            self.batch.create_job_queue(
                jobQueueName=queue.spec.aws_name or f"{self.name}-{queue.name}",
                **({"schedulingPolicyArn": policy} if policy else {}),
                priority=queue.spec.priority,
                state="ENABLED" if queue.spec.enabled else "DISABLED",
                computeEnvironmentOrder=[
                    {"order": place, "computeEnvironment": self.environments[each.name]}
                    for place, each in enumerate(queue.environments)
                ],
                tags={"mngen:deployment": self.name},
            )
        for job in self.cluster.jobs:
            self.register(job)

    def _policy(self, queue: str) -> str | None:
        """Make the scheduling policy that a queue of the spec has or names; return its ARN."""
        spec = self.cluster.spec.queues[queue]
        content: dict[str, Any] = {}
        if spec.shares is not None:
            name = f"{self.name}-{queue}"
            content = {
                "computeReservation": spec.shares.reserve,
                "shareDecaySeconds": spec.shares.decay,
                "shareDistribution": [
                    {"shareIdentifier": share, "weightFactor": weight}
                    for share, weight in spec.shares.weights.items()
                ],
            }
        elif spec.scheduling_policy is not None:
            name = spec.scheduling_policy.rpartition("/")[2]
        else:
            return None
        found = self.batch.list_scheduling_policies()["schedulingPolicies"]
        known = {each["arn"].rpartition("/")[2]: each["arn"] for each in found}
        if name not in known:
            made = self.batch.create_scheduling_policy(name=name, fairsharePolicy=content)
            known[name] = made["arn"]
        return str(known[name])

    def _make_job_role(self) -> None:
        spec = self.cluster.spec
        self.job_role = f"{self.name}-job-00000000000000000000000000"
        self.iam.create_role(RoleName=self.job_role, AssumeRolePolicyDocument="{}")
        if grants_shell(spec):
            actions = [
                f"ssmmessages:{verb}{kind}Channel"
                for verb in ("Create", "Open")
                for kind in ("Control", "Data")
            ]
            statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            self.iam.put_role_policy(
                RoleName=self.job_role,
                PolicyName="shell",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            )
        if spec.storage.bucket:
            objects = f"arn:aws:s3:::{spec.storage.bucket}/mngen/{self.name}/inputs/*"
            statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": objects}
            self.iam.put_role_policy(
                RoleName=self.job_role,
                PolicyName="inputs",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            )
        if writes_outputs(spec):
            objects = f"arn:aws:s3:::{spec.storage.bucket}/mngen/{self.name}/outputs/*"
            actions = ["s3:AbortMultipartUpload", "s3:PutObject"]
            statement = {"Effect": "Allow", "Action": actions, "Resource": objects}
            self.iam.put_role_policy(
                RoleName=self.job_role,
                PolicyName="outputs",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            )

    def push_image(self) -> None:
        """Make the repository and put an image with the spec's tag into it."""
        container = self.cluster.spec.container
        if container.image:
            return
        ecr = client(self.sandbox, "ecr")
        name = f"{self.name}/{container.repository}"
        made = ecr.create_repository(repositoryName=name)["repository"]
        self.repository = str(made["repositoryUri"])
        self.put_image(name, container.tag)

    def put_image(self, repository: str, tag: str) -> None:
        """Put an image of the deployment's own into a repository."""
        client(self.sandbox, "ecr").put_image(
            repositoryName=repository,
            imageManifest=json.dumps({"schemaVersion": 2, "config": {"digest": self.name}}),
            imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
            imageTag=tag,
        )

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        return client(self.sandbox, service)

    def _image(self, name: str, base: str) -> str:
        made = self.ec2.copy_image(
            Name=f"{self.name}-{name}", SourceImageId=base, SourceRegion="us-east-1"
        )["ImageId"]
        self.ec2.create_tags(Resources=[made], Tags=[{"Key": "mngen:image", "Value": name}])
        # What the kernel's command line has in an AMI that was baked.
        for each in self.cluster.environments:
            if each.image == name and each.nr_cpus:
                self.control(nr_cpus={made: each.nr_cpus})
        return str(made)

    def _environment(
        self, each: ResolvedEnvironment, subnets: list[Any], groups: list[Any]
    ) -> None:
        zones = each.zones or ("us-east-1a",)
        subnet = next(one for one in subnets if one["AvailabilityZone"] in zones)
        group = next(one["GroupId"] for one in groups if one["VpcId"] == subnet["VpcId"])
        name = f"{self.name}-{each.name}-00000000000000000000000000"
        spot = each.spec.purchase == "spot"
        role = self.cluster.spec.roles.service
        tags = {"mngen:deployment": self.name, "Name": f"{self.name}-{each.name}"}
        template = self.ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={
                "TagSpecifications": [
                    {
                        "ResourceType": "instance",
                        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                    }
                ],
                **_reserved(each),
            },
        )["LaunchTemplate"]
        self.batch.create_compute_environment(
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources={
                "type": "SPOT" if spot else "EC2",
                "allocationStrategy": each.allocation,
                "minvCpus": each.min_vcpus,
                "maxvCpus": each.max_vcpus,
                "instanceTypes": [kind.name for kind in each.types],
                "instanceRole": f"arn:aws:iam::{ACCOUNT_ID}:instance-profile/{self.profile}",
                "subnets": [subnet["SubnetId"]],
                "securityGroupIds": [group],
                "ec2Configuration": [
                    {
                        "imageType": batch_image_type("amazon-linux-2023", gpu=each.gpus > 0),
                        "imageIdOverride": self.images[each.image],
                    }
                ],
                "launchTemplate": {"launchTemplateId": template["LaunchTemplateId"]},
            },
            tags={"mngen:deployment": self.name},
            **({} if role == "service-linked" else {"serviceRole": role}),
        )
        self.environments[each.name] = name

    def _container(self, job: ResolvedJob) -> dict[str, Any]:
        container = self.cluster.spec.container
        image = job.spec.image or container.image or f"{self.repository}:{container.tag}"
        known = {
            "image": image,
            "command": list(job.spec.command),
            "jobRoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{self.job_role}",
            "resourceRequirements": [
                *([{"type": "GPU", "value": str(job.gpus)}] if job.gpus else []),
                {"type": "MEMORY", "value": str(job.memory)},
                {"type": "VCPU", "value": str(job.vcpus)},
            ],
            "environment": [
                {"name": name, "value": value}
                for name, value in job_variables(self.cluster.spec, job).items()
            ],
            **_of_nodes(job),
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": f"/mngen/{self.name}/jobs",
                    "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": f"{self.name}-{job.name}",
                },
            },
        }
        return _merged(known, container_properties(self.cluster.spec, job))
