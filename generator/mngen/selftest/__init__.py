"""The self-test: whether a deployment does what it promises, shown by a job on its own nodes.

`_on_nodes.py` is what the job runs, within the command itself (`_program`). It writes facts
(`_facts`), which `judge` compares with what the spec means (`_expect`) to a `Card`. `OnAws` submits
it and waits for it; `run_here` has the same program run by a rehearsal, with faults. `to_page`
shows the card as a web page.
"""

from typing import TYPE_CHECKING

from mngen._later import later

if TYPE_CHECKING:
    from mngen.selftest._here import Fault, run_here
    from mngen.selftest._judge import judge
    from mngen.selftest._on_aws import DEFAULT_WAIT, OnAws
    from mngen.selftest._order import Choice, Wish, choose
    from mngen.selftest._page import share, to_page
    from mngen.selftest._types import Card, Check, Expected, Figure, Machine, Run, State

__all__ = [
    "DEFAULT_WAIT",
    "Card",
    "Check",
    "Choice",
    "Expected",
    "Fault",
    "Figure",
    "Machine",
    "OnAws",
    "Run",
    "State",
    "Wish",
    "choose",
    "judge",
    "run_here",
    "share",
    "to_page",
]

# The command line's options need none of these.
__getattr__ = later(
    __name__,
    {
        "DEFAULT_WAIT": "_on_aws",
        "Card": "_types",
        "Check": "_types",
        "Choice": "_order",
        "Expected": "_types",
        "Fault": "_here",
        "Figure": "_types",
        "Machine": "_types",
        "OnAws": "_on_aws",
        "Run": "_types",
        "State": "_types",
        "Wish": "_order",
        "choose": "_order",
        "judge": "_judge",
        "run_here": "_here",
        "share": "_page",
        "to_page": "_page",
    },
)
