"""The workflows of docs/pull-requests.md do what the page says: each of their lines is run.

mngen is the real one; the job for GitLab starts it as a runner does. Stand-ins take the place of
what is not here: pip, Terraform (by the format of its JSON plan,
https://developer.hashicorp.com/terraform/internals/json-format), gh (by the options of gh-api(1)
and the routes of https://docs.github.com/en/rest/issues/comments; jq runs its filter), and, for
curl, an HTTP server with the one route of GitLab
(https://docs.gitlab.com/api/notes/#create-new-merge-request-note).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
import yaml

from mngen._files import cache_home
from mngen.catalog import load_catalog
from mngen.rules import require
from mngen.spec import load_text, written
from tests.support.cli import mngen_here
from tests.support.needs import lacking
from tests.support.serving import serve

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
import argparse, json, os, pathlib, re, subprocess, sys

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("command", choices=["api"])
parser.add_argument("endpoint")
parser.add_argument("-X", "--method", default=None)
parser.add_argument("-F", "--field", action="append", default=[])
parser.add_argument("-q", "--jq")
parser.add_argument("--paginate", action="store_true")
parser.add_argument("--silent", action="store_true")
asked = parser.parse_args()
assert os.environ["GH_TOKEN"]
seen = pathlib.Path({seen!r})
comments = json.loads(seen.read_text())
method = asked.method or ("POST" if asked.field else "GET")
if method == "GET":
    assert asked.paginate and asked.endpoint == "repos/lab/hpc/issues/17/comments", asked
    # A page at a time, as gh does.
    for start in range(0, len(comments), 2):
        page = json.dumps(comments[start : start + 2])
        subprocess.run(["jq", "-r", asked.jq], input=page, text=True, check=True)
    sys.exit()
[field] = asked.field
name, value = field.split("=", 1)
assert name == "body" and value.startswith("@"), field
body = pathlib.Path(value[1:]).read_text()
if method == "POST":
    assert asked.endpoint == "repos/lab/hpc/issues/17/comments", asked
    bot = {{"login": "github-actions[bot]"}}
    comments.append({{"id": 100 + len(comments), "user": bot, "body": body}})
else:
    number = re.fullmatch("repos/lab/hpc/issues/comments/([0-9]+)", asked.endpoint)
    assert method == "PATCH" and number, asked
    [comment] = [each for each in comments if each["id"] == int(number[1])]
    comment["body"] = body
seen.write_text(json.dumps(comments))
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
        # Where templates are compiled already: that takes longer than all else.
        "XDG_CACHE_HOME": str(cache_home().parent),
    }


def run_here(line: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line as `run` does. One of mngen alone runs in this process, without its start."""
    plain = re.fullmatch(r"mngen ([\w -]+?)(?: > ([\w.]+))?", line)
    if plain is None:
        return run(line, folder, env)
    done = mngen_here(*plain[1].split(), cwd=folder, env=env)
    if plain[2]:
        (folder / plain[2]).write_text(done.stdout, encoding="utf-8")
    return done


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
    head = "### Plan: 0 to add, 1 to change, 0 to replace, 0 to destroy."
    assert text.startswith(f"<!-- mngen plan -->\n\n{head}\n")
    assert "| `environments.mpi.max_nodes` | `4` | `8` | in-place |" in text
    assert "- **change** `module.environment_mpi[0].aws_batch_compute_environment.this`" in text


def on_github(
    repository: Path, environment: dict[str, str], *, commit: str = "0123abcd"
) -> list[str]:
    """Run the steps as GitHub does, and return those that failed."""
    values = {
        "${{ vars.MNGEN_SOURCE }}": "mngen[embedded]",
        "${{ github.token }}": "secret",
        "${{ github.event.pull_request.number }}": "17",
        "${{ github.event.pull_request.head.sha }}": commit,
        "${{ github.server_url }}/${{ github.repository }}/actions/runs/${{ github.run_id }}": (
            "https://github.com/lab/hpc/actions/runs/5"
        ),
    }
    failed: list[str] = []
    # A checkout of each run is new.
    (repository / "plan.md").unlink(missing_ok=True)
    for step in [each for each in blocks()["GitHub"]["jobs"]["plan"]["steps"] if "run" in each]:
        assert "${{" not in step["run"], "an expression in a script is an injection"
        if failed and step.get("if") != "${{ !cancelled() }}":
            continue
        own = {name: values[value] for name, value in step.get("env", {}).items()}
        given = {**environment, "GITHUB_REPOSITORY": "lab/hpc", **own}
        done = run_here(step["run"], repository, given)
        if done.returncode:
            failed.append(step["run"] + done.stderr)
    return failed


@pytest.mark.skipif(lacking("jq") is not None, reason=str(lacking("jq")))
def test_the_workflow_for_github(
    repository: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    workflow = blocks()["GitHub"]
    job = workflow["jobs"]["plan"]
    # YAML 1.1 reads `on` as a truth value. Files besides the spec and its tree count too.
    assert workflow[True] == {"pull_request": None}
    assert job["concurrency"] == {"group": "mngen-state"}
    assert workflow["permissions"] == {
        "contents": "read",
        "id-token": "write",
        "pull-requests": "write",
    }
    assert "fork" not in job["if"]
    # Other workflows and people comment too, also with the first line of ours.
    bot, marker = "github-actions[bot]", "<!-- mngen plan -->"
    others = [
        {"id": 1, "user": {"login": "jane"}, "body": f"{marker} what is this?"},
        {"id": 2, "user": {"login": bot}, "body": "Coverage: 97 %"},
        {"id": 3, "user": {"login": bot}, "body": f"as {marker} has it"},
    ]
    seen = tmp_path / "comment"
    seen.write_text(json.dumps(others), encoding="utf-8")
    assert on_github(repository, environment) == []
    *before, made = json.loads(seen.read_text("utf-8"))
    assert before == others
    check_comment(made["body"])
    run_of = "([run](https://github.com/lab/hpc/actions/runs/5))"
    assert made["body"].endswith(f"\n\nCommit 0123abcd {run_of}\n")
    # The next one of another workflow is later; ours is found and changed even so.
    others += [made, {"id": 104, "user": {"login": bot}, "body": "Coverage: 98 %"}]
    seen.write_text(json.dumps(others), encoding="utf-8")
    assert on_github(repository, environment, commit="4567ef") == []
    again = json.loads(seen.read_text("utf-8"))
    assert made["body"].replace("0123abcd", "4567ef") == again[3]["body"]
    assert again[:3] + again[4:] == others[:3] + others[4:]
    # A plan that fails must not leave the former one as if it were of this commit.
    (repository / "mngen.yaml").write_text(CHANGED.replace("queue: mpi", "queue: mpy"), "utf-8")
    [failed] = on_github(repository, environment, commit="89")
    assert failed.startswith("mngen check")
    ours = json.loads(seen.read_text("utf-8"))[3]
    assert ours["body"] == f"{marker}\n\n### The plan has failed\n\nCommit 89 {run_of}\n"


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
            done = run_here(line, repository, environment)
            if done.returncode:
                assert line == failing
                break
        else:
            pytest.fail("nothing failed")


class Notes(BaseHTTPRequestHandler):
    """GitLab's notes of a merge request."""

    # That of GitLab. With an older one, curl waits a second for leave to send its text.
    protocol_version = "HTTP/1.1"
    seen: dict[str, Any]

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.seen |= {"path": self.path, "token": self.headers["PRIVATE-TOKEN"], **parse_qs(text)}
        self.send_response(201 if self.headers["PRIVATE-TOKEN"] == "secret" else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def gitlab() -> Iterator[tuple[str, dict[str, Any]]]:
    seen: dict[str, Any] = {}
    handler = type("Seen", (Notes,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serve(server)
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
        "CI_COMMIT_SHA": "0123abcd",
    }
    [rule] = job["rules"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rule["if"]
    assert job["resource_group"] == "mngen-state"
    assert set(job["id_tokens"]) == {"AWS_TOKEN"}
    for line in job["script"]:
        done = run(line, repository, given)
        assert done.returncode == 0, done.stderr
    assert (repository / ".aws-token").read_text("utf-8") == "jwt"
    assert seen["path"] == "/api/v4/projects/42/merge_requests/7/notes"
    [comment] = seen["body"]
    check_comment(comment)
    assert comment.endswith("\n\nCommit 0123abcd\n")
    assert job["artifacts"]["paths"] == ["plan.md"]
    refused = run(job["script"][-1], repository, {**given, "MNGEN_COMMENT_TOKEN": "other"})
    assert refused.returncode != 0
