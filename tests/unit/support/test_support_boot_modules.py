"""Modules without signatures and what only a tracer reads: on the parts of one written by hand.

Layout: include/uapi/linux/module_signature.h of https://github.com/torvalds/linux (after the
module: the signature, eight bytes, the signature's length with the highest byte first, the marker).
"""

from __future__ import annotations

import pytest

from tests.support.boot.modules import lightened

CODE = b"\x7fELF code and data"
NAMES = (
    b"\0.text\0.rela__mcount_loc\0_ftrace_eval_map\0.BTF\0.BTF.ext\0.orc_unwind_ip\0.orc_unwind\0"
)
SIGNATURE = b"\x30\x82 a signature"
INFORMATION = b"\0\0\x02\0\0\0\0\0" + b"\0\0\0\x0e"
MARKER = b"~Module signature appended~\n"


def test_a_signature_is_cut_off() -> None:
    assert lightened(CODE + SIGNATURE + INFORMATION + MARKER) == CODE


def test_a_module_without_one_stays_as_it_is() -> None:
    assert lightened(CODE) == CODE
    assert lightened(b"") == b""


def test_sections_for_tracers_get_other_names_of_the_same_length() -> None:
    assert lightened(CODE + NAMES) == CODE + (
        b"\0.text\0.rela__mcount_lo~\0_ftrace_eval_ma~\0.BT~\0.BTF.ext\0.orc_unwind_i~\0.orc_unwin~\0"
    )


@pytest.mark.parametrize("length", [b"\0\0\0\x22", b"\xff\xff\xff\xff"])
def test_a_signature_longer_than_the_file_is_refused(length: bytes) -> None:
    with pytest.raises(ValueError, match="longer than the file"):
        lightened(CODE + SIGNATURE + INFORMATION[:8] + length + MARKER)


def test_a_marker_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than the file"):
        lightened(MARKER)
