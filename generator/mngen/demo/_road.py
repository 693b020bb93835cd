"""Check, render, apply, bake, apply again, look, submit, rehearse, destroy."""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mngen import _resources
from mngen.catalog import load_catalog
from mngen.demo._images import make_images
from mngen.demo._jobs import rehearse_job, submit_job
from mngen.errors import ToolError
from mngen.render import PROVIDER_RANGES, Deployment, render
from mngen.rules import require
from mngen.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mngen.sandbox import Sandbox

_REGION = "us-east-1"
_UNIQUE_SUFFIX = re.compile(r"-[0-9a-f]{26}\Z")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the road: what was done, what came of it, and how long it took in seconds."""

    name: str
    result: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Built:
    """A compute environment that was built, as AWS Batch describes it.

    Attributes:
        environment: Its name, without the digits that Terraform makes it unique with.
        instance_type: The EC2 instance type.
        max_vcpus: Most vCPUs at a time, as EC2 counts them.
        image: The AMI.
        placement_group: Its placement group, or an empty string.
        queues: Names of the job queues that use it.
        status: Batch's word for its state, `VALID` when all is well.
    """

    environment: str
    instance_type: str
    max_vcpus: int
    image: str
    placement_group: str
    queues: tuple[str, ...]
    status: str


@dataclass(slots=True)
class _Road:
    """The steps gone so far."""

    tell: Callable[[str], None]
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Times a step; its result is what the block appends."""
        self.tell(f"── {name}")
        result: list[str] = []
        start = time.monotonic()
        yield result
        self.steps.append(Step(name, ", ".join(result), time.monotonic() - start))


def walk(folder: Path, tell: Callable[[str], None]) -> tuple[list[Step], list[Built]]:
    """Goes the road with the tutorial's spec.

    Args:
        folder: An empty folder to work in.
        tell: Is called with each line of progress.

    Returns:
        The steps, and what stood before it was destroyed.

    Raises:
        ToolError: Terraform or its AWS provider cannot be had, or a step failed.
        InterruptedRunError: The user interrupted; the emulated AWS is gone with all in it.
    """
    from mngen.sandbox import start_sandbox
    from mngen.terraform import Terraform

    road = _Road(tell)
    spec = folder / "mngen.yaml"
    shutil.copyfile(_resources.examples() / "tutorial.yaml", spec)
    out = folder / "deploy"
    with start_sandbox() as sandbox:
        environment = sandbox.environment(_REGION)
        # One download of the provider serves the search for it and the deployment.
        plugins = folder / "plugins"
        plugins.mkdir()
        environment.setdefault("TF_PLUGIN_CACHE_DIR", str(plugins))
        with road.step("find the AWS provider") as result:
            provider = find_provider(folder / "probe", environment)
            result.append(f"version {provider}")
        with road.step("check and render the spec") as result:
            cluster = require(load(spec), load_catalog(spec))
            tree = render(cluster, provider=provider, source=spec.name)
            Deployment(out).write(tree)
            result.append(f"{len(tree)} files")
        terraform = Terraform(out / "terraform", environment, report=tell)
        with road.step("apply: network, file system, roles, registry") as result:
            result.append(_apply(terraform))
        with road.step("bake the machine images") as result, sandbox.applied(_REGION):
            result.append(make_images(cluster, out, terraform.outputs(), tell))
        with road.step("apply: compute environments, queues") as result:
            result.append(_apply(terraform))
        built = _look(sandbox)
        with road.step("submit a job") as result, sandbox.applied(_REGION):
            result.append(submit_job(cluster, tell))
        with road.step("rehearse it on this machine") as result:
            result.append(rehearse_job(cluster, tell))
        with road.step("destroy") as result:
            terraform.destroy()
            left = [address for address in terraform.resources() if "data." not in address]
            result.append(f"{len(left)} resources left")
    return road.steps, built


def find_provider(folder: Path, environment: Mapping[str, str]) -> int:
    """Returns the newest major version of the AWS provider that Terraform can install here.

    Args:
        folder: A folder to try it in; is made.
        environment: The environment for Terraform.

    Raises:
        ToolError: None can be installed, or there is no Terraform.
    """
    from mngen.terraform import Terraform

    folder.mkdir()
    for provider, version in sorted(PROVIDER_RANGES.items(), reverse=True):
        aws = {"source": "hashicorp/aws", "version": version}
        (folder / "main.tf.json").write_text(
            json.dumps({"terraform": {"required_providers": {"aws": aws}}}), encoding="utf-8"
        )
        terraform = Terraform(folder, environment)
        try:
            with terraform.plan():
                return provider
        except ToolError:
            continue
    raise ToolError(
        "the Terraform AWS provider cannot be had: neither the registry nor a local mirror has it"
    )


def _apply(terraform: Any) -> str:
    with terraform.plan() as plan:
        progress = terraform.apply(plan)
    return f"{len(progress.done)} resources"


def _look(sandbox: Sandbox) -> list[Built]:
    """Asks AWS Batch what stands."""
    from mngen._aws import client

    with sandbox.applied(_REGION):
        batch = client("batch", _REGION)
        environments = batch.describe_compute_environments()["computeEnvironments"]
        queues = batch.describe_job_queues()["jobQueues"]
    users: dict[str, list[str]] = {}
    for queue in queues:
        for place in queue["computeEnvironmentOrder"]:
            users.setdefault(place["computeEnvironment"], []).append(queue["jobQueueName"])
    return [
        Built(
            environment=_UNIQUE_SUFFIX.sub("", each["computeEnvironmentName"]),
            instance_type=", ".join(each["computeResources"]["instanceTypes"]),
            max_vcpus=each["computeResources"]["maxvCpus"],
            image=each["computeResources"]["ec2Configuration"][0]["imageIdOverride"],
            placement_group=each["computeResources"].get("placementGroup", ""),
            queues=tuple(sorted(users.get(each["computeEnvironmentArn"], []))),
            status=each["status"],
        )
        for each in sorted(environments, key=lambda each: each["computeEnvironmentName"])
    ]
