"""Installing what is missing: which commands are run, and what is said where they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.parts import PARTS, Family, Finding, System, _install, install, prepare
from tests.support.logs import logged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROOT = System(Family.DEBIAN, root=True, apt=True)
# What `apt-cache policy` of Debian 12 prints, shortened; a name that apt does not know is left out.
POLICY = """\
openmpi-bin:
  Installed: (none)
  Candidate: 4.1.4-3+b1
  Version table:
     4.1.4-3+b1 500
        500 http://deb.example/debian bookworm/main amd64 Packages
openssh-server:
  Installed: (none)
  Candidate: 1:9.2p1-2+deb12u10
  Version table:
packer:
  Installed: (none)
  Candidate: (none)
  Version table:
"""


class Apt:
    """Takes the place of apt and systemctl.

    Attributes:
        calls: The commands that were run, without options.
        policy: What apt-cache says.
        refusal: What `apt-get install` fails with; empty where it succeeds.
    """

    def __init__(self, policy: str = POLICY, refusal: str = "") -> None:
        self.calls: list[str] = []
        self.policy = policy
        self.refusal = refusal

    def __call__(self, command: Sequence[str]) -> tuple[bool, str]:
        words = [word for word in command if not word.startswith("-")]
        self.calls.append(" ".join(words).replace(" DPkg::Lock::Timeout=300", ""))
        if words[0] == "apt-cache":
            return True, self.policy
        if words[:2] == ["apt-get", "install"] and self.refusal:
            return False, self.refusal
        return True, ""


@pytest.fixture(autouse=True)
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is there where systemd runs; it does not."""
    folder = tmp_path / "systemd"
    monkeypatch.setattr(_install, "_SYSTEMD", folder)
    return folder


def test_lists_are_updated_and_all_is_installed_at_once() -> None:
    apt = Apt()
    assert install(["openmpi-bin", "openssh-server"], ["ssh.service"], apt) is None
    assert apt.calls == [
        "apt-get update",
        "apt-cache policy openmpi-bin openssh-server",
        "apt-get install openmpi-bin openssh-server",
    ]


def test_a_package_that_apt_does_not_have_keeps_no_other_from_coming() -> None:
    apt = Apt()
    reason = install(["openmpi-bin", "packer", "absent"], [], apt)
    assert reason == "apt has no package packer, absent"
    assert apt.calls[-1] == "apt-get install openmpi-bin"


def test_without_a_network_the_reason_is_said() -> None:
    apt = Apt(refusal="Err:1 x\nE: Failed to fetch http://deb.example/x.deb  Could not resolve\n")
    reason = install(["openmpi-bin"], [], apt)
    assert reason is not None
    assert reason.startswith("no package was installed: E: Failed to fetch")
    nothing = Apt(policy="")
    assert install(["openmpi-bin"], [], nothing) == "apt has no package openmpi-bin"
    assert not any("install" in call.split()[:2] for call in nothing.calls)


@pytest.mark.parametrize("refusal", ["", "E: no"])
def test_no_service_that_comes_with_a_package_is_started(systemd: Path, refusal: str) -> None:
    systemd.mkdir()
    apt = Apt(refusal=refusal)
    install(["openssh-server"], PARTS["sshd"].services, apt)
    assert apt.calls[2:] == [
        "systemctl mask ssh.service ssh.socket",
        "apt-get install openssh-server",
        "systemctl disable ssh.service ssh.socket",
        "systemctl unmask ssh.service ssh.socket",
    ]


class Machine:
    """A machine that lacks parts until they are installed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *absent: str, works: bool = True) -> None:
        self.absent = set(absent)
        self.installed: list[str] = []
        self._works = works
        monkeypatch.setattr(_install, "find_all", self._find_all)
        monkeypatch.setattr(_install, "install", self._install)
        monkeypatch.delenv("MNGEN_NO_PACKAGES", raising=False)

    def _find_all(self, names: Sequence[str]) -> dict[str, Finding]:
        return {name: Finding(found=name not in self.absent) for name in names}

    def _install(self, names: Sequence[str], *_: object) -> str | None:
        self.installed += names
        if not self._works:
            return "no package was installed: no network"
        self.absent -= {
            name for name, part in PARTS.items() if part.packages.get(Family.DEBIAN) in names
        }
        return None


def test_as_root_with_apt_what_is_missing_is_installed_after_a_line_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, "mpirun", "sshd", "debootstrap")
    with logged() as lines:
        assert prepare(["demo"], ROOT)
    (line,) = lines
    assert line == (
        "installing packages (MNGEN_NO_PACKAGES=1 leaves this out): "
        "debootstrap openssh-server openmpi-bin"
    )
    assert machine.installed == ["debootstrap", "openssh-server", "openmpi-bin"]


def test_where_all_is_there_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    with logged() as lines:
        assert prepare(["demo", "tests"], ROOT)
    assert (lines, machine.installed) == ([], [])


@pytest.mark.parametrize("name", sorted(name for name, part in PARTS.items() if part.packages))
def test_any_single_part_that_is_missing_is_installed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, name)
    assert prepare(["demo", "tests"], ROOT)
    debian = PARTS[name].packages.get(Family.DEBIAN)
    unused = {"aws", "session-manager-plugin", "bake-engine", "hydra", "engine"}
    if debian is None or PARTS[name].extra or name in unused:
        assert machine.installed == []
    else:
        assert machine.installed == [debian]


@pytest.mark.parametrize(
    "system",
    [
        System(Family.DEBIAN, root=False, apt=True),
        System(Family.FEDORA, root=True, apt=False),
        System(Family.HOMEBREW, root=False, apt=False),
        System(None, root=True, apt=False),
    ],
)
def test_elsewhere_it_says_what_is_left_out_and_how_to_get_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, "mpirun")
    with logged() as lines:
        assert prepare(["demo"], system)
    assert machine.installed == []
    assert lines[0] == "demo: the job is not rehearsed with real MPI; missing: Open MPI"
    assert lines[1].startswith("  help: " + ("run: " if system.family else "Open MPI: install it"))


def test_a_variable_leaves_packages_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "mpirun")
    monkeypatch.setenv("MNGEN_NO_PACKAGES", "1")
    with logged() as lines:
        assert prepare(["demo"], ROOT)
    assert machine.installed == []
    assert "apt-get install" in lines[1]


def test_where_installing_fails_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, "mpirun", works=False)
    with logged() as lines:
        assert prepare(["demo"], ROOT)
    assert lines[1:3] == [
        "warning: no package was installed: no network",
        "demo: the job is not rehearsed with real MPI; missing: Open MPI",
    ]


def test_a_python_without_virtual_environments_is_reported_with_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Machine(monkeypatch, "venv")
    user = System(Family.DEBIAN, root=False, apt=True)
    with logged() as lines:
        assert not prepare(["setup"], user)
    missing, hint = lines
    assert missing == "setup: cannot set up a checkout; missing: virtual environments of Python"
    assert hint.endswith(" python3-venv")
