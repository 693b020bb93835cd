"""Pushing: the login, what is there already, the record; the real one is an end-to-end test."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.container import (
    Engine,
    EngineError,
    ImagePlan,
    Registry,
    list_images,
    open_registry,
    push_image,
)
from mngen.container._process import run
from mngen.errors import InputError, InterruptedRunError, ToolError
from tests.support.deploy import wait_until
from tests.support.logs import logged
from tests.support.processes import has_ended
from tests.support.programs import program, said
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
URL = f"{HOST}/seismic/mpi"
PLAN = ImagePlan("seismic/mpi", "v1", None, efa=False, s3=False)
LOCAL = f"sha256:{'1' * 64}"
DIGEST = f"sha256:{'d' * 64}"


def manifest(config: str = LOCAL) -> str:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"digest": config, "size": 1, "mediaType": "x"},
            "layers": [{"digest": DIGEST, "size": 3 * 1024 * 1024, "mediaType": "x"}],
        }
    )


@pytest.fixture
def registry(sandbox: Sandbox) -> Registry:
    sandbox.reset()
    ecr = client(sandbox, "ecr")
    ecr.create_repository(repositoryName="seismic/mpi", imageTagMutability="IMMUTABLE")
    return Registry(URL, ecr)


def docker(folder: Path, **answers: tuple[int, str]) -> Engine:
    inspected = json.dumps([{"Id": LOCAL, "RepoDigests": [f"other@{LOCAL}", f"{URL}@{DIGEST}"]}])
    told = {"image inspect": (0, inspected)}
    return program(
        folder, "docker", told | {key.replace("_", " "): a for key, a in answers.items()}
    )


def test_docker_logs_in_by_standard_input_and_leaves_the_users_logins_alone(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    (own / "contexts").mkdir(parents=True)
    mine = {"currentContext": "colima", "auths": {"x": {"auth": "c2VjcmV0"}}, "credsStore": "osx"}
    (own / "config.json").write_text(json.dumps(mine), encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    engine = docker(tmp_path)

    with logged() as lines:
        done = push_image(PLAN, registry, engine)

    assert (done.digest, done.new, done.reference) == (DIGEST, True, f"{URL}@{DIGEST}")
    calls = {call["arguments"][0]: call for call in said(engine)}
    user, password = registry.login()
    assert calls["login"]["arguments"] == ["login", "--username", user, "--password-stdin", HOST]
    assert calls["login"]["stdin"] == password
    assert calls["tag"]["arguments"] == ["tag", PLAN.reference, f"{URL}:v1"]
    assert calls["push"]["arguments"] == ["push", f"{URL}:v1"]
    for name in ("login", "push"):
        assert calls[name]["config"] == {"currentContext": "colima"}
        assert calls[name]["links"] == ["contexts"]
        assert not Path(calls[name]["folder"]).exists()
    assert password not in json.dumps([call["arguments"] for call in said(engine)])
    assert password not in str(lines)
    assert json.loads((own / "config.json").read_text()) == mine


def test_an_image_that_is_not_built_is_not_pushed(tmp_path: Path, registry: Registry) -> None:
    engine = program(tmp_path, "docker", {"image inspect": (1, "[]")})
    with pytest.raises(InputError, match=r"docker has no image localhost/seismic/mpi:v1") as caught:
        push_image(PLAN, registry, engine)
    assert "mngen container build" in str(caught.value.problems[0].hint)


def test_buildah_is_asked_for_the_manifest_that_it_has(tmp_path: Path) -> None:
    answer = (0, json.dumps({"FromImageID": LOCAL, "Manifest": manifest()}))
    engine = program(tmp_path, "buildah", {"inspect": answer})
    assert engine.manifest(PLAN.reference) == manifest()
    assert [call["arguments"][0] for call in said(engine)] == ["inspect"]


def test_an_image_that_buildah_does_not_describe_is_an_error(tmp_path: Path) -> None:
    engine = program(tmp_path, "buildah", {"inspect": (125, "")})
    with pytest.raises(ToolError, match=f"exporting {PLAN.reference} failed"):
        engine.manifest(PLAN.reference)


def test_what_is_there_already_is_not_pushed_again(tmp_path: Path, registry: Registry) -> None:
    registry.put("v1", manifest())
    engine = docker(tmp_path)
    done = push_image(PLAN, registry, engine)
    expected = f"sha256:{hashlib.sha256(manifest().encode()).hexdigest()}"
    assert (done.new, done.digest) == (False, expected)
    assert [call["arguments"][0] for call in said(engine)] == ["image"]


def test_a_tag_that_names_another_image_is_refused_with_the_next(
    tmp_path: Path, registry: Registry
) -> None:
    registry.put("v1", manifest(config=f"sha256:{'2' * 64}"))
    registry.put("v2", manifest(config=f"sha256:{'3' * 64}"))
    with pytest.raises(InputError, match="the tag `v1` already names another image") as caught:
        push_image(PLAN, registry, docker(tmp_path))
    assert "set `tag: v3` under `container:`" in str(caught.value.problems[0].hint)


def test_a_login_that_is_refused_tells_no_secret(tmp_path: Path, registry: Registry) -> None:
    engine = docker(tmp_path, login=(1, "Error response from daemon: 403"))
    with pytest.raises(ToolError, match=r"logging in to .* failed.*403") as caught:
        push_image(PLAN, registry, engine)
    assert registry.login()[1] not in str(caught.value)


def test_a_push_that_fails_is_shown_once(tmp_path: Path, registry: Registry) -> None:
    engine = docker(tmp_path, push=(1, "denied: no basic auth credentials"))
    with logged() as lines, pytest.raises(EngineError) as caught:
        push_image(PLAN, registry, engine)
    assert lines == ["denied: no basic auth credentials"]
    assert str(caught.value) == f"pushing {URL}:v1 failed (exit code 1)"
    assert caught.value.last == "denied: no basic auth credentials"


def test_without_a_log_a_push_that_fails_reports_why(tmp_path: Path, registry: Registry) -> None:
    engine = docker(tmp_path, push=(1, "denied: no basic auth credentials"))
    with pytest.raises(EngineError, match=r"exit code 1\): denied: no basic auth") as caught:
        push_image(PLAN, registry, engine)
    assert caught.value.last == ""


def test_a_repository_that_is_gone_says_what_makes_it(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    lost = Registry(URL, client(sandbox, "ecr"))
    with pytest.raises(InputError, match="no repository seismic/mpi in ECR") as caught:
        push_image(PLAN, lost, docker(tmp_path))
    assert "mngen apply" in str(caught.value.problems[0].hint)


def test_a_deployment_without_a_repository_says_why() -> None:
    with pytest.raises(InputError, match="has no repository yet"):
        open_registry({}, "us-east-1")
    with pytest.raises(InputError, match="in another registry"):
        open_registry({"repository_url": None}, "us-east-1")


def test_the_list_shows_the_newest_first_and_who_runs_it(
    sandbox: Sandbox, registry: Registry
) -> None:
    first = registry.put("v1", manifest())
    second = registry.put("v2", manifest(config=f"sha256:{'2' * 64}"))
    batch = client(sandbox, "batch")
    for image in (f"{URL}:v2", f"{URL}@{first}"):
        batch.register_job_definition(
            jobDefinitionName="seismic-hello",
            type="multinode",
            nodeProperties={
                "mainNode": 0,
                "numNodes": 2,
                "nodeRangeProperties": [
                    {
                        "targetNodes": "0:",
                        "container": {
                            "image": image,
                            "resourceRequirements": [
                                {"type": "VCPU", "value": "1"},
                                {"type": "MEMORY", "value": "512"},
                            ],
                        },
                    }
                ],
            },
        )
    names = {"hello": "seismic-hello", "absent": "seismic-absent"}

    found = list_images(registry, batch, job_definitions=names, digests={"v1": first})

    by_tag: dict[str, Any] = {each.tags[0]: each for each in found}
    assert (by_tag["v1"].digest, by_tag["v2"].digest) == (first, second)
    # The latest revision counts, and it names the image by its digest.
    assert (by_tag["v1"].used_by, by_tag["v2"].used_by) == (("hello",), ())
    assert (by_tag["v1"].recorded, by_tag["v2"].recorded) == (("v1",), ())
    assert by_tag["v1"].pushed is not None
    assert [each.pushed for each in found] == sorted(
        (each.pushed for each in found if each.pushed), reverse=True
    )


def named_in(file: Path) -> int:
    """Return the process that a file names; 0, which none has, where it was never started."""
    return int(file.read_text() or 0) if file.is_file() else 0


class TestProcess:
    """An engine at work."""

    def test_an_interrupt_ends_the_engine_and_its_children(self, tmp_path: Path) -> None:
        file = tmp_path / "pid"
        script = f"sleep 600 & echo $! > {file}; echo started; wait"
        before = signal.getsignal(signal.SIGTERM)

        def interrupt() -> None:
            while not file.is_file() or not file.read_text().strip():
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(InterruptedRunError, match="interrupted while sleeping"):
            run(["sh", "-c", script], doing="sleeping")
        thread.join()

        assert signal.getsignal(signal.SIGTERM) is before
        wait_until(lambda: has_ended(named_in(file)), "the end of the child")

    def test_an_interrupt_while_it_starts_loses_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "pid"
        # The signal comes before the caller has the process in hand, or just after.
        script = f"echo $$ > {file}; kill -TERM $PPID; exec sleep 600"
        for _ in range(20):
            with pytest.raises(InterruptedRunError):
                run(["sh", "-c", script], doing="sleeping")
            assert not Path("/proc", file.read_text().strip()).exists()

    def test_a_failure_says_what_was_written_last(self) -> None:
        script = "import sys\nfor i in range(50): print(i)\nsys.exit(7)"
        with pytest.raises(ToolError, match=r"(?s)counting failed \(exit code 7\).*49") as caught:
            run([sys.executable, "-c", script], doing="counting")
        assert "\n  10" not in str(caught.value)

    def test_what_takes_too_long_is_ended_with_its_children(self, tmp_path: Path) -> None:
        file = tmp_path / "pid"
        # As an engine may, it leaves the pipe to a child that no SIGINT ends.
        script = f"trap '' INT; sleep 600 & echo $! > {file}; trap 'exit 1' INT; wait"
        with pytest.raises(ToolError, match=r"^sleeping took longer than 1 s$"):
            run(["sh", "-c", script], doing="sleeping", seconds=1)
        wait_until(lambda: has_ended(named_in(file)), "the end of the child")

    def test_what_ends_in_time_is_not_touched(self) -> None:
        with logged() as lines:
            run(["echo", "done"], doing="speaking", logged=True, seconds=600)
            run(["echo", "quiet"], doing="speaking")
        assert lines == ["done"]

    def test_a_program_that_is_not_there(self) -> None:
        with pytest.raises(ToolError, match="cannot run /absent/docker"):
            run(["/absent/docker"], doing="nothing")

    def test_input_that_nobody_reads_is_no_failure(self) -> None:
        run(["true"], doing="nothing", stdin="x" * 1_000_000)
