"""Jobs of queues and definitions that existed before: found by their names, submitted with shares.

What a share needs is AWS's: API_SubmitJob, and for the priority
https://github.com/nextflow-io/nextflow/pull/3505.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.errors import InputError
from mngen.jobs import Jobs
from mngen.policy import Part, policy
from mngen.sandbox import ACCOUNT_ID
from tests.support.batch import Deployed
from tests.support.iam import Request, allows
from tests.support.sandbox import error_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.sandbox import Sandbox

MARK = uuid4().hex[:10]
POLICY = f"arn:aws:batch:us-east-1:{ACCOUNT_ID}:scheduling-policy/fair"
SPEC = f"""\
name: n{MARK}
region: us-east-1
environments:
  r5: {{instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1a]}}
queues:
  plain: {{environments: [r5], aws_name: LabQueue_{MARK}}}
  fair: {{environments: [r5], aws_name: FairQueue_{MARK}, scheduling_policy: "{POLICY}"}}
container: {{aws_name: lab/app_{MARK}}}
jobs:
  mpi: {{queue: plain, nodes: 2, command: [hostname], aws_name: lab_job_{MARK}}}
"""


class Existing(Deployed):
    """A deployment whose repository has a name of its own."""

    def push_image(self) -> None:
        """Make the repository by the name in the spec's text."""
        self.repository = f"{ACCOUNT_ID}.dkr.ecr.us-east-1.amazonaws.com/lab/app_{MARK}"
        self.client("ecr").create_repository(repositoryName=f"lab/app_{MARK}")
        self.put_image(f"lab/app_{MARK}", "v1")


@pytest.fixture(scope="module")
def existing(sandbox: Sandbox) -> Existing:
    return Existing(sandbox, SPEC)


@pytest.fixture
def labs(
    existing: Existing, state_home: object, inside: None, connect: Callable[[str, str], Any]
) -> Jobs:
    return Jobs(existing.cluster, connect)


def test_a_job_goes_to_the_queue_and_definition_of_their_names(
    existing: Existing, labs: Jobs
) -> None:
    done = labs.submit("mpi")
    job = existing.job(done.id)
    assert job["jobQueue"].endswith(f":job-queue/LabQueue_{MARK}")
    assert job["jobDefinition"].endswith(f":job-definition/lab_job_{MARK}:1")
    assert "shareIdentifier" not in job
    assert labs.status(done.id, why=False, instances=False).queue == "plain"
    assert [each.id for each in labs.list() if each.id == done.id] == [done.id]


def test_a_queue_with_a_policy_takes_a_share_and_no_other_does(
    existing: Existing, labs: Jobs
) -> None:
    done = labs.submit("mpi", queue="fair", share="seismic")
    job = existing.job(done.id)
    assert job["shareIdentifier"] == "seismic"
    for queue, share, message in (
        ("plain", "seismic", "the queue `plain` has no scheduling policy"),
        ("fair", "a b", 'invalid share identifier "a b"'),
    ):
        with pytest.raises(InputError, match=message):
            labs.submit("mpi", queue=queue, share=share)


def test_another_share_is_another_job(labs: Jobs) -> None:
    one, other, again = (
        labs.submit("mpi", queue="fair", share=share, nodes=1) for share in ("a", "b", "a")
    )
    assert one.id == again.id != other.id


def test_the_emulator_refuses_what_aws_refuses(existing: Existing) -> None:
    wanted = {"jobName": "j", "jobDefinition": f"lab_job_{MARK}"}
    for arguments in (
        {"jobQueue": f"FairQueue_{MARK}"},
        {"jobQueue": f"FairQueue_{MARK}", "shareIdentifier": "a"},
        {
            "jobQueue": f"LabQueue_{MARK}",
            "shareIdentifier": "a",
            "schedulingPriorityOverride": 0,
        },
        {"jobQueue": f"LabQueue_{MARK}", "schedulingPriorityOverride": 0},
    ):
        call = existing.batch.submit_job
        assert error_code(call, **wanted, **arguments) == "ClientException"
    update = {"jobQueue": f"LabQueue_{MARK}", "schedulingPolicyArn": POLICY}
    assert error_code(existing.batch.update_job_queue, **update) == "ClientException"


def test_priority_of_a_definition_counts_only_beside_a_share(existing: Existing) -> None:
    """A queue in FIFO order takes such a definition; the API reference gives it no effect there."""
    name = f"urgent_{MARK}"
    existing.batch.register_job_definition(
        jobDefinitionName=name,
        type="container",
        schedulingPriority=7,
        containerProperties={
            "image": "busybox:1.36",
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "64"},
            ],
        },
    )
    fair = {"jobQueue": f"FairQueue_{MARK}", "shareIdentifier": "a"}
    for arguments, shown in (
        ({"jobQueue": f"LabQueue_{MARK}"}, 7),
        (fair, 7),
        ({**fair, "schedulingPriorityOverride": 0}, 0),
    ):
        done = existing.batch.submit_job(jobName="j", jobDefinition=name, **arguments)
        assert existing.job(done["jobId"])["schedulingPriority"] == shown


def test_a_submitter_may_use_these_names_and_no_others(existing: Existing) -> None:
    document = policy(Part.SUBMITTER, existing.cluster, ACCOUNT_ID)
    batch = f"arn:aws:batch:us-east-1:{ACCOUNT_ID}:"
    for name, allowed in (
        (f"job-queue/LabQueue_{MARK}", True),
        (f"job-queue/FairQueue_{MARK}", True),
        (f"job-queue/LabQueue_{MARK}2", False),
        (f"job-definition/lab_job_{MARK}", True),
        (f"job-definition/lab_job_{MARK}:7", True),
        ("job-definition/other:1", False),
    ):
        assert allows([document], Request("batch:SubmitJob", batch + name)) is allowed, name
    images = f"arn:aws:ecr:us-east-1:{ACCOUNT_ID}:repository/lab/app_{MARK}"
    assert allows([document], Request("ecr:DescribeImages", images))
    assert not allows([document], Request("ecr:DescribeImages", f"{images}2"))
