"""The files by which the main node's ssh reaches the child nodes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from mngen_wireup.ssh import authorized_keys, known_hosts, session_script, ssh_config, sshd_config
from tests.support.wireup_parts import HOSTS, KEY

if TYPE_CHECKING:
    from pathlib import Path


def test_ssh_knows_these_hosts_by_these_keys_and_no_others() -> None:
    config = ssh_config(HOSTS, "10.0.1.10", "/d")
    assert "Host 10.0.1.11\n  Port 40001\n" in config
    assert "Host 10.0.1.10" not in config, "the main node does not log in to itself"
    for line in (
        "StrictHostKeyChecking yes",
        "UserKnownHostsFile /d/known_hosts",
        "GlobalKnownHostsFile /dev/null",
        "IdentityFile /d/user",
        "IdentitiesOnly yes",
        "BatchMode yes",
        "BindAddress 10.0.1.10",
    ):
        assert f"  {line}\n" in config
    assert known_hosts(HOSTS) == (
        f"[10.0.1.11]:40001 {HOSTS[1].key}\n[10.0.1.12]:40002 {HOSTS[2].key}\n".replace(
            "10.0.1.12", "10.0.2.12"
        )
    )


def test_main_nodes_key_only_runs_commands_in_the_session() -> None:
    assert authorized_keys("10.0.1.10", "/d", KEY) == (
        f'from="10.0.1.10",restrict,command="exec /bin/sh /d/session" {KEY}\n'
    )
    config = sshd_config("/d").splitlines()
    for line in ("PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no"):
        assert line in config


@pytest.mark.parametrize(
    "value",
    ["", "plain", "it's", "a\nb\n", "$HOME `id` $(id)", '"', "\\", "ü", "'; exit 3; '", "-n"],
)
def test_session_has_the_environment_of_the_container(value: str, tmp_path: Path) -> None:
    inside = tmp_path / "a 'b"
    inside.mkdir()
    env = {"VALUE": value, "PATH": "/usr/bin:/bin", "BASH_FUNC_x%%": "() { :; }", "1X": "y"}
    script = tmp_path / "session"
    script.write_text(session_script(env, str(inside)), encoding="utf-8")
    done = subprocess.run(
        ["/bin/sh", str(script)],
        env={"SSH_ORIGINAL_COMMAND": "PATH=$PATH; printf '%s|' \"$VALUE\"; pwd; exit 7"},
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode() == f"{value}|{inside}\n"
    assert (done.returncode, done.stderr) == (7, b"")
