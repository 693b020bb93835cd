"""The file systems that the sandbox's machines start from: Debian, made to look like Amazon's.

Two layers for overlayfs. The lower one is a small Debian that debootstrap makes, the upper one a
few files that make it look like Amazon Linux 2023 or 2: programs that Debian lacks, boot
configuration, the user `ec2-user`, what a base image leaves behind. Both are made once and kept in
the user's cache folder, each under a name that follows from all that it is made of; the folder
`mngen/machines` there may be removed whenever no machine runs. `_kept` removes old ones.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mngen import parts
from mngen._files import locked_file, make_private
from mngen.errors import ToolError
from mngen.sandbox.machines import _debian, _kept
from mngen.sandbox.machines._groups import TOPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BASES = ("amazon-linux-2023", "amazon-linux-2")
"""The bases that a machine can look like, as the spec's `image.base` names them."""

USER = "ec2-user"
"""Who may log in, and has sudo without a password."""

_USER_ID = 1000
_SOURCES = Path(__file__).parent / "stand_ins"
_PYTHON = Path("usr/libexec/mngen-machine/python3")
_REPOSITORY = Path("usr/share/mngen-machine/packages")
_WANTED_BY_BOOT = Path("etc/systemd/system/multi-user.target.wants")

# Where each program of `machine/` goes.
_PROGRAMS = {
    "usr/sbin/grubby": "grubby.py",
    "usr/sbin/grub2-mkconfig": "grub2_mkconfig.py",
    "usr/bin/cloud-init": "cloud_init.py",
    "usr/bin/docker": "docker.py",
    # The ECS-optimized images have amazon-efs-utils; it can also be installed where it was removed.
    # Source: github.com/aws/amazon-ecs-ami, variables.pkr.hcl
    "usr/sbin/mount.efs": "mount_efs.py",
    "usr/sbin/mount.nfs4": "mount_efs.py",
    "usr/bin/amazon-efs-mount-watchdog": "efs_watchdog.py",
    f"{_REPOSITORY}/amazon-efs-utils/usr/sbin/mount.efs": "mount_efs.py",
    f"{_REPOSITORY}/amazon-efs-utils/usr/bin/amazon-efs-mount-watchdog": "efs_watchdog.py",
    f"{_REPOSITORY}/nfs-utils/usr/sbin/mount.nfs4": "mount_efs.py",
    # The package of Amazon Linux 2023, and the topic of amazon-linux-extras.
    f"{_REPOSITORY}/lustre-client/usr/sbin/mount.lustre": "mount_lustre.py",
    f"{_REPOSITORY}/lustre/usr/sbin/mount.lustre": "mount_lustre.py",
    # The root file system is XFS, so what makes one is there.
    "usr/sbin/mkfs.xfs": "no_disks.py",
    "etc/python3.11/sitecustomize.py": "zip_imports.py",
    f"{_REPOSITORY}/mdadm/usr/sbin/mdadm": "no_disks.py",
}
_BASE_PROGRAMS = {
    "amazon-linux-2023": {"usr/bin/dnf": "packages.py", "usr/bin/yum": "packages.py"},
    # No Python of Amazon Linux 2 is new enough for Ansible until amazon-linux-extras installs one.
    "amazon-linux-2": {
        "usr/bin/yum": "packages.py",
        "usr/bin/amazon-linux-extras": "packages.py",
        "usr/bin/python3": "python37.py",
    },
}
# What Amazon's system has not. From D-Bus's copy, Debian's systemd would fill an empty machine-id.
_ABSENT = (
    *("etc/debian_version", "usr/bin/apt", "usr/bin/apt-get", "usr/bin/dpkg"),
    "var/lib/dbus/machine-id",
)
_BASE_ABSENT = {
    "amazon-linux-2023": (),
    "amazon-linux-2": ("usr/bin/python3.11",),
}
# What the recipe of the ECS-optimized images enables, and what Amazon Linux itself does. Docker is
# not among them: ecs.service wants it.
# Source: github.com/aws/amazon-ecs-ami, scripts/enable-services.sh
_ENABLED = (
    *("ecs", "amazon-ecs-volume-plugin", "amazon-ssm-agent"),
    *("auditd", "cloud-init", "cloud-final"),
)
# Units of Debian that have nothing to do on these machines.
_MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"),
    *("console-getty.service", "getty@tty1.service", "e2scrub_reap.service", "user@.service"),
)
# Of systemd's generators, which run at boot and whenever units are read again, those that look for
# something that these machines do not have. Source: systemd.generator(7) and the page of each.
_MASKED_GENERATORS = (
    *("cryptsetup", "debug", "getty", "gpt-auto", "hibernate-resume", "integritysetup", "rc-local"),
    *("run", "system-update", "sysv", "veritysetup"),
)
_MODES = {
    f"home/{USER}": 0o700,
    "etc/sudoers.d/90-cloud-init-users": 0o440,
    "etc/shadow": 0o640,
    "etc/gshadow": 0o640,
}
_PROGRAM_FOLDERS = ("usr/bin", "usr/sbin", "usr/libexec")


def machines_unavailable() -> str | None:
    """Returns in a sentence why this computer can run no machines; None if it can."""
    found = parts.trouble("machines")
    return None if found is None else found.message


def init_unavailable() -> str | None:
    """Returns in a sentence why machines have no init here; None if they boot their own.

    Without one, a machine is a chroot with an sshd: nothing is started at boot, and nothing is
    logged. What a bake does is then shown less than where systemd runs.
    """
    if parts.missing("nspawn"):
        return "without systemd-nspawn (package systemd-container), emulated instances have no init"
    if not any(os.access(top / "cgroup.procs", os.W_OK) for top in TOPS):
        return "without control groups, emulated instances have no init"
    return None


def machine_layers(base: str) -> tuple[Path, ...]:
    """Returns the folders that a machine's file system is made of, the topmost first.

    They are for `lowerdir` of an overlay mount, joined by colons; nothing may write to them. The
    first call makes them, which takes a minute and some 300 MB; processes that ask at the same
    time wait for one another. There are no SSH host keys in them: who starts a machine makes its
    own.

    Args:
        base: One of `BASES`.

    Raises:
        ToolError: This computer can run no machines, or debootstrap failed.
        ValueError: There is no such base.
    """
    if base not in BASES:
        raise ValueError(base)
    parts.require("machines")
    folder = _cache()
    debian_key = _digest(_debian.RECIPE)
    debian = folder / f"debian-{debian_key}"
    layer = folder / f"{base}-{_digest(debian_key, base, *_recipe(base))}"
    with _locked(folder):
        new = not (debian.is_dir() and layer.is_dir())
        _make(debian, _debian.build)
        _make(layer, lambda place: _build_layer(place, base, debian))
        for place in (debian, layer):
            _kept.hold(place)
        if new:
            _kept.remove_unused(folder)
    return layer, debian


def _make(place: Path, build: Callable[[Path], None]) -> None:
    """Builds a folder whole or not at all. The caller holds the lock."""
    if place.is_dir():
        return
    for left_by_a_crash in place.parent.glob("making-*"):
        shutil.rmtree(left_by_a_crash)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=place.parent))
    try:
        making.chmod(0o755)
        build(making)
        making.rename(place)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _build_layer(place: Path, base: str, debian: Path) -> None:
    """Lays what makes Debian look like one of Amazon's systems."""
    for tree in ("common", base):
        shutil.copytree(_SOURCES / "files" / tree, place, dirs_exist_ok=True)
    for name, source in (_PROGRAMS | _BASE_PROGRAMS[base]).items():
        text = (_SOURCES / source).read_text(encoding="utf-8")
        _write(place / name, f"#!/{_PYTHON}\n{text}")
    # With /var/log/journal, journald keeps what it logs.
    empty_folders = (
        *("srv/efs", "srv/fsx", "var/log/journal"),
        *(f"home/{USER}", f"{_REPOSITORY}/kernel/boot"),
    )
    for empty in empty_folders:
        (place / empty).mkdir(parents=True, exist_ok=True)
    _lay_links(place, base)
    _lay_python(place, base, debian)
    _lay_user(place, debian)
    _set_modes(place, debian)
    for name in (*_ABSENT, *_BASE_ABSENT[base]):
        whiteout = place / name
        whiteout.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(whiteout, stat.S_IFCHR, os.makedev(0, 0))


def _lay_links(place: Path, base: str) -> None:
    """Makes the links, which a wheel cannot carry: units, and bash as the shell."""
    links = {
        _WANTED_BY_BOOT / f"{unit}.service": f"/usr/lib/systemd/system/{unit}.service"
        for unit in _ENABLED
    }
    links |= {Path("etc/systemd/system") / unit: "/dev/null" for unit in _MASKED}
    for generator in _MASKED_GENERATORS:
        program = f"etc/systemd/system-generators/systemd-{generator}-generator"
        links[Path(program)] = "/dev/null"
    links[Path("usr/bin/sh")] = "bash"
    if base == "amazon-linux-2023":
        # /tmp is in memory there. Source: docs.aws.amazon.com/linux/al2023/ug
        for folder in ("", "local-fs.target.wants/"):
            links[Path(f"etc/systemd/system/{folder}tmp.mount")] = "/usr/share/systemd/tmp.mount"
    for name, target in links.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).symlink_to(target)


def _lay_python(place: Path, base: str, debian: Path) -> None:
    """Gives the stand-ins a Python that is there whatever the system calls its own."""
    interpreter = place / _PYTHON
    interpreter.parent.mkdir(parents=True, exist_ok=True)
    if base == "amazon-linux-2":
        shutil.copy2(debian / "usr/bin/python3", interpreter)
        packaged = place / _REPOSITORY / "python3.8/usr/bin/python3.8"
        packaged.parent.mkdir(parents=True)
        packaged.symlink_to(f"/{_PYTHON}")
    else:
        interpreter.symlink_to("/usr/bin/python3")


def _lay_user(place: Path, debian: Path) -> None:
    """Adds the user that Amazon's images log in, without a password but not locked."""
    lines = {
        "passwd": f"{USER}:x:{_USER_ID}:{_USER_ID}:EC2 Default User:/home/{USER}:/bin/bash",
        "shadow": f"{USER}:*:19700:0:99999:7:::",
        "group": f"{USER}:x:{_USER_ID}:",
        "gshadow": f"{USER}:!::",
    }
    for name, line in lines.items():
        text = (debian / "etc" / name).read_text(encoding="utf-8")
        _write(place / "etc" / name, f"{text}{line}\n")


def _set_modes(place: Path, debian: Path) -> None:
    """Gives each file the mode and owner that it has in Debian, or ought to have."""
    for path in [place, *place.rglob("*")]:
        if path.is_symlink():
            continue
        name = path.relative_to(place).as_posix()
        below = debian / name
        if path.is_dir() and below.is_dir():
            shutil.copystat(below, path)
        else:
            program = any(part in name for part in _PROGRAM_FOLDERS)
            path.chmod(0o755 if path.is_dir() or program else 0o644)
        if name in _MODES:
            path.chmod(_MODES[name])
        if f"{name}/".startswith(f"home/{USER}/"):
            os.chown(path, _USER_ID, _USER_ID)
        elif below.exists():
            os.chown(path, below.stat().st_uid, below.stat().st_gid)


def _recipe(base: str) -> list[str]:
    """Lists what a layer follows from: this module and every file that goes into it."""
    files = [
        *_SOURCES.glob("*.py"),
        *(path for tree in ("common", base) for path in (_SOURCES / "files" / tree).rglob("*")),
    ]
    return [
        _digest(Path(__file__).read_bytes()),
        *(
            f"{path.relative_to(_SOURCES)} {_digest(path.read_bytes())}"
            for path in sorted(files)
            if path.is_file()
        ),
    ]


def _cache() -> Path:
    """Returns the folder of the layers, closed to all other users.

    Raises:
        ToolError: It cannot be made.
    """
    folder = parts.cache_folder()
    try:
        make_private(folder)
    except OSError as error:
        raise ToolError(
            f"cannot make {folder}: {error.strerror}",
            hint="set XDG_CACHE_HOME to a folder that can be written to",
        ) from error
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock: of several processes that need a layer, one makes it."""
    with locked_file(folder / "lock"):
        yield


def _digest(*parts: str | bytes) -> str:
    """Returns a short name for contents."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:%b" % (len(content), content))
    return digest.hexdigest()[:16]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
