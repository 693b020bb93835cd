"""Prepares this machine for `make` and CI, with nothing but Python 3.11.

    PYTHONPATH=generator python3 -m mngen.parts NEED...

Installs what is missing for the needs, as root on a system with apt, and prints what is left out.
Exits 3 where something is missing that a need does not work without.
"""

from __future__ import annotations

import logging
import sys

from mngen.parts._install import prepare
from mngen.parts._system import this_system
from mngen.parts._table import NEEDS


def main() -> int:
    """Runs the command line; see the module's docstring."""
    needs = sys.argv[1:]
    if unknown := [name for name in needs if name not in NEEDS]:
        print(f"unknown need: {unknown[0]}; known: {', '.join(NEEDS)}", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    ready = prepare(needs, this_system())
    return 0 if ready else 3


if __name__ == "__main__":
    sys.exit(main())
