"""How the commands that deal with jobs show and read times and states."""

import re
import time

from mngen.errors import InputError

_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_STATE_STYLES = {"SUCCEEDED": "green", "FAILED": "red", "RUNNING": "cyan", "STARTING": "cyan"}


def ago(when: float | None) -> str:
    """Returns how long ago something was: `3 min`; `-` for never."""
    return "-" if when is None else duration(time.time() - when)


def duration(seconds: float) -> str:
    """Returns a length of time in its largest whole unit: `42 s`, `3 min`, `5 h`, `2 d`."""
    for length, unit in _AGES:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def moment(text: str | None) -> float | None:
    """Returns a moment in seconds since the epoch: from these, an age (`90s`, `2h`, `3d`) or ISO.

    Raises:
        InputError: It is none of these.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)\s*(s|m|min|h|d)", text.strip())
    if match:
        unit = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}[match[2]]
        return time.time() - int(match[1]) * unit
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return float(text)
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise InputError(
            f'invalid time "{text}"',
            hint="use an age such as 90s, 15m, 2h or 3d, or a time such as 2026-11-24T15:00",
        ) from None


def coloured_state(state: str) -> str:
    """Returns a state in the markup of rich."""
    style = state_style(state)
    return f"[{style}]{state}[/{style}]"


def state_style(state: str) -> str:
    """Returns the style of a state for rich."""
    return _STATE_STYLES.get(state, "yellow")
