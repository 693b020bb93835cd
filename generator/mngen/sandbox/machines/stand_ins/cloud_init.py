"""Stand-in for cloud-init: what it does at boot as the base images are set up, and `clean`.

At the first boot of an instance it makes host keys, lets the launch's key in, names the host, and
at the end runs a script in user data. The instance is described by files in the folder
/run/mngen-machine/metadata; without them there is no data source, and it does nothing but make the
host keys that are missing.

Source: https://docs.cloud-init.io/en/latest/reference/cli.html,
https://docs.cloud-init.io/en/latest/reference/modules.html (ssh, users, scripts_user), and
cloud.cfg of Amazon Linux; of Amazon Linux 2023's keys
https://docs.aws.amazon.com/linux/al2023/ug/ssh-host-keys-disabled.html.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

METADATA = Path("/run/mngen-machine/metadata")
STATE = Path("/var/lib/cloud")
RELEASE = Path("/etc/system-release")
LOG, OUTPUT = Path("/var/log/cloud-init.log"), Path("/var/log/cloud-init-output.log")
DONE = Path("/run/cloud-init/result.json")
USER, USER_ID = "ec2-user", 1000
REFUSAL = "command=\"echo 'Please login as the user ec2-user'\" "


def metadata(name: str) -> str:
    """Returns what the data source knows of the instance; nothing if there is none."""
    file = METADATA / name
    return file.read_text() if file.exists() else ""


def init() -> None:
    """Does what is done before a user can log in."""
    instance = metadata("instance-id").strip()
    known = STATE / "data/instance-id"
    new = bool(instance) and (not known.exists() or known.read_text().strip() != instance)
    if new:
        folder = STATE / "instances" / instance
        (folder / "sem").mkdir(parents=True, exist_ok=True)
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(f"{instance}\n")
        link = STATE / "instance"
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
        for key in Path("/etc/ssh").glob("ssh_host_*"):
            key.unlink()
        host = metadata("hostname").strip()
        if host:
            Path("/etc/hostname").write_text(f"{host}\n")
            socket.sethostname(host)
        if key_line := metadata("key").strip():
            authorize(Path("/home") / USER, USER_ID, key_line)
            authorize(Path("/root"), 0, REFUSAL + key_line)
    make_host_keys()
    note(f"init: instance {instance or 'unknown'}, {'new' if new else 'known'}")


def make_host_keys() -> None:
    """Makes the host keys that are missing: Amazon Linux 2023 has none of RSA."""
    newer = " 2023" in RELEASE.read_text()
    for kind in ("ecdsa", "ed25519") if newer else ("rsa", "ecdsa", "ed25519"):
        file = Path(f"/etc/ssh/ssh_host_{kind}_key")
        if not file.exists():
            # The default of OpenSSH 7.4, which Amazon Linux 2 has:
            # https://www.openssh.com/txt/release-8.0 raises it.
            bits = ["-b", "2048"] if kind == "rsa" else []
            command = ["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-f", file]
            subprocess.run(command, check=True)


def authorize(home: Path, owner: int, line: str) -> None:
    """Lets a key in."""
    folder, file = home / ".ssh", home / ".ssh/authorized_keys"
    folder.mkdir(mode=0o700, exist_ok=True)
    text = file.read_text() if file.exists() else ""
    if line not in text.splitlines():
        file.write_text(f"{text}{line}\n")
    file.chmod(0o600)
    for path in (folder, file):
        os.chown(path, owner, owner)


def final() -> None:
    """Runs a script in user data, once in an instance's life."""
    script, done = METADATA / "user-data", STATE / "instance/sem/config_scripts_user"
    if script.exists() and script.read_bytes()[:2] == b"#!" and not done.exists():
        done.touch()
        copy = STATE / "instance/user-data.sh"
        shutil.copyfile(script, copy)
        copy.chmod(0o700)
        with OUTPUT.open("ab") as output:
            subprocess.run([copy], stdout=output, stderr=output, check=False)
    note("final: done")
    DONE.parent.mkdir(parents=True, exist_ok=True)
    DONE.write_text("{}\n")


def status(*, wait: bool) -> int:
    """Prints how far it is."""
    while wait and not DONE.exists():
        time.sleep(0.1)
    print(f"status: {'done' if DONE.exists() else 'running'}")
    return 0


def clean(*, logs: bool, seed: bool) -> None:
    """Forgets the instance."""
    for path in STATE.glob("*"):
        if path.name == "seed" and not seed:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if logs:
        for log in (LOG, OUTPUT):
            log.unlink(missing_ok=True)


def note(text: str) -> None:
    """Writes to the log."""
    with LOG.open("a") as log:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} - cloud-init - {text}", file=log)


def main() -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="cloud-init")
    parser.add_argument("action", choices=["clean", "init", "modules", "status"])
    parser.add_argument("-l", "--logs", action="store_true")
    parser.add_argument("-m", "--mode")
    parser.add_argument("-s", "--seed", action="store_true")
    parser.add_argument("-w", "--wait", action="store_true")
    options = parser.parse_args()
    if options.action == "init":
        init()
    elif options.action == "modules":
        final()
    elif options.action == "status":
        return status(wait=options.wait)
    else:
        clean(logs=options.logs, seed=options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
