"""Rules of a submission: whether the request fits the environments of its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import DEPLOYMENT_TAG, SUBMISSION_TAG, SUBMITTER_TAG
from mngen.errors import Severity
from mngen.rules._rule import Match, Waiting
from mngen.rules.spec._gpus import gpus_in_words
from mngen.rules.spec._queues import nodes_of_one_share, reserve_in_words
from mngen.rules.submission._rule import SubmissionRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Target
    from mngen.cluster import ResolvedEnvironment

_STUCK = "https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html"
_SUBMIT = "https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html"
_OVERRIDES = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html"
_REGISTERED = (
    "aws ecs describe-container-instances --cluster CLUSTER --container-instances ID "
    "--query 'containerInstances[].registeredResources'"
)

MOST_TAGS = 50
"""Most tags of a job, those of its definition included."""
_OVERRIDES_OF_TASK = 8192
_ADDED_BY_BATCH = 1024
LARGEST_OVERRIDES = _OVERRIDES_OF_TASK - _ADDED_BY_BATCH
"""Most characters of the overrides of one container, as the JSON in ASCII that is sent.

ECS counts the overrides of the whole task, to which AWS Batch adds its own variables: less than
800 characters, with a queue and an environment whose names have the 128 characters that they may
have. SubmitJob takes more; the job fails when it is about to start. How ECS counts other than ASCII
characters is not documented, so each is counted as its escape sequence, the longest form.
Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html (`overrides`),
https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
"""


class CpusFitNode(SubmissionRule):
    id = "MN303"
    title = "A node must register as many CPUs as the job requests"
    why = (
        "The ECS agent registers the CPUs that it sees: the cores, if the AMI limits the CPUs to "
        "them. A job that requests more stays RUNNABLE."
    )
    remedy = "use fewer `--vcpus`, or remove the option"
    source_url = _STUCK
    manual_test = _REGISTERED
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        asked = target.resource("VCPU")
        largest = max(target.intent.queue.environments, key=lambda each: each.schedulable_vcpus)
        if asked is not None and asked > largest.schedulable_vcpus:
            yield Match(
                ("jobs", target.intent.job.name),
                f"each node requests {asked} vCPUs, and a node of `{largest.name}` registers "
                f"{largest.schedulable_vcpus}{largest.limit_in_words}",
            )


class MemoryFitsNode(SubmissionRule):
    id = "MN304"
    title = "A node must register as much memory as the job requests"
    why = (
        "The kernel and the ECS agent reserve some of the instance's memory, and EFA's huge pages "
        "take 220 MiB per CPU. A job that requests more than the rest stays RUNNABLE, or is killed "
        "because memory runs out."
    )
    remedy = "use less `--memory`, or remove the option"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/memory-management.html"
    manual_test = _REGISTERED
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        asked = target.resource("MEMORY")
        largest = max(target.intent.queue.environments, key=lambda each: each.most_usable_memory)
        if asked is not None and asked > largest.most_usable_memory:
            yield Match(
                ("jobs", target.intent.job.name),
                f"each node requests {asked} MiB; of the {largest.roomiest.memory} MiB of "
                f"`{largest.roomiest.name}` a job can safely have {largest.most_usable_memory}",
            )


class GpusFitNode(SubmissionRule):
    id = "MN319"
    title = "A node must register as many GPUs as the job requests"
    why = (
        "The ECS agent registers the GPUs of the instance that its AMI has drivers for. A job that "
        "requests more stays RUNNABLE."
    )
    remedy = "use fewer `--gpus`, or remove the option"
    source_url = _STUCK
    manual_test = _REGISTERED
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        asked = target.resource("GPU")
        largest = max(target.intent.queue.environments, key=lambda each: each.gpus)
        if asked is not None and asked > largest.gpus:
            yield Match(
                ("jobs", target.intent.job.name),
                f"each node requests {asked} GPUs, and {gpus_in_words(largest)}",
            )


class NodesFitEnvironment(SubmissionRule):
    id = "MN305"
    title = "An environment of the queue must allow as many nodes as the job requests"
    why = (
        "All nodes run in one compute environment. If none may grow to that size (its max_vcpus), "
        "the job stays RUNNABLE until the queue cancels it."
    )
    remedy = "use fewer `--nodes`, or raise the environment's `max_nodes` and apply"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.maxvCpus'"
    )
    calls = ("batch:DescribeComputeEnvironments", "batch:DescribeJobQueues")
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        most = {each.name: most_nodes(target, each) for each in target.intent.queue.environments}
        name = max(most, key=lambda each: most[each])
        if target.nodes > most[name]:
            yield Match(
                ("jobs", target.intent.job.name),
                f"the job requests {target.nodes} nodes, and `{name}` has at most {most[name]}",
            )


def most_nodes(target: Target, environment: ResolvedEnvironment) -> int:
    """Returns how many nodes an environment may have: in the account, or else by the spec."""
    live = target.live(environment)
    if live is None:
        return environment.spec.max_nodes
    most = live.get("computeResources", {}).get("maxvCpus", environment.max_vcpus)
    return most // environment.instance.vcpus


class MultiNodeGoesToMultiNode(SubmissionRule):
    id = "MN306"
    title = "A multi-node job requires a queue of multi-node environments"
    why = (
        "AWS Batch places a multi-node parallel job on on-demand EC2 environments only. A job that "
        "is sent to a Spot environment stays RUNNABLE. In a single-node environment it has no "
        "placement group and may be spread over zones."
    )
    remedy = "choose another `--queue`, whose environments are all `multi_node: true`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.type'"
    )
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        if target.intent.nodes is None:
            return
        for each in target.intent.queue.environments:
            if not each.spec.multi_node:
                kind = "Spot" if each.spec.purchase == "spot" else "single-node"
                yield Match(
                    ("queues", target.intent.queue.name),
                    f"a multi-node job cannot run on the {kind} environment `{each.name}` of the "
                    f"queue `{target.intent.queue.name}`",
                )


class NodesCanBeChanged(SubmissionRule):
    id = "MN307"
    title = "The job definition must allow the number of nodes"
    why = (
        "AWS Batch accepts another number of nodes only if a node range of the definition has an "
        "open end (`0:`), and rejects the job otherwise."
    )
    remedy = "register a revision with an open node range (`mngen apply` makes one)"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_NodeOverrides.html"
    manual_test = (
        "aws batch describe-job-definitions --status ACTIVE "
        "--query 'jobDefinitions[].nodeProperties.nodeRangeProperties[].targetNodes'"
    )
    calls = ("batch:DescribeJobDefinitions",)
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        if target.definition is None:
            return
        name = target.intent.job.name
        properties = target.definition.get("nodeProperties")
        if properties is None or target.intent.nodes is None:
            if (properties is None) != (target.intent.nodes is None):
                kind = "one node" if properties is None else "many nodes"
                yield Match(
                    ("jobs", name),
                    f"the job definition in AWS is for {kind}, and the submission is not",
                    "apply the spec: `mngen apply`",
                )
            return
        asked = target.intent.nodes
        ranges = [each["targetNodes"] for each in properties["nodeRangeProperties"]]
        if asked == properties["numNodes"]:
            return
        # The main node and the first node of each range must be there.
        first = max(properties["mainNode"], *(int(each.partition(":")[0] or 0) for each in ranges))
        if not any(each.endswith(":") for each in ranges) or asked <= first:
            yield Match(
                ("jobs", name),
                f"the definition is for {properties['numNodes']} nodes (node ranges "
                f"{', '.join(ranges)}), and the job requests {asked}",
                _remedy(target, first),
            )


def _remedy(target: Target, first: int) -> str | None:
    """Returns what to do about a definition from a file; None for one that mngen makes."""
    job = target.intent.job.spec
    if not job.definition:
        return None
    return f"use more than {first} `--nodes` with an open node range (`0:`) in {job.definition}"


class OverridesFit(SubmissionRule):
    id = "MN308"
    title = f"The overrides of a container must not exceed {LARGEST_OVERRIDES} characters"
    why = (
        "Command, environment and resources that a submission changes are sent as one JSON text. "
        f"ECS takes {_OVERRIDES_OF_TASK} characters of it, in which AWS Batch also puts its own "
        "variables, and the names of the queue and of the environment. SubmitJob accepts more; "
        "the job fails before it starts."
    )
    remedy = (
        "put long arguments into a file on the shared file system, or into the spec: a job "
        "definition takes 24 KiB"
    )
    source_url = _OVERRIDES
    manual_test = "aws batch submit-job --generate-cli-skeleton"
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        length = len(target.intent.overrides)
        if length > LARGEST_OVERRIDES:
            yield Match(
                ("jobs", target.intent.job.name),
                f"the command and the variables of this submission are {length} characters as "
                f"JSON, {length - LARGEST_OVERRIDES} more than fit beside those of AWS Batch",
            )


class VariablesCanBeSet(SubmissionRule):
    id = "MN309"
    title = "The name of a submitted environment variable must be valid"
    why = (
        "A name that is empty or contains `=` cannot be distinguished from its value. AWS Batch "
        "rejects names that start with AWS_BATCH, which it sets itself."
    )
    remedy = "use letters, digits and underscores, and do not start with AWS_BATCH"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html"
    manual_test = "aws batch submit-job --generate-cli-skeleton"
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        for name in target.intent.environment:
            if not name or "=" in name or "\0" in name:
                message = f"invalid name of an environment variable: `{name}`"
            elif name.startswith("AWS_BATCH"):
                message = f"`{name}` is reserved for AWS Batch"
            else:
                continue
            yield Match(("jobs", target.intent.job.name, "environment"), message)


class EmptyVariables(SubmissionRule):
    id = "MN310"
    severity = Severity.WARNING
    title = "A submitted environment variable should have a value"
    why = (
        "AWS Batch drops variables without a value from a job definition, and does not document "
        "what it does with them in an override. The application may get the definition's value."
    )
    remedy = "set a value, such as 0 or none, that the application takes for empty"
    source_url = _SUBMIT
    manual_test = "aws batch describe-jobs --jobs ID --query 'jobs[].container.environment'"
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        for name, value in target.intent.environment.items():
            if name and not value:
                yield Match(
                    ("jobs", target.intent.job.name, "environment"),
                    f"the variable `{name}` is set to nothing",
                )


class ShareGiven(SubmissionRule):
    id = "MN318"
    title = "A submission must have a share exactly if its queue has a scheduling policy"
    why = (
        "AWS Batch rejects a job without a share identifier in a queue with a fair-share "
        "scheduling policy, and one with a share identifier in any other queue."
    )
    remedy = "add `--share NAME`, such as your group or project"
    source_url = _SUBMIT
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].schedulingPolicyArn'"
    calls = ("batch:DescribeJobQueues",)
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        if target.queue is None:
            return
        fair = target.queue.get("schedulingPolicyArn") is not None
        if fair == (target.intent.share is not None):
            return
        name = target.intent.queue.name
        if fair:
            yield Match(("queues", name), f"the queue `{name}` has a scheduling policy")
        else:
            yield Match(
                ("queues", name),
                f"the queue `{name}` has no scheduling policy",
                "submit without `--share`",
            )


class ReserveLeavesNodes(SubmissionRule):
    id = "MN341"
    severity = Severity.WARNING
    title = "A submission should fit into what `reserve` of its queue leaves to one share"
    why = (
        "AWS Batch keeps (reserve/100)^n of the maximum vCPUs of a queue for shares that are not "
        "active, where n is the number of active ones. A job that requests more than one share "
        "gets may stay RUNNABLE."
    )
    remedy = "use fewer `--nodes`, or lower the queue's `reserve` and apply"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_FairsharePolicy.html"
    manual_test = (
        "aws batch describe-scheduling-policies --arns ARN "
        "--query 'schedulingPolicies[].fairsharePolicy.computeReservation'"
    )
    waiting = Waiting.POSSIBLE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        queue, nodes = target.intent.queue, target.intent.nodes
        left = None if nodes is None else nodes_of_one_share(queue, nodes)
        if nodes is not None and left is not None and nodes > left:
            yield Match(("jobs", target.intent.job.name), reserve_in_words(queue, nodes, left))


class TagsFit(SubmissionRule):
    id = "MN322"
    title = "A job must have at most 50 tags, with those that its ECS task gets"
    why = (
        "A job has at most 50 tags; mngen needs three for itself. If the job definition has "
        "`propagateTags`, the ECS task of a single-node job gets its tags and those of the "
        "definition. If these are more than 50 together, the job fails before it starts."
    )
    remedy = "use fewer `--tag`"
    source_url = _SUBMIT
    manual_test = (
        "aws batch describe-job-definitions --query 'jobDefinitions[].[propagateTags,tags]'"
    )
    calls = ("batch:DescribeJobDefinitions",)
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        own = {*target.intent.tags, DEPLOYMENT_TAG, SUBMISSION_TAG, SUBMITTER_TAG}
        place = ("jobs", target.intent.job.name)
        if len(own) > MOST_TAGS:
            yield Match(place, f"the job would have {len(own)} tags")
            return
        definition = target.definition
        if definition is None or target.intent.nodes is not None:
            return
        if not definition.get("propagateTags"):
            return
        count = len({*own, *definition.get("tags", {})})
        if count > MOST_TAGS:
            yield Match(
                place,
                f"the ECS task of the job would have {count} tags, with those of its definition",
                "use fewer `--tag`, or fewer tags in the job definition",
            )


class PriorityInShare(SubmissionRule):
    id = "MN340"
    title = "A submission with a priority must be for a queue with a scheduling policy"
    why = (
        "AWS Batch rejects a scheduling priority in a queue without a fair-share scheduling "
        "policy: jobs start there in the order of their submission."
    )
    remedy = "submit without `--priority`"
    source_url = _SUBMIT
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].schedulingPolicyArn'"
    calls = ("batch:DescribeJobQueues",)
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        if target.queue is None or target.intent.priority is None:
            return
        if target.queue.get("schedulingPolicyArn") is None:
            name = target.intent.queue.name
            yield Match(("queues", name), f"the queue `{name}` has no scheduling policy")
