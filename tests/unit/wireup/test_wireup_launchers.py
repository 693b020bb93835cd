"""The command lines and hostfiles by which the wire-up starts the ranks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mngen_wireup.errors import WireupError
from mngen_wireup.launchers import (
    BINDING_VARIABLES,
    hostfile,
    launcher_command,
    own_command,
)
from tests.support.wireup_parts import HOSTS, changed, host, plan

if TYPE_CHECKING:
    from mngen_wireup.host import Host

V4, V5 = "mpirun (Open MPI) 4.1.4", "mpirun (Open MPI) 5.0.11"


@pytest.fixture(autouse=True)
def _launchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launchers to be found on PATH; none of them is run."""
    for name in ("mpirun", "mpiexec.hydra"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def command(version: str = V4, hosts: list[Host] | None = None, **variables: str) -> str:
    chosen = hosts or HOSTS
    words = launcher_command(plan(nodes=len(chosen), **variables), chosen, "/d", version)
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
    hosts = [host(0, "localhost", "", 8, 8)]
    assert command(hosts=hosts) == (
        f"mpirun --hostfile /d/hosts -np 8 {ROOT}--map-by slot --bind-to core"
    )


@pytest.mark.parametrize(
    ("variables", "placed"),
    [
        ({"ranks_per_node": "4"}, "-np 4 {root}--map-by slot --bind-to none"),
        (
            {"ranks_per_node": "4", "mpi_args": "--bind-to core"},
            "-np 4 {root}--map-by slot --bind-to core",
        ),
        (
            {"ranks_per_node": "2", "threads_per_rank": "2"},
            "-np 2 {root}--map-by slot --bind-to none",
        ),
        (
            {"ranks_per_node": "2", "threads_per_rank": "4"},
            "-np 2 {root}--map-by slot:PE=4 --bind-to core",
        ),
    ],
)
def test_jobs_that_share_an_instance_are_not_bound_to_the_same_cores(
    variables: dict[str, str], placed: str
) -> None:
    found = command(hosts=[host(0, "localhost", "", 8, 8)], **variables)
    assert found == f"mpirun --hostfile /d/hosts {placed.format(root=ROOT)}"


@pytest.mark.parametrize("version", [V4, V5])
def test_efa_where_every_node_has_it(version: str) -> None:
    hosts = [changed(each, efa=True) for each in HOSTS]
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
    hosts = [changed(each, cores=cores) for each in HOSTS]
    assert f"{placed.format(root=ROOT)} --mca plm" in command(hosts=hosts, **variables)


@pytest.mark.parametrize(
    ("variables", "placed"),
    [
        ({"ranks_per_node": "8"}, "--map-by slot --bind-to none"),
        ({"ranks_per_node": "8", "threads_per_rank": "6"}, "--map-by slot:PE=6 --bind-to core"),
        ({"mpi_args": "--rankfile /efs/ranks"}, "--map-by slot"),
        ({"mpi_args": "--bind-to socket"}, "--map-by slot"),
    ],
)
def test_rank_with_a_gpu_is_not_bound_to_one_core(variables: dict[str, str], placed: str) -> None:
    hosts = [changed(each, gpus=8) for each in HOSTS]
    assert f" {placed} --mca plm" in command(hosts=hosts, **variables)


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


@pytest.mark.parametrize("name", BINDING_VARIABLES)
def test_a_binding_in_the_environment_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "none")
    assert "--bind-to" not in command()
    monkeypatch.setenv(name, "")
    assert "--bind-to core" in command()


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
    with pytest.raises(WireupError, match="mpirun not found on PATH") as caught:
        command()
    assert caught.value.code == 68


def test_hostfiles() -> None:
    hosts = [HOSTS[0], changed(HOSTS[1], cpus=36)]
    slots = "10.0.1.10 slots=48\n10.0.1.11 slots=36\n"
    assert hostfile(plan(), hosts, "openmpi") == slots
    slots = "10.0.1.10 slots=9\n10.0.1.11 slots=7\n"
    assert hostfile(plan(threads_per_rank="5"), hosts, "openmpi") == slots
    for form in ("mpich", "intelmpi"):
        slots = "10.0.1.10:3\n10.0.1.11:3\n"
        assert hostfile(plan(ranks_per_node="3"), hosts, form) == slots
    assert hostfile(plan(), hosts, "plain") == "10.0.1.10\n10.0.1.11\n"


def test_node_groups_have_their_own_ranks() -> None:
    groups = [
        changed(HOSTS[0], ranks=4, threads=12),
        changed(HOSTS[1], ranks=48, threads=1),
        changed(HOSTS[2], ranks=48, threads=1),
    ]
    assert hostfile(plan(), groups, "openmpi") == (
        "10.0.1.10 slots=4\n10.0.1.11 slots=48\n10.0.2.12 slots=48\n"
    )
    assert hostfile(plan(), groups, "mpich") == "10.0.1.10:4\n10.0.1.11:48\n10.0.2.12:48\n"
    # Open MPI's --map-by slot:PE=N gives the ranks of all nodes N cores.
    assert " -np 100 " in command(hosts=groups)
    assert " --map-by slot --bind-to none " in command(hosts=groups)
    alike = [changed(each, ranks=6, threads=8) for each in HOSTS]
    assert " --map-by slot:PE=8 --bind-to core " in command(hosts=alike)


def test_rank_of_a_group_starts_in_its_own_folder() -> None:
    words = ["app", "it's", "$HOME", "two\nlines"]
    script = own_command(changed(plan(), command=tuple(words)), "/my app")
    assert script == "cd '/my app' && exec 'app' 'it'\\''s' '$HOME' 'two\nlines'\n"
    asked = changed(plan(mpi_args="--wdir /efs/run"), command=("app",))
    assert own_command(asked, "/") == "exec 'app'\n"


@pytest.mark.parametrize("launcher", ["openmpi", "mpich", "intelmpi"])
def test_ranks_of_groups_start_where_every_image_has_a_folder(launcher: str) -> None:
    """The launcher's daemons change to the folder before they start a rank's shell."""
    option = "--wdir" if launcher == "openmpi" else "-wdir"
    assert f" {option} / " in f"{command(launcher=launcher, group='ocean')} "
    assert "wdir" not in command(launcher=launcher)
    for asked in ("-wdir /efs/run", "--wd /efs/run"):
        words = command(launcher=launcher, group="ocean", mpi_args=asked).split()
        assert [each for each in words if each.lstrip("-") in ("wdir", "wd")] == [asked.split()[0]]
