"""How long does `mngen --help` take, against an import of the library that parses its arguments?

python benchmarks/help.py
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from _measure import MNGEN, in_turns, ratio, seconds, verdict

if TYPE_CHECKING:
    from pathlib import Path

_MOST_IMPORTS = 1.3


def _import(_: Path) -> list[str]:
    return [sys.executable, "-c", "import typer"]


def _help(_: Path) -> list[str]:
    return [MNGEN, "--help"]


def main() -> int:
    """Prints the ratio."""
    runs = in_turns({"typer": _import, "help": _help}, rounds=21, warm_up=2)
    found = ratio(runs["help"], runs["typer"])
    print(f"mngen --help         {seconds(runs['help']).show(' s', 3)}")
    print(f"floor: import typer  {seconds(runs['typer']).show(' s', 3)}")
    goal = verdict(met=found.median <= _MOST_IMPORTS, goal=f"at most {_MOST_IMPORTS}")
    print(f"  help / typer: {found.show()}, {goal}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
