"""What a deployment can cost before and after a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cost._estimate import no_prices
from mngen.cost._money import money
from mngen.cost._standing import EFS

if TYPE_CHECKING:
    from mngen.cost._estimate import Estimate

_NOT_THERE = "-"
_NO_PRICE = "no price"
_NOT_KNOWN = "not known"


def compare(
    before: Estimate | None, after: Estimate, *, first: bool = True
) -> list[tuple[str, str, str]]:
    """Returns what each job costs at most and what is billed idle, before and after, in words.

    Args:
        before: The former estimate; None where there is none.
        after: The new one.
        first: Whether there is none because nothing was applied before. Otherwise what was applied
            is not known, such as the spec of another version of mngen.
    """
    old, new = (_prices(each) if each else {} for each in (before, after))
    missing = _NOT_THERE if before or first else _NOT_KNOWN
    # The dearest first, as the estimate has them; what is gone comes last.
    names = dict.fromkeys([*new, *old])
    rows = [(name, old.get(name, missing), new.get(name, _NOT_THERE)) for name in names]
    return [each for each in rows if not {_NO_PRICE, _NOT_THERE, _NOT_KNOWN}.issuperset(each[1:])]


def price_note(estimate: Estimate) -> str:
    """Returns in a sentence what the prices of an estimate are; that there are none, for none."""
    if estimate.currency is None:
        text = no_prices(estimate.region)
        return f"{text[0].upper()}{text[1:]}."
    return (
        f"Jobs: at most, with all attempts and the whole timeout, on demand in {estimate.region}, "
        f"{estimate.date}."
    )


def _prices(estimate: Estimate) -> dict[str, str]:
    found = {
        f"job {each.job}": each.in_words(estimate.currency) if estimate.currency else _NO_PRICE
        for each in estimate.jobs
    }
    found |= {f"job {each}": _NO_PRICE for each in estimate.unbounded}
    # Without prices of the region there is nothing that is billed in another currency.
    currency = estimate.currency or "USD"
    for each in estimate.standing:
        if each.what != EFS:
            hourly = None if each.hourly is None else f"{money(each.hourly, currency)}/h"
            found[f"idle: {each.kind or each.what}"] = each.note or hourly or "price not known"
    return found
