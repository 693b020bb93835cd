"""How amounts of money and lengths of time are written."""

from __future__ import annotations

_SECONDS_PER_MINUTE = 60
_SECONDS_PER_HOUR = 3600


def money(amount: float, currency: str) -> str:
    """Returns an amount with its currency: `290.30 USD`, and of a small one three digits."""
    text = f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.3g}"
    return f"{text} {currency}"


def length(seconds: float) -> str:
    """Returns a length of time in hours, minutes or seconds: `24 h`, `1.5 h`, `90 s`."""
    if seconds >= _SECONDS_PER_HOUR:
        return f"{seconds / _SECONDS_PER_HOUR:.4g} h"
    if seconds % _SECONDS_PER_MINUTE == 0:
        return f"{seconds / _SECONDS_PER_MINUTE:.0f} min"
    return f"{seconds:.0f} s"
