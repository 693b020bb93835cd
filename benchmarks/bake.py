"""Three images in parallel against one, and Packer against the direct engine.

The builders are the sandbox's machines, so AWS's own waiting (minutes of booting and of copying
snapshots) is not in the figures: they show what mngen, Packer and Ansible take of this machine.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mngen.images import bake, choose_engine, look
from mngen.sandbox import machines_unavailable, prepare_machines, start_sandbox
from tests.support.baking import Deployed, spec_text

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

ONE = ("r5.12xlarge",)
THREE = ("m4.4xlarge", "r5.12xlarge", "r5.24xlarge")
ROUNDS = 3

Engine = Literal["direct", "packer"]


def seconds(box: Sandbox, engine: Engine, types: tuple[str, ...], name: str) -> float:
    """Returns how long one bake takes, from the survey to the last record."""
    with tempfile.TemporaryDirectory(prefix="mngen-bench-") as folder:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        deployed = Deployed(Path(folder), box, spec_text(*types, name=name), short=False)
        start = time.monotonic()
        survey = look(deployed.cluster, deployed.site, tree=deployed.tree, record=deployed.record)
        result = bake(
            survey,
            record=deployed.record,
            engine=choose_engine(engine),
            options=deployed.options,
        )
        took = time.monotonic() - start
        failed = [each.problems for each in result.outcomes if each.id is None]
        if failed:
            raise SystemExit(f"a bake failed: {failed}")
        return took


def main() -> int:
    """Measures in turns, so that a busy machine slows all alike."""
    if reason := machines_unavailable():
        sys.stdout.write(f"not measured: {reason}\n")
        return 1
    prepare_machines()
    engines: list[Engine] = ["direct"]
    if shutil.which("packer"):
        engines.append("packer")
    found: dict[tuple[Engine, int], list[float]] = {}
    with start_sandbox() as box, box.applied():
        for number in range(ROUNDS):
            for engine in engines:
                for types in (ONE, THREE):
                    name = f"b{number}-{engine}-{len(types)}"
                    took = seconds(box, engine, types, name)
                    found.setdefault((engine, len(types)), []).append(took)
    medians = {key: statistics.median(values) for key, values in found.items()}
    for engine in engines:
        ratios = [
            three / one for one, three in zip(found[engine, 1], found[engine, 3], strict=True)
        ]
        sys.stdout.write(
            f"{engine}: one image {medians[engine, 1]:.1f} s, three in parallel "
            f"{medians[engine, 3]:.1f} s: {statistics.median(ratios):.2f} times "
            f"({min(ratios):.2f} to {max(ratios):.2f}; goal at most 1.5)\n"
        )
    if len(engines) > 1:
        ratio = medians["packer", 1] / medians["direct", 1]
        sys.stdout.write(f"packer takes {ratio:.2f} times what the direct engine takes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
