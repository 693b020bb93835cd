"""Starts a program so that it never outlives mngen by more than its own cleaning up.

Run as a script, by path, in an interpreter and a session of its own:

    python _warden.py PARENT_PID PROGRAM ARGUMENT...

SIGTERM makes it interrupt the program's whole process group, once: Packer's wrapper swallows a
SIGINT that it alone gets, and its plugins have the work to end. It is also what the kernel sends
when mngen dies without a chance to act (kill -9, out of memory). What has not ended some minutes
later is killed.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_GRACE_SECONDS = 300


def _main(arguments: list[str]) -> int:
    parent, *command = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wanted = [signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM]
    # Taken one by one with sigwait(): none can slip between a look and a wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != int(parent):
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


def _become(command: list[str]) -> NoReturn:
    """Runs the program in this process, with the signals as every program expects them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
