"""A small Debian in a folder, made by debootstrap from where this computer's apt gets packages."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SUITE = "bookworm"
_PACKAGES = (
    *("curl", "dbus", "gpg", "iproute2", "libpam-systemd", "openssh-server"),
    *("python3", "sudo", "systemd", "systemd-sysv"),
)
_SCHEMES = ("http://", "https://", "file:/")
_SECONDS = 3600.0
_LAST_LINES = 6

# A cache can be made again after a crash, so nothing waits for the disk; manuals are not needed.
_DPKG = """\
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
"""
_LEFTOVERS = (
    "etc/dpkg/dpkg.cfg.d/mngen-machine",
    "etc/ssh/ssh_host_*",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/lib/apt/lists/*",
    "var/log/*.log",
    "var/log/apt/*",
)
# What debootstrap copies from this computer must not get into a machine.
_OF_THIS_COMPUTER = ("etc/hostname", "etc/resolv.conf")

RECIPE = "\n".join((_SUITE, *_PACKAGES, _DPKG, *_LEFTOVERS, *_OF_THIS_COMPUTER))
"""What the result follows from, apart from the state of the archive."""


def build(place: Path, more: Sequence[str] = (), *, suite: str = _SUITE) -> None:
    """Makes a minimal Debian in an empty folder; as root, in a minute or so.

    Args:
        place: The folder. Files that are there already stay.
        more: Further packages.
        suite: The release, by its code name.

    Raises:
        ToolError: debootstrap failed.
    """
    settings = place / "etc/dpkg/dpkg.cfg.d/mngen-machine"
    settings.parent.mkdir(parents=True)
    settings.write_text(_DPKG, encoding="utf-8")
    for made in (settings, *list(settings.parents)[:3]):
        # Not as the umask has it: debootstrap leaves what is there.
        made.chmod(0o644 if made is settings else 0o755)
    # However this process or debootstrap ends, what debootstrap started and mounted ends too.
    command = ["setpriv", "--pdeathsig", "KILL"]
    command += ["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    command += ["debootstrap", "--variant=minbase", f"--include={','.join((*_PACKAGES, *more))}"]
    command += [suite, str(place), *_mirror()]
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": _path(), **_proxies()},
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"debootstrap timed out after {_SECONDS:.0f} seconds",
                hint="check that apt-get works",
            ) from error
        log.seek(0)
        said = log.read().decode(errors="replace").splitlines()
    if process.returncode:
        raise ToolError(
            "debootstrap failed: " + "\n".join(said[-_LAST_LINES:]),
            hint="check that apt-get works: emulated instances are made from Debian packages",
        )
    for pattern in _LEFTOVERS:
        for path in place.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for name in _OF_THIS_COMPUTER:
        (place / name).unlink(missing_ok=True)


def _path() -> str:
    """Returns where debootstrap is, and what it calls, though a user's PATH may leave that out."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _mirror() -> list[str]:
    """Returns where apt gets Debian 12, as debootstrap's argument; none where apt has it not.

    The same archive has the other releases.
    """
    form = "$(RELEASE) $(COMPONENT) $(REPO_URI)"
    wanted = f"{_SUITE} main "
    for line in _asked("apt-get", "indextargets", "--format", form, "Created-By: Packages"):
        uri = line.removeprefix(wanted)
        if uri != line and uri.startswith(_SCHEMES):
            return [uri]
    return []


def _proxies() -> dict[str, str]:
    """Returns apt's proxies, as what debootstrap calls reads them."""
    names = {"http_proxy": "Acquire::http::Proxy", "https_proxy": "Acquire::https::Proxy"}
    asked = [word for pair in names.items() for word in pair]
    proxies = {}
    for line in _asked("apt-config", "shell", *asked):
        name, _, value = "".join(shlex.split(line)).partition("=")
        proxies[name] = "" if value == "DIRECT" else value
    return proxies


def _asked(*command: str) -> list[str]:
    """Returns the lines that a command of apt answers; none where there is no apt."""
    try:
        answer = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.splitlines()
