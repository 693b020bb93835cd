"""The stand-in for mount.efs takes and refuses the options that the real one does.

Expected values: github.com/aws/efs-utils 3.2.0 (def6e74), src/efs_utils_common/constants.py
(NON_NFS_OPTIONS, UNSUPPORTED_OPTIONS), mount_options.py (the words of a refusal, the NFS options),
proxy.py (the command of the tunnel, what the state has) and aws_credentials.py (where a role was
found).
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from mngen.sandbox.machines.stand_ins import mount_efs

if TYPE_CHECKING:
    from pathlib import Path

POINT = "fsap-0123456789abcdef0"


def refused(options: str) -> str | None:
    return mount_efs.wrong_options(parsed(options))


def parsed(options: str) -> dict[str, str | None]:
    pairs = [each.partition("=") for each in options.split(",")]
    return {name: value if has_value else None for name, has_value, value in pairs}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("_netdev,noresvport,tls", None),
        (f"tls,iam,accesspoint={POINT}", None),
        ("rw,notls", None),
        ("capath=/x", 'Unsupported mount options detected: "capath"'),
        ("azid=use1-az1", 'Unsupported mount options detected: "azid"'),
        ("tls,port=2049", 'The "port" and "tls" options are mutually exclusive'),
        ("tls,tlsport=x", "tlsport option [x] is not an integer"),
        ("tls,notls", 'The "tls" and "notls" options are mutually exclusive'),
        (f"accesspoint={POINT}", 'The "tls" option is required when mounting via "accesspoint"'),
        ("tls,accesspoint=fsap-1", "Access Point ID fsap-1 is malformed"),
        ("iam", 'The "tls" option is required when mounting via "iam"'),
        (
            "tls,awsprofile=x",
            'The "iam" option is required when mounting with named profile option, "awsprofile"',
        ),
        ("tls,awscredsuri=/x", 'The "iam" option is required when mounting with "awscredsuri"'),
        ("tls,iam,awscredsuri=x", "awscredsuri x is malformed"),
        ("tls,stunnel", "stunnel: not emulated"),
    ],
)
def test_options_that_do_not_go_together(options: str, words: str | None) -> None:
    assert refused(options) == words


def test_what_is_not_of_nfs_is_not_passed_on() -> None:
    # fmt: off
    not_of_nfs = {
        "accesspoint", "awscredsuri", "awsprofile", "az", "azid", "cafile", "iam", "mounttargetip",
        "netns", "noocsp", "notls", "ocsp", "region", "tls", "tlsport", "verify", "rolearn",
        "jwtpath", "crossaccount", "stunnel", "nodirects3read", "nos3readcache",
    }
    # fmt: on
    assert set(mount_efs.NOT_OF_NFS) == not_of_nfs
    options = {**dict.fromkeys(not_of_nfs), "rw": None, "timeo": "700", "tlsport": "20050"}
    assert mount_efs.nfs_options(options).split(",") == [
        *("rw", "timeo=700", "nfsvers=4.1", "rsize=1048576", "wsize=1048576", "hard"),
        *("retrans=2", "noresvport", "port=20050"),
    ]


@pytest.mark.parametrize(
    "options",
    ["_netdev", "tls", "tls,iam", f"tls,accesspoint={POINT}", f"tls,iam,accesspoint={POINT}"],
)
def test_a_tunnel_with_and_without_tls(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(mount_efs, "STATE", tmp_path / "efs")
    monkeypatch.setattr(mount_efs, "LOG", tmp_path / "mount.log")
    monkeypatch.setattr(mount_efs, "KEY", tmp_path / "privateKey.pem")
    monkeypatch.setattr(mount_efs, "make_key", lambda: None)
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_named: started.append(command))
    chosen = parsed(options)
    path = mount_efs.start_tunnel("fs-0123456789abcdef0", "/efs", chosen)
    port = chosen["tlsport"]
    name = f"fs-0123456789abcdef0.efs.{port}"
    config = str(tmp_path / "efs" / f"stunnel-config.{name}")
    assert path == tmp_path / "efs" / f"~{name}"
    assert 20049 <= int(port or 0) < 21049
    assert started == [["systemctl", "start", "amazon-efs-mount-watchdog.service"]]
    state = json.loads(path.read_text(encoding="utf-8"))
    tls = ["--tls"] if "tls" in chosen else []
    assert state["cmd"] == ["/usr/sbin/efs-proxy", config, *tls, "--no-direct-s3-read"]
    certificate = {
        *("mountStateDir", "commonName", "region", "certificateCreationTime"),
        *("certificate", "privateKey", "fsId"),
    }
    if "accesspoint" in chosen:
        certificate.add("accessPoint")
    if "iam" in chosen:
        certificate.add("awsCredentialsMethod")
        assert state["awsCredentialsMethod"] == "metadata:"
    assert state.keys() == {
        *("pid", "cmd", "files", "mount_time", "mountpoint", "service_type"),
        *(certificate if tls else set()),
    }
    assert (tmp_path / "efs" / f"{name}+").is_dir() is bool(tls)
