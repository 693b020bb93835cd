"""The environment variables that the ranks get."""

from __future__ import annotations

import pytest

from mngen_wireup.environment import job_environment, torch_environment
from tests.support.wireup_parts import changed, host, plan


def environment(
    launcher: str = "openmpi", *, efa: bool = False, environ: dict[str, str] | None = None
) -> dict[str, str]:
    environ = environ or {}
    here = host(0, "127.0.0.1", "127.0.0.0/8", 4, 4, efa=efa)
    threads = environ.get("MNGEN_THREADS_PER_RANK", "1")
    wanted = plan(launcher=launcher, threads_per_rank=threads)
    return job_environment(environ, wanted, here, efa=efa)


def test_ranks_never_see_the_secret() -> None:
    found = environment(environ={"MNGEN_SECRET": "s" * 32, "HOME": "/root"})
    assert "MNGEN_SECRET" not in found
    assert found["HOME"] == "/root"


@pytest.mark.parametrize(
    ("environ", "threads"),
    [
        ({}, "1"),
        ({"OMP_NUM_THREADS": "6"}, "6"),
        ({"OMP_NUM_THREADS": "6", "MNGEN_THREADS_PER_RANK": "2"}, "2"),
        ({"OMP_NUM_THREADS": "6", "MNGEN_THREADS_PER_RANK": "1"}, "1"),
    ],
)
def test_threads(environ: dict[str, str], threads: str) -> None:
    assert environment(environ=environ)["OMP_NUM_THREADS"] == threads


def test_libraries_get_the_interface() -> None:
    assert environment("main")["FI_PROVIDER"] == "tcp", "the command may call any launcher"
    assert "FI_PROVIDER" not in environment()
    found = environment("mpich")
    for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "FI_TCP_IFACE", "UCX_NET_DEVICES"):
        assert found[name] == "lo"
    assert found["FI_PROVIDER"] == "tcp"
    assert environment(environ={"FI_TCP_IFACE": "eth7"})["FI_TCP_IFACE"] == "eth7"
    found = environment("intelmpi", efa=True)
    assert found["FI_PROVIDER"] == "efa"
    assert "FI_TCP_IFACE" not in found


@pytest.mark.parametrize(("main", "ranks"), [(0, [0, 1, 2]), (1, [2, 0, 1]), (2, [1, 2, 0])])
def test_rank_of_the_main_node_is_0(main: int, ranks: list[int]) -> None:
    found = [
        torch_environment(changed(plan(), node=node, main=main), "10.0.1.10") for node in range(3)
    ]
    assert [int(env["NODE_RANK"]) for env in found] == ranks
    assert {(env["MASTER_ADDR"], env["WORLD_SIZE"], env["NNODES"]) for env in found} == {
        ("10.0.1.10", "3", "3")
    }
