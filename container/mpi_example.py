#!/usr/bin/env python3
"""The tutorial's example: every rank prints where it runs, and all of them add up a sum.

Put it where all nodes see it, such as the shared file system, and submit a job with the command
`python3 /efs/mpi_example.py`. With a wrong sum, the exit code is 1.
"""

from __future__ import annotations

import sys

from mpi4py import MPI


def main() -> int:
    """Runs one rank; returns its exit code."""
    world = MPI.COMM_WORLD
    rank, size = world.Get_rank(), world.Get_size()
    print(f"rank {rank} of {size} runs on {MPI.Get_processor_name()}", flush=True)
    total = world.allreduce(rank + 1, op=MPI.SUM)
    expected = size * (size + 1) // 2
    if total != expected:
        print(f"rank {rank}: the sum is {total}, it should be {expected}", file=sys.stderr)
        return 1
    if rank == 0:
        print(f"the sum over all ranks is {total}, as it should be", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
