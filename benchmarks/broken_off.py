"""Does an apply heal, at whatever moment the one before was killed?

Deploys a whole cluster on the emulated AWS, VPC, environment and queue included, and kills
Terraform with SIGKILL at random changes of its applies: at most of them AWS has made the change
and Terraform has not noted it. Each deployment goes on until an apply goes through. Then its plan
must be empty, nothing may stand twice, and no security group may let out what the spec does not.

Some 30 kills in half an hour, on an idle machine.

    python scripts/provider_mirror.py --run python benchmarks/broken_off.py --kills 30 --seed 1
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mngen.sandbox import sandbox_environment, start_sandbox
from tests.support.breaking import Breaker, apply_until_done, counted, open_groups
from tests.support.sandbox import client
from tests.support.stack import Stack

_SPEC = """\
name: lab
region: us-east-1
network: {vpc: new, zones: [us-east-1a, us-east-1b], endpoints: [s3, ecr.api]}
storage: {bucket: inputs}
roles: {service: create}
environments:
  r5-24: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5-24]}
jobs:
  hello: {queue: mpi, nodes: 2, command: [hostname]}
"""
_TYPE = re.compile(r"(aws_\w+)\.\w+(?:\[.*\])?$")


def main() -> int:
    """Kills until there were enough; returns 1 where a deployment did not heal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30, help="how many in all")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    options = parser.parse_args()
    kills: Counter[str] = Counter()
    faults: list[str] = []
    seed, begun = options.seed, time.monotonic()
    with start_sandbox() as box, Breaker(box.endpoint) as breaker:
        while kills.total() < options.kills:
            box.reset()
            with tempfile.TemporaryDirectory() as folder:
                stack = Stack(Path(folder), box.environment())
                stack.render(_SPEC)
                stack.record_images("r5.12xlarge")
                broken = apply_until_done(
                    Path(folder),
                    breaker,
                    sandbox_environment(breaker.endpoint, "us-east-1", os.environ),
                    seed=seed,
                    kills=options.kills - kills.total(),
                )
                kills.update(broken.kills)
                print(f"seed {seed}: {len(broken.kills)} kills at {', '.join(broken.kills)}")
                if not stack.unchanged():
                    faults.append(f"seed {seed}: the plan is not empty")
                state = Counter(
                    match[1] for each in stack.resources() if (match := _TYPE.search(each))
                )
                stands = counted(partial(client, box))
                if twice := {each: n for each, n in stands.items() if n != state[each]}:
                    faults.append(f"seed {seed}: not as in the state: {twice}")
                if groups := open_groups(client(box, "ec2")):
                    faults.append(f"seed {seed}: everything may leave {groups}")
            print(f"  {time.monotonic() - begun:.0f} s so far", flush=True)
            seed += 1
    print(f"{kills.total()} kills, {len(kills)} kinds of change, {len(faults)} faults")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
