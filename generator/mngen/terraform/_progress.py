"""How far an apply came: what of the plan is done and what is left, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen.terraform._summary import Change, Kind, PlanSummary

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """A plan, split in two.

    Attributes:
        done: The changes that are complete and recorded in the state.
        left: The changes that are not: not begun, failed, or interrupted.
    """

    done: tuple[Change, ...]
    left: tuple[Change, ...]

    def describe(self, in_state: int | None) -> str:
        """Describes in one or more lines what is done and what is left.

        Args:
            in_state: How many resources the state holds now, if that is known.
        """
        total = len(self.done) + len(self.left)
        text = f"{len(self.done)} of {total} changes are done"
        if in_state is not None:
            text += f"; the state holds {in_state} resource{'' if in_state == 1 else 's'}"
        if not self.left:
            return text + "; nothing is left to do"
        named = [f"  {_WORDS[change.kind]} {change.address}" for change in self.left[:_MAX_NAMED]]
        if len(self.left) > _MAX_NAMED:
            named.append(f"  and {len(self.left) - _MAX_NAMED} more")
        return "\n".join([f"{text}; left to do:", *named])


def measure(summary: PlanSummary, done: AbstractSet[tuple[str, str]]) -> Progress:
    """Compares a plan with the steps that Terraform reported as complete.

    Moves, imports and the like are left out: Terraform reports no step for them.

    Args:
        summary: What was planned.
        done: Pairs of a resource's address and the step: `create`, `update` or `delete`.
    """
    steps = [change for change in summary.changes if change.steps]
    complete = {
        change for change in steps if all((change.address, step) in done for step in change.steps)
    }
    return Progress(
        done=tuple(change for change in steps if change in complete),
        left=tuple(change for change in steps if change not in complete),
    )


_WORDS = {
    Kind.CREATE: "create",
    Kind.UPDATE: "change",
    Kind.REPLACE: "replace",
    Kind.DESTROY: "destroy",
}
