"""Modules of a kernel without what an emulated processor takes long for when it loads them.

That is more than half of all instructions of a boot: to verify signatures, to look up each function
for the tracer, and to compare each constant of an event with all events. No boot here verifies or
traces. The code and the data of a module stay as they are.

Source: https://docs.kernel.org/admin-guide/module-signing.html (the kernel loads unsigned modules
unless it enforces signatures), include/uapi/linux/module_signature.h (what follows a
module) and find_module_sections in kernel/module/main.c (what a section's name stands for), of
https://github.com/torvalds/linux
"""

from __future__ import annotations

import struct

UNREAD = ("__mcount_loc", "_ftrace_eval_map", ".BTF", ".orc_unwind", ".orc_unwind_ip")
"""Sections for the tracer, BPF and the unwinder: the kernel does without where there is none."""

_MARKER = b"~Module signature appended~\n"
# Five numbers of a byte each, three bytes that pad, and the length of the signature.
_INFORMATION = struct.Struct(">8xI")


def lightened(module: bytes) -> bytes:
    """Returns a module that is unsigned, with the sections in `UNREAD` under unknown names.

    Args:
        module: The file's content, not compressed.

    Raises:
        ValueError: The signature is longer than the file.
    """
    for name in UNREAD:
        # With the null byte after it, since a name may begin another. As long as before.
        module = module.replace(f"{name}\0".encode(), f"{name[:-1]}~\0".encode())
    if not module.endswith(_MARKER):
        return module
    end = len(module) - len(_MARKER) - _INFORMATION.size
    (size,) = _INFORMATION.unpack(module[end : -len(_MARKER)]) if end >= 0 else (0,)
    if not 0 <= size <= end:
        raise ValueError("damaged module: the signature is longer than the file")
    return module[: end - size]
