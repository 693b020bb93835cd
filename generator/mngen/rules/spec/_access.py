"""Rules about SSH, and about lists that name one thing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._ranges import is_private, parse_range, ranges
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Network

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path

_WIDE = 16
_SECURITY = (
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-rules-reference.html"
)
_RULES = "aws ec2 describe-security-group-rules --query 'SecurityGroupRules[].[FromPort,CidrIpv4]'"


class SshNotOpen(SpecRule):
    id = "MN173"
    title = "SSH must not be open to the whole internet"
    why = "An open port 22 is found and attacked within minutes."
    remedy = "name the ranges that you connect from, such as your institute's"
    source_url = _SECURITY
    manual_test = _RULES
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  ssh:
    key_pair: my-key
    from: [0.0.0.0/0]  #! 0.0.0.0/0
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  ssh:
    key_pair: my-key
    from: [10.0.0.0/8]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, network in _ssh(subject):
            # Two halves open it as well as the whole does.
            if network.prefixlen <= 1:
                yield Match(path, f"`{network}` opens SSH to the internet")


class SshNarrow(SpecRule):
    id = "MN174"
    severity = Severity.WARNING
    title = "SSH should be open to few addresses of the internet"
    why = "A public range larger than /16 belongs to many who have nothing to do with the cluster."
    remedy = "name narrower ranges; one address is written with /32"
    source_url = _SECURITY
    manual_test = _RULES
    failing = """\
network:
  vpc: vpc-0123456789abcdef0
  subnets: [subnet-0123456789abcdef0]
  ssh:
    key_pair: my-key
    from: [52.0.0.0/8]  #! 52.0.0.0/8
"""
    passing = """\
network:
  vpc: vpc-0123456789abcdef0
  subnets: [subnet-0123456789abcdef0]
  ssh:
    key_pair: my-key
    from: [198.51.100.0/24]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, network in _ssh(subject):
            if 1 < network.prefixlen < _WIDE and not is_private(network):
                yield Match(
                    path, f"`{network}` lets {network.num_addresses:,} addresses connect by SSH"
                )


class SshRangesApart(SpecRule):
    id = "MN175"
    severity = Severity.WARNING
    title = "The address ranges for SSH should not overlap"
    why = (
        "A range inside another changes nothing. After removing one of the two, a reader would "
        "expect those addresses to be blocked."
    )
    remedy = "keep the wider of the two, or replace it by narrower ones"
    source_url = _SECURITY
    manual_test = _RULES
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  ssh:
    key_pair: my-key
    from: [10.0.0.0/8, 10.20.0.0/16]  #! 10.20.0.0/16
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  ssh:
    key_pair: my-key
    from: [10.0.0.0/8, 172.16.0.0/12]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        lists: dict[Path, list[IPv4Network]] = {}
        for path, network in _ssh(subject):
            earlier = lists.setdefault(path[:-1], [])
            for other in earlier:
                if network.overlaps(other) and network != other:
                    yield Match(path, f"`{network}` overlaps with `{other}`")
                    break
            earlier.append(network)


class SshReachesNodes(SpecRule):
    id = "MN176"
    severity = Severity.WARNING
    title = "SSH should be open to addresses that can reach the nodes"
    why = (
        "The nodes of a new VPC are in private subnets, without public addresses. A connection "
        "from the internet never arrives, also if the security group allows it."
    )
    remedy = "name the ranges of a VPN or of a peered network, or use `vpc: default`"
    source_url = "https://docs.aws.amazon.com/vpc/latest/userguide/configure-subnets.html"
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,MapPublicIpOnLaunch]'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  ssh:
    key_pair: my-key
    from: [198.51.100.0/24]  #! 198.51.100.0/24
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  ssh:
    key_pair: my-key
    from: [10.0.0.0/8]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for whole in subject.network:
            for path, network in _ssh(subject):
                if whole.vpc == "new" and network.prefixlen > 1 and not is_private(network):
                    yield Match(
                        path, f"`{network}` cannot reach the private subnets of the new VPC"
                    )


class NothingTwice(SpecRule):
    id = "MN177"
    title = "A list must not contain duplicates"
    why = (
        "AWS rejects duplicates, or Terraform cannot distinguish them: security group rules with "
        "the same range, subnets, endpoints of the same service."
    )
    remedy = "remove one of the two"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"
    manual_test = "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].ServiceName'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b, us-east-1a]  #! us-east-1a]
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, items in _lists(subject):
            seen: set[str] = set()
            for index, item in enumerate(items):
                if item in seen:
                    yield Match((*path, index), f"`{item}` is listed twice")
                seen.add(item)


def _lists(subject: Subject) -> Iterator[tuple[Path, tuple[str, ...]]]:
    network = subject.spec.network
    yield ("network", "zones"), network.zones
    yield ("network", "subnets"), network.subnets
    yield ("network", "route_tables"), network.route_tables
    yield ("network", "endpoints"), network.endpoints
    yield ("network", "security_groups"), network.security_groups
    if network.ssh is not None:
        yield ("network", "ssh", "from"), network.ssh.from_
    yield ("image", "ssh_from"), subject.spec.image.ssh_from
    yield ("image", "packages"), subject.spec.image.packages
    yield ("image", "playbooks"), subject.spec.image.playbooks
    yield ("roles", "instance_policies"), subject.spec.roles.instance_policies
    yield ("roles", "job_policies"), subject.spec.roles.job_policies
    for name, environment in subject.spec.environments.items():
        yield ("environments", name, "zones"), environment.zones


def _ssh(subject: Subject) -> Iterator[tuple[Path, IPv4Network]]:
    for path, text in ranges(subject):
        network = parse_range(text)
        if path[1] in {"ssh", "ssh_from"} and network is not None:
            yield path, network
