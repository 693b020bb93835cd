"""The rules that ask AWS or judge a submission, and all rules; rendering needs none of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.rules import (
    _aws_identity,
    _aws_machines,
    _aws_network,
    _aws_storage,
    _submission_account,
    _submission_inputs,
    _submission_rules,
)
from mngen.rules._registry import SPEC_RULES

if TYPE_CHECKING:
    from mngen.rules._aws_rule import AwsRule
    from mngen.rules._rule import Rule
    from mngen.rules._submission import SubmissionRule

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

SUBMISSION_RULES: tuple[type[SubmissionRule], ...] = tuple(
    sorted(
        (
            *_submission_account.RULES,
            *_submission_rules.RULES,
            _submission_inputs.InputsCanBeRead,
        ),
        key=lambda rule: rule.id,
    )
)

WAITING_RULES: tuple[type[AwsRule], ...] = (
    _aws_network.NodesHaveWayOut,
    _aws_network.AddressesLeft,
    _aws_machines.OfferedInZone,
)
"""Of the rules that ask AWS, those for whose breach a submitted job may wait."""

RULES: tuple[type[Rule], ...] = (*SPEC_RULES, *AWS_RULES, *SUBMISSION_RULES)
