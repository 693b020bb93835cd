"""Looks for parts on this machine."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mngen._files import cache_home
from mngen.parts._table import NODE_PATH, PARTS, Ability, Module, Part, Program, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_SYSTEM_FOLDERS = f"{os.defpath}:/usr/sbin:/sbin"
# As the wire-up looks for programs in a node, where PATH leaves out these.
_NODE_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin"
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_SECONDS = 60.0
EMBEDDED = "embedded"
"""The value of a part's variable that chooses its Python module."""

# Everything that a node of a rehearsal is made of, in namespaces that end with the attempt.
_NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "sh", "-ec")
_NETWORK = '"$0" link add br0 type bridge; "$0" link add n0 type veth peer name e0'


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a part.

    Attributes:
        found: Whether it is there and can work.
        where: Where: a path, or a word.
        version: Its version; empty if that was not asked for, or it does not print it.
        trouble: Why it cannot work although something of it is there.
    """

    found: bool
    where: str = ""
    version: str = ""
    trouble: str = ""


def find(
    part: Part, *, node_path: str = NODE_PATH, environment: Mapping[str, str] | None = None
) -> Finding:
    """Looks for a part, without asking for versions that do not matter.

    Args:
        part: The part.
        node_path: The search path of a rehearsal's nodes.
        environment: Its `PATH` is searched; this process's own by default.
    """
    return _find(part, node_path, os.environ if environment is None else environment, ask=False)


def examine(part: Part) -> Finding:
    """Looks for a part as `find` does, and asks for its version."""
    return _find(part, NODE_PATH, os.environ, ask=True)


def find_all(names: Iterable[str], look: Callable[[Part], Finding] = find) -> dict[str, Finding]:
    """Looks for parts by name, in that order.

    A part that is only looked for after another one, which is missing, is not found.

    Args:
        names: Their names.
        look: What looks for one: `find` or `examine`.
    """
    findings: dict[str, Finding] = {}
    for name in names:
        before = [findings[each] for each in PARTS[name].after if each in findings]
        possible = all(each.found for each in before)
        findings[name] = look(PARTS[name]) if possible else Finding(found=False)
    return findings


def _find(part: Part, node_path: str, environment: Mapping[str, str], *, ask: bool) -> Finding:
    trouble = ""
    for each in _candidates(part, environment):
        match each:
            case Program():
                finding = _program(each, node_path, environment, ask=ask)
            case Module():
                finding = _module(each)
            case Ability():
                trouble = _ABILITIES[each.name]() or ""
                finding = Finding(not trouble, trouble=trouble)
        if finding.found:
            return finding
        trouble = trouble or finding.trouble
    return Finding(found=False, trouble=trouble)


def _candidates(part: Part, environment: Mapping[str, str]) -> Iterable[Program | Module | Ability]:
    chosen = environment.get(part.variable, "") if part.variable else ""
    if not chosen:
        return part.found_by
    if chosen == EMBEDDED:
        return [each for each in part.found_by if isinstance(each, Module)]
    programs = [each for each in part.found_by if isinstance(each, Program)]
    return [Program(chosen, version=programs[0].version, minimum=programs[0].minimum)]


def find_program(
    program: Program, *, node_path: str = NODE_PATH, environment: Mapping[str, str] | None = None
) -> str | None:
    """Returns the path of a program, or None where there is none; does not start it."""
    path = (os.environ if environment is None else environment).get("PATH", os.defpath)
    match program.search:
        case Search.NODE:
            return shutil.which(program.name, path=f"{node_path}:{_NODE_FOLDERS}")
        case Search.SYSTEM:
            return shutil.which(program.name, path=f"{path}:{_SYSTEM_FOLDERS}")
        case Search.BESIDE:
            beside = Path(sys.executable).parent
            return shutil.which(program.name, path=f"{beside}{os.pathsep}{path}")
        case Search.PATH:
            return shutil.which(program.name, path=path)


def try_program(program: Program) -> Finding:
    """Looks for one program, and whether it can work."""
    return _program(program, NODE_PATH, os.environ, ask=False)


def _program(
    program: Program, node_path: str, environment: Mapping[str, str], *, ask: bool
) -> Finding:
    path = find_program(program, node_path=node_path, environment=environment)
    if path is None:
        return Finding(found=False)
    if program.works and not _answer([path, *program.works])[0]:
        return Finding(found=False, where=path, trouble=program.trouble)
    version = ""
    if ask and program.version:
        found = _VERSION.search(_answer([path, *program.version])[1])
        version = found[0] if found else ""
    if version and _numbers(version) < _numbers(program.minimum):
        trouble = f"{path} is version {version}; {program.minimum} or newer is needed"
        return Finding(found=False, where=path, version=version, trouble=trouble)
    return Finding(found=True, where=path, version=version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".") if number)


def _module(module: Module) -> Finding:
    if module.in_nodes:
        return _node_module(module)
    if not all(importlib.util.find_spec(name) for name in (module.name, *module.also)):
        return Finding(found=False)
    # It imports more than all the rest of this package.
    from importlib import metadata

    try:
        version = metadata.version(module.distribution) if module.distribution else ""
    except metadata.PackageNotFoundError:
        version = ""
    return Finding(found=True, where=f"Python module {module.name}", version=version)


def _node_module(module: Module) -> Finding:
    python = shutil.which("python3", path=NODE_PATH)
    if python is None:
        return Finding(found=False)
    text = (
        f"import importlib.util as u, {module.name.partition('.')[0]} as m; "
        f"print(u.find_spec({module.name!r}).origin, getattr(m, '__version__', ''))"
    )
    # Not this environment's modules: a node has none of the caller's variables.
    succeeded, answer = _answer([python, "-E", "-s", "-c", text])
    where, _, version = answer.strip().partition(" ")
    return Finding(found=True, where=where, version=version) if succeeded else Finding(found=False)


def _answer(command: list[str], folder: str | None = None) -> tuple[bool, str]:
    """Runs a command; returns whether it succeeded, and its output."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return False, str(error)
    return done.returncode == 0, done.stdout


def _no_linux() -> str | None:
    return None if sys.platform == "linux" else f"this system is {sys.platform}"


def _no_root() -> str | None:
    return None if os.geteuid() == 0 else "this user is not root"


@lru_cache(maxsize=1)
def _no_namespaces() -> str | None:
    ip = find_program(Program("ip", Search.SYSTEM))
    if ip is None:
        return "they are not tried without iproute2"
    succeeded, said = _answer([*_NAMESPACES, _NETWORK, ip])
    return None if succeeded else " ".join(said.split()) or "the kernel refuses them"


@lru_cache(maxsize=1)
def _no_overlay() -> str | None:
    """Tries what an emulated instance needs, in a mount namespace that ends with the attempt."""
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="probe-", dir=folder) as probe:
            for name in ("lower", "upper", "work", "machine"):
                (Path(probe) / name).mkdir()
            os.mknod(Path(probe) / "lower" / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
            # Not whole paths: a colon or comma in one would be taken for a separator.
            options = "lowerdir=lower,upperdir=upper,workdir=work"
            succeeded, said = _answer(
                [
                    *("unshare", "--mount", "mount", "-t", "overlay", "overlay"),
                    *("-o", options, "machine"),
                ],
                folder=probe,
            )
    except OSError as error:
        return str(error)
    return None if succeeded else " ".join(said.split())


def forget() -> None:
    """Forgets what the kernel was found to allow: packages have been installed since."""
    _no_namespaces.cache_clear()
    _no_overlay.cache_clear()


def cache_folder() -> Path:
    """Returns the folder in the user's cache that emulated instances are kept in."""
    return cache_home() / "machines"


_ABILITIES: dict[str, Callable[[], str | None]] = {
    "linux": _no_linux,
    "root": _no_root,
    "namespaces": _no_namespaces,
    "overlay": _no_overlay,
}
