"""What the command of launcher `main` gets; the rest of it needs nodes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mngen_wireup import files
from mngen_wireup.command import command_environment, write_hostfiles, write_ssh
from mngen_wireup.errors import WireupError
from tests.support.wireup_parts import HOSTS, changed, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen_wireup.host import Host

PLAN = plan(launcher="main", ranks_per_node="2")


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Folders that are removed after the test."""
    made: list[str] = []
    mkdir = os.mkdir

    def watched(path: str, mode: int = 0o777) -> None:
        mkdir(path, mode)
        made.append(path)

    monkeypatch.setattr(os, "mkdir", watched)
    yield made
    for folder in made:
        files.remove_folder(folder)


def environment(hosts: list[Host], **env: str) -> dict[str, str]:
    return command_environment(env, PLAN, hosts, "/d")


def test_each_hostfile_is_named_by_a_variable(tmp_path: Path) -> None:
    named = write_hostfiles(PLAN, HOSTS[:2], str(tmp_path))
    assert {name: Path(path).read_text(encoding="utf-8") for name, path in named.items()} == {
        "MNGEN_HOSTFILE": "10.0.1.10 slots=2\n10.0.1.11 slots=2\n",
        "MNGEN_HOSTFILE_HYDRA": "10.0.1.10:2\n10.0.1.11:2\n",
        "MNGEN_HOSTFILE_PLAIN": "10.0.1.10\n10.0.1.11\n",
    }


def test_openmpi_uses_the_nodes_own_network_and_the_jobs_ssh() -> None:
    found = environment(HOSTS)
    for name in ("OMPI_MCA_oob_tcp_if_include", "PRTE_MCA_prte_if_include"):
        assert found[name] == "10.0.1.0/24,10.0.2.0/24"
    assert found["OMPI_MCA_btl_tcp_if_include"] == "10.0.1.0/24,10.0.2.0/24"
    for name in ("OMPI_MCA_plm_rsh_agent", "PRTE_MCA_plm_ssh_agent"):
        assert found[name] == "ssh -F /d/ssh_config"
    assert found["HYDRA_LAUNCHER_EXTRA_ARGS"] == "-F /d/ssh_config"
    assert (found["MNGEN_SSH_CONFIG"], found["MNGEN_TOTAL_RANKS"]) == ("/d/ssh_config", "6")
    assert found["OMPI_MCA_pml"] == "ob1"


def test_openmpi_uses_efa_where_all_nodes_have_it() -> None:
    every = [changed(host, efa=True) for host in HOSTS]
    found = environment(every)
    assert (found["OMPI_MCA_pml"], found["OMPI_MCA_mtl"]) == ("cm", "ofi")
    assert "OMPI_MCA_btl_tcp_if_include" not in found
    assert environment([every[0], *HOSTS[1:]])["OMPI_MCA_pml"] == "ob1"


def test_what_the_job_sets_itself_stays() -> None:
    found = environment(HOSTS, OMPI_MCA_pml="ucx", I_MPI_HYDRA_BRANCH_COUNT="4", MINE="1")
    assert (found["OMPI_MCA_pml"], found["I_MPI_HYDRA_BRANCH_COUNT"]) == ("ucx", "4")
    assert found["MINE"] == "1"


def test_one_node_needs_no_network() -> None:
    found = environment([changed(HOSTS[0], address="127.0.0.1", network="127.0.0.0/8")])
    assert not [name for name in found if "_MCA_" in name]


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_root_may_run_mpirun(user: int, allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    found = environment(HOSTS)
    for prefix in ("OMPI", "PRTE"):
        assert (found.get(f"{prefix}_ALLOW_RUN_AS_ROOT") == "1") == allowed
        assert (found.get(f"{prefix}_ALLOW_RUN_AS_ROOT_CONFIRM") == "1") == allowed


def test_ssh_on_path_adds_the_configuration(tmp_path: Path) -> None:
    program = tmp_path / "it's ssh"
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    program.chmod(0o755)
    folder = write_ssh(str(program), "/a folder/'ssh_config")
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    done = subprocess.run(
        ["ssh", "10.0.1.11", "echo 'two words'"],
        env={"PATH": f"{folder}:{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "<-F></a folder/'ssh_config><10.0.1.11><echo 'two words'>"


def test_no_folder_that_takes_programs(monkeypatch: pytest.MonkeyPatch, folders: list[str]) -> None:
    # access(2) answers so on every file system that is mounted noexec.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WireupError, match="no folder takes programs for the job's ssh: ") as caught:
        write_ssh("/usr/bin/ssh", "/d/ssh_config")
    assert caught.value.code == 64
    assert "mounted noexec" in str(caught.value)
    assert folders
    assert not [folder for folder in folders if Path(folder).exists()]
