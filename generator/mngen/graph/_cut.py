"""Long names, cut to what fits into a box."""

from __future__ import annotations

import re

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
_AWS_ID = re.compile(r"\b[a-z]+-(?:[0-9a-f]{17}|[0-9a-f]{8})\Z")


def cut(text: str, longest: int) -> str:
    """Cuts text in its middle: names of one deployment often differ at their ends.

    An ID of AWS at the end stays whole, for readers to copy.

    Args:
        text: A line.
        longest: How many characters fit.
    """
    if len(text) <= longest:
        return text
    found = _AWS_ID.search(text)
    end = max((longest - 1) // 2, min(len(found[0]), longest - 1) if found else 0)
    return f"{text[: longest - 1 - end]}…{text[len(text) - end :]}"
