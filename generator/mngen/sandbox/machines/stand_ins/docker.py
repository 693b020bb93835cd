"""Stand-in for Docker's command line with its engine: `pull`, `tag`, and `image inspect`.

A pull asks a registry as the engine does, over HTTPS and with the login of the configuration, and
keeps what it fetched where the engine of version 20.10 keeps it below /var/lib/docker/image. What
is there is not fetched again: a manifest that is known by its digest, an image whose configuration
is in the store, a layer whose digest is. It was compared with Docker 20.10.24 and a registry.

Source: https://github.com/moby/moby (distribution/pull_v2.go, distribution/manifest.go,
image/fs.go, reference/store.go, distribution/metadata),
https://github.com/docker/cli (cli/command/image), https://docs.docker.com/engine/security/certificates/
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

STORE = Path("/var/lib/docker/image/overlay2")
REPOSITORIES = STORE / "repositories.json"
# The layers themselves, which are not unpacked here.
LAYERS = Path("/var/lib/docker/overlay2")
MANIFESTS = Path("/var/lib/docker/buildkit/content/blobs/sha256")
CERTIFICATES = Path("/etc/docker/certs.d")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"


class RefusedError(Exception):
    """What the engine answers in place of a result."""


class Registry:
    """A registry, as one pull sees it."""

    def __init__(self, host: str, repository: str, config: Path) -> None:
        self.host = host
        self.repository = repository
        context = ssl.create_default_context()
        trusted = CERTIFICATES / host / "ca.crt"
        if trusted.exists():
            context.load_verify_locations(trusted)
        self.connection = http.client.HTTPSConnection(host, context=context, timeout=60)
        auths = {}
        if (config / "config.json").exists():
            auths = json.loads((config / "config.json").read_text()).get("auths", {})
        login = auths.get(host, {}).get("auth")
        self.headers = {"Accept": f"{MANIFEST}, {OCI}"}
        # What the registry wants is asked without a login.
        status, asked, _ = self.ask("GET", "")
        if status == 401 and asked.get("WWW-Authenticate", "").startswith("Basic"):
            if login is None:
                raise RefusedError(f"Get https://{host}/v2/: no basic auth credentials")
            self.headers["Authorization"] = f"Basic {login}"

    def ask(self, method: str, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Sends a request, and returns status, headers and content."""
        self.connection.request(method, f"/v2/{path}", headers=self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def digest_of(self, tag: str) -> str:
        """Returns the digest that a tag stands for."""
        status, headers, _ = self.ask("HEAD", f"{self.repository}/manifests/{tag}")
        if status != 200:
            raise RefusedError(f"manifest for {self.host}/{self.repository}:{tag}: {status}")
        return str(headers["Docker-Content-Digest"])

    def fetch(self, kind: str, digest: str) -> bytes:
        """Fetches a manifest or a blob, and checks it."""
        status, _, content = self.ask("GET", f"{self.repository}/{kind}/{digest}")
        if status != 200:
            raise RefusedError(f"{self.host}/{self.repository}@{digest}: {status}")
        if hashlib.sha256(content).hexdigest() != digest.partition(":")[2]:
            raise RefusedError(f"filesystem layer verification failed for digest {digest}")
        return content


def keep(path: Path, content: bytes) -> None:
    """Writes a file of the store."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def parsed(image: str) -> tuple[str, str, str]:
    """Returns a reference's registry, repository, and its digest or tag."""
    host, _, rest = image.partition("/")
    name, at, digest = rest.partition("@")
    if at:
        return host, name, digest
    name, _, tag = rest.partition(":")
    return host, name, tag or "latest"


def references() -> dict[str, dict[str, str]]:
    """Returns what the store has: ids of images by their references, by repository."""
    if not REPOSITORIES.exists():
        return {}
    found: dict[str, dict[str, str]] = json.loads(REPOSITORIES.read_text())["Repositories"]
    return found


def identity(image: str) -> str | None:
    """Returns the id of an image of the store."""
    host, name, _ = parsed(image)
    found = references().get(f"{host}/{name}", {}).get(image)
    if found is None or not (STORE / "imagedb/content/sha256" / found.partition(":")[2]).exists():
        return None
    return found


def pull(image: str, config: Path, *, quiet: bool) -> None:
    """Pulls an image."""
    host, name, place = parsed(image)
    registry = Registry(host, name, config)
    digest = place if place.startswith("sha256:") else registry.digest_of(place)
    known = MANIFESTS / digest.partition(":")[2]
    if not known.exists():
        keep(known, registry.fetch("manifests", digest))
    manifest = json.loads(known.read_text())
    own = manifest["config"]["digest"]
    content = STORE / "imagedb/content/sha256" / own.partition(":")[2]
    if not content.exists():
        configuration = registry.fetch("blobs", own)
        differences = json.loads(configuration)["rootfs"]["diff_ids"]
        for layer, difference in zip(manifest["layers"], differences, strict=True):
            blob = layer["digest"]
            link = STORE / "distribution/diffid-by-digest/sha256" / blob.partition(":")[2]
            if not link.exists():
                packed = registry.fetch("blobs", blob)
                keep(LAYERS / difference.partition(":")[2] / "packed", packed)
                keep(link, difference.encode())
        keep(content, configuration)
    every = references()
    every.setdefault(f"{host}/{name}", {})[image] = own
    keep(REPOSITORIES, json.dumps({"Repositories": every}).encode())
    print(image if quiet else f"Digest: {digest}\n{image}")


def tag(image: str, target: str) -> None:
    """Gives an image of the store another name."""
    own = identity(image)
    if own is None:
        raise RefusedError(f"No such image: {image}")
    host, name, _ = parsed(target)
    every = references()
    every.setdefault(f"{host}/{name}", {})[target] = own
    keep(REPOSITORIES, json.dumps({"Repositories": every}).encode())


def inspect(images: list[str]) -> int:
    """Prints what is known of images."""
    found, missing = [], []
    for image in images:
        own = identity(image)
        if own is None:
            missing.append(image)
        else:
            found.append({"Id": own, "RepoDigests": [image] if "@" in image else []})
    print(json.dumps(found))
    for image in missing:
        print(f"Error: No such image: {image}", file=sys.stderr)
    return int(bool(missing))


def main() -> int:
    """Runs a command."""
    parser = argparse.ArgumentParser(prog="docker")
    default = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    parser.add_argument("--config", type=Path, default=Path(default))
    commands = parser.add_subparsers(dest="command", required=True)
    pulling = commands.add_parser("pull")
    pulling.add_argument("--quiet", "-q", action="store_true")
    pulling.add_argument("image")
    tagging = commands.add_parser("tag")
    tagging.add_argument("image")
    tagging.add_argument("target")
    image = commands.add_parser("image").add_subparsers(dest="of_image", required=True)
    image.add_parser("inspect").add_argument("images", nargs="+")
    given = parser.parse_args()
    up = ["systemctl", "--quiet", "is-active", "docker.service"]
    if subprocess.run(up, check=False).returncode:
        print(
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker "
            "daemon running?",
            file=sys.stderr,
        )
        return 1
    if given.command == "image":
        return inspect(given.images)
    try:
        if given.command == "tag":
            tag(given.image, given.target)
            return 0
        pull(given.image, given.config, quiet=given.quiet)
    except (RefusedError, OSError, http.client.HTTPException) as error:
        print(f"Error response from daemon: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
