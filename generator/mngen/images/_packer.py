"""Bakes with Packer, from the rendered template."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen import parts
from mngen._aws import client, translated
from mngen._tags import with_tags
from mngen.cluster import INPUTS_TAG
from mngen.errors import InterruptedRunError, ToolError
from mngen.images._ansible import (
    LOCALE,
    SECONDS_TO_CONNECT,
    find_ansible,
    reason,
    ssh_options,
    task_named,
)
from mngen.images._children import run_logged
from mngen.images._direct import NO_CAPACITY, deregister
from mngen.images._errors import CapacityError
from mngen.images._leftovers import end_leftovers, find_leftovers

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

    from mngen.images._job import Job

TEMPLATE = "images.pkr.hcl"

_FIRST_WITH_PLUGINS = (1, 7)
# Packer 1.6 cannot ask for IMDSv2; the AMIs of Amazon Linux 2023 do so by default.
_NEWER_BLOCKS = re.compile(r"\n  metadata_options \{.*?\n  \}\n", re.DOTALL)

_STAGES = (
    ("Prevalidating", "prepare"),
    ("Launching a source AWS instance", "launch"),
    ("Waiting for instance", "wait for the instance"),
    ("Waiting for SSH", "wait for ssh"),
    ("Provisioning with Ansible", "provision"),
    ("Stopping the source instance", "stop"),
    ("Creating AMI", "create the image"),
    ("Terminating the source AWS instance", "terminate"),
)
_LONGEST_RESULT = 200
_PLAYBOOK_FAILED = "the playbook failed: "
_TASK = re.compile(r"TASK \[(?P<task>[^\]]+)\]")
_ANSIBLE_FAILED = "Error executing Ansible"
_UNPLAYED = re.compile(r"(?:\[ERROR\]:|ERROR!) +(?P<message>\S.*)")
_TASK_PATH = re.compile(r"\btask path: (?P<path>\S.*)")
_FATAL = re.compile(r"fatal: \[[^\]]*\]: \w+!? => (?P<result>\{.*)")
_ERROR = re.compile(
    r"^(?:(?:==>|-->) [^:]*: )?(?P<message>(?:[Ee]rror|Build '.*' errored|Timeout)\b.*)"
)


def find_packer() -> str | None:
    """Returns the path of Packer, or None where there is none on PATH."""
    return parts.find(parts.PARTS["packer"]).where or None


class PackerEngine:
    """The engine that runs `packer build`, once for each image.

    One process an image: a failing image cannot take others with it, and each has a manifest and a
    separate log.
    """

    def __init__(self) -> None:
        parts.require("bake-with-packer", otherwise="run mngen bake --engine direct")
        self._program = parts.find(parts.PARTS["packer"]).where
        self._has_plugins = packer_version(self._program) >= _FIRST_WITH_PLUGINS

    def prepare(self, templates: Path) -> None:
        """Adapts the copy of the template to this version of Packer.

        Args:
            templates: The folder that holds `packer/`.

        Raises:
            ToolError: Packer's plugins cannot be installed.
        """
        folder = templates / "packer"
        if not self._has_plugins:
            template = folder / TEMPLATE
            template.write_text(_NEWER_BLOCKS.sub("", template.read_text("utf-8")), "utf-8")
            return
        done = subprocess.run(
            [self._program, "init", str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            # mngen handles an interrupt, not Packer.
            start_new_session=True,
        )
        if done.returncode != 0:
            raise ToolError(
                f"packer cannot install its plugins: {(done.stderr or done.stdout).strip()}",
                hint="run mngen bake --engine direct, which needs no plugins",
            )

    def bake(self, job: Job) -> str:
        """Bakes one image; see `Engine`."""
        log = _Reading(job)
        with tempfile.TemporaryDirectory(prefix="mngen-") as control:
            code = run_logged(
                self._command(job, ssh_options(Path(control))),
                folder=job.folder,
                environment=self._environment(control),
                log=job.log,
                cancel=job.run.cancel,
                on_line=log.take,
            )
            if job.run.keep and code != 0:
                for key in Path(control).glob("ansible-key*"):
                    shutil.move(key, job.folder)
        ec2: EC2Client = client("ec2", job.run.region)
        if code == 0:
            return _checked(ec2, job)
        said = log.said or f"packer exited with code {code} and printed no error"
        if not (job.run.keep and not job.run.cancel.wanted) and not job.run.cancel.abandoned:
            try:
                _end_what_is_left(ec2, job)
            except ToolError as error:
                raise ToolError(said, *error.problems) from error
        if job.run.cancel.wanted:
            raise InterruptedRunError("interrupted")
        if not said.startswith(_PLAYBOOK_FAILED) and any(each in said for each in NO_CAPACITY):
            raise CapacityError(said)
        raise ToolError(said)

    def _environment(self, temporary: str) -> dict[str, str]:
        environment = {
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_TIMEOUT": str(SECONDS_TO_CONNECT),
            "CHECKPOINT_DISABLE": "1",
            **LOCALE,
            # Python holds back the output of a program that writes to a file.
            "PYTHONUNBUFFERED": "1",
            # It writes the builder's private key there for Ansible, and older ones leave it.
            "TMPDIR": temporary,
        }
        if not self._has_plugins:
            # Here these are not the retries of a failed call, but how often a state is asked for.
            environment |= {"AWS_POLL_DELAY_SECONDS": "2", "AWS_MAX_ATTEMPTS": "1800"}
        return environment

    def _command(self, job: Job, ssh: str) -> list[str]:
        template = job.run.templates / "packer"
        values = job.folder / "values.pkrvars.json"
        values.write_text(json.dumps(_values(job, ssh), indent=2), encoding="utf-8")
        return [
            self._program,
            "build",
            "-color=false",
            f"-only=amazon-ebs.{job.target.image.label}",
            f"-on-error={'abort' if job.run.keep else 'cleanup'}",
            f"-var-file={values}",
            str(template if self._has_plugins else template / TEMPLATE),
        ]


def packer_version(program: str) -> tuple[int, ...]:
    """Returns a Packer's version, such as (1, 11, 2).

    Raises:
        ToolError: It is not Packer.
    """
    try:
        done = subprocess.run(
            [program, "version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{program} does not run: {error}") from None
    found = re.search(r"Packer v(\d+)\.(\d+)\.(\d+)", done.stdout)
    if not found:
        raise ToolError(
            f"{program} is not HashiCorp's Packer",
            hint="some systems have another program of that name; put Packer first on PATH",
        )
    return tuple(map(int, found.groups()))


def _end_what_is_left(ec2: EC2Client, job: Job) -> None:
    """Deletes what Packer left: it was killed, AWS refused, or its AMI was not done yet."""
    left = find_leftovers(ec2, job.run.name, run=job.run.suffix, image=job.name)
    if left:
        job.show("terminate")
        end_leftovers(ec2, left)
    with translated():
        made = ec2.describe_images(
            Owners=["self"], Filters=[{"Name": "name", "Values": [job.resource_name]}]
        )["Images"]
    for image in made:
        deregister(ec2, image["ImageId"])


class _Reading:
    """Reads the output of Packer and Ansible: the stage, and the reason of a failure."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._errors: list[str] = []
        self._task = ""
        self._unplayed = ""
        # The result of a failed task, which Ansible may spread over many lines.
        self._result: list[str] | None = None

    @property
    def said(self) -> str:
        """Why it failed; the first reason, since the others follow from it."""
        first = self._errors[0] if self._errors else ""
        # Without a failed task: Ansible could not read a playbook.
        if self._unplayed and _ANSIBLE_FAILED in first:
            return _PLAYBOOK_FAILED + self._unplayed
        return first

    def take(self, line: str) -> None:
        """Takes a line of the log."""
        if self._result is not None:
            self._take_result(line)
        elif task := _TASK.search(line):
            self._task = task["task"].rpartition(" : ")[2]
            self._job.show(self._task)
        elif error := _UNPLAYED.search(line):
            self._unplayed = error["message"]
        elif path := _TASK_PATH.search(line):
            self._task = task_named(self._task, path["path"])
        elif fatal := _FATAL.search(line):
            self._result = []
            self._take_result(fatal["result"])
        elif error := _ERROR.search(line):
            self._errors.append(error["message"])
        else:
            for words, stage in _STAGES:
                if words in line:
                    self._job.show(stage)

    def _take_result(self, line: str) -> None:
        said = line.partition(f"amazon-ebs.{self._job.target.image.label}: ")[2] or line
        lines = [*(self._result or ()), said]
        message = _message("\n".join(lines))
        if message is None and len(lines) < _LONGEST_RESULT:
            self._result = lines
            return
        self._errors.append(f"{_PLAYBOOK_FAILED}{self._task}: {message or lines[0]}")
        self._result = None


def _message(result: str) -> str | None:
    """Returns the message of a task's result; None while it is not whole."""
    try:
        decoded = json.loads(result)
    except json.JSONDecodeError:
        return None
    return reason(decoded) or result.strip()


def _values(job: Job, ssh: str) -> dict[str, Any]:
    run = job.run
    endpoint = os.environ.get("AWS_ENDPOINT_URL_EC2") or os.environ.get("AWS_ENDPOINT_URL", "")
    return {
        "ansible_playbook": find_ansible(),
        "base_amis": dict(run.base_amis),
        "ec2_endpoint": endpoint,
        "efs_dns_name": run.site.efs_dns_name,
        "efs_id": run.site.efs_id,
        **(
            {
                "fsx_dns_name": run.lustre.dns_name,
                "fsx_id": run.lustre.id,
                "fsx_mount_name": run.lustre.mount_name,
            }
            if run.lustre
            else {}
        ),
        "inputs": {job.name: job.target.baked_from.digest},
        "instance_profile": run.site.instance_profile,
        **({"preload": job.variables["mngen_preload"]} if job.target.baked_from.preload else {}),
        "manifest": str(job.folder / "manifest.json"),
        "security_group_ids": list(run.security_group_ids),
        "ssh_arguments": ssh,
        "ssh_interface": run.connection.replace("-", "_"),
        "ssh_port": run.ssh_port,
        "ssh_timeout": f"{run.ssh_seconds}s",
        "subnet_id": job.subnet,
        "suffix": run.suffix,
    }


def _checked(ec2: EC2Client, job: Job) -> str:
    """Returns the AMI that AWS knows by this bake's inputs, and that the manifest names."""
    marks = {**job.ami_tags}
    with translated():
        found = ec2.describe_images(
            Owners=["self"],
            Filters=[
                *with_tags({INPUTS_TAG: marks[INPUTS_TAG]}),
                {"Name": "name", "Values": [job.resource_name]},
            ],
        )["Images"]
    ids = [image.get("ImageId", "") for image in found if image.get("State") == "available"]
    listed = _listed(job.folder / "manifest.json")
    if len(ids) != 1 or (listed and ids[0] not in listed):
        raise ToolError(
            f"packer reports success, but AWS has {', '.join(ids) or 'no such image'}, and "
            f"the manifest names {', '.join(listed) or 'none'}",
            hint="run mngen bake again",
        )
    return ids[0]


def _listed(manifest: Path) -> list[str]:
    """Returns the AMIs of a manifest; none where Packer wrote none."""
    try:
        builds = json.loads(manifest.read_text(encoding="utf-8"))["builds"]
        return [str(build["artifact_id"]).rpartition(":")[2] for build in builds]
    except (OSError, ValueError, KeyError):
        return []
