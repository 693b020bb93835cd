"""Stand-in for mount.efs and mount.nfs4: mounts the folder /srv/efs in the file system's place.

As the real mount.efs it refuses options that do not go together, and writes every step to
/var/log/amazon/efs/mount.log. Each mount goes through a separate tunnel, efs-proxy, also without
`tls`: it starts the watchdog, keeps its state in /run/efs, and names the NFS mount that it would
make through the tunnel. With `tls` the state has a certificate, and the private key of this client
is made once. Without the folder it fails as the real ones do when the file system does not answer.
What it was called with goes to /run/mngen-machine/mounts, one line of JSON each.

Unlike the real one it mounts by a bind mount in place of NFS (/proc/mounts does not show
127.0.0.1:/), runs no tunnel, and does not look for a role: instances here have no metadata service.
Not here are the options `stunnel`, `ocsp`, `netns` and `crossaccount`, which it refuses.

How it behaves is chosen by a line in /srv/efs.mode: `unreachable` fails as where no server answers,
`no-name` as where the name does not resolve, `silent` reports success without a mount, as where
network.target is not active.

Source: github.com/aws/efs-utils 3.2.0 (def6e74), src/efs_utils_common/: config_utils.py (log),
mount_options.py (options), proxy.py (state, watchdog, tunnel), certificate_utils.py (key,
certificate), aws_credentials.py (role), mount_utils.py and network_utils.py (mount, failures),
src/mount_efs/dns_resolver.py (names); what it wrote was compared with a real run. For mount.nfs4:
github.com/linux-nfs/nfs-utils 2.5.4, utils/mount/error.c (mount_error).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

VERSION = "3.2.0"
STORE = Path("/srv/efs")
RECORD = Path("/run/mngen-machine/mounts")
MODE = Path("/srv/efs.mode")
LOG = Path("/var/log/amazon/efs/mount.log")
STATE = Path("/var/run/efs")
KEY = Path("/etc/amazon/efs/privateKey.pem")
# The real one asks the instance's metadata for its region.
REGION = "us-east-1"
DNS_NAME = f"{{}}.efs.{REGION}.amazonaws.com"
SOURCES = {
    "mount.efs": r"fs-[0-9a-f]{8,40}(\.efs\.[a-z0-9.-]+)?(:/.*)?",
    "mount.nfs4": r"[A-Za-z0-9.-]+:/.*",
}
ACCESS_POINT = r"fsap-[0-9a-f]{17}"
UNSUPPORTED = ("capath", "azid")
# Options of the real one that lead to what is not emulated.
NOT_HERE = ("crossaccount", "netns", "ocsp", "stunnel")
# What mount.efs adds if the caller did not set it.
NFS_OPTIONS = {
    "nfsvers": "4.1",
    "rsize": "1048576",
    "wsize": "1048576",
    "hard": None,
    "timeo": "600",
    "retrans": "2",
    "noresvport": None,
}
NOT_OF_NFS = (
    *("accesspoint", "awscredsuri", "awsprofile", "az", "azid", "cafile", "crossaccount", "iam"),
    *("jwtpath", "mounttargetip", "netns", "nodirects3read", "noocsp", "nos3readcache", "notls"),
    *("ocsp", "region", "rolearn", "stunnel", "tls", "tlsport", "verify"),
)
PROGRAM = Path(sys.argv[0]).name

Options = dict[str, "str | None"]


def note(level: str, text: str) -> None:
    """Writes a line of the log, which only mount.efs has."""
    if PROGRAM == "mount.efs":
        LOG.parent.mkdir(parents=True, exist_ok=True)
        with LOG.open("a") as log:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
            print(f"{stamp} - {level} - {text}", file=log)


def fail(text: str, code: int) -> int:
    """Prints why nothing was mounted: mount.efs in its own words, mount.nfs4 with its name."""
    note("ERROR", text)
    print(text if PROGRAM == "mount.efs" else f"{PROGRAM}: {text}", file=sys.stderr)
    return code


def chosen_mode() -> str:
    """Returns the word that chooses how it behaves; empty for a file system that answers."""
    return MODE.read_text().strip() if MODE.exists() else ""


def wrong_options(options: Options) -> str | None:
    """Returns what mount.efs has against options; None for nothing."""
    unsupported = [name for name in UNSUPPORTED if name in options]
    if unsupported:
        listed = ", ".join(f'"{name}"' for name in unsupported)
        return f"Unsupported mount options detected: {listed}"
    if missing := [name for name in NOT_HERE if name in options]:
        return f"{', '.join(missing)}: not emulated"
    return wrong_tls(options) or wrong_identity(options)


def wrong_tls(options: Options) -> str | None:
    """Returns what it has against options beside `tls`, and those that need it."""
    if "tls" in options:
        if "port" in options:
            return 'The "port" and "tls" options are mutually exclusive'
        if not (options.get("tlsport") or "0").isdecimal():
            return f"tlsport option [{options['tlsport']}] is not an integer"
        if "notls" in options:
            return 'The "tls" and "notls" options are mutually exclusive'
    if "accesspoint" in options:
        if "tls" not in options:
            return 'The "tls" option is required when mounting via "accesspoint"'
        if not re.fullmatch(ACCESS_POINT, options["accesspoint"] or ""):
            return f"Access Point ID {options['accesspoint']} is malformed"
    if "iam" in options and "tls" not in options:
        return 'The "tls" option is required when mounting via "iam"'
    return None


def wrong_identity(options: Options) -> str | None:
    """Returns what it has against options that choose the role."""
    if "awsprofile" in options and "iam" not in options:
        return 'The "iam" option is required when mounting with named profile option, "awsprofile"'
    if "awscredsuri" in options:
        if "iam" not in options:
            return 'The "iam" option is required when mounting with "awscredsuri"'
        if "awsprofile" in options:
            return 'The "awscredsuri" and "awsprofile" options are mutually exclusive'
        if not (options["awscredsuri"] or "").startswith("/"):
            return f"awscredsuri {options['awscredsuri']} is malformed"
    return None


def make_key() -> None:
    """Makes the private key that all mounts of a client share, once.

    That of amazon-efs-utils is RSA, which takes up to a second to make; nothing here uses it.
    """
    if not KEY.exists():
        KEY.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", KEY],
            stdin=subprocess.DEVNULL,
            check=True,
        )
        KEY.with_suffix(".pem.pub").unlink(missing_ok=True)
        KEY.chmod(0o400)


def start_tunnel(file_system: str, target: str, options: Options) -> Path:
    """Leaves what the tunnel of a mount leaves, and a watchdog that runs; returns the state.

    Its name has a tilde in front until the mount is done.
    """
    port = options.get("tlsport") or str(20049 + secrets.randbelow(1000))
    note("INFO", f"binding {port}")
    options["tlsport"] = port
    name = f"{file_system}.{target.replace('/', '.').lstrip('.')}.{port}"
    STATE.mkdir(parents=True, exist_ok=True)
    certificate = make_certificate(file_system, f"{name}+", options) if "tls" in options else {}
    # Not waited for: the watchdog's unit comes after remote-fs.target, which waits for the mount.
    subprocess.Popen(
        ["systemctl", "start", "amazon-efs-mount-watchdog.service"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    config = STATE / f"stunnel-config.{name}"
    config.touch()
    command = ["/usr/sbin/efs-proxy", str(config)]
    command += ["--tls"] if "tls" in options else []
    command += ["--no-direct-s3-read"]
    state = {
        "pid": -1,
        "cmd": command,
        "files": [str(config)],
        "mount_time": time.time(),
        "mountpoint": target,
        "service_type": "elasticfilesystem",
        **certificate,
    }
    path = STATE / f"~{name}"
    path.write_text(json.dumps(state))
    note("INFO", f'Starting efs-proxy: "{" ".join(command)}"')
    return path


def make_certificate(file_system: str, folder: str, options: Options) -> dict[str, str]:
    """Makes the files of a client's certificate; returns what the state has of it."""
    for part in ("database", "certs"):
        (STATE / folder / part).mkdir(parents=True, exist_ok=True)
    make_key()
    files = ["config.conf", "request.csr", "certificate.pem"]
    files += ["database/index.txt", "database/index.txt.attr", "database/serial"]
    files += ["publicKey.pem"] if "iam" in options else []
    for file in files:
        (STATE / folder / file).touch()
    access_point = options.get("accesspoint")
    return {
        # Where the real one has found the instance's role.
        **({"awsCredentialsMethod": "metadata:"} if "iam" in options else {}),
        **({"accessPoint": access_point} if access_point else {}),
        "mountStateDir": folder,
        "commonName": socket.gethostname()[:64],
        "region": REGION,
        "certificateCreationTime": time.strftime("%y%m%d%H%M%SZ", time.gmtime()),
        "certificate": str(STATE / folder / "certificate.pem"),
        "privateKey": str(KEY),
        "fsId": file_system,
    }


def nfs_options(options: Options) -> str:
    """Returns the options of the NFS mount, in the order in which mount.efs passes them."""
    final = {**options, **{k: v for k, v in NFS_OPTIONS.items() if k not in options}}
    if "vers" in options:
        del final["nfsvers"]
    if "soft" in options:
        del final["hard"]
    if "tlsport" in options:
        final["port"] = options["tlsport"]
    return ",".join(
        name if value is None else f"{name}={value}"
        for name, value in final.items()
        if name not in NOT_OF_NFS
    )


def main() -> int:
    """Runs the helper, as mount(8) calls it: the source, the mount point, options."""
    source, target, *rest = sys.argv[1:]
    words = rest[rest.index("-o") + 1].split(",") if "-o" in rest else []
    options: Options = {}
    for word in words:
        name, has_value, value = word.partition("=")
        options[name] = value if has_value else None
    mode = chosen_mode()
    file_system = source.partition(":")[0].partition(".")[0]
    server = DNS_NAME.format(file_system) if PROGRAM == "mount.efs" else source.partition(":")[0]
    note("INFO", f"version={VERSION} options={options}")
    if not re.fullmatch(SOURCES[PROGRAM], source):
        return fail(f'Failed to resolve "{source.partition(":")[0]}"', 1)
    if PROGRAM == "mount.efs" and (wrong := wrong_options(options)):
        return fail(wrong, 1)
    if mode == "no-name":
        return fail(
            f'Failed to resolve "{server}" - check that your file system ID is correct, and ensure '
            "that the VPC has an EFS mount target for this file system ID.",
            1,
        )
    if mode == "silent":
        return fail(
            f"Failed to mount {file_system} because the network was not yet available, add "
            '"_netdev" to your mount options',
            0,
        )
    if os.path.ismount(target):
        return mounted_already(target)
    if PROGRAM == "mount.efs":
        state = start_tunnel(file_system, target, options)
        try:
            return mount(source, target, words, options, server)
        finally:
            state.rename(state.with_name(state.name.removeprefix("~")))
    return mount(source, target, words, options, server)


def mounted_already(target: str) -> int:
    """Reports that there is a mount: a success for mount.efs, and none for mount.nfs4."""
    if PROGRAM != "mount.efs":
        return fail(f"{target} is busy or already mounted or sharecache fail", 32)
    print(f"{target} is already mounted, please run 'mount' command to verify")
    note("WARNING", f"{target} is already mounted, mount aborted")
    return 0


def mount(source: str, target: str, words: list[str], options: Options, server: str) -> int:
    """Mounts the folder, or fails as where no server answers; returns the exit code."""
    mode = chosen_mode()
    path = source.partition(":")[2] or "/"
    command = f"/sbin/mount.nfs4 127.0.0.1:{path} {target} -o {nfs_options(options)}"
    note("INFO", f'Executing: "{command}" with 15 sec time limit.')
    if not STORE.is_dir() or mode == "unreachable":
        return fail("Connection timed out", 32)
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    with RECORD.open("a") as record:
        print(
            json.dumps({"program": PROGRAM, "source": source, "target": target, "options": words}),
            file=record,
        )
    code = subprocess.run(["/bin/mount", "--bind", STORE, target], check=False).returncode
    if code:
        return fail(f"Failed to mount {server} at {target}: returncode={code}", code)
    note("INFO", f"Successfully mounted {server} at {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
