"""What a reset of the sandbox leaves of the emulated Batch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.support.batch import Deployed, spec_text
from tests.support.sandbox import control

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox


def test_the_clock_shows_the_real_time_again(sandbox: Sandbox) -> None:
    control(sandbox, forward=3600)
    sandbox.reset()
    deployed = Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))
    submitted = deployed.batch.submit_job(
        jobName="reset", jobQueue=f"{deployed.name}-small", jobDefinition=f"{deployed.name}-one"
    )
    assert deployed.job(submitted["jobId"])["createdAt"] <= time.time() * 1000 + 1
    deployed.drain()
