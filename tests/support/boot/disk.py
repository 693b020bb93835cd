"""Makes a disk of a baked image, and looks into it afterwards."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.sandbox.machines._image import mounted

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILES = Path(__file__).with_name("files")
_UNITS = "etc/systemd/system"
_USERS = ("passwd", "group", "shadow", "gshadow")
_SIZE = 2 << 30
# No user logs in, and an emulated processor takes long to make keys; `ssh-keygen -A` makes none
# where there are files.
_KEYS = tuple(f"etc/ssh/ssh_host_{kind}_key" for kind in ("ecdsa", "ed25519", "rsa"))

# What a node needs at boot that the sandbox's Debian has not; and what is not waited for here.
_ENABLED = {
    "rig-disks.service": "multi-user.target",
    "rig-journal.service": "sysinit.target",
    "rig-report.service": "multi-user.target",
    "rig-shells.service": "multi-user.target",
    "systemd-networkd.service": "multi-user.target",
    "systemd-networkd-wait-online.service": "network-online.target",
}
_MASKED = (
    # Its vhangup cuts off what units write to the console.
    "serial-getty@ttyS0.service",
    "getty@tty1.service",
    "ssh.service",
    # NFS 4 needs none, and their users are not in a baked image.
    *("rpcbind.service", "rpcbind.socket", "rpc-statd-notify.service"),
    # The rest is only slow: what has to do with devices was done in the initial RAM disk.
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer"),
    *("dbus.service", "dbus.socket", "e2scrub_all.timer", "e2scrub_reap.service"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "kmod-static-nodes.service", "modprobe@.service"),
    *("proc-sys-fs-binfmt_misc.automount", "sys-fs-fuse-connections.mount"),
    *("sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("systemd-binfmt.service", "systemd-logind.service", "systemd-sysusers.service"),
    *("systemd-tmpfiles-setup-dev.service", "systemd-udev-trigger.service"),
    *("systemd-update-utmp.service", "systemd-update-utmp-runlevel.service"),
    # Stand-ins of the base that have nothing to do with mounts and CPUs.
    *("amazon-ecs-volume-plugin.service", "amazon-ecs-volume-plugin.socket"),
    *("amazon-ssm-agent.service", "auditd.service"),
)
# Programs that the sandbox stands in for, and Debian has.
_REAL = {"usr/sbin/mount.nfs4": "mount.nfs"}
# Likewise, but as files: a link to itself would lead nowhere.
_COPIED = ("usr/sbin/mdadm", "usr/sbin/mkfs.xfs")
# Without metadata and with host keys it has nothing to do, and starts Python to find that out. Its
# units keep their place in the order.
_IDLE = ("usr/bin/cloud-init",)
# Debian refills an empty /etc/machine-id from it; Amazon's system does not.
_ABSENT = ("var/lib/dbus/machine-id",)


def make_disk(image: Path, layers: Sequence[Path], root: Path, rig: Path) -> None:
    """Makes a disk of what was baked, over a Debian that has a kernel's modules.

    Args:
        image: The disk to make, a file.
        layers: What was baked and what it was baked on, topmost first, without the sandbox's
            Debian.
        root: What `boot_root` made, in the place of the sandbox's Debian.
        rig: A folder that does not exist yet, for what this adds.
    """
    with mounted([*layers, root]) as view:
        _lay_rig(rig, view, root)
        fstab = (view / "etc/fstab").read_text(encoding="utf-8")
    (uuid,) = re.findall(r"^UUID=(\S+)\s+/\s", fstab, flags=re.MULTILINE)
    # Amazon's root is XFS, which no program makes out of a folder.
    (rig / "etc/fstab").write_text(fstab.replace(" xfs ", " ext4 "), encoding="utf-8")
    with image.open("wb") as file:
        file.truncate(_SIZE)
    with mounted([rig, *layers, root]) as view:
        subprocess.run(
            # The disk that the kernel's command line and fstab name.
            ["mkfs.ext4", "-q", "-F", "-U", uuid, "-d", view, image],
            stdin=subprocess.DEVNULL,
            check=True,
        )


def _lay_rig(rig: Path, view: Path, root: Path) -> None:
    shutil.copytree(_FILES, rig)
    for unit, target in _ENABLED.items():
        link = rig / _UNITS / f"{target}.wants" / unit
        link.parent.mkdir(parents=True, exist_ok=True)
        own = (rig / _UNITS / unit).exists()
        link.symlink_to(f"/{_UNITS}/{unit}" if own else f"/usr/lib/systemd/system/{unit}")
    for unit in _MASKED:
        (rig / _UNITS / unit).symlink_to("/dev/null")
    for name in _KEYS:
        (rig / name).parent.mkdir(parents=True, exist_ok=True)
        (rig / name).write_text("no key\n", encoding="utf-8")
    for name, target in (_REAL | dict.fromkeys(_IDLE, "/usr/bin/true")).items():
        (rig / name).parent.mkdir(parents=True, exist_ok=True)
        (rig / name).symlink_to(target)
    for name in _COPIED:
        (rig / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, rig / name)
    for name in _ABSENT:
        (rig / name).parent.mkdir(parents=True, exist_ok=True)
        os.mknod(rig / name, stat.S_IFCHR, os.makedev(0, 0))
    for name in _USERS:
        own_lines = (root / "etc" / name).read_text(encoding="utf-8").splitlines()
        known = {line.split(":")[0] for line in own_lines}
        baked = (view / "etc" / name).read_text(encoding="utf-8").splitlines()
        lines = own_lines + [line for line in baked if line.split(":")[0] not in known]
        (rig / "etc" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        shutil.copystat(root / "etc" / name, rig / "etc" / name)


def contents(image: Path, *folders: str) -> dict[str, str]:
    """Returns what lies in folders of a disk that no guest uses: each file with what it is.

    Modes, owners, links and contents count; times do not.
    """
    place = image.with_suffix(".mounted")
    place.mkdir(exist_ok=True)
    script = 'mount -o ro,loop "$1" "$2" && shift && exec tar -c -C "$@"'
    command = ["unshare", "--mount", "/bin/sh", "-c", script, "sh", str(image), str(place)]
    found = {}
    with (
        subprocess.Popen([*command, *folders], stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            digest = hashlib.sha256(file.read()).hexdigest() if file else member.linkname
            facts = f"{member.type!r} {member.mode:o} {member.uid}:{member.gid}"
            found[member.name] = f"{facts} {digest}"
        # tar fills its last record after the end that `tarfile` stops at.
        while process.stdout and process.stdout.read(tarfile.RECORDSIZE):
            pass
    assert process.returncode == 0, process.returncode
    return found
