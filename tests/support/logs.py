"""What the package logs, for tests that assert on it or react to it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mngen._log import Lines, handled_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def logged(react: Callable[[str], None] = lambda _: None) -> Iterator[list[str]]:
    """Yields the messages from level INFO on, as they come.

    Args:
        react: Is called with each message.
    """
    messages: list[str] = []

    def take(message: str) -> None:
        messages.append(message)
        react(message)

    with handled_by(Lines(take)):
        yield messages
