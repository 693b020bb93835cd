"""Plans an apply that also imports what an interrupted one has left."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mngen._aws import client, translated
from mngen.errors import Problem, Severity
from mngen.terraform._missing import Import, Standing, search_of
from mngen.terraform._standing import close_egress, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mngen.errors import ToolError
    from mngen.terraform._plan import Plan
    from mngen.terraform._terraform import Terraform

_ROUNDS = 6
"""What joins two imported resources is found in the next round; nothing goes deeper than this."""


@contextmanager
def healed_plan(
    terraform: Terraform,
    agree: Callable[[Standing], None],
    warn: Callable[[Problem], None],
    connect: Callable[[str, str], Any] = client,
) -> Iterator[Plan]:
    """Plans an apply; the plan imports what exists but is missing in the state.

    Args:
        terraform: Terraform in the rendered folder.
        agree: Called with what would be imported; raises where it must not be.
        warn: Called with what stands in the way and is not imported, once.
        connect: Makes a boto3 client of a service and a region.

    Yields:
        The plan, as `Terraform.plan` does.

    Raises:
        ToolError: As for `Terraform.plan`.
    """
    imports: dict[str, Import] = {}
    for last in (*[False] * (_ROUNDS - 1), True):
        with terraform.plan(imports=imports.values()) as plan:
            found, region, refused = _look(plan, connect)
            new = [each for each in found.imports if each.address not in imports]
            if not new or last:
                for problem in problems_of(found, refused, terraform):
                    warn(problem)
                yield plan
                return
        agree(found)
        with translated():
            close_egress((each.found for each in new), region, connect)
        imports |= {each.address: each for each in new}


def announce(
    plan: Plan, terraform: Terraform, connect: Callable[[str, str], Any] = client
) -> Iterator[Problem]:
    """Yields what exists but is missing in the state, for a plan that is only shown.

    Args:
        plan: The plan.
        terraform: Terraform in the rendered folder.
        connect: Makes a boto3 client of a service and a region.
    """
    found, _, refused = _look(plan, connect)
    for each in found.imports:
        yield Problem(
            f"{each.found.id} already exists with this deployment's tag, but is missing from the "
            "state",
            severity=Severity.WARNING,
            path=each.address,
            hint="run mngen apply to import it",
        )
    yield from problems_of(found, refused, terraform)


def problems_of(
    found: Standing, refused: tuple[ToolError, ...], terraform: Terraform
) -> Iterator[Problem]:
    """Yields what the user has to handle: what is not imported, and what nothing manages."""
    for each in found.foreign:
        yield Problem(
            f"{each.found.name} exists without this deployment's tag: the apply will fail",
            severity=Severity.WARNING,
            path=each.address,
            hint="choose another `name` in the spec; or, if it is yours, "
            f"`{terraform.command} import '{each.address}' '{each.found.import_id}'`",
        )
    for left in found.leftovers:
        yield Problem(
            f"{left.id} has the deployment's tag but is not in the Terraform state: an "
            "interrupted run left it",
            severity=Severity.WARNING,
            path=left.type,
            hint=f"if nothing uses it, delete it: {left.delete_command}",
        )
    for error in refused[:1]:
        for problem in error.problems:
            yield Problem(
                f"cannot check for resources left by an interrupted apply: {problem.message}",
                severity=Severity.INFO,
                hint=problem.hint,
            )


def _look(
    plan: Plan, connect: Callable[[str, str], Any]
) -> tuple[Standing, str, tuple[ToolError, ...]]:
    search = search_of(plan.data)
    if search is None or not search.types:
        return Standing(), "", ()
    found, refused = standing(search, connect)
    return found, search.region, refused
