"""Images without a registry: buildah on a separate Debian; and a registry on loopback.

The bases are kept in the user's cache folder, each as a store that all others read
(https://github.com/containers/storage/blob/main/docs/containers-storage.conf.5.md,
`additionalimagestores`): to pack and unpack a whole Debian takes longer than any build on it. A
base holds the packages that the Dockerfile installs, as an archive: in each build apt then reads
the index of a few dozen packages, not that of 60000, and fetches nothing.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import ssl
import subprocess
import tarfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen.sandbox.machines._debian import _proxies
from mngen.sandbox.machines._root import machine_layers
from tests.support.debian13 import debian13
from tests.support.kept import kept_folder
from tests.support.needs import lacking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

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
_ON_BASE = """\
[storage.options]
additionalimagestores = ["{base}/graph"]
"""
_REGISTRY = """\
version: 0.1
log: {{level: info, formatter: json}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http:
  addr: 127.0.0.1:{port}
  tls: {{certificate: {folder}/certificate, key: {folder}/key}}
auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""
_LISTENING = re.compile(rb"listening on 127\.0\.0\.1:([0-9]+)")
# Its arguments: the folder, the image's name, what runs in it, and the options of that.
_MAKE_BASE = """\
debian=$1 name=$2 script=$3
shift 3
container=$(buildah from scratch)
buildah copy --quiet "$container" "$debian" /
buildah config --env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah run "$@" "$container" -- sh -euc "$script"
buildah commit --quiet --rm "$container" "$name"
"""
# Ubuntu's images hold a user with the number 1000; sshd is to be installed by the Dockerfile, for
# that is what makes host keys. It makes no key for RSA, which takes longest, where a file is there.
_LIKE_UBUNTU = """\
apt-get purge --quiet=2 --yes openssh-server openssh-client openssh-sftp-server
useradd --uid 1000 --create-home ubuntu
rm -f /etc/passwd- /etc/shadow-
mkdir --parents /etc/ssh
echo 'no key' > /etc/ssh/ssh_host_rsa_key
"""
# A file's name has its version in it, of which apt would read a `%` as the start of an escape. The
# packages are packed again without compression, which each build would spend time on.
_ARCHIVE = """\
apt-get update --quiet=2
apt-get install --quiet=2 --yes --no-install-recommends $AT_HAND
apt-get install --quiet=2 --yes --no-install-recommends --download-only $PACKAGES
mkdir /packages
cd /packages
number=0
for file in /var/cache/apt/archives/*.deb; do
    number=$((number + 1))
    dpkg-deb --raw-extract "$file" /tmp/package
    dpkg-deb --build -Znone /tmp/package "$number.deb" > /dev/null
    rm -r /tmp/package "$file"
    dpkg-deb --field "$number.deb"
    echo "Filename: ./$number.deb"
    echo "Size: $(stat --format=%s "$number.deb")"
    echo "SHA256: $(sha256sum "$number.deb" | cut -d ' ' -f 1)"
    echo
done > Packages
rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt/*
echo 'deb [trusted=yes] file:/packages ./' > /etc/apt/sources.list
"""
# Installed in a base, so that no build unpacks it again: most of what Open MPI and boto3 depend on.
# The Dockerfile names the certificates itself, but linking them takes a thousand processes.
_AT_HAND = {BASE: ("ca-certificates", "libopenmpi3", "python3-s3transfer"), BASE_13: ()}
_DOCKERFILE = Path(__file__).resolve().parents[2] / "container" / "Dockerfile"
_INSTALLED = re.compile(r"apt-get install ([^;]+);")


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
def empty_store(folder: Path, registry: LocalRegistry) -> Iterator[Store]:
    """Make a store without any image, which trusts a registry."""
    folder.mkdir()
    yield Store(_environment(folder) | {"SSL_CERT_FILE": str(registry.certificate)})
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def image_store(folder: Path, base: str = BASE) -> Iterator[Store]:
    """Make a store that has a base; what is built in it is some hundred MB, so nothing stays."""
    folder.mkdir()
    env = _environment(folder, _ON_BASE.format(base=_kept_base(base)))
    store = Store(env)
    try:
        yield store
    finally:
        store.buildah("umount", "--all")
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path, options: str = "") -> dict[str, str]:
    """Configure a store in a folder, and return the environment in which buildah uses it."""
    settings = folder / "storage.conf"
    settings.write_text(_STORAGE.format(folder=folder) + options, encoding="utf-8")
    return {
        **os.environ,
        "BUILDAH_ISOLATION": "chroot",
        "CONTAINERS_STORAGE_CONF": str(settings),
        "TMPDIR": str(folder),
    }


def _kept_base(name: str) -> Path:
    """Return the folder of a base's store; the first call makes it. Nothing may write to it."""
    debian = debian13() if name == BASE_13 else machine_layers("amazon-linux-2023")[1]
    version = subprocess.run(["buildah", "--version"], capture_output=True, text=True, check=True)
    made_of = (_STORAGE, _MAKE_BASE, _LIKE_UBUNTU, _ARCHIVE, *_AT_HAND[name], *_packages())
    return kept_folder(
        "images",
        name.partition(":")[2],
        (debian.name, name, version.stdout, *made_of),
        lambda made: _make_base(made, debian, name),
    )


def _packages() -> list[str]:
    """Return the packages that the Dockerfile installs."""
    text = _DOCKERFILE.read_text(encoding="utf-8")
    words = [word for found in _INSTALLED.findall(text) for word in found.split()]
    packages = [word for word in words if word[0] not in "-\\"]
    assert "openssh-server" in packages
    return packages


def _make_base(folder: Path, debian: Path, name: str) -> None:
    packages = {"AT_HAND": " ".join(_AT_HAND[name]), "PACKAGES": " ".join(_packages())}
    variables = {**_proxies(), **packages}
    options = [f"--env={name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        [
            # However this process ends, no mount stays that would keep the folder in place.
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"),
            *("sh", "-euc", _MAKE_BASE, "sh", str(debian), name, _LIKE_UBUNTU + _ARCHIVE, *options),
        ],
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


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

    def requests(self) -> list[str]:
        """Return what was asked of it so far: method and path, the newest last."""
        found = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("msg") == "response completed":
                found.append(f"{entry['http.request.method']} {entry['http.request.uri']}")
        return found


def registry_unavailable() -> str | None:
    """Returns why no registry can run here, or None."""
    return lacking("docker-registry", "openssl", "perl")


@contextmanager
def local_registry(
    folder: Path, user: str, password: str, *, name: str | None = None, pid: int | None = None
) -> Iterator[LocalRegistry]:
    """Run a registry that one user may enter.

    Args:
        folder: Where it keeps what is pushed; one that was used before serves the same again.
        user: Who may enter.
        password: That user's password.
        name: Its name, which leads to its own loopback address; it then listens at HTTPS's port.
        pid: A process in whose network it is; None for the test's own.
    """
    folder.mkdir(exist_ok=True)
    settings = _REGISTRY.format(folder=folder, port=443 if name else 0)
    (folder / "config.yml").write_text(settings, encoding="utf-8")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=registry"),
            *("-addext", f"subjectAltName=IP:127.0.0.1{f',DNS:{name}' if name else ''}"),
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
    inside = ["nsenter", f"--target={pid}", "--net", "--"] if pid is not None else []
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*inside, "docker-registry", "serve", str(folder / "config.yml")],
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
        host = name or f"127.0.0.1:{found[1].decode()}"
        yield LocalRegistry(host, folder / "certificate", folder, log)
    finally:
        process.terminate()
        process.wait()


def push_layers(
    registry: LocalRegistry, user: str, password: str, *, repository: str, tag: str, layers: int
) -> str:
    """Push an image of random layers as the registry's API has it, and return its digest.

    Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push
    """
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    trust = ssl.create_default_context(cafile=str(registry.certificate))
    base = f"https://{registry.host}"

    def send(method: str, url: str, body: bytes = b"", kind: str = "") -> Message:
        request = urllib.request.Request(
            url if url.startswith("https:") else base + url,
            data=body,
            method=method,
            headers={
                "Authorization": f"Basic {login}",
                "Content-Type": kind or "application/octet-stream",
            },
        )
        with urllib.request.urlopen(request, context=trust) as answer:
            headers: Message = answer.headers
            return headers

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        place = send("POST", f"/v2/{repository}/blobs/uploads/")["Location"]
        send("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", content)
        return {"mediaType": f"{_DOCKER}.{kind}", "size": len(content), "digest": digest}

    tars = [_layer(number) for number in range(layers)]
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in tars],
        },
    }
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{_DOCKER}.distribution.manifest.v2+json",
            "config": blob(json.dumps(configuration).encode(), "container.image.v1+json"),
            "layers": [
                blob(gzip.compress(each, mtime=0), "image.rootfs.diff.tar.gzip") for each in tars
            ],
        }
    ).encode()
    kind = f"{_DOCKER}.distribution.manifest.v2+json"
    answer = send("PUT", f"/v2/{repository}/manifests/{tag}", manifest, kind)
    return str(answer["Docker-Content-Digest"])


_DOCKER = "application/vnd.docker"


def _layer(number: int) -> bytes:
    """Return a layer: the same for the same number."""
    content = hashlib.sha256(str(number).encode()).digest() * 1000
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(f"layer-{number}")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
