"""What an instance wrote to its console, read for why it does not join its cluster.

The units of mngen's images write to the console (playbooks/roles/efs, fsx, scratch and cpu_check),
where they are seen without a login. Between their lines stand those of the kernel and of systemd,
with colours.
"""

from __future__ import annotations

import re

_SHOWN_LINES = 8
_LONGEST_LINE = 240

_MOUNT = re.compile(r"mngen-(efs|fsx)-mount: (OK|WARNING|ERROR)")
_STATES = ("OK", "WARNING", "ERROR")
_TELLING = re.compile(
    r"mngen-[a-z-]+: |dependency failed|failed to |\bfailed\b|error|panic|denied|timed out|"
    r"out of memory|power-off|powering off",
    re.IGNORECASE,
)
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")


def mount_state(text: str) -> str | None:
    """Returns how far the mount of the file system came; of several, of the one that is worst off.

    Args:
        text: The console's output.

    Returns:
        `OK`; `WARNING`, where it is tried again; `ERROR`, where it was given up; None where the
        unit has written nothing.
    """
    last = dict(_MOUNT.findall(text))
    return max(last.values(), key=_STATES.index, default=None)


def telling_lines(text: str) -> tuple[str, ...]:
    """Returns the last lines that report a failure, or else the last lines, as plain text.

    Args:
        text: The console's output, which may hold anything: escape sequences are left out.
    """
    plain = (_plain(line) for line in re.split(r"[\r\n]+", text))
    lines = [line for line in plain if line]
    telling = [line for line in lines if _TELLING.search(line)]
    return tuple((telling or lines)[-_SHOWN_LINES:])


def _plain(line: str) -> str:
    line = "".join(each for each in _ESCAPES.sub("", line) if each.isprintable()).strip()
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"
