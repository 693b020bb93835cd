"""A Debian with a kernel, an initial RAM disk and an NFS client: what baked images boot with here.

The sandbox's machines share the host's kernel and mount nothing over a network, so their Debian
has neither. This one is made by debootstrap once and kept in `mngen/boot` in the user's cache
folder, under a name that follows from all that it is made of. It has a separate lock: a bake
at the same time does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.sandbox.machines import _debian, _kept
from mngen.sandbox.machines._root import _cache, _digest, _locked, _make

if TYPE_CHECKING:
    from pathlib import Path

_PACKAGES = (
    *("dbus", "initramfs-tools", "kmod", "linux-image-cloud-amd64", "nfs-common"),
    *("systemd-sysv", "udev"),
    # What Amazon's mount helper calls, where a developer has it mount.
    *("openssl", "stunnel4"),
)
# What the disk, the root file system and the network need, and nothing else: an emulated processor
# takes long to unpack and load all modules.
_SETTINGS = {
    "etc/initramfs-tools/conf.d/mngen": "MODULES=list\nCOMPRESS=gzip\n",
    "usr/share/initramfs-tools/modules.d/mngen": "virtio_pci\nvirtio_blk\nvirtio_net\next4\n",
}


def boot_root() -> Path:
    """Returns the folder; the first call makes it, which takes a minute or two and 300 MB.

    Nothing may write to it. Of those of other versions, the machines' rule keeps the latest.

    Raises:
        ToolError: debootstrap failed.
    """
    folder = _cache().with_name("boot")
    folder.mkdir(mode=0o700, exist_ok=True)
    recipe = (_debian.RECIPE, *_PACKAGES, *_SETTINGS, *_SETTINGS.values())
    place = folder / f"debian-{_digest(*recipe)}"
    with _locked(folder):
        _make(place, _build)
        _kept.hold(place)
        _kept.remove_unused(folder)
    return place


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
