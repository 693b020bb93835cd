"""The deployer: `terraform plan`, `apply` and `destroy` of the rendered tree, and `mngen check`.

What has a name is scoped by the deployment's prefix, what EC2, EFS and FSx give an id by
the tag `mngen:deployment`, which every request that creates something must have. By its prefix
alone, a deployment `a` reaches the queues and roles of one that is named `a-b`.

A permission is for what the spec asks for: a user who changes it from a new VPC to an existing one
needs the policies of both until the old one is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import (
    AGENT_POLICY,
    creates_execution_role,
    creates_spot_fleet_role,
    denied_submitters,
    efa_installer,
    grants_mount,
    grants_shell,
    names,
    pulled_repositories,
)
from mngen.policy._lustre import lustre_statements
from mngen.policy._network import network_statements
from mngen.policy._notify import notify_statements
from mngen.policy._shared import (
    definitions,
    ec2_service,
    file_system,
    instance_role,
    job_roles,
    look,
    queues,
    read_state,
    repository,
    service_key,
    state_key,
)
from mngen.policy._statement import Scope, Statement, merged

if TYPE_CHECKING:
    from mngen.cluster import Cluster
    from mngen.spec import Spec

_READS = (
    "batch:DescribeComputeEnvironments",
    "batch:DescribeJobDefinitions",
    "batch:DescribeJobQueues",
    "batch:ListJobs",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroupRules",
    "logs:DescribeLogGroups",
)
_READS_OF_NAT = (
    "ec2:DescribeAddresses",
    "ec2:DescribeAddressesAttribute",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeNatGateways",
)

UNSEEN = {
    "batch:DescribeSchedulingPolicies": "`mngen check --aws`",
    "batch:ListJobs": "`mngen apply` counts the jobs that an update would end",
    "batch:ListSchedulingPolicies": "`mngen apply` looks for what an interrupted apply has left",
    "batch:ListTagsForResource": "read where a description comes without its tags",
    "batch:UntagResource": "a tag was taken out of the spec",
    "batch:UpdateSchedulingPolicy": "the shares of a queue changed",
    "budgets:DescribeBudgetActionsForBudget": (
        "`mngen check --aws`; `mngen apply` looks for what an interrupted apply has left"
    ),
    "budgets:DescribeBudgetActionHistories": "`mngen check --aws` names it",
    "budgets:ExecuteBudgetAction": "submissions are allowed or denied again by hand",
    "budgets:UntagResource": "a tag was taken out of the spec",
    "budgets:UpdateBudgetAction": "who is denied, the percentage or the addresses changed",
    "ce:ListCostAllocationTags": "`mngen check --aws`",
    "ec2:CreateLaunchTemplateVersion": "the tags, volumes or adapters of the instances changed",
    "ec2:CreateNetworkInterface": "EFS asks for it in the caller's name to make a mount target",
    "ec2:DeleteNetworkInterface": "EFS asks for it in the caller's name to delete a mount target",
    "ec2:DeleteTags": "a tag was taken out of the spec",
    "ec2:DescribeImages": "`mngen check --aws`",
    "ec2:DescribePlacementGroups": "`mngen check --aws`",
    "ec2:DescribeCapacityReservations": "`mngen check --aws`",
    "ec2:DescribeInstanceTypeOfferings": "`mngen check --aws`",
    "ec2:DescribeKeyPairs": "`mngen check --aws`",
    "ec2:DescribeSpotPriceHistory": "`mngen check --aws`, with Spot instances",
    "ec2:DescribeAvailabilityZones": "`mngen check --aws`",
    "ec2:DescribeVpcEndpointServices": "`mngen check --aws`; with interface endpoints",
    "ec2:GetEbsDefaultKmsKeyId": "`mngen check --aws`",
    "ec2:ModifyLaunchTemplate": "a new version becomes the default",
    "ec2:ModifyNetworkInterfaceAttribute": (
        "EFS asks for it in the caller's name to change a mount target's security groups"
    ),
    "ec2:ModifySecurityGroupRules": "a rule's description or range changed",
    "ec2:ModifyVpcEndpoint": "the subnets or route tables of the network changed",
    "ec2:ReplaceRouteTableAssociation": "the route table of a subnet changed",
    "ecr:PutImageScanningConfiguration": "someone changed it by hand, and apply puts it back",
    "ecr:PutImageTagMutability": "someone changed it by hand, and apply puts it back",
    "ecr:UntagResource": "a tag was taken out of the spec",
    "elasticfilesystem:DescribeAccessPoints": "`mngen check --aws`",
    "elasticfilesystem:DescribeFileSystemPolicy": "`mngen check --aws`",
    "elasticfilesystem:DescribeMountTargetSecurityGroups": "`mngen check --aws`",
    "elasticfilesystem:DescribeMountTargets": "`mngen apply` and `mngen check --aws`",
    "elasticfilesystem:ModifyMountTargetSecurityGroups": (
        "the security group of the mount targets was replaced"
    ),
    "elasticfilesystem:UntagResource": "a tag was taken out of the spec",
    "elasticfilesystem:UpdateFileSystem": "the throughput changed",
    "events:UntagResource": "a tag was taken out of the spec",
    "fsx:DescribeFileSystems": "`mngen check --aws`, about an existing one",
    "fsx:UntagResource": "a tag was taken out of the spec",
    "fsx:UpdateDataRepositoryAssociation": "what is imported or exported changed",
    "fsx:UpdateFileSystem": "the size, compression, throughput, backups or maintenance changed",
    "iam:CreatePolicyVersion": "a queue was added or removed",
    "iam:DeletePolicyVersion": "of a policy with five versions, the oldest",
    "iam:GetAccountSummary": "`mngen check --aws`",
    "iam:GetInstanceProfile": "`mngen check --aws`",
    "iam:ListAttachedGroupPolicies": "`mngen check --aws`",
    "iam:ListAttachedUserPolicies": "`mngen check --aws`",
    "iam:GetGroup": "`mngen check --aws`",
    "iam:GetUser": "`mngen check --aws`",
    "iam:ListEntitiesForPolicy": (
        "`mngen check --aws`; `mngen apply` looks before it changes an executed action"
    ),
    "iam:ListPolicies": "`mngen apply` looks for what an interrupted apply has left",
    "iam:ListInstanceProfiles": "`mngen apply` looks for what an interrupted apply has left",
    "iam:ListRoles": "`mngen apply` looks for what an interrupted apply has left",
    "iam:GetPolicy": "`mngen check --aws`",
    "iam:PutRolePermissionsBoundary": "the boundary in the spec changed",
    "iam:UntagPolicy": "a tag was taken out of the spec",
    "iam:UntagInstanceProfile": "a tag was taken out of the spec",
    "iam:UntagRole": "a tag was taken out of the spec",
    "iam:UpdateAssumeRolePolicy": "an upgrade of mngen that renders another trust policy",
    "kms:CreateGrant": "EFS and FSx ask for it in the caller's name, with a key of the spec",
    "kms:Decrypt": "EFS and FSx ask for it in the caller's name, with a key of the spec",
    "kms:DescribeKey": "`mngen check --aws`",
    "kms:GenerateDataKeyWithoutPlaintext": (
        "EFS and FSx ask for it in the caller's name, with a key of the spec"
    ),
    "kms:GetKeyPolicy": "`mngen check --aws`",
    "kms:ListGrants": "`mngen check --aws`",
    "logs:DeleteRetentionPolicy": "the retention changed to `never`",
    "logs:DescribeLogGroups": "`mngen check --aws`; read of a log group that is created",
    "logs:UntagResource": "a tag was taken out of the spec",
    "resource-groups:GetGroupConfiguration": "`mngen check --aws`",
    "resource-groups:ListGroupResources": "`mngen check --aws`",
    "s3:GetBucketPolicy": "`mngen check --aws`",
    "s3:GetBucketVersioning": "`mngen check --aws`",
    "s3:ListBucket": "`mngen check --aws`, about the bucket of jobs",
    "servicequotas:GetAWSDefaultServiceQuota": "`mngen check --aws`",
    "servicequotas:GetServiceQuota": "`mngen check --aws`",
    "sns:ListSubscriptionsByTopic": "`mngen check --aws`",
    "sns:UntagResource": "a tag was taken out of the spec",
    "ssm:GetParameters": "`mngen check --aws`",
}
"""Why a deployer may do what a first apply and a destroy do not, by action."""


def deployer_statements(cluster: Cluster, scope: Scope) -> list[Statement]:
    """Returns the permissions of the user who applies the rendered tree."""
    spec = cluster.spec
    return [
        *look(spec, scope, _reads(cluster)),
        *_batch(spec, scope),
        *_identity(cluster, scope),
        *_logs(spec, scope),
        *_registry(spec, scope),
        *_storage(spec, scope),
        *lustre_statements(spec, scope),
        *notify_statements(spec, scope),
        *_budget(spec, scope),
        *_dashboard(spec, scope),
        *_state(spec, scope),
        *network_statements(cluster, scope),
    ]


def _reads(cluster: Cluster) -> tuple[str, ...]:
    network = cluster.spec.network
    reads: tuple[str, ...] = _READS
    if any(queue.shares is not None for queue in cluster.spec.queues.values()):
        # The provider reads a policy by its ARN.
        reads += ("batch:DescribeSchedulingPolicies", "batch:ListSchedulingPolicies")
    if cluster.placement_groups:
        reads += ("ec2:DescribePlacementGroups",)
    if set(network.endpoints) - {"s3"}:
        reads += ("ec2:DescribeVpcEndpointServices",)
    if "s3" in network.endpoints:
        reads += ("ec2:DescribePrefixLists",)
    if network.vpc == "new":
        # Where the provider finds what AWS made together with the VPC.
        reads += ("ec2:DescribeNetworkAcls",)
        reads += _READS_OF_NAT if network.nat is not False else ()
    return reads


def _batch(spec: Spec, scope: Scope) -> list[Statement]:
    """Environments, queues and job definitions, and what queues have that was there before.

    Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_batch.html
    """
    environments = scope.arn("batch", f"compute-environment/{scope.name}-*")
    named = [
        arn
        for queue in spec.queues.values()
        for arn in (*queue.legacy, *filter(None, [queue.scheduling_policy]))
    ]
    shared = any(queue.shares is not None for queue in spec.queues.values())
    policies = (scope.arn("batch", f"scheduling-policy/{scope.name}-*"),) if shared else ()
    return [
        Statement(
            "Batch",
            (
                "batch:CreateComputeEnvironment",
                "batch:CreateJobQueue",
                "batch:DeleteComputeEnvironment",
                "batch:DeleteJobQueue",
                "batch:DeregisterJobDefinition",
                "batch:ListTagsForResource",
                "batch:RegisterJobDefinition",
                "batch:TagResource",
                "batch:UntagResource",
                "batch:UpdateComputeEnvironment",
                "batch:UpdateJobQueue",
            ),
            (environments, *definitions(spec, scope), *queues(spec, scope)),
        ),
        Statement(
            "SchedulingPolicies",
            (
                "batch:CreateSchedulingPolicy",
                "batch:DeleteSchedulingPolicy",
                "batch:ListTagsForResource",
                "batch:TagResource",
                "batch:UntagResource",
                "batch:UpdateSchedulingPolicy",
            ),
            policies,
        ),
        Statement("QueueOf", ("batch:CreateJobQueue", "batch:UpdateJobQueue"), (*named, *policies)),
    ]


def _identity(cluster: Cluster, scope: Scope) -> list[Statement]:
    """Roles, and what keeps them from being a way to more rights than the deployer has.

    Only the policies that the templates attach can be attached, and the boundary of the spec cannot
    be left out or taken off. Inline policies can be written for the roles alone to which the
    templates give one. IAM has no condition on the content of such a policy, so there the
    boundary alone keeps the role's rights within bounds.
    """
    spec = cluster.spec
    roles = scope.iam_arn(f"role/{scope.name}-*")
    boundary = spec.roles.permissions_boundary
    bounded = {"StringEquals": {"iam:PermissionsBoundary": [boundary]}} if boundary else {}
    attached = _attached_policies(cluster, scope)
    created = spec.roles.instance_profile == "create"
    statements = [
        # IAM answers in us-east-1 alone, so these have no condition on the region.
        Statement(
            "IdentityList",
            ("iam:ListRoles", *(("iam:ListInstanceProfiles",) if created else ())),
            ("*",),
        ),
        Statement(
            "Roles",
            (
                "iam:DeleteRole",
                "iam:GetRole",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:ListRolePolicies",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
            ),
            (roles,),
        ),
        Statement(
            "RoleCreate",
            ("iam:CreateRole", *(("iam:PutRolePermissionsBoundary",) if boundary else ())),
            (roles,),
            bounded,
        ),
        Statement(
            "RolePolicies",
            ("iam:AttachRolePolicy", "iam:DetachRolePolicy") if attached else (),
            (roles,),
            {"ArnEquals": {"iam:PolicyARN": attached}},
        ),
        Statement(
            "PassRoles", ("iam:PassRole",), _passed_roles(spec, scope), _passed_to(spec, scope)
        ),
    ]
    for name, kinds in _inline_policies(cluster).items():
        named = tuple(scope.iam_arn(f"role/{scope.name}-{kind}-*") for kind in kinds)
        statements += [
            Statement(f"{name}Read", ("iam:GetRolePolicy",), named),
            Statement(name, ("iam:DeleteRolePolicy", "iam:PutRolePolicy"), named, bounded),
        ]
    if created:
        statements.append(
            Statement(
                "InstanceProfile",
                (
                    "iam:AddRoleToInstanceProfile",
                    "iam:CreateInstanceProfile",
                    "iam:DeleteInstanceProfile",
                    "iam:GetInstanceProfile",
                    "iam:RemoveRoleFromInstanceProfile",
                    "iam:TagInstanceProfile",
                    "iam:UntagInstanceProfile",
                ),
                (scope.iam_arn(f"instance-profile/{scope.name}-*"),),
            )
        )
    services = _service_linked(spec)
    statements.append(
        Statement(
            "ServiceLinkedRoles",
            ("iam:CreateServiceLinkedRole",) if services else (),
            tuple(scope.iam_arn(f"role/aws-service-role/{service}/*") for service in services),
            {"StringEquals": {"iam:AWSServiceName": services}},
        )
    )
    return statements


def _inline_policies(cluster: Cluster) -> dict[str, tuple[str, ...]]:
    """Returns the kinds of roles to which the templates give an inline policy, by what it is for.

    It lets AWS Budgets attach the policy of the budget, jobs read their inputs and carry shells,
    the ECS agent read the secrets of jobs, nodes and builders mount with IAM, and builders read the
    EFA installer and pull container images.
    """
    spec = cluster.spec
    found: dict[str, tuple[str, ...]] = {}
    denied = denied_submitters(spec)
    if denied and not denied.role:
        found["BudgetPolicy"] = ("budget",)
    if (spec.storage.bucket and spec.roles.job == "create") or grants_shell(spec):
        found["JobPolicy"] = ("job",)
    if creates_execution_role(spec):
        found["ExecutionPolicy"] = ("execution",)
    if grants_mount(spec):
        found["MountPolicy"] = ("builder", "instance")
    if efa_installer(cluster) or pulled_repositories(cluster):
        found["BuilderPolicy"] = ("builder",)
    return found


def _attached_policies(cluster: Cluster, scope: Scope) -> list[str]:
    spec = cluster.spec

    def managed(name: str) -> str:
        return f"arn:{scope.partition}:iam::aws:policy/service-role/{name}"

    policies = [*spec.roles.instance_policies, *spec.roles.job_policies]
    if spec.roles.instance_profile == "create":
        policies.append(managed(AGENT_POLICY))
        if cluster.connection == "session-manager":
            policies.append(f"arn:{scope.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore")
    if spec.roles.service == "create":
        policies.append(managed("AWSBatchServiceRole"))
    if creates_spot_fleet_role(spec):
        policies.append(managed("AmazonEC2SpotFleetTaggingRole"))
    return sorted(set(policies))


def _passed_roles(spec: Spec, scope: Scope) -> tuple[str, ...]:
    roles = [scope.iam_arn(f"role/{scope.name}-*"), instance_role(spec, scope), *job_roles(spec)]
    if spec.roles.service.startswith("arn:"):
        roles.append(spec.roles.service)
    if spec.roles.spot_fleet.startswith("arn:") and _uses_spot(spec):
        roles.append(spec.roles.spot_fleet)
    if (denied := denied_submitters(spec)) and denied.role:
        roles.append(denied.role)
    return tuple(dict.fromkeys(roles))


def _passed_to(spec: Spec, scope: Scope) -> dict[str, dict[str, list[str]]]:
    """The services that roles are passed to.

    AWS documents those that use a role in the end; what callers of Batch are asked for is the right
    to pass the roles of instances and of jobs to Batch itself.
    Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_batch.html and
    https://docs.seqera.io/platform-cloud/compute-envs/aws-batch-iam-policy
    """
    services = [ec2_service(scope), "batch.amazonaws.com", "ecs-tasks.amazonaws.com"]
    if spec.roles.spot_fleet != "none" and _uses_spot(spec):
        services.append("spotfleet.amazonaws.com")
    if denied_submitters(spec):
        services.append("budgets.amazonaws.com")
    return {"StringEquals": {"iam:PassedToService": sorted(services)}}


def _service_linked(spec: Spec) -> list[str]:
    """The services whose own role appears in an account the first time that they are used.

    Sources: https://docs.aws.amazon.com/batch/latest/userguide/using-service-linked-roles.html,
    https://docs.aws.amazon.com/efs/latest/ug/using-service-linked-roles.html,
    https://docs.aws.amazon.com/batch/latest/userguide/spot_fleet_IAM_role.html
    """
    services = []
    if spec.roles.service == "service-linked":
        services.append("batch.amazonaws.com")
    if spec.storage.efs.id is None:
        services.append("elasticfilesystem.amazonaws.com")
    if _makes_lustre(spec):
        services.append("fsx.amazonaws.com")
    if _uses_spot(spec):
        services += ["spot.amazonaws.com", "spotfleet.amazonaws.com"]
    return services


def _makes_lustre(spec: Spec) -> bool:
    return spec.storage.fsx is not None and spec.storage.fsx.id is None


def _uses_spot(spec: Spec) -> bool:
    return any(environment.purchase == "spot" for environment in spec.environments.values())


def _logs(spec: Spec, scope: Scope) -> list[Statement]:
    if spec.logs.group:
        return []
    return [
        Statement(
            "Logs",
            (
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:DeleteRetentionPolicy",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ),
            (scope.arn("logs", f"log-group:/mngen/{scope.name}/*"),),
        )
    ]


def _budget(spec: Spec, scope: Scope) -> list[Statement]:
    """A budget, which AWS Budgets knows by its name, and the action that denies submissions.

    Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html,
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
    """
    if spec.budget is None:
        return []
    budget = scope.account_arn("budgets", f"budget/{names.budget(scope.name, scope.region)}")
    action = f"{budget}/action/*"
    denied = spec.budget.deny_submit
    made = scope.iam_arn(f"policy/{names.deny_submit_policy(scope.name)}*")
    tags = ("budgets:ListTagsForResource", "budgets:TagResource", "budgets:UntagResource")
    statements = [
        Statement(
            "Budget",
            (*tags, "budgets:ModifyBudget", "budgets:ViewBudget"),
            (budget,),
        )
    ]
    if denied is None:
        return statements
    return [
        *statements,
        Statement(
            "BudgetAction",
            (
                *tags,
                "budgets:CreateBudgetAction",
                "budgets:DeleteBudgetAction",
                "budgets:DescribeBudgetAction",
                "budgets:DescribeBudgetActionHistories",
                "budgets:ExecuteBudgetAction",
                "budgets:UpdateBudgetAction",
            ),
            (action,),
        ),
        Statement(
            "DenySubmitPolicy",
            ()
            if denied.policy
            else (
                "iam:CreatePolicy",
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:GetPolicy",
                "iam:GetPolicyVersion",
                "iam:ListPolicyVersions",
                "iam:TagPolicy",
                "iam:UntagPolicy",
            ),
            (made,),
        ),
        # IAM knows no resources of it, and answers in us-east-1 alone.
        Statement("DenySubmitList", () if denied.policy else ("iam:ListPolicies",), ("*",)),
    ]


def _dashboard(spec: Spec, scope: Scope) -> list[Statement]:
    """A dashboard, which CloudWatch knows by its name in all regions.

    Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
    """
    if not spec.dashboard:
        return []
    return [
        Statement(
            "Dashboard",
            (
                "cloudwatch:DeleteDashboards",
                "cloudwatch:GetDashboard",
                "cloudwatch:PutDashboard",
            ),
            (
                scope.account_arn(
                    "cloudwatch", f"dashboard/{names.dashboard(scope.name, scope.region)}"
                ),
            ),
        )
    ]


def _registry(spec: Spec, scope: Scope) -> list[Statement]:
    if spec.container.image:
        return []
    # A repository with `aws_name` keeps its settings.
    settings = (
        "ecr:DeleteLifecyclePolicy",
        "ecr:GetLifecyclePolicy",
        "ecr:PutImageScanningConfiguration",
        "ecr:PutImageTagMutability",
        "ecr:PutLifecyclePolicy",
    )
    return [
        Statement(
            "Registry",
            (
                "ecr:CreateRepository",
                "ecr:DeleteRepository",
                "ecr:DescribeRepositories",
                "ecr:ListTagsForResource",
                "ecr:TagResource",
                "ecr:UntagResource",
                *(() if spec.container.aws_name else settings),
            ),
            (repository(spec, scope),),
        )
    ]


def _storage(spec: Spec, scope: Scope) -> list[Statement]:
    file_systems = (file_system(spec, scope),)
    reads = Statement(
        "FileSystemRead",
        (
            "elasticfilesystem:DescribeLifecycleConfiguration",
            *(() if spec.storage.efs.id else ("elasticfilesystem:DescribeBackupPolicy",)),
        ),
        file_systems,
    )
    if spec.storage.efs.id:
        return [reads]
    creates = {"StringEquals": {"elasticfilesystem:CreateAction": ["CreateFileSystem"]}}
    return [
        reads,
        Statement(
            "FileSystemCreate",
            ("elasticfilesystem:CreateFileSystem",),
            ("*",),
            merged(scope.tagged, scope.here),
        ),
        Statement(
            "FileSystemCreateTags",
            ("elasticfilesystem:TagResource",),
            file_systems,
            merged(scope.tagged, creates),
        ),
        Statement(
            "FileSystem",
            (
                "elasticfilesystem:CreateMountTarget",
                "elasticfilesystem:DeleteFileSystem",
                "elasticfilesystem:DeleteMountTarget",
                "elasticfilesystem:ModifyMountTargetSecurityGroups",
                "elasticfilesystem:PutBackupPolicy",
                "elasticfilesystem:TagResource",
                "elasticfilesystem:UntagResource",
                "elasticfilesystem:UpdateFileSystem",
            ),
            file_systems,
            scope.own,
        ),
        # https://docs.aws.amazon.com/efs/latest/ug/EFSKMS.html
        *service_key(scope, "FileSystemKey", "elasticfilesystem", spec.storage.efs.kms_key),
    ]


def _state(spec: Spec, scope: Scope) -> list[Statement]:
    """Terraform's state: never deleted, unlike the lock beside it."""
    if spec.state is None:
        return []
    key = scope.global_arn("s3", f"{spec.state.bucket}/{state_key(spec)}")
    return [
        *read_state(spec, scope),
        Statement("StateWrite", ("s3:PutObject",), (key,)),
        Statement(
            "StateLock",
            ("s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
            (f"{key}.tflock",),
        ),
    ]
