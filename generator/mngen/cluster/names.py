"""The names that a deployment is known by: on AWS, in its containers, and those of its records."""

AMIS_FILE = "terraform/amis.auto.tfvars.json"
"""Place of the record of AMIs in the rendered tree."""

UNFINISHED_FILE = "terraform/mngen_render_unfinished.tf"
"""Place of a file that Terraform refuses, in the rendered tree while it is being written."""

DIGESTS_FILE = "container.auto.tfvars.json"
"""Name of the record of pushed container images in the rendered Terraform folder."""

OWN_FOLDER = "own"
"""Folder below `playbooks/` with the playbooks that the spec names, and the files beside them."""

OWN_PLAYBOOKS = f"playbooks/{OWN_FOLDER}"
"""Place of that folder in the rendered tree."""

PRELOAD_PLAYBOOK = "preload.yml"
"""Playbook that runs before mngen's other one, where an AMI gets container images."""

PRELOAD_FILES = (PRELOAD_PLAYBOOK, "roles/preload/")
"""What of the playbooks only specs with `image.preload` have: files, or the start of paths."""

STAGES_AFTER_OWN = "verify,clean,seal"
"""Stages of mngen's playbook that run after those of the spec, as Ansible's tags."""

DEPLOYMENT_TAG = "mngen:deployment"
"""Key of the tag with the deployment's name, on all that mngen makes."""

IMAGE_TAG = "mngen:image"
"""Key of the tag with the name of the image.

Everything that a bake starts carries it beside the deployment's own tag, from the request on that
starts it: what carries both may be deleted. The nodes of the cluster carry the latter alone.
"""

AGENT_POLICY = "AmazonEC2ContainerServiceforEC2Role"
"""Name of AWS's policy for the role of nodes, with what the ECS agent needs."""

UNIQUE_SUFFIX = r"\d{18}[0-9a-f]{8}"
"""What Terraform appends to the prefix of a name, as a regular expression.

It is the time to a tenth of a millisecond and a counter of eight digits.

Source: https://github.com/hashicorp/terraform-plugin-sdk/blob/main/helper/id/id.go
"""

REGION_TAG = "mngen:region"
"""Key of a tag that distinguishes IAM resources of deployments with one name in two regions."""

SUBMISSION_TAG = "mngen:submission"
"""Key of a job's tag with the token of the request that made it."""

SUBMITTER_TAG = "mngen:submitter"
"""Key of a job's tag with the name of the user who submitted it."""

TAG_PREFIX = "mngen:"
"""What the keys of all of these start with, and no others."""

RUN_TAG = "mngen:bake"
"""Key of the tag that distinguishes the bakes of a deployment; on what a bake deletes again."""

NR_CPUS_TAG = "mngen:nr-cpus"
"""Key of an AMI's tag with the kernel's CPU limit; 0 for none."""

INPUTS_TAG = "mngen:inputs"
"""Key of an AMI's tag with the digest of what it was baked from."""

BATCH_LOG_GROUP = "/aws/batch/job"
"""The log group of jobs whose definition names none.

Source: https://docs.aws.amazon.com/batch/latest/userguide/using_awslogs.html
"""

CPUS_VARIABLE = "MNGEN_CPUS"
"""How many CPUs the wire-up expects on a node whose AMI limits them."""

CPUS_CHECK_VARIABLE = "MNGEN_CPUS_CHECK"
"""What the wire-up does about another number: `off` for nothing, `warn` for a warning."""

INPUTS_VARIABLE = "MNGEN_INPUTS"
"""The variable with the folder of a job's inputs on the shared file system."""

INPUTS_FROM_VARIABLE = "MNGEN_INPUTS_FROM"
"""The variable with the URL from which the wire-up fetches missing inputs: `s3://…/`."""

INPUTS_REGION_VARIABLE = "MNGEN_INPUTS_REGION"
"""The variable with the bucket's region: a VPC's endpoint for S3 serves only its own region."""

OUTPUTS_VARIABLE = "MNGEN_OUTPUTS"
"""The variable with the folder of a job's outputs; `{job}` in it stands for the job's ID."""

OUTPUTS_TO_VARIABLE = "MNGEN_OUTPUTS_TO"
"""The variable with the URL below which the wire-up uploads that folder: `s3://…/`."""

OUTPUTS_REGION_VARIABLE = "MNGEN_OUTPUTS_REGION"
"""The variable with the region of the bucket for outputs."""

KEY_VARIABLES = {
    "ranks_per_node": "MNGEN_RANKS_PER_NODE",
    "threads_per_rank": "MNGEN_THREADS_PER_RANK",
    "launcher": "MNGEN_LAUNCHER",
    "mpi_args": "MNGEN_MPI_ARGS",
}
"""Variables by the keys of a job that they carry to the wire-up."""

GROUP_VARIABLE = "MNGEN_GROUP"
"""The variable with a node's group, in whose job each node runs its own container's command."""

RUNS_BESIDE_VARIABLE = "MNGEN_RUNS_BESIDE"
"""Whether a node runs its own command beside launcher `main`: `yes`."""

RENDEZVOUS_VARIABLE = "MNGEN_SECRET"
"""The variable that carries the rendezvous secret to the nodes of a job."""

SHARED_VARIABLE = "MNGEN_SHARED"
"""Where the shared file system is mounted, for the wire-up."""

SCRATCH_VARIABLE = "MNGEN_SCRATCH"
"""Where a node has its scratch space, for the programs of a job."""

ROWS_VARIABLE = "MNGEN_ROWS"
"""The rows of a sweep that is an array job, packed: each child runs that of its index.

`mngen submit` alone sets it: see `mngen.jobs._rows`.
"""

ROWS_GUARD = "mngen-sweep-needs-a-newer-container-image"
"""The first word of the command of such a job, which the wire-up takes away.

An image without a wire-up that knows rows has no such program, and shows this name.
"""

WAIT_VARIABLE = "MNGEN_WAIT"
"""How many seconds the wire-up waits for all nodes."""

WIRE_UP_VARIABLES = frozenset(
    {
        *KEY_VARIABLES.values(),
        CPUS_VARIABLE,
        CPUS_CHECK_VARIABLE,
        GROUP_VARIABLE,
        INPUTS_VARIABLE,
        INPUTS_FROM_VARIABLE,
        INPUTS_REGION_VARIABLE,
        OUTPUTS_VARIABLE,
        OUTPUTS_TO_VARIABLE,
        OUTPUTS_REGION_VARIABLE,
        RENDEZVOUS_VARIABLE,
        RUNS_BESIDE_VARIABLE,
        SCRATCH_VARIABLE,
        SHARED_VARIABLE,
        WAIT_VARIABLE,
        "MNGEN_HEARTBEAT",
        "MNGEN_PORT",
    }
)
"""All that the wire-up and what it starts read, see `container/mngen_wireup`."""

VARIABLE_PREFIX = "MNGEN_"
"""What the names of all of these start with."""


def aws_name(deployment: str, name: str) -> str:
    """Returns the name in AWS of what the spec gives no other name.

    Those of queues, job definitions and the repository of a spec are in `mngen.cluster`, as
    `queue_name` and its neighbours.
    """
    return f"{deployment}-{name}"


def log_group(deployment: str) -> str:
    """Returns the log group of a deployment's jobs."""
    return f"/mngen/{deployment}/jobs"


def topic(deployment: str) -> str:
    """Returns the SNS topic that a deployment creates for messages about its jobs."""
    return f"{deployment}-notify"


def event_rules(deployment: str, events: tuple[str, ...]) -> list[str]:
    """Returns the EventBridge rules that send these messages.

    Creating a rule replaces one of the same name, which could be the user's own.
    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html

    Args:
        deployment: Name of the deployment.
        events: What messages are sent about, as the spec has it.
    """
    kinds = {"blocked": "blocked", "failed": "jobs", "succeeded": "jobs"}
    return sorted({f"mngen-{deployment}-{kinds[event]}" for event in events})


WITHOUT_BUDGETS = frozenset({"aws-us-gov"})
"""Partitions in which AWS Budgets has no endpoint.

Source: `endpoints.json` of botocore, AWS's own list of endpoints.
"""


def currency_of(region: str) -> str:
    """Returns the currency that AWS bills a region in, by its code."""
    return "CNY" if region.startswith("cn-") else "USD"


def budget(deployment: str, region: str) -> str:
    """Returns the budget of a deployment; all regions of an account have their budgets together."""
    return f"mngen-{deployment}-{region}"


def budget_role(deployment: str) -> str:
    """Returns how the name of the role begins with which AWS Budgets attaches a policy."""
    return f"{deployment}-budget-"


def deny_submit_policy(deployment: str) -> str:
    """Returns how the name of the policy begins that denies submissions beyond the budget."""
    return f"{deployment}-deny-submit-"


def dashboard(deployment: str, region: str) -> str:
    """Returns the dashboard of a deployment; all regions of an account have them together."""
    return f"mngen-{deployment}-{region}"


def inputs_prefix(deployment: str) -> str:
    """Returns the folder in a bucket that holds a deployment's inputs."""
    return f"mngen/{deployment}/inputs/"


def outputs_prefix(deployment: str) -> str:
    """Returns the folder in a bucket that holds the outputs of a deployment's jobs."""
    return f"mngen/{deployment}/outputs/"


BUILDER_LIFETIME = 120
"""Minutes after which a builder shuts itself down, if its bake is gone."""

BUILDER_USER_DATA = f"""\
#!/bin/sh
shutdown -h +{BUILDER_LIFETIME}
systemctl mask --runtime ecs.service
systemctl --no-block stop ecs.service
"""
"""What a builder runs at its start: a scheduled shutdown, and no ECS agent until then.

The agent would register the builder in the cluster `default`, where it may be given tasks. It waits
for cloud-init, which runs this, and is masked in /run alone: what starts from the image has it.
"""

_CHINESE_ENDPOINTS = frozenset({"ecr.api", "ecr.dkr"})
"""Services whose endpoints have another prefix in the China regions; the others' are as elsewhere.

Source: `aws ec2 describe-vpc-endpoint-services` in cn-north-1 and cn-northwest-1, as printed in
https://github.com/aws/aws-cdk/pull/16139 and https://github.com/aws/aws-cdk/pull/25333.
"""


def endpoint_service(region: str, service: str) -> str:
    """Returns the name of an AWS service's VPC endpoint in a region.

    Source: https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
    """
    prefix = "cn." if region.startswith("cn-") and service in _CHINESE_ENDPOINTS else ""
    return f"{prefix}com.amazonaws.{region}.{service}"


_PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
    "eu-isoe-": "aws-iso-e",
}
"""Partitions by the start of their regions' names; that of all other regions is `aws`."""


def partition_of(region: str) -> str:
    """Returns the partition of a region: `aws`, `aws-cn`, `aws-us-gov`, or an isolated one.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    """
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")
