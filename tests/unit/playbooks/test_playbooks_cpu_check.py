"""The check that runs at boot, against topologies of CPUs that this machine has not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mngen._resources import playbooks

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = playbooks() / "roles" / "cpu_check" / "files" / "mngen-cpu-check.sh"

# The kernel's part: with threads off, another list of CPUs is online; a control file that is a
# folder here can be read, but not written.
KERNEL = """#!/bin/sh
case $1 in
  */cpu/online)
    if [ "$(/bin/cat "${1%/online}/smt/control" 2>/dev/null)" = off ]; then
      exec /bin/cat "$1.after"
    fi ;;
  */smt/control) [ -d "$1" ] && exec /bin/echo on ;;
esac
exec /bin/cat "$@"
"""


@dataclass(frozen=True)
class Machine:
    """A machine as sysfs shows it: which CPUs are online, and what runs on a core with each.

    The script starts a program for each CPU: where their number does not matter they are few.
    """

    online: str
    siblings: Callable[[int], str]
    count: int
    control: str | None = "on"
    after: str = ""


def half_apart(cores: int) -> Callable[[int], str]:
    """Number the threads of a core 0 and `cores`, as Intel's are on EC2."""
    return lambda cpu: f"{cpu % cores},{cpu % cores + cores}"


def neighbours(cpu: int) -> str:
    """Number the threads of a core 0 and 1."""
    return f"{cpu - cpu % 2}-{cpu - cpu % 2 + 1}"


def alone(cpu: int) -> str:
    """One thread a core, or the other is not possible."""
    return str(cpu)


@pytest.fixture(params=["sh", "bash"])
def shell(request: pytest.FixtureRequest) -> str:
    """Debian's sh is dash; that of Amazon Linux is bash."""
    name: str = request.param
    found = shutil.which(name)
    if not found:
        pytest.skip(f"there is no {name}")
    return found


def check(
    tmp_path: Path, shell: str, machine: Machine, baked: int
) -> tuple[subprocess.CompletedProcess[str], Path]:
    cpus = tmp_path / "sys" / "devices" / "system" / "cpu"
    control = cpus / "smt" / "control"
    control.parent.mkdir(parents=True)
    (cpus / "online").write_text(f"{machine.online}\n")
    (cpus / "online.after").write_text(f"{machine.after or machine.online}\n")
    for cpu in range(machine.count):
        topology = cpus / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{machine.siblings(cpu)}\n")
    if machine.control == "read-only":
        control.mkdir()
    elif machine.control is not None:
        control.write_text(f"{machine.control}\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "cat").write_text(KERNEL)
    (programs / "cat").chmod(0o755)
    done = subprocess.run(
        [shell, SCRIPT, str(baked), str(tmp_path / "sys")],
        # It starts no other program, of which there would be as many as CPUs.
        env={"PATH": str(programs)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done, control


def test_limit_already_right(tmp_path: Path, shell: str) -> None:
    done, control = check(tmp_path, shell, Machine("0-47", half_apart(48), 96), 48)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "mngen-cpu-check: OK: 48 CPUs online (0-47), one thread a core, as baked\n"
    )
    assert control.read_text() == "on\n"


def test_one_thread_a_core_needs_nothing(tmp_path: Path, shell: str) -> None:
    done, control = check(tmp_path, shell, Machine("0-15", alone, 16, "notsupported"), 16)
    assert (done.returncode, done.stderr) == (0, "")
    assert "OK: 16 CPUs online" in done.stdout
    assert control.read_text() == "notsupported\n"


def test_more_online_than_baked_threads_go_off(tmp_path: Path, shell: str) -> None:
    machine = Machine("0-95", half_apart(48), 96, after="0-47")
    done, control = check(tmp_path, shell, machine, 48)
    assert (done.returncode, done.stderr) == (0, "")
    found = "96 CPUs online (0-95), CPUs 0,48 are threads of one core"
    assert done.stdout.splitlines() == [
        f"mngen-cpu-check: WARNING: {found}; 48 CPUs with one thread a core were baked",
        f"mngen-cpu-check: turned simultaneous multithreading off ({control})",
        "mngen-cpu-check: OK: now 48 CPUs online (0-47), one thread a core, as baked",
    ]
    assert control.read_text() == "off\n"


def test_neighbours_are_threads_of_half_the_cores(tmp_path: Path, shell: str) -> None:
    after = ",".join(str(cpu) for cpu in range(0, 24, 2))
    done, control = check(tmp_path, shell, Machine("0-23", neighbours, 24, after=after), 24)
    assert done.returncode == 1
    assert "24 CPUs online (0-23), CPUs 0-1 are threads of one core" in done.stdout
    assert f"ERROR: 12 CPUs online ({after}), one thread a core, but 24" in done.stdout
    assert "nr_cpus=24 left out cores: bake an image without a limit" in done.stdout
    assert control.read_text() == "off\n"


def test_fewer_online_than_baked(tmp_path: Path, shell: str) -> None:
    done, control = check(tmp_path, shell, Machine("0-8", half_apart(9), 18), 12)
    assert done.returncode == 1
    assert "WARNING: 9 CPUs online (0-8), one thread a core; 12 CPUs" in done.stdout
    assert "jobs that ask for more than 9 vCPUs will not start" in done.stdout
    assert control.read_text() == "off\n"


def test_more_online_and_none_is_a_thread(tmp_path: Path, shell: str) -> None:
    done, _ = check(tmp_path, shell, Machine("0-15", alone, 16, "notsupported"), 8)
    assert done.returncode == 1
    assert "simultaneous multithreading is notsupported already" in done.stdout
    assert "nr_cpus=8 is not in effect: see /proc/cmdline" in done.stdout


@pytest.mark.parametrize(
    ("control", "said"),
    [
        (None, "this kernel cannot turn threads off"),
        ("read-only", "simultaneous multithreading stays on"),
        ("forceoff", "simultaneous multithreading is forceoff already"),
    ],
)
def test_threads_that_cannot_be_turned_off(
    control: str | None, said: str, tmp_path: Path, shell: str
) -> None:
    done, _ = check(tmp_path, shell, Machine("0-95", half_apart(48), 96, control), 48)
    assert done.returncode == 1
    assert said in done.stdout
    assert "ERROR: jobs share cores between threads on this machine" in done.stdout
    assert done.stderr == ""


def test_a_list_with_holes(tmp_path: Path, shell: str) -> None:
    done, _ = check(tmp_path, shell, Machine("0,2-4,6", neighbours, 8, after="0,2,4,6"), 4)
    assert done.returncode == 0
    assert "5 CPUs online (0,2-4,6), CPUs 2-3 are threads of one core" in done.stdout
    assert "OK: now 4 CPUs online (0,2,4,6)" in done.stdout


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_siblings_that_cannot_be_read(tmp_path: Path, shell: str, how: str) -> None:
    """Not OK: dash once read nothing from this file, and so found no sibling of any CPU."""
    topology = tmp_path / "devices/system/cpu/cpu0/topology"
    topology.mkdir(parents=True)
    (topology.parent.parent / "online").write_text("0-1\n")
    if how == "empty":
        (topology / "thread_siblings_list").touch()
    done = subprocess.run(
        [shell, SCRIPT, "2", tmp_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"ERROR: cannot read {topology}/thread_siblings_list; 2 CPUs were baked" in done.stdout


def test_siblings_are_read_from_the_kernel_itself(tmp_path: Path, shell: str) -> None:
    """sysfs answers reads of one byte with nothing, and dash's `read` makes no others."""
    real = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    if not real.exists():
        pytest.skip("this kernel shows no topology")
    topology = tmp_path / "devices/system/cpu/cpu0/topology"
    topology.mkdir(parents=True)
    (topology.parent.parent / "online").write_text("0\n")
    (topology / real.name).symlink_to(real)
    done = subprocess.run(
        [shell, SCRIPT, "1", tmp_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "mngen-cpu-check: OK: 1 CPUs online (0), one thread a core, as baked\n"


def test_no_sysfs(tmp_path: Path, shell: str) -> None:
    done = subprocess.run(
        [shell, SCRIPT, "48", tmp_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"ERROR: cannot read {tmp_path}/devices/system/cpu/online" in done.stdout


@pytest.mark.parametrize("baked", [[], [""], ["0"], ["048"], ["many"], ["-1"]])
def test_called_wrongly(baked: list[str], shell: str) -> None:
    done = subprocess.run(
        [shell, SCRIPT, *baked], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("mngen-cpu-check: usage: mngen-cpu-check CPUS [SYS]")


def test_shellcheck_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [program, SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
