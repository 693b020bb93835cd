"""The order of processors in the firmware's table: on tables written down by hand.

Layout: ACPI Specification 6.5, section 5.2.6 (header, 36 bytes), table 5.19 (MADT: local APIC
address, flags), tables 5.21 (local APIC), 5.23 (I/O APIC), 5.25 (interrupt source override) and
5.27 (local APIC NMI).
"""

from __future__ import annotations

import pytest

from tests.support.boot.madt import with_first_threads_first

# Two cores of two threads: APIC ids 0 and 1 are the first core's, 2 and 3 the second's.
HEADER = (
    "41 50 49 43"  # signature: APIC
    "72 00 00 00"  # length: 114
    "03"  # revision
    "{checksum:02x}"
    "4d 4e 47 45 4e 20"  # OEM id: MNGEN
    "42 59 20 48 41 4e 44 20"  # OEM table id: BY HAND
    "{revision:02x} 00 00 00"  # OEM revision
    "54 45 53 54"  # creator id: TEST
    "01 00 00 00"  # creator revision
    "00 00 e0 fe"  # local APIC address: 0xfee00000
    "01 00 00 00"  # flags: PCAT_COMPAT
)
# Type 0, length 8, ACPI processor UID, APIC id, flags: enabled.
CPUS = (
    "00 08 10 00 01 00 00 00",
    "00 08 11 01 01 00 00 00",
    "00 08 12 02 01 00 00 00",
    "00 08 13 03 01 00 00 00",
)
# Type 1, length 12: I/O APIC 4 at 0xfec00000, interrupts from 0 on.
IO_APIC = "01 0c 04 00 00 00 c0 fe 00 00 00 00"
# Type 2, length 10: ISA interrupt 0 is global interrupt 2, flags as the bus has them. Its bytes 0,
# 2 and so on must not be taken for APIC ids.
OVERRIDE = "02 0a 00 00 02 00 00 00 00 00"
# Type 2 again, and a type that is not defined: it is skipped by its length.
UNKNOWN = "7f 0a 01 02 03 04 05 06 07 08"
# Type 4, length 6: NMI of all processors on LINT1.
NMI = "04 06 ff 00 00 01"


def table(*parts: str, revision: int = 1) -> bytes:
    def built(checksum: int) -> bytes:
        header = HEADER.format(checksum=checksum, revision=revision)
        return bytes.fromhex(header + "".join(parts))

    return built(256 - sum(built(0)) % 256)


DEFAULT = table(*CPUS[:2], IO_APIC, *CPUS[2:], OVERRIDE, UNKNOWN, NMI)


def test_the_first_threads_of_all_cores_come_first() -> None:
    wanted = table(
        *(CPUS[0], CPUS[2]), IO_APIC, *(CPUS[1], CPUS[3]), OVERRIDE, UNKNOWN, NMI, revision=2
    )
    assert len(DEFAULT) == 114
    assert with_first_threads_first(DEFAULT) == wanted


def test_the_checksum_makes_all_bytes_add_up_to_nothing() -> None:
    changed = with_first_threads_first(DEFAULT)
    assert sum(changed) % 256 == 0
    assert changed[24] == 2


def test_with_one_thread_a_core_only_the_revision_changes() -> None:
    parts = (*CPUS[:2], IO_APIC, *CPUS[2:], OVERRIDE, UNKNOWN, NMI)
    assert with_first_threads_first(DEFAULT, threads=1) == table(*parts, revision=2)


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        (b"FACP" + DEFAULT[4:], "signature"),
        (DEFAULT[:-1], "length"),
        (DEFAULT[:-1] + b"\x07", "checksum"),
        (table(*CPUS, IO_APIC, OVERRIDE, UNKNOWN, "04 07 ff 00 00 01"), "does not end"),
    ],
    ids=["another-table", "cut-off", "changed", "structure-too-long"],
)
def test_no_other_table_is_changed(damaged: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        with_first_threads_first(damaged)
