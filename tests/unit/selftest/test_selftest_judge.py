"""From the lines of a log to the card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from mngen.catalog import load_catalog
from mngen.rules import require
from mngen.selftest import Card, Run, State, judge
from mngen.selftest import _on_nodes as program
from mngen.selftest._expect import expected_on_aws
from mngen.selftest._facts import complete, cpus_of, nodes_of, parse
from mngen.selftest._judge_network import promised
from mngen.selftest._on_nodes import mount_facts
from mngen.spec import load_text
from tests.support.selftest import (
    CMDLINE,
    CONTAINER_ROOT,
    EFS,
    LUSTRE,
    NODE_FOLDER,
    OTHER_NFS,
    common_lines,
    fact,
    node_lines,
    write_cpus,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mngen.cluster import AmiRecord
    from mngen.selftest import Expected

AMI = "ami-0123456789abcdef0"
SPEC = """\
name: seismic
region: us-east-1
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4, efa: false}
queues:
  mpi: {environments: [r5]}
jobs:
  hello: {queue: mpi, nodes: 2, command: [hostname]}
"""


def expected(
    text: str = SPEC, records: dict[str, AmiRecord] | None = None, skip: Sequence[str] = ()
) -> Expected:
    cluster = require(load_text(text.encode()), load_catalog(), skip=skip)
    job = cluster.jobs[0]
    return expected_on_aws(cluster, job, job.queue, 2, amis={"r5": AMI}, records=records or {})


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a node that is as the spec wants it; they are only read."""
    return cores(tmp_path_factory.mktemp("node"), 24)


def cores(folder: Path, count: int, limit: int | None = 24, **more: Any) -> Path:
    cmdline = CMDLINE if limit is None else f"{CMDLINE} nr_cpus={limit}"
    write_cpus(folder, f"0-{count - 1}", [str(cpu) for cpu in range(count)], cmdline, **more)
    return folder


def whole(first: list[str], second: list[str], **changed: dict[str, Any]) -> list[str]:
    return [*first, *second, *common_lines(len(first) + len(second), **changed)]


def card(lines: list[str], wanted: Expected | None = None, **run: Any) -> Card:
    values: dict[str, Any] = {
        "succeeded": True,
        "exit_code": 0,
        "id": "6d1b8f0a",
        "types": {0: "r5.12xlarge", 1: "r5.12xlarge"},
        "amis": {0: AMI, 1: AMI},
    }
    return judge(wanted or expected(), Run(facts=parse(lines), **(values | run)))


def found(made: Card, name: str) -> tuple[str, str]:
    (check,) = [each for each in made.checks if each.id == name]
    assert bool(check.remedy) == (check.state in (State.ERROR, State.WARNING))
    return check.state.value, check.seen


def only(made: Card, state: State) -> list[str]:
    return [each.id for each in made.checks if each.state is state]


class TestAllIsWell:
    def test_every_check_passes(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1)))
        assert made.passed
        assert {each.state for each in made.checks} == {State.OK}
        assert found(made, "cpus") == ("ok", "24 CPUs (0-23)")
        assert found(made, "image") == ("ok", f"{AMI}, nr_cpus=24")
        assert found(made, "job") == ("ok", "2 nodes, Open MPI v5.0.10")

    def test_figures_stand_against_what_the_type_promises(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1)))
        by_name = {each.name: each for each in made.figures}
        # r5.12xlarge has 12 Gigabit in the catalog, and it is in a placement group by default.
        assert by_name["16 streams, nodes 0 and 1"].promise == 12
        assert by_name["one stream, nodes 0 and 1"].promise == 10
        assert by_name["latency, nodes 0 and 1"].promise is None
        assert by_name["allreduce of 8 bytes, 48 ranks"].value == 60.2


DISKS = SPEC.replace("instance: r5.12xlarge", "instance: r5d.12xlarge, scratch: /scratch")
"""2 disks of 900 GB: r5d.12xlarge in the catalog."""
# As /proc/self/mountinfo shows a whole XFS on an array, and a folder of the node's root disk.
STORE = "1291 1270 9:127 / /scratch rw,noatime - xfs /dev/md127 rw,attr2,inode64,sunit=1024"
FOLDER = "1291 1270 259:1 /scratch /scratch rw,noatime - xfs /dev/nvme0n1p1 rw,attr2,inode64"


def scratch_line(node: int, table: str = STORE, **changed: Any) -> str:
    found = {"path": "/scratch", "size": 1799, "free": 1780, "wrote": ""}
    mount = program.mount_facts("/scratch", f"{CONTAINER_ROOT}\n{table}\n")
    facts = {**found, "type": mount["type"], "root": mount["root"], **changed}
    return fact("scratch", node=node, **facts)


class TestScratch:
    def card(self, node: Path, *lines: str) -> Card:
        first = [*node_lines(node, 0), scratch_line(0)]
        types = dict.fromkeys((0, 1), "r5d.12xlarge")
        return card(whole(first, [*node_lines(node, 1), *lines]), expected(DISKS), types=types)

    def test_as_large_as_the_disks_and_free(self, node: Path) -> None:
        made = self.card(node, scratch_line(1))
        assert found(made, "scratch") == ("ok", "xfs, 1780 of 1799 GB are free")

    def test_a_spec_without_scratch_wants_none(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1)))
        assert found(made, "scratch") == ("ok", "the job has none")

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            (scratch_line(1, FOLDER, size=62, free=50), "is a folder on the node's root volume"),
            (scratch_line(1, ""), "nothing is mounted at /scratch"),
            (scratch_line(1, size=899, free=880), "899 GB instead of 1800"),
            (scratch_line(1, wrote="Permission denied"), "cannot write to /scratch: Permission"),
            (scratch_line(1, path="/old"), "the job definition gives no scratch space at /scratch"),
            ("", "the job definition gives no scratch space at /scratch"),
        ],
    )
    def test_what_is_wrong_with_one(self, node: Path, line: str, why: str) -> None:
        state, seen = found(self.card(node, *([line] if line else [])), "scratch")
        assert state == "error"
        assert seen.startswith("node 1: ")
        assert why in seen

    def test_full_is_a_warning(self, node: Path) -> None:
        made = self.card(node, scratch_line(1, free=100))
        assert found(made, "scratch") == ("warning", "node 1: 100 of 1799 GB are free")


GPUS = SPEC.replace("r5.12xlarge", "p4d.24xlarge").replace("efa: false", "efa: true")


class TestTorchrun:
    """The image of such a job may have no MPI: PyTorch needs none."""

    TEXT = SPEC.replace("command:", "launcher: torchrun, command:")

    @pytest.mark.parametrize("code", [64, 68])
    def test_without_mpirun(self, code: int) -> None:
        for text, hint in ((self.TEXT, "`launcher: torchrun` does not"), (SPEC, "exit codes")):
            made = card([], expected(text), succeeded=False, exit_code=code)
            assert hint in next(each.remedy for each in made.checks if each.id == "job")

    def test_without_mpi4py(self) -> None:
        lines = [fact("fatal", why="No module named 'mpi4py'")]
        made = card(lines, expected(self.TEXT), succeeded=False, exit_code=3)
        assert "`launcher: torchrun` does not" in made.checks[0].remedy

    def test_another_failure(self) -> None:
        made = card([], expected(self.TEXT), succeeded=False, exit_code=67)
        assert "exit codes" in made.checks[0].remedy


class TestNccl:
    """Figures: of awslabs/awsome-distributed-ai (micro-benchmarks/nccl-tests), p4d.24xlarge."""

    def card(self, node: Path, **changed: Any) -> Card:
        facts = {"ranks": 16, "bytes": 67108864, "us": 1500.0, "right": True}
        sent = {"efa_bytes": 900_000_000, "net_bytes": 5_000_000}
        lines = whole(node_lines(node, 0), node_lines(node, 1))
        lines.insert(-1, fact("nccl", **(changed if "why" in changed else facts | sent | changed)))
        wanted = expected(GPUS, skip=["MN133", "MN142", "MN442"])
        return card(lines, wanted, types=dict.fromkeys((0, 1), "p4d.24xlarge"))

    def test_over_efa(self, node: Path) -> None:
        made = self.card(node)
        assert found(made, "nccl") == ("ok", "16 GPUs, over EFA")
        figures = {each.name: (each.value, each.unit) for each in made.figures}
        # 2 * 15 / 16 * 67108864 B / 1500 us
        assert figures["NCCL, bus bandwidth of 64 MiB, 16 GPUs"] == (83.89, "GB/s")

    @pytest.mark.parametrize(
        ("changed", "state", "seen"),
        [
            ({"efa_bytes": 0}, "error", "16 GPUs: adapters are there, but NCCL sent its data ov"),
            ({"right": False}, "error", "16 GPUs gave a wrong sum"),
            ({"ranks": 14}, "error", "14 GPUs instead of 16"),
            ({"why": "rank 3: libnccl.so.2: cannot open"}, "warning", "rank 3: libnccl.so.2: can"),
        ],
    )
    def test_what_is_wrong(
        self, node: Path, changed: dict[str, Any], state: str, seen: str
    ) -> None:
        made = found(self.card(node, **changed), "nccl")
        assert made[0] == state
        assert made[1].startswith(seen)

    def test_a_job_without_gpus_needs_none(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1)))
        assert found(made, "nccl") == ("ok", "the job requests no GPUs")


class TestCpus:
    def test_fewer(self, node: Path, tmp_path: Path) -> None:
        small = cores(tmp_path / "small", 12, 12)
        made = card(whole(node_lines(node, 0), node_lines(small, 1)))
        assert found(made, "cpus") == ("error", "node 1: 12 CPUs (0-11) instead of 24")
        assert (
            found(made, "image")[1]
            == "node 1: kernel started with nr_cpus=12 instead of nr_cpus=24"
        )

    def test_hyper_threading_left_on(self, node: Path, tmp_path: Path) -> None:
        write_cpus(tmp_path / "on", "0-47", [f"{cpu % 24},{cpu % 24 + 24}" for cpu in range(48)])
        made = card(whole(node_lines(tmp_path / "on", 0), node_lines(node, 1)))
        assert found(made, "cpus")[1] == "node 0: 48 CPUs (0-47) instead of 24"
        assert found(made, "siblings") == (
            "error",
            "node 0: 24 of 24 cores have two CPUs online, such as CPU 0",
        )

    def test_half_of_the_cores_where_siblings_are_neighbours(
        self, node: Path, tmp_path: Path
    ) -> None:
        """The count is right, and the cores are not: what nr_cpus does to types that list 0-1."""
        place = tmp_path / "neighbours"
        siblings = [f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}" for cpu in range(24)]
        write_cpus(place, "0-23", siblings, f"{CMDLINE} nr_cpus=24")
        made = card(whole(node_lines(place, 0), node_lines(node, 1)))
        assert found(made, "cpus")[0] == "ok"
        assert found(made, "siblings")[1].startswith("node 0: 12 of 12 cores have two CPUs")

    def test_siblings_are_right_where_the_spec_wants_them(self, tmp_path: Path) -> None:
        write_cpus(tmp_path / "on", "0-47", [f"{cpu % 24},{cpu % 24 + 24}" for cpu in range(48)])
        text = SPEC.replace("efa: false", "hyperthreading: true")
        pins = [str(cpu) for cpu in range(48)]
        nodes = [node_lines(tmp_path / "on", index, pins=pins) for index in range(2)]
        made = card(whole(*nodes), expected(text))
        assert [found(made, each)[0] for each in ("cpus", "siblings", "pinning", "image")] == [
            "ok"
        ] * 4

    def test_nothing_could_be_read(self, node: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        made = card(whole(node_lines(tmp_path / "empty", 0), node_lines(node, 1)))
        assert found(made, "cpus")[1] == "node 0: 0 CPUs () instead of 24"
        assert found(made, "siblings")[1] == "node 0: the kernel does not report cores"


class TestPinning:
    def test_two_ranks_on_one_core(self, node: Path) -> None:
        pins = [str(cpu) for cpu in range(22)] + ["0", "23"]
        made = card(whole(node_lines(node, 0), node_lines(node, 1, pins=pins)))
        assert found(made, "pinning") == ("error", "node 1: ranks 0 and 22 are both on CPU 0")

    def test_two_threads_of_one_core(self, tmp_path: Path) -> None:
        write_cpus(tmp_path / "on", "0-47", [f"{cpu % 24},{cpu % 24 + 24}" for cpu in range(48)])
        lines = node_lines(tmp_path / "on", 0, pins=["0", "24"])
        made = card(whole(lines, node_lines(tmp_path / "on", 1, pins=["0", "1"])))
        assert found(made, "pinning") == ("error", "node 0: ranks 0 and 1 are both on CPU 0")

    def test_bound_to_a_socket_each(self, node: Path) -> None:
        made = card(
            whole(node_lines(node, 0, pins=["0-11"] * 12 + ["12-23"] * 12), node_lines(node, 1))
        )
        assert found(made, "pinning") == ("warning", "node 0: 24 ranks share cores")
        assert made.passed

    def test_several_cores_a_rank(self, node: Path) -> None:
        pins = [f"{cpu}-{cpu + 3}" for cpu in range(0, 24, 4)]
        made = card(whole(*(node_lines(node, index, pins=pins) for index in range(2))))
        assert found(made, "pinning") == ("ok", "6 ranks, each on its own cores")


class TestFileSystem:
    @pytest.mark.parametrize(
        ("mount", "state", "seen"),
        [
            ("", "error", "nothing is mounted there: it is a folder of the container or the node"),
            (NODE_FOLDER, "error", "xfs from /dev/nvme0n1p1 is mounted there, not EFS"),
            (EFS.replace("/efs rw,", "/efs ro,"), "error", "mounted read-only"),
            (
                EFS.replace(",hard,", ",soft,"),
                "error",
                "mounted `soft`, which loses writes when the server is slow",
            ),
            (EFS.replace("vers=4.1", "vers=4.0"), "error", "NFS 4.0 instead of 4.1"),
            (
                EFS.replace("nfs4 127.0.0.1:/", "nfs4 10.0.1.5:/"),
                "error",
                "not encrypted: mounted from 10.0.1.5:/, not through the local tunnel",
            ),
            (
                EFS.replace("rsize=1048576", "rsize=262144"),
                "warning",
                "rsize=262144 instead of 1048576",
            ),
            (
                EFS.replace("noresvport,", ""),
                "warning",
                "`noresvport` is missing: the mount may hang after the network failed",
            ),
        ],
    )
    def test_a_mount_that_is_not_right(self, node: Path, mount: str, state: str, seen: str) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1, mount=mount)))
        assert found(made, "mount") == (state, f"node 1: {seen}")

    @pytest.mark.parametrize(
        ("mount", "state", "seen"),
        [
            (LUSTRE, "ok", "lustre from 10.0.1.5@tcp:/abcd1234"),
            ("", "error", "nothing is mounted there: it is a folder of the container or the node"),
            (
                NODE_FOLDER.replace("/efs", "/fsx"),
                "error",
                "xfs from /dev/nvme0n1p1 is mounted there, not Lustre",
            ),
            (LUSTRE.replace("/fsx rw,", "/fsx ro,"), "error", "mounted read-only"),
            (
                LUSTRE.replace(",flock", ""),
                "warning",
                "mounted without `flock`: locks of MPI-IO and HDF5 fail",
            ),
        ],
    )
    def test_lustre_beside_efs(self, node: Path, mount: str, state: str, seen: str) -> None:
        lines = [
            [*node_lines(node, index), fact("mount", node=index, **mount_facts("/fsx", mount))]
            for index in range(2)
        ]
        made = card(whole(*lines), expected(SPEC + "storage: {fsx: {}}\n"))
        where = "" if state == "ok" else "nodes 0, 1: "
        assert found(made, "lustre") == (state, where + seen)
        assert found(made, "mount")[0] == "ok"

    def test_without_lustre_nothing_is_said_of_it(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1)))
        assert [check for check in made.checks if check.id == "lustre"] == []

    def test_another_nfs_server(self, node: Path) -> None:
        lines = [node_lines(node, index, mount=OTHER_NFS, path="/mnt/nfs") for index in range(2)]
        made = card(whole(*lines), msgspec.structs.replace(expected(), mount="/mnt/nfs", tls=False))
        assert found(made, "mount") == ("error", "nodes 0, 1: NFS 4.2 instead of 4.1")

    def test_plain_nfs_where_the_spec_wants_it(self, node: Path) -> None:
        mount = EFS.replace("127.0.0.1:/", "10.0.1.5:/")
        text = SPEC + "storage: {efs: {tls: false}}\n"
        lines = [node_lines(node, index, mount=mount) for index in range(2)]
        assert found(card(whole(*lines), expected(text)), "mount")[0] == "ok"

    def test_a_folder_that_the_ranks_may_not_write_to(self, node: Path) -> None:
        wrote = {"wrote": "Permission denied: /efs/.mngen-selftest-1", "writers": 0}
        made = card(whole(*(node_lines(node, index, files=wrote) for index in range(2))))
        assert found(made, "files") == (
            "error",
            "nodes 0, 1: cannot write: Permission denied: /efs/.mngen-selftest-1",
        )

    def test_two_file_systems(self, node: Path) -> None:
        made = card(
            whole(node_lines(node, 0, files={"bad": [1]}), node_lines(node, 1, files={"bad": [0]}))
        )
        assert found(made, "files") == (
            "error",
            "node 0: does not see what node 1 wrote; node 1: does not see what node 0 wrote",
        )


class TestImage:
    def test_an_instance_of_an_older_image(self, node: Path) -> None:
        lines = whole(node_lines(node, 0), node_lines(node, 1))
        made = card(lines, amis={0: AMI, 1: "ami-0000000000000000f"})
        assert found(made, "image") == (
            "error",
            f"node 1: runs ami-0000000000000000f, its environment starts {AMI}",
        )

    def test_what_is_not_known_is_said(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1)), amis={})
        assert found(made, "image") == ("ok", "AMI not known, nr_cpus=24")

    def test_a_record_of_another_image(self, node: Path) -> None:
        from mngen.cluster import AmiRecord, BakedFrom

        made_from = BakedFrom(
            architecture="x86_64",
            base="amazon-linux-2023",
            base_ami="ami-0aaaaaaaaaaaaaaaa",
            nr_cpus=24,
            efa=False,
            efs="fs-0123456789abcdef0",
            mount="/efs",
            tls=True,
            playbooks="00",
        )
        records = {"r5.12xlarge": AmiRecord(id=AMI, baked_from=made_from)}
        lines = whole(node_lines(node, 0), node_lines(node, 1))
        assert found(card(lines, expected(records=records)), "image")[0] == "ok"
        other = msgspec.structs.replace(made_from, nr_cpus=48, mount="/x")
        records = {"r5.12xlarge": AmiRecord(id=AMI, baked_from=other)}
        assert found(card(lines, expected(records=records)), "image") == (
            "error",
            "nodes 0, 1: its AMI was baked with nr_cpus 48 instead of 24, mount /x instead of /efs",
        )
        records = {"r5.12xlarge": AmiRecord(id=AMI, baked_from=made_from)}
        efs = "id: fs-0123456789abcdef0, security_group: sg-0123456789abcdef0, iam: true"
        text = SPEC + f"storage: {{efs: {{{efs}, access_point: fsap-0123456789abcdef0}}}}\n"
        state, seen = found(card(lines, expected(text, records=records)), "image")
        assert state == "error"
        assert "baked with iam False instead of True, access_point none instead of fsap-" in seen
        records = {"r5.12xlarge": AmiRecord(id="ami-0bbbbbbbbbbbbbbbb")}
        assert "apply has not run" in found(card(lines, expected(records=records)), "image")[1]


class TestLimits:
    def test_memory_that_cannot_be_locked_matters_with_efa_alone(self, node: Path) -> None:
        lines = whole(node_lines(node, 0), node_lines(node, 1))
        assert found(card(lines), "memlock") == ("ok", "65536 KiB")
        wanted = expected(EFA_SPEC)
        made = card(lines, wanted, types=dict.fromkeys(range(2), "c5n.18xlarge"))
        assert found(made, "memlock") == ("error", "nodes 0, 1: 65536 KiB instead of unlimited")

    def test_less_shared_memory(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1, limits={"shm": 64})))
        wanted = expected().shared_memory
        assert found(made, "shared-memory") == ("error", f"node 1: 64 MiB instead of {wanted}")

    def test_limits_are_those_of_the_job(self, node: Path) -> None:
        text = SPEC.replace("nodes: 2", "nodes: 2, ulimits: {nofile: 4096, memlock: 1048576}")
        limits = {"nofile": 4096, "memlock": 1_048_576}
        lines = [node_lines(node, index, limits=limits) for index in range(2)]
        made = card(whole(*lines), expected(text))
        assert found(made, "open-files") == ("ok", "4096 files")
        assert found(made, "memlock") == ("ok", "1024 KiB")
        lines[1] = node_lines(node, 1, limits={"nofile": 1024, "memlock": -1})
        made = card(whole(*lines), expected(text))
        assert found(made, "open-files") == ("error", "node 1: 1024 files instead of 4096")
        assert found(made, "memlock") == ("error", "node 1: unlimited instead of 1024 KiB")

    def test_gpus_are_those_of_the_job(self, node: Path) -> None:
        text = SPEC.replace("r5.12xlarge", "g5.12xlarge")

        def gpus(first: int, second: int, text: str = text) -> tuple[str, str]:
            lines = [
                node_lines(node, index, limits={"gpus": count})
                for index, count in enumerate((first, second))
            ]
            return found(card(whole(*lines), expected(text)), "gpus")

        assert gpus(4, 4) == ("ok", "4 GPUs")
        assert gpus(4, 0) == ("error", "node 1: no GPUs instead of 4")
        assert gpus(0, 0)[0] == "error"
        assert gpus(2, 2, text.replace("nodes: 2", "nodes: 2, gpus: 2")) == ("ok", "2 GPUs")
        assert gpus(0, 0, SPEC) == ("ok", "no GPUs")
        assert gpus(0, 0, text.replace("nodes: 2", "nodes: 2, gpus: 0")) == ("ok", "no GPUs")

    def test_root(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1, limits={"uid": 0})))
        assert found(made, "user") == ("warning", "node 1: root")

    def test_a_role_that_containers_can_take(self, node: Path) -> None:
        reached = {"reached": True, "role": "seismic-node", "why": ""}
        made = card(whole(node_lines(node, 0), node_lines(node, 1, metadata=reached)))
        assert found(made, "metadata") == (
            "error",
            "node 1: the metadata service hands out the role seismic-node",
        )


EFA_SPEC = SPEC.replace("r5.12xlarge", "c5n.18xlarge").replace("efa: false", "efa: true")


class TestEfa:
    def run(self, node: Path, devices: int, **pair: int) -> Card:
        unlimited = {"memlock": -1}
        lines = [
            node_lines(node, index, efa={"devices": devices}, limits=unlimited)
            for index in range(2)
        ]
        types = dict.fromkeys(range(2), "c5n.18xlarge")
        return card(whole(*lines, pair=pair), expected(EFA_SPEC), types=types)

    def test_it_is_used(self, node: Path) -> None:
        made = self.run(node, 1, efa_bytes=900_000_000, net_bytes=4_000, gbit=92)
        assert found(made, "efa") == ("ok", "MPI sent its data over EFA")
        assert found(made, "memlock")[0] == "ok"
        by_name = {each.name: each for each in made.figures}
        assert by_name["16 streams, nodes 0 and 1"].promise == 100

    def test_it_is_there_and_not_used(self, node: Path) -> None:
        made = self.run(node, 1)
        assert found(made, "efa") == (
            "error",
            "node 1: adapters are there, but MPI sent its data over TCP",
        )

    def test_it_is_not_there(self, node: Path) -> None:
        made = self.run(node, 0)
        assert found(made, "efa") == ("error", "nodes 0, 1: 0 adapters instead of 1")


class TestNetwork:
    @pytest.mark.parametrize(
        ("words", "promise"),
        [
            ("100 Gigabit", (100, False)),
            ("Up to 12.5 Gigabit", (12.5, True)),
            ("4x 100 Gigabit", (400, False)),
            ("Moderate", None),
            ("", None),
        ],
    )
    def test_what_aws_promises(self, words: str, promise: object) -> None:
        assert promised(words) == promise

    def test_the_words_of_the_whole_catalog_are_known(self) -> None:
        unknown = {
            each.network_performance
            for each in load_catalog()
            if promised(each.network_performance) is None
        }
        assert unknown <= {"", "Very Low", "Low", "Low to Moderate", "Moderate", "High"}

    def test_half_of_it_is_worth_a_look(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1), pair={"gbit": 5.9}))
        assert found(made, "network") == ("warning", "nodes 0 and 1: 5.9 of 12 Gbit/s")
        assert made.passed

    def test_one_stream_cannot_carry_what_the_type_has(self, node: Path) -> None:
        made = card(
            whole(node_lines(node, 0), node_lines(node, 1), pair={"gbit": 9.4, "streams": 1})
        )
        assert found(made, "network")[0] == "ok"

    def test_a_wrong_sum(self, node: Path) -> None:
        made = card(whole(node_lines(node, 0), node_lines(node, 1), sums={"right": False}))
        assert found(made, "sums") == ("error", "wrong for 8 bytes")


class TestJob:
    def test_a_log_that_is_not_whole(self, node: Path) -> None:
        lines = whole(node_lines(node, 0), node_lines(node, 1))
        assert complete(parse(lines))
        assert not complete(parse(lines[1:]))
        assert found(card(lines[:-1]), "job") == ("error", "lines of its log are missing")
        without = [line for line in lines if '"node": 1' not in line]
        assert found(card(without), "job") == ("error", "nothing from node 1")

    def test_no_report_at_all(self) -> None:
        made = card(["hello", "mngen-selftest", "mngen-selftest {}", 'mngen-selftest {"k": 7}'])
        assert found(made, "job") == ("error", "it succeeded, but its log holds no report")
        assert only(made, State.ERROR) == ["job"]
        assert not made.passed

    def test_a_job_that_failed_says_where_it_was(self, node: Path) -> None:
        lines = [*node_lines(node, 0), *node_lines(node, 1), fact("phase", at="nodes 0 and 1")]
        made = card(lines, succeeded=False, exit_code=142, reason="killed by SIGALRM")
        assert found(made, "job") == (
            "error",
            "exit code 142; killed by SIGALRM; it was measuring nodes 0 and 1",
        )
        assert found(made, "cpus")[0] == "ok"

    def test_an_image_without_mpi4py(self) -> None:
        line = fact("fatal", why="No module named 'mpi4py'")
        made = card([line], succeeded=False, exit_code=3)
        (job,) = [each for each in made.checks if each.id == "job"]
        assert (job.state, job.seen) == (State.ERROR, "No module named 'mpi4py'")
        assert "has mpi4py" in job.remedy


def test_anything_may_stand_in_a_log() -> None:
    lines = [
        "mngen-selftest " + "[" * 10_000,
        'mngen-selftest {"k": "cpu", "node": "zero"}',
        'mngen-selftest {"k": "unknown"}',
        "mngen-selftest \udcff",
        '[0] mngen-selftest {"k": "phase", "at": "x"} trailing',
    ]
    assert parse(lines) == ()
    assert len(parse(['[0] mngen-selftest {"k": "phase", "at": "x"}'])) == 1


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3,8", {0, 1, 2, 3, 8}), ("5", {5}), ("", set()), ("0,48", {0, 48}), ("x", set())],
)
def test_lists_of_cpus(text: str, cpus: set[int]) -> None:
    assert cpus_of(text) == cpus


def test_many_nodes_are_counted() -> None:
    assert nodes_of([3]) == "node 3"
    assert nodes_of(range(20)) == "nodes 0, 1, 2, 3, 4, 5, 6, 7 and 12 more"
