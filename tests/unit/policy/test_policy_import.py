"""The importer's policy allows the calls that an import from an account makes, and no others."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from mngen.adoption import Fate, Finish, Wishes, adopt, read_account, save
from mngen.catalog import load_catalog
from mngen.policy import finish_documents, import_documents
from mngen.sandbox import ACCOUNT_ID, sandbox_environment
from tests.support.authorization import Authorizer
from tests.support.handmade import HERE, make
from tests.support.iam import actions, allows
from tests.support.recording import Recording
from tests.support.sandbox import client

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from mngen.sandbox import Sandbox
    from tests.support.handmade import Handmade


def test_all_that_an_import_asks(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.reset()
    made = make(sandbox)
    _queue_by_profile_name(sandbox, made.environment)
    with Recording(sandbox.endpoint) as recording:
        for name, value in sandbox_environment(recording.endpoint, HERE, os.environ).items():
            monkeypatch.setenv(name, value)
        inventory = read_account(region=HERE)
        _deploy(sandbox)
        deployed = read_account(["reef-mpi"], region=HERE).deployed
    sandbox.reset()
    assert inventory.network
    assert inventory.network.file_systems[0].groups
    assert inventory.network.profiles
    assert deployed
    assert deployed.amis
    assert deployed.templates
    assert deployed.policies
    assert deployed.shares
    assert deployed.bucket == "waves"
    assert deployed.keys == {deployed.file_system_key}
    assert deployed.retention == 7
    assert deployed.budget == {
        "monthly": 5000,
        "emails": ["reef@example.org"],
        "alerts": [50, 100],
        "deny_submit": {"at": 120, "roles": ["hpc/submitters"], "users": ["me"]},
    }
    assert deployed.dashboard
    assert deployed.notify == {
        "events": ["failed", "succeeded", "blocked"],
        "emails": ["reef@example.org"],
    }
    assert {each.tag for each in deployed.images.values()} == {"v1", "v9"}
    authorizer = Authorizer(ACCOUNT_ID)
    asked = [each for call in recording.calls for each in authorizer.requests(call)]
    policies = import_documents(HERE, ACCOUNT_ID)
    assert [each for each in asked if not allows(policies, each)] == []
    assert actions(policies) == {each.action for each in asked}
    elsewhere = import_documents("us-west-2", ACCOUNT_ID)
    assert {each.action for each in asked if allows(elsewhere, each)} == {
        "budgets:DescribeBudgetActionsForBudget",
        "budgets:ListTagsForResource",
        "budgets:ViewBudget",
        "cloudwatch:GetDashboard",
        "iam:GetInstanceProfile",
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListAttachedRolePolicies",
        "iam:ListRolePolicies",
        "iam:ListRoles",
    }


def _deny_submissions(sandbox: Sandbox) -> None:
    """Makes the action of the budget, whose role has the paths of whom it denies submissions."""
    iam = client(sandbox, "iam", HERE)
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "budgets.amazonaws.com"},
    }
    role = iam.create_role(
        RoleName="reef-budget-" + "0" * 26,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]
    attach = [
        {
            "Effect": "Allow",
            "Action": f"iam:Attach{kind.capitalize()}Policy",
            "Resource": [f"arn:aws:iam::{ACCOUNT_ID}:{kind}/{name}"],
        }
        for kind, name in (("role", "hpc/submitters"), ("user", "me"))
    ]
    iam.put_role_policy(
        RoleName=role["RoleName"],
        PolicyName="attach",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": attach}),
    )
    policy = f"arn:aws:iam::{ACCOUNT_ID}:policy"
    # The first is another's, and has no tag.
    for definition, tags in (
        ({"PolicyArn": f"{policy}/AWSDenyAll", "Users": ["you"]}, []),
        (
            {"PolicyArn": f"{policy}/reef-deny-submit-1", "Roles": ["submitters"], "Users": ["me"]},
            [{"Key": "mngen:deployment", "Value": "reef"}],
        ),
    ):
        client(sandbox, "budgets", HERE).create_budget_action(
            AccountId=ACCOUNT_ID,
            BudgetName=f"mngen-reef-{HERE}",
            NotificationType="ACTUAL",
            ActionType="APPLY_IAM_POLICY",
            ActionThreshold={"ActionThresholdValue": 120, "ActionThresholdType": "PERCENTAGE"},
            Definition={"IamActionDefinition": definition},
            ExecutionRoleArn=role["Arn"],
            ApprovalModel="AUTOMATIC",
            Subscribers=[{"SubscriptionType": "EMAIL", "Address": "reef@example.org"}],
            ResourceTags=tags,
        )


def _deploy(sandbox: Sandbox) -> None:
    """Makes what a deployment of mngen has that an import looks at, with the tag of all of it."""
    ec2, efs, ecr, batch, iam = (
        client(sandbox, name, HERE) for name in ("ec2", "efs", "ecr", "batch", "iam")
    )
    tags = {"mngen:deployment": "reef"}
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    vpc = ec2.create_vpc(CidrBlock="10.4.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.4.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(VpcId=vpc, GroupName="reef-nodes-1", Description="nodes")
    template = ec2.create_launch_template(
        LaunchTemplateName="reef-mpi-1", LaunchTemplateData={"EbsOptimized": True}
    )["LaunchTemplate"]["LaunchTemplateId"]
    image = ec2.register_image(Name="reef")["ImageId"]
    ec2.create_tags(Resources=[vpc, subnet, group["GroupId"], image], Tags=pairs)
    key = client(sandbox, "kms", HERE).create_key()["KeyMetadata"]["Arn"]
    system = efs.create_file_system(CreationToken="reef", Encrypted=True, KmsKeyId=key, Tags=pairs)[
        "FileSystemId"
    ]
    efs.create_mount_target(FileSystemId=system, SubnetId=subnet, SecurityGroups=[group["GroupId"]])
    among = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[among])
    client(sandbox, "fsx", HERE).create_file_system(
        FileSystemType="LUSTRE",
        FileSystemTypeVersion="2.15",
        StorageCapacity=1200,
        SubnetIds=[subnet],
        SecurityGroupIds=[group["GroupId"]],
        LustreConfiguration={"DeploymentType": "SCRATCH_2"},
        Tags=pairs,
    )
    role = "reef-job-" + "0" * 26
    made = iam.create_role(
        RoleName=role,
        AssumeRolePolicyDocument='{"Statement": []}',
        Tags=[{"Key": "mngen:region", "Value": HERE}],
    )["Role"]
    allowed = {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::waves/mngen/reef/inputs/*",
    }
    iam.put_role_policy(
        RoleName=role,
        PolicyName="inputs",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    iam.attach_role_policy(
        RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    )
    # Those of deployments of this name in other regions, which IAM lists too, in any order.
    for number, elsewhere in enumerate(("eu-west-1", "us-east-2", "us-west-2"), start=1):
        iam.create_role(
            RoleName="reef-job-" + str(number) * 26,
            AssumeRolePolicyDocument='{"Statement": []}',
            Tags=[{"Key": "mngen:region", "Value": elsewhere}],
        )
    logs = client(sandbox, "logs", HERE)
    for name, days in (("/mngen/reef/jobs", 7), ("/mngen/reef/jobs-2", 1)):
        logs.create_log_group(logGroupName=name)
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    events, sns = client(sandbox, "events", HERE), client(sandbox, "sns", HERE)
    topic = sns.create_topic(Name="reef-notify")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="reef@example.org")
    for rule, detail in (("jobs", {"status": ["SUCCEEDED", "FAILED"]}), ("blocked", {"a": ["b"]})):
        pattern = json.dumps({"source": ["aws.batch"], "detail": detail})
        events.put_rule(Name=f"mngen-reef-{rule}", EventPattern=pattern)
        events.put_targets(Rule=f"mngen-reef-{rule}", Targets=[{"Id": "topic", "Arn": topic}])
    client(sandbox, "cloudwatch", HERE).put_dashboard(
        DashboardName=f"mngen-reef-{HERE}", DashboardBody='{"widgets": []}'
    )
    budgets = client(sandbox, "budgets", HERE)
    budgets.create_budget(
        AccountId=ACCOUNT_ID,
        Budget={
            "BudgetName": f"mngen-reef-{HERE}",
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": "5000.0", "Unit": "USD"},
        },
    )
    for percent in (50, 100):
        budgets.create_notification(
            AccountId=ACCOUNT_ID,
            BudgetName=f"mngen-reef-{HERE}",
            Notification={
                "NotificationType": "ACTUAL",
                "ComparisonOperator": "GREATER_THAN",
                "Threshold": percent,
            },
            Subscribers=[{"SubscriptionType": "EMAIL", "Address": "reef@example.org"}],
        )
    _deny_submissions(sandbox)
    registry = f"{ACCOUNT_ID}.dkr.ecr.{HERE}.amazonaws.com"
    ecr.create_repository(repositoryName="coral", tags=pairs)
    pushed = ecr.put_image(
        repositoryName="coral",
        imageManifest='{"schemaVersion": 2, "config": {"digest": "sha256:%s"}}' % ("0" * 64),
        imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
        imageTag="v9",
    )["image"]["imageId"]["imageDigest"]
    environment = batch.create_compute_environment(
        computeEnvironmentName="reef-mpi-" + "0" * 26,
        type="MANAGED",
        tags=tags,
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 96,
            "instanceTypes": ["r5.24xlarge"],
            "subnets": [subnet],
            "securityGroupIds": [group["GroupId"]],
            "instanceRole": f"arn:aws:iam::{ACCOUNT_ID}:instance-profile/tsunami",
            "launchTemplate": {"launchTemplateId": template, "version": "1"},
            "ec2Configuration": [{"imageType": "ECS_AL2023", "imageIdOverride": image}],
        },
    )["computeEnvironmentArn"]
    policy = batch.create_scheduling_policy(name="reef-mpi", tags=tags, fairsharePolicy={})["arn"]
    batch.create_job_queue(
        jobQueueName="reef-mpi",
        priority=1,
        tags=tags,
        schedulingPolicyArn=policy,
        computeEnvironmentOrder=[{"order": 0, "computeEnvironment": environment}],
    )
    for name, image in (("tagged", "reef/mpi:v1"), ("pushed", f"coral@{pushed}")):
        batch.register_job_definition(
            jobDefinitionName=f"reef-{name}",
            type="container",
            tags=tags,
            containerProperties={
                "image": f"{registry}/{image}",
                "jobRoleArn": made["Arn"],
                "volumes": [{"name": "fsx", "host": {"sourcePath": "/fsx"}}],
                "mountPoints": [{"sourceVolume": "fsx", "containerPath": "/fsx"}],
                "resourceRequirements": [
                    {"type": "VCPU", "value": "1"},
                    {"type": "MEMORY", "value": "64"},
                ],
            },
        )


def test_all_that_the_end_of_an_adoption_asks(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.reset()
    made = make(sandbox)
    file = tmp_path / "mngen.yaml"
    with Recording(sandbox.endpoint) as recording:
        for name, value in sandbox_environment(recording.endpoint, HERE, os.environ).items():
            monkeypatch.setenv(name, value)
        adoption = adopt(read_account(region=HERE), Wishes(name="tsunami"), load_catalog(file))
        save(adoption, file, tmp_path / "deploy")
        (tmp_path / "deploy/terraform/imports.tf").unlink()
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"    legacy: .*\n", "", text), encoding="utf-8")
        _replace(sandbox, made)
        recording.calls.clear()
        work = Finish(file, tmp_path / "deploy")
        assert [part.fate for part, _ in work.run(work.plan())] == [Fate.DELETED]
    sandbox.reset()
    authorizer = Authorizer(ACCOUNT_ID)
    asked = [each for call in recording.calls for each in authorizer.requests(call)]
    policies = finish_documents([made.environment])
    assert [each for each in asked if not allows(policies, each)] == []
    assert actions(policies) == {each.action for each in asked}
    # Of another environment it allows nothing that names one.
    others = finish_documents([f"{made.environment}_2"])
    assert {each.action for each in asked if allows(others, each)} == {
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobQueues",
    }


def _replace(sandbox: Sandbox, made: Handmade) -> None:
    """Puts another environment in the place of the old one."""
    batch = client(sandbox, "batch", HERE)
    (found,) = batch.describe_compute_environments(computeEnvironments=[made.environment])[
        "computeEnvironments"
    ]
    batch.create_compute_environment(
        computeEnvironmentName="new", type="MANAGED", computeResources=found["computeResources"]
    )
    arn = made.environment.replace(made.environment_name, "new")
    batch.update_job_queue(
        jobQueue=made.queue, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": arn}]
    )


def _queue_by_profile_name(sandbox: Sandbox, like: str) -> None:
    """Makes an environment that names its instance profile without an ARN, in a queue."""
    batch = client(sandbox, "batch", HERE)
    (found,) = batch.describe_compute_environments(computeEnvironments=[like])[
        "computeEnvironments"
    ]
    resources = {**found["computeResources"], "instanceRole": "tsunami"}
    batch.create_compute_environment(
        computeEnvironmentName="named", type="MANAGED", computeResources=resources
    )
    batch.create_job_queue(
        jobQueueName="named",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "named"}],
    )
