"""GPUs: which a job gets, and what follows for the AMI of the environment.

Which types the AMIs serve is from AWS's documentation, see `mngen.cluster._base_image`. What AWS's
examples ask for on such types is in https://github.com/awslabs/awsome-distributed-ai
(1.architectures/3.aws-batch): all 192 vCPUs and all GPUs of a p6-b200.48xlarge.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mngen.catalog import load_catalog
from mngen.cluster import (
    Cluster,
    base_image_parameter,
    base_kind,
    batch_image_type,
    gpus_served,
    job_variables,
    resolve,
)
from mngen.spec import load_text
from tests.support.specs import to_yaml

AL2023, AL2 = "amazon-linux-2023", "amazon-linux-2"


def cluster(environments: dict[str, Any], job: dict[str, Any], **rest: Any) -> Cluster:
    data = {
        "name": "test",
        "region": "us-east-1",
        "environments": {name: {"max_nodes": 4, **each} for name, each in environments.items()},
        "queues": {"q": {"environments": list(environments)}},
        "jobs": {"j": {"queue": "q", "command": ["true"], **job}},
        **rest,
    }
    return resolve(load_text(to_yaml(data)).require(), load_catalog())


@pytest.mark.parametrize(
    ("name", "al2023", "al2"),
    [
        ("p4d.24xlarge", 8, 8),
        ("p5.48xlarge", 8, 8),
        ("p5.4xlarge", 1, 1),
        ("g4dn.12xlarge", 4, 4),
        ("g6e.48xlarge", 8, 8),
        # Blackwell: NVIDIA's open modules alone, which the AMI of Amazon Linux 2 does not load.
        ("p6-b200.48xlarge", 8, 0),
        ("g7e.48xlarge", 8, 0),
        ("p3dn.24xlarge", 0, 8),
        ("g5g.16xlarge", 0, 0),
        ("g6f.xlarge", 0, 0),
        ("r5.24xlarge", 0, 0),
    ],
)
def test_the_gpus_that_jobs_can_have(name: str, al2023: int, al2: int) -> None:
    instance = load_catalog().require(name)
    assert (gpus_served(instance, AL2023), gpus_served(instance, AL2)) == (al2023, al2)


def test_gpus_of_other_makers_have_no_driver() -> None:
    amd = msgspec.structs.replace(
        load_catalog().require("g5.12xlarge"), name="g4ad.16xlarge", gpu_maker="AMD"
    )
    assert (gpus_served(amd, AL2023), gpus_served(amd, AL2)) == (0, 0)


@pytest.mark.parametrize(
    ("base", "kind", "place"),
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html
    [
        (AL2023, base_kind("x86_64", gpu=False), "amazon-linux-2023"),
        (AL2023, base_kind("arm64", gpu=False), "amazon-linux-2023/arm64"),
        (AL2023, base_kind("x86_64", gpu=True), "amazon-linux-2023/gpu"),
        (AL2, base_kind("x86_64", gpu=True), "amazon-linux-2/gpu"),
    ],
)
def test_the_parameter_of_the_base_image(base: str, kind: str, place: str) -> None:
    expected = f"/aws/service/ecs/optimized-ami/{place}/recommended/image_id"
    assert base_image_parameter(base, kind) == expected


def test_what_batch_calls_the_images() -> None:
    found = [batch_image_type(base, gpu=gpu) for base in (AL2023, AL2) for gpu in (False, True)]
    assert found == ["ECS_AL2023", "ECS_AL2023_NVIDIA", "ECS_AL2", "ECS_AL2_NVIDIA"]


def test_a_job_gets_all_of_a_node_by_default() -> None:
    made = cluster({"p6": {"instance": "p6-b200.48xlarge", "efa": True}}, {"nodes": 2})
    (environment,), (job,) = made.environments, made.jobs
    assert (environment.gpus, environment.nr_cpus, environment.schedulable_vcpus) == (8, None, 192)
    assert (job.gpus, job.vcpus, job.efa_interfaces) == (8, 192, 8)
    assert environment.image == "x86_64-gpu-efa"
    (image,) = made.machine_images
    assert (image.gpu, image.efa, image.base_kind) == (True, True, "x86_64-gpu")
    variables = job_variables(made.spec, job)
    assert variables["MNGEN_RANKS_PER_NODE"] == "8"
    assert variables["FI_EFA_USE_HUGE_PAGE"] == "0"
    assert "MNGEN_CPUS" not in variables


@pytest.mark.parametrize(("said", "gpus"), [(None, 4), (0, 0), (1, 1), (4, 4)])
def test_a_job_may_ask_for_fewer(said: int | None, gpus: int) -> None:
    job = {} if said is None else {"gpus": said}
    made = cluster({"g5": {"instance": "g5.12xlarge", "multi_node": False}}, job)
    assert made.jobs[0].gpus == gpus
    variables = job_variables(made.spec, made.jobs[0])
    assert variables.get("MNGEN_RANKS_PER_NODE") == (str(gpus) if gpus else None)
    assert "FI_EFA_USE_HUGE_PAGE" not in variables


def test_the_smallest_environment_of_a_queue_decides() -> None:
    environments = {"big": {"instance": "g5.48xlarge"}, "small": {"instance": "g5.12xlarge"}}
    assert cluster(environments, {}).jobs[0].gpus == 4
    environments["none"] = {"instance": "r5.24xlarge"}
    assert cluster(environments, {}).jobs[0].gpus == 0


def test_ranks_and_variables_of_the_spec_come_first() -> None:
    job = {"ranks_per_node": 2, "environment": {"FI_EFA_USE_HUGE_PAGE": "1"}}
    made = cluster({"p5": {"instance": "p5.48xlarge", "efa": True}}, job)
    variables = job_variables(made.spec, made.jobs[0])
    assert variables["MNGEN_RANKS_PER_NODE"] == "2"
    assert variables["FI_EFA_USE_HUGE_PAGE"] == "1"


@pytest.mark.parametrize(
    ("environment", "nr_cpus", "image"),
    [
        ({}, None, "x86_64-gpu"),
        ({"hyperthreading": True}, None, "x86_64-gpu"),
        ({"hyperthreading": False}, 96, "p5.48xlarge-gpu"),
        ({"cpus": 64}, 64, "p5.48xlarge-64-gpu"),
    ],
)
def test_only_a_spec_limits_the_cpus_beside_gpus(
    environment: dict[str, Any], nr_cpus: int | None, image: str
) -> None:
    made = cluster({"p5": {"instance": "p5.48xlarge", **environment}}, {})
    (found,) = made.environments
    assert (found.nr_cpus, found.image) == (nr_cpus, image)
    assert made.jobs[0].nr_cpus == nr_cpus


def test_types_with_gpus_share_an_ami_and_no_other_type_does() -> None:
    made = cluster(
        {
            "g5": {"instance": "g5.12xlarge"},
            "p4": {"instance": "p4d.24xlarge"},
            "cpu": {"instance": "hpc7a.96xlarge"},
        },
        {},
    )
    assert [(each.name, each.gpu) for each in made.machine_images] == [
        ("x86_64", False),
        ("x86_64-gpu", True),
    ]
