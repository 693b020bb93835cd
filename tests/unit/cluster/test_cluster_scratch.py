"""What follows from `scratch`: the AMI of an environment, and what its jobs see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.catalog import load_catalog
from mngen.cluster import job_variables, scratch_of_image
from mngen.rules import require
from mngen.spec import load_text

if TYPE_CHECKING:
    from mngen.cluster import Cluster

SPEC = """
name: cfd
region: us-east-1
environments:
  a: {instance: c5d.18xlarge, max_nodes: 4, scratch: /scratch}
  b: {instance: c5d.18xlarge, max_nodes: 4, scratch: /mnt/local}
  c: {instance: c5d.18xlarge, max_nodes: 4}
  d: {instance: m5d.24xlarge, max_nodes: 4, hyperthreading: true, scratch: /scratch}
  e: {instance: c6gd.16xlarge, max_nodes: 4, scratch: /scratch}
  f: {instance: c5d.18xlarge, max_nodes: 4, cpus: 4, scratch: /scratch}
queues:
  one: {environments: [a]}
  two: {environments: [a, b]}
  none: {environments: [c]}
  mixed: {environments: [a, c]}
jobs:
  one: {queue: one, nodes: 2, command: [hostname]}
  two: {queue: two, nodes: 2, command: [hostname]}
  none: {queue: none, nodes: 2, command: [hostname]}
  mixed: {queue: mixed, nodes: 2, command: [hostname]}
"""


def cluster() -> Cluster:
    return require(load_text(SPEC.encode()), load_catalog())


def test_an_ami_makes_one_scratch_space_alone() -> None:
    images = [(each.name, each.scratch) for each in cluster().machine_images]
    assert images == [
        ("arm64-scratch", "/scratch"),
        ("c5d.18xlarge", None),
        ("c5d.18xlarge-4-scratch", "/scratch"),
        ("c5d.18xlarge-scratch", "/scratch"),
        ("c5d.18xlarge-scratch-mnt-local", "/mnt/local"),
        ("x86_64-scratch", "/scratch"),
    ]


def test_the_name_of_an_ami_tells_where_its_scratch_space_is() -> None:
    for each in cluster().machine_images:
        assert scratch_of_image(each.name) == each.scratch
    assert scratch_of_image("r5.12xlarge-efa-scratch-a-scratch") == "/a/scratch"


def test_a_job_sees_it_where_all_environments_of_its_queue_have_it() -> None:
    made = cluster()
    assert {each.name: each.scratch for each in made.jobs} == {
        "mixed": None,
        "none": None,
        "one": "/scratch",
        "two": None,
    }
    seen = {each.name: job_variables(made.spec, each).get("MNGEN_SCRATCH") for each in made.jobs}
    assert seen == {"mixed": None, "none": None, "one": "/scratch", "two": None}
