"""Stand-in for mount.lustre of lustre-client 2.15: mounts the folder /srv/fsx in its place.

As the real one it takes its own options out of those of mount(8), passes the others on, refuses
what the client does not know, and exits with the number of the error. Without the folder it fails
as the real one does where no server answers.

Unlike the real one it mounts by a bind mount, so that /proc/mounts does not show `lustre`; there is
no client of Lustre in this kernel. It resolves no name, and mounts clients only, no targets.

How it behaves is chosen by a line in /srv/fsx.mode: `late N` fails until /proc/uptime shows N,
`no-name` fails as where the name does not resolve, `no-module` as where the kernel has no client,
`name NAME` as where the file system has another mount name than NAME.

Source: github.com/lustre/lustre-release 2.15, lustre/utils/mount_lustre.c (convert_hostnames,
parse_options, opt_map, the words of each error), lustre/llite/llite_lib.c (ll_sbi_flags_name).
"""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

STORE = Path("/srv/fsx")
RECORD = Path("/run/mngen-machine/mounts")
MODE = Path("/srv/fsx.mode")
PROGRAM = Path(sys.argv[0]).name
SOURCE = re.compile(r"(?P<nids>[^/\s]+):/(?P<name>[A-Za-z0-9_.-]+)")
# Those of mount(8), which are not passed on. They are compared by their beginning.
OF_MOUNT = (
    *("defaults", "remount", "rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev"),
    *("sync", "async", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime"),
    *("strictatime", "auto", "noauto", "nousers", "nouser", "noowner", "_netdev", "loop"),
    *("retry=", "force"),
)
# What the client itself knows.
OF_CLIENT = (
    *("nolock", "flock", "localflock", "noflock", "user_xattr", "nouser_xattr", "checksum"),
    *("nochecksum", "lruresize", "nolruresize", "lazystatfs", "nolazystatfs", "32bitapi"),
    *("user_fid2path", "nouser_fid2path", "verbose", "noverbose", "always_ping", "encrypt"),
    *("noencrypt", "test_dummy_encryption", "foreign_symlink", "exclude", "mgssec"),
)
WORDS = {
    errno.ENODEV: "Are the lustre modules loaded?\nCheck /etc/modprobe.conf and /proc/filesystems",
    errno.EIO: "Is the MGS running?",
    errno.EINVAL: "This may have multiple causes.\nIs '{name}' the correct filesystem name?\n"
    "Are the mount options correct?\nCheck the syslog for more info.",
}


def unknown(options: list[str]) -> list[str]:
    """Returns the options that neither the helper nor the client knows."""
    passed_on = [each for each in options if each and not each.startswith(OF_MOUNT)]
    return [each for each in passed_on if each.partition("=")[0] not in OF_CLIENT]


def fail(source: str, target: str, number: int, name: str) -> int:
    """Prints why nothing was mounted; returns the exit code."""
    print(f"{PROGRAM}: mount {source} at {target} failed: {os.strerror(number)}", file=sys.stderr)
    if number in WORDS:
        print(WORDS[number].format(name=name), file=sys.stderr)
    return number


def main() -> int:
    """Runs the helper, as mount(8) calls it: the source, the mount point, options."""
    source, target, *rest = sys.argv[1:]
    options = rest[rest.index("-o") + 1].split(",") if "-o" in rest else []
    mode = MODE.read_text().split() if MODE.exists() else []
    found = SOURCE.fullmatch(source)
    if found is None or "@tcp" not in found["nids"] or mode[:1] == ["no-name"]:
        print(f"{PROGRAM}: Can't parse NID '{source}'", file=sys.stderr)
        return errno.EINVAL
    name = found["name"]
    if os.path.ismount(target):
        print(
            f"{PROGRAM}: according to /etc/mtab {source} is already mounted on {target}",
            file=sys.stderr,
        )
        return errno.EEXIST
    if mode[:1] == ["no-module"]:
        return fail(source, target, errno.ENODEV, name)
    if unknown(options) or (mode[:1] == ["name"] and mode[1] != name):
        return fail(source, target, errno.EINVAL, name)
    up = float(Path("/proc/uptime").read_text().split()[0])
    if not STORE.is_dir() or (mode[:1] == ["late"] and up < float(mode[1])):
        return fail(source, target, errno.EIO, name)
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    with RECORD.open("a") as record:
        line = {"program": PROGRAM, "source": source, "target": target, "options": options}
        print(json.dumps(line), file=record)
    return subprocess.run(["/bin/mount", "--bind", STORE, target], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
