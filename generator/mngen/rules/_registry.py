"""The rules of the spec, named one by one in their modules, in the order of their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.rules import (
    _access,
    _baking,
    _contents,
    _efa,
    _endpoints,
    _identity,
    _instances,
    _jobs,
    _names,
    _network,
    _placement,
    _purchase,
    _queues,
    _ranges,
    _resources,
    _storage,
    _wireup,
)

if TYPE_CHECKING:
    from mngen.rules._rule import SpecRule

SPEC_RULES: tuple[type[SpecRule], ...] = tuple(
    sorted(
        (
            *_instances.RULES,
            *_purchase.RULES,
            *_placement.RULES,
            *_efa.RULES,
            *_queues.RULES,
            *_jobs.RULES,
            *_resources.RULES,
            *_contents.RULES,
            *_wireup.RULES,
            *_endpoints.RULES,
            *_network.RULES,
            *_ranges.RULES,
            *_access.RULES,
            *_baking.RULES,
            *_storage.RULES,
            *_identity.RULES,
            *_names.RULES,
        ),
        key=lambda rule: rule.id,
    )
)
