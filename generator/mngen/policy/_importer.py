"""The importer: what `mngen import --from-account` reads, before there is a spec.

It also holds all that `--aws` asks beside files. What exists may have any name, so nothing is bound
to a deployment; nothing is changed either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.policy._statement import Statement

if TYPE_CHECKING:
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
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcEndpoints",
            ),
            ("*",),
            scope.here,
        ),
        Statement(
            "FileSystems",
            (
                "elasticfilesystem:DescribeFileSystems",
                "elasticfilesystem:DescribeMountTargetSecurityGroups",
                "elasticfilesystem:DescribeMountTargets",
            ),
            (scope.arn("elasticfilesystem", "file-system/*"),),
        ),
        Statement("Profiles", ("iam:GetInstanceProfile",), (scope.iam_arn("instance-profile/*"),)),
    ]
