"""How long the start of a job waits for the check of its outputs."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, cast

from mngen_wireup import outputs
from mngen_wireup.log import Log
from mngen_wireup.plan import plan_from

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class _Loop:
    """Starts a program that does not end, in place of the one that waits for S3."""

    def __init__(self) -> None:
        self.exits: dict[int, int] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self, *_: object) -> int:
        self.process = subprocess.Popen(["sleep", "60"], start_new_session=True)
        return self.process.pid


def test_a_silent_s3_does_not_keep_a_job_from_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = plan_from(
        {
            "AWS_BATCH_JOB_ID": "j",
            "MNGEN_OUTPUTS": str(tmp_path / "out"),
            "MNGEN_OUTPUTS_TO": "s3://bucket/out/",
        },
        ["app"],
    )
    loop = _Loop()
    tested = outputs.Outputs(plan, Log(0), cast("Any", loop))
    tested.start_check(str(tmp_path))
    tested.check()
    assert tested.pid
    assert loop.process is not None
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + outputs.CHECK_SECONDS)
    tested.check()
    monkeypatch.undo()
    assert tested.pid == 0
    assert loop.process.wait(20) == -signal.SIGTERM
    said = capfd.readouterr().err
    assert "outputs: no response from S3 in 30 s; the upload may still succeed at the end" in said
