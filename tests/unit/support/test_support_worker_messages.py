"""What workers keep to themselves: only what no summary has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.worker_messages import FewMessages, shows_all

PASSED = {"when": "setup", "outcome": "passed", "sections": []}
KEPT: list[tuple[str, dict[str, Any]]] = [
    ("logstart", {"nodeid": "a"}),
    ("testreport", {"data": PASSED}),
    ("testreport", {"data": PASSED | {"when": "teardown"}}),
]
SENT: list[tuple[str, dict[str, Any]]] = [
    ("testreport", {"data": PASSED | {"when": "call"}}),
    ("testreport", {"data": PASSED | {"outcome": "failed"}}),
    ("testreport", {"data": PASSED | {"outcome": "skipped"}}),
    ("testreport", {"data": PASSED | {"when": "teardown", "outcome": "failed"}}),
    # Shown where the test has failed.
    ("testreport", {"data": PASSED | {"when": "teardown", "sections": [["stdout", "text"]]}}),
    ("logfinish", {"nodeid": "a"}),
    ("runtest_protocol_complete", {"item_index": 0}),
    ("warning_recorded", {"nodeid": "a"}),
    ("workerfinished", {}),
]


def test_what_a_summary_needs_is_sent() -> None:
    sent: list[tuple[str, dict[str, Any]]] = []
    sender = SimpleNamespace(sendevent=lambda name, **content: sent.append((name, content)))
    plugins = SimpleNamespace(get_plugins=lambda: [object(), sender])
    session: Any = SimpleNamespace(config=SimpleNamespace(pluginmanager=plugins))
    FewMessages().pytest_sessionstart(session)
    for name, content in [*KEPT, *SENT]:
        sender.sendevent(name, **content)
    assert sent == SENT


@pytest.mark.parametrize(
    "shown", [{"verbose": 1}, {"durations": 10}, {"xmlpath": "x"}, {"processor_time": True}]
)
def test_options_that_show_more_get_all(shown: dict[str, Any]) -> None:
    none = {"verbose": -1, "durations": None, "xmlpath": None, "processor_time": False}
    config: Any = SimpleNamespace(option=SimpleNamespace(**none))
    assert not shows_all(config)
    config = SimpleNamespace(option=SimpleNamespace(**none | shown))
    assert shows_all(config)


def test_this_worker_sends_by_it(pytestconfig: pytest.Config) -> None:
    """What pytest-xdist calls its function is known by its source alone."""
    plugins: Any = pytestconfig.pluginmanager.get_plugins()
    senders = [each.sendevent for each in plugins if hasattr(each, "sendevent")]
    assert len(senders) == hasattr(pytestconfig, "workerinput")
    for each in senders:
        assert (each.__module__ == FewMessages.__module__) is not shows_all(pytestconfig)
