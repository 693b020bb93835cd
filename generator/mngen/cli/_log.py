"""Shows what the package logs on standard error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mngen._log import Lines, handled_by
from mngen.cli._console import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_LINES = Lines(report)


def shown_log() -> AbstractContextManager[None]:
    """Returns a context in which each line that the package logs is shown."""
    return handled_by(_LINES)


@contextmanager
def shown_by(show: Callable[[str], None]) -> Iterator[None]:
    """Shows these lines in another way in a `with` block, such as above a progress bar.

    Args:
        show: Is called with each line, from any thread.
    """
    before, _LINES.show = _LINES.show, show
    try:
        yield
    finally:
        _LINES.show = before
