"""All rules; rendering needs the fewest of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.rules.account import AWS_RULES
from mngen.rules.spec import SPEC_RULES
from mngen.rules.submission import SUBMISSION_RULES

if TYPE_CHECKING:
    from mngen.rules._rule import Rule

RULES: tuple[type[Rule], ...] = tuple(
    sorted((*SPEC_RULES, *AWS_RULES, *SUBMISSION_RULES), key=lambda rule: rule.id)
)
