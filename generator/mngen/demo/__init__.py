"""The demo: the whole road on an emulated AWS, with real Terraform and the real provider.

`walk` goes it in a folder of its own, where what each step wrote can be looked at afterwards; it
leaves nothing else behind. Every step is the very call that the command of the same name makes.
"""

from mngen.demo._built import Built
from mngen.demo._road import Step, walk

__all__ = ["Built", "Step", "walk"]
