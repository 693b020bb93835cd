"""The emulated Batch answers as AWS does, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.support.sandbox import client, unique

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

Resources = dict[str, Any]


LIMIT: Resources = {
    "reason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    "state": "RUNNABLE",
    "maxTimeSeconds": 600,
    "action": "CANCEL",
}


NODES: Resources = {
    "numNodes": 4,
    "mainNode": 0,
    "nodeRangeProperties": [
        {
            "targetNodes": "0:",
            "container": {
                "image": "example/mpi:1",
                "command": ["hostname"],
                "environment": [{"name": "A", "value": "b"}, {"name": "EMPTY", "value": ""}],
                "resourceRequirements": [{"type": "VCPU", "value": "24"}],
            },
        }
    ],
}


@pytest.fixture(scope="module")
def batch(sandbox: Sandbox) -> Any:
    return client(sandbox, "batch")


@pytest.fixture(scope="module")
def resources(sandbox: Sandbox) -> Resources:
    """Compute resources that name things which exist."""
    ec2, iam = client(sandbox, "ec2"), client(sandbox, "iam")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])[
        "SecurityGroups"
    ][0]["GroupId"]
    placement, profile = unique("pg"), unique("profile")
    ec2.create_placement_group(GroupName=placement, Strategy="cluster")
    iam.create_instance_profile(InstanceProfileName=profile)
    template = ec2.create_launch_template(
        LaunchTemplateName=unique("lt"), LaunchTemplateData={"EbsOptimized": True}
    )["LaunchTemplate"]["LaunchTemplateId"]
    return {
        "type": "EC2",
        "allocationStrategy": "BEST_FIT_PROGRESSIVE",
        "minvCpus": 0,
        "maxvCpus": 192,
        "instanceTypes": ["r5.24xlarge"],
        "instanceRole": profile,
        "subnets": [subnet["SubnetId"]],
        "securityGroupIds": [group],
        "placementGroup": placement,
        "ec2Configuration": [{"imageType": "ECS_AL2023", "imageIdOverride": "ami-12345678"}],
        "launchTemplate": {"launchTemplateId": template, "version": "1"},
        "tags": {"Name": "node"},
    }


def make_environment(batch: Any, resources: Resources, **changes: Any) -> str:
    name = unique("env")
    batch.create_compute_environment(
        computeEnvironmentName=name, type="MANAGED", computeResources={**resources, **changes}
    )
    return name


def described(batch: Any, name: str) -> Any:
    return batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"][0]


def make_queue(batch: Any, *environments: str, **more: Any) -> str:
    name = unique("queue")
    order = [
        {"order": place, "computeEnvironment": environment}
        for place, environment in enumerate(environments, start=1)
    ]
    batch.create_job_queue(jobQueueName=name, priority=1, computeEnvironmentOrder=order, **more)
    return name


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "ClientException"
    return str(error["Message"])


def efs_volume(encryption: str = "DISABLED", root: str = "/", **access: str) -> dict[str, Any]:
    return {
        "name": "data",
        "efsVolumeConfiguration": {
            "fileSystemId": "fs-1",
            "rootDirectory": root,
            "transitEncryption": encryption,
            "authorizationConfig": access,
        },
    }


class TestComputeEnvironments:
    def test_no_service_role_means_the_service_linked_one(
        self, batch: Any, resources: Resources
    ) -> None:
        environment = described(batch, make_environment(batch, resources))
        assert environment["serviceRole"].endswith(
            ":role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
        )

    def test_the_description_gives_back_what_was_sent(
        self, batch: Any, resources: Resources
    ) -> None:
        environment = described(batch, make_environment(batch, resources))
        assert environment["computeResources"] == {**resources, "desiredvCpus": 0}
        assert environment["status"] == "VALID"

    def test_an_image_type_and_a_template_version_are_filled_in(
        self, batch: Any, resources: Resources
    ) -> None:
        template = {"launchTemplateId": resources["launchTemplate"]["launchTemplateId"]}
        name = make_environment(batch, resources, ec2Configuration=[], launchTemplate=template)
        seen = described(batch, name)["computeResources"]
        assert seen["ec2Configuration"] == [{"imageType": "ECS_AL2023"}]
        assert seen["launchTemplate"] == {**template, "version": "$Default"}

    @pytest.mark.parametrize(
        ("instance", "kind"),
        [
            ("p5.48xlarge", "ECS_AL2023_NVIDIA"),
            ("g5g.xlarge", "ECS_AL2023"),
            ("c7g.xlarge", "ECS_AL2023"),
        ],
    )
    def test_the_image_type_that_is_filled_in_is_that_of_the_family(
        self, batch: Any, resources: Resources, instance: str, kind: str
    ) -> None:
        changes = {"instanceTypes": [instance], "ec2Configuration": []}
        name = make_environment(batch, resources, **changes)
        seen = described(batch, name)["computeResources"]["ec2Configuration"]
        assert seen == [{"imageType": kind}]

    @pytest.mark.parametrize(
        ("kind", "instance", "reason"),
        [
            ("ECS_AL2023_GPU", "p5.48xlarge", "must be one of"),
            ("ECS_AL2023_NVIDIA", "p3dn.24xlarge", "does not support instance type p3dn"),
            ("ECS_AL2023_NVIDIA", "g5g.xlarge", "does not support instance type g5g"),
            ("ECS_AL2_NVIDIA", "c7g.xlarge", "does not support instance type c7g"),
        ],
    )
    def test_image_types_that_batch_does_not_have_for_the_instances(
        self, batch: Any, resources: Resources, kind: str, instance: str, reason: str
    ) -> None:
        message = refusal(
            batch.create_compute_environment,
            computeEnvironmentName=unique("env"),
            type="MANAGED",
            computeResources={
                **resources,
                "instanceTypes": [instance],
                "ec2Configuration": [{"imageType": kind}],
            },
        )
        assert reason in message

    def test_a_taken_name_is_refused(self, batch: Any, resources: Resources) -> None:
        name = make_environment(batch, resources)
        message = refusal(
            batch.create_compute_environment,
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources=resources,
        )
        assert message == "Object already exists"

    @pytest.mark.parametrize("name", ["with space", "-first", "x" * 129, "dot.ted", "ünicode"])
    def test_a_name_that_batch_refuses(self, batch: Any, resources: Resources, name: str) -> None:
        message = refusal(
            batch.create_compute_environment,
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources=resources,
        )
        assert "computeEnvironmentName" in message

    def test_spot_with_best_fit_needs_a_fleet_role(self, batch: Any, resources: Resources) -> None:
        message = refusal(
            batch.create_compute_environment,
            computeEnvironmentName=unique("env"),
            type="MANAGED",
            computeResources={**resources, "type": "SPOT", "allocationStrategy": "BEST_FIT"},
        )
        assert "spotIamFleetRole" in message

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"placementGroup": "nowhere"}, "nowhere"),
            ({"launchTemplate": {"launchTemplateId": "lt-0000"}}, "lt-0000"),
        ],
    )
    def test_what_ec2_could_not_launch_is_invalid(
        self, batch: Any, resources: Resources, change: Resources, reason: str
    ) -> None:
        environment = described(batch, make_environment(batch, resources, **change))
        assert environment["status"] == "INVALID"
        assert reason in environment["statusReason"]

    def test_an_update_honours_every_field(self, batch: Any, resources: Resources) -> None:
        name = make_environment(batch, resources)
        changes = {
            "maxvCpus": 384,
            "instanceTypes": ["r5.12xlarge"],
            "ec2Configuration": [{"imageType": "ECS_AL2023", "imageIdOverride": "ami-87654321"}],
            "tags": {"Name": "other"},
        }
        batch.update_compute_environment(
            computeEnvironment=name,
            computeResources=changes,
            updatePolicy={"terminateJobsOnUpdate": False, "jobExecutionTimeoutMinutes": 60},
        )
        environment = described(batch, name)
        assert {key: environment["computeResources"][key] for key in changes} == changes
        assert environment["computeResources"]["placementGroup"] == resources["placementGroup"]
        assert environment["updatePolicy"]["jobExecutionTimeoutMinutes"] == 60

    def test_best_fit_can_only_be_scaled(self, batch: Any, resources: Resources) -> None:
        name = make_environment(batch, resources, allocationStrategy="BEST_FIT")
        batch.update_compute_environment(
            computeEnvironment=name, computeResources={"maxvCpus": 384}
        )
        assert described(batch, name)["computeResources"]["maxvCpus"] == 384
        message = refusal(
            batch.update_compute_environment,
            computeEnvironment=name,
            computeResources={"instanceTypes": ["r5.12xlarge"]},
        )
        assert "instanceTypes" in message

    def test_a_service_role_must_keep_its_policies_until_the_end(
        self, sandbox: Sandbox, batch: Any, resources: Resources
    ) -> None:
        iam = client(sandbox, "iam")
        role = {"RoleName": unique("role")}
        policy = "arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole"
        arn = iam.create_role(**role, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        iam.attach_role_policy(**role, PolicyArn=policy)
        name = unique("env")
        batch.create_compute_environment(
            computeEnvironmentName=name,
            type="MANAGED",
            state="DISABLED",
            serviceRole=arn,
            computeResources=resources,
        )
        assert described(batch, name)["status"] == "VALID"
        cluster = described(batch, name)["ecsClusterArn"].rpartition("/")[2]
        assert cluster.startswith(f"{name}_Batch_")
        # The words are ours: AWS documents that it refuses.
        linked = make_environment(batch, resources)
        for environment, other in ((linked, arn), (name, described(batch, linked)["serviceRole"])):
            assert "service-linked role" in refusal(
                batch.update_compute_environment, computeEnvironment=environment, serviceRole=other
            )
        iam.detach_role_policy(**role, PolicyArn=policy)
        batch.delete_compute_environment(computeEnvironment=name)
        stuck = described(batch, name)
        assert stuck["status"] == "INVALID"
        assert "not authorized" in stuck["statusReason"]
        iam.attach_role_policy(**role, PolicyArn=policy)
        batch.delete_compute_environment(computeEnvironment=name)
        answer = batch.describe_compute_environments(computeEnvironments=[name])
        assert answer["computeEnvironments"] == []

    def test_an_environment_that_keeps_instances_has_them(
        self, sandbox: Sandbox, batch: Any, resources: Resources
    ) -> None:
        name = make_environment(batch, resources, minvCpus=96)
        assert described(batch, name)["computeResources"]["desiredvCpus"] == 96
        found = client(sandbox, "ec2").describe_instances(
            Filters=[{"Name": "instance-type", "Values": ["r5.24xlarge"]}]
        )
        assert len(found["Reservations"]) == 1
        batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
        batch.delete_compute_environment(computeEnvironment=name)

    def test_it_is_deleted_only_when_disabled_and_out_of_every_queue(
        self, batch: Any, resources: Resources
    ) -> None:
        name = make_environment(batch, resources)
        queue = make_queue(batch, name)
        assert "DISABLED" in refusal(batch.delete_compute_environment, computeEnvironment=name)
        batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
        message = refusal(batch.delete_compute_environment, computeEnvironment=name)
        assert message == "Cannot delete, found existing JobQueue relationship"
        batch.update_job_queue(jobQueue=queue, state="DISABLED")
        batch.delete_job_queue(jobQueue=queue)
        batch.delete_compute_environment(computeEnvironment=name)
        answer = batch.describe_compute_environments(computeEnvironments=[name])
        assert answer["computeEnvironments"] == []


class TestJobQueues:
    def test_the_description_gives_back_what_was_sent(
        self, batch: Any, resources: Resources
    ) -> None:
        environment = make_environment(batch, resources)
        name = make_queue(batch, environment, tags={"a": "b"}, jobStateTimeLimitActions=[LIMIT])
        queue = batch.describe_job_queues(jobQueues=[name])["jobQueues"][0]
        arn = described(batch, environment)["computeEnvironmentArn"]
        assert queue["computeEnvironmentOrder"] == [{"order": 1, "computeEnvironment": arn}]
        assert queue["jobStateTimeLimitActions"] == [LIMIT]
        assert queue["tags"] == {"a": "b"}
        assert (queue["state"], queue["status"]) == ("ENABLED", "VALID")

    def test_an_update_honours_every_field(self, batch: Any, resources: Resources) -> None:
        old, new = make_environment(batch, resources), make_environment(batch, resources)
        name = make_queue(batch, old, jobStateTimeLimitActions=[LIMIT])
        batch.update_job_queue(
            jobQueue=name,
            priority=7,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": new}],
            jobStateTimeLimitActions=[],
        )
        queue = batch.describe_job_queues(jobQueues=[name])["jobQueues"][0]
        order = queue["computeEnvironmentOrder"]
        assert order[0]["computeEnvironment"].endswith(f"/{new}")
        assert queue["priority"] == 7
        assert queue["jobStateTimeLimitActions"] == []
        batch.update_compute_environment(computeEnvironment=old, state="DISABLED")
        batch.delete_compute_environment(computeEnvironment=old)

    def test_time_limits_that_the_guide_does_not_have(
        self, batch: Any, resources: Resources
    ) -> None:
        environment = make_environment(batch, resources)
        for change in (
            {"reason": "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS"},
            {"reason": "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED"},
            {"reason": "ACTION_REQUIRED"},
            {"reason": "UNDETERMINED"},
            {"state": "PENDING"},
            {"action": "TERMINATE"},
            {"maxTimeSeconds": 599},
            {"maxTimeSeconds": 86_401},
        ):
            with pytest.raises(ClientError, match="ClientException"):
                make_queue(batch, environment, jobStateTimeLimitActions=[{**LIMIT, **change}])

    def test_orders_that_batch_refuses(self, batch: Any, resources: Resources) -> None:
        names = [make_environment(batch, resources) for _ in range(4)]
        for order, reason in (
            (names, "3"),
            (["nowhere"], "nowhere"),
            ([names[0], names[0]], "more than once"),
            ([], "At least 1"),
        ):
            message = refusal(
                batch.create_job_queue,
                jobQueueName=unique("queue"),
                priority=1,
                computeEnvironmentOrder=[
                    {"order": place, "computeEnvironment": name} for place, name in enumerate(order)
                ],
            )
            assert reason in message

    def test_it_is_deleted_only_when_disabled(self, batch: Any, resources: Resources) -> None:
        name = make_queue(batch, make_environment(batch, resources))
        assert "DISABLED" in refusal(batch.delete_job_queue, jobQueue=name)
        batch.update_job_queue(jobQueue=name, state="DISABLED")
        batch.delete_job_queue(jobQueue=name)
        assert batch.describe_job_queues(jobQueues=[name])["jobQueues"] == []

    def test_tags_can_be_changed(self, batch: Any, resources: Resources) -> None:
        name = make_queue(batch, make_environment(batch, resources), tags={"a": "1", "b": "2"})
        arn = batch.describe_job_queues(jobQueues=[name])["jobQueues"][0]["jobQueueArn"]
        batch.tag_resource(resourceArn=arn, tags={"c": "3"})
        batch.untag_resource(resourceArn=arn, tagKeys=["a", "b"])
        assert batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"c": "3"}


class TestJobDefinitions:
    def register(self, batch: Any, name: str, **more: Any) -> Any:
        answer = batch.register_job_definition(
            jobDefinitionName=name, type="multinode", nodeProperties=NODES, **more
        )
        return batch.describe_job_definitions(jobDefinitions=[answer["jobDefinitionArn"]])[
            "jobDefinitions"
        ][0]

    def test_the_description_gives_back_what_was_sent(self, batch: Any) -> None:
        more = {
            "timeout": {"attemptDurationSeconds": 3600},
            "retryStrategy": {
                "attempts": 2,
                "evaluateOnExit": [{"onReason": "*", "action": "exit"}],
            },
            "propagateTags": True,
            "tags": {"a": "b"},
            "schedulingPriority": 3,
        }
        definition = self.register(batch, unique("def"), **more)
        assert {key: definition[key] for key in more} == more
        nodes = definition["nodeProperties"]
        assert (nodes["numNodes"], nodes["mainNode"]) == (4, 0)
        container = nodes["nodeRangeProperties"][0]["container"]
        assert container["image"] == "example/mpi:1"

    def test_empty_variables_are_dropped_and_empty_lists_filled_in(self, batch: Any) -> None:
        definition = self.register(batch, unique("def"))
        container = definition["nodeProperties"]["nodeRangeProperties"][0]["container"]
        assert container["environment"] == [{"name": "A", "value": "b"}]
        assert container["mountPoints"] == []

    def test_a_revision_inherits_nothing(self, batch: Any) -> None:
        name = unique("def")
        self.register(batch, name, timeout={"attemptDurationSeconds": 60}, propagateTags=True)
        second = self.register(batch, name)
        assert second["revision"] == 2
        assert "timeout" not in second
        assert second["propagateTags"] is False
        found = batch.describe_job_definitions(jobDefinitions=[f"{name}:1"])["jobDefinitions"]
        assert [definition["revision"] for definition in found] == [1]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"numNodes": 1001}, "1000"),
            ({"mainNode": 4}, "mainNode"),
            ({"nodeRangeProperties": []}, "nodeProperties"),
        ],
    )
    def test_nodes_that_batch_refuses(self, batch: Any, change: Resources, reason: str) -> None:
        message = refusal(
            batch.register_job_definition,
            jobDefinitionName=unique("def"),
            type="multinode",
            nodeProperties={**NODES, **change},
        )
        assert reason in message

    @pytest.mark.parametrize(
        ("need", "reason"),
        [
            ({"type": "GPUS", "value": "1"}, "Resource type must be one of"),
            # https://github.com/nrdg/cloudknot/issues/301
            ({"type": "GPU", "value": "0"}, "GPU in resourceRequirement must be at least 1, got 0"),
            ({"type": "GPU", "value": "0.5"}, "Value 0.5 for type GPU in resourceRequirement is"),
        ],
    )
    def test_needs_that_batch_refuses(self, batch: Any, need: Any, reason: str) -> None:
        container = {"image": "a", "resourceRequirements": [need]}
        nodes = {**NODES, "nodeRangeProperties": [{"targetNodes": "0:", "container": container}]}
        for arguments in (
            {"type": "container", "containerProperties": container},
            {"type": "multinode", "nodeProperties": nodes},
        ):
            message = refusal(
                batch.register_job_definition, jobDefinitionName=unique("job"), **arguments
            )
            assert reason in message

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"mountPoints": [{"sourceVolume": "esf"}]}, "Unknown volume 'esf'."),
            ({"mountPoints": [{"containerPath": "/a"}]}, "Unknown volume 'null'."),
            (
                {"secrets": [{"name": "KEY", "valueFrom": "license"}]},
                "you must also specify a value for 'executionRoleArn'.",
            ),
            (
                {"ulimits": [{"name": "nofiles", "softLimit": 1, "hardLimit": 1}]},
                "ulimit name must be one of",
            ),
            (
                {"linuxParameters": {"tmpfs": [{"containerPath": "/a", "size": 0}]}},
                "invalid tmpfs size value",
            ),
            (
                {"volumes": [efs_volume(iam="ENABLED")], "jobRoleArn": "arn:aws:iam::1:role/a"},
                "transitEncryption",
            ),
            ({"volumes": [efs_volume("ENABLED", iam="ENABLED")]}, "jobRoleArn"),
            ({"volumes": [efs_volume("ENABLED", "/a", accessPointId="fsap-1")]}, "rootDirectory"),
        ],
    )
    def test_containers_that_ecs_refuses(self, batch: Any, change: Any, reason: str) -> None:
        container = {"image": "a", "vcpus": 1, "memory": 4, **change}
        nodes = {**NODES, "nodeRangeProperties": [{"targetNodes": "0:", "container": container}]}
        for arguments in (
            {"type": "container", "containerProperties": container},
            {"type": "multinode", "nodeProperties": nodes},
        ):
            message = refusal(
                batch.register_job_definition, jobDefinitionName=unique("job"), **arguments
            )
            assert reason in message

    def test_ranges_must_cover_all_nodes(self, batch: Any) -> None:
        ranges = [{**NODES["nodeRangeProperties"][0], "targetNodes": "0:2"}]
        message = refusal(
            batch.register_job_definition,
            jobDefinitionName=unique("def"),
            type="multinode",
            nodeProperties={**NODES, "nodeRangeProperties": ranges},
        )
        assert "cover" in message


def test_govcloud_takes_no_update_policy_alone(sandbox: Sandbox) -> None:
    batch = client(sandbox, "batch", "us-gov-west-1")
    name = unique("env")
    batch.create_compute_environment(computeEnvironmentName=name, type="UNMANAGED")
    policy = {"terminateJobsOnUpdate": False, "jobExecutionTimeoutMinutes": 360}
    message = refusal(
        batch.update_compute_environment, computeEnvironment=name, updatePolicy=policy
    )
    # Word for word as in https://github.com/hashicorp/terraform-provider-aws/issues/43969.
    assert message == (
        "One of [state | compute-resources | service-role | unmanaged-vcpus] is required."
    )


class TestNetworkInterfaces:
    """What EC2's and Batch's own words say of interfaces in an environment's launch template."""

    @pytest.fixture
    def with_interfaces(self, sandbox: Sandbox, resources: Resources) -> Any:
        ec2 = client(sandbox, "ec2")

        def made(*interfaces: Resources, instance: str = "c5n.18xlarge") -> Resources:
            groups = resources["securityGroupIds"]
            template = ec2.create_launch_template(
                LaunchTemplateName=unique("lt"),
                LaunchTemplateData={
                    "NetworkInterfaces": [{"Groups": groups, **each} for each in interfaces]
                },
            )["LaunchTemplate"]["LaunchTemplateId"]
            rest = {key: value for key, value in resources.items() if key != "securityGroupIds"}
            launch = {"launchTemplateId": template, "version": "$Latest"}
            return {**rest, "instanceTypes": [instance], "launchTemplate": launch}

        return made

    @pytest.fixture
    def primary(self) -> Resources:
        return {"DeviceIndex": 0, "NetworkCardIndex": 0, "InterfaceType": "efa"}

    def test_groups_of_the_environment_exclude_interfaces_of_the_template(
        self, batch: Any, resources: Resources, with_interfaces: Any, primary: Resources
    ) -> None:
        given = with_interfaces(primary)
        name = make_environment(batch, given)
        assert described(batch, name)["status"] == "VALID"
        assert "securityGroupIds" not in described(batch, name)["computeResources"]
        # Word for word as in https://github.com/aws/aws-cdk/issues/21577.
        words = (
            "Error executing request, Exception : Either compute environment Security Groups or "
            "Network Interfaces in Launch template are exclusively allowed"
        )
        groups = resources["securityGroupIds"]
        message = refusal(
            batch.create_compute_environment,
            computeEnvironmentName=unique("env"),
            type="MANAGED",
            computeResources={**given, "securityGroupIds": groups},
        )
        assert message == words
        message = refusal(
            batch.update_compute_environment,
            computeEnvironment=name,
            computeResources={"securityGroupIds": groups},
        )
        assert message == words

    def test_there_must_be_groups_somewhere(self, batch: Any, resources: Resources) -> None:
        rest = {key: value for key, value in resources.items() if key != "securityGroupIds"}
        message = refusal(
            batch.create_compute_environment,
            computeEnvironmentName=unique("env"),
            type="MANAGED",
            computeResources=rest,
        )
        assert "security group" in message

    @pytest.mark.parametrize(
        ("instance", "interfaces", "reason"),
        [
            # Word for word as in https://github.com/eksctl-io/eksctl/issues/7520.
            (
                "p5.48xlarge",
                [(0, 0, "efa"), (2, 2, "efa-only")],
                (
                    "The specified number '2' for the device index exceeds the maximum number of "
                    "network interfaces supported by the network card at network card index 2. The "
                    "maximum devices for this network card is 2. Specify a number from 0 to 1, and "
                    "try again."
                ),
            ),
            ("hpc6id.32xlarge", [(0, 0, "efa"), (1, 1, "efa-only")], "from 0 to 0"),
            ("p6-b300.48xlarge", [(0, 0, "efa")], "index 0 does not support EFA"),
            ("p6-b300.48xlarge", [(1, 0, "efa")], "index 0 and device index 0, is required"),
            ("c5n.18xlarge", [(0, 0, "efa-only")], "can't be the primary"),
            ("c5n.18xlarge", [(0, 0, "efa"), (0, 1, "efa-only")], "at most 1 EFA"),
            ("c5n.18xlarge", [(0, 0, "efa"), (1, 0, "efa-only")], "no network card"),
            ("c5n.18xlarge", [(0, 0, "efa"), (0, 0, "interface")], "unique device index"),
            ("c5.large", [(0, 0, "efa")], "does not support EFA"),
            ("p6-b300.48xlarge", [(0, 0, "interface"), (1, 0, "efa-only")], None),
            ("hpc6id.32xlarge", [(0, 0, "efa"), (1, 0, "efa-only")], None),
        ],
    )
    def test_interfaces_must_fit_the_cards(
        self,
        batch: Any,
        with_interfaces: Any,
        instance: str,
        interfaces: list[tuple[int, int, str]],
        reason: str | None,
    ) -> None:
        listed = [
            {"NetworkCardIndex": card, "DeviceIndex": device, "InterfaceType": kind}
            for card, device, kind in interfaces
        ]
        name = make_environment(batch, with_interfaces(*listed, instance=instance))
        found = described(batch, name)
        assert found["status"] == ("INVALID" if reason else "VALID")
        assert (reason or "Healthy") in found["statusReason"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # https://github.com/aws/aws-cdk/issues/31148
        (
            {"instanceTypes": ["m5.24xlarge", "m6g.16xlarge"]},
            "Exception : arm-based instance type cannot be used with other instance types.",
        ),
        # https://github.com/seqeralabs/nf-tower/issues/262
        (
            {"allocationStrategy": "SPOT_CAPACITY_OPTIMIZED"},
            "Invalid compute resource allocation strategy SPOT_CAPACITY_OPTIMIZED for type EC2",
        ),
        (
            {"allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED"},
            "Invalid compute resource allocation strategy SPOT_PRICE_CAPACITY_OPTIMIZED for type",
        ),
        ({"allocationStrategy": "CHEAPEST"}, "must be one of"),
    ],
)
def test_types_and_strategies_that_batch_does_not_have(
    batch: Any, resources: Resources, changes: Resources, words: str
) -> None:
    # Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html
    with pytest.raises(ClientError) as raised:
        make_environment(batch, {**resources, **changes})
    assert words in str(raised.value)
