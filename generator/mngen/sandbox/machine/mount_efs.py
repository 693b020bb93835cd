"""Stand-in for mount.efs and mount.nfs4: mounts the folder /srv/efs in the file system's place.

What it was called with goes to /run/mngen-machine/mounts, one line of JSON each. Without /srv/efs
it fails as the real ones do when the file system does not answer.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

STORE = Path("/srv/efs")
RECORD = Path("/run/mngen-machine/mounts")
SOURCES = {
    "mount.efs": r"fs-[0-9a-f]{8,40}(\.efs\.[a-z0-9.-]+)?(:/.*)?",
    "mount.nfs4": r"[A-Za-z0-9.-]+:/.*",
}


def main() -> int:
    """Runs the helper, as mount(8) calls it: the source, the mount point, options."""
    program = Path(sys.argv[0]).name
    source, target, *rest = sys.argv[1:]
    options = rest[rest.index("-o") + 1].split(",") if "-o" in rest else []
    if not re.fullmatch(SOURCES[program], source):
        print(f"{program}: Failed to resolve server of {source!r}", file=sys.stderr)
        return 32
    if program == "mount.efs" and "nfsvers=4.1" in options:
        print(f"{program}: the NFS version is not for the caller to choose", file=sys.stderr)
        return 32
    if not STORE.is_dir():
        print(f"{program}: Connection timed out", file=sys.stderr)
        return 32
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    with RECORD.open("a") as record:
        print(
            json.dumps(
                {"program": program, "source": source, "target": target, "options": options}
            ),
            file=record,
        )
    return subprocess.run(["/bin/mount", "--bind", STORE, target], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
