"""Which image a spec asks for, how it is built, and what stands in the way."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mngen import _resources
from mngen.container import ENGINES, build_image, find_engine, next_tag, plan_image
from mngen.container._build import CUDA_BASE
from mngen.errors import InputError, ToolError
from tests.support.cli import mngen_here
from tests.support.programs import program, said
from tests.support.specs import FEATURES, make_spec, to_cluster, to_yaml

PLAIN = {name: options[0] for name, options in FEATURES.items()}
HERE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(platform.machine())


def planned(choice: dict[str, str] | None = None, **options: Any) -> Any:
    return plan_image(to_cluster(make_spec(PLAIN | (choice or {}))), **options)


def test_an_image_is_named_as_its_repository() -> None:
    found = planned({"container": "named"})
    assert (found.name, found.tag) == ("test-1/my/app", "v1.1")
    assert found.reference == "localhost/test-1/my/app:v1.1"
    assert planned(tag="v9").reference == "localhost/test-1/mpi:v9"


def test_an_image_has_the_name_of_an_existing_repository() -> None:
    assert planned({"existing": "names"}).reference == "localhost/lab/app.2:v1.1"


@pytest.mark.parametrize(("machines", "expected"), [("mpi", "linux/amd64"), ("arm", "linux/arm64")])
def test_it_is_built_for_the_machines(machines: str, expected: str) -> None:
    assert planned({"machines": machines}).platform == (None if expected == HERE else expected)


def test_machines_of_two_kinds_need_a_choice() -> None:
    with pytest.raises(InputError, match="two architectures: arm64 and x86_64") as caught:
        planned({"machines": "many"})
    assert "--platform linux/arm64" in str(caught.value.problems[0].hint)
    assert planned({"machines": "many"}, target_platform="linux/arm64").platform == "linux/arm64"


def test_an_image_elsewhere_is_not_built_here() -> None:
    with pytest.raises(InputError, match=r"in another registry: docker\.io/me/app:v1\.1"):
        planned({"container": "elsewhere"})


@pytest.mark.parametrize(("machines", "bucket"), [("mpi", "yes"), ("efa", "no")])
def test_what_follows_from_the_spec_is_told_to_a_dockerfile_that_asks(
    machines: str, bucket: str, tmp_path: Path
) -> None:
    engine = program(tmp_path, "podman")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(
        "FROM x\nARG  version\nARG VERSION=1\n arg EFA\nARG S3=no\n", encoding="utf-8"
    )
    build_image(
        planned({"machines": machines, "bucket": bucket}),
        tmp_path / "context",
        engine,
        build_args={"A": "b=c", "VERSION": "mine"},
    )
    [call] = said(engine)
    words = call["arguments"]
    assert words[:3] == ["build", "--tag", "localhost/test-1/mpi:v1"]
    pairs = [words[i + 1] for i, word in enumerate(words) if word == "--build-arg"]
    efa = "yes" if machines == "efa" else "no"
    assert sorted(pairs) == ["A=b=c", f"EFA={efa}", f"S3={bucket}", "VERSION=mine"]
    assert words[-1] == str(tmp_path / "context")


GPUS = {"machines": "efa", "gpus": "all", "jobs": "both", "vpc": "new"}


@pytest.mark.parametrize(
    ("choice", "given", "expected"),
    [
        ({}, {}, {"CUDA": "no"}),
        (GPUS, {}, {"CUDA": "yes", "BASE": CUDA_BASE}),
        (GPUS, {"BASE": "mine"}, {"CUDA": "yes", "BASE": "mine"}),
        (GPUS, {"CUDA": "no"}, {"CUDA": "no"}),
        ({}, {"CUDA": "yes"}, {"CUDA": "yes", "BASE": CUDA_BASE}),
        ({**GPUS, "existing": "definitions"}, {}, {"CUDA": "no"}),
    ],
)
def test_jobs_with_gpus_get_an_image_with_cuda(
    choice: dict[str, str], given: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    engine = program(tmp_path, "podman")
    (tmp_path / "Dockerfile").write_text("ARG BASE=x\nFROM ${BASE}\nARG CUDA=no\n", "utf-8")
    build_image(planned(choice), tmp_path, engine, build_args=given)
    [call] = said(engine)
    words = call["arguments"]
    pairs = dict(
        words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--build-arg"
    )
    assert pairs == expected
    # One that knows nothing of CUDA gets no base either.
    (tmp_path / "Dockerfile").write_text("ARG BASE=x\nFROM ${BASE}\n", "utf-8")
    build_image(planned(choice), tmp_path, engine)
    assert "--build-arg" not in said(engine)[-1]["arguments"]


def test_a_dockerfile_that_asks_for_nothing_is_told_nothing(tmp_path: Path) -> None:
    engine = program(tmp_path, "docker")
    (tmp_path / "Containerfile").write_text("FROM x\n", encoding="utf-8")
    build_image(planned(), tmp_path, engine)
    assert "--build-arg" not in said(engine)[0]["arguments"]


def test_a_folder_without_a_dockerfile_says_where_one_comes_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Dockerfile in") as caught:
        build_image(planned(), tmp_path, program(tmp_path, "docker"))
    assert "mngen render" in str(caught.value.problems[0].hint)


def test_the_first_engine_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="no container engine is installed") as caught:
        find_engine()
    assert "https://docs.docker.com" in str(caught.value.problems[0].hint)
    with pytest.raises(ToolError, match="podman is not installed"):
        find_engine("podman")
    with pytest.raises(InputError, match="unknown engine `kaniko`"):
        find_engine("kaniko")
    for name in reversed(ENGINES):
        program(tmp_path, name, {"version": (0, "20.10")})
        assert find_engine().name == name
    assert find_engine("buildah").name == "buildah"


def test_a_docker_without_its_daemon_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, "docker", {"version": (1, "Cannot connect to the Docker daemon")})
    for name in (None, "docker"):
        with pytest.raises(ToolError, match="daemon does not answer") as caught:
            find_engine(name)
        assert "systemctl start docker" in str(caught.value.problems[0].hint)
    program(tmp_path, "buildah", {"version": (1, "")})
    assert find_engine().name == "buildah"


def test_the_command_without_an_engine_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").write_bytes(to_yaml(make_spec(PLAIN)))
    empty = tmp_path / "empty"
    empty.mkdir()
    done = mngen_here(
        "container", "build", cwd=tmp_path, env={"PATH": str(empty), "HOME": str(tmp_path)}
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "no container engine is installed" in done.stderr
    wrong = mngen_here("container", "build", "--build-arg", "x", cwd=tmp_path)
    assert (wrong.returncode, "NAME=VALUE" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("tag", "taken", "expected"),
    [
        ("v1", (), "v2"),
        ("v1.9", (), "v1.10"),
        ("v1.1", ("v1.2", "v1.3"), "v1.4"),
        ("2026-09", (), "2026-10"),
        ("v1-rc", (), "v2-rc"),
        ("main", (), "main-2"),
        ("main", ("main-2",), "main-3"),
    ],
)
def test_the_next_tag(tag: str, taken: tuple[str, ...], expected: str) -> None:
    assert next_tag(tag, taken) == expected


def test_the_dockerfile_is_clean() -> None:
    """hadolint also has shellcheck read what a RUN says."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--no-color", "--failure-threshold", "style", "Dockerfile"],
        cwd=_resources.container(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
