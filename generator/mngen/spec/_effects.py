"""What a change of a key does to an existing deployment, in a small vocabulary.

Each key of the model carries its effects (`affects`), and the JSON Schema shows them under
`UPDATE_KEY`. They hold for the defaults: AWS Batch updates a compute environment in place only with
its service-linked role, and not where it allocates by `best-fit`.

Sources: the AWS provider's own plan of each change (`tests/e2e/test_key_changes.py`), and for what
Batch does to instances and jobs
https://docs.aws.amazon.com/batch/latest/userguide/updating-compute-environments.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_UpdateComputeEnvironment.html and
https://docs.aws.amazon.com/batch/latest/APIReference/API_UpdatePolicy.html.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Meta

UPDATE_KEY = "x-mngen-update"
"""Where the JSON Schema of a key lists its effects."""


class Effect(StrEnum):
    """One thing that a change of a key does; `meaning` describes it in a sentence or two."""

    NONE = "none"
    IN_PLACE = "in-place"
    ENTRY = "entry"
    JOBS = "new-jobs"
    BAKE = "bake"
    NEW_AMI = "new-ami"
    INSTANCES = "instances"
    ENVIRONMENT = "environment"
    QUEUE = "queue"
    SCHEDULING = "scheduling"
    REPOSITORY = "repository"
    LOGS = "logs"
    RETENTION = "retention"
    NOTIFY = "notify"
    FILE_SYSTEM = "file-system"
    SIZE = "size"
    LINK = "link"
    SUBNETS = "subnets"
    NETWORK = "network"
    RENAMED = "renamed"
    INIT = "init"
    DEPLOYMENT = "deployment"

    @property
    def meaning(self) -> str:
        """What happens, and what it means for running jobs."""
        return _MEANINGS[self]


_MEANINGS = {
    Effect.NONE: "Nothing that is deployed changes.",
    Effect.IN_PLACE: "AWS changes what is deployed in place. Jobs continue.",
    Effect.ENTRY: (
        "Adding an entry affects no other. An entry that is removed or renamed is deleted: with a "
        "compute environment the jobs that still run on it, with a queue all jobs that wait or run "
        "in it."
    ),
    Effect.JOBS: (
        "Applies to jobs submitted after the apply. Jobs submitted earlier keep the job definition "
        "that they were submitted with."
    ),
    Effect.BAKE: (
        "The AMI contains it: run `mngen bake` before `mngen apply`. Instances have the previous "
        "AMI until both are done."
    ),
    Effect.NEW_AMI: (
        "The compute environment needs another AMI: run `mngen bake` before `mngen apply`. An "
        "apply without that AMI deletes the environment."
    ),
    Effect.INSTANCES: (
        "AWS Batch replaces the instances of the compute environment. New jobs start on new "
        "instances; running jobs may run for 6 more hours on the old ones (30 minutes in GovCloud "
        "regions), and are terminated after that. With `roles.service`, `allocation: best-fit` or "
        "`capacity`, and with `spot-price-capacity-optimized` beside `provider: 5`, the "
        "environment is replaced instead."
    ),
    Effect.ENVIRONMENT: (
        "The compute environment is replaced: a new one is created, the queues switch to it, and "
        "the old one is deleted. Waiting jobs stay in their queues; jobs that still run on the old "
        "environment are terminated."
    ),
    Effect.QUEUE: (
        "The job queue is deleted with all jobs that wait or run in it, and created again."
    ),
    # https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html
    Effect.SCHEDULING: (
        "Another scheduling policy takes effect in place. A queue that gets its first policy, or "
        "loses its last one, is deleted with all jobs that wait or run in it, and created again."
    ),
    Effect.REPOSITORY: (
        "The ECR repository is deleted with all its container images. Push the image again, or "
        "jobs fail to start."
    ),
    Effect.LOGS: "The log group that mngen created is deleted with the output of all jobs.",
    Effect.RETENTION: (
        "Output of jobs that is older than that is deleted. Jobs continue, and a longer time "
        "does not restore what is deleted."
    ),
    Effect.NOTIFY: (
        "Messages go to other addresses, and jobs continue. A new address must confirm its "
        "subscription before it gets any. A topic that mngen created is deleted with all its "
        "subscriptions if another takes its place."
    ),
    Effect.FILE_SYSTEM: (
        "Jobs get another file system. No file is copied, and a file system that mngen created is "
        "deleted with all its files."
    ),
    Effect.SIZE: (
        "A larger size is added in place, which takes minutes; jobs continue. A smaller one "
        "replaces the file system, and all its files are deleted."
    ),
    Effect.LINK: (
        "A folder is linked to S3, or its link is changed, replaced or removed. No file in it and "
        "no object in S3 is deleted; changes that were not exported yet stay in the folder alone."
    ),
    Effect.SUBNETS: (
        "A zone that is added gets a mount target of EFS, one that is removed loses its own, and "
        "one whose subnets change may get another. Jobs in a zone that loses its mount target hang "
        "until they are cancelled: wait until no job runs there. A file system of FSx is in one "
        "subnet: if that is no longer the first of its zone, or its zone no longer the first, the "
        "file system is replaced, and all its files are deleted."
    ),
    Effect.NETWORK: (
        "Everything moves to another VPC: subnets, endpoints and mount targets are replaced, and a "
        "VPC that mngen created is deleted. Cancel all jobs first. The EFS file system stays; one "
        "of FSx is replaced, and all its files are deleted."
    ),
    Effect.RENAMED: (
        "Compute environments, queues, roles, the ECR repository, the job logs and the SNS topic "
        "are replaced: all jobs are terminated, container images and logs deleted, and addresses "
        "must confirm again. File systems and the VPC stay."
    ),
    Effect.INIT: (
        "Terraform must be initialized again: `terraform init -migrate-state` for another place of "
        "the state, `terraform init -upgrade` for another provider. Nothing on AWS changes."
    ),
    Effect.DEPLOYMENT: (
        "It is another deployment: everything is created again, and no file is copied. Run `mngen "
        "destroy` before you change it, or Terraform may lose track of what exists, which is still "
        "billed."
    ),
}


def affects(*effects: Effect) -> Meta:
    """Describes what a change of a key does, for the key's annotation in the model."""
    return Meta(extra_json_schema={UPDATE_KEY: [effect.value for effect in effects]})
