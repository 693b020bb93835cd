"""Judges what was found: what is missing for a need, what is left out, how to get it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen.parts._table import NEEDS, PARTS, Family, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mngen.parts._probe import Finding


@dataclass(frozen=True, slots=True)
class System:
    """A system, as far as installing goes.

    Attributes:
        family: How it names packages; None where that is not known.
        root: Whether this user is root.
        apt: Whether it has apt-get.
    """

    family: Family | None
    root: bool
    apt: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is left out.

    Attributes:
        name: The need or part that is not satisfied.
        what: What is left out.
        missing: The parts that are missing for it.
        worth_installing: Whether those are installed where everything missing is.
    """

    name: str
    what: str
    missing: tuple[str, ...]
    worth_installing: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """What can be done with what was found.

    Attributes:
        missing: Parts without which it cannot be done at all.
        left_out: What is left out of it.
    """

    missing: tuple[str, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every part that is missing, in order."""
        optional = (name for each in self.left_out for name in each.missing)
        return tuple(dict.fromkeys((*self.missing, *optional)))

    @property
    def worth_installing(self) -> tuple[str, ...]:
        """Those of them that are installed where everything missing is."""
        optional = (
            name for each in self.left_out if each.worth_installing for name in each.missing
        )
        return tuple(dict.fromkeys((*self.missing, *optional)))


def judge(need: str, findings: Mapping[str, Finding]) -> Judgement:
    """Judges a need.

    Args:
        need: Its name.
        findings: What was found of each part that `all_parts_of` lists for it.
    """
    left_out = [
        LeftOut(each.name, each.left_out, missing, each.worth_installing)
        for each in NEEDS[need].without
        if (missing := missing_among(parts_of(each.name), findings))
    ]
    return Judgement(missing_among(parts_of(need), findings), tuple(left_out))


def missing_among(names: Iterable[str], findings: Mapping[str, Finding]) -> tuple[str, ...]:
    """Returns the parts that are missing, without those that follow from another one's absence."""
    absent = [name for name in names if not findings[name].found]
    return tuple(name for name in absent if not set(PARTS[name].after).intersection(absent))


def packages(parts: Iterable[str], family: Family) -> tuple[str, ...]:
    """Returns the packages of parts on a system, in order, none of them twice."""
    found = (PARTS[part].packages.get(family) for part in parts)
    return tuple(dict.fromkeys(name for name in found if name))


@dataclass(frozen=True, slots=True)
class Help:
    """How to get what is missing.

    Attributes:
        command: One command for all that a command installs; empty if none does.
        notes: What else is to be done.
    """

    command: str
    notes: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it as hints."""
        return ((f"run: {self.command}",) if self.command else ()) + self.notes


def how_to_get(parts: Iterable[str], system: System) -> Help:
    """Returns how to get what is missing.

    Args:
        parts: The parts that are missing.
        system: The system.
    """
    missing = [PARTS[name] for name in parts]
    family = system.family
    by_package = [part for part in missing if family in part.packages]
    by_pip = [part for part in missing if family not in part.packages and part.extra]
    commands = []
    if family is not None and by_package:
        names = packages((part.name for part in by_package), family)
        commands.append(install_command(names, family, root=system.root))
    if by_pip:
        extras = ",".join(dict.fromkeys(part.extra for part in by_pip))
        commands.append(f"pip install {shlex.quote(f'mngen[{extras}]')}")
    notes = []
    for part in missing:
        if part in by_package:
            notes += [
                f"{part.title}: {note}" for each, note in part.notes.items() if each is family
            ]
        elif part not in by_pip:
            notes.append(f"{part.title}: {part.how or 'install it'}")
    return Help(" && ".join(commands), tuple(notes))


def install_command(names: Iterable[str], family: Family, *, root: bool) -> str:
    """Returns the command that installs packages.

    Args:
        names: The packages.
        family: The system's family.
        root: Whether this user is root.
    """
    sudo = "" if root or family is Family.HOMEBREW else "sudo "
    wanted = " ".join(names)
    match family:
        case Family.DEBIAN:
            options = "--yes --no-install-recommends"
            return f"{sudo}apt-get update && {sudo}apt-get install {options} {wanted}"
        case Family.FEDORA | Family.AMAZON:
            return f"{sudo}dnf install --assumeyes {wanted}"
        case Family.HOMEBREW:
            return f"brew install {wanted}"
