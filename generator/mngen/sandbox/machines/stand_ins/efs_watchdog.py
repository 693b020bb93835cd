"""Stand-in for amazon-efs-mount-watchdog: stays, and removes the state of what was unmounted.

It writes to mount-watchdog.log when it starts and when it removes state. A mount counts as gone
30 s after it was made at the earliest, once it was missed 6 times, a second apart; its state goes
30 s later. The client's key stays.

Source: github.com/aws/efs-utils 3.2.0 (def6e74), src/watchdog/__init__.py (check_efs_mounts,
clean_up_mount_state) and dist/efs-utils.conf; times as seen in a real run.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

VERSION = "3.2.0"
LOG = Path("/var/log/amazon/efs/mount-watchdog.log")
STATE = Path("/var/run/efs")
# unmount_count_for_consistency, UNMOUNT_DIFF_TIME and unmount_grace_period_sec.
MISSED = 5
YOUNG_SECONDS = 30
GRACE_SECONDS = 30


def note(text: str) -> None:
    """Writes a line of the log."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("a") as log:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        print(f"{stamp} - INFO - {text}", file=log)


def remove(path: Path, state: dict[str, Any]) -> None:
    """Removes the state of a mount: its file, its folder, and the tunnel's configuration."""
    note(f"Unmount grace period expired for {path.name}")
    note("TLS tunnel has been killed, cleaning up state")
    for name in state["files"]:
        Path(name).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    # Without TLS there is no certificate, and no folder for it.
    if "mountStateDir" in state:
        shutil.rmtree(STATE / state["mountStateDir"], ignore_errors=True)


def look(path: Path) -> None:
    """Looks at the state of one mount."""
    state = json.loads(path.read_text())
    now = time.time()
    if "unmount_time" in state:
        if state["unmount_time"] + GRACE_SECONDS < now:
            remove(path, state)
        return
    if os.path.ismount(state["mountpoint"]):
        state["unmount_count"] = 0
    elif now - state["mount_time"] <= YOUNG_SECONDS:
        return
    elif state.get("unmount_count", 0) > MISSED:
        note(f'No mount found for "{path.name}"')
        state["unmount_time"] = now
    else:
        state["unmount_count"] = state.get("unmount_count", 0) + 1
    # In one step, as the real one does.
    beside = path.with_name(f"~{path.name}")
    beside.write_text(json.dumps(state))
    beside.rename(path)


def main() -> None:
    """Watches until it is ended."""
    note(f"amazon-efs-mount-watchdog, version {VERSION}, is enabled and started")
    while True:
        for path in STATE.glob("fs-*"):
            if path.is_file():
                look(path)
        time.sleep(1)


if __name__ == "__main__":
    main()
