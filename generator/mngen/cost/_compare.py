"""What a deployment can cost before and after a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cost._estimate import no_prices
from mngen.cost._money import money
from mngen.cost._standing import EFS

if TYPE_CHECKING:
    from mngen.cost._estimate import Estimate

_NOT_THERE = "-"


def compare(before: Estimate | None, after: Estimate) -> list[tuple[str, str, str]]:
    """Returns what each job costs at most and what is billed idle, before and after, in words.

    Args:
        before: The former estimate; None before the first apply.
        after: The new one.
    """
    old, new = (_prices(each) if each else {} for each in (before, after))
    # The dearest first, as the estimate has them; what is gone comes last.
    names = dict.fromkeys([*new, *old])
    return [(name, old.get(name, _NOT_THERE), new.get(name, _NOT_THERE)) for name in names]


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
    found = {}
    if estimate.currency is not None:
        found = {f"job {each.job}": each.in_words(estimate.currency) for each in estimate.jobs}
    # Without prices of the region there is nothing that is billed in another currency.
    currency = estimate.currency or "USD"
    for each in estimate.standing:
        if each.what != EFS:
            hourly = None if each.hourly is None else f"{money(each.hourly, currency)}/h"
            found[f"idle: {each.what}"] = each.note or hourly or "price not known"
    return found
