"""The locks hold what pyproject.toml asks for, with hashes, and name no place to get it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS: dict[str, list[str]] = PROJECT["dependency-groups"]
PRODUCT: list[str] = [
    *PROJECT["build-system"]["requires"],
    *PROJECT["project"]["dependencies"],
    *(text for extra in PROJECT["project"]["optional-dependencies"].values() for text in extra),
]
WANTED = {
    group: [*wanted, *(PRODUCT if group == "dev" else [])] for group, wanted in GROUPS.items()
}


def read_lock(group: str) -> str:
    return (ROOT / f"requirements-{group}.lock").read_text(encoding="utf-8")


def pins(lock: str) -> dict[str, list[str]]:
    """Return the pinned versions by name; more than one where they depend on the Python."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock, re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


@pytest.mark.parametrize("group", WANTED)
def test_each_wanted_package_is_pinned_in_its_range(group: str) -> None:
    pinned = pins(read_lock(group))
    for requirement in map(Requirement, WANTED[group]):
        versions = pinned.get(canonicalize_name(requirement.name), [])
        assert any(map(requirement.specifier.contains, versions)), (
            f"{requirement} is not what the lock has: {versions}; run `make lock`"
        )


@pytest.mark.parametrize("group", WANTED)
def test_everything_is_pinned_with_hashes_and_from_nowhere_in_particular(group: str) -> None:
    lock = read_lock(group)
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", lock, flags=re.MULTILINE))
    assert len(entries) > 5
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert re.findall(r"\S*(?:://|--index|--extra-index|--find-links|--trusted)\S*", lock) == []
