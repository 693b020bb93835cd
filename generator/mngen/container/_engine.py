"""The container engines docker, podman and buildah behind one interface."""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen import parts
from mngen.container._process import ask, run
from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ENGINES = tuple(parts.ENGINES)
"""In order of preference."""

_REGISTRY_WORDS = ("auths", "credsStore", "credHelpers")


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine on this machine.

    Attributes:
        name: `docker`, `podman` or `buildah`.
        path: Its executable.
    """

    name: str
    path: str

    def build(
        self,
        context: Path,
        reference: str,
        *,
        build_args: Mapping[str, str],
        platform: str | None,
        seconds: float | None,
    ) -> None:
        """Builds an image.

        Args:
            context: The folder with the Dockerfile.
            reference: What the image is called on this machine.
            build_args: Build arguments by name.
            platform: Such as `linux/arm64`; None for the machine's own.
            seconds: After how long the build is stopped; None for never.

        Raises:
            ToolError: The build failed, or took too long.
            InterruptedRunError: Ctrl-C or SIGTERM.
        """
        command = [self.path, "build", "--tag", reference]
        if self.name != "docker":
            # The same files give the same digest; docker has no option for it.
            command += ["--timestamp", "0"]
        if platform is not None:
            command += ["--platform", platform]
        for name, value in build_args.items():
            command += ["--build-arg", f"{name}={value}"]
        doing = f"building {reference}"
        run([*command, str(context)], doing=doing, logged=True, seconds=seconds)

    def image_id(self, reference: str) -> str | None:
        """Returns the id of an image on this machine, `sha256:…`; None if it is missing."""
        if self.name == "buildah":
            answer = ask([self.path, "inspect", "--type", "image", reference])
            found = json.loads(answer)["FromImageID"] if answer else None
        else:
            answer = ask([self.path, "image", "inspect", reference])
            found = json.loads(answer)[0]["Id"] if answer else None
        return found if found is None or ":" in found else f"sha256:{found}"

    def remove(self, reference: str) -> None:
        """Removes an image's name, and the image with its last name; ignores a missing one.

        Raises:
            ToolError: The engine cannot be started, or gives no answer.
        """
        ask([self.path, "rmi", reference])

    @contextmanager
    def logged_in(self, registry: str, user: str, password: str) -> Iterator[LoggedIn]:
        """Logs in to a registry for the length of a `with` block.

        The password goes to the engine's standard input, and the engine keeps it in a folder that
        is closed to others and removed at the end; the user's own logins are left as they are.

        Raises:
            ToolError: The registry refused.
        """
        with tempfile.TemporaryDirectory(prefix="mngen-login-") as folder:
            environment = dict(os.environ)
            options: list[str] = []
            if self.name == "docker":
                _prepare_docker(Path(folder), environment)
            else:
                options = ["--authfile", str(Path(folder, "auth.json"))]
            run(
                [self.path, "login", *options, "--username", user, "--password-stdin", registry],
                doing=f"logging in to {registry}",
                stdin=password,
                environment=environment,
            )
            yield LoggedIn(self, options, environment, Path(folder))

    def manifest(self, reference: str) -> str:
        """Returns the manifest of an image on this machine: what docker and podman would push.

        buildah has the one that it built, whose layers are not compressed: to compress a system's
        files takes seconds.

        Raises:
            ToolError: The image cannot be exported.
        """
        doing = f"exporting {reference}"
        if self.name == "buildah":
            answer = ask([self.path, "inspect", "--type", "image", reference])
            if answer is None:
                raise ToolError(f"{doing} failed")
            return str(json.loads(answer)["Manifest"])
        with tempfile.TemporaryDirectory(prefix="mngen-image-") as folder:
            if self.name == "docker":
                archive = Path(folder, "image.tar")
                run([self.path, "save", "--output", str(archive), reference], doing=doing)
                with tarfile.open(archive) as tar:
                    return _manifest_text(lambda name: _member(tar, name))
            target = Path(folder, "image")
            run([self.path, "push", reference, f"oci:{target}:image"], doing=doing)
            return _manifest_text(lambda name: (target / name).read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """An engine that may push to a registry."""

    engine: Engine
    options: Sequence[str]
    environment: Mapping[str, str]
    folder: Path

    def push(self, reference: str, target: str) -> str:
        """Pushes an image.

        Args:
            reference: What it is called on this machine.
            target: Where it goes: repository and tag.

        Returns:
            The digest of what is in the registry, `sha256:…`.

        Raises:
            ToolError: The push failed.
            InterruptedRunError: Ctrl-C or SIGTERM.
        """
        path, doing = self.engine.path, f"pushing {target}"
        if self.engine.name == "docker":
            run([path, "tag", reference, target], doing=doing)
            run([path, "push", target], doing=doing, logged=True, environment=self.environment)
            return _pushed_by_docker(path, target)
        file = self.folder / "digest"
        run(
            [path, "push", *self.options, "--digestfile", str(file), reference, target],
            doing=doing,
            logged=True,
            environment=self.environment,
        )
        return file.read_text(encoding="utf-8").strip()


def find_engine(name: str | None = None) -> Engine:
    """Finds a container engine on PATH.

    Args:
        name: The one to use; None for the first of `ENGINES` that is there and can work.

    Raises:
        InputError: There is no engine of that name.
        ToolError: It is not installed or cannot work, or none is and can.
    """
    if name is not None and name not in ENGINES:
        raise InputError(f"unknown engine `{name}`", hint=f"use one of {', '.join(ENGINES)}")
    trouble = ""
    for each in ENGINES if name is None else (name,):
        finding = parts.try_program(parts.ENGINES[each])
        if finding.found:
            return Engine(each, finding.where)
        trouble = trouble or finding.trouble
    if trouble:
        raise ToolError(
            trouble,
            hint="start it (`sudo systemctl start docker`, or Docker Desktop), see that you may "
            "use it (`docker version`), or install podman",
        )
    if name is not None:
        raise ToolError(f"{name} is not installed", hint="install it, or leave --engine out")
    found = parts.trouble("container")
    raise ToolError(
        "no container engine is installed: neither docker, podman nor buildah is on PATH",
        hint=f"{found.hint if found else 'install one'}; or install docker "
        "(https://docs.docker.com/engine/install); or build the folder `container` of the "
        "rendered tree elsewhere, and name the image in `container.image`",
    )


def _prepare_docker(folder: Path, environment: dict[str, str]) -> None:
    """Gives docker the user's configuration, which has its daemon's address, without the logins."""
    own = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        config: dict[str, Any] = json.loads((own / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    kept = {key: value for key, value in config.items() if key not in _REGISTRY_WORDS}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    for name in ("contexts", "tls"):
        if (own / name).is_dir():
            (folder / name).symlink_to((own / name).absolute())
    environment["DOCKER_CONFIG"] = str(folder)


def _pushed_by_docker(path: str, target: str) -> str:
    answer = ask([path, "image", "inspect", target])
    repository = target.rpartition(":")[0]
    for each in (json.loads(answer)[0].get("RepoDigests") or []) if answer else []:
        name, _, digest = each.partition("@")
        if name == repository:
            return str(digest)
    raise ToolError(f"docker did not report the digest of {target}")


def _manifest_text(read: Callable[[str], str]) -> str:
    """Returns the manifest of an OCI layout's only image.

    Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
    """
    try:
        digest: str = json.loads(read("index.json"))["manifests"][0]["digest"]
        return read(f"blobs/{digest.replace(':', '/')}")
    except (KeyError, IndexError, OSError, ValueError) as error:
        raise ToolError(
            f"the engine did not export an OCI image: {error!r}",
            hint="use docker 25 or newer, podman or buildah",
        ) from None


def _member(tar: tarfile.TarFile, name: str) -> str:
    file = tar.extractfile(name)
    return file.read().decode() if file is not None else ""
