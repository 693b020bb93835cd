"""Reads the ACPI tables that QEMU's firmware makes for a topology, with no system booted.

The tables are in the guest's memory a second after it starts: SeaBIOS puts them there before it
looks for something to boot.

Source: ACPI Specification 6.5, sections 5.2.5 (RSDP) and 5.2.7 (RSDT); QEMU's QMP reference for
`pmemsave`.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Ends with this process, however this one ends.
QEMU = ("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64")

_SECONDS = 120.0
_POLL_SECONDS = 0.2
_BIOS = (0xE0000, 0x20000)
_POINTER = b"RSD PTR "
_HEADER = 36


def acpi_table(arguments: Sequence[str], signature: bytes) -> bytes:
    """Returns one ACPI table of a guest.

    Args:
        arguments: QEMU's arguments that the table depends on, such as `-smp`.
        signature: The table's, four bytes.

    Raises:
        TimeoutError: The firmware made none within two minutes.
        LookupError: There is no such table.
    """
    command = [*QEMU, *arguments, "-accel", "tcg", "-display", "none", "-nodefaults"]
    with (
        tempfile.TemporaryDirectory(prefix="mngen-acpi-") as folder,
        subprocess.Popen(
            [*command, "-qmp", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process,
    ):
        limit = threading.Timer(_SECONDS, process.kill)
        limit.start()
        try:
            return _find(_Memory(process, Path(folder) / "memory"), signature)
        finally:
            limit.cancel()
            process.kill()


class _Memory:
    """A guest's memory, read over QMP."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self._process = process
        self._file = file
        self._line()
        self._do("qmp_capabilities")

    def read(self, address: int, size: int) -> bytes:
        self._do("pmemsave", val=address, size=size, filename=str(self._file))
        return self._file.read_bytes()

    def _do(self, command: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        message = {"execute": command, "arguments": arguments}
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise TimeoutError("QEMU ended before its firmware was done") from error
        while "return" not in (answer := self._line()):
            assert "error" not in answer, answer

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise TimeoutError("QEMU ended before its firmware was done")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _find(memory: _Memory, signature: bytes) -> bytes:
    while True:
        bios = memory.read(*_BIOS)
        # On a 16-byte boundary, as the specification has it; the name alone is also in its code.
        for place in range(0, len(bios), 16):
            pointer = bios[place : place + 20]
            if pointer.startswith(_POINTER) and sum(pointer) % 256 == 0:
                return _table(memory, int.from_bytes(pointer[16:20], "little"), signature)
        time.sleep(_POLL_SECONDS)


def _table(memory: _Memory, root: int, signature: bytes) -> bytes:
    pointers = _whole(memory, root)[_HEADER:]
    for place in range(0, len(pointers), 4):
        address = int.from_bytes(pointers[place : place + 4], "little")
        if memory.read(address, 4) == signature:
            return _whole(memory, address)
    raise LookupError(f"the firmware made no table {signature!r}")


def _whole(memory: _Memory, address: int) -> bytes:
    size = int.from_bytes(memory.read(address + 4, 4), "little")
    return memory.read(address, size)
