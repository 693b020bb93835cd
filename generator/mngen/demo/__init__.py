"""The demo: the whole road on an emulated AWS, with real Terraform and the real provider.

`plan_demo` says beforehand which steps are reduced on this machine. `walk` goes it in a folder of
its own, where what each step wrote can be looked at afterwards; it leaves nothing else behind.
Every step is the very call that the command of the same name makes.
"""

from mngen.demo._built import Built
from mngen.demo._plan import Clock, Plan, PlannedStep, in_words, plan_demo
from mngen.demo._road import Step, walk

__all__ = [
    "Built",
    "Clock",
    "Plan",
    "PlannedStep",
    "Step",
    "in_words",
    "plan_demo",
    "walk",
]
