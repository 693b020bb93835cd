"""Images without a registry: buildah on a separate Debian; and a registry on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen.sandbox.machines._debian import _proxies
from mngen.sandbox.machines._root import machine_layers
from tests.support.debian13 import debian13
from tests.support.needs import lacking

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = "localhost/mngen-test-base:bookworm"
"""The local image that stands for Ubuntu's."""

BASE_13 = "localhost/mngen-test-base:trixie"
"""One of Debian 13, with OpenSSH 10 and Open MPI 5 as Ubuntu 26.04 has them."""

_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
_REGISTRY = """\
version: 0.1
log: {{level: info, formatter: json}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http:
  addr: 127.0.0.1:0
  tls: {{certificate: {folder}/certificate, key: {folder}/key}}
auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""
_LISTENING = re.compile(rb"listening on 127\.0\.0\.1:([0-9]+)")
# Ubuntu's images hold a user with the number 1000; sshd is to be installed by the Dockerfile, for
# that is what makes host keys.
_LIKE_UBUNTU = (
    "apt-get purge --quiet=2 --yes openssh-server openssh-client openssh-sftp-server && "
    "useradd --uid 1000 --create-home ubuntu && rm -f /etc/passwd- /etc/shadow-"
)


def buildah_unavailable() -> str | None:
    """Returns why no image can be built here, or None."""
    return lacking("buildah", "machines")


@dataclass(frozen=True, slots=True)
class Store:
    """A place for images that no other buildah looks into.

    Attributes:
        env: The environment in which buildah uses it.
    """

    env: dict[str, str]

    def buildah(self, *arguments: str) -> str:
        """Run buildah and return what it prints."""
        done = subprocess.run(
            ["buildah", *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"buildah {arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def config(self, image: str) -> dict[str, Any]:
        """Return how an image is to be run."""
        found = json.loads(self.buildah("inspect", "--type", "image", image))
        config: dict[str, Any] = found["OCIv1"]["config"]
        return config

    def unpacked(self, image: str) -> Path:
        """Return a folder with an image's files."""
        return Path(self.buildah("mount", self.buildah("from", "--pull-never", image)))


@contextmanager
def image_store(folder: Path, base: str = BASE) -> Iterator[Store]:
    """Make a store with a base in it; it is some hundred MB, so nothing of it stays."""
    folder.mkdir()
    (folder / "storage.conf").write_text(_STORAGE.format(folder=folder), encoding="utf-8")
    env = {
        **os.environ,
        "BUILDAH_ISOLATION": "chroot",
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "TMPDIR": str(folder),
    }
    store = Store(env)
    try:
        _make_base(store, base)
        yield store
    finally:
        store.buildah("umount", "--all")
        shutil.rmtree(folder, ignore_errors=True)


def _make_base(store: Store, name: str) -> None:
    debian = debian13() if name == BASE_13 else machine_layers("amazon-linux-2023")[1]
    container = store.buildah("from", "scratch")
    store.buildah("copy", "--quiet", container, str(debian), "/")
    store.buildah("config", "--env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", container)
    proxies = [f"--env={name}={value}" for name, value in _proxies().items()]
    store.buildah("run", *proxies, container, "--", "sh", "-ec", _LIKE_UBUNTU)
    store.buildah("commit", "--quiet", "--rm", container, name)


@dataclass(frozen=True, slots=True)
class LocalRegistry:
    """A real registry on loopback.

    Attributes:
        host: Its address with the port.
        certificate: What a client has to trust, such as by SSL_CERT_FILE.
        folder: Where it keeps what was pushed.
        log: Its output.
    """

    host: str
    certificate: Path
    folder: Path
    log: Path


def registry_unavailable() -> str | None:
    """Returns why no registry can run here, or None."""
    return lacking("docker-registry", "openssl", "perl")


@contextmanager
def local_registry(folder: Path, user: str, password: str) -> Iterator[LocalRegistry]:
    """Run a registry that one user may enter."""
    folder.mkdir()
    (folder / "config.yml").write_text(_REGISTRY.format(folder=folder), encoding="utf-8")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=registry"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key"), "-out", str(folder / "certificate")),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    hashed = subprocess.run(
        ["perl", "-e", "print crypt($ENV{SECRET}, q($2y$05$abcdefghijklmnopqrstuu))"],
        env={**os.environ, "SECRET": password},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert hashed.startswith("$2y$"), "this perl knows no bcrypt"
    (folder / "htpasswd").write_text(f"{user}:{hashed}\n", encoding="utf-8")
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while (found := _LISTENING.search(log.read_bytes())) is None:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "the registry did not start"
            time.sleep(0.05)
        yield LocalRegistry(f"127.0.0.1:{found[1].decode()}", folder / "certificate", folder, log)
    finally:
        process.terminate()
        process.wait()
