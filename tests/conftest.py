"""What every test can use, and the rule that nothing is skipped where everything can run."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import sys
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from scripts.provider_mirror import CONFIG_VARIABLE, terraform_environment
from tests.support import order, processor_time, worker_messages
from tests.support.asking import asks, with_askers
from tests.support.needs import skip_without
from tests.support.provider import SHARED, provider_binary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent

E2E = ROOT / "tests" / "e2e"

UNIT = ROOT / "tests" / "unit"

NO_SKIP = "MNGEN_NO_SKIP"

# Each change of a queue takes the provider half a minute, and the first test that needs a Debian
# waits for debootstrap, which many others run beside.
E2E_SECONDS = 3600

_folder_numbers = count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the golden tests render over what they expect",
    )
    parser.addoption(
        "--processor-time",
        action="store_true",
        help="show the processor time of each group of tests, with all processes that it starts",
    )


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") and not worker_messages.shows_all(config):
        config.pluginmanager.register(worker_messages.FewMessages())
    if config.getoption("processor_time"):
        workers = config.getoption("numprocesses", default=None) and not hasattr(
            config, "workerinput"
        )
        config.pluginmanager.register(processor_time.plugin(runs_tests=not workers))
    # What collecting makes stays until the end. Python would look through all of it for garbage
    # again and again, which takes half the time of collecting.
    gc.disable()
    run_as_batch()
    # Terraform and its providers spend a fifth of their time on collecting garbage; here memory is
    # spared less (https://go.dev/doc/gc-guide).
    os.environ.setdefault("GOGC", "300")
    # In the background of a script, and in some CI systems, SIGINT is ignored from the start, and
    # every process that a test starts would inherit that. `tests.support.cli.DEAF` is for tests.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # A busy machine must not fail a property. CI's profile, which hypothesis chooses, stays.
    slow = (HealthCheck.too_slow,)
    settings.register_profile("mngen", settings(), deadline=None, suppress_health_check=slow)
    settings.load_profile("mngen")


def run_as_batch() -> None:
    """Have the kernel switch less often between the tests and all that they start.

    A process that wakes up then waits until the one that runs has had its turn: 5 to 10 % less
    processor time in a run of all tests.
    Source: https://man7.org/linux/man-pages/man7/sched.7.html (SCHED_BATCH)
    """
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files with none of the tests that are wanted: each worker would read them."""
    match config.option.markexpr:
        case "not e2e" if collection_path == E2E:
            return True
        case "e2e" if collection_path.name.startswith("test_") and UNIT in collection_path.parents:
            return None if may_ask_sandbox(collection_path) else True
    return None


@cache
def may_ask_sandbox(path: Path) -> bool:
    """Whether a file of unit tests may ask for the fixture `sandbox`, also by another fixture."""
    return asks(path.read_text(encoding="utf-8"), sandbox_fixtures(path.parent))


@cache
def sandbox_fixtures(folder: Path) -> frozenset[str]:
    """The fixtures for a folder that are `sandbox`, or ask for it, by name."""
    if not folder.is_relative_to(UNIT):
        return frozenset({"sandbox"})
    known = sandbox_fixtures(folder.parent)
    file = folder / "conftest.py"
    return with_askers(file.read_text(encoding="utf-8"), known) if file.exists() else known


# Before xdist reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the end-to-end tests: those in their folder, and all that ask an emulated AWS."""
    for item in items:
        asking = "sandbox" in getattr(item, "fixturenames", ())
        if asking and UNIT in item.path.parents and not may_ask_sandbox(item.path):
            raise pytest.UsageError(
                f"{item.nodeid} asks for the fixture `sandbox` in a way that is not found in its"
                " file: name it as an annotated parameter, or in quotes"
            )
        if asking or is_end_to_end(item.path):
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(E2E_SECONDS))
    order.arrange(items)


@cache
def is_end_to_end(path: Path) -> bool:
    """Whether a file is in the folder of the end-to-end tests."""
    return E2E in path.parents


def pytest_collection_finish() -> None:
    gc.freeze()
    # Most of what tests make stays as well: what they read once.
    gc.set_threshold(1_000_000, 10, 10)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that skipped a test, where the environment says that all of them can run."""
    if session.exitstatus == pytest.ExitCode.OK and forbidden_skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if skips := forbidden_skips(config):
        terminalreporter.section(f"skipped, which {NO_SKIP}=1 forbids", red=True, bold=True)
        for skip in skips:
            terminalreporter.line(skip)


def forbidden_skips(config: pytest.Config) -> list[str]:
    """List each skipped test with its reason, if none may be skipped."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or os.environ.get(NO_SKIP) != "1":
        return []
    return sorted(
        f"{report.nodeid}: {_reason(report)}" for report in reporter.getreports("skipped")
    )


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


@pytest.fixture(scope="session")
def update_golden(pytestconfig: pytest.Config) -> bool:
    """Whether golden files are to be rewritten (`make golden`)."""
    return bool(pytestconfig.getoption("update_golden"))


@pytest.fixture
def hang_ups() -> Iterator[None]:
    """Let a closed terminal end what the test starts, under nohup too, but not the tests."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session", autouse=True)
def collected_garbage() -> Iterator[None]:
    """Find what was never closed while the last test is torn down, which pytest then fails for it.

    At the end of a session pytest looks five times through all that is not frozen, and a worker of
    pytest-xdist shows to no process what it finds then.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_aws_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the account of whoever runs the tests out of every one of them."""
    absent = tmp_path_factory.mktemp("aws") / "absent"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", str(absent))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(absent))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture
def tmp_path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder of the test's own, removed when it has passed; pytest's is that too, but slower.

    For a free name, pytest reads all that are there each time, also those of the links that it
    makes and leaves.
    """
    failed = request.session.testsfailed
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}{next(_folder_numbers)}"
    folder.mkdir(mode=0o700)
    yield folder
    if request.session.testsfailed == failed:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of a run of tests, for what all its workers use."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def terraform_env(
    no_aws_account: None,
    tmp_path_factory: pytest.TempPathFactory,
    shared_folder: Path,
    worker_id: str,
) -> dict[str, str]:
    """The environment for running the real Terraform, with the AWS provider where it can be had.

    Skips where Terraform is missing. A test that needs the provider too asks for
    `requires_provider`.
    """
    skip_without("terraform-program")
    config = tmp_path_factory.mktemp("terraform") / "terraform.rc"
    env = terraform_environment(os.environ, config)
    env.update(TF_IN_AUTOMATION="1", TF_INPUT="0", CHECKPOINT_DISABLE="1")
    env[SHARED] = str(shared_folder)
    if CONFIG_VARIABLE not in env and "TF_PLUGIN_CACHE_DIR" not in env:
        # Straight from the registry, the provider is some hundred MB for each `init`. Terraform's
        # cache is not safe for two at once, so every worker has its own.
        cache = ROOT / ".cache" / "terraform-plugins" / worker_id
        cache.mkdir(parents=True, exist_ok=True)
        env["TF_PLUGIN_CACHE_DIR"] = str(cache)
    return env


@pytest.fixture(scope="session")
def requires_provider(terraform_env: dict[str, str]) -> None:
    """Skip where neither a mirror nor the registry gives the AWS provider."""
    if provider_binary(terraform_env) is None:
        pytest.skip("neither a filesystem mirror nor the registry gives the provider hashicorp/aws")


@pytest.fixture(scope="session")
def sandbox(no_aws_account: None) -> Iterator[Sandbox]:
    """An emulated AWS for the whole session; `sandbox.reset()` empties it."""
    from mngen.sandbox import start_sandbox

    skip_without("sandbox")
    with start_sandbox() as running:
        yield running
