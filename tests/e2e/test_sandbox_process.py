"""The sandbox as processes: what it keeps out, how it begins and how it ends."""

from __future__ import annotations

import ctypes
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen import __version__
from mngen.errors import InputError, MngenError, ToolError
from mngen.sandbox import (
    Sandbox,
    _process,
    open_sandbox,
    sandbox_environment,
    sandbox_status,
    start_sandbox,
    stop_sandbox,
)
from tests.support.cli import DEAF
from tests.support.logs import logged
from tests.support.sandbox import Recorder, Trap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND_LINE = (sys.executable, "-c", "from mngen.cli import main; main()", "sandbox")

SOURCE = Path(__file__).resolve().parents[2] / "generator"

CALLS = """
import boto3
session = boto3.session.Session()
session.client("sts").get_caller_identity()
session.client("s3").list_buckets()
session.client("ec2").describe_vpcs()
session.client("batch").describe_job_queues()
session.client("iam").list_roles()
session.client("ssm").get_parameter(
    Name="/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
)
"""


# Many times what anything takes here: the machine may be busy with other tests.
SOON = 120.0


def until(condition: Callable[[], Any], seconds: float = SOON) -> Any:
    """Wait until a condition holds, and return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    return pytest.fail(f"not within {seconds} s")


def answers(endpoint: str) -> bool:
    port = int(endpoint.rsplit(":", 1)[1])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def hostile_environment(home: Path, trap: Trap) -> dict[str, str]:
    """An environment in which every road to AWS that the SDKs know leads into a trap."""
    folder = home / ".aws"
    folder.mkdir(parents=True)
    profile = (
        "aws_access_key_id = AKIAREALREALREALREAL\naws_secret_access_key = real\n"
        f"endpoint_url = {trap.endpoint}\n"
        f"services = traps\ncredential_process = /bin/touch {home}/credential-process-ran\n"
    )
    services = "".join(
        f"{name} =\n  endpoint_url = {trap.endpoint}\n"
        for name in ("s3", "sts", "ec2", "batch", "iam", "ssm")
    )
    for name in ("config", "credentials"):
        (folder / name).write_text(
            f"[default]\n{profile}[profile real]\n{profile}[services traps]\n{services}",
            encoding="utf-8",
        )
    token = home / "token"
    token.write_text("web-identity", encoding="utf-8")
    per_service = {
        f"AWS_ENDPOINT_URL_{name}": trap.endpoint
        for name in ("S3", "STS", "EC2", "BATCH", "IAM", "SSM", "EFS", "ECR")
    }
    proxies = dict.fromkeys(
        ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"),
        trap.endpoint,
    )
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_PROFILE": "real",
        "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real-session-token",
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_SDK_LOAD_CONFIG": "1",
        "AWS_ROLE_ARN": "arn:aws:iam::999999999999:role/real",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": trap.endpoint,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": trap.endpoint,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_ENDPOINT_URL": trap.endpoint,
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_REGION": "ap-northeast-1",
        "AWS_CA_BUNDLE": str(home / "no-such-bundle"),
        **per_service,
        **proxies,
    }


def assert_sandboxed(recorder: Recorder, trap: Trap, home: Path) -> None:
    assert trap.caught == []
    assert not (home / "credential-process-ran").exists()
    assert recorder.requests
    for request in recorder.requests:
        assert "Credential=mngen-sandbox/" in request["authorization"]
        assert "x-amz-security-token" not in request
        assert "AKIAREAL" not in str(request)


class TestHostileEnvironment:
    def run(self, environment: dict[str, str]) -> int:
        # The proxies of the hostile environment must not stop the control, which fails in them.
        return subprocess.run(
            [sys.executable, "-c", CALLS],
            env=environment,
            timeout=SOON,
            check=False,
            capture_output=True,
        ).returncode

    def test_boto3_reaches_the_sandbox_and_nothing_else(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        with Trap() as trap, Recorder(sandbox.endpoint) as recorder:
            hostile = hostile_environment(tmp_path, trap)
            environment = sandbox_environment(recorder.endpoint, "us-east-1", hostile)
            assert self.run(environment) == 0
            assert_sandboxed(recorder, trap, tmp_path)
            assert len(recorder.requests) >= 6

    def test_without_the_sandbox_the_trap_works(self, tmp_path: Path) -> None:
        with Trap() as trap:
            hostile = hostile_environment(tmp_path, trap)
            hostile["AWS_MAX_ATTEMPTS"] = "1"
            for name in ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"):
                del hostile[name]
            assert self.run(hostile) != 0
            assert trap.caught

    def test_this_very_process_can_be_sandboxed(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import boto3

        with Trap() as trap, Recorder(sandbox.endpoint) as recorder:
            for name, value in hostile_environment(tmp_path, trap).items():
                monkeypatch.setenv(name, value)
            before = dict(os.environ)
            recorded = Sandbox(recorder.endpoint, sandbox.home, sandbox.pid, owned=False)
            with recorded.applied("eu-west-1"):
                session = boto3.session.Session()
                assert session.client("sts").get_caller_identity()["Account"] == "123456789012"
                assert session.region_name == "eu-west-1"
            assert dict(os.environ) == before
            assert_sandboxed(recorder, trap, tmp_path)


class TestOwned:
    def test_it_ends_with_the_block_and_takes_its_home_along(self) -> None:
        with start_sandbox() as running:
            assert answers(running.endpoint)
            assert running.home.stat().st_mode & 0o777 == 0o700
            (running.home / "state").write_text("x", encoding="utf-8")
        assert not answers(running.endpoint)
        assert not running.home.exists()

    def test_a_killed_emulator_leaves_no_home_either(self) -> None:
        with start_sandbox() as running:
            os.kill(running.pid, signal.SIGKILL)
        assert not running.home.exists()

    def test_the_home_of_one_that_nobody_cleaned_up_after_goes_with_the_next_start(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        with start_sandbox() as running, start_sandbox() as abandoned:
            os.kill(abandoned.pid, signal.SIGKILL)
            until(lambda: not answers(abandoned.endpoint))
            stranger = tmp_path / "mngen-sandbox-stranger"
            stranger.mkdir()
            with start_sandbox() as later:
                homes = {path.name for path in tmp_path.glob("mngen-sandbox-*")}
                assert homes == {running.home.name, later.home.name, stranger.name}

    def test_a_taken_port_is_an_error(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ToolError, match=f"port {port}: Address already in use"):
                start_sandbox(port)

    def test_it_listens_on_loopback_alone(self) -> None:
        with start_sandbox() as running:
            port = int(running.endpoint.rsplit(":", 1)[1])
            # Addresses in /proc/net/tcp are little-endian hexadecimal: 0100007F is 127.0.0.1.
            listening = [
                line.split()[1]
                for table in ("/proc/net/tcp", "/proc/net/tcp6")
                if Path(table).exists()
                for line in Path(table).read_text(encoding="ascii").splitlines()[1:]
                if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
            ]
            assert listening == [f"0100007F:{port:04X}"]

    def test_a_module_in_the_working_folder_is_not_imported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("moto", "json", "argparse"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit(3)", encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        with start_sandbox() as running:
            assert answers(running.endpoint)

    def test_without_the_extra_the_error_says_what_to_install(self) -> None:
        script = (
            "from mngen.errors import ToolError\nfrom mngen.sandbox import start_sandbox\n"
            "try:\n    start_sandbox()\nexcept ToolError as error:\n"
            "    print(error.problems[0].hint)\n"
        )
        run = subprocess.run(
            [sys.executable, "-S", "-c", script],
            env={"PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            timeout=SOON,
            check=False,
        )
        assert run.stdout.strip() == "run: pip install 'mngen[sandbox]'", run.stderr


# Signals are none of moto's concern, which takes half a second to load. The end is that of the
# module itself: a Python that ends gives up its handlers first, and another signal would kill it.
UNLOADED = """
import runpy
from mngen.sandbox.emulator._server import Application
Application.load = lambda _: None
runpy.run_module("mngen.sandbox", run_name="__main__")
"""


@pytest.fixture
def idle() -> Iterator[subprocess.Popen[bytes]]:
    """An emulator's process that waits for requests."""
    with subprocess.Popen(
        [sys.executable, "-c", UNLOADED, "--lifeline"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        endpoint = json.loads(process.stdout.readline())["endpoint"]
        # Afterwards its main thread waits, or is about to.
        until(lambda: _process.probe(endpoint))
        yield process
        process.stdin.close()
        if process.poll() is None:
            process.kill()


class TestSignals:
    def test_it_ends_whichever_of_its_threads_takes_one(
        self, idle: subprocess.Popen[bytes]
    ) -> None:
        threads = {int(each.name) for each in Path(f"/proc/{idle.pid}/task").iterdir()}
        send = ctypes.CDLL(None).tgkill
        # One that has answered a request may be gone.
        assert 0 in [send(idle.pid, each, signal.SIGTERM) for each in threads - {idle.pid}]
        assert idle.wait(SOON) == 0

    @pytest.mark.parametrize("attempt", range(4))
    @pytest.mark.parametrize(
        "numbers", [(signal.SIGTERM, signal.SIGHUP), (signal.SIGHUP, signal.SIGTERM)]
    )
    def test_it_ends_when_two_come_at_once(
        self, numbers: tuple[int, int], attempt: int, idle: subprocess.Popen[bytes]
    ) -> None:
        # Then the kernel may give either to any thread, so one attempt shows little.
        for number in numbers:
            idle.send_signal(number)
        assert idle.wait(SOON) == 0, attempt

    def test_it_ends_well_however_often_it_is_asked(self, idle: subprocess.Popen[bytes]) -> None:
        while idle.poll() is None:
            idle.send_signal(signal.SIGTERM)
        assert idle.returncode == 0


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test's own; the background sandbox in it is stopped at the end."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    # Any emulator that starts removes what killed ones left in its folder for temporary files.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("MNGEN_SANDBOX", raising=False)
    yield folder
    stop_sandbox()


@pytest.mark.usefixtures("runtime")
class TestBackground:
    def test_commands_share_one_until_it_is_stopped(self) -> None:
        with logged() as messages:
            with open_sandbox() as first:
                pass
            second = open_sandbox()
        assert (first.endpoint, first.pid) == (second.endpoint, second.pid)
        assert len(messages) == 1
        assert "--stop" in messages[0]
        found = sandbox_status()
        assert found is not None
        assert found.pid == first.pid
        assert stop_sandbox()
        assert sandbox_status() is None
        assert not stop_sandbox()
        until(lambda: not first.home.exists())

    def test_of_many_that_start_at_once_one_starts_it(self) -> None:
        script = (
            "import logging; logging.basicConfig(level=logging.INFO, format='%(message)s'); "
            "from mngen.sandbox import open_sandbox; print(open_sandbox().pid)"
        )

        def start(_: int) -> tuple[str, str]:
            run = subprocess.run(
                [sys.executable, "-c", script],
                capture_output=True,
                text=True,
                timeout=SOON,
                check=True,
            )
            return run.stdout.strip(), run.stderr.strip()

        with ThreadPoolExecutor(5) as pool:
            results = list(pool.map(start, range(5)))
        assert len({pid for pid, _ in results}) == 1
        assert len([line for _, line in results if line]) == 1

    def test_a_killed_one_is_replaced_and_cleaned_up_after(self) -> None:
        first = open_sandbox()
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: not answers(first.endpoint))
        assert first.home.exists()
        assert sandbox_status() is None
        second = open_sandbox()
        assert second.pid != first.pid
        assert not first.home.exists()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"endpoint": 1}'])
    def test_a_broken_record_is_no_obstacle(self, runtime: Path, text: str) -> None:
        folder = runtime / "mngen"
        folder.mkdir(mode=0o700)
        (folder / "sandbox.json").write_text(text, encoding="utf-8")
        assert sandbox_status() is None
        assert not stop_sandbox()

    def test_another_server_on_the_recorded_port_is_not_taken_for_it(
        self, runtime: Path, sandbox: Sandbox
    ) -> None:
        folder = runtime / "mngen"
        folder.mkdir(mode=0o700)
        record = {
            "endpoint": sandbox.endpoint,
            "home": str(runtime / "gone"),
            "instance": "of-one-long-gone",
            "pid": sandbox.pid,
            "version": __version__,
        }
        (folder / "sandbox.json").write_text(json.dumps(record), encoding="utf-8")
        assert sandbox_status() is None
        assert not stop_sandbox()
        assert answers(sandbox.endpoint)

    def test_one_of_another_version_is_replaced(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        shutil.copytree(SOURCE / "mngen", other / "mngen")
        (other / "mngen" / "_version.py").write_text('__version__ = "0.0.0"\n', encoding="utf-8")
        script = (
            "import mngen, mngen.sandbox as room; box = room.open_sandbox(); "
            "print(mngen.__version__, box.pid, box.endpoint)"
        )
        version, pid, endpoint = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": str(other)},
            capture_output=True,
            text=True,
            timeout=SOON,
            check=True,
        ).stdout.split()
        assert version == "0.0.0"
        assert open_sandbox().pid != int(pid)
        assert not answers(endpoint)

    def test_it_ends_by_itself_when_nobody_asks(self) -> None:
        running = open_sandbox(idle_seconds=1)
        until(lambda: not answers(running.endpoint))
        until(lambda: not running.home.exists())
        assert sandbox_status() is None


def test_a_runtime_folder_that_others_can_enter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "mngen").mkdir()
    (tmp_path / "mngen").chmod(0o777)
    with pytest.raises(ToolError, match="not a private folder"):
        sandbox_status()


class TestInside:
    def test_a_command_inside_a_sandbox_uses_that_one(self, sandbox: Sandbox) -> None:
        found = open_sandbox(environment=sandbox.environment("us-east-1", {}))
        assert (found.endpoint, found.home, found.pid) == (
            sandbox.endpoint,
            sandbox.home,
            sandbox.pid,
        )
        found.stop()
        assert answers(sandbox.endpoint)

    @pytest.mark.parametrize(
        ("endpoint", "error"),
        [
            ("https://ec2.us-east-1.amazonaws.com", InputError),
            ("http://10.0.0.1:80", InputError),
            ("http://127.0.0.1.example.com:80", InputError),
            ("nonsense", InputError),
            ("http://127.0.0.1:1", ToolError),
        ],
    )
    def test_anything_else_under_that_name_is_refused(
        self, endpoint: str, error: type[MngenError]
    ) -> None:
        with pytest.raises(error):
            open_sandbox(environment={"MNGEN_SANDBOX": endpoint})


class Running:
    """`mngen sandbox -- …` in a process, with what its command reported about itself."""

    def __init__(
        self, folder: Path, script: str, *, start: tuple[str, ...] = (), **options: Any
    ) -> None:
        self.report = folder / "report.json"
        prelude = (
            "import json, os, signal, sys, time\n"
            f"path = {str(self.report)!r}\n"
            "json.dump([os.environ['MNGEN_SANDBOX'], os.getpid()], open(path + '.new', 'w'))\n"
        )
        ready = "os.rename(path + '.new', path)\n"
        self.process = subprocess.Popen(
            [
                *start,
                *COMMAND_LINE,
                "--",
                sys.executable,
                "-c",
                prelude + script.replace("READY", ready),
            ],
            **options,
        )
        self.endpoint, self.command = until(self._reported)

    def _reported(self) -> Any:
        return json.loads(self.report.read_text("utf-8")) if self.report.exists() else None


class TestCommand:
    def test_its_exit_code_is_passed_on(self) -> None:
        for script, code in (("exit 7", 7), ("kill -KILL $$", 137), ("exit 0", 0)):
            run = subprocess.run(
                [*COMMAND_LINE, "--", "sh", "-c", script], timeout=SOON, check=False
            )
            assert run.returncode == code

    def test_a_command_that_does_not_exist_is_an_input_error(self) -> None:
        run = subprocess.run(
            [*COMMAND_LINE, "--", "no-such-command"],
            capture_output=True,
            text=True,
            timeout=SOON,
            check=False,
        )
        assert run.returncode == 1
        assert "cannot run `no-such-command`" in run.stderr
        assert "Traceback" not in run.stderr

    def test_a_signal_reaches_the_command_which_decides_how_it_ends(self, tmp_path: Path) -> None:
        script = (
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\nREADYwhile True: time.sleep(1)"
        )
        running = Running(tmp_path, script)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(SOON) == 5
        assert not answers(running.endpoint)

    def test_killed_it_leaves_no_emulator(self, tmp_path: Path) -> None:
        running = Running(tmp_path, "READYtime.sleep(600)")
        running.process.kill()
        running.process.wait()
        try:
            until(lambda: not answers(running.endpoint))
        finally:
            os.kill(running.command, signal.SIGKILL)

    def test_ctrl_c_reaches_the_command_once(self, tmp_path: Path) -> None:
        script = (
            "seen = []\nsignal.signal(signal.SIGINT, lambda *_: seen.append(1))\n"
            "READYend = time.monotonic() + 60\n"
            "while not seen and time.monotonic() < end: time.sleep(0.05)\n"
            "time.sleep(1)\nsys.exit(40 + len(seen))"
        )
        terminal, slave = pty.openpty()
        try:
            # A session of its own whose terminal this is, as a shell would give it.
            running = Running(
                tmp_path,
                script,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
                preexec_fn=lambda: _take_terminal(0),
            )
            os.write(terminal, b"\x03")
            assert running.process.wait(SOON) == 41
            assert not answers(running.endpoint)
        finally:
            os.close(terminal)
            os.close(slave)

    def test_what_was_ignored_from_the_start_the_command_ignores_too(self, tmp_path: Path) -> None:
        script = (
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
            "deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
            "READYwhile deaf: time.sleep(1)"
        )
        running = Running(tmp_path, script, start=DEAF)
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(SOON) == 5
        assert not answers(running.endpoint)

    @pytest.mark.usefixtures("hang_ups")
    @pytest.mark.parametrize(
        ("start", "ignored", "number"),
        [
            ((), None, signal.SIGINT),
            ((), None, signal.SIGHUP),
            (DEAF, signal.SIGINT, signal.SIGTERM),
            (("nohup",), signal.SIGHUP, signal.SIGTERM),
        ],
        ids=["SIGINT", "SIGHUP", "deaf", "nohup"],
    )
    def test_alone_it_prints_what_a_shell_needs_and_runs_until_ended(
        self, start: tuple[str, ...], ignored: signal.Signals | None, number: signal.Signals
    ) -> None:
        process = subprocess.Popen(
            [*start, *COMMAND_LINE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "AWS_PROFILE": "real", "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert any("Ctrl-C" in line for line in process.stderr)
        if ignored is not None:
            process.send_signal(ignored)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
        process.send_signal(number)
        lines = process.stdout.read().splitlines()
        process.stdout.close()
        process.stderr.close()
        assert process.wait(SOON) == 0
        assert "unset AWS_PROFILE" in lines
        endpoint = next(
            line.split("=", 1)[1] for line in lines if line.startswith("export AWS_ENDPOINT_URL=")
        )
        assert not answers(endpoint)

    @pytest.mark.usefixtures("runtime")
    def test_status_and_stop_speak_of_the_background_one(self) -> None:
        def ask(option: str) -> str:
            return subprocess.run(
                [*COMMAND_LINE, option], capture_output=True, text=True, timeout=SOON, check=True
            ).stdout.strip()

        assert ask("--status") == "no sandbox is running in the background"
        running = open_sandbox()
        assert ask("--status") == f"{running.endpoint} (process {running.pid})"
        assert ask("--stop") == "stopped"
        assert ask("--stop") == "no sandbox is running in the background"


def _take_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
