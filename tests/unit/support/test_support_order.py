from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import order

if TYPE_CHECKING:
    import pytest

TESTS = Path(__file__).resolve().parents[2]


def test_what_is_put_in_order_is_there() -> None:
    files = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    texts = [path.read_text(encoding="utf-8") for path in files]
    groups = {name for text in texts for name in re.findall(r'xdist_group\("([^"]+)"\)', text)}
    stems = {path.stem for path in files}
    assert groups <= order.SECONDS.keys()
    assert order.SECONDS.keys() <= groups | stems | set(order.TOGETHER.values())
    assert order.TOGETHER.keys() <= stems
    assert set(order.TOGETHER.values()) <= order.SECONDS.keys()


def test_what_takes_longest_is_first(request: pytest.FixtureRequest) -> None:
    """Whichever tests this run consists of."""
    items = list(reversed(request.session.items))
    order.arrange(items)
    seconds = [order.SECONDS.get(order.group(item), 0) for item in items]
    assert seconds == sorted(seconds, reverse=True)
