"""A developer's run of Amazon's own mount helper, to compare the sandbox's stand-in with.

    python -m tests.support.boot.efs_utils CHECKOUT

CHECKOUT is a clone of https://github.com/aws/efs-utils. Its files are laid over a baked AMI, which
then mounts over TLS from an NFS server that runs here, with a certificate authority made for the
run. Nothing of it is built, and nothing of it stays. What the helper left on the node is printed:
compare it with generator/mngen/sandbox/machines/stand_ins/mount_efs.py.

Differences from Amazon Linux: stunnel carries the traffic instead of efs-proxy, which would have to
be compiled (the mount option `stunnel`), and botocore is absent.

Source: amazon-efs-utils.spec (%install) for where each file goes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mngen.sandbox.machines._root import machine_layers
from tests.support.boot.disk import make_disk
from tests.support.boot.guest import Boot, Processors, guest
from tests.support.boot.root import boot_root, kernel_of
from tests.support.machines import booted
from tests.support.playbooks import play, variables

_BASE = "amazon-linux-2023"
_NAME = "fs-0123456789abcdef0.efs.us-east-1.amazonaws.com"
_SECONDS = 1800.0
_PROGRAMS = {
    "usr/sbin/mount.efs": "src/mount_efs/__init__.py",
    "usr/bin/amazon-efs-mount-watchdog": "src/watchdog/__init__.py",
}
_FILES = {
    "usr/lib/systemd/system/amazon-efs-mount-watchdog.service": (
        "dist/amazon-efs-mount-watchdog.service"
    ),
    "etc/amazon/efs/efs-utils.conf": "dist/efs-utils.conf",
}
_FOLDERS = {
    "usr/sbin/efs_utils_common": "src/efs_utils_common",
    "usr/sbin/mount_efs": "src/mount_efs",
}
_AUTHORITY = "etc/amazon/efs/mngen-test.crt"
_MORE = """
sed 's/^/mount.log: /' /var/log/amazon/efs/mount.log
for file in $(find /etc/amazon/efs /run/efs /var/log/amazon/efs); do
  stat --format='left: %A %s %n' "$file"
done
systemctl is-active amazon-efs-mount-watchdog.service | sed 's/^/watchdog: /'
systemd-cgls --no-pager --unit efs.mount | sed 's/^/tunnel: /'
"""


def main() -> int:
    """Runs it."""
    checkout = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="mngen-efs-utils-") as name:
        folder = Path(name)
        certificate = _certificate(folder)
        machine = folder / "machine"
        machine.mkdir()
        with booted(machine, _BASE) as baked:
            done = play(machine, variables(_BASE, mngen_nr_cpus=0), machine=baked)
        if done.code:
            print(done.output)
            return 1
        real = folder / "real"
        _lay(real, checkout, certificate)
        fstab = baked.read("/etc/fstab")
        (real / "etc/fstab").write_text(fstab.replace(",tls", ",tls,stunnel"), encoding="utf-8")
        root = boot_root()
        make_disk(
            folder / "disk",
            [real, baked.upper, machine_layers(_BASE)[0]],
            root,
            folder / "rig",
        )
        export = folder / "export"
        export.mkdir()
        (export / "shared").write_text("shared\n", encoding="utf-8")
        (entry,) = baked.listing("/boot/loader/entries")[-1:]
        text = baked.read(f"/boot/loader/entries/{entry}")
        (options,) = re.findall("^options (.*)$", text, re.MULTILINE)
        boot = Boot(
            folder / "guest",
            *kernel_of(root),
            disk=folder / "disk",
            command_line=f"{options} mitigations=off panic=-1",
            processors=Processors(sockets=2, cores=1, as_on_ec2=True),
            export=export,
            name=_NAME,
            certificate=certificate,
        )
        with guest(boot) as node:
            try:
                # Not for its end: without the tunnel, which is killed first, the mount hangs.
                node.wait(_SECONDS, until=lambda: "complete=yes" in node.said("rig-report"))
            except TimeoutError as error:
                print(error)
                return 1
            finally:
                print("\n".join(node.said("rig-report")))
                print("\n".join(node.said("mount")))
    return 0


def _certificate(folder: Path) -> Path:
    """Makes a certificate for the file system's name; it is its own authority."""
    file = folder / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2"),
            *("-subj", f"/CN={_NAME}", "-addext", f"subjectAltName=DNS:{_NAME}"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
        ],
        capture_output=True,
        check=True,
    )
    both = [(folder / f"{part}.pem").read_text(encoding="utf-8") for part in ("key", "certificate")]
    file.write_text("".join(both), encoding="utf-8")
    file.chmod(0o600)
    return file


def _lay(real: Path, checkout: Path, certificate: Path) -> None:
    """Lays Amazon's files where its package puts them."""
    for target, source in (_PROGRAMS | _FILES).items():
        (real / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout / source, real / target)
    for target in _PROGRAMS:
        (real / target).chmod(0o755)
    for target, source in _FOLDERS.items():
        shutil.copytree(checkout / source, real / target)
    (real / "var/log/amazon/efs").mkdir(parents=True)
    config = real / "etc/amazon/efs/efs-utils.conf"
    text = config.read_text(encoding="utf-8")
    text = re.sub(r"^#?region = .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(
        r"^(stunnel_cafile = ).*$", rf"\1/{_AUTHORITY}", text, count=1, flags=re.MULTILINE
    )
    text = text.replace("[mount]\n", "[mount]\nregion = us-east-1\n", 1)
    config.write_text(text, encoding="utf-8")
    shutil.copyfile(certificate.with_name("certificate.pem"), real / _AUTHORITY)
    more = real / "usr/local/libexec/rig-more"
    more.parent.mkdir(parents=True)
    more.write_text(_MORE, encoding="utf-8")
    more.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
