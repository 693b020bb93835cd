"""The script that pulls container images into an AMI, with a Docker that records its calls."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml

from mngen._resources import playbooks
from mngen.rules.spec._contents import _REFERENCE
from tests.support.instance import SECRET, TOKEN, serving
from tests.support.needs import skip_without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.instance import Servers

SCRIPT = playbooks() / "roles/preload/files/mngen-preload.sh"
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{HOST}/seismic/mpi@sha256:{'1' * 64}"
OUTSIDE = "quay.io/lab/wave:v1"

# An image is there once it was pulled. What `pull` wrote to the configuration is kept by the test.
DOCKER = """#!/bin/sh
echo "docker $*" >>"$MNGEN_ROOT/calls"
if [ "$3 $4" = "image inspect" ]; then grep -qx "$5" "$MNGEN_ROOT/there"; exit; fi
if [ "$3" = tag ]; then grep -qx "$4" "$MNGEN_ROOT/there"; exit; fi
cat "$2/config.json" >"$MNGEN_ROOT/config" 2>/dev/null
if [ -e "$MNGEN_ROOT/refused" ]; then
  echo "Error response from daemon: pull access denied" >&2
  exit 1
fi
if [ -e "$MNGEN_ROOT/careless" ]; then cp "$2/config.json" "$MNGEN_ROOT/root/"; fi
echo "$5" >>"$MNGEN_ROOT/there"
"""
SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >>"$MNGEN_ROOT/calls"
"""


def accepted() -> str:
    """What the role accepts as an image, with which Ansible's `match` calls `re.match`."""
    text = (SCRIPT.parents[1] / "vars/main.yml").read_text(encoding="utf-8")
    return str(yaml.safe_load(text)["preload_image"])


# Of https://docs.docker.com/reference/cli/docker/image/tag/ and docker/image/pull/
@pytest.mark.parametrize(
    "image",
    [
        "ubuntu:22.04",
        "debian",
        "my_org/app:v1",
        "fedora/httpd:version1.0",
        "myregistryhost:5000/fedora/httpd:version1.0",
        f"ubuntu@sha256:{'2' * 64}",
        IMAGE,
    ],
)
def test_what_check_accepts_is_accepted_by_the_role(image: str) -> None:
    assert re.match(accepted(), image)
    assert accepted() == _REFERENCE.pattern


@pytest.mark.parametrize("image", ["", "-v", "--quiet", "x; reboot", "x:y z", "x@sha256:1"])
def test_no_option_and_no_command_is_accepted(image: str) -> None:
    assert not re.match(accepted(), image)


@dataclass(frozen=True)
class Builder:
    root: Path
    servers: Servers

    def preload(self, *images: str) -> subprocess.CompletedProcess[str]:
        url = f"http://127.0.0.1:{self.servers.server_port}"
        return subprocess.run(
            ["/bin/sh", str(SCRIPT), *images],
            env={
                "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
                "MNGEN_ROOT": str(self.root),
                "MNGEN_METADATA": url,
                "MNGEN_ECR": url,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return (self.root / "calls").read_text(encoding="utf-8").splitlines()

    @property
    def login(self) -> str:
        return base64.b64encode(f"AWS:{self.servers.password}".encode()).decode()


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Builder]:
    skip_without("curl")
    for name in ("bin", "etc/docker", "home", "opt", "root", "run", "tmp", "var/tmp", "var/log"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "var/lib/docker/image").mkdir(parents=True)
    for name, text in (("docker", DOCKER), ("systemctl", SYSTEMCTL)):
        program = tmp_path / "bin" / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    (tmp_path / "there").touch()
    with serving() as servers:
        yield Builder(tmp_path, servers)


def test_it_pulls_with_a_login_that_is_gone_afterwards(builder: Builder) -> None:
    named = builder.root / "var/lib/docker/engine-id"
    named.write_text("c0ffee", encoding="utf-8")
    done = builder.preload(IMAGE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"pulled {IMAGE}\n"
    config = json.loads((builder.root / "config").read_text(encoding="utf-8"))
    assert config == {"auths": {HOST: {"auth": builder.login}}}
    assert list((builder.root / "run").iterdir()) == []
    said = done.stdout + done.stderr + "\n".join(builder.calls)
    for secret in (SECRET, TOKEN, builder.login, builder.servers.password):
        assert secret not in said
    # Each node's Docker makes its own name; and the store is at rest when the AMI is made.
    assert not named.exists()
    assert builder.calls[0] == "systemctl start docker.service"
    assert builder.calls[-1].startswith("systemctl stop ")

    again = builder.preload(IMAGE)
    assert (again.returncode, again.stdout) == (0, f"there {IMAGE}\n")


def test_an_image_outside_ecr_is_pulled_without_a_login(builder: Builder) -> None:
    builder.servers.status = 500
    done = builder.preload(OUTSIDE)
    assert (done.returncode, done.stdout) == (0, f"pulled {OUTSIDE}\n")
    assert (builder.root / "config").read_text(encoding="utf-8") == ""


def test_one_login_serves_all_images_of_a_registry(builder: Builder) -> None:
    second = f"{HOST}/seismic/post@sha256:{'2' * 64}"
    done = builder.preload(IMAGE, OUTSIDE, second)
    assert done.returncode == 0, done.stderr
    config = json.loads((builder.root / "config").read_text(encoding="utf-8"))
    assert list(config["auths"]) == [HOST]


# botocore reads both (botocore/parsers.py, BaseJSONParser._do_error_parse).
@pytest.mark.parametrize("key", ["message", "Message"])
def test_a_role_without_the_right_is_named(builder: Builder, key: str) -> None:
    builder.servers.status = 400
    builder.servers.message_key = key
    done = builder.preload(IMAGE)
    assert done.returncode == 1
    assert "ECR in us-east-1 gives builder no login (status 400): not authorized." in done.stderr
    assert "ecr:GetAuthorizationToken: if mngen created the role, run mngen apply" in done.stderr
    assert list((builder.root / "run").iterdir()) == []


def test_a_curl_that_cannot_sign_is_told(builder: Builder) -> None:
    # Before 7.75.0, curl has no such option (https://curl.se/docs/manpage.html#--aws-sigv4).
    old = builder.root / "bin/curl"
    old.write_text("#!/bin/sh\necho 'curl: option --aws-sigv4: is unknown' >&2\nexit 2\n")
    old.chmod(0o755)
    done = builder.preload(IMAGE)
    assert done.returncode == 1
    assert "the base AMI needs version 7.75 or newer" in done.stderr
    assert builder.preload(OUTSIDE).returncode == 0


def test_each_image_keeps_a_name_that_no_job_has(builder: Builder) -> None:
    assert builder.preload(IMAGE, OUTSIDE).returncode == 0
    assert builder.preload(IMAGE, OUTSIDE).returncode == 0
    tags = [each.split()[3:] for each in builder.calls if each.split()[3:4] == ["tag"]]
    assert tags == 2 * [
        ["tag", IMAGE, "mngen.preload/1:baked"],
        ["tag", OUTSIDE, "mngen.preload/2:baked"],
    ]


def test_a_tag_that_is_there_is_pulled_again(builder: Builder) -> None:
    for _ in range(2):
        assert builder.preload(OUTSIDE).stdout == f"pulled {OUTSIDE}\n"


def test_an_instance_without_a_role_is_told(builder: Builder) -> None:
    del builder.servers.metadata["iam/security-credentials/"]
    done = builder.preload(IMAGE)
    assert done.returncode == 1
    assert "the instance has no role: give it an instance profile" in done.stderr


def test_what_docker_refuses_is_shown(builder: Builder) -> None:
    (builder.root / "refused").touch()
    done = builder.preload(IMAGE)
    assert done.returncode == 1
    assert "pull access denied" in done.stderr
    assert f"{IMAGE} cannot be pulled with the rights of builder: if mngen" in done.stderr
    assert "run mngen apply first" in done.stderr
    assert list((builder.root / "run").iterdir()) == []


def test_a_login_that_stayed_fails_the_bake(builder: Builder) -> None:
    (builder.root / "careless").touch()
    done = builder.preload(IMAGE)
    assert done.returncode == 1
    assert f"the login to ECR was left in {builder.root}/root/config.json" in done.stderr
    assert builder.login not in done.stderr
