"""The lines that a node writes to standard error, which `mngen timeline` reads."""

from __future__ import annotations

import os
import time


class Log:
    """Writes lines of the form `mngen[<index>] +<seconds>s <stage>: <text>`."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.start = time.monotonic()

    def write(self, stage: str, text: str) -> None:
        """Writes one line in a single call, so that it does not mix with the ranks' output."""
        flat = " ".join(text.split())
        line = f"mngen[{self.index}] +{time.monotonic() - self.start:.2f}s {stage}: {flat}\n"
        try:
            os.write(2, line.encode(errors="replace"))
        except OSError:
            pass  # A full disk or a closed pipe must not stop the job.


def shortened(word: str, most: int = 200) -> str:
    """Returns an argument for the log; a whole program in it would hide everything else."""
    return word if len(word) <= most else f"{word[:most]}... ({len(word)} characters)"


def listed(reasons: list[str], most: int = 20) -> str:
    """Returns reasons on one line that fits into a message, however many nodes there are."""
    more = f"; {len(reasons) - most} more" if len(reasons) > most else ""
    return "; ".join(reasons[:most]) + more


def node_list(indexes: list[int]) -> str:
    """Returns node indexes for the log: `node 3` or `nodes 1, 3-5`."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    spans = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"{'node' if len(indexes) == 1 else 'nodes'} {spans}"
