"""The EFA installer is run if Amazon's key signed it, here if the test's key did, and only then.

Amazon's installer cannot run here: in its place stands a script that leaves the list that the real
one leaves. How it is fetched, verified, unpacked, started and removed is real.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.instance import SECRET, TOKEN, serving
from tests.support.machines import booted
from tests.support.needs import lacking
from tests.support.playbooks import play_each, variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.machines import Machine

LACKING = lacking("machines", "nspawn", "playbook", "gpg", "gpg-agent")
pytestmark = [
    pytest.mark.skipif(LACKING is not None, reason=str(LACKING)),
]

VERSION = "1.99.9"
TARBALL = f"aws-efa-installer-{VERSION}.tar.gz"
# Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-changelog.html, at 1.50.0.
LAST_OF_AL2 = "aws-efa-installer-1.49.0.tar.gz"
# The list begins as `write_package_file` of efa_installer.sh writes it.
INSTALLER = f"""#!/bin/sh
mkdir -p /opt/amazon
echo "$*" >/opt/amazon/arguments
cat >/opt/amazon/efa_installed_packages <<'END'
# EFA installer version: {VERSION}
# Debug packages installed: no
# Packages installed:
efa-3.0.0-1.amzn2023.noarch
END
"""


SILENT = """
import socket, time
with socket.create_server(("127.0.0.1", 8081)):
    time.sleep(3600)
"""
"""A server that takes every connection, and never answers."""


@contextmanager
def served(machine: Machine, folder: Path) -> Iterator[str]:
    """Serve a folder from within the machine, which has no network but its own."""
    with running(machine, folder, 8080, "-m", "http.server", "--bind", "127.0.0.1", "8080"):
        yield "http://127.0.0.1:8080"


@contextmanager
def running(machine: Machine, folder: Path, port: int, *arguments: str) -> Iterator[None]:
    """Run a server in Python in the machine's network."""
    inside = ["nsenter", f"--target={machine.pid}", "--net", "--"]
    server = subprocess.Popen(
        [*inside, sys.executable, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        machine.run(f"until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done")
        yield
    finally:
        server.terminate()
        server.wait()


def pack(file: Path, text: str) -> None:
    member = tarfile.TarInfo("aws-efa-installer/efa_installer.sh")
    member.mode, member.size = 0o755, len(text)
    with tarfile.open(file, "w:gz") as archive:
        archive.addfile(member, io.BytesIO(text.encode()))


def sign(file: Path) -> str:
    """Sign with a new key; leave signature and key beside the file; return the fingerprint."""
    # The agent's socket needs a short name.
    with tempfile.TemporaryDirectory(prefix="mngen-", dir="/tmp") as home:

        def gpg(*arguments: str) -> str:
            command = ["gpg", "--homedir", home, "--batch", "--yes", "--passphrase", ""]
            done = subprocess.run(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                timeout=120,
                check=True,
            )
            return done.stdout

        try:
            gpg("--quick-gen-key", "test@example.invalid", "ed25519", "sign")
            gpg("--detach-sign", "--output", f"{file}.sig", str(file))
            gpg("--armor", "--output", str(file.parent / "aws-efa-installer.key"), "--export")
            listing = gpg("--with-colons", "--list-keys")
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))


def test_it_is_installed_if_the_signature_holds(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    pack(site / TARBALL, INSTALLER)
    fingerprint = sign(site / TARBALL)
    # Signed by the right key, and then changed.
    shutil.copytree(site, site / "changed")
    pack(site / "changed" / TARBALL, INSTALLER + "reboot\n")
    folder = tmp_path / "machine"
    folder.mkdir()
    listed = "/opt/amazon/efa_installed_packages"
    with (
        booted(folder, "amazon-linux-2023") as machine,
        served(machine, site) as url,
        running(machine, site, 8081, "-c", SILENT),
    ):
        extra = variables("amazon-linux-2023", mngen_efa=True, efa_site=url, efa_version=VERSION)
        sound = {**extra, "efa_fingerprint": fingerprint}
        hosts = {
            # A site that stops answering does not keep the builder running.
            "silent": {**extra, "efa_site": "http://127.0.0.1:8081", "efa_seconds": 1},
            # Signed, but not by Amazon.
            "another": extra,
            "changed": {**sound, "efa_site": f"{url}/changed"},
            "sound": sound,
            "again": sound,
        }
        run, done = play_each(tmp_path, hosts, "--tags", "efa", machine=machine)
        assert {name: (each.code, each.changed) for name, each in done.items()} == {
            "silent": (2, 0),
            "another": (2, 0),
            "changed": (2, 0),
            # It would not be if one before had installed it.
            "sound": (0, 1),
            "again": (0, 0),
        }, run.output
        assert "curl: (28) Operation too slow" in done["silent"].words
        said = "is not signed by the key 4E9091BCBB97A96B26B15E59A05480B1DD2D3CCC"
        assert said in done["another"].words
        assert "so it was not run" in done["changed"].words
        assert "BAD signature" in done["changed"].words
        assert machine.read(listed).startswith(f"# EFA installer version: {VERSION}\n")
        assert machine.read("/opt/amazon/arguments") == "-y --minimal\n"
        assert [name for name in machine.listing("/var/tmp") if "efa" in name] == []

        # A base AMI that has an older one keeps it, until the spec names a version.
        machine.run(f"sed -i '1s/:.*/: 1.30.0/' {listed}")
        named = {**sound, "mngen_efa_version": VERSION}
        hosts = {"kept": sound, "named": named, "again": named}
        run, done = play_each(tmp_path, hosts, "--tags", "efa", machine=machine)
        assert {name: (each.code, each.changed) for name, each in done.items()} == {
            "kept": (0, 0),
            "named": (0, 1),
            "again": (0, 0),
        }, run.output
        assert machine.read(listed).startswith(f"# EFA installer version: {VERSION}\n")


def test_it_is_copied_from_a_bucket(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    pack(site / LAST_OF_AL2, INSTALLER)
    fingerprint = sign(site / LAST_OF_AL2)
    folder = tmp_path / "machine"
    folder.mkdir()
    with booted(folder, "amazon-linux-2") as machine, serving(machine.pid) as servers:
        url = f"http://127.0.0.1:{servers.server_port}"
        servers.objects = {
            f"/my-software/efa/{file.name}": file.read_bytes() for file in site.iterdir()
        }
        extra = variables(
            "amazon-linux-2",
            mngen_efa=True,
            efa_environment={"MNGEN_METADATA": url, "MNGEN_S3": url},
            efa_site="http://127.0.0.1:9",
            efa_fingerprint=fingerprint,
        )
        hosts = {
            "absent": {**extra, "mngen_efa_installer": "s3://my-software/none/"},
            "there": {**extra, "mngen_efa_installer": "s3://my-software/efa/"},
        }
        run, done = play_each(tmp_path, hosts, "--tags", "efa", machine=machine)
        assert (done["absent"].code, done["there"].code) == (2, 0), run.output
        said = "s3://my-software/none/aws-efa-installer.key does not exist"
        assert said in done["absent"].words
        assert machine.exists("/opt/amazon/efa_installed_packages")
        assert [name for name in machine.listing("/var/tmp") if "efa" in name] == []
        for secret in (SECRET, TOKEN):
            assert secret not in run.output
