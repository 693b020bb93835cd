"""What a cluster makes of environments with a limit of CPUs or an AMI of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.catalog import load_catalog
from mngen.rules import require
from mngen.spec import load_text

if TYPE_CHECKING:
    from mngen.cluster import Cluster

# The tutorial's file: of r5.24xlarge, 48 cores, one environment uses 24 and the other all.
SPEC = b"""
name: wave
region: us-east-1
environments:
  half: {instance: r5.24xlarge, max_nodes: 20, cpus: 24}
  whole: {instance: r5.24xlarge, max_nodes: 20}
  own: {instance: r5.24xlarge, max_nodes: 2, cpus: 24, image: ami-0a1b2c3d4e5f60718}
  graviton: {instance: c7g.16xlarge, max_nodes: 2, cpus: 32, placement_group: {existing: MPIgroup}}
queues:
  half: {environments: [half]}
  whole: {environments: [whole]}
  own: {environments: [own]}
  graviton: {environments: [graviton]}
jobs:
  half: {queue: half, nodes: 2, command: [wave]}
  whole: {queue: whole, nodes: 2, command: [wave]}
"""


def cluster() -> Cluster:
    return require(load_text(SPEC), load_catalog())


def test_one_type_has_an_image_for_each_limit() -> None:
    found = cluster()
    assert found.images == ("c7g.16xlarge-32", "r5.24xlarge", "r5.24xlarge-24")
    assert [(each.names, each.nr_cpus) for each in found.machine_images] == [
        (("c7g.16xlarge-32",), 32),
        (("r5.24xlarge",), 48),
        (("r5.24xlarge-24",), 24),
    ]


def test_a_job_gets_the_cpus_that_run() -> None:
    half, whole = cluster().jobs
    assert (half.vcpus, half.nr_cpus) == (24, 24)
    assert (whole.vcpus, whole.nr_cpus) == (48, 48)
    # The memory of a socket whose cores are unused is there all the same.
    assert half.memory == whole.memory


def test_batch_counts_what_ec2_sells() -> None:
    half = next(each for each in cluster().environments if each.name == "half")
    assert (half.max_vcpus, half.schedulable_vcpus) == (20 * 96, 24)


def test_an_ami_that_exists_is_not_baked() -> None:
    own = next(each for each in cluster().environments if each.name == "own")
    assert (own.image, own.nr_cpus) == ("ami-0a1b2c3d4e5f60718", 24)
    assert own.image not in cluster().images


def test_a_placement_group_that_exists_is_not_made() -> None:
    graviton = next(each for each in cluster().environments if each.name == "graviton")
    assert (graviton.placement_group, graviton.has_own_group) == ("MPIgroup", False)
    assert cluster().placement_groups == ("half", "own", "whole")
