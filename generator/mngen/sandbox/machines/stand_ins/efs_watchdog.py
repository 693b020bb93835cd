"""Stand-in for amazon-efs-mount-watchdog: stays, and removes the state of what was unmounted.

It writes mount-watchdog.log once, when it starts. The state of a mount goes half a minute after the
mount; the client's key stays.

Source: github.com/aws/efs-utils 3.2.0, src/watchdog/__init__.py; times as seen in a real run.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

LOG = Path("/var/log/amazon/efs/mount-watchdog.log")
STATE = Path("/run/efs")
GRACE_SECONDS = 30


def main() -> None:
    """Watches until it is ended."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("a") as log:
        print(time.strftime("%Y-%m-%d %H:%M:%S UTC - INFO - amazon-efs-mount-watchdog"), file=log)
    gone: dict[Path, float] = {}
    while True:
        for state in STATE.glob("fs-*"):
            target = "/" + state.name.split(".", 1)[1].rsplit(".", 1)[0].replace(".", "/")
            if os.path.ismount(target):
                gone.pop(state, None)
            elif time.monotonic() - gone.setdefault(state, time.monotonic()) > GRACE_SECONDS:
                state.unlink(missing_ok=True)
                (STATE / f"stunnel-config.{state.name}").unlink(missing_ok=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
