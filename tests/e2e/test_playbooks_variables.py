"""Variables that cannot be baked from are refused, all at once, before a machine is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.playbooks import play, variables

if TYPE_CHECKING:
    from pathlib import Path

MUST = {
    "mngen_base": "it must be amazon-linux-2023 or amazon-linux-2",
    "mngen_efs_id": "it must be the id of a file system, such as fs-0123456789abcdef0",
    "mngen_efs_dns_name": "it must be the DNS name of the file system",
    "mngen_efs_mount": "it must be an absolute path of letters, digits and . _ - /",
    "mngen_efs_tls": "it must be true or false",
    "mngen_efs_iam": "it must be true or false",
    "mngen_efs_access_point": "it must be the id of an access point, such as fsap-0123456789abcdef",
    "mngen_nr_cpus": "it must be the number of physical cores, from 1 to 9999, or 0 for no limit",
    "mngen_efa": "it must be true or false",
    "mngen_efa_installer": "it must be a folder of a bucket, such as s3://software/efa/, or empty",
    "mngen_image": "it must be the name of the image, one line of at most 128 characters",
    "mngen_version": "it must be the version of mngen that bakes",
    "mngen_arch": "it must be x86_64 or arm64",
}
DEFAULTED = {
    "mngen_efs_mount",
    "mngen_efs_tls",
    "mngen_efs_iam",
    "mngen_efs_access_point",
    "mngen_efa",
    "mngen_efa_installer",
}


def test_what_is_not_set_is_named(tmp_path: Path) -> None:
    done = play(tmp_path, {})
    assert done.code == 2
    for name, must in MUST.items():
        said = f'{name} is \\"not set\\"; {must}'
        assert (said in done.words) == (name not in DEFAULTED), name


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(
            {
                "mngen_base": "ubuntu",
                "mngen_efs_id": "fs-0123456789abcdef0; reboot",
                "mngen_efs_dns_name": "a b",
                "mngen_efs_mount": "/efs\n",
                "mngen_efs_tls": "maybe",
                "mngen_efs_iam": "perhaps",
                "mngen_efs_access_point": "fsap-0123456789abcdef0,nosuid",
                "mngen_nr_cpus": -1,
                "mngen_efa": 2,
                "mngen_efa_installer": "s3://b/efa; reboot/",
                "mngen_image": "two\nlines",
                "mngen_version": "",
                "mngen_arch": "riscv",
            },
            id="wrong",
        ),
        pytest.param(
            {
                "mngen_base": ["amazon-linux-2"],
                "mngen_efs_id": "fs-01234567\n",
                "mngen_efs_dns_name": "host:/ /etc nfs4\n",
                "mngen_efs_mount": "/efs/../etc",
                "mngen_efs_tls": None,
                "mngen_efs_iam": [True],
                "mngen_efs_access_point": "fsap-0123",
                "mngen_nr_cpus": "48 init=/bin/sh",
                "mngen_efa": "",
                "mngen_efa_installer": "s3://my-software/efa/\n",
                "mngen_image": "x" * 129,
                "mngen_version": "\x1b[31m",
                "mngen_arch": None,
            },
            id="hostile",
        ),
    ],
)
def test_everything_wrong_is_said_at_once(wrong: dict[str, Any], tmp_path: Path) -> None:
    done = play(tmp_path, variables("amazon-linux-2023", **wrong))
    assert done.code == 2
    for name, must in MUST.items():
        assert f"{name} is " in done.words, name
        assert must in done.words, name
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "asked", [{"mngen_efs_iam": True}, {"mngen_efs_access_point": "fsap-0123456789abcdef0"}]
)
def test_iam_and_access_points_need_tls(asked: dict[str, Any], tmp_path: Path) -> None:
    done = play(tmp_path, variables("amazon-linux-2023", mngen_efs_tls=False, **asked))
    assert done.code == 2
    assert "mounting with IAM or through an access point needs TLS" in done.words


@pytest.mark.parametrize("mount", ["/tmp", "/etc/efs"])
def test_no_mount_over_the_system_or_in_what_is_cleaned(mount: str, tmp_path: Path) -> None:
    done = play(tmp_path, variables("amazon-linux-2023", mngen_efs_mount=mount))
    assert done.code == 2
    assert "mngen_efs_mount" in done.words
    assert "it must be outside the system's own folders, such as /efs" in done.words
