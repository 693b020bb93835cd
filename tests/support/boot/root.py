"""A Debian with a kernel, an initial RAM disk and an NFS client: what baked images boot with here.

The sandbox's machines share the host's kernel and mount nothing over a network, so their Debian
has neither. This one is made by debootstrap once and kept in `mngen/boot` in the user's cache
folder, under a name that follows from all that it is made of. It has a separate lock: a bake
at the same time does not wait for it.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from mngen.sandbox.machines import _debian
from tests.support.boot.modules import UNREAD, lightened
from tests.support.kept import kept_folder

if TYPE_CHECKING:
    from pathlib import Path

_PACKAGES = (
    *("dbus", "initramfs-tools", "kmod", "linux-image-cloud-amd64", "nfs-common"),
    *("systemd-sysv", "udev"),
    # What makes the scratch space.
    *("mdadm", "xfsprogs"),
    # What Amazon's mount helper calls, where a developer has it mount.
    *("openssl", "stunnel4"),
)
# What the disk, the root file system and the network need, and nothing else: an emulated processor
# takes long to unpack and load all modules.
_SETTINGS = {
    "etc/initramfs-tools/conf.d/mngen": "MODULES=list\nCOMPRESS=gzip\n",
    "usr/share/initramfs-tools/modules.d/mngen": "virtio_pci\nvirtio_blk\nvirtio_net\next4\n",
}
# It has the initial RAM disk load the modules of all kinds of RAID, one of which measures first
# which of its algorithms is the fastest.
_REMOVED = (
    "usr/share/initramfs-tools/hooks/mdadm",
    "usr/share/initramfs-tools/scripts/local-block/mdadm",
    "usr/share/initramfs-tools/scripts/local-bottom/mdadm",
)
# It has udev process all devices and subsystems of the kernel, some hundreds. The disk and the
# network are on PCI; their events follow from the modules that are loaded for that.
_UDEV = "usr/share/initramfs-tools/scripts/init-top/udev"
_TRIGGERS = """\
udevadm trigger --type=subsystems --action=add
udevadm trigger --type=devices --action=add
"""
_FEWER = "udevadm trigger --type=devices --action=add --subsystem-match=pci\n"


def boot_root() -> Path:
    """Returns the folder; the first call makes it, which takes a minute or two and 300 MB.

    Nothing may write to it.

    Raises:
        ToolError: debootstrap failed.
        CalledProcessError: The initial RAM disk could not be made.
    """
    recipe = (
        *(_debian.RECIPE, *_PACKAGES, *_SETTINGS, *_SETTINGS.values()),
        *(*UNREAD, *_REMOVED, _TRIGGERS, _FEWER),
    )
    return kept_folder("boot", "debian", recipe, _build)


def kernel_of(root: Path) -> tuple[Path, Path]:
    """Returns the kernel and the initial RAM disk of a folder that `boot_root` made."""
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    (initrd,) = (root / "boot").glob("initrd.img-*")
    return kernel, initrd


def _build(place: Path) -> None:
    for name, text in _SETTINGS.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _debian.build(place, _PACKAGES)
    for module in (place / "usr/lib/modules").rglob("*.ko"):
        module.write_bytes(lightened(module.read_bytes()))
    for name in _REMOVED:
        (place / name).unlink()
    script = (place / _UDEV).read_text(encoding="utf-8")
    assert _TRIGGERS in script, script
    (place / _UDEV).write_text(script.replace(_TRIGGERS, _FEWER), encoding="utf-8")
    alone = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--root", str(place))
    subprocess.run(
        [*alone, "update-initramfs", "-u"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
