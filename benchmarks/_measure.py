"""Times whole processes against one another: in turns, so that a busy machine slows all alike.

A single figure shows how fast the machine is. A ratio of two processes that ran one after the
other shows something about mngen, so each run yields a ratio, and the result is their median.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
MNGEN = str(Path(sys.executable).with_name("mngen"))

# An installed package comes with its bytecode; a checkout writes it during the warm-up.
_ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}

# ru_maxrss counts KiB, on macOS bytes: https://man7.org/linux/man-pages/man2/getrusage.2.html
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Run:
    """One process, from start to end.

    Attributes:
        seconds: Wall-clock time.
        memory: Peak resident memory, MiB.
    """

    seconds: float
    memory: float


@dataclass(frozen=True)
class Spread:
    """A median with its extremes."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Returns the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def show(self, unit: str = "", digits: int = 2) -> str:
        """Returns it as `median unit (least to most)`."""
        median, least, most = (
            f"{value:.{digits}f}" for value in (self.median, self.least, self.most)
        )
        return f"{median}{unit} ({least} to {most})"


def in_turns(
    commands: Mapping[str, Callable[[Path], list[str]]], *, rounds: int, warm_up: int = 1
) -> dict[str, list[Run]]:
    """Runs commands in turns, A B A B, each time in a new empty folder.

    Args:
        commands: By name, what makes a command from that folder.
        rounds: How often each is measured.
        warm_up: How often each runs before, unmeasured.

    Returns:
        By name, the measured runs; those of one index ran one after the other.
    """
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for index in range(warm_up + rounds):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory(prefix="mngen-bench-") as folder:
                run = _run(command(Path(folder)), Path(folder))
            if index >= warm_up:
                runs[name].append(run)
    return runs


def _run(command: list[str], folder: Path) -> Run:
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace")[-2000:]
            sys.exit(f"{' '.join(command)}\nended with exit code {process.returncode}:\n{said}")
    return Run(seconds, usage.ru_maxrss * _RSS_UNIT / 2**20)


def seconds(runs: Sequence[Run]) -> Spread:
    """Returns the spread of the times."""
    return Spread.of([run.seconds for run in runs])


def ratio(runs: Sequence[Run], peer: Sequence[Run]) -> Spread:
    """Returns the spread of the ratios of times that were measured one after the other."""
    return Spread.of([a.seconds / b.seconds for a, b in zip(runs, peer, strict=True)])


def verdict(*, met: bool, goal: str) -> str:
    """Returns how a figure stands to its goal."""
    return f"goal {goal}: {'met' if met else 'MISSED'}"
