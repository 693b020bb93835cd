"""The script that tries a mount again, against a systemd that is made up of three programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mngen._resources import playbooks
from mngen.jobs._console import mount_state

SCRIPT = playbooks() / "roles" / "efs" / "files" / "mngen-efs-mount.sh"

PROGRAMS = {
    # Mounted once the unit has been started as often as the file says.
    "mountpoint": '[ "$(cat starts)" -ge "$(cat needed)" ]',
    "systemctl": """
echo "$*" >>called
case $1 in start) echo $(($(cat starts) + 1)) >starts; exit 1 ;; esac
""",
    "journalctl": 'echo "$*" >>asked; echo "Failed to resolve fs-1"; echo "Mount process exited"',
    "sleep": ":",
    # Time passes by 5 seconds whenever somebody looks.
    "cat": """
case $1 in
  /proc/uptime) now=$(($(/bin/cat now) + 5)); echo "$now" >now; echo "$now.50 1.00" ;;
  *) exec /bin/cat "$@" ;;
esac
""",
}


def run(
    folder: Path, needed: int, *arguments: str, script: Path = SCRIPT
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script where some attempt mounts at last; return what it called."""
    programs = folder / "programs"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    for name, number in (("starts", 0), ("needed", needed), ("now", 10)):
        (folder / name).write_text(f"{number}\n")
    (folder / "called").touch()
    done = subprocess.run(
        ["/bin/sh", script, *(arguments or ("/efs", "efs.mount", "300"))],
        cwd=folder,
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done, (folder / "called").read_text().splitlines()


def test_mounted_already(tmp_path: Path) -> None:
    done, called = run(tmp_path, 0)
    assert (done.returncode, called) == (0, [])
    assert done.stdout == "mngen-efs-mount: OK: /efs is mounted\n"


def test_mounted_at_the_third_attempt(tmp_path: Path) -> None:
    done, called = run(tmp_path, 3)
    assert done.returncode == 0
    assert called == ["start efs.mount"] * 3
    *before, last = done.stdout.splitlines()
    assert len(before) == 3
    assert before[0] == (
        "mngen-efs-mount: WARNING: /efs is not mounted: Failed to resolve fs-1 Mount process "
        "exited; trying again for 295 s"
    )
    assert last == "mngen-efs-mount: OK: /efs is mounted"
    assert "--unit=efs.mount" in (tmp_path / "asked").read_text()


def test_never_mounted_it_powers_off_and_says_why(tmp_path: Path) -> None:
    done, called = run(tmp_path, 1000)
    assert done.returncode == 1
    assert called == ["start efs.mount"] * 59 + ["--no-block poweroff"]
    assert (
        "ERROR: /efs was not mounted within 300 s: Failed to resolve fs-1 Mount process exited"
    ) in done.stdout
    assert "powering off, so that AWS Batch replaces this instance" in done.stdout


def test_of_lustre_it_speaks_of_the_ports_of_lustre(tmp_path: Path) -> None:
    script = tmp_path / "mngen-fsx-mount"
    script.write_bytes(SCRIPT.read_bytes())
    done, _ = run(tmp_path, 1000, "/fsx", "fsx.mount", "30", script=script)
    assert done.returncode == 1
    assert "mngen-fsx-mount: ERROR: /fsx was not mounted within 30 s" in done.stdout
    assert "ports 988 and 1018 to 1023" in done.stdout
    assert "2049" not in done.stdout
    assert mount_state(done.stdout + "mngen-efs-mount: OK: /efs is mounted\n") == "ERROR"


@pytest.mark.parametrize("seconds", ["", "soon", "-1"])
def test_called_wrongly(tmp_path: Path, seconds: str) -> None:
    done, called = run(tmp_path, 0, "/efs", "efs.mount", seconds)
    assert (done.returncode, called) == (2, [])
    assert done.stderr.startswith("mngen-efs-mount: usage: mngen-efs-mount MOUNT UNIT SECONDS")


def test_shellcheck_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [program, SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
