"""What the AWS provider plans otherwise than AWS does it: to be kept, or to be replaced.

A queue or a job with `aws_name` keeps its name in AWS if its entry in the spec gets another one.
Terraform knows it by the entry's name, so it would delete the queue and create it again.

A queue keeps its order, fair or first in, first out, for its whole life. The provider plans another
one as an update, which AWS Batch refuses, or leaves as it was. Source:
https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html (schedulingPolicyArn)
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_logger = logging.getLogger(__name__)

_QUEUE = "aws_batch_job_queue"
_POLICY = "scheduling_policy_arn"
_KINDS = {_QUEUE: "job queue", "aws_batch_job_definition": "job definition"}
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


def is_rescheduled(resource: Mapping[str, Any]) -> bool:
    """Whether a planned change gives a queue its first scheduling policy, or takes its last one.

    Args:
        resource: One of the plan's `resource_changes`.
    """
    change = resource["change"]
    before, after = change.get("before"), change.get("after")
    if resource["type"] != _QUEUE or not before or not after:
        return False
    gets = after.get(_POLICY) or (change.get("after_unknown") or {}).get(_POLICY)
    return bool(before.get(_POLICY)) != bool(gets)


def rescheduled(plan: Mapping[str, Any]) -> list[str]:
    """Returns the addresses of the queues that have to be replaced for another order of jobs.

    Args:
        plan: See `moves_of`.
    """
    return [
        each["address"]
        for each in plan.get("resource_changes", [])
        if is_rescheduled(each) and each["change"]["actions"] == ["update"]
    ]


def moved_blocks(moves: Mapping[str, str]) -> str:
    """Returns the configuration that makes a plan keep what has another address.

    Source: https://developer.hashicorp.com/terraform/language/block/moved
    """
    return "".join(f"moved {{\n  from = {old}\n  to = {new}\n}}\n" for old, new in moves.items())
