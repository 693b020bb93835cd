"""The workflows of docs/pull-requests.md do what the page says: each of their lines is run.

mngen is the real one. Stand-ins take the place of what is not here: pip, Terraform (by the format
of its JSON plan, https://developer.hashicorp.com/terraform/internals/json-format), gh (by the
options of gh-pr-comment(1)), and, for curl, an HTTP server with the one route of GitLab
(https://docs.gitlab.com/api/notes/#create-new-merge-request-note).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
import yaml

from mngen.catalog import load_catalog
from mngen.rules import require
from mngen.spec import load_text, written
from tests.support.cli import mngen_here
from tests.support.needs import lacking

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pull-requests.md"
SPEC = """\
name: lab
region: us-east-1
environments:
  mpi: {instance: r5.24xlarge, max_nodes: 4}
queues:
  mpi: {environments: [mpi]}
jobs:
  solve: {queue: mpi, nodes: 2, command: [hostname]}
"""
CHANGED = SPEC.replace("max_nodes: 4", "max_nodes: 8")

_TERRAFORM = """\
#!{python}
import json, pathlib, sys

command, rest = sys.argv[1], sys.argv[2:]
if command == "plan":
    assert "-json" in rest and any(each.startswith("-out=") for each in rest), rest
    print(json.dumps({{"@message": "", "type": "version", "terraform": "1.11.4"}}))
    sys.exit(2)
assert command == "show" and "-json" in rest, sys.argv
print(pathlib.Path({plan!r}).read_text())
"""
_GH = """\
#!{python}
import argparse, os, pathlib

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("command", choices=["pr"])
parser.add_argument("subcommand", choices=["comment"])
parser.add_argument("number", type=int)
parser.add_argument("-F", "--body-file", required=True, type=pathlib.Path)
parser.add_argument("--edit-last", action="store_true")
parser.add_argument("--create-if-none", action="store_true")
asked = parser.parse_args()
assert asked.edit_last or not asked.create_if_none
assert os.environ["GH_TOKEN"]
pathlib.Path({seen!r}).write_text(f"{{asked.number}}\\n{{asked.body_file.read_text()}}")
"""
_PIP = """\
#!{python}
import sys

assert sys.argv[1:] == ["install", "mngen[embedded]"], sys.argv
"""
_MNGEN = """\
#!{python}
import sys

from mngen.cli import main

sys.exit(main())
"""


def blocks() -> dict[str, Any]:
    """Read the workflows of the page by the heading above them."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"(?ms)^## (\w+)$.*?^```yaml\n(.*?)^```", text)
    return {heading: yaml.safe_load(text) for heading, text in found}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with a spec and its tree, whose environment gets more nodes than it has."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "mngen.yaml").write_text(CHANGED, encoding="utf-8")
    assert mngen_here("render", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a runner has: programs, no credentials but those of the workflow, no metadata."""
    before, after = (
        written(require(load_text(text.encode()), load_catalog()).spec) for text in (SPEC, CHANGED)
    )
    record = {"actions": ["update"], "before": before, "after": after}
    address = "module.environment_mpi[0].aws_batch_compute_environment.this"
    blocks = [{"compute_resources": [{"max_vcpus": nodes * 96}]} for nodes in (4, 8)]
    change = {"actions": ["update"], "before": blocks[0], "after": blocks[1]}
    resource = {"address": address, "mode": "managed", "type": "aws_batch_compute_environment"}
    plan = tmp_path / "plan.json"
    data = {"resource_changes": [{**resource, "change": change}]}
    plan.write_text(json.dumps({**data, "output_changes": {"spec": record}}), encoding="utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    values = {"python": sys.executable, "plan": str(plan), "seen": str(tmp_path / "comment")}
    for name, text in (("terraform", _TERRAFORM), ("gh", _GH), ("pip", _PIP), ("mngen", _MNGEN)):
        (programs / name).write_text(text.format(**values), encoding="utf-8")
        (programs / name).chmod(0o755)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run(line: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line as the runners do: `bash -e`."""
    return subprocess.run(
        ["bash", "-e", "-c", line],
        cwd=folder,
        env=env,
        text=True,
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )


def check_comment(text: str) -> None:
    assert text.startswith("### Plan: 0 to add, 1 to change, 0 to replace, 0 to destroy.\n")
    assert "| `environments.mpi.max_nodes` | `4` | `8` | in-place |" in text
    assert "- **change** `module.environment_mpi[0].aws_batch_compute_environment.this`" in text


def test_the_workflow_for_github(
    repository: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    workflow = blocks()["GitHub"]
    job = workflow["jobs"]["plan"]
    # YAML 1.1 reads `on` as a truth value.
    assert workflow[True]["pull_request"]["paths"] == ["mngen.yaml", "deploy/**"]
    assert workflow["permissions"] == {
        "contents": "read",
        "id-token": "write",
        "pull-requests": "write",
    }
    assert "fork" not in job["if"]
    values = {
        "${{ vars.MNGEN_SOURCE }}": "mngen[embedded]",
        "${{ github.token }}": "secret",
        "${{ github.event.pull_request.number }}": "17",
    }
    lines = [step for step in job["steps"] if "run" in step]
    assert len(lines) == 5
    for step in lines:
        assert "${{" not in step["run"], "an expression in a script is an injection"
        own = {name: values[value] for name, value in step.get("env", {}).items()}
        done = run(step["run"], repository, {**environment, **own})
        assert done.returncode == 0, done.stderr
    number, _, comment = (tmp_path / "comment").read_text("utf-8").partition("\n")
    assert number == "17"
    check_comment(comment)


@pytest.mark.parametrize(
    ("text", "failing"),
    [
        (CHANGED.replace("max_nodes: 8", "max_nodes: 9"), "mngen render --check"),
        (CHANGED.replace("queue: mpi", "queue: mpy"), "mngen check"),
    ],
)
def test_a_pull_request_that_is_wrong_fails(
    text: str, failing: str, repository: Path, environment: dict[str, str]
) -> None:
    (repository / "mngen.yaml").write_text(text, encoding="utf-8")
    for job in (blocks()["GitHub"]["jobs"]["plan"]["steps"], blocks()["GitLab"]["mngen"]["script"]):
        lines = [each.get("run", "") if isinstance(each, dict) else each for each in job]
        for line in [each for each in lines if each.startswith("mngen ")]:
            done = run(line, repository, environment)
            if done.returncode:
                assert line == failing
                break
        else:
            pytest.fail("nothing failed")


class Notes(BaseHTTPRequestHandler):
    """GitLab's notes of a merge request."""

    seen: dict[str, Any]

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.seen |= {"path": self.path, "token": self.headers["PRIVATE-TOKEN"], **parse_qs(text)}
        self.send_response(201 if self.headers["PRIVATE-TOKEN"] == "secret" else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def gitlab() -> Iterator[tuple[str, dict[str, Any]]]:
    seen: dict[str, Any] = {}
    handler = type("Seen", (Notes,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api/v4", seen
        server.shutdown()


@pytest.mark.skipif(lacking("curl") is not None, reason=str(lacking("curl")))
def test_the_job_for_gitlab(
    repository: Path, environment: dict[str, str], gitlab: tuple[str, dict[str, Any]]
) -> None:
    url, seen = gitlab
    job = blocks()["GitLab"]["mngen"]
    given = {
        **environment,
        "AWS_TOKEN": "jwt",
        "AWS_WEB_IDENTITY_TOKEN_FILE": job["variables"]["AWS_WEB_IDENTITY_TOKEN_FILE"].replace(
            "$CI_PROJECT_DIR", str(repository)
        ),
        "MNGEN_SOURCE": "mngen[embedded]",
        "MNGEN_COMMENT_TOKEN": "secret",
        "CI_API_V4_URL": url,
        "CI_PROJECT_ID": "42",
        "CI_MERGE_REQUEST_IID": "7",
    }
    assert set(job["id_tokens"]) == {"AWS_TOKEN"}
    for line in job["script"]:
        done = run(line, repository, given)
        assert done.returncode == 0, done.stderr
    assert (repository / ".aws-token").read_text("utf-8") == "jwt"
    assert seen["path"] == "/api/v4/projects/42/merge_requests/7/notes"
    [comment] = seen["body"]
    check_comment(comment)
    assert job["artifacts"]["paths"] == ["plan.md"]
    refused = run(job["script"][-1], repository, {**given, "MNGEN_COMMENT_TOKEN": "other"})
    assert refused.returncode != 0
