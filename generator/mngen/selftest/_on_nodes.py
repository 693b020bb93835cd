"""What `mngen selftest` runs on every rank: looks at its node, and measures the network between.

It judges nothing. Each fact is a line on standard output, the word `mngen-selftest` and a JSON
object with its kind in `k`; `_facts` reads them from the log.

It travels in the job's command, which has 8192 characters with all else that a submission
overrides: whatever is wrong with the file system, the image or the bucket, it still arrives.
`_program` takes out of it what the interpreter does not need. Python 3.9 or newer, mpi4py.

    _on_nodes.py MOUNT SECONDS LIMIT

MOUNT is where the shared file system should be, SECONDS how long each measurement may take, LIMIT
the seconds after which a rank that hangs ends itself, and with it the job.
"""

from __future__ import annotations

import array
import ctypes
import glob
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import sys
import time
import traceback
from typing import Any

CPUS = "/sys/devices/system/cpu"
MEGABYTE = 1 << 20
# More streams at a time show no more of a network, and more pairs of nodes no more of a cluster.
STREAMS = 16
PAIRS = 16
WINDOW = 8
lines_written = [0]


def line(kind: str, **facts: Any) -> str:
    """Returns a fact as a line of the log."""
    return "mngen-selftest " + json.dumps({"k": kind, **facts}) + "\n"


def write(*lines: str) -> None:
    """Writes lines to the log.

    The first rank alone does so: mpirun passes on what a rank writes in pieces of 4096 bytes, and
    puts those of another one between them, even in the middle of a line.
    """
    lines_written[0] += len(lines)
    sys.stdout.write("".join(lines))
    sys.stdout.flush()


def read(path: str) -> str:
    """Returns a file of the kernel's without the last line's end; empty where there is none."""
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def field(text: str, name: str) -> str:
    """Returns the value of `name:` in a file such as /proc/meminfo."""
    found = re.search("^" + re.escape(name) + r"\s*:\s*(.*)$", text, re.MULTILINE)
    return found.group(1) if found else ""


def spans(numbers: Any) -> str:
    """Returns numbers as the kernel lists CPUs: 0-3,8."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def cpu_facts(parent: str = "self", root: str = "") -> dict[str, Any]:
    """Returns the CPUs of the node, and which of them share a core.

    Args:
        parent: The process that starts the ranks, which is not bound as they are.
        root: Where the kernel's files are, for tests.
    """
    files = glob.glob(f"{root}{CPUS}/cpu[0-9]*/topology/thread_siblings_list")
    status, info = read(f"{root}/proc/{parent}/status"), read(f"{root}/proc/cpuinfo")
    memory = field(read(root + "/proc/meminfo"), "MemTotal")
    limit = re.search(r"\bnr_cpus=(\d+)", read(root + "/proc/cmdline"))
    return {
        "online": read(f"{root}{CPUS}/online"),
        "allowed": field(status, "Cpus_allowed_list"),
        "siblings": sorted(
            {read(name) for name in files} - {""}, key=lambda text: (len(text), text)
        ),
        "nr_cpus": int(limit.group(1)) if limit else 0,
        "model": field(info, "model name")[:80],
        "memory": int((memory.split() or ["0"])[0]) // 1024,
        "kernel": read(root + "/proc/sys/kernel/osrelease")[:80],
    }


def mount_facts(path: str, table: str) -> dict[str, Any]:
    """Returns what is mounted at a path; an empty type where nothing is.

    Args:
        path: The mount point.
        table: The text of /proc/self/mountinfo; see man 5 proc_pid_mountinfo.
    """
    found: dict[str, Any] = {"path": path, "type": "", "source": "", "options": "", "root": ""}
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        point, kind = left.split(), right.split()
        if (
            len(point) > 5 and len(kind) > 1 and point[4] == path
        ):  # of several, the last one is on top
            options = f"{point[5]},{kind[2] if len(kind) > 2 else ''}"
            found.update(
                type=kind[0], source=kind[1][:100], options=options[:600], root=point[3][:100]
            )
    return found


def scratch_facts(path: str, table: str) -> dict[str, Any]:
    """Returns what is mounted at a scratch space, how large it is, and why it cannot be written."""
    trouble, size, mount = "", None, mount_facts(path, table)
    try:
        size = os.statvfs(path)
        name = f"{path}/.mngen-selftest-{os.getpid()}"
        with open(name, "xb") as file:
            file.write(bytes(MEGABYTE))
        os.unlink(name)
    except OSError as error:
        trouble = str(error.strerror)
    blocks = (size.f_blocks, size.f_bavail) if size else (0, 0)
    unit = size.f_frsize if size else 0
    return {
        "path": path,
        "type": mount["type"],
        "root": mount["root"],
        "size": blocks[0] * unit // 10**9,
        "free": blocks[1] * unit // 10**9,
        "wrote": trouble,
    }


def limit_facts() -> dict[str, Any]:
    """Returns who the rank is and what it may have."""
    names = {"memlock": resource.RLIMIT_MEMLOCK, "nofile": resource.RLIMIT_NOFILE}
    shm = 0
    if os.path.isdir("/dev/shm"):
        size = os.statvfs("/dev/shm")
        shm = size.f_blocks * size.f_frsize // MEGABYTE
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "shm": shm,
        # A container has the device files of its GPUs alone: nvidia0 and so on, beside nvidiactl.
        # Source: https://github.com/NVIDIA/libnvidia-container (src/nvc_internal.h).
        "gpus": len(glob.glob("/dev/nvidia[0-9]*")),
        **{name: resource.getrlimit(number)[0] for name, number in names.items()},
    }


def metadata_facts(host: str = "169.254.169.254", port: int = 80) -> dict[str, Any]:
    """Returns whether the instance metadata service hands out the instance's role.

    Its name is asked for, never its credentials. What cannot be reached is as it should be.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
    """
    prefix = "X-aws-ec2-metadata-token"
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("PUT", "/latest/api/token", headers={prefix + "-ttl-seconds": "60"})
        answer = connection.getresponse()
        token = answer.read(200).decode("latin-1") if answer.status == 200 else ""
        place = "/latest/meta-data/iam/security-credentials/"
        connection.request("GET", place, headers={prefix: token} if token else {})
        answer = connection.getresponse()
        name = answer.read(200).decode("latin-1").strip() if answer.status == 200 else ""
        return {"reached": True, "role": name[:64]}
    except (OSError, http.client.HTTPException) as error:
        return {"reached": False, "why": str(error)[:80]}
    finally:
        connection.close()


def sent_bytes(root: str = "") -> tuple[int, int]:
    """Returns the bytes that the node has sent so far: over EFA, and over its other interfaces.

    The counters of EFA's driver: drivers/infiniband/hw/efa/efa_verbs.c in Linux.
    """
    files = glob.glob(root + "/sys/class/infiniband/*/ports/*/hw_counters/tx_bytes")
    efa = sum(int(read(name) or 0) for name in files)
    lines = [line.split(":") for line in read(root + "/proc/net/dev").splitlines() if ":" in line]
    return efa, sum(int(rest.split()[8]) for name, rest in lines if name.strip() != "lo")


def efa_facts(root: str = "") -> dict[str, Any]:
    """Returns the Elastic Fabric Adapters that the container was given."""
    devices = glob.glob(root + "/dev/infiniband/uverbs*")
    return {"devices": len(devices), "provider": os.environ.get("FI_PROVIDER", "")}


def check_files(comm: Any, mount: str, node: int) -> dict[str, Any]:
    """Writes a file on each node, and reads those of all others.

    Args:
        comm: One rank of each node.
        mount: The shared file system.
        node: Index of this node.
    """
    folder = f"{mount}/.mngen-selftest-" + os.environ.get("AWS_BATCH_JOB_ID", "0")[:36]
    word, trouble = os.urandom(16).hex(), ""
    try:
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{node}", "w") as file:
            file.write(word)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        trouble = f"{error.strerror}: {error.filename or mount}"[:120]
    words = comm.allgather((node, word, trouble))  # no rank reads before all have written
    bad = [other for other, text, why in words if not why and read(f"{folder}/{other}") != text]
    comm.Barrier()
    shutil.rmtree(folder, ignore_errors=True)
    return {"wrote": trouble, "writers": sum(not why for _, _, why in words), "bad": bad[:50]}


def rounds(comm: Any, seconds: float, once: float) -> int:
    """Returns how often to repeat what takes so long once: the same number on all ranks."""
    return int(comm.bcast(max(3, min(5000, int(seconds / max(once, 1e-7)))), root=0))


def timed(comm: Any, seconds: float, work: Any) -> float:
    """Returns how long a piece of work takes, in seconds; the median of five series."""
    for _ in range(3):
        work()
    comm.Barrier()
    start = time.perf_counter()
    work()
    count = rounds(comm, seconds / 5, time.perf_counter() - start)
    series = []
    for _ in range(5):
        comm.Barrier()
        start = time.perf_counter()
        for _ in range(count):
            work()
        series.append((time.perf_counter() - start) / count)
    return sorted(series)[2]


def measure_pair(comm: Any, nodes: list[int], seconds: float) -> dict[str, Any]:
    """Measures between the ranks of two nodes; the first node's first rank returns the figures.

    Args:
        comm: The ranks of both nodes, by node.
        nodes: The node of each of them.
        seconds: How long each measurement may take.
    """
    me, half = comm.Get_rank(), nodes.count(nodes[0])
    streams = min(STREAMS, half, len(nodes) - half)
    first = me < half
    place = me if first else me - half
    small, large = bytearray(8), bytearray(os.urandom(64)) * (MEGABYTE // 64)
    inbox = [bytearray(MEGABYTE) for _ in range(WINDOW)]

    def ping() -> None:
        if me == 0:
            comm.Send(small, dest=half)
            comm.Recv(small, source=half)
        elif me == half:
            comm.Recv(small, source=0)
            comm.Send(small, dest=0)

    def stream(width: int) -> None:
        if place >= width:
            return
        if first:
            for request in [comm.Isend(large, dest=half + place) for _ in inbox]:
                request.Wait()
            comm.Recv(small, source=half + place)
        else:
            for request in [comm.Irecv(part, source=place) for part in inbox]:
                request.Wait()
            comm.Send(small, dest=place)

    latency = timed(comm, seconds, ping) / 2
    before = sent_bytes()
    single = timed(comm, seconds, lambda: stream(1))
    after = sent_bytes()
    several = timed(comm, seconds, lambda: stream(streams)) if streams > 1 else single
    bits = WINDOW * MEGABYTE * 8 / 1e9
    return {
        "latency_us": round(latency * 1e6, 2),
        "single_gbit": round(bits / single, 3),
        "gbit": round(bits * streams / several, 3),
        "streams": streams,
        "efa_bytes": after[0] - before[0],
        "net_bytes": after[1] - before[1],
    }


def measure_allreduce(comm: Any, mpi: Any, count: int, seconds: float) -> dict[str, Any]:
    """Measures the sum of so many numbers over all ranks, and checks it."""
    rank, size = comm.Get_rank(), comm.Get_size()
    mine, total = array.array("d", [rank + 1.0] * count), array.array("d", [0.0] * count)
    spent = timed(comm, seconds, lambda: comm.Allreduce(mine, total, op=mpi.SUM))
    right = all(value == size * (size + 1) / 2 for value in total)
    return {"ranks": size, "bytes": 8 * count, "us": round(spent * 1e6, 2), "right": right}


def scratch_lines(node: int) -> list[str]:
    """Returns the fact on the scratch space where the job has one."""
    path = os.environ.get("MNGEN_SCRATCH")
    table = read("/proc/self/mountinfo")
    return [line("scratch", node=node, **scratch_facts(path, table))] if path else []


class Id(ctypes.Structure):
    """`ncclUniqueId`, which is passed by value."""

    _fields_ = (("internal", ctypes.c_byte * 128),)


def library(name: str) -> Any:
    """Returns a shared library."""
    return ctypes.CDLL(name)


def measure_nccl(comm: Any, device: int, count: int, seconds: float) -> dict[str, Any]:
    """Measures the sum of so many numbers over the GPUs of all ranks, and checks it.

    Through the libraries themselves, since an image may have no program for it. Constants are those
    of nccl.h: 7 is ncclFloat32, 0 is ncclSum.
    Source: https://github.com/NVIDIA/nccl (src/nccl.h.in),
    https://docs.nvidia.com/cuda/cuda-driver-api/

    Args:
        comm: One rank for each GPU.
        device: This rank's GPU, by its index on the node.
        count: How many numbers of 4 bytes.
        seconds: How long it may take.
    """
    rank, size, why = comm.Get_rank(), comm.Get_size(), ""
    c, pointer, bytes_ = ctypes, ctypes.byref, ctypes.c_size_t(4 * count)
    gpu, context, handle = c.c_int(), c.c_void_p(), c.c_void_p()
    mine, total = c.c_uint64(), c.c_uint64()

    def do(function: Any, *words: Any) -> None:
        code = function(*words)
        if code:
            raise OSError(f"{function.__name__}: error {code}")

    try:
        cuda, nccl = library("libcuda.so.1"), library("libnccl.so.2")
        do(cuda.cuInit, 0)
        do(cuda.cuDeviceGet, pointer(gpu), device)
        do(cuda.cuDevicePrimaryCtxRetain, pointer(context), gpu)
        do(cuda.cuCtxSetCurrent, context)
        for memory in (mine, total):
            do(cuda.cuMemAlloc_v2, pointer(memory), bytes_)
        numbers = (c.c_float * count).from_buffer(array.array("f", [rank + 1.0]) * count)
        do(cuda.cuMemcpyHtoD_v2, mine, numbers, bytes_)
        name = Id()
        if rank == 0:
            do(nccl.ncclGetUniqueId, pointer(name))
    except OSError as error:
        why = f"rank {rank}: {error}"[:200]
    # None goes on alone: it would wait for the others indefinitely.
    why = max(comm.allgather(why))
    if why:
        return {"why": why}
    name = Id.from_buffer_copy(comm.bcast(bytes(name), root=0))
    do(nccl.ncclCommInitRank, pointer(handle), size, name, rank)
    sent, sums = c.c_void_p(mine.value), c.c_void_p(total.value)

    def add() -> None:
        do(nccl.ncclAllReduce, sent, sums, c.c_size_t(count), 7, 0, handle, c.c_void_p())
        do(cuda.cuCtxSynchronize)

    before = sent_bytes()
    spent = timed(comm, seconds, add)
    after = sent_bytes()
    do(cuda.cuMemcpyDtoH_v2, numbers, total, bytes_)
    return {
        "ranks": size,
        "bytes": 4 * count,
        "us": round(spent * 1e6, 2),
        "right": {*numbers[:99], numbers[count - 1]} == {size * (size + 1) / 2},
        "efa_bytes": after[0] - before[0],
        "net_bytes": after[1] - before[1],
    }


def sum_over_gpus(world: Any, place: int, seconds: float) -> None:
    """Measures NCCL where any node has GPUs; so many ranks of a node take part as it has.

    Args:
        world: All ranks.
        place: Number of this rank on its node.
        seconds: How long it may take.
    """
    gpus, first = limit_facts()["gpus"], world.Get_rank() == 0
    if not max(world.allgather(gpus)):
        return
    if first:
        write(line("phase", at="allreduce of NCCL"))
    comm = world.Split(place >= gpus, world.Get_rank())
    if place < gpus:
        figures = measure_nccl(comm, place, 16 * MEGABYTE, seconds)
        if first:
            write(line("nccl", **figures))
    world.Barrier()


def run(mpi: Any, mounts: list[str], seconds: float) -> None:
    """Takes part in all checks and measurements; files are written to the first mount."""
    world = mpi.COMM_WORLD
    rank, node = world.Get_rank(), int(os.environ.get("AWS_BATCH_JOB_NODE_INDEX", "0"))
    local = world.Split(node, rank)
    leads = local.Get_rank() == 0
    leaders = world.Split(0 if leads else 1, rank)
    pins = local.gather(spans(os.sched_getaffinity(0)), root=0)
    if leads:
        facts = [
            line("cpu", node=node, host=socket.gethostname()[:60], **cpu_facts(str(os.getppid()))),
            line("ranks", node=node, count=len(pins), pins=pins[:200]),
            *(
                line("mount", node=node, **mount_facts(path, read("/proc/self/mountinfo")))
                for path in mounts
            ),
            line("limits", node=node, **limit_facts()),
            *scratch_lines(node),
            line("metadata", node=node, **metadata_facts()),
            line("efa", node=node, **efa_facts()),
        ]
        if rank == 0:
            # Whatever becomes of the others, this node's facts are known.
            write(*facts, line("phase", at="the first messages between nodes"))
        for told in (leaders.gather(facts, root=0) or [])[1:]:
            write(*told)
        files = line("files", node=node, **check_files(leaders, mounts[0], node))
        write(*(leaders.gather(files, root=0) or []))
    nodes = world.allgather(node)
    others = sorted(set(nodes) - {nodes[0]})
    for other in others[:: -(-len(others) // PAIRS) or 1]:
        if rank == 0:
            write(line("phase", at=f"nodes {node} and {other}"))
        inside = node in (nodes[0], other)
        pair = world.Split(inside, (node != nodes[0]) * len(nodes) + rank)
        if inside:
            figures = measure_pair(pair, pair.allgather(node), seconds)
            if rank == 0:
                write(line("pair", a=node, b=other, **figures))
        world.Barrier()
    for count in (1, MEGABYTE // 8):
        if rank == 0:
            write(line("phase", at=f"allreduce of {8 * count} bytes"))
        figures = measure_allreduce(world, mpi, count, seconds)
        if rank == 0:
            write(line("allreduce", **figures))
    sum_over_gpus(world, local.Get_rank(), seconds)
    if rank == 0:
        version = mpi.Get_library_version().strip("\0").splitlines()[0][:100]
        write(line("end", lines=lines_written[0] + 1, nodes=len(others) + 1, mpi=version))


def main() -> int:
    """Runs one rank; returns its exit code."""
    # No mount point has a colon.
    mounts, seconds, limit = sys.argv[1:4]
    signal.alarm(int(limit))
    try:
        from mpi4py import MPI
    except ImportError as error:
        write(line("fatal", why=str(error)[:200]))
        return 3

    def give_up(kind: Any, error: Any, trace: Any) -> None:
        # The others would wait indefinitely for a rank that has ended on its own.
        traceback.print_exception(kind, error, trace)
        write(line("fatal", why=f"{kind.__name__}: {error}"[:200]))
        MPI.COMM_WORLD.Abort(4)

    sys.excepthook = give_up
    run(MPI, mounts.split(":"), float(seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
