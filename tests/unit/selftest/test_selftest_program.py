"""What runs on the nodes: whether it fits into a command, and what it reads there."""

from __future__ import annotations

import ast
import ctypes
import io
import json
import os
import subprocess
import sys
import tokenize
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from mngen.selftest import _on_nodes as program
from mngen.selftest._facts import Fatal, Nccl, Scratch, parse
from mngen.selftest._program import bare, command
from tests.support.selftest import (
    CMDLINE,
    CONTAINER_ROOT,
    EFS,
    NODE_FOLDER,
    OTHER_NFS,
    write_cpus,
)
from tests.support.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(program.__file__).read_text(encoding="utf-8")
# Of the 8192 characters that ECS takes, the rest is for the variables and the resources.
ROOM = 6500


def test_it_fits_into_the_overrides_of_a_job() -> None:
    words = command("/efs", 0.5, 560)
    assert len(json.dumps(words)) < ROOM
    # Nothing that Batch (`Ref::`), ECS (`$(`) or a shell would change.
    assert not set(words[2]) & set('$`"\\\n')
    assert "Ref::" not in words[2]


def test_what_is_left_out_changes_nothing() -> None:
    left = ast.parse(bare(SOURCE))
    names = [each.name for each in ast.walk(left) if isinstance(each, ast.FunctionDef)]
    assert names == [
        each.name for each in ast.walk(ast.parse(SOURCE)) if isinstance(each, ast.FunctionDef)
    ]
    assert not [each for each in ast.walk(left) if isinstance(each, ast.AnnAssign)]
    # Lines may be indented less: no text goes over several of them.
    tokens = tokenize.generate_tokens(io.StringIO(bare(SOURCE)).readline)
    assert all(each.start[0] == each.end[0] for each in tokens)
    assert '"""' not in bare(SOURCE)


def test_the_oldest_python_of_an_image_can_read_it() -> None:
    """Grammar alone; what it calls is in the standard library of 3.9."""
    ast.parse(SOURCE, feature_version=(3, 9))


def test_without_mpi4py_it_says_so_and_fails() -> None:
    words = command("/efs", 0.1, 20)
    assert words[0] == "python3"
    # -I: whatever the system has, this interpreter's environment has none.
    done = subprocess.run(
        [sys.executable, "-I", *words[1:]], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    (found,) = parse(done.stdout.splitlines())
    assert isinstance(found, Fatal)
    assert found.why == "No module named 'mpi4py'"


class TestCpus:
    def test_hyper_threading_on(self, tmp_path: Path) -> None:
        write_cpus(tmp_path, "0-95", [f"{cpu % 48},{cpu % 48 + 48}" for cpu in range(96)])
        found = program.cpu_facts(root=str(tmp_path))
        assert found["online"] == found["allowed"] == "0-95"
        assert len(found["siblings"]) == 48
        assert "0,48" in found["siblings"]
        assert (found["nr_cpus"], found["memory"]) == (0, 382682)

    def test_limited_by_the_kernel(self, tmp_path: Path) -> None:
        write_cpus(tmp_path, "0-23", [str(cpu) for cpu in range(24)], f"{CMDLINE} nr_cpus=24")
        found = program.cpu_facts(root=str(tmp_path))
        assert (found["nr_cpus"], len(found["siblings"])) == (24, 24)

    def test_where_nothing_can_be_read(self, tmp_path: Path) -> None:
        found = program.cpu_facts(root=str(tmp_path))
        assert (found["online"], found["siblings"], found["memory"]) == ("", [], 0)

    @pytest.mark.parametrize(
        ("numbers", "text"), [([3, 0, 1, 2, 8], "0-3,8"), ([5], "5"), ([], ""), ([0, 2], "0,2")]
    )
    def test_spans(self, numbers: list[int], text: str) -> None:
        assert program.spans(numbers) == text


class TestMounts:
    def test_efs_over_tls(self) -> None:
        found = program.mount_facts("/efs", f"{CONTAINER_ROOT}\n{EFS}\n")
        assert (found["type"], found["source"]) == ("nfs4", "127.0.0.1:/")
        assert "noresvport" in found["options"].split(",")
        assert found["options"].startswith("rw,relatime,rw,vers=4.1,")

    def test_optional_fields_of_a_line(self) -> None:
        found = program.mount_facts("/mnt/nfs", OTHER_NFS)
        assert (found["type"], found["source"]) == ("nfs4", "127.0.0.1:/server")
        assert "rsize=524288" in found["options"]

    def test_the_topmost_of_two_counts(self) -> None:
        assert program.mount_facts("/efs", f"{NODE_FOLDER}\n{EFS}")["type"] == "nfs4"

    def test_nothing_there(self) -> None:
        assert program.mount_facts("/efs", CONTAINER_ROOT)["type"] == ""
        assert program.mount_facts("/efs", "damaged\n - \nx - y z\n")["type"] == ""


def test_bytes_sent_over_efa_and_over_the_rest(tmp_path: Path) -> None:
    for device, sent in (("rdmap0s6", 70), ("rdmap0s7", 5)):
        counters = tmp_path / f"sys/class/infiniband/{device}/ports/1/hw_counters"
        counters.mkdir(parents=True)
        (counters / "tx_bytes").write_text(f"{sent}\n")
        (counters / "rx_bytes").write_text("9\n")
    (tmp_path / "proc/net").mkdir(parents=True)
    # man 5 proc_pid_net: receive bytes first, the ninth column is what was sent.
    (tmp_path / "proc/net/dev").write_text(
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs"
        " drop fifo colls carrier compressed\n"
        "    lo: 2776770   11307    0    0    0     0          0         0  2776770   11307    0"
        "    0    0     0       0          0\n"
        "  eth0: 1215645    2751    0    0    0     0          0         0  1782404    4324    0"
        "    0    0   427       0          0\n"
    )
    assert program.sent_bytes(str(tmp_path)) == (75, 1782404)
    assert program.sent_bytes(str(tmp_path / "none")) == (0, 0)


class _Metadata(BaseHTTPRequestHandler):
    """The instance metadata service, version 2, as AWS documents it.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    """

    role: str | None = "seismic-node"
    asked: list[str]

    def do_PUT(self) -> None:
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        if self.path != "/latest/api/token" or not ttl:
            self._answer(400, "")
            return
        self._answer(200, "AQAEALr0token==")

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.headers.get("X-aws-ec2-metadata-token") != "AQAEALr0token==":
            self._answer(401, "")
        elif self.path == "/latest/meta-data/iam/security-credentials/" and self.role:
            self._answer(200, self.role)
        else:
            self._answer(404, "<html>Not Found</html>")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def metadata(request: pytest.FixtureRequest) -> Iterator[tuple[int, type[_Metadata]]]:
    handler = type("Handler", (_Metadata,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = serve(server)
        yield server.server_port, handler
        server.shutdown()
        thread.join()


class TestMetadata:
    def test_a_role_is_named_and_its_credentials_are_not_asked_for(
        self, metadata: tuple[int, type[_Metadata]]
    ) -> None:
        port, handler = metadata
        assert program.metadata_facts("127.0.0.1", port) == {
            "reached": True,
            "role": "seismic-node",
        }
        assert handler.asked == ["/latest/meta-data/iam/security-credentials/"]

    def test_an_instance_without_a_role(self, metadata: tuple[int, type[_Metadata]]) -> None:
        port, handler = metadata
        handler.role = None
        assert program.metadata_facts("127.0.0.1", port) == {"reached": True, "role": ""}

    def test_a_refused_connection(self) -> None:
        # Port 1 of loopback: nothing listens, and nothing leaves this machine.
        found = program.metadata_facts("127.0.0.1", 1)
        assert not found["reached"]
        assert "refused" in found["why"]


def test_a_scratch_space_is_measured_and_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNGEN_SCRATCH", str(tmp_path))
    (line,) = program.scratch_lines(3)
    (found,) = parse([line])
    assert isinstance(found, Scratch)
    size = os.statvfs(tmp_path)
    assert (found.node, found.path, found.wrote) == (3, str(tmp_path), "")
    assert found.size == size.f_blocks * size.f_frsize // 10**9
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MNGEN_SCRATCH", str(tmp_path / "absent"))
    (found,) = parse(program.scratch_lines(3))
    assert isinstance(found, Scratch)
    assert (found.type, found.size, found.wrote) == ("", 0, "No such file or directory")
    monkeypatch.delenv("MNGEN_SCRATCH")
    assert program.scratch_lines(3) == []


def test_a_folder_of_the_node_is_no_scratch_space(tmp_path: Path) -> None:
    table = f"1291 1270 259:1 /scratch {tmp_path} rw,noatime - xfs /dev/nvme0n1p1 rw,attr2"
    facts = program.scratch_facts(str(tmp_path), table)
    assert (facts["type"], facts["root"]) == ("xfs", "/scratch")


def libraries() -> tuple[dict[str, SimpleNamespace], list[int]]:
    """Return a driver that has the host's memory, and an NCCL of one rank; and which GPU was asked.

    As the CUDA driver API (https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html) and
    src/nccl.h.in of https://github.com/NVIDIA/nccl describe them.
    """
    asked: list[int] = []
    kept: list[Any] = []

    def get_device(device: Any, ordinal: int) -> int:
        asked.append(ordinal)
        device._obj.value = ordinal
        return 0

    def retain(context: Any, device: Any) -> int:
        context._obj.value = 4096 + device.value
        return 0

    def allocate(pointer: Any, size: Any) -> int:
        kept.append(ctypes.create_string_buffer(size.value))
        pointer._obj.value = ctypes.addressof(kept[-1])
        return 0

    def to_device(target: Any, source: Any, size: Any) -> int:
        ctypes.memmove(target.value, source, size.value)
        return 0

    def to_host(target: Any, source: Any, size: Any) -> int:
        ctypes.memmove(target, source.value, size.value)
        return 0

    def get_name(name: Any) -> int:
        assert ctypes.sizeof(name._obj) == 128  # NCCL_UNIQUE_ID_BYTES
        name._obj.internal[127] = 7
        return 0

    def init(comm: Any, size: int, name: Any, rank: int) -> int:
        # The structure itself and not a pointer to it, and the one that was made.
        assert bytes(name)[127] == 7
        assert (size, rank) == (1, 0)
        comm._obj.value = 1
        return 0

    def all_reduce(*words: Any) -> int:
        sent, received, count, kind, operation, comm, stream = words
        assert (kind, operation) == (7, 0)  # ncclFloat32, ncclSum
        assert (comm.value, stream.value) == (1, None)
        ctypes.memmove(received.value, sent.value, count.value * 4)
        return 0

    driver = SimpleNamespace(
        cuInit=bool,
        cuDeviceGet=get_device,
        cuDevicePrimaryCtxRetain=retain,
        cuCtxSetCurrent=lambda context: 0 if context.value >= 4096 else 201,
        cuMemAlloc_v2=allocate,
        cuMemcpyHtoD_v2=to_device,
        cuMemcpyDtoH_v2=to_host,
        cuCtxSynchronize=lambda: 0,
    )
    nccl = SimpleNamespace(
        ncclGetUniqueId=get_name, ncclCommInitRank=init, ncclAllReduce=all_reduce
    )
    return {"libcuda.so.1": driver, "libnccl.so.2": nccl}, asked


ALONE = SimpleNamespace(
    Get_rank=lambda: 0,
    Get_size=lambda: 1,
    Barrier=lambda: None,
    allgather=lambda value: [value],
    bcast=lambda value, root: value if root == 0 else None,
)
"""A communicator of one rank, as mpi4py has it."""


def test_nccl_is_called_as_its_header_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = libraries()
    monkeypatch.setattr(program, "library", found.__getitem__)
    facts = program.measure_nccl(ALONE, 5, 1000, 0.01)
    assert (facts["ranks"], facts["bytes"], facts["right"]) == (1, 4000, True)
    assert facts["us"] > 0
    assert asked == [5]
    (fact,) = parse([program.line("nccl", **facts)])
    assert isinstance(fact, Nccl)


def test_without_nccl_the_reason_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(program, "library", absent)
    found = program.measure_nccl(ALONE, 0, 1000, 0.01)
    why = "rank 0: libcuda.so.1: cannot open shared object file: No such file or directory"
    assert found == {"why": why}


def test_an_error_of_the_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(device: Any, ordinal: int) -> int:
        del device, ordinal
        return 101  # CUDA_ERROR_INVALID_DEVICE

    found, _ = libraries()
    found["libcuda.so.1"].cuDeviceGet = refused
    monkeypatch.setattr(program, "library", found.__getitem__)
    assert program.measure_nccl(ALONE, 8, 1000, 0.01) == {"why": "rank 0: refused: error 101"}


def test_a_wrong_sum_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = libraries()
    found["libnccl.so.2"].ncclAllReduce = Mock(return_value=0)
    monkeypatch.setattr(program, "library", found.__getitem__)
    assert not program.measure_nccl(ALONE, 0, 1000, 0.01)["right"]
