"""Whoever asks again why a job waits is told by the facts of then."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen.jobs import Jobs, _jobs

if TYPE_CHECKING:
    import pytest

    from mngen.account import Account

SPEC = Path(__file__).resolve().parents[3] / "examples" / "tutorial.yaml"


class Aws:
    """An AWS with a job that waits, and with another VPC each time that it is asked."""

    def __init__(self) -> None:
        self.clients: Counter[str] = Counter()
        self.vpcs = 0

    def connect(self, service: str, _region: str) -> Any:
        self.clients[service] += 1
        return self

    def describe_jobs(self, jobs: list[str]) -> Any:
        waiting = {"jobName": "j", "jobQueue": "q", "jobDefinition": "d:1", "status": "RUNNABLE"}
        return {"jobs": [{"jobId": jobs[0], **waiting}]}

    def describe_vpcs(self, **_: Any) -> Any:
        self.vpcs += 1
        return {"Vpcs": [{"VpcId": f"vpc-{self.vpcs}"}]}


def test_facts_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def causes_of(account: Account, _job: Any) -> tuple[()]:
        account.client("batch")
        seen.append([(account.vpc or {}).get("VpcId"), (account.vpc or {}).get("VpcId")])
        return ()

    monkeypatch.setattr(_jobs, "causes_of", causes_of)
    aws = Aws()
    jobs = Jobs.of(SPEC, aws.connect)
    jobs.status("j-1")
    jobs.status("j-1")
    assert seen == [["vpc-1", "vpc-1"], ["vpc-2", "vpc-2"]]
    assert aws.clients == {"batch": 1, "ec2": 1}
