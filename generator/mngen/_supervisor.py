"""Starts a program so that it does not outlive mngen by more than its own cleaning up.

Run as a script, by path, in its own interpreter and session. It must import nothing of
mngen, since it starts before every Terraform command and costs its start-up each time.

    python _supervisor.py PARENT_PID MODE PROGRAM ARGUMENT...

`MODE` is what happens to the program when mngen dies without a chance to act (kill -9, out of
memory), upon which the kernel sends a signal to this process:

- `become`: this process becomes the program, which gets SIGINT. Terraform then finishes its current
  step, writes its state and releases the lock.
- `script`: the same; the program is a script, which runs in this interpreter.
- `watch`: this process stays, and SIGTERM makes it interrupt the program's whole process group,
  once: Packer's wrapper swallows a SIGINT that it alone gets, and its plugins have the work to end.
  What has not ended some minutes later is killed.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_GRACE_SECONDS = 300


def _main(arguments: list[str]) -> NoReturn:
    parent, mode, *command = arguments
    if mode == "watch":
        sys.exit(_watch(int(parent), command))
    # Python's own handler would answer an early interrupt with a traceback. The starter blocks
    # both signals until here, so that one sent in the meantime ends this process quietly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not _tied(int(parent), signal.SIGINT):
        sys.exit(1)
    _become(command, script=mode == "script")


def _tied(parent: int, number: signal.Signals) -> bool:
    """Has the kernel send a signal at the parent's end; returns whether the parent still runs."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    return os.getppid() == parent


def _become(command: list[str], *, script: bool = False) -> NoReturn:
    """Runs the program in this process, with the signals as every program expects them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    program = command[0]
    if script:
        import runpy

        sys.argv = command
        runpy.run_path(program, run_name="__main__")
        sys.exit(0)
    try:
        os.execvp(program, command)
    except OSError as error:
        sys.stderr.write(f"cannot run {program}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def _watch(parent: int, command: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wanted = [signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM]
    # Taken one by one with sigwait(): none can slip between a look and a wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    if not _tied(parent, signal.SIGTERM):
        return 1
    child = os.fork()
    if child == 0:
        _become(command)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        match signal.sigwait(wanted):
            case signal.SIGTERM:
                os.killpg(0, signal.SIGINT)
                signal.alarm(_GRACE_SECONDS)
            case signal.SIGALRM:
                os.killpg(0, signal.SIGKILL)
            case _:
                pass


if __name__ == "__main__":
    _main(sys.argv[1:])
