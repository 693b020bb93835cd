"""Stand-in for dnf, yum and amazon-linux-extras: installs a package's files and records it.

`/usr/share/mngen-machine/packages/<name>/` holds what a package installs. Like the real ones it
leaves a cache and a log behind. The package `kernel` of Amazon Linux 2023 adds a BLS entry, whose
arguments are those of /etc/kernel/cmdline or, without that, of the kernel that runs.

Source: dnf(8); Fedora's 20-grub.install, which kernel-install runs, for the kernel's entry.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

REPOSITORY = Path("/usr/share/mngen-machine/packages")
INSTALLED = Path("/var/lib/mngen-machine/installed")
REQUIRES = {"amazon-efs-utils": ("nfs-utils",)}
ENTRIES = Path("/boot/loader/entries")
KERNEL = "6.1.155-176.282.amzn2023.x86_64"


def installed() -> list[str]:
    """Returns the names of the packages that were installed, in their order."""
    return INSTALLED.read_text().split() if INSTALLED.exists() else []


def install(name: str) -> None:
    """Installs a package, after those that it needs."""
    for required in REQUIRES.get(name, ()):
        install(required)
    if name in installed():
        print(f"Package {name} is already installed.")
        return
    shutil.copytree(REPOSITORY / name, "/", symlinks=True, dirs_exist_ok=True)
    INSTALLED.parent.mkdir(parents=True, exist_ok=True)
    with INSTALLED.open("a") as record:
        print(name, file=record)
    print(f"Installed:\n  {name}")


def add_entry() -> None:
    """Adds the boot entry of a new kernel."""
    own = Path("/etc/kernel/cmdline")
    words = (own if own.exists() else Path("/proc/cmdline")).read_text().split()
    options = " ".join(word for word in words if not word.startswith(("BOOT_IMAGE=", "initrd=")))
    machine = Path("/etc/machine-id").read_text().strip()
    (ENTRIES / f"{machine}-{KERNEL}.conf").write_text(
        f"title Amazon Linux ({KERNEL}) 2023\nversion {KERNEL}\nlinux /boot/vmlinuz-{KERNEL}\n"
        f"initrd /boot/initramfs-{KERNEL}.img\noptions {options}\n"
    )


def main() -> int:
    """Runs the command."""
    program = Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("action", choices=["install", "clean"])
    parser.add_argument("names", nargs="+")
    parser.add_argument("-y", "--assumeyes", action="store_true")
    parser.add_argument("--setopt", action="append", default=[])
    options = parser.parse_intermixed_args()
    manager = "dnf" if program == "dnf" else "yum"
    cache = Path("/var/cache") / manager
    if options.action == "clean":
        for path in cache.glob("*"):
            shutil.rmtree(path)
        return 0
    unknown = [name for name in options.names if not (REPOSITORY / name).is_dir()]
    for name in unknown:
        print(f"No match for argument: {name}", file=sys.stderr)
    if unknown:
        print(f"Error: Unable to find a match: {' '.join(unknown)}", file=sys.stderr)
        return 1
    if not options.assumeyes:
        print("Operation aborted.", file=sys.stderr)
        return 1
    if set(options.names) <= set(installed()):
        print("Nothing to do.")
    for name in options.names:
        install(name)
        if name == "kernel":
            add_entry()
    (cache / "amazonlinux").mkdir(parents=True, exist_ok=True)
    (cache / "amazonlinux" / "repomd.xml").write_text("<repomd/>\n")
    with (Path("/var/log") / f"{manager}.log").open("a") as log:
        print("installed:", *options.names, file=log)
    return 0


if __name__ == "__main__":
    sys.exit(main())
