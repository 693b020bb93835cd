"""What a plan deletes at one address and creates at another, though it is the same in AWS.

A queue or a job with `aws_name` keeps its name in AWS if its entry in the spec gets another one.
Terraform knows it by the entry's name, so it would delete the queue and create it again.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_logger = logging.getLogger(__name__)

_KINDS = {"aws_batch_job_queue": "job queue", "aws_batch_job_definition": "job definition"}
_CALL = re.compile(r"module\.[\w-]+")


def moves_of(plan: Mapping[str, Any]) -> dict[str, str]:
    """Returns the calls of modules whose resource a plan should keep, with their new addresses.

    Args:
        plan: What `terraform show -json PLAN` prints, parsed. Its format:
            https://developer.hashicorp.com/terraform/internals/json-format
    """
    gone: dict[tuple[str, str], str] = {}
    new: dict[tuple[str, str], str] = {}
    for each in plan.get("resource_changes", []):
        call = _CALL.match(each["address"])
        if each["type"] not in _KINDS or each["mode"] != "managed" or call is None:
            continue
        change = each["change"]
        if change["actions"] == ["delete"]:
            gone[each["type"], change["before"]["name"]] = call[0]
        elif change["actions"] == ["create"]:
            new[each["type"], change["after"]["name"]] = call[0]
    moves = {}
    for identity in gone.keys() & new.keys():
        kind, name = identity
        old = gone[identity]
        moves[old] = new[identity]
        _logger.info("%s %s: %s is now %s", _KINDS[kind], name, old, moves[old])
    return dict(sorted(moves.items()))


def moved_blocks(moves: Mapping[str, str]) -> str:
    """Returns the configuration that makes a plan keep what has another address.

    Source: https://developer.hashicorp.com/terraform/language/block/moved
    """
    return "".join(f"moved {{\n  from = {old}\n  to = {new}\n}}\n" for old, new in moves.items())
