"""What a test tells an emulated job to write, and when it says that it was written."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable


@pytest.mark.parametrize("ago", [0.0, 60.0])
def test_a_line_is_later_than_those_of_the_start(ago: float, monkeypatch: Any) -> None:
    # These load moto, which every worker would do for a second before its first test.
    from mngen.sandbox.batch import _logs
    from mngen.sandbox.batch._job import Script
    from mngen.sandbox.emulator import _control

    times: list[float] = []

    def put(
        backend: object, job: object, node: int, attempt: int, lines: Iterable[tuple[float, str]]
    ) -> None:
        times.extend(when for when, _ in lines)

    monkeypatch.setattr(_logs, "put", put)
    started = time.time() - ago
    job: Any = SimpleNamespace(script=Script(), attempts=[SimpleNamespace(started=started)])
    _control._direct(SimpleNamespace(), job, {"log": {1: ["first", "second"]}})
    # The last line of the start, as `_beginning` writes it.
    beginning = started + 0.03
    assert len(times) == 2
    assert all(when >= beginning for when in times)
    assert all(when >= started + ago for when in times)
