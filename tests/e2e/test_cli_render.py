"""`mngen init`, `render` and `schema` as a user runs them: exit codes, streams, no traceback."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mngen import __version__, _resources
from mngen.spec import schema
from tests.support.cli import CHECKOUT, mngen, read_tree

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = CHECKOUT[0]
SPEC = """\
name: test
region: us-east-1
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  q: {environments: [r5]}
jobs:
  hello: {queue: q, command: [echo, "ł🧪"]}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a spec in it."""
    (tmp_path / "mngen.yaml").write_text(SPEC, encoding="utf-8")
    return tmp_path


def shell(script: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which `mngen` is a command, as in a user's shell."""
    return subprocess.run(
        ["bash", "-c", f'mngen() {{ "{PROGRAM}" "$@"; }}\n{script}'],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_render_writes_says_so_and_is_done(here: Path) -> None:
    first = mngen("render", cwd=here)
    assert (first.returncode, first.stdout) == (0, "")
    count = len(read_tree(here / "deploy")) - 1
    assert first.stderr == (
        f"deploy: {count} files, {count} added\nnext: mngen plan --out deploy\n"
    )
    second = mngen("render", cwd=here)
    assert (second.returncode, second.stderr) == (0, f"deploy: {count} files, up to date\n")
    assert sorted(path.name for path in here.iterdir()) == ["deploy", "mngen.yaml"]


def test_render_shows_warnings_on_standard_error(here: Path) -> None:
    spec = SPEC + "image: {base: amazon-linux-2}\n"
    (here / "mngen.yaml").write_text(spec, encoding="utf-8")
    done = mngen("render", cwd=here)
    assert (done.returncode, done.stdout) == (0, "")
    assert "warning[MN106]: " in done.stderr
    assert "mngen.yaml:9:" in done.stderr


def test_check_is_quiet_when_all_is_well(here: Path) -> None:
    mngen("render", cwd=here)
    done = mngen("render", "--check", cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_says_4_and_shows_what_would_change(here: Path) -> None:
    mngen("render", cwd=here)
    before = read_tree(here)
    (here / "mngen.yaml").write_text(SPEC.replace("max_nodes: 4", "max_nodes: 5"), encoding="utf-8")
    done = mngen("render", "--check", cwd=here)
    assert done.returncode == 4
    assert done.stdout.startswith(
        "--- a/terraform/environments.tf\n+++ b/terraform/environments.tf\n@@ "
    )
    assert re.search(r"^-  max_vcpus += 192$", done.stdout, re.MULTILINE)
    assert re.search(r"^\+  max_vcpus += 240$", done.stdout, re.MULTILINE)
    assert done.stderr == (
        "error: deploy does not match mngen.yaml: 2 changed\n"
        "  help: run mngen render --file mngen.yaml --out deploy and commit the result\n"
    )
    assert read_tree(here / "deploy") == {
        path.removeprefix("deploy/"): content
        for path, content in before.items()
        if path.startswith("deploy/")
    }

    diff = mngen("render", "--diff", cwd=here)
    assert (diff.returncode, diff.stdout, diff.stderr) == (0, done.stdout, "")


def test_check_before_the_first_render_says_4(here: Path) -> None:
    done = mngen("render", "--check", "--out", "not/there", cwd=here)
    assert done.returncode == 4
    assert "added" in done.stderr
    assert not (here / "not").exists()


def test_json(here: Path) -> None:
    def run(*options: str, code: int = 0) -> Any:
        done = mngen("render", "--format", "json", *options, cwd=here)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    planned = run("--check", code=4)
    assert planned["diff"].startswith("--- /dev/null\n")
    written = run()
    assert planned == written
    assert written["added"] == sorted(set(read_tree(here / "deploy")) - {".mngen/manifest.json"})
    assert run("--check") == {"added": [], "changed": [], "removed": [], "edited": [], "diff": ""}


def test_a_hand_edit_is_refused_until_told(here: Path) -> None:
    mngen("render", cwd=here)
    edited = here / "deploy" / "terraform" / "main.tf"
    rendered = edited.read_bytes()
    edited.write_text("mine", encoding="utf-8")
    refused = mngen("render", cwd=here)
    assert refused.returncode == 1
    assert "edited by hand since the last render: deploy/terraform/main.tf" in refused.stderr
    assert edited.read_text(encoding="utf-8") == "mine"
    assert mngen("render", "--check", cwd=here).returncode == 4
    assert mngen("render", "--overwrite", cwd=here).returncode == 0
    assert edited.read_bytes() == rendered


@pytest.mark.parametrize(
    ("provider", "word"), [("5", "compute_environment_name_prefix"), ("6", "  name_prefix")]
)
def test_provider(here: Path, provider: str, word: str) -> None:
    assert mngen("render", "--provider", provider, cwd=here).returncode == 0
    module = here / "deploy/terraform/modules/compute_environment/main.tf"
    assert word in module.read_text(encoding="utf-8")


def test_all_that_is_wrong_comes_at_once_and_nothing_is_written(here: Path) -> None:
    (here / "mngen.yaml").write_text(
        SPEC.replace("r5.12xlarge", "r5.13xlarge").replace("[r5]", "[r6]") + "nam: x\n",
        encoding="utf-8",
    )
    done = mngen("render", cwd=here)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("\n3 problems\n")
    for message in ("mngen.yaml:4:", "mngen.yaml:6:", "mngen.yaml:9:1", "did you mean `name`?"):
        assert message in done.stderr
    assert not (here / "deploy").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["-h"], 0),
        (["render", "--help"], 0),
        ([], 2),
        (["rendr"], 2),
        (["render", "--nope"], 2),
        (["render", "extra"], 2),
        (["render", "--provider", "7"], 2),
        (["render", "--format", "xml"], 2),
        (["render", "--file"], 2),
        (["render", "--file", "none.yaml"], 1),
        (["render", "--file", "."], 1),
        (["render", "--out", "mngen.yaml"], 1),
        (["render", "--out", "."], 0),
        (["render", "--out", ""], 0),
        (["render", "--out", "mngen.yaml/deploy"], 3),
        (["render", "--out", "/proc/deploy"], 3),
        (["init"], 1),
        (["init", "--file", "no/such/folder.yaml"], 3),
        (["init", "--file", "new.yaml", "--name", "Not A Name"], 1),
        (["init", "--file", "new.yaml", "--name", "a # b"], 1),
        (["init", "--file", "new.yaml", "--name", "a\nregion: eu-west-1"], 1),
        (["init", "--file", "new.yaml", "--name", ""], 0),
        (["init", "--file", "new.yaml", "--region", "mars"], 1),
        (["init", "--file", "new.yaml", "--region", "us-east-1 # x"], 1),
        (["schema", "extra"], 2),
    ],
    ids=str,
)
def test_exit_codes(here: Path, arguments: list[str], code: int) -> None:
    before = read_tree(here)
    done = mngen(*arguments, cwd=here)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert done.stderr.startswith("error") or not arguments
        assert "mngen crashed" not in done.stderr
        assert read_tree(here) == before


def test_version(here: Path) -> None:
    assert mngen("--version", cwd=here).stdout == f"mngen {__version__}\n"


def test_init_writes_what_renders(tmp_path: Path) -> None:
    folder = tmp_path / "My 2nd Cluster (new)"
    folder.mkdir()
    done = mngen("init", "--region", "eu-central-1", cwd=folder, program=CHECKOUT)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("wrote mngen.yaml\nnext: ")
    data = yaml.safe_load((folder / "mngen.yaml").read_text(encoding="utf-8"))
    assert (data["name"], data["region"]) == ("my-2nd-cluster-new", "eu-central-1")
    rendered = mngen("render", cwd=folder)
    assert rendered.returncode == 0
    assert "warning" not in rendered.stderr

    again = mngen("init", cwd=folder)
    assert again.returncode == 1
    assert "already exists" in again.stderr


@pytest.mark.parametrize("name", ["no", "null", "on", "true", "y", "1e3", "0x1f", "データ", "---"])
def test_init_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    assert mngen("init", cwd=folder).returncode == 0
    data = yaml.safe_load((folder / "mngen.yaml").read_text(encoding="utf-8"))
    assert isinstance(data["name"], str)
    assert mngen("render", cwd=folder).returncode == 0


def test_init_does_not_follow_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").symlink_to(tmp_path / "elsewhere")
    assert mngen("init", cwd=tmp_path).returncode == 1
    assert not (tmp_path / "elsewhere").exists()


def test_schema(here: Path) -> None:
    done = mngen("schema", cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(json.dumps(schema()))


@pytest.mark.parametrize("command", ["schema", "render --diff", "--help", "render --help"])
def test_a_reader_that_has_seen_enough_is_no_error(here: Path, command: str) -> None:
    done = shell(f"mngen {command} | head -c 1; echo ${{PIPESTATUS[0]}}", here)
    assert done.stdout[1:] == "0\n"
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["schema", "render --diff", "--help", "--version"])
def test_a_full_disk_under_the_output_is_said(here: Path, command: str) -> None:
    done = shell(f"mngen {command} > /dev/full", here)
    assert done.returncode == 3
    assert done.stderr == "error: cannot write the output: No space left on device\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [("schema", 0), ("render --diff", 0), ("render", 0), ("rendr", 2), ("render -f x", 1)],
)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-"])
def test_closed_streams(here: Path, command: str, code: int, closed: str) -> None:
    done = shell(f"mngen {command} {closed}", here)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "mngen crashed" not in done.stderr


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii"},
    ],
    ids=str,
)
def test_another_locale_fails_nothing(here: Path, locale: dict[str, str]) -> None:
    done = subprocess.run(
        [PROGRAM, "render", "--diff"],
        cwd=here,
        env={**os.environ, **locale},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"echo" in done.stdout
    written = mngen("render", cwd=here, env={**os.environ, **locale})
    assert written.returncode == 0, written.stderr
    assert "ł🧪" in (here / "deploy/terraform/jobs.tf").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["render", "init", "render --check", "schema", "--help"])
def test_a_folder_that_is_gone(tmp_path: Path, command: str) -> None:
    done = shell(f"mkdir gone; cd gone; rmdir ../gone; mngen {command}", tmp_path)
    assert done.returncode == (0 if command in {"schema", "--help"} else 1)
    assert "mngen crashed" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_crash_is_kept_in_a_log_and_off_the_terminal(here: Path) -> None:
    (here / "tmp").mkdir()
    # No input is known that crashes it, so this one is made to.
    script = (
        "import mngen.render\n"
        "mngen.render.render = lambda *_, **__: 1 / 0\n"
        "from mngen.cli import main; main()\n"
    )

    def crash(**env: str) -> subprocess.CompletedProcess[str]:
        return mngen(
            "render", cwd=here, program=[sys.executable, "-c", script], env={**os.environ, **env}
        )

    done = crash(TMPDIR=str(here / "tmp"))
    assert done.returncode == 3
    assert done.stdout == ""
    (log,) = (here / "tmp").glob("mngen-crash-*.log")
    assert done.stderr == (
        "error: mngen crashed; this is a bug, not an error in your spec\n"
        f"  help: the details are in {log}; please report it\n"
    )
    assert "Traceback (most recent call last)" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o077 == 0
    assert not (here / "deploy").exists()


def test_ctrl_c_says_130(here: Path) -> None:
    fifo = here / "slow.yaml"
    os.mkfifo(fifo)
    # Opened for writing once it is opened for reading: then mngen waits for the spec.
    with (
        subprocess.Popen(
            [PROGRAM, "render", "--file", fifo.name],
            cwd=here,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running,
        fifo.open("wb"),
    ):
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (130, "")
    assert err in {"", "interrupted\n"}
    assert not (here / "deploy").exists()


def on_a_terminal(arguments: list[str], cwd: Path, env: dict[str, str]) -> str:
    """Run mngen with its output on a terminal, and return what it showed there."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, *arguments], cwd=cwd, env=env, stdout=follower, stderr=follower
    ) as running:
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        running.wait(30)
    os.close(leader)
    return shown.decode()


@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("arguments", [["render", "--diff"], ["render", "--file", "none"]], ids=str)
def test_colour(here: Path, arguments: list[str], env: dict[str, str], *, coloured: bool) -> None:
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    shown = on_a_terminal(arguments, here, clean | env)
    assert ("\x1b[" in shown) is coloured


def test_no_colour_without_a_terminal(here: Path) -> None:
    for arguments in (["render", "--diff"], ["render", "--file", "none"]):
        done = mngen(*arguments, cwd=here, env={**os.environ, "TERM": "xterm"})
        assert "\x1b" not in done.stdout + done.stderr


HEAVY = {"boto3", "botocore", "jinja2", "yaml", "msgspec", "moto", "rich", "python_terraform"}


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], []),
        (["--version"], []),
        (["render", "--help"], []),
        (["rendr"], []),
        (["schema"], ["msgspec", "yaml"]),
        (["render"], ["jinja2", "msgspec", "yaml"]),
    ],
    ids=str,
)
def test_no_command_imports_what_it_does_not_need(
    here: Path, arguments: list[str], allowed: list[str]
) -> None:
    script = (
        "import sys\n"
        "from mngen.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr)\n"
    )
    done = mngen(*arguments, cwd=here, program=[sys.executable, "-c", script])
    found = set(yaml.safe_load(done.stderr.splitlines()[-1]))
    assert found <= set(allowed)


def test_a_spec_by_another_name_is_named_in_every_file(here: Path) -> None:
    (here / "mngen.yaml").rename(here / "our cluster.yaml")
    done = mngen("render", "--file", "our cluster.yaml", "--out", "a b/c", cwd=here)
    assert done.returncode == 0
    for path, content in read_tree(here / "a b" / "c" / "terraform").items():
        assert b"from our cluster.yaml. Edit that" in content.split(b"\n")[0], path


def test_examples_are_where_the_package_says() -> None:
    assert {path.name for path in _resources.examples().glob("*.yaml")} >= {
        "minimal.yaml",
        "tutorial.yaml",
    }
    minimal = (_resources.examples() / "minimal.yaml").read_text(encoding="utf-8")
    assert len(minimal.splitlines()) < 12
