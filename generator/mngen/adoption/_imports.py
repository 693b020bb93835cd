"""The import blocks with which Terraform takes over what exists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mngen.render import hcl_string

if TYPE_CHECKING:
    from mngen.adoption._jobs import MappedJob
    from mngen.adoption._queues import MappedQueue

IMPORTS = "terraform/imports.tf"
"""Path of the import blocks, below the rendered tree."""

_HEADER = """\
# Written by mngen import: what the next apply takes over. Delete this file after that apply: with
# it, no plan works once `mngen destroy` has run.
"""

_BLOCK = re.compile(r'\s*import \{\n  to = (\S+)\n  id = "[^"\n]*"\n\}\n')


def imports_text(queues: list[MappedQueue], jobs: list[MappedJob], repository: str) -> str:
    """Returns the import blocks, or nothing if there is nothing to take over.

    By `id`, which Terraform's AWS provider 5 and 6 both take.
    Source: https://developer.hashicorp.com/terraform/language/block/import

    Args:
        queues: Queues to take over.
        jobs: Job definitions; those that are not in the spec are left out.
        repository: Name of a repository of Amazon ECR; empty for none.
    """
    blocks = [
        _block(f"module.queue_{each.key}[0].aws_batch_job_queue.this", each.arn)
        for each in queues
        if each.arn
    ]
    blocks += [
        _block(f"module.job_{each.key}.aws_batch_job_definition.this", each.arn)
        for each in jobs
        if each.key and each.arn
    ]
    if repository:
        blocks.append(_block("module.registry.aws_ecr_repository.this", repository))
    return _HEADER + "".join(blocks) if blocks else ""


def _block(address: str, identity: str) -> str:
    return f"\nimport {{\n  to = {address}\n  id = {hcl_string(identity)}\n}}\n"


def targets(text: str) -> list[str] | None:
    """Returns the addresses that import blocks are for; None if the text has anything else.

    Args:
        text: What `imports_text` returned, some blocks of which may have been removed.
    """
    rest = text.removeprefix(_HEADER)
    found = _BLOCK.findall(rest)
    return None if rest == text or _BLOCK.sub("", rest).strip() else found
