"""Runs every benchmark: `make bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Runs them one after the other; returns 1 where any of them could not measure all."""
    codes = []
    for name in ("help", "render", "scaling", "bake", "job_start", "cost"):
        print(f"== {name}", flush=True)
        script = Path(__file__).with_name(f"{name}.py")
        codes.append(subprocess.run([sys.executable, str(script)], check=False).returncode)
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
