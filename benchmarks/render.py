"""How long does `mngen render examples/tutorial.yaml` take, as a whole process?

From a user's second on: the first one compiles the templates, and is shown beside it. Against the
floor, which is the same Python importing the YAML and template libraries and exiting,
and against CDK Terrain (`cdktn`, needs Node.js) synthesising the same resources.

    python benchmarks/render.py
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import MNGEN, ROOT, in_turns, ratio, seconds, verdict

_EXAMPLE = ROOT / "examples" / "tutorial.yaml"
_PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
_PEER = Path(__file__).with_name("_cdktn_tutorial.py")

_MOST_FLOORS = 2.0
_LEAST_SPEED_UP = 20


def _floor(_: Path) -> list[str]:
    return [sys.executable, "-c", "import yaml, jinja2"]


def _mngen(folder: Path) -> list[str]:
    return [MNGEN, "render", "--file", str(_EXAMPLE), "--out", str(folder / "deploy")]


def _mngen_first(folder: Path) -> list[str]:
    """The user's first render: no template is compiled yet."""
    return ["env", f"XDG_CACHE_HOME={folder / 'cache'}", *_mngen(folder)]


def _cdktn(folder: Path) -> list[str]:
    return [str(_PEER_PYTHON), str(_PEER), str(folder / "cdktf.out")]


def _against_floor() -> None:
    commands = {"floor": _floor, "mngen": _mngen, "first": _mngen_first}
    runs = in_turns(commands, rounds=15, warm_up=2)
    found = ratio(runs["mngen"], runs["floor"])
    print(f"mngen render                {seconds(runs['mngen']).show(' s', 3)}")
    print(f"  a user's first            {seconds(runs['first']).show(' s', 3)}")
    print(f"floor: import yaml, jinja2  {seconds(runs['floor']).show(' s', 3)}")
    goal = verdict(met=found.median <= _MOST_FLOORS, goal=f"at most {_MOST_FLOORS}")
    print(f"  mngen / floor: {found.show()}, {goal}")
    print(f"  a user's first / floor: {ratio(runs['first'], runs['floor']).show()}")


def _against_cdktn() -> None:
    runs = in_turns({"cdktn": _cdktn, "mngen": _mngen}, rounds=5)
    found = ratio(runs["cdktn"], runs["mngen"])
    print(f"mngen render                {seconds(runs['mngen']).show(' s', 3)}")
    print(f"cdktn, same resources       {seconds(runs['cdktn']).show(' s', 3)}")
    goal = verdict(met=found.median >= _LEAST_SPEED_UP, goal=f"at least {_LEAST_SPEED_UP}")
    print(f"  cdktn / mngen: {found.show(digits=1)}, {goal}")


def _missing() -> str | None:
    """Returns what the peer lacks on this machine, or None."""
    if shutil.which("node") is None:
        return "there is no node on PATH"
    if not _PEER_PYTHON.exists():
        return "cdktn is not installed: `make bench` installs it in .venv-bench"
    return None


def _refuse_unequal() -> None:
    """Makes sure that both do the same work: the same kinds of resources, data and outputs."""
    with tempfile.TemporaryDirectory(prefix="mngen-bench-") as folder:
        for command in (_mngen(Path(folder)), _cdktn(Path(folder))):
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        ours = {
            " ".join(names)
            for path in Path(folder, "deploy").rglob("*.tf")
            for names in re.findall(r'^(resource|data) "(\w+)"', path.read_text(), re.MULTILINE)
        }
        outputs = Path(folder, "deploy", "terraform", "outputs.tf").read_text(encoding="utf-8")
        ours |= {f"output {name}" for name in re.findall(r'^output "(\w+)"', outputs, re.MULTILINE)}
        stack = json.loads(
            Path(folder, "cdktf.out/stacks/tutorial/cdk.tf.json").read_text(encoding="utf-8")
        )
    theirs = {f"{kind} {name}" for kind in ("resource", "data", "output") for name in stack[kind]}
    if ours != theirs:
        sys.exit(
            f"{_PEER.name} is not what {_EXAMPLE.name} renders to; they differ in: "
            f"{', '.join(sorted(ours ^ theirs))}"
        )


def main() -> int:
    """Prints the ratios; returns 1 where one could not be measured."""
    _against_floor()
    missing = _missing()
    if missing:
        print(f"not compared with cdktn: {missing}", file=sys.stderr)
        return 1
    _refuse_unequal()
    _against_cdktn()
    return 0


if __name__ == "__main__":
    sys.exit(main())
