"""Commands that are forked: what they get and give is what it is when a process is started."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.cli._app import _NAMES
from tests.support.cli import CHECKOUT, mngen
from tests.support.deploy import wait_until
from tests.support.forked import AT_START, ForkServer, fork_server
from tests.support.processes import children_of, has_ended, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]

# Its forks run the script that is their first argument, as Python does.
SERVER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.support.fork_server import end, serve
del sys.path[0]
serve(int(sys.argv[1]))
end(lambda: exec(open(sys.argv[0]).read(), globals()))
"""

FACTS = """
import json, locale, os, resource, signal, sys, threading, time
streams = (sys.stdin, sys.stdout, sys.stderr)
print(json.dumps({
    "arguments": sys.argv,
    "path": sys.path,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "zone": [time.tzname, time.timezone, time.localtime(0)[:6]],
    "locale": locale.setlocale(locale.LC_CTYPE),
    "group": os.getpgrp(),
    "session": os.getsid(0),
    "signals": {n: repr(signal.getsignal(n)) for n in sorted(signal.valid_signals())},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "umask": os.umask(0),
    "files": [n for n in range(100) if os.path.exists(f"/proc/self/fd/{n}")],
    "streams": [[s.encoding, s.errors, s.line_buffering, s.isatty(), s.seekable(), s.fileno()]
                for s in streams],
    "read": sys.stdin.read(),
    "threads": threading.active_count(),
    "limits": [resource.getrlimit(n) for n in range(16)],
    "priority": os.getpriority(os.PRIO_PROCESS, 0),
}))
"""

# Runs a command as a process that runs tests does.
WORKER = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.support.forked import ForkServer
ForkServer(Path(sys.argv[1])).run(
    sys.argv[2:], cwd=Path("/"), environment=os.environ, timeout=600
)
"""


class Programs:
    """A server of the test's own, and scripts that it runs in forks, or Python at a start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server_program = self.script(SERVER)
        self.server = ForkServer(self.server_program)

    def script(self, text: str) -> Path:
        # One may be read while the next is written.
        file = self.folder / sha256(text.encode()).hexdigest()[:8]
        file.write_text(text, encoding="utf-8")
        return file

    def fork(
        self, text: str, *arguments: str, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return self.server.run(
            [str(self.script(text)), *arguments],
            cwd=self.folder,
            environment={**os.environ, **environment},
            timeout=timeout,
        )

    def start(
        self, text: str, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, self.script(text), *arguments],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module", autouse=True)
def uncounted() -> Iterator[None]:
    """Lets nothing count the lines of a process that starts here: none is forked then."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [each for each in os.environ if each.startswith("COVERAGE_PROCESS_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    programs = Programs(tmp_path_factory.mktemp("programs"))
    yield programs
    programs.server.close()


@pytest.mark.parametrize(
    "surroundings",
    [{}, {"TZ": "Asia/Kathmandu", "AWS_REGION": "eu-west-1", "COLUMNS": "20"}],
    ids=["none", "other"],
)
def test_a_fork_finds_what_a_start_finds(
    surroundings: dict[str, Any], programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PATH")
    before = os.umask(0o77) if surroundings else None
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_IGN if surroundings else signal.SIG_DFL)
    try:
        found = programs.fork(FACTS, "a b", "", **surroundings)
        expected = programs.start(FACTS, "a b", "", **surroundings)
    finally:
        signal.signal(signal.SIGHUP, hang_up)
        if before is not None:
            os.umask(before)
    assert found.stderr == expected.stderr == ""
    assert json.loads(found.stdout) == json.loads(expected.stdout)


@pytest.mark.parametrize(
    "text",
    [
        "import sys; print('out'); print('é\\r', file=sys.stderr); sys.exit(3)",
        "import sys; sys.exit('a message')",
        "import sys; print('out', end=''); sys.exit(None)",
        "import sys; sys.exit(-2)",
        "import os; print('lost', end=''); os._exit(4)",
        "import atexit; atexit.register(print, 'last'); print('first')",
        "import os; print('lost', end=''); os.kill(os.getpid(), 9)",
        "import os, signal; signal.raise_signal(signal.SIGTERM)",
        "import threading, time; threading.Timer(0.1, print, ['late']).start()",
        "import sys; sys.stdout.write('x' * 1_000_000); sys.stderr.write('y' * 1_000_000)",
        "import weakref; kept = set(); weakref.finalize(kept, print, 'gone')",
        "import os, sys; sys.stdout = open(os.dup(1), 'w'); print('lost'); os.close(3)",
        "import sys; sys.stderr.close(); print('out')",
    ],
    ids=[
        *("code", "message", "nothing", "negative", "exit", "atexit", "kill", "signal", "thread"),
        *("much", "finalizer", "closed", "no errors"),
    ],
)
def test_a_fork_ends_as_a_start_ends(text: str, programs: Programs) -> None:
    found = programs.fork(text)
    expected = programs.start(text)
    assert (found.returncode, found.stdout, found.stderr) == (
        expected.returncode,
        expected.stdout,
        expected.stderr,
    )


@pytest.mark.parametrize(
    ("text", "code", "last"),
    [
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("import signal; signal.raise_signal(signal.SIGINT)", -signal.SIGINT, "KeyboardInterrupt"),
    ],
)
def test_a_traceback_comes_through(text: str, code: int, last: str, programs: Programs) -> None:
    done = programs.fork(text)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[-1] == last


def test_what_takes_too_long_is_killed(programs: Programs) -> None:
    server = programs.server.process.pid
    forever = "import signal; signal.pthread_sigmask(2, range(1, 65)); signal.pause()"
    with pytest.raises(subprocess.TimeoutExpired):
        programs.fork(forever, timeout=0.5)
    assert children_of(server) == []


def test_nothing_is_left_of_what_has_ended(programs: Programs) -> None:
    server = programs.server.process.pid
    files = [Path("/proc", each, "fd") for each in (str(server), "self")]
    programs.fork("")
    before = [len(list(each.iterdir())) for each in files]
    assert programs.fork("import os; print(os.getppid())").stdout == f"{server}\n"
    assert children_of(server) == []
    assert [len(list(each.iterdir())) for each in files] == before


def test_commands_run_at_the_same_time(programs: Programs) -> None:
    os.mkfifo(programs.folder / "fifo")
    with ThreadPoolExecutor() as pool:
        reads = pool.submit(programs.fork, "print(open('fifo').read())")
        wait_until(lambda: len(children_of(programs.server.process.pid)) == 1, "the first command")
        writes = programs.fork("open('fifo', 'w').write('both')")
        assert (writes.returncode, reads.result().stdout) == (0, "both\n")


def test_a_folder_that_is_missing_is_an_error_here(programs: Programs) -> None:
    with pytest.raises(FileNotFoundError):
        programs.server.run(["x"], cwd=Path("/absent"), environment={}, timeout=60)


def test_all_ends_with_the_process_that_runs_the_tests(programs: Programs) -> None:
    told = programs.folder / "told"
    script = programs.script(
        f"import os, time; open({str(told)!r}, 'w').write(f'{{os.getpid()}} {{os.getppid()}}\\n')"
        "; time.sleep(600)"
    )
    command = [sys.executable, "-c", WORKER, str(programs.server_program), str(script)]
    with subprocess.Popen(command) as worker:
        wait_until(lambda: told.is_file() and told.read_text().endswith("\n"), "the command")
        worker.kill()
    both = [int(number) for number in told.read_text().split()]
    wait_until(lambda: all(map(has_ended, both)), "the end of the command and its server")


def test_a_server_that_has_ended_is_an_error(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    programs.fork("")
    with pytest.raises(RuntimeError, match="the fork server ended"):
        programs.fork("import os; os.kill(os.getppid(), 9)")
    programs.server.close()


def test_only_what_is_as_a_start_is_forked(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = programs.server
    assert server.can_run({**os.environ, "TZ": "Asia/Kathmandu", "AWS_PROFILE": "x"})
    assert not server.can_run({**os.environ, "LC_ALL": "POSIX"})
    assert not server.can_run({**os.environ, "PYTHONPATH": "/elsewhere"})
    without = {name: text for name, text in os.environ.items() if name != "HOME"}
    assert not server.can_run(without)
    assert outcome(lambda: server.can_run(os.environ)) == "False"
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "/elsewhere")
    assert fork_server(os.environ) is None


LOADED = f"""
import functools, gc, json, os, sys, tempfile, threading
sys.path.insert(0, {str(ROOT)!r})
names = set()
read, every = os._Environ.__getitem__, os._Environ.__iter__
def reading(self, name):
    names.add(name)
    return read(self, name)
def listing(self):
    names.add("all of them")
    return every(self)
os._Environ.__getitem__, os._Environ.__iter__ = reading, listing
from tests.support import fork_server
fork_server.load()
print(json.dumps({{
    "names": sorted(names),
    "kept": sorted(
        f"{{each.__module__}}.{{each.__name__}}" for each in gc.get_objects()
        if isinstance(each, functools._lru_cache_wrapper)
        and each.__module__.startswith("mngen") and each.cache_info().currsize
    ),
    "threads": threading.active_count(),
    "children": os.listdir(f"/proc/self/task"),
    "emulator": "moto" in sys.modules,
    "temporary": tempfile.tempdir,
}}))
"""


def test_what_a_server_has_loaded() -> None:
    """Nothing that comes from where it was started."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=300, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert [name for name in found["names"] if not name.startswith(AT_START)] == []
    assert found["kept"] == [
        "mngen._aws._loader",
        "mngen._descriptions._read",
        "mngen.catalog._load._shipped",
        "mngen.catalog._prices._shipped",
    ]
    assert (found["threads"], len(found["children"])) == (1, 1)
    assert not found["emulator"]
    assert found["temporary"] is None


def test_mngen_itself(tmp_path: Path) -> None:
    assert fork_server(os.environ) is not None
    for arguments in ("--version",), ("check",), ("rules", "--wrong"):
        found = mngen(*arguments, cwd=tmp_path)
        expected = mngen(*arguments, cwd=tmp_path, program=CHECKOUT)
        assert (found.args, found.returncode) == (expected.args, expected.returncode)
        assert (found.stdout, found.stderr) == (expected.stdout, expected.stderr)


# Where each command is started, not forked. There is no test of `mngen bake` as a command: what it
# calls is tested.
STARTED = {
    "tests/e2e/test_cli_render.py": ["init", "render"],
    "tests/e2e/test_container_image.py": ["container"],
    "tests/e2e/test_demo.py": ["demo"],
    "tests/e2e/test_hostile_environment.py": [
        "check",
        "graph",
        "import",
        "instances",
        "policy",
        "rules",
        "sandbox",
        "schema",
    ],
    "tests/e2e/test_rehearse_command.py": ["rehearse"],
    "tests/e2e/test_terraform_commands.py": ["output"],
    "tests/e2e/test_terraform_interrupt.py": ["apply", "destroy", "plan"],
    "tests/unit/cli/test_cli_confirm.py": ["ami"],
    "tests/unit/jobs/test_jobs_shared_outputs.py": ["fetch"],
    "tests/unit/jobs/test_jobs_shell.py": ["shell"],
    "tests/unit/jobs/test_jobs_starts.py": ["cancel", "cost", "jobs", "status", "timeline"],
    "tests/unit/jobs/test_jobs_logs.py": ["logs"],
    "tests/unit/jobs/test_jobs_status.py": ["wait"],
    "tests/unit/jobs/test_jobs_submit.py": ["submit"],
    "tests/unit/jobs/test_jobs_top.py": ["top"],
    "tests/unit/parts/test_doctor_command.py": ["doctor"],
    "tests/unit/selftest/test_selftest_sandbox.py": ["selftest"],
}


def test_each_command_is_started_somewhere() -> None:
    """An import that is missing shows there alone."""
    started = [name for names in STARTED.values() for name in names]
    assert sorted([*started, "bake"]) == sorted(_NAMES)
    for path, names in STARTED.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in names:
            assert re.search(rf'"{name}\b', text), (path, name)
        assert re.search("CHECKOUT|REHEARSE|started|installed", text), path
