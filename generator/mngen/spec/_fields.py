"""The keys of a section of the spec, with their types."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from msgspec import Struct
    from msgspec.structs import FieldInfo


@cache
def fields_of(section: type[Struct]) -> tuple[FieldInfo, ...]:
    """Returns the keys of a section in the order of the model.

    To read the type hints takes longer than to validate a spec with them, so that is done once.
    """
    return msgspec.structs.fields(section)
