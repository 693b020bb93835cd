"""The container on OpenSSH 10 and Open MPI 5, which its default base has: built and run.

The image's own tests stand on Debian 12, with OpenSSH 9 and Open MPI 4. Here the same Dockerfile is
built on Debian 13, and what differs there is run: the wire-up, the launcher, the self-test.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from mngen.selftest import Run, State, judge
from mngen.selftest._expect import expected_here
from mngen.selftest._facts import Limits, of_kind, parse
from mngen.selftest._program import command
from tests.support.images import BASE_13
from tests.support.mpi_image import SOON, build, nodes_of, rendered, store_with, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.images import Store

pytestmark = pytest.mark.xdist_group("container image on Debian 13")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store_with(BASE_13, tmp_path_factory.mktemp("images")) as made:
        yield made


@pytest.fixture(scope="module")
def image(store: Store, tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(store, rendered(tmp_path_factory.mktemp("deployment")), BASE_13)


@pytest.fixture(scope="module")
def root(store: Store, image: str) -> Path:
    """The image's files."""
    return store.unpacked(image)


def test_it_has_the_generation_of_the_default_base(root: Path) -> None:
    def said(*words: str) -> str:
        done = subprocess.run(
            ["chroot", str(root), *words],
            # Without a home, Open MPI 5 does not even tell its version.
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout + done.stderr

    assert "OpenSSH_10." in said("ssh", "-V")
    assert "(Open MPI) 5." in said("mpirun", "--version")
    assert said("python3", "-c", "import mpi4py; print(mpi4py.__version__)")[0] == "4"
    assert not list((root / "etc/ssh").glob("ssh_host_*"))


@pytest.mark.parametrize("user", ["mpi", "root"])
def test_two_nodes_run_the_example(store: Store, image: str, root: Path, user: str) -> None:
    words = ("python3", "/opt/mngen/mpi_example.py")
    with nodes_of(store, image, root, words, user, MNGEN_RANKS_PER_NODE="2") as nodes:
        ended = nodes.wait(SOON)
        text = text_of(nodes)
    assert ended, text
    assert dict(nodes.exit_codes) == {0: 0, 1: 0}, text
    assert "the sum over all ranks is 10, as it should be" in text
    assert len(re.findall(r"rank [0-3] of 4 runs on node[01]", text)) == 4


@pytest.mark.parametrize("user", ["mpi", "root"])
def test_a_script_calls_mpirun(store: Store, image: str, root: Path, user: str) -> None:
    """PRRTE reads other variables than the daemons of Open MPI 4, and warns of those."""
    words = ("sh", "-c", 'mpirun --hostfile "$MNGEN_HOSTFILE" python3 /opt/mngen/mpi_example.py')
    variables = {"MNGEN_RANKS_PER_NODE": "2", "MNGEN_LAUNCHER": "main"}
    with nodes_of(store, image, root, words, user, **variables) as nodes:
        ended = nodes.wait(SOON)
        text = text_of(nodes)
    assert ended, text
    assert dict(nodes.exit_codes) == {0: 0, 1: 0}, text
    assert "the sum over all ranks is 10, as it should be" in text
    assert len(re.findall(r"rank [0-3] of 4 runs on node[01]", text)) == 4
    assert "deprecated" not in text
    assert "WARNING" not in text


def test_an_option_that_mpirun_does_not_know(store: Store, image: str, root: Path) -> None:
    """PRRTE ends with 213 where Open MPI 4 ended with 1; the job's own code is 68 either way."""
    arguments = {"MNGEN_RANKS_PER_NODE": "1", "MNGEN_MPI_ARGS": "--no-such-option"}
    with nodes_of(store, image, root, ("true",), **arguments) as nodes:
        ended = nodes.wait(SOON)
        text = text_of(nodes)
    assert ended, text
    assert dict(nodes.exit_codes) == {0: 68, 1: 68}, text
    assert "mpirun failed with exit code 213 before any rank started" in text


def test_a_rank_that_fails_ends_the_job_with_its_code(store: Store, image: str, root: Path) -> None:
    with nodes_of(store, image, root, ("sh", "-c", "exit 7"), MNGEN_RANKS_PER_NODE="1") as nodes:
        ended = nodes.wait(SOON)
        text = text_of(nodes)
    assert ended, text
    assert dict(nodes.exit_codes) == {0: 7, 1: 7}, text


def test_the_self_test_passes_in_it(store: Store, image: str, root: Path) -> None:
    cpus = len(os.sched_getaffinity(0))
    ranks = {"MNGEN_RANKS_PER_NODE": str(min(cpus, 4))}
    with nodes_of(store, image, root, command("/efs", 0.1, 200), **ranks) as nodes:
        ended = nodes.wait(SOON)
        text = text_of(nodes)
    assert ended, text
    facts = parse(line.text for line in nodes.lines)
    succeeded = dict(nodes.exit_codes) == {0: 0, 1: 0}
    card = judge(expected_here(2, cpus, cpus, "/efs"), Run(facts=facts, succeeded=succeeded))
    assert card.passed, text
    # Not so where ranks are bound to more than a core each.
    (pinning,) = [each for each in card.checks if each.id == "pinning"]
    assert pinning.state is State.OK, text
    assert {each.uid for each in of_kind(facts, Limits)} == {1000}
