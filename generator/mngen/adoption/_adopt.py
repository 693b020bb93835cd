"""From a cluster file to a checked spec and a report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.adoption import _shared
from mngen.adoption._cluster import map_cluster
from mngen.adoption._draft import Draft
from mngen.adoption._lines import Line, Outcome, Place, in_order
from mngen.adoption._report import report_text
from mngen.adoption._yaml import text_of
from mngen.errors import InputError, Problem, Severity
from mngen.rules import check
from mngen.spec import load_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.adoption._inventory import Inventory
    from mngen.catalog import Catalog

REPORT = "adoption.md"
"""Name of the report, beside the spec."""

_ORDER = ("tags", "network", "storage", "image", "roles", "environments", "queues", "jobs")


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asks of an import.

    Attributes:
        name: Name of the deployment.
        region: AWS region; None for that of what there is.
        default_region: AWS region if nothing names one.
        spec: Name of the spec's file, for messages.
    """

    name: str
    region: str | None = None
    default_region: str = "us-east-1"
    spec: str = "mngen.yaml"


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """What an import would write.

    Attributes:
        spec: Text of the spec; empty if nothing can be written in one.
        report: Text of the report.
        lines: The report's lines, what breaks a job first.
    """

    spec: str
    report: str
    lines: tuple[Line, ...]

    def count(self, outcome: Outcome) -> int:
        """Counts the lines with an outcome."""
        return sum(line.outcome is outcome for line in self.lines)

    def as_dict(self) -> dict[str, object]:
        """Returns all of it as JSON-ready data."""
        return {"spec": self.spec, "lines": [line.as_dict() for line in self.lines]}


def adopt(inventory: Inventory, wishes: Wishes, catalog: Catalog) -> Adoption:
    """Makes a spec of what there is; writes nothing.

    Args:
        inventory: What there is.
        wishes: What the user asks for.
        catalog: The instance types.

    Raises:
        InputError: The name or the region is not valid.
    """
    draft = Draft(inventory, catalog)
    region = wishes.region or inventory.region
    if region is None:
        region = wishes.default_region
        draft.changed(
            Place(inventory.source),
            "region",
            f"{region}: nothing that was read names a region",
            "pass --region if it is another one",
            breaks=True,
        )
    environments, own = map_cluster(draft, inventory.cluster)
    network = _shared.network(draft, environments)
    if "ssh" in own:
        network["ssh"] = own.pop("ssh")
    own |= {
        "network": network,
        "environments": draft.environments,
        "queues": draft.queues,
        "jobs": draft.jobs,
    }
    sections: dict[str, Any] = {"name": wishes.name, "region": region}
    if inventory.account:
        sections["account"] = inventory.account
    sections |= {key: own[key] for key in _ORDER if key in own}
    text = _checked(draft, sections, wishes)
    lines = tuple(in_order(draft.lines))
    return Adoption(spec=text, report=report_text(inventory, lines), lines=lines)


def _checked(draft: Draft, sections: dict[str, Any], wishes: Wishes) -> str:
    """Returns the text of the spec, without what the rules refuse.

    Raises:
        InputError: The rules refuse something that is not an environment, a queue or a job.
    """
    header = (
        f"Written by mngen import from {draft.inventory.source}.\n"
        f"{REPORT} shows what became of each value."
    )
    for _ in range(1 + len(draft.environments) + len(draft.queues) + len(draft.jobs)):
        if not draft.environments or not draft.queues:
            return ""
        text = text_of(sections, header, draft.notes)
        loaded = load_text(text.encode(), wishes.spec)
        problems = [
            each for each in check(loaded, draft.catalog) if each.severity is Severity.ERROR
        ]
        if not problems:
            return text
        if not _drop(draft, problems):
            raise InputError(*problems)
    raise AssertionError("each round drops an entry")


def _drop(draft: Draft, problems: Iterable[Problem]) -> bool:
    """Leaves out what the rules refuse; returns whether that was anything."""
    dropped = False
    for problem in problems:
        section, _, rest = problem.path.partition(".")
        key = re.split(r"[.\[]", rest)[0]
        entries = {
            "environments": draft.environments,
            "queues": draft.queues,
            "jobs": draft.jobs,
        }.get(section, {})
        if key not in entries:
            continue
        dropped = True
        rule = f" ({problem.rule})" if problem.rule else ""
        place = draft.inventory.cluster.place
        draft.cannot(place, problem.path, f"{problem.message}{rule}", problem.hint or "")
        del entries[key]
        _drop_users(draft, section, key)
    return dropped


def _drop_users(draft: Draft, section: str, key: str) -> None:
    if section == "environments":
        for name, queue in list(draft.queues.items()):
            if key in queue["environments"]:
                queue["environments"].remove(key)
            if not queue["environments"]:
                del draft.queues[name]
                _drop_users(draft, "queues", name)
    elif section == "queues":
        for name in [name for name, job in draft.jobs.items() if job["queue"] == key]:
            del draft.jobs[name]
