"""From an inventory to a checked spec, a report and what Terraform takes over."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from mngen._batch_shapes import empty_values
from mngen._text import printable
from mngen.adoption import _shared
from mngen.adoption._cluster import map_cluster
from mngen.adoption._draft import Draft
from mngen.adoption._environments import Mapped, map_environment
from mngen.adoption._imports import imports_text
from mngen.adoption._jobs import (
    MappedJob,
    containers_of,
    leave_out,
    map_job,
    newest,
    vcpus_of,
)
from mngen.adoption._lines import Line, Outcome, Place, in_order
from mngen.adoption._queues import MappedQueue, add_queue, environments_of, map_queue
from mngen.adoption._record import record_text
from mngen.adoption._recover import recover
from mngen.adoption._report import report_text
from mngen.adoption._yaml import text_of
from mngen.errors import InputError, Problem, Severity
from mngen.rules import check
from mngen.spec import Spec, load_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.adoption._inventory import Inventory
    from mngen.adoption._item import Item
    from mngen.catalog import Catalog

REPORT = "adoption.md"
"""Name of the report, beside the spec."""

_LEFT_ALONE = "left alone, since no queue has it"

_ORDER = (
    "tags",
    "network",
    "storage",
    "image",
    "roles",
    "environments",
    "queues",
    "container",
    "logs",
    "notify",
    "budget",
    "dashboard",
    "jobs",
)
_ARN = re.compile(r'"arn:aws[a-z-]*:[a-z0-9-]+:([a-z0-9-]*):(\d{12}):')
_INDEX = re.compile(r"\[(\d+)\]\Z")
# A problem of a file starts with the place in it.
_POINTED = re.compile(r"(/[^\s:]*): (.*)", re.DOTALL)
_ECR = re.compile(r'"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com')


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asks of an import.

    Attributes:
        name: Name of the deployment.
        region: AWS region; None for that of what there is.
        default_region: AWS region if nothing names one.
        jobs: Names of job definitions to take into the spec; with files for the AWS CLI, all are.
        take_repository: Whether to take over the repository of the container image.
        spec: Name of the spec's file, for the report.
        out: Folder of the rendered tree, likewise.
    """

    name: str
    region: str | None = None
    default_region: str = "us-east-1"
    jobs: frozenset[str] = frozenset()
    take_repository: bool = False
    spec: str = "mngen.yaml"
    out: str = "deploy"


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """What an import would write.

    Attributes:
        spec: Text of the spec; empty if nothing can be written in one.
        report: Text of the report.
        files: Texts of the job definitions that the spec names, by their paths from it.
        imports: Text of the import blocks; empty if nothing is taken over.
        record: Text of the record for `Finish`; empty if no old environment stays in a queue.
        lines: The report's lines, what breaks a job first.
    """

    spec: str
    report: str
    files: dict[str, str] = {}
    imports: str
    record: str = ""
    lines: tuple[Line, ...]

    def count(self, outcome: Outcome) -> int:
        """Counts the lines with an outcome."""
        return sum(line.outcome is outcome for line in self.lines)

    def as_dict(self) -> dict[str, object]:
        """Returns all of it as JSON-ready data."""
        return {
            "spec": self.spec,
            "files": self.files,
            "imports": self.imports,
            "record": self.record,
            "lines": [line.as_dict() for line in self.lines],
        }


class _Parts(msgspec.Struct):
    """What the mapping has made, for the files that follow from it."""

    environments: list[Mapped]
    queues: list[MappedQueue]
    jobs: list[MappedJob]
    places: dict[str, Place]
    repository: str = ""


def adopt(inventory: Inventory, wishes: Wishes, catalog: Catalog) -> Adoption:
    """Makes a spec of what there is; writes nothing.

    Args:
        inventory: What there is.
        wishes: What the user asks for.
        catalog: The instance types.

    Raises:
        InputError: The name or the region is not valid, or not that of the deployment.
    """
    if inventory.written is not None:
        return _as_written(inventory, inventory.written, wishes, catalog)
    draft = Draft(inventory, catalog)
    region = region_of_inventory(inventory, wishes.region)
    if region is None:
        region = wishes.default_region
        draft.changed(
            Place(inventory.source),
            "region",
            f"{region}: nothing that was read names a region",
            "pass --region if it is another one",
            breaks=True,
        )
    account = inventory.account or _most(inventory, _ARN, 2)
    registry = _most(inventory, _ECR, 1)
    if registry and registry != account:
        _report_registry(draft, wishes, region, account or registry)
    account = account or registry
    _report_empty(draft)
    parts, own = _mapped(draft, wishes)
    sections: dict[str, Any] = {"name": wishes.name, "region": region}
    if account:
        sections["account"] = account
    first = next(iter(parts.places.values()), Place(inventory.source))
    if inventory.deployed is None:
        own["network"] = _shared.network(draft, parts.environments)
    if "ssh" in own:
        own["network"]["ssh"] = own.pop("ssh")
    if inventory.cluster is None and inventory.deployed is None:
        own["storage"] = _shared.storage(draft, parts.jobs, first)
        own["image"] = _shared.image(draft, parts.environments)
        own["roles"] = _shared.roles(draft, parts.environments)
        own["container"], parts.repository = _shared.container(
            draft, parts.jobs, take=wishes.take_repository
        )
    own |= {
        "environments": draft.environments,
        "queues": draft.queues,
        "jobs": draft.jobs,
    }
    sections |= {key: own[key] for key in _ORDER if key in own}
    text = _checked(draft, sections, parts, wishes)
    parts.queues = [each for each in parts.queues if each.key in draft.queues]
    taken = {parts.places[f"queues.{each.key}"].file for each in parts.queues}
    taken |= {each.item.place.file for each in parts.jobs if each.key}
    inventory.released = [each for each in inventory.released if each in taken]
    lines = tuple(in_order(draft.lines))
    return Adoption(
        spec=text,
        report=report_text(wishes, inventory, lines, parts.queues, parts.jobs, parts.repository),
        files=draft.files if text else {},
        imports=imports_text(parts.queues, parts.jobs, parts.repository)
        if inventory.exists and text
        else "",
        record=record_text(inventory, parts.queues),
        lines=lines,
    )


def _as_written(
    inventory: Inventory, spec: dict[str, Any], wishes: Wishes, catalog: Catalog
) -> Adoption:
    """Returns the spec that Terraform's state has of a deployment of mngen."""
    for key, wanted in (("name", wishes.name), ("region", wishes.region or spec.get("region"))):
        if spec.get(key) != wanted:
            raise InputError(
                f"{inventory.source} is that of mngen's deployment {spec.get('name')} in "
                f"{spec.get('region')}, not of {wanted}",
                hint=f"import without --{key}",
            )
    header = f"Written by mngen import from {printable(inventory.source)}, as it was applied last."
    # Terraform sorts the keys of an output.
    order = [each.encode_name for each in msgspec.structs.fields(Spec)]
    jobs = spec.get("jobs", {})
    # Of a definition in a file, the state has the name and a digest.
    lost = {key: str(jobs[key]["definition"]) for key in jobs if "definition" in jobs[key]}
    ordered = {key: spec[key] for key in order if key in spec} | spec
    ordered["jobs"] = {key: job for key, job in jobs.items() if key not in lost}
    text = text_of(ordered, header, {})
    problems = check(load_text(text.encode(), wishes.spec), catalog)
    errors = [each for each in problems if each.severity is Severity.ERROR]
    if errors:
        raise InputError(*errors)
    lines = (
        *(
            Line(
                outcome=Outcome.CHANGED,
                place=Place(inventory.source, f"/values/outputs/spec/value/jobs/{key}"),
                spec=f"jobs.{key}",
                why=f"not in the spec: the state does not have the file {file.partition(' ')[0]}",
                todo="write file and job again before you apply",
                breaks=True,
            )
            for key, file in lost.items()
        ),
        *(
            Line(
                outcome=Outcome.KEPT,
                place=Place(inventory.source, f"/values/outputs/spec/value/{key}"),
                spec=key,
                why="as it was applied last",
            )
            for key in spec
        ),
    )
    return Adoption(
        spec=text, report=report_text(wishes, inventory, lines, [], [], ""), imports="", lines=lines
    )


def _report_registry(draft: Draft, wishes: Wishes, region: str, account: str) -> None:
    """Reports a region and an account that only an image names: it may be one of others."""
    inventory = draft.inventory
    place = Place(inventory.source)
    if not (wishes.region or inventory.region or _most(inventory, _ARN, 1)):
        draft.changed(
            place,
            "region",
            f"{region}: only container images name a region, that of their registry",
            "pass --region if it is another one",
            breaks=True,
        )
    if not (inventory.account or _most(inventory, _ARN, 2)):
        draft.changed(
            place,
            "account",
            f"{account}: only container images name an account, that of their registry",
            "correct it if it is another one",
            breaks=True,
        )


def region_of_inventory(inventory: Inventory, region: str | None = None) -> str | None:
    """Returns the region given, or else that of what there is; None if nothing names one."""
    named = region or inventory.region
    return named or _most(inventory, _ARN, 1) or _most(inventory, _ECR, 2)


def _mapped(draft: Draft, wishes: Wishes) -> tuple[_Parts, dict[str, Any]]:
    """Fills the environments and queues, and returns them with the sections that are known."""
    inventory = draft.inventory
    if inventory.cluster:
        return _of_cluster(draft, inventory.cluster)
    if inventory.deployed:
        places, own = recover(draft, inventory.deployed)
        return _Parts([], [], [], places), own
    return _map(draft, wishes)


def _of_cluster(draft: Draft, cluster: Item) -> tuple[_Parts, dict[str, Any]]:
    environments, own = map_cluster(draft, cluster)
    parts = _Parts(environments, [], [], {})
    for mapped in environments:
        parts.places[f"environments.{mapped.key}"] = cluster.place
    return parts, own


def _map(draft: Draft, wishes: Wishes) -> tuple[_Parts, dict[str, Any]]:
    inventory = draft.inventory
    definitions = newest(inventory.definitions)
    vcpus = frozenset(vcpus_of(each) for item in definitions for _, each in containers_of(item))
    parts = _Parts([], [], [], {})
    environments: dict[str, Mapped | None] = {}
    for item in inventory.environments:
        name = str(item.data.get("computeEnvironmentName", ""))
        mapped = map_environment(draft, item, vcpus)
        environments[name] = mapped
        if mapped:
            parts.environments.append(mapped)
            parts.places[f"environments.{mapped.key}"] = item.place
        elif _is_unused(draft, item):
            _leave_alone(draft, item)
    for item in inventory.queues:
        queue = map_queue(draft, item, environments)
        if queue:
            parts.queues.append(queue)
            parts.places[f"queues.{queue.key}"] = item.place
    queues = list(parts.queues)
    if not inventory.queues:
        queues = [
            add_queue(draft, each, parts.places[f"environments.{each.key}"])
            for each in parts.environments
        ]
    for item in definitions:
        wanted = item.data.get("jobDefinitionName") in wishes.jobs
        taken = wanted or not inventory.exists
        job = map_job(draft, item, queues, taken=taken, wanted=wanted)
        parts.jobs.append(job)
        if job.key:
            parts.places[f"jobs.{job.key}"] = item.place
    return parts, {}


def _is_unused(draft: Draft, item: Item) -> bool:
    """Returns whether there are queues, none of which has a compute environment."""
    queues = draft.inventory.queues
    own = {item.data.get("computeEnvironmentName"), item.data.get("computeEnvironmentArn")}
    # Files may name it, and describe the queue with its ARN.
    names = {name for queue in queues for name in environments_of(queue.data)}
    names |= {name.rpartition("/")[2] for name in names}
    return bool(queues) and not own & names


def _leave_alone(draft: Draft, item: Item) -> None:
    """Reports an environment that a spec cannot have as left alone, since nothing needs it."""
    inside = f"{item.place.pointer}/"
    refused = [
        line
        for line in draft.lines
        if line.outcome is Outcome.CANNOT
        and line.place.file == item.place.file
        and f"{line.place.pointer}/".startswith(inside)
    ]
    draft.lines = [line for line in draft.lines if line not in refused]
    for line in refused:
        draft.kept(line.place, "", f"{_LEFT_ALONE}: {line.why}")


def _report_empty(draft: Draft) -> None:
    """Reports each value that is not filled in."""
    inventory = draft.inventory
    for item in (*inventory.environments, *inventory.queues, *inventory.definitions):
        for path in list(empty_values(item.data)):
            draft.cannot(item.at(*path), "", 'empty (""): AWS refuses it', "fill it in")


def _checked(draft: Draft, sections: dict[str, Any], parts: _Parts, wishes: Wishes) -> str:
    """Returns the text of the spec, without what the rules refuse.

    Raises:
        InputError: The rules refuse something that is not an environment, a queue or a job.
    """
    header = (
        f"Written by mngen import from {printable(draft.inventory.source)}.\n"
        f"{REPORT} shows what became of each value."
    )
    for _ in range(1 + len(draft.environments) + len(draft.queues) + len(draft.jobs)):
        if not draft.environments or not draft.queues:
            return ""
        text = text_of(sections, header, draft.notes)
        files = {path: each.encode() for path, each in draft.files.items()}
        loaded = load_text(text.encode(), wishes.spec, files)
        problems = [
            each for each in check(loaded, draft.catalog) if each.severity is Severity.ERROR
        ]
        if not problems:
            return text
        if not _drop(draft, parts, problems, wishes.jobs):
            raise InputError(*(_placed(draft, parts, each) for each in problems))
    raise AssertionError("each round drops an entry")


def _drop(draft: Draft, parts: _Parts, problems: Iterable[Problem], wanted: frozenset[str]) -> bool:
    """Leaves out what the rules refuse; returns whether that was anything."""
    jobs = {each.key: each for each in parts.jobs if each.key}
    sections = {"environments": draft.environments, "queues": draft.queues, "jobs": draft.jobs}
    refused: dict[tuple[str, str], None] = {}
    for problem in problems:
        section, _, rest = problem.path.partition(".")
        # A name that is not valid may have a dot.
        keys = [
            each
            for each in sections.get(section, {})
            if rest == each or rest.startswith((f"{each}.", f"{each}["))
        ]
        if not keys:
            continue
        key = max(keys, key=len)
        refused[section, key] = None
        if section == "jobs" and key in jobs:
            _report_outside(draft, jobs[key], problem, wanted=jobs[key].name in wanted)
            continue
        rule = f" ({problem.rule})" if problem.rule else ""
        place = _origin(draft, parts, problem.path) or Place(draft.inventory.source)
        why = f"{problem.message}{rule}"
        if section == "environments" and not any(
            key in queue["environments"] for queue in draft.queues.values()
        ):
            draft.kept(place, "", f"{_LEFT_ALONE}: {why}")
        else:
            draft.cannot(place, problem.path, why, problem.hint or "")
    for section, key in refused:
        # It may have gone with its queue.
        if key not in sections[section]:
            continue
        if section == "jobs" and key in jobs:
            leave_out(draft, jobs[key])
        else:
            del sections[section][key]
            _forget(draft, f"{section}.{key}")
            _drop_users(draft, parts, section, key)
    return bool(refused)


def _report_outside(draft: Draft, job: MappedJob, problem: Problem, *, wanted: bool) -> None:
    """Reports why a job definition is not in the spec: an error only if the user named it."""
    found = _POINTED.fullmatch(problem.message) if problem.file else None
    pointer, message = found.groups() if found else ("", problem.message)
    place = Place(job.item.place.file, job.item.place.pointer + pointer)
    rule = f" ({problem.rule})" if problem.rule else ""
    why = f"{job.name} stays as it is, outside the spec: {message}{rule}"
    if wanted:
        draft.cannot(place, f"jobs.{job.key}.definition", why, problem.hint or "")
    elif problem.rule:
        # Scripts may send its jobs to a queue of the spec all the same.
        draft.changed(place, "", why, problem.hint or "", breaks=True)
    else:
        draft.kept(place, "", why, problem.hint or "")


def _forget(draft: Draft, path: str) -> None:
    """Removes the lines about what is no longer in the spec, except why it is not."""
    draft.lines = [
        line
        for line in draft.lines
        if line.outcome is Outcome.CANNOT or not f"{line.spec}.".startswith(f"{path}.")
    ]


def _placed(draft: Draft, parts: _Parts, problem: Problem) -> Problem:
    """Returns a problem of the spec as one of what was read, since the spec is not written."""
    place = _origin(draft, parts, problem.path)
    if place is None:
        return problem
    pointer = f"{place.pointer}: " if place.pointer else ""
    return Problem(
        f"{pointer}{problem.message}",
        path=problem.path,
        file=place.file,
        hint=problem.hint,
        rule=problem.rule,
        source_url=problem.source_url,
    )


def _origin(draft: Draft, parts: _Parts, path: str) -> Place | None:
    """Returns where the value at a path of the spec, or what has it, was found."""
    places: dict[str, list[Place]] = {path: [place] for path, place in parts.places.items()}
    for line in draft.lines:
        if line.spec and line.outcome is not Outcome.CANNOT:
            places.setdefault(line.spec, []).append(line.place)
    number = 0
    while path:
        if path in places:
            found = places[path]
            return found[min(number, len(found) - 1)]
        index = _INDEX.search(path)
        number = int(index[1]) if index else 0
        path = path[: index.start()] if index else path.rpartition(".")[0]
    return None


def _drop_users(draft: Draft, parts: _Parts, section: str, key: str) -> None:
    if section == "environments":
        for name, queue in list(draft.queues.items()):
            if key in queue["environments"]:
                queue["environments"].remove(key)
            if not queue["environments"]:
                path = f"queues.{name}"
                draft.cannot(
                    _origin(draft, parts, path) or Place(draft.inventory.source),
                    path,
                    "none of its environments can be written in a spec",
                    "see the lines about its environments",
                )
                del draft.queues[name]
                _forget(draft, path)
                _drop_users(draft, parts, "queues", name)
    elif section == "queues":
        jobs = {each.key: each for each in parts.jobs if each.key}
        for name in [name for name, job in draft.jobs.items() if job["queue"] == key]:
            if name in jobs:
                leave_out(draft, jobs[name])
            else:
                del draft.jobs[name]
                _forget(draft, f"jobs.{name}")


def _most(inventory: Inventory, pattern: re.Pattern[str], group: int) -> str | None:
    """Returns the region or the account that most ARNs, or most images, name."""
    found: Counter[str] = Counter()
    items: Iterable[Item] = (
        *inventory.environments,
        *inventory.queues,
        *inventory.definitions,
    )
    for item in items:
        found.update(each[group] for each in pattern.finditer(json.dumps(item.data)))
    del found[""]
    return min(found, key=lambda each: (-found[each], each)) if found else None
