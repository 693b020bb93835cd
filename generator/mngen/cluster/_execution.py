"""What the ECS agent may do when it starts containers that have secrets.

With an execution role, the agent pulls images and writes logs with it too, not with the role of the
instance. Sources: https://docs.aws.amazon.com/batch/latest/userguide/execution-IAM-role.html,
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mngen.cluster._deployment import has_secrets, jobs_with_secrets
from mngen.cluster._ecr import ecr_repository
from mngen.cluster._properties import credentials_of

if TYPE_CHECKING:
    from mngen.spec import Spec

_IN_MANAGER = ":secretsmanager:"


class ExecutionAccess(msgspec.Struct, frozen=True):
    """What an execution role needs, each list sorted.

    Attributes:
        secrets: ARNs of secrets of Secrets Manager.
        parameters: ARNs of parameters of Systems Manager, or their names in the deployment's
            region, without a leading slash.
        repositories: ARNs of ECR repositories without their partition (`ecr:REGION:…`), or names of
            those in the deployment's region and account.
    """

    secrets: tuple[str, ...]
    parameters: tuple[str, ...]
    repositories: tuple[str, ...]


def execution_access(spec: Spec) -> ExecutionAccess:
    """Returns what the jobs of a spec need of an execution role."""
    jobs = jobs_with_secrets(spec).values()
    parts = [part for job in jobs for part in job.parts.values() if has_secrets(spec, part)]
    places = {place for part in parts for place in part.secrets.values()}
    credentials = {credentials_of(spec, part) for part in parts} - {None}
    secrets = {place for place in places if _IN_MANAGER in place} | credentials
    images = {part.image or spec.container.image for part in parts}
    return ExecutionAccess(
        # Behind the ARN may be a key of its JSON, a stage and a version.
        secrets=tuple(sorted({":".join(str(place).split(":")[:7]) for place in secrets})),
        parameters=tuple(
            sorted({place.removeprefix("/") for place in places if _IN_MANAGER not in place})
        ),
        repositories=tuple(
            sorted({name for image in images for name in ecr_repository(spec, image)})
        ),
    )
