"""A rank of MPICH without mpi4py: adds up all ranks and prints where it runs."""

from __future__ import annotations

import ctypes
import os

# Handles of MPICH's ABI: https://www.mpich.org/abi/
_WORLD, _INT, _SUM = 0x44000000, 0x4C000405, 0x58000003

mpi = ctypes.CDLL("libmpich.so.12", mode=ctypes.RTLD_GLOBAL)
rank, size, total = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
mpi.MPI_Init(None, None)
mpi.MPI_Comm_rank(_WORLD, ctypes.byref(rank))
mpi.MPI_Comm_size(_WORLD, ctypes.byref(size))
mpi.MPI_Allreduce(ctypes.byref(rank), ctypes.byref(total), 1, _INT, _SUM, _WORLD)
node = os.environ["AWS_BATCH_JOB_NODE_INDEX"]
provider = os.environ["FI_PROVIDER"]
print(
    f"rank {rank.value} of {size.value}, node {node}, by {provider}, sum {total.value}", flush=True
)
mpi.MPI_Finalize()
