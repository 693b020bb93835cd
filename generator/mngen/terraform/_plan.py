"""A plan that was made and not yet applied, in a file that no other process can open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mngen.terraform._keys import RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.terraform._summary import PlanSummary


@dataclass(frozen=True, slots=True)
class Plan:
    """What Terraform is going to do, saved so that exactly this is applied.

    A plan holds secrets in clear. So its file has no name in any folder, from the start: only
    this process and the Terraform that it starts can open it, and it is gone when they are,
    however they end.

    Attributes:
        summary: What it would do.
        is_destroy: Whether it destroys all that there is.
        has_changes: Whether applying it does anything; changed outputs count.
        descriptor: The open file, which Terraform inherits.
        data: The plan as Terraform describes it. It may hold secrets: it is never shown.
    """

    summary: PlanSummary
    is_destroy: bool
    has_changes: bool
    descriptor: int
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def spec(self) -> Any:
        """The spec of the deployment afterwards, as the rendered Terraform has it in an output."""
        return self.data.get("output_changes", {}).get(RECORD, {}).get("after")

    @property
    def spec_before(self) -> Any:
        """The spec of the last apply; None before the first one."""
        return self.data.get("output_changes", {}).get(RECORD, {}).get("before")

    @property
    def kept(self) -> frozenset[str]:
        """The addresses of the resources that are there and managed afterwards."""
        return frozenset(
            each["address"]
            for each in self.data.get("resource_changes", [])
            if each.get("mode") == "managed"
            and each["change"]["actions"] not in (["delete"], ["forget"])
        )


def plan_path(descriptor: int) -> str:
    """Returns the name by which a process opens a file that it inherited."""
    return f"/dev/fd/{descriptor}"
