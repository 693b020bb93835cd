"""Running the command line as a user does: in a separate process, or in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING
from unittest.mock import patch

from mngen.cli._main import run
from tests.support.forked import fork_server

if TYPE_CHECKING:
    from collections.abc import Sequence

# The console script of the environment that the tests run in.
CHECKOUT = (str(Path(sys.executable).with_name("mngen")),)

# Starts what follows with SIGINT ignored, as the background of a shell script does.
DEAF = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")


def mngen(
    *arguments: str,
    cwd: Path,
    program: Sequence[str] | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 180,
) -> subprocess.CompletedProcess[str]:
    """Run mngen in another process, with no terminal and no standard input.

    Args:
        arguments: The command with its options.
        cwd: The folder to run in.
        program: How mngen is started, such as `CHECKOUT`. By default it is forked where that is as
            good, which takes a third of the time: see `tests.support.forked`.
        env: The whole environment; this process's own by default.
        timeout: Seconds after which it is killed.

    Raises:
        subprocess.TimeoutExpired: It took longer than ``timeout``.
    """
    environment = os.environ if env is None else env
    if program is None and (server := fork_server(environment)) is not None:
        command = [*CHECKOUT, *arguments]
        return server.run(command, cwd=cwd, environment=environment, timeout=timeout)
    return subprocess.run(
        [*(program or CHECKOUT), *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        # In a locale without UTF-8 too, click writes it.
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


def mngen_here(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run mngen in this process, with no terminal and no standard input.

    Even a fork takes longer than most commands. A test about signals, terminals, imports or
    durations starts `CHECKOUT`; so does one test of each command.

    Args:
        arguments: The command with its options.
        cwd: The folder to run in.
        env: The whole environment; this process's own by default.
    """
    with (
        Path(os.devnull).open(encoding="utf-8") as nothing,
        TemporaryFile("w+", encoding="utf-8") as out,
        TemporaryFile("w+", encoding="utf-8") as err,
        patch.multiple(sys, argv=["mngen", *arguments], stdin=nothing, stdout=out, stderr=err),
        patch.dict(os.environ, env or {}, clear=env is not None),
        chdir(cwd),
    ):
        code = run(arguments)
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(["mngen", *arguments], code, out.read(), err.read())


def faults_without(module: str, commands: Sequence[Sequence[str]], *, cwd: Path) -> str:
    """Run commands in turn in one process, which none of them may make load a module.

    Args:
        module: Its name.
        commands: The arguments of each.
        cwd: The folder to run in.

    Returns:
        The first command that fails or loads it, with standard error; nothing where all ran and
        none does.
    """
    done_word = "all ran"
    script = (
        "import json, sys; from mngen.cli._main import run\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    if (code := run(command)) or sys.argv[2] in sys.modules:\n"
        "        sys.exit(f'{command}: exit code {code}, loaded: {sys.argv[2] in sys.modules}')\n"
        f"sys.exit({done_word!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands), module],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=180,
        check=False,
    )
    # A command that stops the process itself keeps the others from running.
    if done.stderr.splitlines()[-1:] == [done_word]:
        return ""
    return f"exit code {done.returncode}: {done.stderr}"


def read_tree(root: Path) -> dict[str, bytes]:
    """Read every file below a folder, by its path relative to it."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
