"""The demo's container image where it is not built; that it is built is an end-to-end test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mngen import _resources
from mngen.catalog import load_catalog
from mngen.demo import _container, run_demo
from mngen.demo._container import DemoOptions, make_container_image
from mngen.errors import ToolError
from mngen.rules import require
from mngen.spec import load
from tests.support.logs import logged
from tests.support.programs import program, said
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.cluster import Cluster
    from mngen.container import Engine
    from mngen.sandbox import Sandbox

REPOSITORY = "tutorial/aws_multi_node_batch"
NO_BASE = {"image inspect": (1, "")}
BASE = {"image inspect": (0, json.dumps([{"Id": "b" * 64}]))}
FAILS = {"build": (125, "STEP 1/9: FROM docker.io\n\nError: lookup docker.io: no such host\n")}


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return require(load(_resources.examples() / "tutorial.yaml"), load_catalog())


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Engine]:
    """Makes the only engine on PATH; where it is not called, there is none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return lambda answers: program(folder, "podman", answers)


@pytest.fixture
def made(sandbox: Sandbox, cluster: Cluster, tmp_path: Path) -> Callable[[DemoOptions], str]:
    """Makes the image, and sees that it is in the registry by name, and not recorded."""
    sandbox.reset()
    ecr = client(sandbox, "ecr")
    url = ecr.create_repository(repositoryName=REPOSITORY)["repository"]["repositoryUri"]

    def make(options: DemoOptions) -> str:
        tree = tmp_path / "deploy"
        (tree / "terraform").mkdir(parents=True)
        (tree / "container").symlink_to(_resources.container())
        with sandbox.applied(), logged() as lines:
            result = make_container_image(cluster, tree, {"repository_url": url}, options)
        assert [line for line in lines if line.startswith("not built: ")]
        (image,) = ecr.list_images(repositoryName=REPOSITORY)["imageIds"]
        assert image["imageTag"] == "v1.1"
        assert list((tree / "terraform").iterdir()) == []
        return result

    return make


def test_with_no_engine_it_goes_on(
    engine: Callable[..., Engine], made: Callable[[DemoOptions], str]
) -> None:
    assert made(DemoOptions()).startswith("not built: no container engine is installed")


def test_an_engine_that_is_asked_for_must_be_there(
    engine: Callable[..., Engine], tmp_path: Path
) -> None:
    with pytest.raises(ToolError, match="no container engine is installed"):
        run_demo(tmp_path, build=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]


@pytest.mark.parametrize(
    ("options", "result"),
    [
        (
            DemoOptions(),
            "not built: podman has no docker.io/library/ubuntu:26.04 yet; --container ",
        ),
        (DemoOptions(build=False), "not built: not asked for"),
    ],
    ids=["its base is not here", "not wanted"],
)
def test_nothing_is_downloaded_unasked(
    options: DemoOptions,
    result: str,
    engine: Callable[..., Engine],
    made: Callable[[DemoOptions], str],
) -> None:
    podman = engine(NO_BASE)
    assert made(options).startswith(result)
    calls = [call["arguments"] for call in said(podman)] if options.build is None else []
    assert [call for call in calls if call[0] == "build"] == []


@pytest.mark.parametrize(
    ("options", "answers"),
    [(DemoOptions(), BASE), (DemoOptions(build=True), NO_BASE)],
    ids=["base", "asked for"],
)
def test_a_build_that_fails_is_told_by_what_the_engine_said_last(
    options: DemoOptions,
    answers: dict[str, tuple[int, str]],
    engine: Callable[..., Engine],
    made: Callable[[DemoOptions], str],
) -> None:
    podman = engine(answers | FAILS)
    assert made(options) == (
        "not built: building it failed (exit code 125): Error: lookup docker.io: no such host"
    )
    build, removal = (
        call["arguments"] for call in said(podman) if "inspect" not in call["arguments"]
    )
    assert "EFA=no" in build
    assert removal == ["rmi", "localhost/mngen-demo/aws_multi_node_batch:v1.1"]


def test_a_build_that_takes_too_long_is_ended(
    engine: Callable[..., Engine],
    made: Callable[[DemoOptions], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    podman = engine(BASE)
    script = (
        f'#!/bin/sh\ncase $1 in build) exec /bin/sleep 600;; esac\nexec {podman.path}.real "$@"\n'
    )
    path = Path(podman.path)
    path.rename(f"{path}.real")
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setattr(_container, "_BUILD_SECONDS", 3.0)
    assert made(DemoOptions()) == "not built: building it took longer than 3 s"
