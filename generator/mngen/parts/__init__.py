"""The real parts: programs, Python extras and abilities of the kernel that mngen runs on.

One table (`_table`) knows each part: how it is found, its lowest version, its package, and what
needs it. Everything that asks whether something can be done here asks this package, which imports
nothing but the standard library: `make` and CI use it before anything is installed.

    missing("rehearse")    # what is missing of the parts that it does not work without, by name
    trouble("rehearse")    # the same in words: message and hint, or None
    require("rehearse")    # the same as an error

Looking for parts has effects (`find`, `examine`); judging what was found has none (`judge`).
"""

from mngen.parts._install import NO_PACKAGES, install, may_install, prepare, report
from mngen.parts._judge import (
    Help,
    Judgement,
    LeftOut,
    System,
    how_to_get,
    install_command,
    judge,
    missing_among,
    packages,
)
from mngen.parts._missing import Trouble, explain, missing, require, trouble
from mngen.parts._probe import (
    EMBEDDED,
    Finding,
    cache_folder,
    examine,
    find,
    find_all,
    find_program,
    forget,
    try_program,
)
from mngen.parts._system import family_of, this_system
from mngen.parts._table import (
    ENGINES,
    NEEDS,
    NODE_PATH,
    PARTS,
    Ability,
    Family,
    Module,
    Need,
    Part,
    Program,
    Search,
    all_parts_of,
    need_of_command,
    parts_of,
)

__all__ = [
    "EMBEDDED",
    "ENGINES",
    "NEEDS",
    "NODE_PATH",
    "NO_PACKAGES",
    "PARTS",
    "Ability",
    "Family",
    "Finding",
    "Help",
    "Judgement",
    "LeftOut",
    "Module",
    "Need",
    "Part",
    "Program",
    "Search",
    "System",
    "Trouble",
    "all_parts_of",
    "cache_folder",
    "examine",
    "explain",
    "family_of",
    "find",
    "find_all",
    "find_program",
    "forget",
    "how_to_get",
    "install",
    "install_command",
    "judge",
    "may_install",
    "missing",
    "missing_among",
    "need_of_command",
    "packages",
    "parts_of",
    "prepare",
    "report",
    "require",
    "this_system",
    "trouble",
    "try_program",
]
