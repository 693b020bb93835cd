"""What the playbooks bake, booted in QEMU: a real kernel, a real systemd, a real NFS server.

Three boots, two of them at the same time. The first node has two sockets with two threads a core,
numbered as on Intel types of EC2, and its file system comes late; at its second boot, which must
find all as it was, the file system's name is not known at first. The other node numbers the threads
of a core one after the other, starts with the command line that grub2-mkconfig leaves, and its file
system never comes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mngen.jobs._console import mount_state, telling_lines
from mngen.sandbox.machines._root import machine_layers
from tests.support.boot.disk import contents, make_disk
from tests.support.boot.guest import Boot, Guest, Processors, guest
from tests.support.boot.root import boot_root, kernel_of
from tests.support.machines import booted, copied
from tests.support.needs import lacking
from tests.support.playbooks import play, variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.machines import Machine

LACKING = lacking("boots", "nspawn", "playbook")

pytestmark = [
    pytest.mark.skipif(LACKING is not None, reason=str(LACKING)),
    # The boots are one fixture's.
    pytest.mark.xdist_group("boot"),
]

BASE = "amazon-linux-2023"
NAME = "fs-0123456789abcdef0.efs.us-east-1.amazonaws.com"
ENTRIES = "/boot/loader/entries"
CORES = 2
LATE_SECONDS = 30.0
UNKNOWN_SECONDS = 20.0
# How long a node tries to mount, instead of minutes.
RETRY_SECONDS = 60
# How long systemd gives each attempt where no server ever answers, instead of 90 s.
MOUNT_SECONDS = 30
BOOT_SECONDS = 1800.0
# For the emulator's speed: no test of the kernel's ciphers, and no check of the disk, which is XFS
# on EC2 and not checked there. For a busy host, on which the kernel's test of its timer fails. To
# end where the kernel cannot go on. Also for speed: programs always at the same address, for which
# QEMU has translated them already; random numbers from the start; no memory erased before its use;
# no statistics on memory and pressure; no filters of system calls, which units of Debian have and
# those of mngen have not.
# Source: https://docs.kernel.org/admin-guide/kernel-parameters.html, and for the last
# is_seccomp_available in https://github.com/systemd/systemd/blob/v252/src/shared/seccomp-util.c
EXTRA = (
    "mitigations=off cryptomgr.notests fsck.mode=skip no_timer_check panic=-1"
    " nokaslr norandmaps random.trust_cpu=on init_on_alloc=0 cgroup_disable=memory psi=0"
    " SYSTEMD_SECCOMP=0"
)
SHARED = "written by another node"
# As small as mkfs.xfs makes one; most of it is never written.
DISK = 512 << 20
# Compared byte by byte.
VOLUME = (b"a volume of the user's own" * 1000).ljust(16 << 20, b"\0")
# Where a boot could leave something: the programs in /usr are not hashed.
FOLDERS = ("boot", "etc", "home", "opt", "root", "srv", "usr/local", "var")
# What a running system writes at every boot, the agent's own state included.
RUNNING = re.compile(
    r"var/(log|cache|tmp)/|var/lib/ecs/data/|var/lib/systemd/(random-seed|timers/)"
)

STARTED = "done"


@dataclass(frozen=True)
class Boots:
    """What was booted, and what became of it."""

    baked: str
    late: Guest
    again: Guest
    never: Guest
    export: Path
    after_first: dict[str, str]
    after_second: dict[str, str]
    volumes: list[bytes]


@pytest.fixture(scope="module")
def boots(tmp_path_factory: pytest.TempPathFactory) -> Boots:
    folder = tmp_path_factory.mktemp("boot")
    root = boot_root()
    kernel, initrd = kernel_of(root)
    export = folder / "export"
    export.mkdir()
    (export / "shared").write_text(SHARED, encoding="utf-8")
    baked, regenerated = bake(folder)

    def drives(name: str, count: int) -> dict[str, Path]:
        """Make disks of the instance store, and a volume that must stay as it is."""
        found = {}
        for serial in ["vol0123456789abcdef0", *(f"AWS{number}" for number in range(count))]:
            found[serial] = folder / f"{name}-{serial}"
            found[serial].write_bytes(VOLUME)
            if serial.startswith("AWS"):
                os.truncate(found[serial], DISK)
        return found

    def boot(
        name: str,
        machine: Machine,
        processors: Processors,
        *,
        resolves_after: float | None = 0,
        served_after: float | None = 0,
        disks: dict[str, Path],
    ) -> Boot:
        disk = machine.upper.with_name("disk")
        if not disk.exists():
            layers = [machine.upper, machine_layers(BASE)[0]]
            make_disk(disk, layers, root, machine.upper.with_name("rig"))
        command_line = f"{options(machine)} {EXTRA}"
        files = (folder / name, kernel, initrd, disk)
        times = (resolves_after, served_after)
        return Boot(*files, command_line, processors, export, NAME, *times, disks=disks)

    two_sockets = Processors(sockets=2, cores=1, as_on_ec2=True)
    siblings_together = Processors(sockets=1, cores=2, as_on_ec2=False)
    several = drives("several", 2)
    first = boot("late", baked, two_sockets, served_after=LATE_SECONDS, disks=several)
    # One disk alone, for which there is no array.
    lost = boot("never", regenerated, siblings_together, served_after=None, disks=drives("one", 1))
    with guest(first) as late, guest(lost) as never:
        late.wait(BOOT_SECONDS)
        after_first = contents(first.disk, *FOLDERS)
        second = boot("again", baked, two_sockets, resolves_after=UNKNOWN_SECONDS, disks=several)
        with guest(second) as again:
            again.wait(BOOT_SECONDS)
        after_second = contents(first.disk, *FOLDERS)
        never.wait(BOOT_SECONDS)
    volumes = [path.read_bytes() for path in folder.glob("*-vol*")]
    baked_options = options(baked)
    return Boots(baked_options, late, again, never, export, after_first, after_second, volumes)


def bake(folder: Path) -> tuple[Machine, Machine]:
    """Bakes an image; returns it, and one whose boot entries were then made anew."""
    place = folder / "baked"
    place.mkdir()
    extra = variables(BASE, mngen_nr_cpus=CORES, mngen_efs_tls=False, mngen_efs_dns_name=NAME)
    extra["efs_retry_seconds"] = RETRY_SECONDS
    extra["mngen_scratch"] = "/scratch"
    with booted(place, BASE) as baked:
        done = play(place, extra, machine=baked)
        assert done.code == 0, done.output
    with booted(copied(place, folder / "regenerated"), BASE) as regenerated:
        regenerated.run("grub2-mkconfig --output /boot/grub2/grub.cfg")
        regenerated.run(
            "mkdir /etc/systemd/system/efs.mount.d;"
            f" printf '[Mount]\\nTimeoutSec={MOUNT_SECONDS}\\n'"
            " > /etc/systemd/system/efs.mount.d/test.conf"
        )
    return baked, regenerated


def options(machine: Machine) -> str:
    """Returns the kernel's command line, as the boot loader takes it from the newest entry."""
    newest = machine.listing(ENTRIES)[-1]
    (line,) = re.findall("^options (.*)$", machine.read(f"{ENTRIES}/{newest}"), re.MULTILINE)
    return str(line)


def results(node: Guest, unit: str) -> dict[str, float]:
    """Returns how the attempts to start a unit came out, and when, in seconds of the boot."""
    return {
        entry["JOB_RESULT"]: int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
        for entry in node.journal
        if entry.get("UNIT") == unit and entry.get("JOB_TYPE") == "start"
        if "JOB_RESULT" in entry
    }


def facts(node: Guest) -> dict[str, str]:
    """Returns what the node reported of itself before it powered itself off."""
    found = dict(line.split("=", 1) for line in node.said("rig-report"))
    assert found["complete"] == "yes"
    return found


@pytest.fixture(params=["late", "again"])
def node(request: pytest.FixtureRequest, boots: Boots) -> Guest:
    """The node that takes jobs, at its first boot and at its second."""
    found: Guest = getattr(boots, request.param)
    return found


def test_the_kernel_starts_with_the_limit_that_was_baked(boots: Boots, node: Guest) -> None:
    assert f"nr_cpus={CORES}" in boots.baked.split()
    assert facts(node)["cmdline"] == f"{boots.baked} {EXTRA}"


def test_it_keeps_one_thread_of_each_core_on_both_sockets(node: Guest) -> None:
    found = facts(node)
    assert found["online"] == "0-1"
    assert (found["siblings.0"], found["siblings.1"]) == ("0", "1")
    assert (found["node0"], found["node1"]) == ("0", "1")


def test_the_check_at_boot_says_so(node: Guest) -> None:
    line = "mngen-cpu-check: OK: 2 CPUs online (0-1), one thread a core, as baked"
    assert node.said("mngen-cpu-check") == [line]
    assert line in node.console


def test_the_check_says_the_same_under_either_shell(node: Guest) -> None:
    line = "mngen-cpu-check: OK: 2 CPUs online (0-1), one thread a core, as baked"
    assert node.said("rig-shells") == [
        *(f"dash: {line}", "dash: exit 0"),
        *(f"bash: {line}", "bash: exit 0"),
    ]


def test_the_file_system_is_mounted_as_baked(node: Guest) -> None:
    source, target, mounted = facts(node)["mount"].split()
    assert (source, target) == (f"{NAME}:/", "/efs")
    wanted = {"vers=4.1", "rsize=1048576", "wsize=1048576", "hard", "timeo=600", "retrans=2"}
    assert wanted | {"noresvport"} <= set(mounted.split(","))


def test_what_is_written_on_it_is_seen_by_others(boots: Boots, node: Guest) -> None:
    assert facts(node)["shared"] == SHARED
    # The second boot wrote last.
    assert facts(boots.again)["boot"] == (boots.export / "booted").read_text().strip()
    assert facts(boots.late)["boot"] != facts(boots.again)["boot"]


def test_docker_and_the_agent_start_after_it(node: Guest) -> None:
    mount, docker, agent = (
        results(node, unit)[STARTED] for unit in ("efs.mount", "docker.service", "ecs.service")
    )
    assert mount < docker < agent
    assert facts(node)["failed"] == ""


def test_a_late_file_system_is_waited_for(boots: Boots) -> None:
    assert boots.late.events["served"] - boots.late.events["asked"] >= LATE_SECONDS
    # In one attempt: none failed before.
    assert results(boots.late, "efs.mount").keys() == {STARTED}
    assert results(boots.late, "ecs.service").keys() == {STARTED}


def test_a_mount_that_fails_once_is_tried_again(boots: Boots) -> None:
    assert results(boots.again, "efs.mount").keys() == {"failed", STARTED}
    said = boots.again.said("mngen-efs-mount")
    assert "WARNING: /efs is not mounted" in said[0]
    assert said[-1] == "mngen-efs-mount: OK: /efs is mounted"
    # None was given up meanwhile, which nothing would start again.
    for unit in ("docker.service", "ecs.service"):
        assert results(boots.again, unit).keys() == {STARTED}


def test_a_second_boot_changes_nothing(boots: Boots) -> None:
    kept = [
        {name: facts for name, facts in files.items() if not RUNNING.match(name)}
        for files in (boots.after_first, boots.after_second)
    ]
    assert len(kept[0]) > 1000
    assert kept[0] == kept[1]


def test_threads_of_one_core_are_found_and_turned_off(boots: Boots) -> None:
    said = boots.never.said("mngen-cpu-check")
    assert said[0].startswith(
        "mngen-cpu-check: WARNING: 2 CPUs online (0-1), CPUs 0-1 are threads of one core; "
        "2 CPUs with one thread a core were baked"
    )
    assert any(line.startswith("mngen-cpu-check: turned simultaneous") for line in said)
    assert (
        "mngen-cpu-check: ERROR: 1 CPUs online (0), one thread a core, but 2 CPUs were baked"
    ) in said
    for line in said:
        assert line in boots.never.console
    assert "failed" in results(boots.never, "mngen-cpu-check.service")


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_they_are_found_under_either_shell(boots: Boots, shell: str) -> None:
    said = [line for line in boots.never.said("rig-shells") if line.startswith(shell)]
    assert "CPUs 0-1 are threads of one core" in said[0]
    assert said[-1] == f"{shell}: exit 1"


def test_nothing_starts_without_the_file_system(boots: Boots) -> None:
    assert results(boots.never, "efs.mount").keys() == {"failed"}
    assert any("Mounting timed out" in str(each["MESSAGE"]) for each in boots.never.journal)
    for unit in ("docker.service", "ecs.service"):
        assert STARTED not in results(boots.never, unit)
        assert not any(f"Starting {unit}" in str(each["MESSAGE"]) for each in boots.never.journal)
    assert (boots.export / "booted").read_text().strip() == facts(boots.again)["boot"]


def test_a_node_without_its_file_system_powers_off_and_says_why(boots: Boots) -> None:
    console = boots.never.console
    assert "Failed to mount efs.mount - /efs" in console
    assert "emergency" not in console
    said = boots.never.said("mngen-efs-mount")
    assert f"ERROR: /efs was not mounted within {RETRY_SECONDS} s" in said[-2]
    assert "powering off, so that AWS Batch replaces this instance" in said[-1]
    for line in said:
        assert line in console
    # By itself: the test ended no guest.
    assert "Power down" in console


def test_all_disks_of_the_instance_store_are_one_file_system(node: Guest) -> None:
    found = facts(node)
    source, kind, size = found["scratch"].split()
    assert (source, kind) == ("/dev/md127", "xfs")
    # What XFS keeps for its log is 64 MiB or less.
    assert 2 * DISK - (96 << 20) < int(size) < 2 * DISK
    assert found["scratch.mode"] == "1777 0"
    (said,) = node.said("mngen-scratch")
    assert said.startswith("mngen-scratch: OK: /scratch is mounted: 2 disk(s)")
    assert said in node.console


def test_one_disk_is_formatted_as_it_is(boots: Boots) -> None:
    (said,) = boots.never.said("mngen-scratch")
    assert said.startswith("mngen-scratch: OK: /scratch is mounted: 1 disk(s)")
    assert not any("md127" in str(each["MESSAGE"]) for each in boots.never.journal)


def test_no_boot_finds_files_of_an_earlier_one(boots: Boots) -> None:
    assert [facts(each)["scratch.files"] for each in (boots.late, boots.again)] == ["", ""]


def test_volumes_are_left_alone(boots: Boots, node: Guest) -> None:
    links = facts(node)["links"].split()
    assert "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0" in links
    assert "nvme-Amazon_EC2_NVMe_Instance_Storage_AWS0" in links
    assert len(boots.volumes) == 2
    assert all(volume == VOLUME for volume in boots.volumes)


def test_docker_and_the_agent_start_after_the_scratch_space(node: Guest) -> None:
    scratch, docker, agent = (
        results(node, unit)[STARTED]
        for unit in ("mngen-scratch.service", "docker.service", "ecs.service")
    )
    assert scratch < docker < agent


STARTER = """
import pathlib, sys, time
from tests.support.boot.guest import Boot, Processors, guest
from tests.support.boot.root import boot_root, kernel_of
folder = pathlib.Path(sys.argv[1])
disk = folder / "disk"
disk.write_bytes(bytes(1 << 20))
processors = Processors(sockets=1, cores=1, as_on_ec2=False)
kernel, initrd = kernel_of(boot_root())
files = (folder / "guest", kernel, initrd, disk)
with guest(Boot(*files, "break=top", processors, folder, "x")):
    time.sleep(600)
"""


def running(folder: Path) -> list[str]:
    """Returns the names of the programs whose command lines name a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = file.read_bytes().split(b"\0")
            if any(str(folder / "guest").encode() in word for word in words):
                found.append(Path(words[0].decode()).name)
    return found


def reached(moment: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while not (there := moment()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return there


def test_a_guest_ends_with_whoever_is_killed(tmp_path: Path) -> None:
    programs = {"qemu-system-x86_64", "ganesha.nfsd", "unshare"}
    with subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)]) as starter:
        assert reached(lambda: programs <= set(running(tmp_path)))
        starter.kill()
    assert reached(lambda: not running(tmp_path)), running(tmp_path)


def test_status_reads_from_the_console_how_far_the_mount_came(boots: Boots) -> None:
    """What `mngen status` shows of an instance that does not join, read from real consoles."""
    states = [mount_state(each.console) for each in (boots.late, boots.again, boots.never)]
    assert states == ["OK", "OK", "ERROR"]
    shown = telling_lines(boots.never.console)
    assert any("mngen-efs-mount: ERROR: /efs was not mounted within" in line for line in shown)
    assert all(line.isprintable() for line in shown)
