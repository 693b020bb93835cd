"""The hooks for a user's repository, run by the real pre-commit on one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.cli import mngen
from tests.support.needs import skip_without

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    env |= {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(cwd.parent / "pre-commit"),
    }
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A user's repository: a spec, its rendered tree, and our hooks.

    The hooks are those of the manifest, but with this environment's mngen: that pre-commit can
    install a package is its own business.
    """
    skip_without("git")
    folder = tmp_path / "repository"
    folder.mkdir()
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    local = [{**hook, "language": "system"} for hook in hooks]
    config = {"repos": [{"repo": "local", "hooks": local}]}
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    shutil.copy(ROOT / "examples" / "minimal.yaml", folder / "mngen.yaml")
    done = mngen("render", cwd=folder)
    assert done.returncode == 0, done.stderr
    for command in (("init", "--quiet"), ("add", ".")):
        done = run("git", *command, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("validate-manifest", ".pre-commit-hooks.yaml"),
        ("validate-config", ".pre-commit-config.yaml"),
    ],
)
def test_what_pre_commit_reads_is_valid(command: str, file: str, tmp_path: Path) -> None:
    done = run("pre-commit", command, str(ROOT / file), cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_a_tree_that_is_up_to_date_passes(repository: Path) -> None:
    done = run("pre-commit", "run", "--all-files", cwd=repository)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Passed") == 2


def test_a_changed_spec_without_its_tree_is_refused(repository: Path) -> None:
    spec = repository / "mngen.yaml"
    text = spec.read_text(encoding="utf-8")
    spec.write_text(text + "tags: {changed: by-hand}\n", encoding="utf-8")
    run("git", "add", ".", cwd=repository)
    done = run("pre-commit", "run", cwd=repository)
    assert done.returncode == 1
    assert "exit code: 4" in done.stdout


def test_a_hand_edit_below_deploy_is_refused(repository: Path) -> None:
    edited = next((repository / "deploy").rglob("*.tf"))
    edited.write_text(edited.read_text(encoding="utf-8") + "# by hand\n", encoding="utf-8")
    run("git", "add", ".", cwd=repository)
    done = run("pre-commit", "run", "mngen-render-check", cwd=repository)
    assert done.returncode == 1
    assert edited.name in done.stdout


def test_other_files_do_not_start_the_hooks(repository: Path) -> None:
    (repository / "notes.txt").write_text("nothing of ours\n", encoding="utf-8")
    commit = ("commit", "--quiet", "--no-verify", "--message", "A cluster")
    done = run(
        "git", "-c", "user.name=A", "-c", "user.email=a@example.org", *commit, cwd=repository
    )
    assert done.returncode == 0, done.stderr
    run("git", "add", "notes.txt", cwd=repository)
    done = run("pre-commit", "run", cwd=repository)
    assert done.returncode == 0
    assert done.stdout.count("Skipped") == 2
