"""Rules that ask AWS about instances: keys, quotas, offers and AMIs."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from mngen.account import covers, largest_quota, principals, quota_value, statements
from mngen.cluster import (
    BUILDER_VOLUME,
    IMAGE_TAG,
    NR_CPUS_TAG,
    base_image_parameter,
    base_kind,
    builder_volume,
)
from mngen.errors import Severity, did_you_mean
from mngen.rules._rule import Match, Waiting
from mngen.rules.account._rule import AwsRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_ec2.type_defs import ImageTypeDef
    from mypy_boto3_sts.client import STSClient

    from mngen.account import Account
    from mngen.cluster import Cluster, ResolvedEnvironment
    from mngen.spec import Path

_ROOT_DEVICE = "/dev/xvda"
_AWS_KEY = "alias/aws/ebs"
_AUTO_SCALING = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
# Of those that AWS lists for the role, the ones that a grant can name.
_KEY_OPERATIONS = (
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
)


class KeyPairExists(AwsRule):
    id = "MN210"
    title = "The key pair must exist"
    why = "AWS Batch marks an environment INVALID if its key pair does not exist."
    remedy = "correct the name, or create it: `aws ec2 create-key-pair`"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-key-pairs.html"
    manual_test = "aws ec2 describe-key-pairs --query 'KeyPairs[].KeyName'"
    calls = ("ec2:DescribeKeyPairs",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        ssh = account.cluster.spec.network.ssh
        if ssh is None:
            return
        known = [each.get("KeyName", "") for each in account.ec2.describe_key_pairs()["KeyPairs"]]
        if ssh.key_pair not in known:
            yield Match(
                ("network", "ssh", "key_pair"),
                f"there is no key pair `{ssh.key_pair}` in {account.cluster.spec.region}",
                did_you_mean(ssh.key_pair, known),
            )


class QuotaSuffices(AwsRule):
    id = "MN211"
    title = "The account's quota must cover every environment"
    why = (
        "EC2 counts the vCPUs of all running instances of a class of families. At the quota it "
        "starts no further one: jobs wait, and only the console shows why. New accounts start "
        "low, at 0 for some families. One of an environment's types whose quota suffices is "
        "enough."
    )
    remedy = "request more at Service Quotas, which can take days, or lower `max_nodes`"
    source_url = (
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html"
        "#ec2-on-demand-instances-limits"
    )
    manual_test = (
        "aws service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A "
        "--query Quota.Value"
    )
    calls = ("servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        # Each is asked for once.
        value_of = cache(partial(quota_value, account))
        for each in account.cluster.environments:
            found = largest_quota(each, value_of)
            if found is None or found[1] >= each.max_vcpus:
                continue
            quota, value = found
            fit = int(value) // each.instance.vcpus
            yield Match(
                ("environments", each.name, "max_nodes"),
                f"{each.spec.max_nodes} nodes are {each.max_vcpus} vCPUs, and the quota "
                f'"{quota.name}" is {value:g}: enough for {fit} nodes',
                f"request more (Service Quotas, code {quota.code}), which can take days, "
                f"or lower `max_nodes` to {fit}"
                if fit
                else None,
            )


class OfferedInZone(AwsRule):
    id = "MN212"
    title = "The zones must offer the instance types"
    why = (
        "Not every zone has every type; HPC types are often in one zone of a region only. In "
        "another zone, jobs stay RUNNABLE. One of an environment's types that a zone offers is "
        "enough."
    )
    remedy = "choose a zone that offers the type, or another type"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-discovery.html"
    manual_test = (
        "aws ec2 describe-instance-type-offerings --location-type availability-zone "
        "--filters Name=instance-type,Values=hpc7a.96xlarge "
        "--query 'InstanceTypeOfferings[].Location'"
    )
    calls = (
        "ec2:DescribeInstanceTypeOfferings",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "ec2:DescribeAvailabilityZones",
    )
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        offered = _offers(account)
        region = account.cluster.spec.region
        for each in account.cluster.environments:
            zones = account.zones_of(each)
            for index, kind in enumerate(each.types):
                place: Path = ("alternatives", index - 1) if index else ("instance",)
                if not offered[kind.name]:
                    yield Match(
                        ("environments", each.name, *place),
                        f"`{kind.name}` is not offered in {region}",
                        "choose another type, or another region",
                    )
            # One type that a zone offers is enough for jobs to run.
            where = {zone for kind in each.types for zone in offered[kind.name]}
            if where and zones and not where & set(zones):
                types = ", ".join(f"`{kind.name}`" for kind in each.types)
                what = f"none of {types} is" if each.alternatives else f"{types} is not"
                yield Match(
                    ("environments", each.name, "zones" if each.spec.zones else "instance"),
                    f"{what} offered in {', '.join(zones)}",
                    f"{'one of them' if each.alternatives else 'it'} is offered in "
                    f"{', '.join(sorted(where))}",
                )


def _offers(account: Account) -> dict[str, set[str]]:
    """Returns the zones that offer each type of the cluster."""
    types = sorted({kind.name for each in account.cluster.environments for kind in each.types})
    pages = account.ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": types}]
    )
    offered: dict[str, set[str]] = {name: set() for name in types}
    for page in pages:
        for each in page["InstanceTypeOfferings"]:
            offered[each.get("InstanceType", "")].add(each.get("Location", ""))
    return offered


class ImagesFit(AwsRule):
    id = "MN213"
    title = "The AMIs must exist and match their environments"
    why = (
        "An AMI sets the CPU limit of one instance type. On another type, cores would be missing "
        "or hyper-threads left on. If an AMI does not exist, no instance starts."
    )
    remedy = "bake the AMI again: `mngen bake`"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html"
    manual_test = "aws ec2 describe-images --owners self --filters Name=tag-key,Values=mngen:image"
    calls = ("ec2:DescribeImages",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        wanted = {
            **{
                name: account.images[name].id
                for name in account.cluster.images
                if name in account.images
            },
            **{each.image: each.image for each in account.cluster.environments if each.spec.image},
        }
        if not wanted:
            return
        # Another account's AMI is left out once it is deprecated, but still starts instances.
        found = account.ec2.describe_images(
            Filters=[{"Name": "image-id", "Values": sorted(set(wanted.values()))}],
            IncludeDeprecated=True,
        )
        images = {each.get("ImageId"): each for each in found["Images"]}
        for each in account.cluster.environments:
            if each.image in wanted:
                ami = wanted[each.image]
                wrong = _wrong(each, images.get(ami))
                if wrong is not None and each.spec.image:
                    yield Match(
                        ("environments", each.name, "image"),
                        f"the AMI {ami} {wrong}",
                        "correct the id, or share the AMI with this account",
                    )
                elif wrong is not None:
                    yield Match(
                        ("environments", each.name, "instance"),
                        f"the AMI `{each.image}` ({ami}) {wrong}",
                    )


def _wrong(environment: ResolvedEnvironment, image: ImageTypeDef | None) -> str | None:
    if image is None:
        return "is not there, or not shared with this account"
    if image.get("State") != "available":
        return f"is {image.get('State')}, not available"
    if image.get("Architecture") != environment.instance.architecture:
        return (
            f"is for {image.get('Architecture')}, and `{environment.instance.name}` is "
            f"{environment.instance.architecture}"
        )
    if environment.spec.image:
        # What else is in it cannot be known here.
        return None
    tags = {tag.get("Key"): tag.get("Value") for tag in image.get("Tags", [])}
    made_for = tags.get(IMAGE_TAG)
    if made_for is None:
        return f"has no tag `{IMAGE_TAG}`, so it is not known what it was baked for"
    limit = tags.get(NR_CPUS_TAG)
    if limit is None:
        return None if made_for == environment.image else f"was baked as `{made_for}`"
    # Types that want the same limit share an image, so its name alone is not enough.
    wanted = environment.nr_cpus or 0
    if limit != str(wanted):
        return f"was baked with nr_cpus={limit}, where {wanted or 'no limit'} is wanted"
    if made_for.endswith("-efa") != environment.image.endswith("-efa"):
        return f"was baked as `{made_for}`, which differs in EFA"
    if ("gpu" in made_for.split("-")) != (environment.gpus > 0):
        return f"was baked as `{made_for}`, which differs in the drivers of GPUs"
    return None


class OwnRootDevice(AwsRule):
    id = "MN236"
    severity = Severity.WARNING
    title = "An AMI of your own should have the root device /dev/xvda"
    why = (
        "The launch template encrypts and sizes /dev/xvda, the root device of the ECS-optimized "
        "AMIs. With another root device, EC2 attaches a second volume of that name, and the root "
        "volume stays as the AMI has it: unencrypted, if its snapshot is."
    )
    remedy = (
        "make the AMI of an ECS-optimized one, or register it with --root-device-name /dev/xvda"
    )
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html"
    manual_test = (
        "aws ec2 describe-images --image-ids ami-0123456789abcdef0 "
        "--query 'Images[].RootDeviceName'"
    )
    calls = ("ec2:DescribeImages",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        own = {each.name: each.image for each in account.cluster.environments if each.spec.image}
        if not own:
            return
        found = account.ec2.describe_images(
            Filters=[{"Name": "image-id", "Values": sorted(set(own.values()))}],
            IncludeDeprecated=True,
        )
        devices = {each["ImageId"]: each.get("RootDeviceName") for each in found["Images"]}
        for name, ami in own.items():
            device = devices.get(ami)
            if device not in (None, _ROOT_DEVICE):
                yield Match(("environments", name, "image"), f"the AMI {ami} has {device}")


class BaseAmisFit(AwsRule):
    id = "MN255"
    title = "AMIs to bake from must be available and like an ECS-optimized AMI"
    why = (
        "A bake starts an instance of the AMI, and gives its root device /dev/xvda an encrypted "
        "volume of 30 GiB, or with `image.preload` the smallest `root_volume` of the nodes. "
        "EC2 refuses a volume that is smaller than its snapshot, and with another root device it "
        "attaches a second volume beside it."
    )
    remedy = "make the AMI of an ECS-optimized one, on an instance with a root volume of 30 GiB"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html"
    manual_test = (
        "aws ec2 describe-images --image-ids ami-0123456789abcdef0 "
        "--query 'Images[].[State,Architecture,RootDeviceName,BlockDeviceMappings]'"
    )
    calls = ("ec2:DescribeImages",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        images, own = _base_amis(account)
        for key, ami in own.items():
            architecture = "arm64" if key == "arm64" else "x86_64"
            volume = _smallest_volume(account.cluster, base_kind(architecture, gpu=key == "gpu"))
            wrong = _wrong_base(images.get(ami), architecture, volume)
            if wrong is not None:
                yield Match(("image", "base_amis", key), f"the AMI {ami} {wrong}")


class BaseAmisFromKnownOwners(AwsRule):
    id = "MN256"
    severity = Severity.WARNING
    title = "Public AMIs to bake from should be Amazon's or your own"
    why = (
        "Anyone can publish an AMI under any name. What is in it runs as root on every node, with "
        "the role of the node."
    )
    remedy = "copy an AMI that you trust into this account, or let its owner share it with you"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/usingsharedamis-finding.html"
    manual_test = (
        "aws ec2 describe-images --image-ids ami-0123456789abcdef0 "
        "--query 'Images[].[OwnerId,ImageOwnerAlias,Public]'"
    )
    calls = ("ec2:DescribeImages", "sts:GetCallerIdentity")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        images, own = _base_amis(account)
        if not own:
            return
        sts: STSClient = account.client("sts")
        caller = sts.get_caller_identity()["Account"]
        for key, ami in own.items():
            if ami in images and _is_of_a_stranger(images[ami], caller):
                owner = images[ami].get("OwnerId")
                yield Match(
                    ("image", "base_amis", key), f"the AMI {ami} is public, of the account {owner}"
                )


def _is_of_a_stranger(image: ImageTypeDef, caller: str) -> bool:
    """Returns whether an AMI is public, and neither Amazon's nor of the caller's account."""
    known = image.get("ImageOwnerAlias") == "amazon" or image.get("OwnerId") == caller
    return bool(image.get("Public")) and not known


def _base_amis(account: Account) -> tuple[dict[str, ImageTypeDef], dict[str, str]]:
    """Returns what AWS has of the AMIs to bake from, and these by their keys in the spec."""
    amis = account.cluster.spec.image.base_amis
    given = {"x86_64": amis.x86_64, "arm64": amis.arm64, "gpu": amis.gpu}
    own = {key: ami for key, ami in given.items() if ami is not None}
    if not own:
        return {}, {}
    found = account.ec2.describe_images(
        Filters=[{"Name": "image-id", "Values": sorted(set(own.values()))}],
        IncludeDeprecated=True,
    )
    return {each["ImageId"]: each for each in found["Images"]}, own


def _smallest_volume(cluster: Cluster, kind: str) -> int:
    """Returns the size of the smallest root volume of builders from a kind of base AMI, GiB."""
    made = (each for each in cluster.machine_images if each.base_kind == kind)
    return min((builder_volume(cluster, each) for each in made), default=BUILDER_VOLUME)


def _wrong_base(image: ImageTypeDef | None, architecture: str, volume: int) -> str | None:
    if image is None:
        return "is not there, or not shared with this account"
    if image.get("State") != "available":
        return f"is {image.get('State')}, not available"
    if image.get("Architecture") != architecture:
        return f"is for {image.get('Architecture')}, not {architecture}"
    if image.get("RootDeviceName") != _ROOT_DEVICE:
        return f"has the root device {image.get('RootDeviceName')}, not {_ROOT_DEVICE}"
    sizes = [
        each.get("Ebs", {}).get("VolumeSize", 0)
        for each in image.get("BlockDeviceMappings", [])
        if each.get("DeviceName") == _ROOT_DEVICE
    ]
    if max(sizes, default=0) > volume:
        return f"has a root volume of {max(sizes)} GiB, and builders have {volume}"
    return None


class ImagesAreCurrent(AwsRule):
    id = "MN219"
    severity = Severity.WARNING
    title = "The AMIs should start from the newest base AMI"
    why = (
        "The ECS-optimized AMIs contain fixes of the kernel, Docker and the ECS agent. An AMI that "
        "was baked from an older one does not have them."
    )
    remedy = "bake again and apply: `mngen bake`"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html"
    manual_test = (
        "aws ssm get-parameter --query Parameter.Value "
        "--name /aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    )
    calls = ("ssm:GetParameters",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        base = account.cluster.spec.image.base
        baked = {
            each: record.baked_from
            for each in account.cluster.environments
            if (record := account.images.get(each.image)) and record.baked_from
        }
        wanted = {base_image_parameter(base, each.base_kind) for each in baked.values()}
        if not wanted:
            return
        found = account.client("ssm").get_parameters(Names=sorted(wanted))["Parameters"]
        newest = {each["Name"]: each["Value"] for each in found}
        for environment, made_of in baked.items():
            own = account.cluster.spec.image.base_amis.of(made_of.base_kind)
            newer = newest.get(base_image_parameter(base, made_of.base_kind))
            if own is None and newer is not None and newer != made_of.base_ami:
                yield Match(
                    ("environments", environment.name, "instance"),
                    f"the AMI `{environment.image}` was baked from {made_of.base_ami}, "
                    f"and the newest {base} is {newer}",
                )


class KeyLetsInstancesStart(AwsRule):
    id = "MN225"
    title = "Instances must be allowed to use the key of their volumes"
    why = (
        "Volumes are encrypted with the key in the spec, or with the account's default key for "
        "EBS. AWS Batch starts instances through EC2 Auto Scaling, whose service-linked role may "
        "use a customer managed key only if the key's policy or a grant allows it. Otherwise EC2 "
        "terminates the instances as they start (Client.InvalidKMSKey.InvalidState, "
        "Client.InternalError), and jobs stay RUNNABLE."
    )
    remedy = "give EC2 Auto Scaling's service-linked role a grant on the key, or name another key"
    source_url = (
        "https://docs.aws.amazon.com/autoscaling/ec2/userguide/"
        "key-policy-requirements-EBS-encryption.html"
    )
    manual_test = "aws ec2 get-ebs-default-kms-key-id; aws kms list-grants --key-id KEY"
    calls = (
        "ec2:GetEbsDefaultKmsKeyId",
        "kms:DescribeKey",
        "kms:GetKeyPolicy",
        "kms:ListGrants",
        "sts:GetCallerIdentity",
    )

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        named = account.cluster.spec.image.kms_key
        key = named or account.ec2.get_ebs_default_kms_key_id()["KmsKeyId"]
        if key == _AWS_KEY:
            return
        kms: Any = account.client("kms")
        facts = kms.describe_key(KeyId=key)["KeyMetadata"]
        if facts.get("KeyManager") == "AWS":
            return
        _, partition, *_ = facts["Arn"].split(":")
        own = account.client("sts").get_caller_identity()["Account"]
        role = f"arn:{partition}:iam::{own}:role/{_AUTO_SCALING}"
        policy = kms.get_key_policy(KeyId=facts["Arn"], PolicyName="default")["Policy"]
        granted = {
            operation
            for page in kms.get_paginator("list_grants").paginate(KeyId=facts["Arn"])
            for grant in page["Grants"]
            if grant.get("GranteePrincipal") == role
            for operation in grant["Operations"]
        }
        missing = [
            each
            for each in _KEY_OPERATIONS
            if each not in granted and not _key_allows(policy, role, each)
        ]
        if not missing:
            return
        path: Path = ("image", "kms_key")
        whose = "named"
        if named is None:
            path = ("environments", account.cluster.environments[0].name, "instance")
            whose = "the account's default for EBS"
        yield Match(
            path,
            f"EC2 Auto Scaling may not use the key `{facts['Arn']}`, {whose}: it lacks "
            + ", ".join(missing),
            f"run `aws kms create-grant --key-id {facts['Arn']} --grantee-principal {role} "
            f"--operations {' '.join(_KEY_OPERATIONS)}`, or set another key: "
            "`image: {kms_key: …}`",
        )


def _key_allows(policy: str, role: str, operation: str) -> bool:
    """Whether a key policy names the role, or everyone; the account alone is not enough.

    A service-linked role has no permissions on keys, so what the policy leaves to IAM it lacks.
    """
    return any(
        principals(each) & {role, "*"} and covers(each, f"kms:{operation}")
        for each in statements(policy, "Allow")
    )
