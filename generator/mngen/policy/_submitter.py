"""The submitter: jobs of the deployment, from submission to logs, and nothing that changes it.

Queues, job definitions and the log group are known by their names, which follow from the spec, so
a submitter needs no access to Terraform's state. Inputs and results lie on the file system; inputs
may be put into the spec's bucket, outputs downloaded from there, and whether jobs may do their part
can be asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import BATCH_LOG_GROUP, ECR_IMAGE, inputs_prefix, outputs_prefix
from mngen.policy._shared import definitions, ecs_clusters, queues, repository, unasked
from mngen.policy._statement import Scope, Statement
from mngen.rules import submission_calls
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from mngen.cluster import Cluster
    from mngen.spec import Spec


def submitter_statements(cluster: Cluster, scope: Scope) -> list[Statement]:
    """Returns the permissions of a user who runs jobs.

    Batch chooses the ID of a job, so a job is the deployment's by its tag, which
    `mngen submit` gives it. A job that was submitted without it can be watched but not cancelled.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html
    """
    jobs = (scope.arn("batch", "job/*"),)
    own = cluster.spec.logs.group
    groups: tuple[str, ...] = (own, f"{own}:*") if own else (f"/mngen/{cluster.spec.name}/*",)
    groups += tuple(f"{name}{end}" for name in _log_groups(cluster.spec) for end in ("", ":*"))
    asked = {call for call in submission_calls() if call.startswith("ec2:")}
    asked -= unasked(cluster.spec)
    profile = cluster.spec.roles.instance_profile
    bucket = cluster.spec.storage.bucket
    inputs = scope.global_arn("s3", f"{bucket}/{inputs_prefix(cluster.spec.name)}*")
    outputs = f"{outputs_prefix(cluster.spec.name)}*"
    comes_back = any(job.outputs is not None for job in cluster.spec.jobs.values())
    fetches = bucket is not None and comes_back
    clusters = ecs_clusters(cluster.spec, scope)
    return [
        # None of these takes resources: a user who sees one queue's jobs sees those of all.
        Statement(
            "Look",
            (
                "batch:DescribeComputeEnvironments",
                "batch:DescribeJobDefinitions",
                "batch:DescribeJobQueues",
                "batch:DescribeJobs",
                "batch:ListJobs",
                "ec2:DescribeInstances",
                "servicequotas:GetAWSDefaultServiceQuota",
                *asked,
            ),
            ("*",),
            scope.here,
        ),
        # What the rules of a submission ask besides, and why a job waits.
        Statement(
            "CheckQuotas",
            ("servicequotas:GetServiceQuota",),
            (scope.arn("servicequotas", "ec2/*"),),
        ),
        Statement(
            "CheckProfile",
            ("iam:GetInstanceProfile",),
            (scope.iam_arn(f"instance-profile/{scope.name}-*"),)
            if profile == "create"
            else (profile,),
        ),
        Statement(
            "CheckImage",
            ("ecr:DescribeImages",),
            (
                *(() if cluster.spec.container.image else (repository(cluster.spec, scope),)),
                *_repositories(cluster.spec, scope),
            ),
        ),
        Statement(
            "Submit",
            ("batch:SubmitJob",),
            (*definitions(cluster.spec, scope), *queues(cluster.spec, scope), *jobs),
        ),
        Statement("SubmitTags", ("batch:TagResource",), jobs, scope.tagged),
        Statement(
            "Queue",
            ("batch:GetJobQueueSnapshot",),
            queues(cluster.spec, scope),
        ),
        # The instances of a job join the ECS cluster that Batch makes for each environment, which
        # counts them. The console of one that does not shows why.
        # Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html,
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
        Statement(
            "Joined",
            ("ecs:DescribeClusters", "ecs:ListContainerInstances"),
            tuple(scope.arn("ecs", f"cluster/{name}") for name in clusters),
        ),
        Statement(
            "Consoles", ("ec2:GetConsoleOutput",), (scope.arn("ec2", "instance/*"),), scope.own
        ),
        Statement(
            "Instances",
            ("ecs:DescribeContainerInstances",),
            tuple(scope.arn("ecs", f"container-instance/{name}") for name in clusters),
        ),
        Statement("End", ("batch:CancelJob", "batch:TerminateJob"), jobs, scope.own),
        Statement("Inputs", ("s3:PutObject",) if bucket else (), (inputs,)),
        Statement(
            "CheckInputs",
            ("iam:GetRolePolicy",) if bucket else (),
            (scope.iam_arn(f"role/{scope.name}-job-*"),),
        ),
        Statement(
            "Outputs",
            ("s3:GetObject",) if fetches else (),
            (scope.global_arn("s3", f"{bucket}/{outputs}"),),
        ),
        # A listing has keys and sizes alone, of what begins with a prefix.
        Statement(
            "ListOutputs",
            ("s3:ListBucket",) if fetches else (),
            (scope.global_arn("s3", str(bucket)),),
            {"StringLike": {"s3:prefix": [outputs]}},
        ),
        Statement(
            "Logs",
            ("logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"),
            tuple(scope.arn("logs", f"log-group:{group}") for group in groups),
        ),
    ]


def _repositories(spec: Spec, scope: Scope) -> list[str]:
    """Returns the ARNs of the ECR repositories of the images that the spec names, sorted."""
    images = {part.image for job in spec.jobs.values() for part in job.parts.values()}
    images |= {
        container["image"]
        for job in spec.jobs.values()
        if isinstance(job, JobFromFile)
        for _, container in job.from_file.containers
    }
    images.add(spec.container.image)
    named = [found for image in images if image and (found := ECR_IMAGE.fullmatch(image))]
    return sorted(
        {
            f"arn:{scope.partition}:ecr:{each['region']}:{each['account']}:"
            f"repository/{each['repository']}"
            for each in named
        }
    )


def _log_groups(spec: Spec) -> list[str]:
    """Returns the log groups of definitions from files, sorted; by default that of Batch."""
    found = set()
    for job in spec.jobs.values():
        if isinstance(job, JobFromFile):
            for _, container in job.from_file.containers:
                logs = container.get("logConfiguration", {"logDriver": "awslogs"})
                if logs["logDriver"] == "awslogs":
                    found.add(logs.get("options", {}).get("awslogs-group") or BATCH_LOG_GROUP)
    return sorted(found - {spec.logs.group})
