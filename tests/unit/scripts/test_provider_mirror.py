from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from scripts import provider_mirror
from scripts.provider_mirror import (
    CONFIG_VARIABLE,
    PROVIDER,
    Mirror,
    cli_config,
    find_mirror,
    implied_directories,
    read_mirror,
    terraform_environment,
    terraform_platform,
    user_cli_config,
    write_cli_config,
)

SCRIPT = Path(provider_mirror.__file__)


class Layout(Protocol):
    def __call__(self, root: Path, version: str, platform: str | None = None) -> Path: ...


def unpacked(root: Path, version: str, platform: str | None = None) -> Path:
    folder = root / PROVIDER / version / (platform or terraform_platform())
    folder.mkdir(parents=True)
    (folder / f"terraform-provider-aws_v{version}_x5").touch()
    return root


def packed(root: Path, version: str, platform: str | None = None) -> Path:
    folder = root / PROVIDER
    folder.mkdir(parents=True, exist_ok=True)
    name = f"terraform-provider-aws_{version}_{platform or terraform_platform()}.zip"
    (folder / name).touch()
    return root


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose home and data folders are empty, so that this machine's do not count."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_DATA_DIRS": str(home / "share"),
        "PATH": os.environ["PATH"],
    }


@pytest.mark.parametrize("layout", [unpacked, packed])
def test_both_layouts_of_a_mirror_are_read(layout: Layout, tmp_path: Path) -> None:
    assert read_mirror(layout(tmp_path, "5.100.0")) == Mirror(tmp_path, "5.100.0")


def test_the_newest_version_counts_by_number_and_releases_come_after_candidates(
    tmp_path: Path,
) -> None:
    for version in ("5.99.1", "5.100.0-beta1", "5.100.0"):
        unpacked(tmp_path, version)
    packed(tmp_path, "5.9.0")
    mirror = read_mirror(tmp_path)
    assert mirror is not None
    assert mirror.version == "5.100.0"


@pytest.mark.parametrize("layout", [unpacked, packed])
def test_a_mirror_for_another_platform_does_not_count(layout: Layout, tmp_path: Path) -> None:
    assert read_mirror(layout(tmp_path, "5.100.0", "plan9_mips")) is None


def test_a_version_whose_binary_is_missing_does_not_count(tmp_path: Path) -> None:
    (tmp_path / PROVIDER / "6.0.0" / terraform_platform()).mkdir(parents=True)
    assert read_mirror(tmp_path) is None


def test_a_folder_without_the_registry_is_no_mirror(tmp_path: Path) -> None:
    assert read_mirror(tmp_path) is None
    assert read_mirror(tmp_path / "absent") is None


def test_implied_directories_come_before_the_walk(environ: dict[str, str], tmp_path: Path) -> None:
    implied = unpacked(Path(environ["HOME"]) / ".terraform.d" / "plugins", "5.1.0")
    start = tmp_path / "disk"
    unpacked(start / "opt", "5.2.0")
    assert find_mirror(environ, [start]) == Mirror(implied, "5.1.0")


@pytest.mark.skipif(sys.platform == "darwin", reason="XDG folders are not used on macOS")
def test_implied_directories_follow_the_xdg_folders(environ: dict[str, str]) -> None:
    home = Path(environ["HOME"])
    assert implied_directories(environ) == [
        home / ".terraform.d" / "plugins",
        home / "data" / "terraform" / "plugins",
        home / "share" / "terraform" / "plugins",
    ]


def test_the_walk_finds_the_mirror_that_is_nearest(environ: dict[str, str], tmp_path: Path) -> None:
    start = tmp_path / "disk"
    unpacked(start / "a" / "b" / "c", "5.2.0")
    near = unpacked(start / "z", "5.1.0")
    assert find_mirror(environ, [start]) == Mirror(near, "5.1.0")


@pytest.mark.parametrize("name", ["node_modules", ".git", ".terraform"])
def test_the_walk_leaves_out_trees_that_hold_no_mirror(
    name: str, environ: dict[str, str], tmp_path: Path
) -> None:
    start = tmp_path / "disk"
    unpacked(start / name / "providers", "5.1.0")
    assert find_mirror(environ, [start]) is None


def test_the_walk_survives_link_loops_and_unreadable_folders(
    environ: dict[str, str], tmp_path: Path
) -> None:
    start = tmp_path / "disk"
    (start / "closed").mkdir(parents=True)
    (start / "loop").symlink_to(start)
    (start / "closed").chmod(0)
    mirror = unpacked(start / "opt", "5.1.0")
    try:
        assert find_mirror(environ, [start, tmp_path / "absent"]) == Mirror(mirror, "5.1.0")
    finally:
        (start / "closed").chmod(0o700)


def test_the_config_takes_the_provider_from_the_mirror_alone(tmp_path: Path) -> None:
    config = tmp_path / "deep" / "terraform.rc"
    write_cli_config(Mirror(tmp_path, "5.100.0"), config)
    assert config.read_text(encoding="utf-8").splitlines() == [
        "provider_installation {",
        "  filesystem_mirror {",
        f'    path    = "{tmp_path}"',
        '    include = ["registry.terraform.io/hashicorp/aws"]',
        "  }",
        "  direct {",
        '    exclude = ["registry.terraform.io/hashicorp/aws"]',
        "  }",
        "}",
    ]


def test_the_config_escapes_the_path() -> None:
    odd = Path('/mir"ror\\with\nbreaks and ünïcode')
    quoted = re.search(r"path    = (.*)", cli_config(Mirror(odd, "5.100.0")))
    assert quoted is not None
    assert json.loads(quoted[1]) == str(odd)


def test_a_config_of_the_users_own_is_left_alone(environ: dict[str, str], tmp_path: Path) -> None:
    own = tmp_path / "own.rc"
    own.touch()
    environ[CONFIG_VARIABLE] = str(own)
    written = tmp_path / "ours.rc"
    assert terraform_environment(environ, written) == environ
    assert not written.exists()


def test_the_users_default_config_counts_as_their_own(environ: dict[str, str]) -> None:
    assert user_cli_config(environ) is None
    default = Path(environ["HOME"]) / ".terraformrc"
    default.touch()
    assert user_cli_config(environ) == default


def test_a_config_that_does_not_exist_is_replaced(environ: dict[str, str], tmp_path: Path) -> None:
    unpacked(Path(environ["HOME"]) / ".terraform.d" / "plugins", "5.1.0")
    environ[CONFIG_VARIABLE] = str(tmp_path / "absent.rc")
    written = tmp_path / "ours.rc"
    assert terraform_environment(environ, written)[CONFIG_VARIABLE] == str(written)
    assert "filesystem_mirror" in written.read_text(encoding="utf-8")


def test_without_a_mirror_terraform_is_left_to_the_registry(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_mirror, "find_mirror", lambda _environ: None)
    environ[CONFIG_VARIABLE] = str(tmp_path / "absent.rc")
    assert CONFIG_VARIABLE not in terraform_environment(environ, tmp_path / "ours.rc")


def run(*arguments: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_writes_a_config_and_prints_the_version(
    environ: dict[str, str], tmp_path: Path
) -> None:
    unpacked(Path(environ["HOME"]) / ".terraform.d" / "plugins", "5.1.0")
    done = run("--write", str(tmp_path / "rc"), environ=environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5.1.0\n", "")
    assert (tmp_path / "rc").is_file()


def test_the_command_runs_another_with_the_config_and_its_exit_code(
    environ: dict[str, str], tmp_path: Path
) -> None:
    unpacked(Path(environ["HOME"]) / ".terraform.d" / "plugins", "5.1.0")
    script = f'echo "${CONFIG_VARIABLE}"; exit 7'
    done = run("--write", str(tmp_path / "rc"), "--run", "sh", "-c", script, environ=environ)
    assert (done.returncode, done.stdout) == (7, f"{tmp_path / 'rc'}\n")


def test_the_command_says_in_a_line_what_it_cannot_run(
    environ: dict[str, str], tmp_path: Path
) -> None:
    unpacked(Path(environ["HOME"]) / ".terraform.d" / "plugins", "5.1.0")
    done = run("--write", str(tmp_path / "rc"), "--run", "no-such-program", environ=environ)
    assert done.returncode == 127
    assert done.stderr == "cannot run no-such-program: No such file or directory\n"


def test_the_command_says_in_a_line_that_there_is_no_mirror(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(provider_mirror, "find_mirror", lambda: None)
    assert provider_mirror.main([]) == 1
    assert capsys.readouterr().err == "no filesystem mirror of hashicorp/aws on this machine\n"
