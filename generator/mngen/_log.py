"""What the package logs, for commands and tests that show it or keep it.

Each module logs to the logger of its name: progress at level INFO, in whole lines that a user can
read. A library caller gets them with `logging.basicConfig(level=logging.INFO)`.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Lines(logging.Handler):
    """Passes each message on as it is, without the time or the name of its logger.

    Args:
        show: Is called with each message, from any thread, one at a time.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.show = show

    def emit(self, record: logging.LogRecord) -> None:
        """Shows a record. One that cannot be written must not stop the work that it reports on."""
        with suppress(OSError, ValueError):
            self.show(record.getMessage())


@contextmanager
def handled_by(handler: logging.Handler) -> Iterator[None]:
    """Passes what the package logs, from level INFO on, to a handler in a `with` block."""
    logger = logging.getLogger("mngen")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
