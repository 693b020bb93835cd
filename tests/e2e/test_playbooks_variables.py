"""Variables that cannot be baked from are refused, all at once, before a machine is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.playbooks import play_each, variables

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
    "mngen_efa_version": "it must be a version of the EFA installer, such as 1.49.0, or empty",
    "mngen_efa_installer": "it must be a folder of a bucket, such as s3://software/efa/, or empty",
    "mngen_gpu": "it must be true or false",
    "mngen_fsx_id": "it must be the id of a file system, such as fs-0123456789abcdef0, or empty",
    "mngen_fsx_dns_name": "it must be the DNS name of the file system",
    "mngen_fsx_mount_name": "it must be the mount name that `aws fsx describe-file-systems` shows",
    "mngen_fsx_mount": "it must be an absolute path of letters, digits and . _ - /",
    "mngen_fsx_new": "it must be true or false",
    "mngen_fsx_folders": "it must be a list of folders at the top of the file system",
    "mngen_scratch": "it must be an absolute path of letters, digits, _ and /",
    "mngen_packages": "it must be a list of names of packages",
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
    "mngen_efa_version",
    "mngen_gpu",
    "mngen_fsx_id",
    "mngen_fsx_dns_name",
    "mngen_fsx_mount_name",
    "mngen_fsx_mount",
    "mngen_fsx_new",
    "mngen_fsx_folders",
    "mngen_scratch",
    "mngen_packages",
}


WRONG: dict[str, dict[str, Any]] = {
    "wrong": {
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
        "mngen_efa_version": "latest",
        "mngen_gpu": "H100",
        "mngen_fsx_id": "fs-0123456789abcdef0; reboot",
        "mngen_fsx_dns_name": "a b",
        "mngen_fsx_mount_name": "too-long-a-name",
        "mngen_fsx_mount": "/fsx\n",
        "mngen_fsx_new": "maybe",
        "mngen_fsx_folders": ["../etc"],
        "mngen_scratch": "scratch; reboot",
        "mngen_packages": "htop",
        "mngen_image": "two\nlines",
        "mngen_version": "",
        "mngen_arch": "riscv",
    },
    "hostile": {
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
        "mngen_efa_version": "1.49.0\n",
        "mngen_gpu": None,
        "mngen_fsx_id": "fs-01234567\n",
        "mngen_fsx_dns_name": "host@tcp:/ /etc lustre\n",
        "mngen_fsx_mount_name": "a b",
        "mngen_fsx_mount": "/fsx/../etc",
        "mngen_fsx_new": None,
        "mngen_fsx_folders": "results",
        "mngen_scratch": "/scratch\n",
        "mngen_packages": ["htop", "https://example.com/x.rpm"],
        "mngen_image": "x" * 129,
        "mngen_version": "\x1b[31m",
        "mngen_arch": None,
    },
    "iam": {"mngen_efs_tls": False, "mngen_efs_iam": True},
    "access-point": {"mngen_efs_tls": False, "mngen_efs_access_point": "fsap-0123456789abcdef0"},
    "efa-without-amazon-linux-2": {"mngen_base": "amazon-linux-2", "mngen_efa_version": "1.50.0"},
    "gpus-of-arm64": {"mngen_gpu": True, "mngen_arch": "arm64"},
    "one-in-the-other": {"mngen_fsx_id": "fs-0a1b2c3d4e5f60718", "mngen_fsx_mount": "/efs/fast"},
    "over-the-system": {"mngen_efs_mount": "/etc/efs"},
    "in-what-is-cleaned": {"mngen_efs_mount": "/tmp"},
    "scratch-over-the-system": {"mngen_scratch": "/var/lib/docker"},
    "scratch-in-the-file-system": {"mngen_scratch": "/efs/scratch"},
    "file-system-in-scratch": {"mngen_scratch": "/data", "mngen_efs_mount": "/data/efs"},
    "scratch-in-lustre": {
        "mngen_scratch": "/fsx/scratch",
        "mngen_fsx_id": "fs-0a1b2c3d4e5f60718",
        "mngen_fsx_mount": "/fsx",
    },
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one run says of each host, none of which it can connect to."""
    hosts = {name: variables("amazon-linux-2023", **wrong) for name, wrong in WRONG.items()}
    done, found = play_each(tmp_path_factory.mktemp("variables"), {**hosts, "unset": {}})
    assert done.code == 2, done.output
    assert "Traceback" not in done.output
    assert found.keys() == {*WRONG, "unset"}, done.output
    assert all(each.output.startswith("FAILED! => ") for each in found.values()), done.output
    return {name: each.words for name, each in found.items()}


def test_what_is_not_set_is_named(said: dict[str, str]) -> None:
    for name, must in MUST.items():
        expected = f'{name} is \\"not set\\"; {must}'
        assert (expected in said["unset"]) == (name not in DEFAULTED), name


@pytest.mark.parametrize("case", ["wrong", "hostile"])
def test_everything_wrong_is_said_at_once(case: str, said: dict[str, str]) -> None:
    for name, must in MUST.items():
        assert f"{name} is " in said[case], name
        assert must in said[case], name


@pytest.mark.parametrize("case", ["iam", "access-point"])
def test_iam_and_access_points_need_tls(case: str, said: dict[str, str]) -> None:
    assert "mounting with IAM or through an access point needs TLS" in said[case]


def test_gpus_need_x86_64(said: dict[str, str]) -> None:
    assert "there is a GPU-optimized image for x86_64 only" in said["gpus-of-arm64"]


def test_a_version_of_efa_supports_the_base(said: dict[str, str]) -> None:
    assert (
        "the last EFA installer for Amazon Linux 2 is 1.49.0" in said["efa-without-amazon-linux-2"]
    )
    assert "the last EFA installer" not in said["wrong"]


def test_one_file_system_is_not_mounted_in_the_other(said: dict[str, str]) -> None:
    assert "neither it nor mngen_efs_mount may be inside the other" in said["one-in-the-other"]


def test_scratch_is_separate(said: dict[str, str]) -> None:
    assert "it must be outside the system's own folders" in said["scratch-over-the-system"]
    for case in ("scratch-in-the-file-system", "file-system-in-scratch", "scratch-in-lustre"):
        assert "one must not be in the other" in said[case]


@pytest.mark.parametrize("case", ["over-the-system", "in-what-is-cleaned"])
def test_no_mount_over_the_system_or_in_what_is_cleaned(case: str, said: dict[str, str]) -> None:
    assert "mngen_efs_mount" in said[case]
    assert "it must be outside the system's own folders, such as /efs" in said[case]
