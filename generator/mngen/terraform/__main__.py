"""`python -m mngen.terraform ARGUMENT...`: the Terraform that mngen uses, as plain Terraform.

For the commands that mngen has no word for (`state`, `force-unlock`, `init -migrate-state`) on a
machine where Terraform is embedded and so not on PATH.
"""

import os
import sys

from mngen.errors import ToolError, format_problems
from mngen.terraform._program import find_program


def _main() -> None:
    try:
        program = find_program(os.environ)
    except ToolError as error:
        sys.stderr.write(format_problems(error.problems) + "\n")
        sys.exit(error.exit_code)
    command = program.command(sys.argv[1:], os.getppid())
    os.execv(command[0], command)


if __name__ == "__main__":
    _main()
