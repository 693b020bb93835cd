"""How long does `mngen cost` take for 10,000 jobs, and in how many calls, against the sandbox?

python benchmarks/cost.py [--jobs 10000]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import MNGEN, ROOT, verdict

_MOST_CALLS = 120
_MOST_SECONDS = 60.0
_CALL = re.compile(r"^debug \S+ aws (\w+ \w+)", re.MULTILINE)


def main() -> int:
    """Measures once; returns 1 if a goal is missed."""
    sys.path.insert(0, str(ROOT))
    from mngen.jobs import Jobs
    from mngen.sandbox import start_sandbox
    from tests.support.batch import Deployed, spec_text

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    count = parser.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="mngen-bench-") as name, start_sandbox() as box:
        text = spec_text("bench")
        (Path(name) / "mngen.yaml").write_text(text, encoding="utf-8")
        deployed = Deployed(box, text)
        with box.applied():
            jobs = Jobs(deployed.cluster)
            job = jobs.submit("mpi", environment={"MNGEN_SANDBOX_SECONDS": "0.3"}).id
            jobs.wait(job, timeout=120)
        deployed.control(copies={job: count - 1})
        start = time.perf_counter()
        done = subprocess.run(
            [MNGEN, "--debug", "cost", "--since", "30d", "--by", "user"],
            cwd=name,
            env={**os.environ, **box.environment()},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - start
    calls = len(_CALL.findall(done.stderr))
    print(done.stdout)
    print(f"{count} jobs: {seconds:.1f} s, {verdict(met=seconds <= _MOST_SECONDS, goal='60 s')}")
    print(f"{calls} calls, {verdict(met=0 < calls <= _MOST_CALLS, goal=f'{_MOST_CALLS}')}")
    return 0 if seconds <= _MOST_SECONDS and 0 < calls <= _MOST_CALLS else 1


if __name__ == "__main__":
    sys.exit(main())
