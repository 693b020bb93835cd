"""The command line: one file a command, arguments in, one call to a room, its result shown.

Exit codes: 0 done, 1 the user's input or a check, 2 usage, 3 AWS or a tool failed, 4 out of date,
130 interrupted. Nothing heavy is imported here, so that `mngen --help` answers at once; each
command imports the package that it needs when it runs.
"""

from mngen.cli._app import app
from mngen.cli._main import main

__all__ = ["app", "main"]
