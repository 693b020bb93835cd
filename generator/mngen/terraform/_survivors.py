"""What a destroy leaves behind, and what it costs to leave it there: named with commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen._aws import client
from mngen._tags import with_tags
from mngen.cluster import DEPLOYMENT_TAG, inputs_prefix, outputs_prefix
from mngen.errors import Problem, Severity
from mngen.terraform._missing import Search, constant, search_of
from mngen.terraform._standing import IF_PLANNED, SEARCHED, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mngen.terraform._plan import Plan

# Where EFS's automatic backups go, kept 35 days by default:
# https://docs.aws.amazon.com/efs/latest/ug/awsbackup.html
_VAULT = "aws/efs/automatic-backup-vault"


def survivors(
    plan: Plan, folder: Path, connect: Callable[[str, str], Any] = client
) -> Iterator[Problem]:
    """Yields what still exists of a deployment after its destroy was applied.

    Args:
        plan: The plan that destroyed it.
        folder: The folder that Terraform ran in, with the record of the AMIs.
        connect: Makes a boto3 client of a service and a region.
    """
    search = search_of(plan.data)
    if search is None:
        return
    yield from _backups(plan.data, search)
    yield from _files(plan.data, search)
    # Nothing is in the state any more, and nothing has a place in it.
    types = SEARCHED | (
        IF_PLANNED & {each["type"] for each in plan.data.get("resource_changes", [])}
    )
    everything = Search(search.deployment, search.region, (), types, frozenset())
    found, refused = standing(everything, connect)
    for left in found.leftovers:
        yield _remains(f"{left.type} {left.id}, which no state manages", f"{left.delete_command}")
    yield from _images(search, folder, connect)
    if refused:
        yield Problem(
            "could not check for everything that may remain: " + refused[0].problems[0].message,
            severity=Severity.INFO,
            hint=refused[0].problems[0].hint,
        )


def _remains(what: str, command: str) -> Problem:
    return Problem(f"not deleted: {what}", severity=Severity.INFO, hint=f"to delete it: {command}")


def _backups(data: Mapping[str, Any], search: Search) -> Iterator[Problem]:
    """Yields the backups of destroyed file systems, where they were on."""
    before = [
        (each["type"], each["change"].get("before") or {})
        for each in data.get("resource_changes", [])
    ]
    backed_up = {
        values["file_system_id"]
        for kind, values in before
        if kind == "aws_efs_backup_policy"
        and any(each["status"] == "ENABLED" for each in values.get("backup_policy") or [])
    }
    for kind, values in before:
        if kind == "aws_efs_file_system" and values.get("id") in backed_up:
            yield _remains(
                f"backups of {values['id']}, if any were made: they are paid for, and AWS Backup "
                "deletes them after 35 days",
                "aws backup list-recovery-points-by-resource "
                f"--region {search.region} --resource-arn {values['arn']}, then aws backup "
                f"delete-recovery-point --region {search.region} --backup-vault-name {_VAULT} "
                "--recovery-point-arn ARN",
            )


def _files(data: Mapping[str, Any], search: Search) -> Iterator[Problem]:
    bucket = constant(data, "identity", "inputs_bucket")
    if bucket:
        for what, prefix in (
            ("inputs", inputs_prefix(search.deployment)),
            ("outputs", outputs_prefix(search.deployment)),
        ):
            place = f"s3://{bucket}/{prefix}"
            yield _remains(
                f"{what} in {place}, if any were uploaded", f"aws s3 rm --recursive {place}"
            )


def _images(search: Search, folder: Path, connect: Callable[[str, str], Any]) -> Iterator[Problem]:
    from botocore.exceptions import BotoCoreError, ClientError

    from mngen.cluster import AMIS_FILE

    filters = with_tags({DEPLOYMENT_TAG: search.deployment})
    try:
        images = connect("ec2", search.region).describe_images(Owners=["self"], Filters=filters)
    except (BotoCoreError, ClientError):
        images = {"Images": []}
        command = (
            f"aws ec2 describe-images --region {search.region} --owners self "
            f"--filters Name=tag:{DEPLOYMENT_TAG},Values={search.deployment}"
        )
        yield _remains("AMIs and their snapshots, if any were baked", f"find them with {command}")
    ids = sorted(each["ImageId"] for each in images["Images"])
    if ids:
        record = folder / Path(AMIS_FILE).name
        yield _remains(
            f"{len(ids)} AMIs with their snapshots, which are paid for: {', '.join(ids)}",
            f"rm {record}, then mngen ami prune",
        )
