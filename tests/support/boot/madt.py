"""The firmware's list of processors, in the order that EC2 gives it.

Linux numbers CPUs in the order of the local APICs in the ACPI table MADT (signature `APIC`). QEMU
lists the threads of a core one after the other, so that siblings are 0-1; Intel types on EC2 list
the first threads of all cores before the second ones, so that siblings are N and N + cores.

Source: ACPI Specification 6.5, sections 5.2.6 (System Description Table Header), 5.2.12 (Multiple
APIC Description Table) and 5.2.12.2 (Processor Local APIC Structure).
"""

from __future__ import annotations

import struct

SIGNATURE = b"APIC"

_LENGTH = slice(4, 8)
_CHECKSUM = 9
_OEM_REVISION = slice(24, 28)
_FIRST_STRUCTURE = 44
_LOCAL_APIC = 0
_APIC_ID = 3


def with_first_threads_first(table: bytes, threads: int = 2) -> bytes:
    """Returns a MADT that lists the first thread of every core before any second one.

    The local-APIC structures swap places among themselves, as wholes; all other structures stay
    where they are. The OEM revision goes up by one, since Linux replaces the firmware's table by a
    newer one only.

    Args:
        table: The MADT.
        threads: Threads a core, a power of two: the lowest bits of an APIC's id number them.

    Raises:
        ValueError: It is not an MADT, or a damaged one.
    """
    _check(table)
    parts = _structures(table[_FIRST_STRUCTURE:])
    places = [place for place, part in enumerate(parts) if part[0] == _LOCAL_APIC]
    ordered = sorted((parts[place] for place in places), key=lambda part: part[_APIC_ID] % threads)
    for place, part in zip(places, ordered, strict=True):
        parts[place] = part
    changed = bytearray(table[:_FIRST_STRUCTURE] + b"".join(parts))
    revision = int.from_bytes(changed[_OEM_REVISION], "little") + 1
    changed[_OEM_REVISION] = struct.pack("<I", revision)
    changed[_CHECKSUM] = 0
    changed[_CHECKSUM] = -sum(changed) % 256
    return bytes(changed)


def _check(table: bytes) -> None:
    if table[:4] != SIGNATURE or len(table) < _FIRST_STRUCTURE:
        raise ValueError("not a MADT: it has another signature")
    if int.from_bytes(table[_LENGTH], "little") != len(table):
        raise ValueError("not a whole MADT: its length is another")
    if sum(table) % 256:
        raise ValueError("damaged MADT: wrong checksum")


def _structures(data: bytes) -> list[bytes]:
    """Splits the interrupt controller structures: each begins with its type and its length."""
    parts = []
    while data:
        if len(data) < 2 or not 2 <= data[1] <= len(data):
            raise ValueError("damaged MADT: a structure does not end with the table")
        parts.append(data[: data[1]])
        data = data[data[1] :]
    return parts
