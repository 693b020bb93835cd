"""FSx for Lustre in the deployer's policy: a new file system, and its links to S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import DEPLOYMENT_TAG
from mngen.policy._shared import Vpc, service_key
from mngen.policy._statement import Scope, Statement, merged

if TYPE_CHECKING:
    from mngen.spec import Spec

_LINKED_BUCKET = (
    *("GetAccelerateConfiguration", "GetAnalyticsConfiguration", "GetBucketAbac", "GetBucketAcl"),
    *("GetBucketCORS", "GetBucketLocation", "GetBucketLogging"),
    *("GetBucketMetadataTableConfiguration", "GetBucketNotification"),
    *("GetBucketObjectLockConfiguration", "GetBucketOwnershipControls", "GetBucketPolicy"),
    *("GetBucketPolicyStatus", "GetBucketPublicAccessBlock", "GetBucketRequestPayment"),
    *("GetBucketTagging", "GetBucketVersioning", "GetBucketWebsite", "GetEncryptionConfiguration"),
    *("GetIntelligentTieringConfiguration", "GetInventoryConfiguration"),
    *("GetLifecycleConfiguration", "GetMetricsConfiguration", "GetReplicationConfiguration"),
    *("ListBucket", "ListBucketMultipartUploads", "ListBucketVersions", "ListTagsForResource"),
)
_LINKED_OBJECTS = (
    *("GetObject", "GetObjectAcl", "GetObjectAttributes", "GetObjectLegalHold"),
    *("GetObjectRetention", "GetObjectTagging", "GetObjectTorrent", "GetObjectVersion"),
    *("GetObjectVersionAcl", "GetObjectVersionAttributes", "GetObjectVersionForReplication"),
    *("GetObjectVersionTagging", "GetObjectVersionTorrent", "ListMultipartUploadParts"),
    "PutObject",
)


def lustre_statements(spec: Spec, scope: Scope) -> list[Statement]:
    """Returns what creating, changing and deleting the file system of a spec needs; or nothing.

    FSx makes a role for each file system that is linked, with an inline policy for the bucket, in
    the caller's name; and a grant on the key of a persistent one. It has no condition on what a tag
    is created with, so a file system without the tag of any deployment can be given this one's.

    Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonfsx.html,
    https://docs.aws.amazon.com/fsx/latest/LustreGuide/setting-up.html (permissions for S3),
    https://docs.aws.amazon.com/fsx/latest/LustreGuide/FSXKMS.html
    """
    fsx = spec.storage.fsx
    if fsx is None or fsx.id is not None:
        return []
    vpc = Vpc.of(spec, scope)
    systems = scope.arn("fsx", "file-system/*")
    links = (scope.arn("fsx", "association/*"),) if fsx.s3 else ()
    untagged = {"Null": {f"aws:ResourceTag/{DEPLOYMENT_TAG}": ["true"]}}
    service = "s3.data-source.lustre.fsx.amazonaws.com"
    return [
        # FSx asks for the groups in the caller's name.
        Statement("LustreGroups", ("ec2:GetSecurityGroupsForVpc",), (vpc.arn,), vpc.conditions),
        Statement(
            "LustreLook",
            ("fsx:DescribeDataRepositoryAssociations",) if fsx.s3 else (),
            ("*",),
            scope.here,
        ),
        Statement("LustreCreate", ("fsx:CreateFileSystem",), (systems,), scope.tagged),
        Statement(
            "LustreLinkCreate", ("fsx:CreateDataRepositoryAssociation",), links, scope.tagged
        ),
        Statement(
            "LustreCreateTags",
            ("fsx:TagResource",),
            (systems, *links),
            merged(scope.tagged, untagged),
        ),
        Statement(
            "Lustre",
            (
                "fsx:DeleteFileSystem",
                "fsx:TagResource",
                "fsx:UntagResource",
                "fsx:UpdateFileSystem",
                *(("fsx:CreateDataRepositoryAssociation",) if fsx.s3 else ()),
            ),
            (systems,),
            scope.own,
        ),
        Statement(
            "LustreLink",
            (
                "fsx:DeleteDataRepositoryAssociation",
                "fsx:TagResource",
                "fsx:UntagResource",
                "fsx:UpdateDataRepositoryAssociation",
            ),
            links,
            scope.own,
        ),
        Statement(
            "LustreRoles",
            ("iam:AttachRolePolicy", "iam:CreateServiceLinkedRole", "iam:PutRolePolicy")
            if fsx.s3
            else (),
            (scope.iam_arn(f"role/aws-service-role/{service}/*"),),
        ),
        *_linked(scope, [link.path for link in fsx.s3.values()]),
        *service_key(scope, "LustreKey", "fsx", fsx.kms_key),
    ]


def _linked(scope: Scope, paths: list[str]) -> list[Statement]:
    """What FSx asks for in the caller's name about the bucket and the prefix of a link.

    AWS documents `s3:Get*`, `s3:List*` and `s3:PutObject`, also for a link that only imports, and
    not which of these FSx looks at. So all actions of these names that touch a bucket or an object
    are here. With which keys it tries the prefix is not documented either: the prefix itself and
    all below it is inferred.

    Sources: https://docs.aws.amazon.com/fsx/latest/LustreGuide/s3-validation-error.html,
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
    """
    parts = [path.removeprefix("s3://").rstrip("/").partition("/") for path in sorted(paths)]
    buckets = [scope.global_arn("s3", bucket) for bucket, _, _ in parts]
    objects = [
        scope.global_arn("s3", name)
        for bucket, _, prefix in parts
        for name in ([f"{bucket}/{prefix}", f"{bucket}/{prefix}/*"] if prefix else [f"{bucket}/*"])
    ]
    return [
        Statement("LinkedBucket", tuple(f"s3:{each}" for each in _LINKED_BUCKET), tuple(buckets)),
        Statement("LinkedObjects", tuple(f"s3:{each}" for each in _LINKED_OBJECTS), tuple(objects)),
    ]
