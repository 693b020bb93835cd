"""Commands where nothing is as they might count on: locale, folders, clock, terminal, umask."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from mngen import _resources
from tests.support.cli import CHECKOUT, DEAF, mngen, read_tree

if TYPE_CHECKING:
    from pathlib import Path

# What is expected is made once, by one worker.
pytestmark = pytest.mark.xdist_group("hostile environment")

COMMANDS = (
    ("check", "--file", "tutorial.yaml"),
    ("render", "--file", "tutorial.yaml", "--out", "deploy"),
    ("render", "--file", "tutorial.yaml", "--out", "deploy", "--check"),
    ("graph", "--file", "tutorial.yaml"),
    ("import", "--from-pcluster", "cluster.yaml", "--dry-run", "--format", "json"),
    ("policy", "baker", "--file", "tutorial.yaml", "--account", "123456789012"),
    ("schema",),
    ("rules",),
    ("instances",),
    ("sandbox", "--status"),
    ("--help",),
)
CLUSTER = """\
Region: eu-west-1
Scheduling:
  Scheduler: awsbatch
  AwsBatchQueues:
    - Name: reef
      Networking: {SubnetIds: [subnet-0123456789abcdef0]}
      ComputeResources: [{Name: nodes, InstanceTypes: [c5.2xlarge], MaxvCpus: 64}]
Tags: [{Key: group, Value: récif}]
"""
# These fit what they print to the width that COLUMNS names.
FITTED = {"--help", "instances", "rules"}
# A strict umask and no standard input, to a process that ignores SIGINT.
START = (*DEAF, "sh", "-c", 'umask 077; exec "$@" <&-', "sh")
# What it is set to, or None where it is not set at all.
SURROUNDINGS: dict[str, str | None] = {
    "HOME": "/proc/none",
    "LANG": None,
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    "COLUMNS": "20",
    "FORCE_COLOR": "1",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "CI": "true",
    "PYTHONWARNINGS": "default",
    "XDG_CACHE_HOME": "relative",
    "XDG_RUNTIME_DIR": "/proc/none",
    "XDG_STATE_HOME": None,
}


def surrounded(folder: Path, **changes: str | None) -> dict[str, str]:
    """Return a hostile environment, with a folder for temporary files whose path is long."""
    temporary = folder / ("with spaces " + "x" * 100)
    temporary.mkdir(exist_ok=True)
    env = {**os.environ, **SURROUNDINGS, "TMPDIR": str(temporary), **changes}
    return {name: text for name, text in env.items() if text is not None}


def hostile(folder: Path, *arguments: str, **changes: str | None) -> str:
    """Run mngen so, in a session without a terminal.

    Returns:
        What it wrote to standard output, in which there is no trace of a crash.
    """
    done = subprocess.run(
        [*START, *CHECKOUT, *arguments],
        cwd=folder,
        env=surrounded(folder, **changes),
        capture_output=True,
        encoding="utf-8",
        timeout=180,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def place_in(folder: Path) -> Path:
    """Make a folder with a spec, whose path has spaces and a character that no locale need have."""
    place = folder / "my tutorial é"
    place.mkdir()
    shutil.copy(_resources.examples() / "tutorial.yaml", place)
    (place / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, bytes]]:
    """What the commands print and render where the tests run."""
    place = place_in(tmp_path_factory.mktemp("here"))
    # A sandbox that runs in the background of whoever starts the tests is none of theirs.
    runtime = tmp_path_factory.mktemp("runtime")
    runtime.chmod(0o700)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    done = [mngen(*arguments, cwd=place, env=env) for arguments in COMMANDS]
    assert [each.returncode for each in done] == [0] * len(COMMANDS)
    return [each.stdout for each in done], read_tree(place / "deploy")


@pytest.mark.parametrize(
    "changes",
    [{}, {"HOME": None, "LC_ALL": "xx_YY.UTF-8", "TZ": "America/St_Johns"}],
    ids=["C", "none"],
)
def test_commands_do_the_same_everywhere(
    tmp_path: Path,
    expected: tuple[list[str], dict[str, bytes]],
    changes: dict[str, str | None],
) -> None:
    place = place_in(tmp_path)
    printed, rendered = expected
    for arguments, text in zip(COMMANDS, printed, strict=True):
        found = hostile(place, *arguments, **changes)
        if arguments[0] not in FITTED:
            assert found == text, arguments
    assert read_tree(place / "deploy") == rendered
    # No record, cache or log was put where the user is not, nor beside the spec.
    there = {path.name for path in place.iterdir() if "spaces" not in path.name}
    assert there == {"cluster.yaml", "deploy", "tutorial.yaml"}


def test_a_sandbox_works_everywhere(tmp_path: Path) -> None:
    script = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    command = ("sandbox", "--", str(CHECKOUT[0]).replace("mngen", "python"), "-c", script)
    assert hostile(place_in(tmp_path), *command) == "123456789012\n"
