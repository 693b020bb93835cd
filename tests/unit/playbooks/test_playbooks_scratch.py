"""The script that makes the scratch space, on disks and with programs that are made up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mngen._resources import playbooks

SCRIPT = playbooks() / "roles" / "scratch" / "files" / "mngen-scratch.sh"
# As systemd 252's 60-persistent-storage.rules name them: after the model and the serial number, and
# once more with the number of the namespace.
STORE = "nvme-Amazon_EC2_NVMe_Instance_Storage_AWS{}"
VOLUME = "nvme-Amazon_Elastic_Block_Store_vol0{}"

CREATE = "mdadm --quiet --create /dev/md/mngen-scratch --run --level=0"
NAMED = "--name=mngen-scratch --homehost=any"
CALL = 'echo "$(basename "$0") $*" >>called\n'
PROGRAMS = {
    "mountpoint": "[ -e mounted ]",
    "mount": CALL + ": >mounted",
    "df": 'echo "Filesystem 1024-blocks Used Available Capacity Mounted on"\n'
    'echo "/dev/md127 1757500000 12300000 1745200000 1% /scratch"',
    "sleep": "echo nap >>naps",
    # What udev has not linked at once is there after a while.
    "udevadm": CALL,
    **{
        name: CALL + f"[ ! -e {name}.fails ] || {{ echo '{name}: device is busy' >&2; exit 1; }}"
        for name in ("mdadm", "wipefs", "mkfs.xfs", "mkdir", "chmod", "systemctl")
    },
}


class Node:
    """A folder with what the script looks at, and programs that write down their calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = folder / "programs"
        self._programs.mkdir()
        for name, text in PROGRAMS.items():
            (self._programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (self._programs / name).chmod(0o755)
        (folder / "dev/disk/by-id").mkdir(parents=True)
        self._number = 0

    def add(self, name: str, *, model: str, links: bool = True) -> None:
        """Attach an NVMe device, with the links that udev makes."""
        device = f"nvme{self._number}n1"
        controller = self.folder / f"sys/class/nvme/nvme{self._number}"
        self._number += 1
        controller.mkdir(parents=True)
        # The kernel fills the model up with spaces.
        (controller / "model").write_text(f"{model:<40}\n")
        (self.folder / "dev" / device).touch()
        if links:
            for suffix in ("", "_1", "-ns-1"):
                link = self.folder / "dev/disk/by-id" / f"{name}{suffix}"
                link.symlink_to(f"../../{device}")

    def disk(self, *, links: bool = True) -> None:
        self.add(STORE.format(self._number), model="Amazon EC2 NVMe Instance Storage", links=links)

    def volume(self) -> None:
        self.add(VOLUME.format(self._number), model="Amazon Elastic Block Store")

    def array(self, *disks: str) -> None:
        """Put an array of an earlier boot together, as udev does."""
        for disk in disks:
            (self.folder / f"sys/class/block/{disk}/holders/md127").mkdir(parents=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", SCRIPT, *(arguments or ("/scratch", str(self.folder)))],
            cwd=self.folder,
            env={"PATH": f"{self._programs}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def called(self) -> list[str]:
        """What it called, with the folder left out, and without udev."""
        file = self.folder / "called"
        text = file.read_text() if file.exists() else ""
        lines = text.replace(str(self.folder), "").splitlines()
        return [line for line in lines if not line.startswith("udevadm")]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    made = Node(tmp_path)
    made.volume()
    return made


def test_several_disks_become_one_file_system_and_volumes_are_left_alone(node: Node) -> None:
    node.disk()
    node.volume()
    node.disk()
    done = node.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert node.called == [
        "wipefs --quiet --all /dev/nvme1n1",
        "wipefs --quiet --all /dev/nvme3n1",
        f"{CREATE} --raid-devices=2 {NAMED} /dev/nvme1n1 /dev/nvme3n1",
        "mkfs.xfs -q -f -K /dev/md/mngen-scratch",
        "mkdir -p /scratch",
        "mount -t xfs -o noatime /dev/md/mngen-scratch /scratch",
        "chmod 1777 /scratch",
    ]
    assert done.stdout == "mngen-scratch: OK: /scratch is mounted: 2 disk(s), 1799 GB\n"


def test_one_disk_needs_no_array(node: Node) -> None:
    node.disk()
    assert node.run().returncode == 0
    assert not any(line.startswith("mdadm") for line in node.called)
    assert "mkfs.xfs -q -f -K /dev/nvme1n1" in node.called


def test_after_a_reboot_the_old_array_is_stopped_first(node: Node) -> None:
    node.disk()
    node.disk()
    node.array("nvme1n1", "nvme2n1")
    (node.folder / "programs/mdadm").write_text(
        f"#!/bin/sh\n{CALL}case $* in *--stop*) rm -r sys/class/block ;; esac\n"
    )
    assert node.run().returncode == 0
    assert node.called[0] == "mdadm --quiet --stop /dev/md127"
    assert sum("--stop" in line for line in node.called) == 1
    # Not while udev could put it together again.
    every = (node.folder / "called").read_text().splitlines()
    held = every.index("udevadm control --stop-exec-queue")
    released = every.index("udevadm control --start-exec-queue")
    wiped = [number for number, line in enumerate(every) if line.startswith("wipefs")]
    assert held < every.index("mdadm --quiet --stop /dev/md127") < min(wiped) <= max(wiped)
    assert max(wiped) < released


def test_a_second_start_changes_nothing(node: Node) -> None:
    node.disk()
    (node.folder / "mounted").touch()
    done = node.run()
    assert (done.returncode, node.called) == (0, [])
    assert done.stdout == "mngen-scratch: OK: /scratch is mounted\n"


def test_partitions_are_no_disks(node: Node) -> None:
    node.disk()
    (node.folder / "dev/nvme1n1p1").touch()
    link = node.folder / "dev/disk/by-id" / (STORE.format(1) + "-part1")
    link.symlink_to("../../nvme1n1p1")
    assert node.run().returncode == 0
    assert not any("p1" in line for line in node.called)


def failed(node: Node, why: str) -> None:
    done = node.run()
    assert done.returncode == 1
    assert f"mngen-scratch: ERROR: no scratch space: {why}" in done.stdout
    assert "powering off, so that AWS Batch replaces this instance" in done.stdout
    assert node.called[-1] == "systemctl --no-block poweroff"
    assert not (node.folder / "mounted").exists()


def test_without_a_disk_it_waits_and_powers_off(node: Node) -> None:
    failed(node, "this instance has no NVMe instance-store disk")
    assert len((node.folder / "naps").read_text().splitlines()) == 60
    assert node.called == ["systemctl --no-block poweroff"]


def test_a_disk_without_a_link_is_waited_for(node: Node) -> None:
    node.disk()
    node.disk(links=False)
    failed(node, "1 instance-store disk(s) are ready, and the kernel has found 2")


def test_a_disk_that_comes_late_is_taken(node: Node) -> None:
    node.disk()
    node.disk(links=False)
    link = f"dev/disk/by-id/{STORE.format(2)}"
    (node.folder / "programs/sleep").write_text(f"#!/bin/sh\nln -s ../../nvme2n1 {link}\n")
    assert node.run().returncode == 0
    assert any("--raid-devices=2" in line for line in node.called)


@pytest.mark.parametrize("program", ["wipefs", "mdadm", "mkfs.xfs", "chmod"])
def test_what_a_program_says_is_the_reason(node: Node, program: str) -> None:
    node.disk()
    node.disk()
    (node.folder / f"{program}.fails").touch()
    done = node.run()
    assert done.returncode == 1
    assert f"ERROR: no scratch space: {program}: {program}: device is busy" in done.stdout
    assert node.called[-1] == "systemctl --no-block poweroff"
    every = (node.folder / "called").read_text().splitlines()
    assert "udevadm control --start-exec-queue" in every


@pytest.mark.parametrize("mount", ["", "scratch", "/"])
def test_called_wrongly(node: Node, mount: str) -> None:
    done = node.run(mount)
    assert (done.returncode, node.called) == (2, [])
    assert "usage: mngen-scratch MOUNT" in done.stderr


def test_shellcheck_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [program, SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
