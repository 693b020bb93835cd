"""The rule that asks AWS about the EFA installer in a bucket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mngen import _resources
from mngen.account import concerns, covers, holds, principals, statements
from mngen.cluster.names import partition_of
from mngen.rules._rule import Match
from mngen.rules.account._rule import AwsRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3.client import S3Client

    from mngen.account import Account
    from mngen.spec import Image

_PATH = ("image", "efa_installer")
_DEFAULTS = "roles/efa/defaults/main.yml"
_VERSION = re.compile(r"^  (amazon-linux-\S+): (\S+)$", re.MULTILINE)
_MISSING = "404"


class EfaInstallerIsThere(AwsRule):
    id = "MN229"
    title = "Builders must be able to read the EFA installer in the bucket"
    why = (
        "Builders of AMIs with EFA copy the installer, its signature and the key from the folder "
        "of `efa_installer`, through the S3 endpoint of their region. Where a file is missing, or "
        "their role may not read it, the bake fails after it has started an instance."
    )
    remedy = (
        "copy the installer, its signature and aws-efa-installer.key to the folder, in a bucket "
        "of the region"
    )
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html"
    manual_test = "aws s3 ls s3://BUCKET/efa/"
    calls = ("kms:DescribeKey", "s3:GetBucketPolicy", "s3:GetObject", "s3:ListBucket")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        spec = account.cluster.spec
        if not spec.image.efa_installer or not any(
            image.efa for image in account.cluster.machine_images
        ):
            return
        bucket, _, folder = spec.image.efa_installer.removeprefix("s3://").partition("/")
        s3: S3Client = account.client("s3")
        region = account.bucket_region(bucket)
        if region is None:
            yield Match(_PATH, f"there is no bucket `{bucket}`")
            return
        if region not in ("", spec.region):
            yield Match(
                _PATH,
                f"the bucket `{bucket}` is in {region}, and the builders are in {spec.region}",
                f"copy the files to a bucket in {spec.region}",
            )
            return
        # What denies everyone denies this look, too.
        names = _efa_files(spec.image)
        partition = partition_of(spec.region)
        files = [f"arn:{partition}:s3:::{bucket}/{folder}{name}" for name in names]
        denied = list(_denied(s3, bucket, files))
        if denied:
            yield from denied
            return
        there = _encrypted_by(s3, bucket, folder, names)
        missing = [name for name in names if name not in there]
        if missing:
            yield Match(_PATH, f"`{spec.image.efa_installer}` does not have {', '.join(missing)}")
        # The role of the spec's own instance profile is its owner's.
        if spec.roles.instance_profile == "create":
            yield from _encrypted(account, there)


def _efa_files(image: Image) -> tuple[str, ...]:
    """Returns the names of the files that the playbooks copy: those of their version of EFA."""
    text = (_resources.playbooks() / _DEFAULTS).read_text(encoding="utf-8")
    version = image.efa_version or dict(_VERSION.findall(text))[image.base]
    tarball = f"aws-efa-installer-{version}.tar.gz"
    return ("aws-efa-installer.key", f"{tarball}.sig", tarball)


def _encrypted_by(
    s3: S3Client, bucket: str, folder: str, names: tuple[str, ...]
) -> dict[str, str | None]:
    """Returns the files that are there, with the KMS key that encrypts each, if one does."""
    from botocore.exceptions import ClientError

    found: dict[str, str | None] = {}
    for name in names:
        try:
            answer = s3.head_object(Bucket=bucket, Key=folder + name)
        except ClientError as error:
            if error.response["Error"]["Code"] == _MISSING:
                continue
            raise
        found[name] = answer.get("SSEKMSKeyId")
    return found


def _encrypted(account: Account, there: dict[str, str | None]) -> Iterator[Match]:
    """Yields the customer keys that files are encrypted with, which the builders' role lacks.

    AWS's own key for S3 lets in everyone of the account who may read the object.
    """
    kms: Any = account.client("kms")
    keys = sorted({key for key in there.values() if key is not None})
    own = [
        key
        for key in keys
        if kms.describe_key(KeyId=key)["KeyMetadata"].get("KeyManager") == "CUSTOMER"
    ]
    if own:
        yield Match(
            _PATH,
            f"the files are encrypted with {', '.join(own)}, which the role of the builders may "
            "not use",
            "copy them again with `--sse AES256`: they are public software",
        )


def _denied(s3: S3Client, bucket: str, files: list[str]) -> Iterator[Match]:
    """Yields a statement of the bucket's policy that certainly denies the builders a file."""
    from botocore.exceptions import ClientError

    try:
        policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucketPolicy":
            return
        raise
    facts = {"aws:securetransport": "true"}
    for statement in statements(policy, "Deny"):
        about = any(concerns(statement, each) for each in files)
        denied = "*" in principals(statement) and covers(statement, "s3:GetObject")
        if about and denied and holds(statement, facts):
            yield Match(
                _PATH,
                f"the policy of the bucket `{bucket}` denies everyone to read the files",
                "name another bucket, or remove the statement",
            )
            return
