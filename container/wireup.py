#!/usr/bin/env python3
"""Entrypoint of the container on every node: runs the package `mngen_wireup` beside this file.

wireup.py COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Runs this node's part of the job; returns its exit code."""
    gc.disable()  # imports leave no garbage, and looking for it would delay the start
    # Python itself adds this folder to the path, but not with -I.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from mngen_wireup.start import run

    return run()


if __name__ == "__main__":
    # At once: the interpreter's own clean-up would keep every other node waiting.
    os._exit(main())
