"""A deployment in a sandbox for the tests of jobs, and mngen's command line against it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen._aws import client as connected_client
from mngen.jobs import Jobs, _clock
from tests.support.batch import Deployed, spec_text
from tests.support.cli import mngen
from tests.support.clock import MovedClock
from tests.support.faults import Faults
from tests.support.sandbox import client

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox


@pytest.fixture(scope="module")
def deployed(sandbox: Sandbox) -> Deployed:
    return Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))


@pytest.fixture
def large(sandbox: Sandbox) -> Iterator[Deployed]:
    """A deployment of the test's own, with room for a thousand nodes."""
    quotas = client(sandbox, "service-quotas")
    quota = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
    deployed = Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}", max_nodes=1000))
    before = quotas.get_service_quota(**quota)["Quota"]["Value"]
    quotas.request_service_quota_increase(**quota, DesiredValue=1e6)
    yield deployed
    quotas.request_service_quota_increase(**quota, DesiredValue=before)


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of submissions of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="session")
def connect(sandbox: Sandbox) -> Callable[[str, str], Any]:
    """Clients as mngen makes them, each made once: most of a test's time would go into that."""

    @lru_cache
    def connected(service: str, region: str) -> Any:
        with sandbox.applied(region):
            return connected_client(service, region)

    return connected


@pytest.fixture
def clock(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[MovedClock]:
    """The clock of `mngen.jobs` in this process: its pauses move Batch's clock, and take no time.

    A process that a test starts has the real clock and real pauses.
    """
    moved = MovedClock(sandbox)
    for name in ("now", "monotonic", "sleep"):
        monkeypatch.setattr(_clock, name, getattr(moved, name))
    yield moved
    moved.return_to_present()


@pytest.fixture
def inside(sandbox: Sandbox, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process see the sandbox; by the test's own patches, which may go further."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def faults(
    large: Deployed, state_home: Path, inside: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Faults]:
    """This process's calls for the large deployment, recorded and with faults on request."""
    with Faults(large.sandbox.endpoint) as faults:
        faults.redirect(monkeypatch)
        yield faults


@pytest.fixture
def jobs(
    deployed: Deployed, state_home: Path, inside: None, connect: Callable[[str, str], Any]
) -> Jobs:
    """The jobs of the deployment, from this process."""
    return Jobs(deployed.cluster, connect)


@pytest.fixture
def folder(tmp_path: Path, deployed: Deployed) -> Path:
    """A folder with the deployment's spec."""
    (tmp_path / "mngen.yaml").write_text(spec_text(deployed.name), encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(
    deployed: Deployed, folder: Path, state_home: Path, clock: MovedClock
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run mngen as a user does, inside the sandbox."""

    def ran(
        *arguments: str,
        env: dict[str, str] | None = None,
        program: tuple[str, ...] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        # Its clock is the real one: nothing that it sees may lie ahead of that.
        clock.return_to_present()
        environment: Any = {**deployed.sandbox.environment(), **(env or {})}
        return mngen(*arguments, cwd=folder, env=environment, program=program)

    return ran
