"""The demo: the whole workflow on an emulated AWS, with real Terraform and the real provider.

`plan_demo` returns beforehand which steps are reduced on this machine. `run_demo` runs the steps in
a folder, where what each step wrote can be inspected afterwards; nothing else is left.
Every step is the very call that the command of the same name makes.
"""

from mngen.demo._built import Built
from mngen.demo._plan import Clock, Plan, PlannedStep, in_words, plan_demo
from mngen.demo._workflow import Step, run_demo

__all__ = [
    "Built",
    "Clock",
    "Plan",
    "PlannedStep",
    "Step",
    "in_words",
    "plan_demo",
    "run_demo",
]
