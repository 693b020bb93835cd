"""Starts the emulator's process and speaks with it over loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from mngen import parts
from mngen.errors import ToolError
from mngen.sandbox._environment import ACCOUNT_ID, sandbox_environment

HEALTH_PATH = "/_mngen/health"
"""The path at which an emulator identifies itself."""

RESET_PATH = "/moto-api/reset"
"""What empties an emulator."""

_HEALTH_SECONDS = 30.0
_END_SECONDS = 5.0
_RESET_SECONDS = 300.0
_MAX_ANSWER = 65536


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator.

    Attributes:
        endpoint: Its URL on loopback.
        home: A private directory (mode 0700) that lives as long as the emulator.
        instance: A random word that distinguishes it from any other that ever had its port.
        pid: Its process.
        version: The version of mngen that it runs.
    """

    endpoint: str
    home: Path
    instance: str
    pid: int
    version: str

    @classmethod
    def from_json(cls, data: Any, endpoint: str | None = None) -> Emulator:
        """Reads what an emulator reports about itself, or what was recorded about one.

        Raises:
            ValueError: It is something else.
        """
        try:
            return cls(
                endpoint or str(data["endpoint"]),
                Path(data["home"]),
                str(data["instance"]),
                int(data["pid"]),
                str(data["version"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(data) from error


def require_moto() -> None:
    """Checks that the extra is installed, without importing it.

    Raises:
        ToolError: It is not.
    """
    parts.require("sandbox")


def launch(
    *, port: int = 0, idle: float | None = None, log: Path | None = None
) -> tuple[Emulator, subprocess.Popen[bytes] | None]:
    """Starts an emulator, and waits until it takes requests; it answers them once it is loaded.

    Args:
        port: Loopback port; 0 takes a free one.
        idle: None ties the emulator to this process: it ends when this one ends, however it ends.
            Otherwise it is detached, and ends after so many seconds without a request.
        log: Where its complaints go; nowhere by default.

    Returns:
        The emulator, and its process where it is tied to this one.

    Raises:
        ToolError: The extra is missing, the port is taken, or the emulator did not come up.
    """
    require_moto()
    command = [sys.executable, "-P", "-m", "mngen.sandbox", "--port", str(port)]
    command += ["--lifeline"] if idle is None else ["--detach", "--idle", str(idle)]
    with _open_log(log) as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if idle is None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_emulator_environment(),
            cwd="/",
            # Ctrl-C belongs to the command that runs in the sandbox, which may need it to clean up.
            start_new_session=True,
        )
        answer = _first_line(process)
    if "error" in answer:
        end(process)
        raise ToolError(
            f"the sandbox's emulator did not start: {answer['error']}",
            hint=f"see {log}" if log else None,
        )
    emulator = Emulator.from_json(answer)
    if idle is not None:
        process.wait()
        return emulator, None
    return emulator, process


def end(process: subprocess.Popen[bytes]) -> None:
    """Stops an emulator that is tied to this process, and waits until it is gone."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
    try:
        process.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def probe(endpoint: str) -> Emulator | None:
    """Asks the emulator at an endpoint who it is; None where none answers."""
    try:
        _, health = _ask(endpoint, "GET", HEALTH_PATH, _HEALTH_SECONDS)
        return Emulator.from_json(json.loads(health), endpoint)
    except (OSError, HTTPException, ValueError):
        return None


def reset(endpoint: str) -> None:
    """Empties the emulator: everything that was made in it is gone, the default VPC is back.

    Raises:
        ToolError: No emulator answers, or it refuses.
    """
    try:
        status, body = _ask(endpoint, "POST", RESET_PATH, _RESET_SECONDS)
    except (OSError, HTTPException) as error:
        raise ToolError(f"the sandbox at {endpoint} does not answer: {error}") from error
    if status != HTTPStatus.OK:
        raise ToolError(
            f"cannot reset the sandbox at {endpoint}: {_reason(status, body)}",
            hint="stop it and start another one; if that fails too, run: "
            "pip install 'mngen[sandbox]'",
        )


def _reason(status: int, body: bytes) -> str:
    """Returns why the emulator refuses, in its own words where there are any."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {status}"


def _ask(endpoint: str, method: str, path: str, seconds: float) -> tuple[int, bytes]:
    """Sends a request to loopback itself: a proxy named in the environment is not asked.

    Returns:
        Status and body.
    """
    parts = urlsplit(endpoint)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request(method, path, headers={"Content-Length": "0"})
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_ANSWER)
    finally:
        connection.close()


def _first_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Waits for the emulator's announcement; stops it if the wait is interrupted."""
    pipe = process.stdout
    try:
        line = pipe.readline() if pipe else b""
    except BaseException:
        end(process)
        raise
    finally:
        if pipe:
            pipe.close()
    answer: dict[str, Any] = json.loads(line) if line else {"error": "it ended before it served"}
    return answer


def _emulator_environment() -> dict[str, str]:
    """The emulator is an AWS client's library too: it gets nothing of the user's account."""
    environment = sandbox_environment("http://127.0.0.1:9", "us-east-1", os.environ)
    environment.update(
        {
            "MOTO_ACCOUNT_ID": ACCOUNT_ID,
            "MOTO_DISABLE_GLOBAL_CORS": "true",
            "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
        }
    )
    return environment


def _open_log(log: Path | None) -> IO[bytes]:
    if log is None:
        return Path(os.devnull).open("wb")
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
