"""What `--debug` writes: each call to AWS and each child process, with what came of it.

Arguments of calls are left out altogether, since some are secrets. Of the arguments of a process,
values that look like credentials are replaced, and long ones are cut off.
"""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
import sys
import time
from typing import Any

_LOG = logging.getLogger("mngen.debug")
_STARTED = "mngen-started"
_HIDDEN = "***"
# A program that is passed in an argument is of no use in a line.
_LONGEST = 200
_SECRETS = (
    # A key that names a secret and its value: in JSON, as an option, as a variable.
    re.compile(
        r"((?:token|secret|passw(?:or)?d|credential|authorization|signature|api_?key)\w*"
        r"[\"']?\s*[=:]\s*[\"']?)(?!//)[^\"',;&\s}]+",
        re.IGNORECASE,
    ),
    # A user and a password in a URL.
    re.compile(r"(://)[^/@\s]+(?=@)"),
    # Access keys: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    re.compile(r"()\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
)
# What follows these is a secret, or a variable whose value may be one.
_SECRET_OPTIONS = re.compile(r"--?(?:password|token|secret|client-secret|creds)")
_VARIABLE_OPTIONS = frozenset({"-e", "--env", "-var", "--build-arg", "--setenv"})


def enable() -> None:
    """Writes calls and processes to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("debug %(asctime)s.%(msecs)03d %(message)s", "%H:%M:%S"))
    # A closed pipe must not cause a traceback.
    logging.raiseExceptions = False
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.DEBUG)
    _LOG.propagate = False
    # Libraries that mngen calls start processes too, and none of them takes a class for it.
    vars(subprocess)["Popen"] = _Process


def is_enabled() -> bool:
    """Returns whether calls and processes are written."""
    return _LOG.isEnabledFor(logging.DEBUG)


def watch(client: Any) -> None:
    """Writes the calls of a boto3 client: what was called, and what came of it.

    Args:
        client: Any client of boto3.

    Source: https://docs.aws.amazon.com/boto3/latest/guide/events.html
    """
    region = client.meta.region_name

    def answered(parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        meta = parsed.get("ResponseMetadata", {})
        parts = [f"HTTP {meta.get('HTTPStatusCode')}"]
        if code := parsed.get("Error", {}).get("Code"):
            parts.append(str(code))
        if retries := meta.get("RetryAttempts"):
            parts.append(f"{retries} retries")
        parts.append(f"request {meta.get('RequestId')}")
        _show(model, context, ", ".join(parts))

    def failed(exception: Exception, context: dict[str, Any], **_: Any) -> None:
        # Its text may hold what was sent.
        _show(context.get("mngen-model"), context, type(exception).__name__)

    def called(model: Any, context: dict[str, Any], **_: Any) -> None:
        context[_STARTED] = time.monotonic()
        context["mngen-model"] = model

    def _show(model: Any, context: dict[str, Any], result: str) -> None:
        seconds = time.monotonic() - context.get(_STARTED, time.monotonic())
        name = f"{model.service_model.service_name} {model.name}" if model else "unknown"
        _LOG.debug("aws %s %s: %s, %.3f s", name, region, result, seconds)

    events = client.meta.events
    events.register("before-call", called)
    events.register("after-call", answered)
    events.register("after-call-error", failed)


def redacted(command: list[str]) -> str:
    """Returns a command line without the secrets in it.

    Args:
        command: The program and its arguments.
    """
    shown = []
    before = ""
    for word in command:
        text = word
        if _SECRET_OPTIONS.fullmatch(before):
            text = _HIDDEN
        elif before in _VARIABLE_OPTIONS and "=" in word:
            text = f"{word.partition('=')[0]}={_HIDDEN}"
        else:
            for pattern in _SECRETS:
                text = pattern.sub(rf"\g<1>{_HIDDEN}", text)
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]}…"
        shown.append(shlex.quote(text).replace("\n", "\\n"))
        before = word
    return " ".join(shown)


class _Process(subprocess.Popen[Any]):
    """A process that writes its command line when it starts and its exit code when it ends."""

    _result: int | None = None
    _has_started = False

    def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
        words = [args] if isinstance(args, str | bytes) or hasattr(args, "__fspath__") else args
        shown = redacted([_text(each) for each in words])
        self._since = time.monotonic()
        try:
            super().__init__(args, *rest, **options)
        except OSError as error:
            _LOG.debug("process %s: %s", shown, error.strerror)
            raise
        self._has_started = True
        _LOG.debug("process %d: %s", self.pid, shown)

    @property
    def returncode(self) -> Any:
        """The exit code; None while the process runs."""
        return self._result

    @returncode.setter
    def returncode(self, code: int | None) -> None:
        if code is not None and self._result is None and self._has_started:
            seconds = time.monotonic() - self._since
            _LOG.debug("process %d: exit code %d, %.3f s", self.pid, code, seconds)
        self._result = code


def _text(word: Any) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)
