"""The files of nodes on AWS, as machines there show them, for the program of the self-test.

Where each text comes from:

- the kernel's command line: Amazon Linux 2023, public transcripts of its /proc/cmdline, with the
  `nr_cpus=` that a bake adds;
- CPUs and their siblings: EC2's Intel types number all first threads before all second ones
  (r5.24xlarge: NUMA node 0 is 0-23,48-71), and `nr_cpus` leaves the first ones;
- mounts: `mount` on public transcripts of amazon-efs-utils with `tls`, in the form of
  /proc/self/mountinfo (man 5 proc_pid_mountinfo), which a report of a mounted NFS server on the
  Linux NFS mailing list shows;
- EFA's counters: `efa_port_stats_names` in Linux' drivers/infiniband/hw/efa/efa_verbs.c.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mngen.selftest import _on_nodes as program

if TYPE_CHECKING:
    from pathlib import Path

CMDLINE = (
    "BOOT_IMAGE=(hd0,gpt1)/boot/vmlinuz-6.1.147-172.266.amzn2023.x86_64 "
    "root=UUID=1c3c4b1f-4c6d-4b4f-a5a5-ee29b5a2d5a4 ro console=tty0 console=ttyS0,115200n8 "
    "nvme_core.io_timeout=4294967295 rd.emergency=poweroff rd.shell=0 selinux=1 "
    "security=selinux quiet"
)
EFS_OPTIONS = (
    "rw,vers=4.1,rsize=1048576,wsize=1048576,namlen=255,hard,noresvport,proto=tcp,port=20376,"
    "timeo=600,retrans=2,sec=sys,clientaddr=127.0.0.1,local_lock=none,addr=127.0.0.1"
)
EFS = f"1290 1270 0:53 / /efs rw,relatime - nfs4 127.0.0.1:/ {EFS_OPTIONS}"
# Not changed in any way: NFS 4.2 from a Linux server.
OTHER_NFS = (
    "459 55 0:40 / /mnt/nfs rw,relatime shared:187 - nfs4 127.0.0.1:/server rw,vers=4.2,"
    "rsize=524288,wsize=524288,namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys,"
    "clientaddr=127.0.0.1,local_lock=none,addr=127.0.0.1"
)
CONTAINER_ROOT = (
    "1270 1260 0:52 / / rw,relatime master:310 - overlay overlay "
    "rw,lowerdir=/var/lib/docker/overlay2/l/A,upperdir=/var/lib/docker/overlay2/d/diff"
)
# https://docs.aws.amazon.com/fsx/latest/LustreGuide/mounting-ec2-instance.html shows the source and
# the type; the other words are those of the client: lustre/llite/llite_lib.c (ll_sbi_flags_name).
LUSTRE = (
    "812 790 0:61 / /fsx rw,noatime - lustre 10.0.1.5@tcp:/abcd1234 "
    "rw,checksum,flock,nouser_xattr,lruresize,lazystatfs,nouser_fid2path,verbose,encrypt"
)
# What Docker mounts where the folder of the node holds no file system: the node's own root disk.
NODE_FOLDER = "1290 1270 259:1 /efs /efs rw,noatime - xfs /dev/nvme0n1p1 rw,attr2,inode64,noquota"


def write_cpus(root: Path, online: str, siblings: list[str], cmdline: str = CMDLINE) -> None:
    """Write the kernel's files about CPUs; `siblings` has one list a CPU."""
    for cpu, text in enumerate(siblings):
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(text + "\n")
    (root / "sys/devices/system/cpu/online").write_text(online + "\n")
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/status").write_text(
        f"Name:\torted\nCpus_allowed:\tffffff\nCpus_allowed_list:\t{online}\nMems_allowed_list:\t0\n"
    )
    (root / "proc/cmdline").write_text(cmdline + "\n")
    (root / "proc/meminfo").write_text("MemTotal:       391866368 kB\nMemFree:  380000000 kB\n")


def fact(kind: str, **values: Any) -> str:
    """Return a line as the program writes it."""
    return "mngen-selftest " + json.dumps({"k": kind, **values})


def node_lines(
    root: Path,
    node: int,
    *,
    mount: str = EFS,
    pins: list[str] | None = None,
    path: str = "/efs",
    **changed: dict[str, Any],
) -> list[str]:
    """Return what a node writes of itself: the program's own reading of the files below `root`."""
    cpus = program.cpu_facts(root=str(root))
    pins = pins or [str(cpu) for cpu in range(24)]
    files: dict[str, Any] = {"wrote": "", "writers": 2, "bad": []}
    limits = {"uid": 1000, "gid": 1000, "shm": 95_000, "memlock": 67_108_864, "nofile": 65_536}
    return [
        fact("cpu", node=node, **cpus),
        fact("ranks", node=node, count=len(pins), pins=pins),
        fact("mount", node=node, **program.mount_facts(path, f"{CONTAINER_ROOT}\n{mount}\n")),
        fact("limits", node=node, **(limits | changed.get("limits", {}))),
        fact(
            "metadata",
            node=node,
            **({"reached": False, "why": "timed out"} | changed.get("metadata", {})),
        ),
        fact("efa", node=node, **({"devices": 0, "provider": ""} | changed.get("efa", {}))),
        fact("files", node=node, **(files | changed.get("files", {}))),
    ]


def common_lines(before: int, **changed: dict[str, Any]) -> list[str]:
    """Return what the first rank writes after the nodes' lines, of which there are so many."""
    pair = {
        "a": 0,
        "b": 1,
        "latency_us": 21.4,
        "single_gbit": 9.5,
        "gbit": 11.6,
        "streams": 16,
        "efa_bytes": 0,
        "net_bytes": 900_000_000,
    } | changed.get("pair", {})
    sums = {"ranks": 48, "bytes": 8, "us": 60.2, "right": True} | changed.get("sums", {})
    lines = [fact("phase", at="nodes 0 and 1"), fact("pair", **pair), fact("allreduce", **sums)]
    return [
        *lines,
        fact(
            "end", lines=before + len(lines) + 1, nodes=2, mpi="Open MPI v5.0.10, package: Debian"
        ),
    ]
