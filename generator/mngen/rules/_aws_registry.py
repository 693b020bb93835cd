"""The rules that ask AWS, and all rules; apart, since rendering needs neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.rules import _aws_identity, _aws_machines, _aws_network, _aws_storage
from mngen.rules._registry import SPEC_RULES

if TYPE_CHECKING:
    from mngen.rules._aws_rule import AwsRule
    from mngen.rules._rule import Rule

AWS_RULES: tuple[type[AwsRule], ...] = tuple(
    sorted(
        (
            *_aws_identity.RULES,
            *_aws_network.RULES,
            *_aws_storage.RULES,
            *_aws_machines.RULES,
        ),
        key=lambda rule: rule.id,
    )
)

RULES: tuple[type[Rule], ...] = (*SPEC_RULES, *AWS_RULES)
