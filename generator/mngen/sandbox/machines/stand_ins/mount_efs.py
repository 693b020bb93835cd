"""Stand-in for mount.efs and mount.nfs4: mounts the folder /srv/efs in the file system's place.

As the real mount.efs it writes /var/log/amazon/efs/mount.log at every call; with `tls` it starts
the watchdog, keeps its state in /run/efs, and makes the private key of this client once. Without
the folder it fails as the real ones do when the file system does not answer. What it was called
with goes to /run/mngen-machine/mounts, one line of JSON each.

How it behaves is chosen by a line in /srv/efs.mode: `late N` fails until /proc/uptime says N,
`no-name` fails as where the name does not resolve, `silent` says that it mounted and did not, as
where network.target is not active.

Source: github.com/aws/efs-utils 3.2.0, src/efs_utils_common/config_utils.py (log), proxy.py (state,
watchdog), certificate_utils.py (key), mount_utils.py and network_utils.py (failures); what it wrote
was compared with a real run.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

STORE = Path("/srv/efs")
RECORD = Path("/run/mngen-machine/mounts")
MODE = Path("/srv/efs.mode")
LOG = Path("/var/log/amazon/efs/mount.log")
STATE = Path("/run/efs")
KEY = Path("/etc/amazon/efs/privateKey.pem")
SOURCES = {
    "mount.efs": r"fs-[0-9a-f]{8,40}(\.efs\.[a-z0-9.-]+)?(:/.*)?",
    "mount.nfs4": r"[A-Za-z0-9.-]+:/.*",
}
PROGRAM = Path(sys.argv[0]).name


def note(level: str, text: str) -> None:
    """Writes a line of the log, which only mount.efs has."""
    if PROGRAM == "mount.efs":
        LOG.parent.mkdir(parents=True, exist_ok=True)
        with LOG.open("a") as log:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
            print(f"{stamp} - {level} - {text}", file=log)


def fail(text: str, code: int) -> int:
    """Says why nothing was mounted."""
    note("ERROR", text)
    print(f"{PROGRAM}: {text}", file=sys.stderr)
    return code


def start_tunnel(source: str, target: str) -> None:
    """Leaves what a TLS mount leaves: the client's key, a state file, and a watchdog that runs."""
    if not KEY.exists():
        KEY.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-m", "PEM", "-N", "", "-f", KEY],
            stdin=subprocess.DEVNULL,
            check=True,
        )
        KEY.with_suffix(".pem.pub").unlink(missing_ok=True)
        KEY.chmod(0o400)
    port = 20049 + secrets.randbelow(1000)
    name = f"{source.partition(':')[0]}.{target.strip('/').replace('/', '.')}.{port}"
    STATE.mkdir(parents=True, exist_ok=True)
    (STATE / f"stunnel-config.{name}").touch()
    (STATE / name).write_text(json.dumps({"files": [], "mountpoint": target}))
    # Not waited for: the watchdog's unit comes after remote-fs.target, which waits for the mount.
    subprocess.Popen(
        ["systemctl", "start", "amazon-efs-mount-watchdog.service"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main() -> int:
    """Runs the helper, as mount(8) calls it: the source, the mount point, options."""
    source, target, *rest = sys.argv[1:]
    options = rest[rest.index("-o") + 1].split(",") if "-o" in rest else []
    mode = MODE.read_text().split() if MODE.exists() else []
    note("INFO", f"version=3.2.0 options={dict.fromkeys(options)}")
    if not re.fullmatch(SOURCES[PROGRAM], source):
        return fail(f"Failed to resolve server of {source!r}", 32)
    if mode[:1] == ["no-name"]:
        return fail(f"Failed to resolve {source.partition(':')[0]}", 1)
    if mode[:1] == ["silent"]:
        note("WARNING", "Cannot mount: the network is not online")
        return 0
    up = float(Path("/proc/uptime").read_text().split()[0])
    if not STORE.is_dir() or (mode[:1] == ["late"] and up < float(mode[1])):
        return fail("Connection timed out", 32)
    if "tls" in options:
        start_tunnel(source, target)
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    with RECORD.open("a") as record:
        print(
            json.dumps(
                {"program": PROGRAM, "source": source, "target": target, "options": options}
            ),
            file=record,
        )
    code = subprocess.run(["/bin/mount", "--bind", STORE, target], check=False).returncode
    note("INFO", f"Successfully mounted {source} at {target}")
    return code


if __name__ == "__main__":
    sys.exit(main())
