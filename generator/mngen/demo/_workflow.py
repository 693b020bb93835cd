"""Check, render, apply, bake, build the image, apply again, submit, rehearse, destroy."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen import _resources
from mngen._log import Lines, handled_by
from mngen._signals import ENDINGS, take_signals
from mngen.cluster import AMIS_FILE, DIGESTS_FILE
from mngen.demo._built import Built, what_stands
from mngen.demo._container import DemoOptions, make_container_image
from mngen.demo._images import make_images
from mngen.demo._jobs import rehearse_job, submit_job
from mngen.demo._plan import (
    BAKE,
    CHECK,
    CONTAINER,
    DESTROY,
    FIRST_APPLY,
    REHEARSE,
    RENDER,
    SECOND_APPLY,
    SUBMIT,
    Clock,
    in_words,
    plan_demo,
)
from mngen.errors import InterruptedRunError, Problem, ToolError
from mngen.render import PROVIDER_RANGES, Deployment, render
from mngen.rules import open_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mngen.cluster import Cluster
    from mngen.demo._plan import Plan
    from mngen.sandbox import Sandbox
    from mngen.terraform import Terraform

_LOG = logging.getLogger(__name__)
_REGION = "us-east-1"
_SPEC = "mngen.yaml"
_LOG_FILE = "demo.log"
_BAKING = "baking"
_PICTURE = "rehearsal.svg"
_WAITS = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the workflow.

    Attributes:
        name: What was done.
        result: What came of it.
        seconds: How long it took.
        command: The command that does the same, such as `mngen apply`.
        files: What it wrote: files and folders that are there, relative to the demo's folder.
    """

    name: str
    result: str
    seconds: float
    command: str
    files: tuple[Path, ...]


@dataclass(slots=True)
class _Workflow:
    """The steps done so far.

    Attributes:
        folder: Where they write.
        clock: Knows the time left.
        on_step: Is called with it when a step begins, and at the end.
    """

    folder: Path
    clock: Clock
    on_step: Callable[[Clock], None]
    steps: list[Step] = field(default_factory=list)
    now: str = "the start"

    @contextmanager
    def step(self, name: str, command: str, *files: str) -> Iterator[list[str]]:
        """Times a step; its result is what the block appends."""
        self.now = name
        number, total = len(self.steps) + 1, len(self.clock.steps)
        _LOG.info("── %d/%d %s (%s)", number, total, name, in_words(self.clock.left()))
        self.on_step(self.clock)
        result: list[str] = []
        start = time.monotonic()
        yield result
        seconds = time.monotonic() - start
        written = tuple(Path(each) for each in files if (self.folder / each).exists())
        self.steps.append(Step(name, ", ".join(result), seconds, command, written))
        self.clock.ended.append(seconds)
        if number == total:
            self.on_step(self.clock)


def run_demo(
    folder: Path,
    *,
    plan: Plan | None = None,
    on_step: Callable[[Clock], None] = lambda _: None,
    build: bool | None = None,
    keep: bool = False,
) -> tuple[list[Step], list[Built]]:
    """Runs the whole workflow with the tutorial's spec; what its steps log is kept in `demo.log`.

    SIGINT, SIGTERM and SIGHUP stop it at any point; outside the main thread none is caught.

    Args:
        folder: An empty folder to work in; what the steps wrote stays in it.
        plan: What `plan_demo` returned; by default that is called first.
        on_step: Is called when a step begins, and at the end, with what knows the time left.
        build: Whether to build the container image, which downloads some hundred MB; None for
            where the image that it builds on is on this machine already.
        keep: Whether a container image that was built stays in its engine.

    Returns:
        The steps, and what stood before it was destroyed.

    Raises:
        ToolError: Terraform, its AWS provider or a container engine that was asked for is not
            available, or a step failed.
        InterruptedRunError: The user interrupted; the emulated AWS is gone with all in it.
    """
    plan = plan or plan_demo(build=build)
    if build:
        from mngen.container import find_engine

        find_engine()
    with (
        (folder / _LOG_FILE).open("w", encoding="utf-8") as log,
        handled_by(Lines(lambda line: print(line, file=log))),
        take_signals(_interrupter(), ENDINGS),
    ):
        workflow = _Workflow(folder, Clock(plan.steps), on_step)
        try:
            with tempfile.TemporaryDirectory(prefix="mngen-demo-") as scratch:
                built = _run_steps(workflow, Path(scratch), DemoOptions(build, keep))
        except (KeyboardInterrupt, InterruptedRunError):
            raise InterruptedRunError(
                f"interrupted at `{workflow.now}`; the emulated AWS is gone, with everything in it"
            ) from None
        finally:
            # The provider alone is some hundred MB.
            shutil.rmtree(folder / "deploy" / "terraform" / ".terraform", ignore_errors=True)
    return workflow.steps, built


def _run_steps(workflow: _Workflow, scratch: Path, options: DemoOptions) -> list[Built]:
    from mngen.sandbox import start_sandbox

    spec = workflow.folder / _SPEC
    shutil.copyfile(_resources.examples() / "tutorial.yaml", spec)
    out = workflow.folder / "deploy"
    with start_sandbox() as sandbox:
        with workflow.step(CHECK, "mngen check", _SPEC) as result:
            cluster = open_cluster(spec)
            counted = [(len(cluster.environments), "compute environments")]
            counted += [(len(cluster.spec.queues), "queues"), (len(cluster.jobs), "job")]
            result += [f"{number} {what}" for number, what in counted]
        with workflow.step(RENDER, "mngen render", "deploy") as result:
            environment = sandbox.environment(_REGION)
            terraform, provider, files = _render(cluster, out, environment)
            result += [f"{files} files", f"for version {provider} of the provider"]
        with workflow.step(FIRST_APPLY, "mngen apply", "deploy/terraform") as result:
            result.append(_apply(terraform))
        outputs = terraform.outputs()
        baked = (f"deploy/{AMIS_FILE}", _BAKING)
        with (
            workflow.step(BAKE, "mngen bake", *baked) as result,
            _account(sandbox, scratch),
        ):
            logs = workflow.folder / _BAKING
            result.append(make_images(cluster, out, outputs, logs=logs))
        written = ("deploy/container", f"deploy/terraform/{DIGESTS_FILE}")
        with (
            workflow.step(CONTAINER, "mngen container build", *written) as result,
            _account(sandbox, scratch),
        ):
            result.append(make_container_image(cluster, out, outputs, options))
        with workflow.step(SECOND_APPLY, "mngen apply", "deploy/terraform") as result:
            result.append(_apply(terraform))
        with _account(sandbox, scratch):
            built = what_stands(_REGION)
        with workflow.step(SUBMIT, "mngen submit", _LOG_FILE) as result, _account(sandbox, scratch):
            result.append(submit_job(cluster))
        with workflow.step(REHEARSE, "mngen rehearse", _PICTURE) as result:
            picture = workflow.folder / _PICTURE
            result.append(rehearse_job(cluster, picture=picture))
        with workflow.step(DESTROY, "mngen destroy", _LOG_FILE) as result:
            terraform.destroy()
            left = [address for address in terraform.resources() if "data." not in address]
            result.append(f"{len(left)} resources left")
    return built


def _render(
    cluster: Cluster, out: Path, environment: Mapping[str, str]
) -> tuple[Terraform, int, int]:
    """Renders for the newest AWS provider that Terraform can install here.

    Returns:
        Terraform in the rendered tree, the provider's major version, and the number of files.

    Raises:
        ToolError: None can be installed, or there is no Terraform.
    """
    from mngen.terraform import Terraform

    refused: tuple[Problem, ...] = ()
    for provider in sorted(PROVIDER_RANGES, reverse=True):
        tree = render(cluster, provider=provider, source=_SPEC)
        Deployment(out).write(tree)
        terraform = Terraform(out / "terraform", environment)
        try:
            terraform.init()
        except ToolError as error:
            refused = error.problems
        else:
            return terraform, provider, len(tree)
    raise ToolError("could not install the Terraform AWS provider", *refused)


def _apply(terraform: Any) -> str:
    with terraform.plan() as plan:
        progress = terraform.apply(plan)
    return f"{len(progress.done)} resources"


@contextmanager
def _account(sandbox: Sandbox, scratch: Path) -> Iterator[None]:
    """Lets this process see the emulated AWS alone, and keep no records of it among the user's."""
    with sandbox.applied(_REGION):
        os.environ["XDG_STATE_HOME"] = str(scratch / "state")
        yield


def _interrupter() -> Callable[[], None]:
    """Returns what is called when this process is asked to end.

    A second request does not interrupt the clean-up that the first has begun; the third does.
    """
    requests = itertools.count(1)

    def interrupt() -> None:
        if next(requests) == _WAITS:
            _LOG.info("still stopping; press Ctrl-C once more to stop waiting")
            return
        raise KeyboardInterrupt

    return interrupt
