"""Rules about IPv4 ranges: how they are written, and which a new VPC may have."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule
from mngen.spec import DEFAULT_CIDR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path

_VPC_CIDR = "https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html"
_VPCS = "aws ec2 describe-vpcs --query 'Vpcs[].[VpcId,CidrBlock,IsDefault]'"

_PRIVATE = tuple(
    IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
_SPECIAL = {
    IPv4Network("0.0.0.0/8"): "the local network",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local addresses",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "addresses reserved by IANA",
}
_DOCKER = IPv4Network("172.17.0.0/16")

_LARGEST_VPC, _SMALLEST_VPC = 16, 22

_KEPT_BY_AWS = 5
"""Addresses of every subnet that AWS keeps: the first four and the last."""


def parse_range(text: str) -> IPv4Network | None:
    """Returns an IPv4 range, or None where the text is none or has bits below its prefix."""
    try:
        return IPv4Network(text)
    except ValueError:
        return None


class RangesAreWritten(SpecRule):
    id = "MN166"
    title = "An IPv4 range must be valid"
    why = "EC2 rejects numbers above 255, prefixes above 32, and bits set below the prefix."
    remedy = "write the first address of the range, a slash and the length of its prefix"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html"
    manual_test = "aws ec2 describe-security-group-rules"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  ssh:
    key_pair: my-key
    from: [192.168.1.20/24]  #! 192.168.1.20/24
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  ssh:
    key_pair: my-key
    from: [192.168.1.0/24]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, text in ranges(subject):
            if parse_range(text) is None:
                message, hint = _wrong(text)
                yield Match(path, message, hint)


def ranges(subject: Subject) -> Iterator[tuple[Path, str]]:
    """Yields every IPv4 range of the spec with its place."""
    network = subject.spec.network
    if network.cidr is not None:
        yield ("network", "cidr"), network.cidr
    for index, text in enumerate(network.ssh.from_ if network.ssh else ()):
        yield ("network", "ssh", "from", index), text
    for index, text in enumerate(subject.spec.image.ssh_from):
        yield ("image", "ssh_from", index), text


def _wrong(text: str) -> tuple[str, str | None]:
    address, _, prefix = text.partition("/")
    try:
        IPv4Address(address)
        whole = IPv4Network(text, strict=False)
    except AddressValueError:
        return (
            f'invalid IPv4 address "{address}": use four numbers from 0 to 255, without leading 0',
            None,
        )
    except NetmaskValueError:
        return f'invalid prefix "/{prefix}" of an IPv4 range: use 0 to 32', None
    return (
        f"`{text}` has bits set below its prefix",
        f"write {whole} for the whole range, or {address}/32 for the one address",
    )


class VpcSize(SpecRule):
    id = "MN167"
    title = "The range of a new VPC must be /16 to /22"
    why = (
        "EC2 rejects a VPC larger than /16. Each zone gets an eighth of the range, which leaves a "
        "zone fewer than sixty addresses from /23 on."
    )
    remedy = "choose a prefix from /16 to /22"
    source_url = _VPC_CIDR
    manual_test = _VPCS
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 10.0.0.0/24  #! 10.0.0.0/24
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 10.0.0.0/20
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for whole in _new_range(subject):
            if not _LARGEST_VPC <= whole.prefixlen <= _SMALLEST_VPC:
                size = "large" if whole.prefixlen < _LARGEST_VPC else "small"
                yield Match(("network", "cidr"), f"a VPC of /{whole.prefixlen} is too {size}")


class OrdinaryRange(SpecRule):
    id = "MN168"
    title = "The range of a new VPC must hold ordinary addresses"
    why = "Linux and EC2 treat these addresses specially or drop packets to them."
    remedy = "use a private range, such as 10.0.0.0/16"
    source_url = _VPC_CIDR
    manual_test = _VPCS
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 169.254.0.0/16  #! 169.254.0.0/16
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 10.0.0.0/16
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for whole in _new_range(subject):
            for special, meaning in _SPECIAL.items():
                if whole.overlaps(special):
                    yield Match(("network", "cidr"), f"`{whole}` is for {meaning} ({special})")


class PrivateRange(SpecRule):
    id = "MN169"
    severity = Severity.WARNING
    title = "The range of a new VPC should be private"
    why = (
        "Internet addresses inside a VPC hide the hosts that own them: packets to those hosts stay "
        "in the VPC."
    )
    remedy = "use a range of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
    source_url = _VPC_CIDR
    manual_test = _VPCS
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 52.94.0.0/16  #! 52.94.0.0/16
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 10.94.0.0/16
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for whole in _new_range(subject):
            ordinary = not any(whole.overlaps(special) for special in _SPECIAL)
            if ordinary and not is_private(whole):
                yield Match(("network", "cidr"), f"`{whole}` has addresses of the internet")


class DockersRange(SpecRule):
    id = "MN170"
    severity = Severity.WARNING
    title = "The range of a new VPC should not overlap Docker's"
    why = (
        "Docker's bridge on every node uses 172.17.0.0/16. A node with such an address cannot be "
        "reached from containers on the bridge, for example those of single-node jobs."
    )
    remedy = "use another range, such as 10.0.0.0/16"
    source_url = _VPC_CIDR
    manual_test = _VPCS
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 172.17.0.0/16  #! 172.17.0.0/16
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 172.20.0.0/16
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for whole in _new_range(subject):
            if whole.overlaps(_DOCKER):
                yield Match(
                    ("network", "cidr"), f"`{whole}` overlaps with Docker's own range, {_DOCKER}"
                )


class AddressesSuffice(SpecRule):
    id = "MN171"
    severity = Severity.WARNING
    title = "A zone of a new VPC should have addresses for all nodes"
    why = (
        "Each zone gets an eighth of the range, less the five addresses that AWS reserves, one for "
        "the file system and one for each interface endpoint. A node of a multi-node job takes "
        "two: one for the instance and one for its container. When they run out, no more instances "
        "start."
    )
    remedy = "use a larger range, up to /16, or lower `max_nodes`"
    source_url = "https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,AvailableIpAddressCount]'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 10.0.0.0/22
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 100  #! 100
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 10.0.0.0/20
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 100
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for whole in _new_range(subject):
            if whole.prefixlen > _SMALLEST_VPC:
                continue
            interfaces = sum(each != "s3" for each in subject.spec.network.endpoints)
            free = whole.num_addresses // 8 - _KEPT_BY_AWS - 1 - interfaces
            for each in subject.environments:
                needed = 2 * each.spec.max_nodes
                if each.spec.multi_node and needed > free:
                    yield Match(
                        ("environments", each.name, "max_nodes"),
                        f"{each.spec.max_nodes} nodes of multi-node jobs take {needed} addresses, "
                        f"and a zone of `{whole}` has {max(free, 0)} to give",
                    )


def is_private(network: IPv4Network) -> bool:
    """Whether no address of the range is routed on the internet."""
    return any(network.subnet_of(each) for each in _PRIVATE)


def _new_range(subject: Subject) -> Iterator[IPv4Network]:
    """Yields the range of a new VPC, where there is one and it is written well."""
    for network in subject.network:
        parsed = parse_range(network.cidr or DEFAULT_CIDR)
        if network.vpc == "new" and parsed is not None:
            yield parsed
