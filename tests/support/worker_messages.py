"""Fewer messages from each worker of pytest-xdist to the process that shows results.

For each test a worker sends six messages, which take as much processor time as pytest itself takes
for a test. Of these, the summary needs neither that a test begins nor that its set-up or tear-down
passed. Those stay in the worker, unless an option shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def shows_all(config: pytest.Config) -> bool:
    """Whether an option shows more than results and output: what is begun, or durations."""
    option = config.option
    return bool(option.verbose > 0 or option.durations or option.xmlpath or option.processor_time)


def is_idle(name: str, content: dict[str, Any]) -> bool:
    """Whether the summary needs a message of pytest-xdist 3 not at all."""
    if name == "testreport":
        report = content["data"]
        quiet = report["outcome"] == "passed" and not report["sections"]
        return report["when"] != "call" and quiet
    return name == "logstart"


class FewMessages:
    """The plugin of a worker."""

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Wrap the function that sends the messages; pytest-xdist registers it with its plugin."""
        sender: Any
        for sender in session.config.pluginmanager.get_plugins():
            if hasattr(sender, "sendevent"):
                sender.sendevent = _without_idle(sender.sendevent)


def _without_idle(send: Any) -> Any:
    def sendevent(name: str, **content: Any) -> None:
        if not is_idle(name, content):
            send(name, **content)

    return sendevent
