"""One rank of the wire-up's benchmark: MPI_Init, a barrier, MPI_Finalize, and when that was.

Through ctypes: importing mpi4py would take longer than what is measured.
"""

import ctypes
import time

mpi = ctypes.CDLL("libmpi.so.40", mode=ctypes.RTLD_GLOBAL)
world = ctypes.byref(ctypes.c_char.in_dll(mpi, "ompi_mpi_comm_world"))
rank = ctypes.c_int()
mpi.MPI_Init(None, None)
mpi.MPI_Barrier(world)
mpi.MPI_Comm_rank(world, ctypes.byref(rank))
if rank.value == 0:
    print(f"bench: ready {time.monotonic()}", flush=True)
mpi.MPI_Finalize()
