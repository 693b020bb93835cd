"""What runs on the nodes: whether it fits into a command, and what it reads there."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mngen.selftest import _on_nodes as program
from mngen.selftest._facts import Fatal, Scratch, parse
from mngen.selftest._program import bare, command
from tests.support.selftest import (
    CMDLINE,
    CONTAINER_ROOT,
    EFS,
    NODE_FOLDER,
    OTHER_NFS,
    write_cpus,
)

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
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
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
