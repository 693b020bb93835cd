"""The command line: one file a command, arguments in, one call to a room, its result shown.

Exit codes: 0 done, 1 the user's input or a check, 2 usage, 3 AWS or a tool failed, 4 out of date,
130 interrupted. Nothing heavy is imported here, so that `mngen --help` answers at once; each
command imports the package that it needs when it runs.
"""

import gc
from typing import TYPE_CHECKING

from mngen._later import later

if TYPE_CHECKING:
    from mngen.cli._app import app

__all__ = ["app", "main"]

# Objects that a command makes more than it frees before Python looks for cycles among them. Most of
# those are modules, which stay: with Python's own 700, the search takes 10 ms of `mngen render`.
_COLLECT_AT = (50_000, 20, 20)


def main() -> None:
    """Runs mngen with the process's arguments and exits."""
    gc.set_threshold(*_COLLECT_AT)
    from mngen.cli._main import main as run

    run()


__getattr__ = later(__name__, {"app": "_app"})
