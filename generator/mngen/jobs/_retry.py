"""Retries while AWS does not answer, as happens to a command that watches a job for hours."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from mngen._aws import may_have_worked, translated, was_throttled
from mngen.errors import Problem, ToolError
from mngen.jobs import _clock

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

_LOG = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0  # seconds; doubled from one failure to the next
_LONGEST_PAUSE = 30.0
_GIVE_UP_AFTER = 600.0


class RetryPolicy:
    """Repeats calls that fail temporarily, for up to ten minutes in a row.

    One line is logged when calls begin to fail, and one when they succeed again.

    Args:
        resume: What to run in order to go on, for a failure that does not pass.
    """

    def __init__(self, resume: Callable[[], str]) -> None:
        self._resume = resume

    def call(self, what: Callable[[], _T]) -> _T:
        """Returns what a call returns, however often it takes.

        Raises:
            ToolError: It fails permanently, or for ten minutes; the hint shows how to resume, since
                the job goes on.
        """
        pause, since = _FIRST_PAUSE, None
        while True:
            try:
                with translated():
                    result = what()
            except ToolError as error:
                cause = error.__cause__
                since = _clock.monotonic() if since is None else since
                if not is_temporary(error):
                    raise self._ended(error) from cause
                if _clock.monotonic() - since > _GIVE_UP_AFTER:
                    raise self._ended(error) from cause
                if pause == _FIRST_PAUSE:
                    _LOG.warning("%s; trying again; the job continues", error)
                _clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if since is not None:
                    _LOG.info("AWS answers again")
                return result

    def _ended(self, error: ToolError) -> ToolError:
        resume = f"the job continues; to resume: {self._resume()}"
        return ToolError(
            *(
                Problem(
                    each.message,
                    hint=f"{each.hint}; {resume}" if each.hint else resume,
                )
                for each in error.problems
            )
        )


def is_temporary(error: ToolError) -> bool:
    """Returns whether the same call may succeed later: AWS throttled it, failed or was not reached.

    Args:
        error: What `mngen._aws.translated` made of an error of a call.
    """
    cause = error.__cause__
    return isinstance(cause, Exception) and _passes(cause)


def _passes(error: Exception) -> bool:
    from botocore.exceptions import ConnectionError as LostConnectionError
    from botocore.exceptions import HTTPClientError

    return (
        was_throttled(error)
        or may_have_worked(error)
        or isinstance(error, LostConnectionError | HTTPClientError)
    )
