"""Bakes the images of a cluster in parallel, each with its own outcome."""

from __future__ import annotations

import logging
import secrets
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mngen import __version__
from mngen._aws import client
from mngen.cluster import AmiFile, AmiRecord, deployment_tags
from mngen.errors import InterruptedRunError, MngenError, Problem, ToolError
from mngen.images._access import callers_range, ssh_group
from mngen.images._cancel import Cancel
from mngen.images._errors import CapacityError
from mngen.images._job import Job, Run
from mngen.images._lock import only_bake, run_folder
from mngen.images._preload import pulled
from mngen.images._session import require_session_manager
from mngen.images._survey import Survey, finished_before

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mngen.cluster import MachineImage
    from mngen.images._job import Engine
    from mngen.images._plan import BakePlan, Target

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.2


def log_stage(name: str, stage: str) -> None:
    """Logs the stage of an image."""
    _LOG.info("%s: %s", name, stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How images are baked.

    Attributes:
        connection: How builders are reached; None for the spec's way.
        ssh_port: Port of the builders' sshd.
        ssh_from: Who may connect; empty for the spec's ranges, or else the caller's address.
        ssh_seconds: How long to wait until a builder lets us in.
        keep: Leave a builder running whose bake failed, to look at it.
        pulls: Whether builders can pull container images. Those of the emulated AWS cannot: its ECR
            has no layers.
    """

    connection: str | None = None
    ssh_port: int = 22
    ssh_from: tuple[str, ...] = ()
    ssh_seconds: int = 600
    keep: bool = False
    pulls: bool = True

    @classmethod
    def for_sandbox(cls) -> Options:
        """Returns how builders of the emulated AWS are reached: on loopback addresses."""
        from mngen.sandbox import MACHINE_SSH_PORT

        return cls(
            connection="private-ip",
            ssh_port=MACHINE_SSH_PORT,
            ssh_from=("127.0.0.0/8",),
            pulls=False,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image.

    Attributes:
        image: The image.
        id: Its AMI; None where there is none.
        problems: Why there is none.
        log: The file with the programs' output; None if nothing was started.
        seconds: How long it took.
    """

    image: MachineImage
    id: str | None
    problems: tuple[Problem, ...] = ()
    log: Path | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class BakeResult:
    """What a bake did.

    Attributes:
        outcomes: What became of each image, in the order of the plan.
        problems: What else went wrong, such as what could not be deleted.
        interrupted: Whether the user interrupted.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    interrupted: bool = False


def bake(
    survey: Survey,
    *,
    record: AmiFile,
    engine: Engine,
    options: Options | None = None,
    cancel: Cancel | None = None,
    on_progress: Callable[[str, str], None] = log_stage,
) -> BakeResult:
    """Bakes what a survey found, in parallel; a failing image stops no other.

    An image is recorded as soon as it is there, so that nothing that fails later loses it.

    Args:
        survey: What to bake; from `look`.
        record: The record of AMIs.
        engine: What makes them; from `choose_engine`.
        options: How.
        cancel: The user's interrupt; is called by what receives the signals.
        on_progress: Is called with an image's name and its stage, from several threads; logs them
            by default.

    Raises:
        InputError: Another bake into the same record is running.
        ToolError: AWS or a program is not available; nothing was started.
    """
    cancel = cancel or Cancel()
    options = options or Options()
    result = BakeResult()
    with only_bake(record.path):
        _record_kept(survey.plan, record)
        targets = _adopted(survey, record, result)
        if not targets:
            return result
        try:
            with ExitStack() as stack:
                run = _prepared(survey, engine, options, cancel, on_progress, stack)
                _bake_all(run, targets, record, engine, result)
        except MngenError as error:
            if not result.outcomes:
                raise
            kept = options.keep and any(each.id is None for each in result.outcomes)
            # The security group cannot go before the builder that is left running in it.
            if not kept or isinstance(error, InterruptedRunError):
                result.problems += error.problems
    result.interrupted = cancel.wanted
    return result


def _record_kept(plan: BakePlan, record: AmiFile) -> None:
    """Gives an instance type that was added to the spec the image that serves it already."""
    known = record.read()
    shared = {
        name: kept.record
        for kept in plan.kept
        for name in kept.image.names
        if known.get(name) != kept.record
    }
    if shared:
        record.update(shared)


def _adopted(survey: Survey, record: AmiFile, result: BakeResult) -> list[Target]:
    """Records what a bake finished and could not record; returns what is left to bake."""
    left = []
    spec = survey.cluster.spec
    for target in survey.plan.targets:
        ami = None
        if target.reason != "asked for":
            ami = finished_before(spec.region, spec.name, target)
        if ami is None:
            left.append(target)
            continue
        record.update({name: _recorded(ami, target) for name in target.image.names})
        result.outcomes.append(Outcome(target.image, ami))
    return left


def _prepared(
    survey: Survey,
    engine: Engine,
    options: Options,
    cancel: Cancel,
    on_progress: Callable[[str, str], None],
    stack: ExitStack,
) -> Run:
    """Makes what all images share: the copied templates, the security group."""
    spec, site = survey.cluster.spec, survey.site
    suffix = time.strftime("%Y%m%d%H%M%S", time.gmtime()) + secrets.token_hex(2)
    connection = options.connection or survey.cluster.connection
    folder = run_folder(f"{spec.name}-{suffix}")
    # A copy, so that a render in the meantime changes nothing under a running bake.
    for name in ("packer", "playbooks"):
        shutil.copytree(survey.tree / name, folder / name)
    engine.prepare(folder)
    groups = site.security_group_ids
    if connection == "session-manager":
        require_session_manager()
    else:
        sources = options.ssh_from or spec.image.ssh_from or (callers_range(),)
        group = ssh_group(
            client("ec2", spec.region),
            name=spec.name,
            suffix=suffix,
            vpc_id=site.vpc_id,
            port=options.ssh_port,
            sources=sources,
            tags=deployment_tags(spec),
        )
        groups = (*groups, stack.enter_context(group))
    return Run(
        name=spec.name,
        region=spec.region,
        suffix=suffix,
        site=site,
        security_group_ids=groups,
        connection=connection,
        ssh_port=options.ssh_port,
        ssh_seconds=options.ssh_seconds,
        tags=deployment_tags(spec),
        base_amis=survey.base_amis,
        efa_installer=spec.image.efa_installer or "",
        kms_key=spec.image.kms_key or "",
        lustre=survey.lustre,
        pulls=options.pulls,
        templates=folder,
        keep=options.keep,
        cancel=cancel,
        on_progress=on_progress,
    )


def _bake_all(
    run: Run,
    targets: list[Target],
    record: AmiFile,
    engine: Engine,
    result: BakeResult,
) -> None:
    """Bakes each image in its own thread, and waits while this one receives the signals."""
    with ThreadPoolExecutor(max_workers=len(targets)) as pool:
        futures = [pool.submit(_bake_one, run, target, record, engine) for target in targets]
        # In small portions: a signal is handled between two of them.
        try:
            while wait(futures, timeout=_POLL_SECONDS).not_done:
                pass
        except BaseException:
            # A caller that handles no signals is interrupted here: terminate the builders as well.
            run.cancel()
            raise
    result.outcomes += [future.result() for future in futures]
    if run.cancel.abandoned:
        raise InterruptedRunError(
            "stopped immediately: instances may still be running and cost money",
            hint="run mngen ami cleanup",
        )


def _bake_one(run: Run, target: Target, record: AmiFile, engine: Engine) -> Outcome:
    name = target.image.name
    folder = run.templates / target.image.label
    folder.mkdir(mode=0o700)
    log = run.templates / f"{target.image.label}.log"
    log.touch(mode=0o600)
    start = time.monotonic()
    try:
        ami = _in_some_zone(run, target, engine, folder, log)
        record.update({each: _recorded(ami, target) for each in target.image.names})
    except (OSError, subprocess.SubprocessError) as error:
        run.show(name, "failed")
        problem = Problem(f"{type(error).__name__}: {error}")
        return Outcome(target.image, None, (problem,), log, time.monotonic() - start)
    except MngenError as error:
        run.show(name, "interrupted" if isinstance(error, InterruptedRunError) else "failed")
        return Outcome(target.image, None, error.problems, log, time.monotonic() - start)
    run.show(name, f"done: {ami}")
    return Outcome(target.image, ami, (), log, time.monotonic() - start)


def _in_some_zone(run: Run, target: Target, engine: Engine, folder: Path, log: Path) -> str:
    """Bakes in the first zone that has capacity for the builder."""
    refused: list[Problem] = []
    for zone, subnet in run.site.subnets.items():
        place = folder / zone
        place.mkdir(mode=0o700)
        job = Job(
            run=run,
            target=target,
            variables=_variables(run, target),
            subnet=subnet,
            folder=place,
            log=log,
        )
        try:
            return engine.bake(job)
        except CapacityError as error:
            refused += error.problems
    raise ToolError(
        *refused,
        Problem(
            f"no zone has a {target.image.builder} for the builder of `{target.image.name}`",
            hint="try again in some minutes",
        ),
    )


def _variables(run: Run, target: Target) -> dict[str, object]:
    """Returns the playbook's variables."""
    image, made_of, site = target.image, target.baked_from, run.site
    lustre: dict[str, object] = {}
    preload: dict[str, object] = {}
    if made_of.preload:
        preload["mngen_preload"] = pulled(made_of, site) if run.pulls else []
    if run.lustre is not None:
        lustre = {
            "mngen_fsx_dns_name": run.lustre.dns_name,
            "mngen_fsx_folders": list(made_of.fsx_folders),
            "mngen_fsx_id": run.lustre.id,
            "mngen_fsx_mount": made_of.fsx_mount,
            "mngen_fsx_mount_name": run.lustre.mount_name,
            "mngen_fsx_new": run.lustre.new,
        }
    return {
        "mngen_arch": image.architecture,
        "mngen_base": made_of.base,
        "mngen_efa": image.efa,
        "mngen_efa_installer": run.efa_installer if image.efa else "",
        "mngen_efa_version": made_of.efa_version or "",
        "mngen_efs_access_point": made_of.access_point or "",
        "mngen_efs_dns_name": site.efs_dns_name,
        "mngen_efs_iam": made_of.iam,
        "mngen_efs_id": site.efs_id,
        "mngen_efs_mount": made_of.mount,
        "mngen_efs_tls": made_of.tls,
        "mngen_gpu": image.gpu,
        "mngen_image": image.name,
        "mngen_nr_cpus": image.nr_cpus or 0,
        "mngen_packages": list(made_of.packages),
        "mngen_scratch": image.scratch or "",
        "mngen_version": __version__,
        **lustre,
        **preload,
    }


def _recorded(ami: str, target: Target) -> AmiRecord:
    return AmiRecord(
        id=ami,
        baked_from=target.baked_from,
        baked_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        mngen=__version__,
    )
