"""The files and command lines by which the wire-up starts the ranks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from container import wireup
from container.wireup import Host

KEY = "ssh-ed25519 " + "A" * 68
HOSTS = [
    Host(0, "10.0.1.10", "10.0.1.0/24", 48, 48, efa=False),
    Host(1, "10.0.1.11", "10.0.1.0/24", 48, 48, efa=False, port=40001, key=KEY),
    Host(2, "10.0.2.12", "10.0.2.0/24", 48, 48, efa=False, port=40002, key=KEY.replace("A", "B")),
]
V4, V5 = "mpirun (Open MPI) 4.1.4", "mpirun (Open MPI) 5.0.11"


@pytest.fixture(autouse=True)
def _launchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launchers to be found on PATH; none of them is run."""
    for name in ("mpirun", "mpiexec.hydra"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def plan(*, nodes: int = 3, **variables: str) -> wireup.Plan:
    batch = {
        "AWS_BATCH_JOB_ID": "j",
        "AWS_BATCH_JOB_NUM_NODES": str(nodes),
        "AWS_BATCH_JOB_NODE_INDEX": "0",
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
        "MNGEN_SECRET": "s" * 32,
    }
    named = {f"MNGEN_{name.upper()}": value for name, value in variables.items()}
    return wireup.plan_from({**batch, **named}, ["app"])


def command(version: str = V4, hosts: list[Host] | None = None, **variables: str) -> str:
    chosen = hosts or HOSTS
    words = wireup.launcher_command(plan(nodes=len(chosen), **variables), chosen, "/d", version)
    program = Path(words[0])
    assert program.is_absolute()
    return " ".join([program.name, *words[1:]])


ROOT = "--allow-run-as-root " if os.geteuid() == 0 else ""
NETWORKS = "10.0.1.0/24,10.0.2.0/24"


def test_open_mpi_4() -> None:
    assert command() == (
        f"mpirun --hostfile /d/hosts -np 144 {ROOT}--map-by slot"
        " --bind-to core --mca plm_rsh_agent ssh -F /d/ssh_config --mca plm_rsh_no_tree_spawn 1"
        f" --mca plm_rsh_num_concurrent 128 --mca oob_tcp_if_include {NETWORKS}"
        f" --mca pml ob1 --mca btl tcp,vader,self --mca btl_tcp_if_include {NETWORKS}"
    )


def test_open_mpi_5() -> None:
    assert command(V5) == (
        f"mpirun --hostfile /d/hosts -np 144 {ROOT}--map-by slot"
        " --bind-to core"
        " --prtemca plm_ssh_agent ssh -F /d/ssh_config --prtemca plm_ssh_no_tree_spawn 1"
        f" --prtemca plm_ssh_num_concurrent 128 --prtemca prte_if_include {NETWORKS}"
        f" --mca pml ob1 --mca btl tcp,sm,self --mca btl_tcp_if_include {NETWORKS}"
    )


def test_open_mpi_on_one_node_needs_no_network() -> None:
    hosts = [Host(0, "localhost", "", 8, 8, efa=False)]
    assert command(hosts=hosts) == (
        f"mpirun --hostfile /d/hosts -np 8 {ROOT}--map-by slot --bind-to core"
    )


@pytest.mark.parametrize("version", [V4, V5])
def test_efa_where_every_node_has_it(version: str) -> None:
    hosts = [host._replace(efa=True) for host in HOSTS]
    found = command(version, hosts)
    assert "--mca pml cm --mca mtl ofi" in found
    assert "btl" not in found
    hosts[1] = HOSTS[1]
    assert "--mca pml ob1" in command(version, hosts)


@pytest.mark.parametrize(
    ("variables", "cores", "placed"),
    [
        ({"threads_per_rank": "4"}, 48, "-np 36 {root}--map-by slot:PE=4 --bind-to core"),
        (
            {"threads_per_rank": "4", "ranks_per_node": "2"},
            48,
            "-np 6 {root}--map-by slot:PE=4 --bind-to core",
        ),
        # Hyper-threading: 48 CPUs are 24 cores, and 12 ranks of 4 threads need 48.
        ({"threads_per_rank": "4"}, 24, "-np 36 {root}--map-by slot --bind-to none"),
        ({"ranks_per_node": "3"}, 48, "-np 9 {root}--map-by slot --bind-to core"),
        # Hyper-threading, and a rank a CPU: two ranks a core is what was asked for.
        ({}, 24, "-np 144 {root}--map-by slot"),
        (
            {"threads_per_rank": "64"},
            48,
            "-np 3 {root}--map-by slot --bind-to none",
        ),
    ],
)
def test_threads_of_a_rank_get_cores_of_their_own(
    variables: dict[str, str], cores: int, placed: str
) -> None:
    hosts = [host._replace(cores=cores) for host in HOSTS]
    assert f"{placed.format(root=ROOT)} --mca plm" in command(hosts=hosts, **variables)


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        ("-np 4", "-np 144"),
        ("-n 4", "-np 144"),
        ("--map-by node --bind-to none", "--map-by slot"),
        ("--mca btl ^openib", "tcp,vader,self"),
        ("--mca pml ucx", "ob1"),
        ("--mca btl_tcp_if_include eth1", "btl_tcp_if_include 10"),
    ],
)
def test_option_of_the_user_replaces_ours(arguments: str, absent: str) -> None:
    found = command(mpi_args=arguments)
    assert found.endswith(" " + arguments)
    assert absent not in found


@pytest.mark.parametrize(
    "arguments", ["--map-by node", "--rankfile /efs/ranks", "--cpu-set 0-3", "--map-by ppr:1:node"]
)
def test_who_places_ranks_binds_them_too(arguments: str) -> None:
    assert "--bind-to" not in command(mpi_args=arguments)


@pytest.mark.parametrize("name", wireup.BINDING_VARIABLES)
def test_a_binding_in_the_environment_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "none")
    assert "--bind-to" not in command()
    monkeypatch.setenv(name, "")
    assert "--bind-to core" in command()


def test_a_program_in_the_command_is_shortened_in_the_log() -> None:
    assert wireup.shortened("/efs/app") == "/efs/app"
    assert wireup.shortened("x" * 6000) == "x" * 200 + "... (6000 characters)"


def test_intel_mpi_and_mpich() -> None:
    assert command(launcher="intelmpi", ranks_per_node="2") == (
        "mpiexec.hydra -machinefile /d/hosts -n 6 -bootstrap ssh -genvnone"
    )
    assert command(launcher="mpich") == "mpiexec.hydra -f /d/hosts -n 144 -launcher ssh -genvnone"
    assert "-genvnone" not in command(launcher="mpich", mpi_args="-genvall")


def test_launcher_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "mpiexec.hydra").unlink()
    assert command(launcher="mpich").startswith("mpirun ")
    (tmp_path / "mpirun").unlink()
    with pytest.raises(wireup.TroubleError, match="mpirun is neither on PATH") as caught:
        command()
    assert caught.value.code == 68


def test_hostfiles() -> None:
    hosts = [HOSTS[0], HOSTS[1]._replace(cpus=36)]
    assert wireup.hostfile(plan(), hosts) == "10.0.1.10 slots=48\n10.0.1.11 slots=36\n"
    assert wireup.hostfile(plan(threads_per_rank="5"), hosts) == (
        "10.0.1.10 slots=9\n10.0.1.11 slots=7\n"
    )
    assert wireup.hostfile(plan(launcher="mpich", ranks_per_node="3"), hosts) == (
        "10.0.1.10:3\n10.0.1.11:3\n"
    )


def test_ssh_knows_these_hosts_by_these_keys_and_no_others() -> None:
    config = wireup.ssh_config(HOSTS, "10.0.1.10", "/d")
    assert "Host 10.0.1.11\n  Port 40001\n" in config
    assert "Host 10.0.1.10" not in config, "main does not log in to itself"
    for line in (
        "StrictHostKeyChecking yes",
        "UserKnownHostsFile /d/known_hosts",
        "GlobalKnownHostsFile /dev/null",
        "IdentityFile /d/user",
        "IdentitiesOnly yes",
        "BatchMode yes",
        "BindAddress 10.0.1.10",
    ):
        assert f"  {line}\n" in config
    assert wireup.known_hosts(HOSTS) == (
        f"[10.0.1.11]:40001 {HOSTS[1].key}\n[10.0.1.12]:40002 {HOSTS[2].key}\n".replace(
            "10.0.1.12", "10.0.2.12"
        )
    )


def test_key_of_main_opens_one_door_only() -> None:
    assert wireup.authorized_keys("10.0.1.10", "/d", KEY) == (
        f'from="10.0.1.10",restrict,command="exec /bin/sh /d/session" {KEY}\n'
    )
    config = wireup.sshd_config("/d").splitlines()
    for line in ("PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no"):
        assert line in config


@pytest.mark.parametrize(
    "value",
    ["", "plain", "it's", "a\nb\n", "$HOME `id` $(id)", '"', "\\", "ü", "'; exit 3; '", "-n"],
)
def test_session_has_the_environment_of_the_container(value: str, tmp_path: Path) -> None:
    inside = tmp_path / "a 'b"
    inside.mkdir()
    env = {"VALUE": value, "PATH": "/usr/bin:/bin", "BASH_FUNC_x%%": "() { :; }", "1X": "y"}
    script = tmp_path / "session"
    script.write_text(wireup.session_script(env, str(inside)), encoding="utf-8")
    done = subprocess.run(
        ["/bin/sh", str(script)],
        env={"SSH_ORIGINAL_COMMAND": "PATH=$PATH; printf '%s|' \"$VALUE\"; pwd; exit 7"},
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode() == f"{value}|{inside}\n"
    assert (done.returncode, done.stderr) == (7, b"")


def environment(
    launcher: str = "openmpi", *, efa: bool = False, environ: dict[str, str] | None = None
) -> dict[str, str]:
    environ = environ or {}
    host = Host(0, "127.0.0.1", "127.0.0.0/8", 4, 4, efa=efa)
    threads = environ.get("MNGEN_THREADS_PER_RANK", "1")
    wanted = plan(launcher=launcher, threads_per_rank=threads)
    return wireup.job_environment(environ, wanted, host, efa=efa)


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


def test_libraries_are_told_the_interface() -> None:
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
    found: list[dict[str, Any]] = [
        wireup.torch_environment(plan()._replace(node=node, main=main), "10.0.1.10")
        for node in range(3)
    ]
    assert [int(env["NODE_RANK"]) for env in found] == ranks
    assert {(env["MASTER_ADDR"], env["WORLD_SIZE"], env["NNODES"]) for env in found} == {
        ("10.0.1.10", "3", "3")
    }
