"""Find a local copy of the official AWS provider, for Terraform on a machine with no registry.

``terraform init`` downloads the provider from the Terraform registry. Where that cannot be
reached, a *filesystem mirror* serves instead: a folder that holds
``registry.terraform.io/hashicorp/aws`` in the layout that ``terraform providers mirror`` writes.
The tests and ``make demo`` use the first one found on this machine; the product itself knows
nothing of it.

Only the standard library is used, so that the script also runs before anything is installed.

Usage::

    python scripts/provider_mirror.py                 # print the newest version found
    python scripts/provider_mirror.py --write FILE    # and write a Terraform CLI config
    python scripts/provider_mirror.py --run COMMAND   # run COMMAND with such a config

Exits 1, with one line on stderr, when there is no mirror. ``--run`` goes on without one, leaves a
config of the user's own alone, and exits as COMMAND does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

REGISTRY = "registry.terraform.io"
PROVIDER = f"{REGISTRY}/hashicorp/aws"
CONFIG_VARIABLE = "TF_CLI_CONFIG_FILE"

# Trees that are large and hold no mirror, by name. `.terraform` is out because what a working
# directory has installed goes away with it.
_PRUNED_NAMES = frozenset(
    {
        ".git",
        ".terraform",
        ".tox",
        "__pycache__",
        "lost+found",
        "node_modules",
        "site-packages",
    }
)
# The kernel's own trees and those of container engines.
_PRUNED_PATHS = frozenset(
    {
        "/dev",
        "/proc",
        "/run",
        "/snap",
        "/sys",
        "/var/lib/containerd",
        "/var/lib/containers",
        "/var/lib/docker",
        "/var/lib/kubelet",
    }
)
# How deep below a starting folder a mirror's root is looked for.
_MAX_DEPTH = 7
# Seconds after which the walk gives up: a file server below `/` must not hang `make test`.
_WALK_SECONDS = 20.0

_VERSION = r"[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.]+)?"
_UNPACKED = re.compile(rf"^{_VERSION}$")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386"}


@dataclass(frozen=True)
class Mirror:
    """A filesystem mirror that holds the AWS provider for this platform.

    Attributes:
        root: The folder that holds ``registry.terraform.io``; absolute.
        version: The newest version of ``hashicorp/aws`` in it, such as ``5.100.0``.
    """

    root: Path
    version: str


def terraform_platform() -> str:
    """Name this machine as Terraform does, such as ``linux_amd64``."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}_{_ARCHITECTURES.get(machine, machine)}"


def read_mirror(root: Path, target: str | None = None) -> Mirror | None:
    """Look at one folder.

    Both layouts of a mirror count: unpacked (``VERSION/PLATFORM/terraform-provider-aws_v…``) and
    packed (``terraform-provider-aws_VERSION_PLATFORM.zip``).

    Args:
        root: The folder that may hold ``registry.terraform.io``.
        target: The platform to find the provider for; this machine's by default.

    Returns:
        The mirror with its newest version, or None where the folder has none for the platform.
    """
    target = target or terraform_platform()
    packed = re.compile(rf"^terraform-provider-aws_({_VERSION})_{re.escape(target)}\.zip$")
    versions: list[str] = []
    try:
        for entry in (root / PROVIDER).iterdir():
            if match := packed.match(entry.name):
                versions.append(match[1])
            elif _UNPACKED.match(entry.name) and _has_binary(entry / target):
                versions.append(entry.name)
    except OSError:
        return None
    if not versions:
        return None
    return Mirror(root=root.absolute(), version=max(versions, key=_precedence))


def find_mirror(
    environ: Mapping[str, str] | None = None, starts: Iterable[Path] | None = None
) -> Mirror | None:
    """Find the nearest mirror on this machine.

    Terraform's implied local mirror directories come first, then a walk, breadth first, of the
    home folder and of ``/`` on their own file systems. The first folder with the provider wins.

    Args:
        environ: The environment to take ``HOME`` and the XDG folders from; the process's own by
            default.
        starts: The folders to walk; the home folder and ``/`` by default.

    Returns:
        The mirror, or None where there is none.
    """
    environ = os.environ if environ is None else environ
    if starts is None:
        starts = (Path(environ.get("HOME", "/")), Path("/"))
    deadline = time.monotonic() + _WALK_SECONDS
    for root in implied_directories(environ):
        if mirror := read_mirror(root):
            return mirror
    for start in starts:
        for root in _walk(start, deadline):
            if mirror := read_mirror(root):
                return mirror
    return None


def implied_directories(environ: Mapping[str, str]) -> list[Path]:
    """List the folders in which Terraform looks for providers when nothing is configured.

    Source: https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories
    """
    home = Path(environ.get("HOME", "/"))
    if sys.platform == "darwin":
        support = Path("Library/Application Support/io.terraform")
        data = [home / support, Path("/") / support]
    else:
        data_home = environ.get("XDG_DATA_HOME") or str(home / ".local/share")
        data_dirs = environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        data = [Path(folder) / "terraform" for folder in (data_home, *data_dirs.split(":"))]
    return [home / ".terraform.d/plugins", *(folder / "plugins" for folder in data)]


def cli_config(mirror: Mirror) -> str:
    """Render the Terraform CLI configuration that takes the AWS provider from a mirror alone."""
    return (
        "provider_installation {\n"
        "  filesystem_mirror {\n"
        f"    path    = {_quoted(str(mirror.root))}\n"
        f"    include = [{_quoted(PROVIDER)}]\n"
        "  }\n"
        "  direct {\n"
        f"    exclude = [{_quoted(PROVIDER)}]\n"
        "  }\n"
        "}\n"
    )


def write_cli_config(mirror: Mirror, path: Path) -> None:
    """Write the Terraform CLI configuration for a mirror, making the folders above it.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(cli_config(mirror), encoding="utf-8")


def user_cli_config(environ: Mapping[str, str]) -> Path | None:
    """Return the Terraform CLI configuration that the user has, if it exists as a file."""
    named = environ.get(CONFIG_VARIABLE)
    config = Path(named) if named else Path(environ.get("HOME", "/")) / ".terraformrc"
    return config if config.is_file() else None


def terraform_environment(environ: Mapping[str, str], config: Path) -> dict[str, str]:
    """Return an environment in which Terraform finds the AWS provider, wherever it is.

    A configuration of the user's own that exists is left alone. Otherwise one for the mirror is
    written to ``config``; where there is no mirror either, Terraform is left to the registry.

    Args:
        environ: The environment to start from; not changed.
        config: Where to write the configuration.

    Raises:
        OSError: ``config`` cannot be written.
    """
    result = dict(environ)
    if user_cli_config(environ):
        return result
    result.pop(CONFIG_VARIABLE, None)
    if mirror := find_mirror(environ):
        write_cli_config(mirror, config)
        result[CONFIG_VARIABLE] = str(config.absolute())
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Find a local copy of the AWS provider.")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write a Terraform CLI config")
    parser.add_argument(
        "--run",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="run a command with such a config, unless the user's own is there",
    )
    options = parser.parse_args(arguments)
    if options.run:
        config = options.write or Path(__file__).resolve().parent.parent / ".cache/terraform.rc"
        return _run(options.run, terraform_environment(os.environ, config))
    mirror = find_mirror()
    if mirror is None:
        print("no filesystem mirror of hashicorp/aws on this machine", file=sys.stderr)
        return 1
    if options.write:
        write_cli_config(mirror, options.write)
    print(mirror.version)
    return 0


def _run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Replace this process with a command; return only when that cannot be started."""
    try:
        os.execvpe(command[0], list(command), dict(environ))
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
    return 127


def _walk(start: Path, deadline: float) -> Iterator[Path]:
    """Yield the folders below ``start`` that hold one named as the registry, nearest first."""
    try:
        device = start.stat().st_dev
    except OSError:
        return
    level = [str(start).rstrip("/")]
    for _ in range(_MAX_DEPTH):
        below: list[str] = []
        for folder in level:
            names = _subfolders(folder or "/", device)
            if REGISTRY in names:
                yield Path(folder or "/")
            paths = (f"{folder}/{name}" for name in names if name not in _PRUNED_NAMES)
            below.extend(path for path in paths if path not in _PRUNED_PATHS)
            if time.monotonic() > deadline:
                return
        level = below


def _subfolders(folder: str, device: int) -> list[str]:
    """List the names of the folders in one folder, on one device, in order; none if unreadable."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
                and entry.stat(follow_symlinks=False).st_dev == device
            )
    except OSError:
        return []


def _has_binary(folder: Path) -> bool:
    return any(folder.glob("terraform-provider-aws_v*")) if folder.is_dir() else False


def _precedence(version: str) -> tuple[tuple[int, ...], bool, str]:
    """Order versions as SemVer does, except among pre-releases of one version (by text)."""
    core, _, pre_release = version.partition("-")
    return tuple(int(part) for part in core.split(".")), not pre_release, pre_release


def _quoted(text: str) -> str:
    # Escapes as in JSON, which the configuration language shares.
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
