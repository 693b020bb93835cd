"""Installs what is missing for a need, if that can be done, and logs what is left out."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.parts._judge import how_to_get, judge, packages
from mngen.parts._probe import Finding, find_all, forget
from mngen.parts._table import NEEDS, PARTS, Family, all_parts_of

if TYPE_CHECKING:
    from mngen.parts._judge import Judgement, System

_LOG = logging.getLogger(__name__)

NO_PACKAGES = "MNGEN_NO_PACKAGES"
"""The variable that, set to 1, leaves packages as they are."""

_APT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
_WAIT_FOR_LOCK = ("-o", "DPkg::Lock::Timeout=300")
_SYSTEMD = Path("/run/systemd/system")
_CANDIDATE = re.compile(r"^(\S+):\n  Installed: .*\n  Candidate: (?!\(none\))", re.MULTILINE)


def may_install(system: System, environment: Mapping[str, str]) -> bool:
    """Whether packages are installed without asking: as root with apt, unless turned off."""
    return system.root and system.apt and environment.get(NO_PACKAGES, "") in {"", "0"}


def prepare(needs: Sequence[str], system: System) -> bool:
    """Installs what is missing for needs where that is allowed, and logs what is left out.

    What pip installs is not looked for: it goes into a virtual environment that is made afterwards.

    Args:
        needs: Their names.
        system: The system.

    Returns:
        Whether nothing is missing that a need does not work without.
    """
    found = [_judged(name) for name in needs]
    parts = [part for each in found for part in each.worth_installing]
    wanted = packages(parts, Family.DEBIAN)
    if wanted and may_install(system, os.environ):
        _LOG.info("installing packages (%s=1 leaves this out): %s", NO_PACKAGES, " ".join(wanted))
        services = [service for part in parts for service in PARTS[part].services]
        if reason := install(wanted, services, _run):
            _LOG.warning("warning: %s", reason)
        forget()
        found = [_judged(name) for name in needs]
    for name, judgement in zip(needs, found, strict=True):
        for line in report(name, judgement, system):
            _LOG.info("%s", line)
    return not any(each.missing for each in found)


def _judged(need: str) -> Judgement:
    parts = all_parts_of(need)
    by_pip = {name: Finding(found=True) for name in parts if PARTS[name].extra}
    return judge(need, find_all(name for name in parts if name not in by_pip) | by_pip)


def report(need: str, judgement: Judgement, system: System) -> list[str]:
    """Returns what to print at the start: what is left out, and the command that would install it.

    Args:
        need: The name of what is about to be done.
        judgement: What can be done of it.
        system: The system.
    """

    def titles(parts: Iterable[str]) -> str:
        return ", ".join(PARTS[name].title for name in parts)

    lines = []
    if judgement.missing:
        lines.append(f"{need}: cannot {NEEDS[need].title}; missing: {titles(judgement.missing)}")
    same: dict[str, list[str]] = {}
    for each in judgement.left_out:
        same.setdefault(each.what, []).extend(each.missing)
    lines += [
        f"{need}: {what}; missing: {titles(dict.fromkeys(missing))}"
        for what, missing in same.items()
    ]
    hints = how_to_get(judgement.worth_installing, system).lines
    return lines + [f"  help: {hint}" for hint in hints]


Run = Callable[[Sequence[str]], "tuple[bool, str]"]
"""Runs a command; returns whether it succeeded, and its output."""


def install(names: Sequence[str], services: Sequence[str], run: Run) -> str | None:
    """Installs Debian packages, as far as apt has them; starts none of their services.

    Where systemd runs, a service that comes with a package would listen to the network from now
    on. It is masked meanwhile and disabled afterwards: mngen runs the program itself.

    Args:
        names: The packages.
        services: systemd's units that come with them.
        run: What runs commands.

    Returns:
        What was not installed and why, or None.
    """
    run(("apt-get", "update", "--quiet=2", *_WAIT_FOR_LOCK))
    _, said = run(("apt-cache", "policy", *names))
    known = set(_CANDIDATE.findall(said))
    wanted = [name for name in names if name in known]
    unknown = [name for name in names if name not in known]
    units = services if _SYSTEMD.is_dir() else ()
    succeeded, said = True, ""
    if wanted:
        if units:
            run(("systemctl", "mask", "--runtime", "--quiet", *units))
        options = ("--quiet=2", "--yes", "--no-install-recommends", *_WAIT_FOR_LOCK)
        succeeded, said = run(("apt-get", "install", *options, *wanted))
        if units:
            run(("systemctl", "disable", "--quiet", *units))
            run(("systemctl", "unmask", "--runtime", "--quiet", *units))
    if not succeeded:
        last = said.strip().splitlines()[-1:] or ["apt-get failed"]
        return f"no package was installed: {last[0]}"
    return f"apt has no package {', '.join(unknown)}" if unknown else None


def _run(command: Sequence[str]) -> tuple[bool, str]:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **_APT},
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode == 0, done.stdout
