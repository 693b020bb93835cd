"""The decision: what was found, root or not, apt or not; what is missing and how to get it."""

from __future__ import annotations

import pytest

from mngen.parts import (
    NEEDS,
    PARTS,
    Family,
    Finding,
    System,
    all_parts_of,
    explain,
    family_of,
    how_to_get,
    judge,
    may_install,
    missing_among,
    parts_of,
    report,
)

APT_INSTALL = "apt-get install --yes --no-install-recommends"
DEBIAN = System(Family.DEBIAN, root=False, apt=True)


def without(*names: str) -> dict[str, Finding]:
    return {name: Finding(found=name not in names) for name in PARTS}


def test_needs_name_parts_and_needs_that_exist() -> None:
    for need in NEEDS.values():
        for name in (*need.parts, *(each.name for each in need.without)):
            assert name in PARTS or name in NEEDS, f"{need.name}: {name}"
    for part in PARTS.values():
        assert set(part.after) <= set(PARTS), part.name


def test_every_part_is_needed_and_can_be_had() -> None:
    needed = {part for need in NEEDS for part in all_parts_of(need)}
    assert needed == set(PARTS)
    for part in PARTS.values():
        assert part.packages or part.extra or part.how, part.name


def test_a_part_is_looked_for_after_those_that_it_follows() -> None:
    for need in NEEDS:
        parts = all_parts_of(need)
        for name in parts:
            for before in PARTS[name].after:
                assert before in parts, f"{need}: {name} without {before}"
                assert parts.index(before) < parts.index(name), f"{need}: {name} before {before}"


@pytest.mark.parametrize("need", sorted(NEEDS))
def test_any_single_missing_part_is_reported_for_the_need_that_it_is_part_of(need: str) -> None:
    assert not judge(need, without()).wanted
    for name in PARTS:
        judgement = judge(need, without(name))
        required = name in parts_of(need)
        assert judgement.missing == ((name,) if required else ())
        assert (name in judgement.wanted) == (name in all_parts_of(need))
        for each in judgement.left_out:
            assert each.missing == (name,)
            assert each.what


def test_the_demo_needs_moto_and_a_terraform_and_nothing_else() -> None:
    assert judge("demo", without(*PARTS)).missing == ("moto", "terraform")
    left_out = {each.name for each in judge("demo", without(*PARTS)).left_out}
    assert left_out == {"demo-bake", "container", "demo-rehearse"}


def test_what_follows_from_a_missing_part_is_not_reported_beside_it() -> None:
    findings = without("linux", "root", "namespaces", "node-python", "mpi4py")
    assert missing_among(parts_of("nodes"), findings) == ("linux",)
    assert judge("demo-rehearse", findings).missing == ("linux", "node-python")


@pytest.mark.parametrize(
    ("family", "root", "command"),
    [
        (
            Family.DEBIAN,
            False,
            f"sudo apt-get update && sudo {APT_INSTALL} openmpi-bin openssh-server",
        ),
        (
            Family.DEBIAN,
            True,
            f"apt-get update && {APT_INSTALL} openmpi-bin openssh-server",
        ),
        (Family.FEDORA, False, "sudo dnf install --assumeyes openmpi openssh-server"),
        (Family.AMAZON, True, "dnf install --assumeyes openmpi openssh-server"),
        (Family.HOMEBREW, False, "brew install open-mpi openssh"),
    ],
)
def test_one_command_brings_all_that_is_missing(family: Family, root: bool, command: str) -> None:
    hints = how_to_get(["mpirun", "sshd"], System(family, root=root, apt=False))
    assert hints.command == command


def test_one_package_is_named_once() -> None:
    hints = how_to_get(["nsenter", "unshare", "setpriv", "ssh", "node-ssh"], DEBIAN)
    assert hints.notes == ()
    assert hints.command.endswith(" util-linux openssh-client")


def test_packages_and_extras_are_one_command() -> None:
    hints = how_to_get(["moto", "debootstrap", "ansible", "ansible-runner"], DEBIAN)
    assert hints.notes == ()
    assert hints.command.endswith(" debootstrap && pip install 'mngen[sandbox,bake]'")


def test_what_no_package_has_is_explained() -> None:
    assert how_to_get(["root"], DEBIAN).lines == ("root: run as root, with sudo",)
    fedora = System(Family.FEDORA, root=True, apt=False)
    assert (
        how_to_get(["mpirun"], fedora).notes[0].startswith("Open MPI: its mpirun is in /usr/lib64/")
    )
    unknown = System(None, root=True, apt=False)
    assert how_to_get(["mpirun"], unknown).lines == ("Open MPI: install it",)


def test_an_error_names_what_is_missing_and_how_to_get_it() -> None:
    found = {"mpirun": Finding(found=False), "overlay": Finding(found=False, trouble="refused")}
    told = explain("rehearse", found, DEBIAN)
    assert told.message == (
        "cannot rehearse a job on this machine; missing: Open MPI, "
        "overlay file systems of the kernel (refused)"
    )
    assert "openmpi-bin; overlay file systems of the kernel: run outside" in told.hint


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("apt", [True, False])
@pytest.mark.parametrize("value", ["", "0", "1", "yes"])
def test_packages_are_installed_as_root_with_apt_unless_told_otherwise(
    root: bool, apt: bool, value: str
) -> None:
    allowed = may_install(System(Family.DEBIAN, root=root, apt=apt), {"MNGEN_NO_PACKAGES": value})
    assert allowed == (root and apt and value in {"", "0"})


def test_the_demo_installs_no_engine_that_would_have_nothing_to_build_on() -> None:
    judgement = judge("demo", without("engine", "sshd"))
    assert judgement.wanted == ("engine", "sshd")
    assert judgement.worth_installing == ("sshd",)


def test_what_is_left_out_is_reported_with_the_one_command() -> None:
    judgement = judge("demo", without("sshd", "mpirun", "debootstrap", "engine"))
    packages = "debootstrap openssh-server openmpi-bin"
    assert report("demo", judgement, DEBIAN) == [
        "demo: AMIs are copied from their base, not baked; missing: debootstrap",
        "demo: the container image is not built; missing: a container engine",
        "demo: the job is not rehearsed with real MPI; missing: OpenSSH server, Open MPI",
        f"  help: run: sudo apt-get update && sudo {APT_INSTALL} {packages}",
    ]
    assert report("demo", judge("demo", without()), DEBIAN) == []


@pytest.mark.parametrize(
    ("name", "like", "family"),
    [
        ("debian", "", Family.DEBIAN),
        ("ubuntu", "debian", Family.DEBIAN),
        ("linuxmint", "ubuntu debian", Family.DEBIAN),
        ("fedora", "", Family.FEDORA),
        ("rocky", "rhel centos fedora", Family.FEDORA),
        ("amzn", "fedora", Family.AMAZON),
        ("arch", "", None),
    ],
)
def test_systems_are_told_by_their_os_release(name: str, like: str, family: Family | None) -> None:
    assert family_of(name, like) == family
