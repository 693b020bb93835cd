"""How do time and memory of `mngen render` grow with the spec?

Specs of 125 to 2,000 compute environments, each with its own queue and job, rendered by a
whole process into an empty folder. Each size is compared with half of it, measured in the same
round; linear growth doubles what exceeds the process's start.

    python benchmarks/scaling.py
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from _measure import MNGEN, Spread, in_turns, ratio, seconds, verdict

_SIZES = (125, 250, 500, 1000, 2000)
_GOAL_SIZE = 1000
_GOAL_SECONDS = 4.0
# Twice the work may take twice the time, and no more than measuring errs.
_MOST_GROWTH = 2.2
_INSTANCES = ("r5.12xlarge", "r5.24xlarge", "c5n.18xlarge", "m5.12xlarge", "c6i.32xlarge")

_HEAD = """\
name: scaling
region: us-east-1
network:
  vpc: default
  endpoints: [s3]
storage:
  efs:
    mount: /efs
container:
  repository: solver
  tag: v1
"""


def _spec(size: int) -> str:
    environments = "".join(
        f"  env-{index:04}:\n"
        f"    instance: {_INSTANCES[index % len(_INSTANCES)]}\n"
        f"    hyperthreading: false\n"
        f"    max_nodes: {index % 16 + 2}\n"
        f"    placement_group: group-{index % 10}\n"
        for index in range(size)
    )
    queues = "".join(
        f"  queue-{index:04}:\n    environments: [env-{index:04}]\n" for index in range(size)
    )
    jobs = "".join(
        f"  job-{index:04}:\n"
        f"    queue: queue-{index:04}\n"
        f"    nodes: 2\n"
        f"    command: [python3, /efs/solve.py, case-{index}]\n"
        for index in range(size)
    )
    return f"{_HEAD}environments:\n{environments}queues:\n{queues}jobs:\n{jobs}"


def _render(spec: Path, folder: Path) -> list[str]:
    return [MNGEN, "render", "--file", str(spec), "--out", str(folder / "deploy")]


def main() -> int:
    """Prints a line a size, and how the greatest growth and the goal's size stand."""
    with tempfile.TemporaryDirectory(prefix="mngen-bench-") as folder:
        commands = {}
        for size in _SIZES:
            spec = Path(folder, f"{size}.yaml")
            spec.write_text(_spec(size), encoding="utf-8")
            commands[str(size)] = partial(_render, spec)
        runs = in_turns(commands, rounds=5)
    growth: list[float] = []
    print("environments  time                    to half  peak memory  to half")
    for size in _SIZES:
        here, half = runs[str(size)], runs.get(str(size // 2))
        memory = Spread.of([run.memory for run in here]).median
        line = f"{size:>12}  {seconds(here).show(' s'):<24}"
        if half is None:
            line += f"{'':7}{memory:>9.0f} MiB"
        else:
            grown = ratio(here, half).median, memory / Spread.of([r.memory for r in half]).median
            growth.extend(grown)
            line += f"{grown[0]:>7.2f}{memory:>9.0f} MiB  {grown[1]:>7.2f}"
        print(line)
    linear = verdict(met=max(growth) <= _MOST_GROWTH, goal=f"at most {_MOST_GROWTH}")
    print(f"greatest growth as the size doubles: {max(growth):.2f}, {linear}")
    found = seconds(runs[str(_GOAL_SIZE)])
    goal = verdict(met=found.median < _GOAL_SECONDS, goal=f"under {_GOAL_SECONDS:g} s")
    print(f"{_GOAL_SIZE} environments: {found.show(' s')}, {goal}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
