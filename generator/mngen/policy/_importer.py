"""The importer: what `mngen import --from-account` reads, before there is a spec.

It also holds all that `--aws` asks beside files, and what shows the keys of a deployment that mngen
made. What exists may have any name, so nothing is bound to a deployment; nothing is changed either.
What `--finish` needs is apart: it deletes the compute environments named, and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.policy._statement import Statement

if TYPE_CHECKING:
    from collections.abc import Collection

    from mngen.policy._statement import Scope


def importer_statements(scope: Scope) -> list[Statement]:
    """Returns the permissions of a user who makes a spec of what a region has."""
    return [
        # None of these takes resources.
        Statement(
            "Look",
            (
                "batch:DescribeComputeEnvironments",
                "batch:DescribeJobDefinitions",
                "batch:DescribeJobQueues",
                "batch:DescribeSchedulingPolicies",
                "ec2:DescribeImages",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:DescribeNatGateways",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcEndpoints",
                "ec2:DescribeVpcs",
                "fsx:DescribeDataRepositoryAssociations",
                "fsx:DescribeFileSystems",
                "logs:DescribeLogGroups",
            ),
            ("*",),
            scope.here,
        ),
        Statement(
            "FileSystems",
            (
                "elasticfilesystem:DescribeBackupPolicy",
                "elasticfilesystem:DescribeFileSystems",
                "elasticfilesystem:DescribeMountTargetSecurityGroups",
                "elasticfilesystem:DescribeMountTargets",
            ),
            (scope.arn("elasticfilesystem", "file-system/*"),),
        ),
        Statement("Keys", ("kms:DescribeKey",), (scope.arn("kms", "key/*"),)),
        Statement(
            "Messages",
            (
                "events:DescribeRule",
                "events:ListTargetsByRule",
                "sns:GetTopicAttributes",
                "sns:ListSubscriptionsByTopic",
            ),
            (scope.arn("events", "rule/*"), scope.arn("sns", "*")),
        ),
        Statement(
            "Budgets",
            ("budgets:DescribeBudgetActionsForBudget", "budgets:ViewBudget"),
            (scope.account_arn("budgets", "budget/*"),),
        ),
        Statement(
            "BudgetActions",
            ("budgets:ListTagsForResource",),
            (scope.account_arn("budgets", "budget/*/action/*"),),
        ),
        Statement(
            "Dashboards",
            ("cloudwatch:GetDashboard",),
            (scope.account_arn("cloudwatch", "dashboard/*"),),
        ),
        Statement("Profiles", ("iam:GetInstanceProfile",), (scope.iam_arn("instance-profile/*"),)),
        Statement(
            "Roles",
            (
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
            ),
            (scope.iam_arn("role/*"),),
        ),
        # IAM answers in us-east-1 alone, so this has no condition on the region.
        Statement("RoleNames", ("iam:ListRoles",), ("*",)),
        Statement(
            "Images",
            ("ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:ListTagsForResource"),
            (scope.arn("ecr", "repository/*"),),
        ),
    ]


def finish_statements(scope: Scope, environments: Collection[str]) -> list[Statement]:
    """Returns the permissions of a user who deletes old compute environments.

    Args:
        scope: Account and region.
        environments: ARNs of the environments.
    """
    names = [each.rpartition("/")[2] for each in environments]
    return [
        # Neither takes resources.
        Statement(
            "Look",
            ("batch:DescribeComputeEnvironments", "batch:DescribeJobQueues"),
            ("*",),
            scope.here,
        ),
        Statement(
            "Jobs",
            ("ecs:DescribeClusters",),
            # The two names that Batch gives them: see the submitter's.
            tuple(
                scope.arn("ecs", f"cluster/{cluster}")
                for name in names
                for cluster in (f"AWSBatch-{name}-*", f"{name}_Batch_*")
            ),
        ),
        Statement(
            "Delete",
            ("batch:DeleteComputeEnvironment", "batch:UpdateComputeEnvironment"),
            tuple(environments),
        ),
    ]
