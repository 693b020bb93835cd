"""All rules, named one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.rules import _instances, _jobs, _queues, _resources

if TYPE_CHECKING:
    from mngen.rules._rule import Rule, SpecRule

SPEC_RULES: tuple[type[SpecRule], ...] = (
    *_instances.RULES,
    *_queues.RULES,
    *_jobs.RULES,
    *_resources.RULES,
)

RULES: tuple[type[Rule], ...] = SPEC_RULES
