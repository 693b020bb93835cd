"""A guest in QEMU: its processors, its network services, what it writes, and its end."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.boot.firmware import QEMU, acpi_table
from tests.support.boot.madt import SIGNATURE, with_first_threads_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CHECKOUT = Path(__file__).resolve().parents[3]
_MEMORY = 512
# Ends with this process, and everything in its namespaces with it.
_ALONE = (
    *("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid"),
    *("--fork", "--kill-child", "--mount-proc", "--"),
)
# Where Linux reads tables from that replace the firmware's: an uncompressed archive before the
# initial RAM disk. https://docs.kernel.org/admin-guide/acpi/initrd_table_override.html
_TABLES = "kernel/firmware/acpi"
_POLL_SECONDS = 0.5

# The guest's clock counts its instructions, 8 ns each, and runs on while it waits: however busy the
# host is, no limit of time in the guest passes before the guest has had its turn. With fewer, the
# kernel's loops that pass the time have more to do: of 2 ns, it takes two thirds more to start. Not
# for others: with QEMU 7.2, a second CPU in the first one's socket never starts then.
_COUNTED = ("-icount", "shift=3")

# Of an Intel type on EC2, as far as a kernel looks for its threads. Nothing that takes QEMU longer
# to emulate than software does without: AVX, instructions that copy byte by byte, page tables of
# five levels. Without MWAIT, which does not wait when emulated: an idle CPU, and one that is
# offline, would keep a CPU of this machine busy. With random numbers: the boot waits without.
# Source: https://github.com/qemu/qemu/blob/v7.2.0/target/i386/tcg/sysemu/misc_helper.c, and
# builtin_x86_defs in target/i386/cpu.c
_PROCESSOR = "qemu64,vendor=GenuineIntel,monitor=off,rdrand=on"

# Its ACPI tables list how interrupts are routed, which those of `pc` compute for each device.
# Source: build_prt and build_q35_pci0_prt in
# https://github.com/qemu/qemu/blob/v7.2.0/hw/i386/acpi-build.c
_MACHINE = "q35"


@dataclass(frozen=True)
class Processors:
    """What the guest's firmware reports about its processors: two threads on each core.

    Attributes:
        sockets: Each is a NUMA node with its own memory.
        cores: Cores a socket.
        as_on_ec2: The first threads of all cores come before the second ones, as on Intel types of
            EC2; else the threads of a core come one after the other.
    """

    sockets: int
    cores: int
    as_on_ec2: bool

    @property
    def arguments(self) -> list[str]:
        """QEMU's arguments."""
        count = self.sockets * self.cores * 2
        words = ["-machine", _MACHINE, "-cpu", _PROCESSOR, "-m", str(_MEMORY)]
        words += ["-smp", f"{count},sockets={self.sockets},cores={self.cores},threads=2"]
        for node in range(self.sockets):
            first, each = node * self.cores * 2, self.cores * 2
            size = _MEMORY // self.sockets
            words += ["-object", f"memory-backend-ram,id=m{node},size={size}M"]
            cpus = f"cpus={first}-{first + each - 1}"
            words += ["-numa", f"node,nodeid={node},{cpus},memdev=m{node}"]
        return words


@dataclass(frozen=True)
class Boot:
    """What to boot, and what the guest finds around it.

    Attributes:
        folder: An empty folder for what it writes.
        kernel, initrd: Files.
        disk: The root file system; written to.
        command_line: The kernel's.
        processors: The guest's.
        export: What the NFS server serves.
        name: The server's name.
        resolves_after: Seconds from the guest's first question for the name until it is answered;
            None: never.
        served_after: Seconds from that question until the server listens; 0: before the guest
            starts; None: never.
        certificate: The server's, with its key; None: it speaks no TLS.
        disks: NVMe disks, files by their serial numbers. QEMU names no other model than its own,
            so a rule of the rig's udev adds the links that those of EC2 have.
    """

    folder: Path
    kernel: Path
    initrd: Path
    disk: Path
    command_line: str
    processors: Processors
    export: Path
    name: str
    resolves_after: float | None = 0
    served_after: float | None = 0
    certificate: Path | None = None
    disks: Mapping[str, Path] = field(default_factory=dict)


class Guest:
    """A guest that runs or ran."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self.process = process

    @property
    def console(self) -> str:
        """What `aws ec2 get-console-output` would show, without colours."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", _text(self._folder / "console"))

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The journal without the kernel's messages: what systemd and its units write."""
        lines = _text(self._folder / "journal").replace("\r", "").split("\n")
        # The last line may not be complete.
        return [json.loads(line) for line in lines[:-1] if line.startswith("{")]

    @property
    def events(self) -> dict[str, float]:
        """When the name was first asked for, when the server listened, when the guest ended.

        In seconds from the start of the guest.
        """
        lines = map(json.loads, _text(self._folder / "events").splitlines())
        return {line["event"]: line["seconds"] for line in lines}

    def said(self, identifier: str) -> list[str]:
        """Returns the lines of a unit or a program."""
        return [
            entry["MESSAGE"]
            for entry in self.journal
            if entry.get("SYSLOG_IDENTIFIER") == identifier
        ]

    def wait(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        """Waits until the guest has powered itself off, or for something to happen before.

        Raises:
            TimeoutError: It did not within the time, with the end of its output.
        """
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and not (until and until()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s: {self._end()}")
            time.sleep(_POLL_SECONDS)
        if until is None and self.process.returncode:
            raise AssertionError(f"QEMU failed: {_text(self._folder / 'qemu.log')}")

    def _end(self) -> str:
        said = [str(entry.get("MESSAGE")) for entry in self.journal[-15:]]
        return "\n".join([self.console[-2000:], *said])


@contextmanager
def guest(boot: Boot) -> Iterator[Guest]:
    """Starts a guest, and stops it at the end if it has not ended on its own."""
    boot.folder.mkdir(exist_ok=True)
    plan = {
        "qemu": [*QEMU, *_arguments(boot)],
        "folder": str(boot.folder),
        "export": str(boot.export),
        "name": boot.name,
        "resolves_after": boot.resolves_after,
        "served_after": boot.served_after,
        "certificate": str(boot.certificate) if boot.certificate else None,
    }
    command = [*_ALONE, sys.executable, "-m", "tests.support.boot.keeper", json.dumps(plan)]
    with (boot.folder / "keeper.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=_CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C at the terminal is for the process that started it, which then stops it.
            start_new_session=True,
        )
    try:
        yield Guest(boot.folder, process)
    finally:
        process.kill()
        process.wait()


def _arguments(boot: Boot) -> list[str]:
    initrd = boot.folder / "initrd"
    tables = b""
    if boot.processors.as_on_ec2:
        table = acpi_table(boot.processors.arguments, SIGNATURE)
        tables = _archive(boot.folder, with_first_threads_first(table))
    # This processor unpacks it in no time, an emulated one in seconds.
    initrd.write_bytes(tables + gzip.decompress(boot.initrd.read_bytes()))
    return [
        *boot.processors.arguments,
        # Never kvm: where /dev/kvm is there, it may still boot nothing.
        *("-accel", "tcg", "-nodefaults", "-display", "none", "-no-reboot"),
        *(_COUNTED if boot.processors.sockets > 1 and boot.processors.as_on_ec2 else ()),
        *("-serial", f"file:{boot.folder}/console", "-serial", f"file:{boot.folder}/journal"),
        *("-kernel", str(boot.kernel), "-initrd", str(initrd), "-append", boot.command_line),
        *("-drive", f"file={boot.disk},format=raw,if=virtio"),
        *_disks(boot.disks),
        *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="),
    ]


def _disks(disks: Mapping[str, Path]) -> Iterator[str]:
    for serial, file in disks.items():
        yield from ("-drive", f"file={file},format=raw,if=none,id={serial},discard=unmap")
        yield from ("-device", f"nvme,drive={serial},serial={serial}")


def _archive(folder: Path, table: bytes) -> bytes:
    """Returns the archive that has Linux take the table in the place of the firmware's."""
    tables = folder / "tables"
    (tables / _TABLES).mkdir(parents=True)
    (tables / _TABLES / "APIC.aml").write_bytes(table)
    names = [*reversed(Path(_TABLES).parents[:-1]), Path(_TABLES), Path(_TABLES) / "APIC.aml"]
    done = subprocess.run(
        ["cpio", "--create", "--format=newc", "--quiet"],
        cwd=tables,
        input="\n".join(map(str, names)).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout


def _text(file: Path) -> str:
    return file.read_text("utf-8", "replace") if file.exists() else ""
