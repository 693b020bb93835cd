"""The demo: the whole road on an emulated AWS, with real Terraform and the real provider.

`walk` goes it in a folder of its own and leaves nothing behind. Every step is the very call that
the command of the same name makes.
"""

from mngen.demo._road import Built, Step, find_provider, walk

__all__ = ["Built", "Step", "find_provider", "walk"]
