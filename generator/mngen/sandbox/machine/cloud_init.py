"""Stand-in for `cloud-init clean`: forgets the instance that this machine was.

Source: https://docs.cloud-init.io/en/latest/reference/cli.html#clean
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

STATE = Path("/var/lib/cloud")
LOGS = ("cloud-init.log", "cloud-init-output.log")


def main() -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="cloud-init")
    parser.add_argument("action", choices=["clean"])
    parser.add_argument("-l", "--logs", action="store_true")
    parser.add_argument("-s", "--seed", action="store_true")
    options = parser.parse_args()
    for path in STATE.glob("*"):
        if path.name == "seed" and not options.seed:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if options.logs:
        for name in LOGS:
            (Path("/var/log") / name).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
