"""The peer: the resources of `examples/tutorial.yaml`, synthesised by CDK Terrain in Python.

What someone would write by hand to get the same Terraform: every resource, data source, variable
and output of the rendered tree with the same arguments, in one stack. A loop stands where the tree
repeats a module. `render.py` runs it as a process and checks that nothing is missing.

    .venv-bench/bin/python benchmarks/_cdktn_tutorial.py OUT
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from cdktn import (
    App,
    DataResource,
    TerraformCount,
    TerraformIterator,
    TerraformLocal,
    TerraformOutput,
    TerraformResourceLifecycle,
    TerraformStack,
    TerraformVariable,
    TerraformVariableValidationConfig,
    Token,
)
from cdktn_aws.batch import AwsComputeEnvironment, AwsJobDefinition, AwsJobQueue
from cdktn_aws.cloudwatch_logs import AwsGroup
from cdktn_aws.ec2 import AwsLaunchTemplate, AwsPlacementGroup
from cdktn_aws.ecr import AwsLifecyclePolicy, AwsRepository
from cdktn_aws.efs import AwsBackupPolicy, AwsFileSystem, AwsMountTarget
from cdktn_aws.iam import AwsInstanceProfile, AwsRole, AwsRolePolicyAttachment
from cdktn_aws.meta_data_sources import DataAwsPartition
from cdktn_aws.provider import AwsProvider
from cdktn_aws.sts import DataAwsCallerIdentity
from cdktn_aws.vpc import (
    AwsEndpoint,
    AwsSecurityGroup,
    AwsSecurityGroupEgressRule,
    AwsSecurityGroupIngressRule,
    DataAwsRouteTable,
    DataAwsSubnet,
    DataAwsSubnets,
    DataAwsVpc,
)

NAME = "tutorial"
REGION = "us-east-1"
TAGS = {"mngen:deployment": NAME, "project": "seismic"}
REPLACED_FIRST = TerraformResourceLifecycle(create_before_destroy=True)


@dataclass(frozen=True)
class Environment:
    """What differs between the compute environments."""

    name: str
    queue: str
    instance: str
    image: str
    max_vcpus: int
    multi_node: bool = True
    efa: bool = False


ENVIRONMENTS = (
    Environment("M4_SPOT_MAXCPU_8", "M4_SPOT_MAXCPU_8", "m4.4xlarge", "m4.4xlarge", 512, False),
    Environment(
        "c5n-multinode-36",
        "MultiNodeQueue_C5N_MAX_36",
        "c5n.18xlarge",
        "c5n.18xlarge-efa",
        1152,
        efa=True,
    ),
    Environment(
        "r5-multinode-24", "MultiNodeQueue_R5_MAX_24", "r5.24xlarge", "r5.24xlarge-24", 1536
    ),
    Environment("r5-multinode-48", "MultiNodeQueue_R5_MAX_48", "r5.24xlarge", "r5.24xlarge", 1536),
)


class Network:
    """The default VPC, its subnets by zone, the nodes' security group and the S3 endpoint."""

    def __init__(self, stack: TerraformStack) -> None:
        vpc = DataAwsVpc(stack, "vpc", default=True)
        subnets = DataAwsSubnets(
            stack,
            "subnets",
            filter=[
                DataAwsSubnets.FilterProperty(name="vpc-id", values=[vpc.id]),
                DataAwsSubnets.FilterProperty(name="default-for-az", values=["true"]),
            ],
        )
        each = TerraformIterator.from_list(subnets.ids)
        subnet = DataAwsSubnet(stack, "subnet", for_each=each, id=Token.as_string(each.value))
        zones = TerraformLocal(
            stack,
            "zones",
            f"${{sort(distinct([for each in {subnet.fqn} : each.availability_zone]))}}",
        )
        by_zone = TerraformLocal(
            stack,
            "subnets_by_zone",
            f"${{{{for zone in {zones.fqn} : zone => sort([for each in {subnet.fqn} : each.id "
            "if each.availability_zone == zone])}}",
        )
        self.vpc_id = vpc.id
        self.by_zone = by_zone
        self.all_subnets = Token.as_list(
            f"${{flatten([for zone in {zones.fqn} : {by_zone.fqn}[zone]])}}"
        )
        self.first_zone = Token.as_list(f"${{{by_zone.fqn}[{zones.fqn}[0]]}}")
        self._security_group(stack)
        table = DataAwsRouteTable(
            stack,
            "route_table",
            vpc_id=vpc.id,
            filter=[DataAwsRouteTable.FilterProperty(name="association.main", values=["true"])],
        )
        AwsEndpoint(
            stack,
            "s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{REGION}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id],
            tags={"Name": f"{NAME}-s3"},
        )

    def _security_group(self, stack: TerraformStack) -> None:
        self.nodes = AwsSecurityGroup(
            stack,
            "nodes",
            name_prefix=f"{NAME}-nodes-",
            description="Nodes: all traffic among themselves",
            vpc_id=self.vpc_id,
            tags={"Name": f"{NAME}-nodes"},
            lifecycle=REPLACED_FIRST,
        )
        AwsSecurityGroupIngressRule(
            stack,
            "among_nodes_in",
            security_group_id=self.nodes.id,
            description="All traffic among the nodes",
            ip_protocol="-1",
            referenced_security_group_id=self.nodes.id,
        )
        AwsSecurityGroupEgressRule(
            stack,
            "among_nodes_out",
            security_group_id=self.nodes.id,
            description="All traffic among the nodes",
            ip_protocol="-1",
            referenced_security_group_id=self.nodes.id,
        )
        AwsSecurityGroupEgressRule(
            stack,
            "https",
            security_group_id=self.nodes.id,
            description="HTTPS to AWS",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4="0.0.0.0/0",
        )
        AwsSecurityGroupIngressRule(
            stack,
            "ssh",
            security_group_id=self.nodes.id,
            description="SSH",
            ip_protocol="tcp",
            from_port=22,
            to_port=22,
            cidr_ipv4="10.0.0.0/8",
        )


def storage(stack: TerraformStack, network: Network) -> AwsFileSystem:
    """The file system, with its mount targets and their security group."""
    system = AwsFileSystem(
        stack, "efs", encrypted=True, throughput_mode="bursting", tags={"Name": NAME}
    )
    AwsBackupPolicy(
        stack,
        "efs_backup",
        file_system_id=system.id,
        backup_policy=AwsBackupPolicy.BackupPolicyProperty(status="ENABLED"),
    )
    targets = AwsSecurityGroup(
        stack,
        "mount_targets",
        name_prefix=f"{NAME}-efs-",
        description="Mount targets: NFS from the nodes",
        vpc_id=network.vpc_id,
        tags={"Name": f"{NAME}-efs"},
        lifecycle=REPLACED_FIRST,
    )
    AwsSecurityGroupIngressRule(
        stack,
        "nfs_in",
        security_group_id=targets.id,
        description="NFS from the nodes",
        ip_protocol="tcp",
        from_port=2049,
        to_port=2049,
        referenced_security_group_id=network.nodes.id,
    )
    AwsSecurityGroupEgressRule(
        stack,
        "nfs_out",
        security_group_id=network.nodes.id,
        description="NFS to the file system",
        ip_protocol="tcp",
        from_port=2049,
        to_port=2049,
        referenced_security_group_id=targets.id,
    )
    zone = TerraformIterator.from_map(Token.as_any_map(network.by_zone.expression))
    AwsMountTarget(
        stack,
        "efs_target",
        for_each=zone,
        file_system_id=system.id,
        subnet_id="${each.value[0]}",
        security_groups=[targets.id],
    )
    return system


def assume_role(service: str, condition: dict[str, object] | None = None) -> str:
    """Returns the policy with which an AWS service takes a role."""
    statement: dict[str, object] = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": service},
    }
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Identity:
    """The roles of machines, of the Spot fleet and of jobs."""

    def __init__(self, stack: TerraformStack) -> None:
        account = DataAwsCallerIdentity(stack, "account").account_id
        partition = DataAwsPartition(stack, "partition")
        policies = f"arn:{partition.partition}:iam::aws:policy/service-role"
        instance = AwsRole(
            stack,
            "instance",
            name_prefix=f"{NAME}-instance-",
            assume_role_policy=assume_role(f"ec2.{partition.dns_suffix}"),
        )
        spot_fleet = AwsRole(
            stack,
            "spot_fleet",
            name_prefix=f"{NAME}-spot-fleet-",
            assume_role_policy=assume_role("spotfleet.amazonaws.com"),
        )
        job = AwsRole(
            stack,
            "job",
            name_prefix=f"{NAME}-job-",
            assume_role_policy=assume_role(
                "ecs-tasks.amazonaws.com", {"StringEquals": {"aws:SourceAccount": account}}
            ),
        )
        attached = [
            AwsRolePolicyAttachment(
                stack,
                f"{role.node.id}_policy",
                role=role.name,
                policy_arn=f"{policies}/{policy}",
            )
            for role, policy in (
                (instance, "AmazonEC2ContainerServiceforEC2Role"),
                (spot_fleet, "AmazonEC2SpotFleetTaggingRole"),
            )
        ]
        profile = AwsInstanceProfile(
            stack, "instance_profile", name_prefix=f"{NAME}-instance-", role=instance.name
        )
        self.instance_profile_arn = profile.arn
        self.spot_fleet_role_arn = spot_fleet.arn
        self.job_role_arn = job.arn
        self.all = [instance, spot_fleet, job, profile, *attached]


def registry(stack: TerraformStack) -> AwsRepository:
    """The repository of the container image."""
    repository = AwsRepository(
        stack,
        "repository",
        name=f"{NAME}/aws_multi_node_batch",
        image_tag_mutability="IMMUTABLE",
        force_delete=True,
        image_scanning_configuration=AwsRepository.ImageScanningConfigurationProperty(
            scan_on_push=True
        ),
    )
    untagged = {
        "rulePriority": 1,
        "description": "Layers that no tag names any more",
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": 14,
        },
        "action": {"type": "expire"},
    }
    AwsLifecyclePolicy(
        stack,
        "repository_lifecycle",
        repository=repository.name,
        policy=json.dumps({"rules": [untagged]}),
    )
    return repository


def launch_template(
    stack: TerraformStack, environment: Environment, count: TerraformCount, network: Network
) -> AwsLaunchTemplate:
    """The launch template of a compute environment."""
    name = f"{NAME}-{environment.name}"
    card = AwsLaunchTemplate.NetworkInterfacesProperty(
        device_index=0,
        network_card_index=0,
        interface_type="efa",
        security_groups=[network.nodes.id],
        delete_on_termination="true",
    )
    return AwsLaunchTemplate(
        stack,
        f"template_{environment.name}",
        count=count,
        name_prefix=f"{name}-",
        description=f"Nodes of {name}",
        update_default_version=True,
        metadata_options=AwsLaunchTemplate.MetadataOptionsProperty(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        ),
        block_device_mappings=[
            AwsLaunchTemplate.BlockDeviceMappingsProperty(
                device_name="/dev/xvda",
                ebs=AwsLaunchTemplate.EbsProperty(
                    encrypted="true",
                    volume_type="gp3",
                    volume_size=64,
                    delete_on_termination="true",
                ),
            )
        ],
        network_interfaces=[card] if environment.efa else None,
        tag_specifications=[
            AwsLaunchTemplate.TagSpecificationsProperty(
                resource_type=resource, tags={**TAGS, "Name": name}
            )
            for resource in ("instance", "volume")
        ],
        lifecycle=REPLACED_FIRST,
    )


def compute_environment(
    stack: TerraformStack,
    environment: Environment,
    network: Network,
    identity: Identity,
    group: AwsPlacementGroup,
) -> AwsComputeEnvironment:
    """A compute environment, which stands once its image is known."""
    count = TerraformCount.of(
        Token.as_number(f'${{contains(keys(var.amis), "{environment.image}") ? 1 : 0}}')
    )
    template = launch_template(stack, environment, count, network)
    spot = not environment.multi_node
    DataResource(
        stack,
        f"replacement_{environment.name}",
        count=count,
        input={"version": f"${{{template.fqn}[count.index].latest_version}}"},
    )
    return AwsComputeEnvironment(
        stack,
        f"environment_{environment.name}",
        count=count,
        name_prefix=f"{NAME}-{environment.name}-",
        type="MANAGED",
        state="ENABLED",
        compute_resources=AwsComputeEnvironment.ComputeResourcesProperty(
            type="SPOT" if spot else "EC2",
            allocation_strategy=(
                "SPOT_PRICE_CAPACITY_OPTIMIZED" if spot else "BEST_FIT_PROGRESSIVE"
            ),
            bid_percentage=60 if spot else None,
            instance_type=[environment.instance],
            instance_role=identity.instance_profile_arn,
            spot_iam_fleet_role=identity.spot_fleet_role_arn if spot else None,
            min_vcpus=0,
            max_vcpus=environment.max_vcpus,
            subnets=network.first_zone if environment.multi_node else network.all_subnets,
            security_group_ids=[network.nodes.id],
            placement_group=group.name if environment.multi_node else None,
            ec2_key_pair="user_key_pair",
            ec2_configuration=[
                AwsComputeEnvironment.Ec2ConfigurationProperty(
                    image_type="ECS_AL2023",
                    image_id_override=f'${{var.amis["{environment.image}"].id}}',
                )
            ],
            launch_template=AwsComputeEnvironment.LaunchTemplateProperty(
                launch_template_id=f"${{{template.fqn}[count.index].id}}",
                version=f"${{{template.fqn}[count.index].latest_version}}",
            ),
        ),
        depends_on=identity.all,
        lifecycle=REPLACED_FIRST,
    )


def job_queue(
    stack: TerraformStack, environment: Environment, computes: AwsComputeEnvironment
) -> AwsJobQueue:
    """The queue of a compute environment, which stands when that does."""
    return AwsJobQueue(
        stack,
        f"queue_{environment.queue}",
        count=TerraformCount.of(Token.as_number(f"${{length({computes.fqn}) > 0 ? 1 : 0}}")),
        name=f"{NAME}-{environment.queue}",
        state="ENABLED",
        priority=1,
        compute_environment_order=[
            AwsJobQueue.ComputeEnvironmentOrderProperty(
                order=0, compute_environment=f"${{{computes.fqn}[0].arn}}"
            )
        ],
        job_state_time_limit_action=[
            AwsJobQueue.JobStateTimeLimitActionProperty(
                action="CANCEL", state="RUNNABLE", reason=reason, max_time_seconds=600
            )
            for reason in (
                "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
                "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
            )
        ],
    )


def job_definition(
    stack: TerraformStack, image: str, identity: Identity, log_group: AwsGroup
) -> AwsJobDefinition:
    """The multi-node job."""
    container = {
        "image": image,
        "command": ["python3", "/efs/mpi_example.py"],
        "jobRoleArn": identity.job_role_arn,
        "resourceRequirements": [
            {"type": "MEMORY", "value": "747110"},
            {"type": "VCPU", "value": "24"},
        ],
        "environment": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "mountPoints": [{"containerPath": "/efs", "readOnly": False, "sourceVolume": "efs"}],
        "volumes": [{"name": "efs", "host": {"sourcePath": "/efs"}}],
        "linuxParameters": {"sharedMemorySize": 186777},
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group.name,
                "awslogs-region": REGION,
                "awslogs-stream-prefix": f"{NAME}-mpi-example",
            },
        },
    }
    nodes = {
        "mainNode": 0,
        "numNodes": 2,
        "nodeRangeProperties": [{"targetNodes": "0:", "container": container}],
    }
    return AwsJobDefinition(
        stack,
        "job_mpi-example",
        name=f"{NAME}-mpi-example",
        type="multinode",
        platform_capabilities=["EC2"],
        propagate_tags=True,
        deregister_on_new_revision=False,
        retry_strategy=AwsJobDefinition.RetryStrategyProperty(attempts=1),
        timeout=AwsJobDefinition.TimeoutProperty(attempt_duration_seconds=3600),
        node_properties=json.dumps(nodes),
    )


def images(stack: TerraformStack) -> None:
    """The variable that names the AMIs."""
    TerraformVariable(
        stack,
        "amis",
        description="Machine images by name: the instance type, or the architecture.",
        type="map(object({ id = string }))",
        default={},
        validation=[
            TerraformVariableValidationConfig(
                condition=(
                    "${alltrue([for ami in values(var.amis) : "
                    'can(regex("^ami-[0-9a-f]{8,17}$", ami.id))])}'
                ),
                error_message="Every image needs the id of an AMI, such as ami-0123456789abcdef0.",
            )
        ],
    )


def synthesise(folder: str) -> None:
    """Writes the stack below a folder, as `stacks/tutorial/cdk.tf.json`."""
    app = App(outdir=folder)
    stack = TerraformStack(app, NAME)
    AwsProvider(
        stack, "aws", region=REGION, default_tags=[AwsProvider.DefaultTagsProperty(tags=TAGS)]
    )
    images(stack)
    network = Network(stack)
    system = storage(stack, network)
    identity = Identity(stack)
    image = f"{registry(stack).repository_url}:v1.1"
    log_group = AwsGroup(stack, "jobs", name=f"/mngen/{NAME}/jobs", retention_in_days=90)
    group = AwsPlacementGroup(stack, "MPIgroup", name=f"{NAME}-MPIgroup", strategy="cluster")
    arns: dict[str, str] = {}
    queues: dict[str, str] = {}
    for environment in ENVIRONMENTS:
        computes = compute_environment(stack, environment, network, identity, group)
        queue = job_queue(stack, environment, computes)
        arns[environment.name] = f"${{one({computes.fqn}[*].arn)}}"
        queues[environment.queue] = f"${{one({queue.fqn}[*].name)}}"
    job = job_definition(stack, image, identity, log_group)
    outputs: dict[str, object] = {
        "region": REGION,
        "efs": {"id": system.id, "dns_name": system.dns_name, "mount": "/efs"},
        "network": {
            "vpc_id": network.vpc_id,
            "subnets_by_zone": network.by_zone.expression,
            "security_group_ids": [network.nodes.id],
        },
        "container_image": image,
        "repository_url": image.removesuffix(":v1.1"),
        "log_group": log_group.name,
        "instance_profile_arn": identity.instance_profile_arn,
        "compute_environments": arns,
        "queues": queues,
        "job_definitions": {"mpi-example": job.name},
        "images_to_bake": "${setsubtract("
        + json.dumps([environment.image for environment in ENVIRONMENTS])
        + ", keys(var.amis))}",
    }
    for name, value in outputs.items():
        TerraformOutput(stack, f"output_{name}", value=value).override_logical_id(name)
    app.synth()


if __name__ == "__main__":
    synthesise(sys.argv[1])
