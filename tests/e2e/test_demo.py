"""`mngen demo`, from the installed wheel: to its end, and to the end that Ctrl-C makes."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mngen.container import base_image, find_engine
from mngen.errors import ToolError
from mngen.rehearsal import unavailable
from mngen.sandbox import machines_unavailable
from tests.support.alone import ROOT, alone, left_behind
from tests.support.cli import DEAF
from tests.support.deploy import Started, started, wait_until
from tests.support.images import BASE, buildah_unavailable, image_store
from tests.support.needs import lacking, skip_without

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES = 2400.0
STEPS = [
    "check the spec",
    "render it, fetch the AWS provider",
    "apply: network, file system, roles, registry",
    "bake the AMIs",
    "build the container image",
    "apply: compute environments, queues",
    "submit a job",
    "rehearse it on this machine",
    "destroy",
]
ROW = re.compile(r"^│ (.+?) *│ (.+?) *│ +([0-9.]+) │ (.+?) *│$")
MORE = re.compile(r"^│ +│ +│ +│ (.+?) *│$")


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs, with nothing else in its PID namespace where this user may make one.

    Attributes:
        running: Its process.
        folder: The folder it is run in.
        temporary: Its folder for temporary files.
        state: Where the user's records are.
        report: What it left behind, where it has a PID namespace.
    """

    running: Started
    folder: Path
    temporary: Path
    state: Path
    report: Path | None

    def interrupt(self, number: signal.Signals) -> None:
        """Send a signal to mngen, and to nobody else."""
        process = self.running.process
        target = process.pid
        if self.report is not None:
            # The namespace's first process, and its only child, which is mngen itself.
            for _ in range(2):
                target = int(
                    Path(f"/proc/{target}/task/{target}/children")
                    .read_text(encoding="utf-8")
                    .split()[0]
                )
        os.kill(target, number)

    def end(self) -> int:
        """Wait for its end, and return its exit code."""
        return self.running.process.wait(MINUTES)

    def check_that_nothing_is_left(self) -> None:
        """Look for processes, mounts, temporary files, and records among the user's own."""
        if self.report is not None:
            assert left_behind(self.report) == {"processes": [], "mounts": []}
        assert sorted(self.temporary.rglob("*")) == []
        assert not self.state.exists()


@contextmanager
def demo(
    installed: Path,
    folder: Path,
    env: dict[str, str],
    *options: str,
    start: tuple[str, ...] = (),
) -> Iterator[Demo]:
    skip_without("sandbox")
    command: tuple[str, ...] = (*start, str(installed / "bin" / "mngen"), "demo", *options)
    private = os.geteuid() == 0 and lacking("unshare") is None
    report = folder / "left.json" if private else None
    if report is not None:
        command = alone(report, *command)
    # A socket's path must be short, and Ansible's are below it.
    with tempfile.TemporaryDirectory(prefix="d-", dir="/tmp") as temporary:
        state = folder / "state"
        clean = {name: text for name, text in env.items() if not name.startswith("PYTHON")}
        clean |= {
            # Where Ansible is: the wheel's environment has the libraries of this one alone.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
            "TMPDIR": temporary,
            "XDG_STATE_HOME": str(state),
        }
        with started(*command[1:], cwd=folder, env=clean, program=command[:1]) as running:
            yield Demo(running, folder, Path(temporary), state, report)


def steps(text: str) -> dict[str, tuple[str, list[str]]]:
    """Read the result of each step, and where to look, from the table at the end."""
    found: dict[str, tuple[str, list[str]]] = {}
    for line in text[text.index("Workflow; files are in") :].splitlines():
        if row := ROW.match(line):
            name, result, _, where = row.groups()
            found[name] = (result, [where])
        elif more := MORE.match(line):
            found[name][1].append(more[1])
    return found


@pytest.fixture
def env(narrow_env: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which the container image can be built, as far as this machine can."""
    if buildah_unavailable():
        yield narrow_env
        return
    with image_store(tmp_path / "store") as store:
        base = base_image(ROOT / "container")
        assert base is not None
        store.buildah("tag", BASE, base)
        names = ("BUILDAH_ISOLATION", "CONTAINERS_STORAGE_CONF")
        yield {**narrow_env, **{name: store.env[name] for name in names}}


def test_the_whole_workflow_runs_and_each_step_says_where_to_look(
    installed: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    with demo(installed, tmp_path, env, "--keep", "kept") as walked:
        assert walked.end() == 0, walked.running.text
        walked.check_that_nothing_is_left()
        text = walked.running.text
    found = steps(text)
    assert list(found) == STEPS
    places = [place for _, places in found.values() for place in places]
    files = [place for place in places if not place.startswith("mngen ")]
    assert len(files) > len(STEPS) - 2
    kept = tmp_path / "kept"
    assert [place for place in files if not (kept / place).exists()] == []
    assert found["apply: network, file system, roles, registry"][0] == "30 resources"
    assert found["apply: compute environments, queues"][0].endswith(" resources")
    assert found["submit a job"][0] == "mpi-example: SUCCEEDED, 2 nodes"
    assert found["destroy"][0] == "0 resources left"
    assert text.count("│ VALID") == 4
    assert not list(kept.rglob(".terraform"))
    assert "── 9/9 destroy (" in (kept / "demo.log").read_text(encoding="utf-8")
    check_images(kept, *found["bake the AMIs"])
    check_container(kept, *found["build the container image"])
    check_rehearsal(kept, *found["rehearse it on this machine"])


def check_images(kept: Path, result: str, places: list[str]) -> None:
    record = kept / "deploy" / "terraform" / "amis.auto.tfvars.json"
    images = json.loads(record.read_text(encoding="utf-8"))["amis"]
    baked = {name for name, image in images.items() if image.get("baked_from")}
    assert len(images) == 4
    if machines_unavailable():
        assert not baked
        assert "baked" not in result
        return
    assert result == "baked m4.4xlarge, r5.24xlarge, r5.24xlarge-24; copied c5n.18xlarge-efa"
    assert baked == {"m4.4xlarge", "r5.24xlarge", "r5.24xlarge-24"}
    assert places[1:] == ["baking"]
    logs = {path.stem: path.read_text(encoding="utf-8") for path in (kept / "baking").iterdir()}
    assert set(logs) == baked
    assert all("TASK [" in text or "PLAY RECAP" in text for text in logs.values())


def check_container(kept: Path, result: str, places: list[str]) -> None:
    try:
        engine = find_engine().name
    except ToolError:
        engine = ""
    if engine not in {"podman", "buildah"} or buildah_unavailable():
        # Docker has other images than those of the test's own store.
        assert result.startswith(("built ", "not built: "))
        return
    assert re.fullmatch(
        r"built localhost/mngen-demo/aws_multi_node_batch:v1\.1 "
        rf"with {engine}: sha256:[0-9a-f]{{12}}",
        result,
    ), result
    record = json.loads((kept / places[1]).read_text(encoding="utf-8"))
    digest = record["container_digests"]["v1.1"]
    assert result.endswith(digest[:19])
    # The job definition names the very image, so the second apply followed the build.
    state = kept / "deploy/terraform/terraform.tfstate.d/mngen-sandbox/terraform.tfstate.backup"
    assert f"tutorial/aws_multi_node_batch@{digest}" in state.read_text(encoding="utf-8")


def check_rehearsal(kept: Path, result: str, places: list[str]) -> None:
    if lacking("demo-rehearse") or unavailable():
        assert result.startswith("not here: ")
        return
    assert result == "exit code 0 on 2 nodes, with real MPI"
    assert places == ["rehearsal.svg"]
    assert "<svg" in (kept / "rehearsal.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("start", "number"),
    [((), signal.SIGINT), (DEAF, signal.SIGTERM)],
    ids=["SIGINT", "deaf"],
)
def test_an_interrupt_ends_it_and_leaves_nothing(
    installed: Path,
    tmp_path: Path,
    narrow_env: dict[str, str],
    start: tuple[str, ...],
    number: signal.Signals,
) -> None:
    with demo(installed, tmp_path, narrow_env, start=start) as walked:
        wait_until(
            lambda: (
                ": Creating..." in walked.running.text or walked.running.process.poll() is not None
            ),
            "the first apply",
            MINUTES,
        )
        walked.interrupt(number)
        assert walked.end() == 130, walked.running.text
        text = walked.running.text
        walked.check_that_nothing_is_left()
    assert "error: interrupted at `" in text
    assert "the emulated AWS is gone, with everything in it" in text
    assert "Traceback" not in text
    # The folder of a demo that keeps nothing was among the temporary ones.
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".log") == (
        ["left.json"] if walked.report is not None else []
    )


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").touch()
    with started("demo", "--keep", ".", cwd=tmp_path, env=dict(os.environ)) as running:
        assert running.process.wait(MINUTES) == 1
        assert "error: . is not empty\n" in running.text
