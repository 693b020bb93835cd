"""The jobs of a spec whose definitions are files: each read, checked and understood.

Such a file is what `aws batch register-job-definition --cli-input-json` takes, or one entry of what
`describe-job-definitions` prints.
"""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import msgspec

from mngen._batch_shapes import members_of
from mngen._json_text import MAX_BYTES, parse_json, pointer
from mngen.errors import InputError, Problem
from mngen.spec._definition import JobDefinition, JobFromFile, located, need_of
from mngen.spec._model import Job, Mount, Tmpfs, Ulimit
from mngen.spec._registered import definition_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mngen.spec._document import Document, Path
    from mngen.spec._model import Spec

_OWN = frozenset({"queue", "definition", "after", "share", "aws_name", "protect"})
"""Keys of a job that are not part of its definition."""

_PLAIN = {"user": "user", "privileged": "privileged"}
"""Keys of a job that have the value of a container property."""

_KEYS = frozenset(Job.__struct_fields__)
_DEFAULT_SHARED_MEMORY = 64
"""MiB of /dev/shm in a container whose definition has no size: Docker's default."""


def with_definitions(
    spec: Spec, document: Document, files: Mapping[str, bytes]
) -> tuple[Spec, dict[str, list[Problem]]]:
    """Reads the definitions that jobs of a spec name.

    Args:
        spec: The spec, or what is sound of it.
        document: Its document.
        files: Content of files in place of what is on the disk, by their paths from the spec.

    Returns:
        The spec with each such job as a `JobFromFile`, without those that cannot be registered; and
        for each of these what is wrong.
    """
    jobs: dict[str, Job] = {}
    problems: dict[str, list[Problem]] = {}
    for name, job in spec.jobs.items():
        if job.definition is None:
            jobs[name] = job
            continue
        found = list(_said_twice(name, job.definition, document))
        try:
            jobs[name] = _read(name, job, job.definition, document, files)
        except InputError as error:
            found += (_placed(problem, name, document) for problem in error.problems)
        if found:
            problems[name] = found
            jobs.pop(name, None)
    return msgspec.structs.replace(spec, jobs=jobs), problems


def _read(name: str, job: Job, named: str, document: Document, files: Mapping[str, bytes]) -> Job:
    file = _folder(name, document) / named
    return _from_file(job, _definition(str(file), file, files.get(named)))


def _folder(name: str, document: Document) -> FilePath:
    """Returns the folder of the file that names a job's definition."""
    return FilePath(document.writer(("jobs", name, "definition")).name).parent


def _placed(problem: Problem, name: str, document: Document) -> Problem:
    """Returns a problem of the file with the job that names it; of no file, at that place."""
    path = ("jobs", name, "definition")
    if problem.file is None:
        writer = FilePath(document.writer(path).name)
        hint = problem.hint or f"the path starts at the folder of {writer.name}"
        return document.problem(problem.message, path, hint=hint)
    return replace(problem, path=".".join(path))


def _said_twice(name: str, file: str, document: Document) -> Iterator[Problem]:
    """Yields the keys beside a definition that its file stands for."""
    path = ("jobs", name)
    place = document.place((*path, "definition"))
    for key in document.data["jobs"][name]:
        if key in _KEYS and key not in _OWN:
            yield document.problem(
                f"`{key}` is excluded by `definition` ({place})",
                (*path, key),
                hint=f"change it in {file}, or remove one of the two keys",
                key=True,
            )


def _definition(shown: str, file: FilePath, raw: bytes | None) -> JobDefinition:
    """Reads a job definition and checks it as far as it needs no spec.

    Args:
        shown: The file, for messages.
        file: The file.
        raw: Its content; None to read it.

    Raises:
        InputError: It cannot be read or registered; carries every problem.
    """
    if raw is None:
        try:
            # A named pipe is not opened: that would wait for its writer.
            if not stat.S_ISREG(file.stat().st_mode):
                raise InputError(
                    f"cannot read {shown}: it is not a regular file", hint="name a JSON file"
                )
            with file.open("rb") as opened:
                raw = opened.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            raise InputError(f"cannot read {shown}: {said}") from None
    parsed = parse_json(shown, raw)
    problems = [
        located(
            Problem(
                f"{pointer(fault.path)}: {fault.message}" if fault.path else fault.message,
                hint=fault.hint or None,
            ),
            shown,
            parsed.text,
            fault.path,
        )
        for fault in definition_faults(parsed.data)
    ]
    if problems:
        raise InputError(*problems)
    return JobDefinition(shown, parsed.text, _content(parsed.data))


def _from_file(job: Job, definition: JobDefinition) -> JobFromFile:
    """Returns a job with the keys that follow from its definition."""
    found = dict(_keys(definition))
    given = {name: getattr(job, name) for name in _OWN}
    values: dict[str, Any] = {key: value for key, (_, value) in found.items()}
    return JobFromFile(
        **given,
        **values,
        given=job,
        from_file=definition,
        paths={key: path for key, (path, _) in found.items()},
    )


def _keys(definition: JobDefinition) -> Iterator[tuple[str, tuple[Path, Any]]]:
    """Yields the keys of a job that follow from its definition, each with its path there."""
    content = definition.content
    containers = definition.containers
    nodes = content.get("nodeProperties")
    if nodes is not None:
        yield "nodes", (("nodeProperties", "numNodes"), nodes["numNodes"])
    for key, kind in (("vcpus", "VCPU"), ("memory", "MEMORY"), ("gpus", "GPU")):
        needs = [(path, need_of(container, kind)) for path, container in containers]
        path, need = max(needs, key=lambda each: each[1][1])
        yield key, ((*path, *need[0]), need[1])
    sizes = [
        (
            (*path, "linuxParameters", "sharedMemorySize"),
            container.get("linuxParameters", {}).get("sharedMemorySize", _DEFAULT_SHARED_MEMORY),
        )
        for path, container in containers
    ]
    yield "shared_memory", min(sizes, key=lambda each: each[1])
    path, main = definition.main
    yield "image", ((*path, "image"), main["image"])
    if main.get("command"):
        yield "command", ((*path, "command"), tuple(main["command"]))
    if main.get("environment"):
        variables = {each.get("name", ""): each.get("value", "") for each in main["environment"]}
        yield "environment", ((*path, "environment"), variables)
    yield from _container_keys(path, main)
    if definition.with_shell:
        where, opened = definition.with_shell[0]
        key = "enableExecuteCommand"
        yield "shell", ((*where, key), opened[key])
    if "jobRoleArn" in main:
        yield "role", ((*path, "jobRoleArn"), main["jobRoleArn"])
    if "attempts" in content.get("retryStrategy", {}):
        yield "attempts", (("retryStrategy", "attempts"), content["retryStrategy"]["attempts"])
    if "timeout" in content:
        seconds = content["timeout"]["attemptDurationSeconds"]
        yield "timeout", (("timeout", "attemptDurationSeconds"), seconds)


def _container_keys(path: Path, main: dict[str, Any]) -> Iterator[tuple[str, tuple[Path, Any]]]:
    """Yields the keys about the main node's container: limits, file systems, user and rights."""
    if main.get("ulimits"):
        limits = {
            each["name"]: Ulimit(soft=each["softLimit"], hard=each["hardLimit"])
            for each in main["ulimits"]
        }
        yield "ulimits", ((*path, "ulimits"), limits)
    if main.get("linuxParameters", {}).get("tmpfs"):
        files = tuple(
            Tmpfs(
                path=each["containerPath"],
                size=each["size"],
                options=tuple(each.get("mountOptions", [])),
            )
            for each in main["linuxParameters"]["tmpfs"]
        )
        yield "tmpfs", ((*path, "linuxParameters", "tmpfs"), files)
    hosts = {
        each["name"]: each["host"]["sourcePath"]
        for each in main.get("volumes", [])
        if "name" in each and each.get("host", {}).get("sourcePath")
    }
    mounts = tuple(
        Mount(
            host=hosts[each["sourceVolume"]],
            path=each["containerPath"],
            read_only=each.get("readOnly", False),
        )
        for each in main.get("mountPoints", [])
        if each.get("sourceVolume") in hosts and "containerPath" in each
    )
    if mounts:
        yield "mounts", ((*path, "mountPoints"), mounts)
    if main.get("secrets"):
        yield (
            "secrets",
            ((*path, "secrets"), {each["name"]: each["valueFrom"] for each in main["secrets"]}),
        )
    for key, name in _PLAIN.items():
        if main.get(name):
            yield key, ((*path, name), main[name])


def _content(data: dict[str, Any]) -> dict[str, Any]:
    """Returns what is registered: without what a description adds, or what has no effect."""
    members = members_of("definitions") - {"jobDefinitionName"}
    content = {key: value for key, value in data.items() if key in members}
    # Tags of AWS's own are described, but cannot be set.
    tags = {key: tag for key, tag in data.get("tags", {}).items() if not _is_of_aws(key)}
    content |= {"tags": tags} if "tags" in content else {}
    name = {"jobDefinitionName": data["jobDefinitionName"]} if "jobDefinitionName" in data else {}
    return {**name, **{key: value for key, value in content.items() if value not in ({}, [])}}


def _is_of_aws(key: str) -> bool:
    return key.casefold().startswith("aws:")
