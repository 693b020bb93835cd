"""`--debug`: calls and processes are written, and no secret with them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mngen._debug import redacted
from tests.support.cli import CHECKOUT, mngen, mngen_here

if TYPE_CHECKING:
    from pathlib import Path

# AWS's own examples of credentials:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/security-creds-programmatic-access.html
KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

PROCESSES = """
import subprocess, sys
from mngen import _debug
_debug.enable()
subprocess.run([sys.executable, "-c", "raise SystemExit(3)"])
subprocess.run([sys.executable, "-c", "pass", "--password", "hunter2"], capture_output=True)
try:
    subprocess.run(["/no/such/program", "x"])
except FileNotFoundError:
    pass
"""


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["terraform", "plan", "-out=x y"], "terraform plan '-out=x y'"),
        (["docker", "login", "--password", SECRET, "host"], "docker login --password '***' host"),
        (["docker", "login", f"--password={SECRET}"], "docker login '--password=***'"),
        (
            ["docker", "run", "-e", f"A={SECRET}", "--env", "B=1"],
            "docker run -e 'A=***' --env 'B=***'",
        ),
        (["docker", "run", "-e", "MNGEN_SECRET"], "docker run -e MNGEN_SECRET"),
        (
            ["git", "clone", f"https://me:{SECRET.partition('/')[0]}@host/x"],
            "git clone 'https://***@host/x'",
        ),
        (["env", f"AWS_SECRET_ACCESS_KEY={SECRET}"], "env 'AWS_SECRET_ACCESS_KEY=***'"),
        (["echo", KEY, f"Credential={KEY}/20261128"], "echo '***' 'Credential=***'"),
        (["python3", "-c", "x" * 500], f"python3 -c {'x' * 200}…"),
    ],
)
def test_secrets_of_a_command_line_are_left_out(command: list[str], shown: str) -> None:
    assert redacted(command).replace("'", "") == shown.replace("'", "")


def test_what_the_plugin_of_session_manager_gets_is_left_out() -> None:
    """Its arguments: https://docs.aws.amazon.com/cli/latest/reference/ssm/start-session.html."""
    session = {"SessionId": "me-0a1b", "TokenValue": "AAEAAXAB/c2VjcmV0", "StreamUrl": "wss://x"}
    url = "https://b.s3.amazonaws.com/k?X-Amz-Security-Token=IQoJb3&X-Amz-Signature=fe5f80"
    shown = redacted(["session-manager-plugin", json.dumps(session), "us-east-1", url])
    assert "me-0a1b" in shown
    for secret in ("AAEAAXAB", "c2VjcmV0", "IQoJb3", "fe5f80"):
        assert secret not in shown


def test_processes_are_written_with_their_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROCESSES], capture_output=True, text=True, timeout=60, check=True
    )
    lines = [
        re.sub(r"^debug \d\d:\d\d:\d\d\.\d{3} ", "", each) for each in done.stderr.splitlines()
    ]
    started, ended, second, _, failed = lines
    number = re.match(r"process (\d+): \S*python\S* -c 'raise SystemExit\(3\)'$", started)
    assert number, started
    assert re.match(rf"process {number[1]}: exit code 3, \d+\.\d{{3}} s$", ended), ended
    assert "hunter2" not in second
    assert failed == "process /no/such/program x: No such file or directory"


def test_without_it_nothing_is_written(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    assert mngen_here("init", cwd=tmp_path).returncode == 0
    quiet = mngen_here("container", "build", cwd=tmp_path, env=env)
    # A process of its own: it writes until it ends.
    loud = mngen("--debug", "container", "build", cwd=tmp_path, env=env, program=CHECKOUT)
    assert (quiet.returncode, quiet.stdout) == (loud.returncode, loud.stdout)
    assert "debug" not in quiet.stderr
    debugged = [line for line in loud.stderr.splitlines() if line.startswith("debug ")]
    assert any(f": {program}" in line for line in debugged), loud.stderr
    assert [each for each in loud.stderr.splitlines() if each not in debugged] == (
        quiet.stderr.splitlines()
    )
