"""The verification of GPU drivers, against trees of files as AWS's build scripts leave them.

The names are from https://github.com/aws/amazon-ecs-ami (scripts/al2023/gpu and
scripts/enable-ecs-agent-gpu-support.sh, which spells the name of an archive out) and
https://github.com/dkms-project/dkms (make_tarball).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from mngen._resources import playbooks

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = playbooks() / "roles" / "verify" / "files" / "mngen-gpu-check.sh"
KERNEL = "6.1.172-216.329.amzn2023.x86_64"
NEWER = "6.1.176-220.360.amzn2023.x86_64"
DRIVER = "580.159.03"


@pytest.fixture(params=["sh", "bash"])
def shell(request: pytest.FixtureRequest) -> str:
    """Debian's sh is dash; that of Amazon Linux is bash."""
    name: str = request.param
    found = shutil.which(name)
    if not found:
        pytest.skip(f"there is no {name}")
    return found


class Instance:
    """A GPU-optimized AMI on an instance: its files, and what rpm and grubby answer."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.root = folder / "root"
        self.shell = shell
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.write("var/lib/ecs/ecs.config", "ECS_ENABLE_GPU_SUPPORT=true\n")
        for variant in ("nvidia", "nvidia-proprietary", "nvidia-grid"):
            name = f"{variant}-{DRIVER}-kernel{KERNEL}-x86_64.dkms.tar.gz"
            self.write(f"var/lib/dkms-archive/{variant}/{name}")
        self.write("sys/bus/pci/devices/0000:00:05.0/vendor", "0x1d0f\n")
        self.boots(KERNEL)
        self.has_driver(DRIVER)

    def write(self, path: str, text: str = "") -> None:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def program(self, name: str, text: str) -> None:
        """Put a program in front of the system's."""
        file = self.programs / name
        file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        file.chmod(0o755)

    def boots(self, kernel: str) -> None:
        """Have a kernel start by default."""
        self.program("grubby", f'[ "$*" = --default-kernel ] && echo /boot/vmlinuz-{kernel}')

    def has_driver(self, version: str) -> None:
        """Have a version of the driver's package; empty for none."""
        absent = "echo package nvidia-driver is not installed; exit 1"
        self.program("rpm", f"printf %s {version}" if version else absent)

    def check(self, base: str = "amazon-linux-2023") -> list[str]:
        """Run the script, and return what it prints."""
        done = subprocess.run(
            [self.shell, SCRIPT, base, str(self.root)],
            env={"PATH": f"{self.programs}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()


@pytest.fixture
def instance(tmp_path: Path, shell: str) -> Instance:
    return Instance(tmp_path, shell)


def test_a_builder_without_a_gpu(instance: Instance) -> None:
    assert instance.check() == []


def test_a_kernel_that_was_updated(instance: Instance) -> None:
    instance.boots(NEWER)
    (problem,) = instance.check()
    assert problem.startswith(f"the kernel {NEWER}, which starts by default, has no NVIDIA module")


def test_a_driver_that_was_updated(instance: Instance) -> None:
    instance.has_driver("580.200.01")
    (problem,) = instance.check()
    assert "has no NVIDIA module 580.200.01" in problem


def test_another_image_than_the_gpu_optimized_one(instance: Instance) -> None:
    shutil.rmtree(instance.root / "var")
    instance.write("etc/ecs/ecs.config", "ECS_AWSVPC_BLOCK_IMDS=true\n")
    instance.has_driver("")
    support, driver = instance.check()
    assert support.startswith("the ECS agent does not offer GPUs (ECS_ENABLE_GPU_SUPPORT)")
    assert driver == "the package nvidia-driver is not installed"


def test_support_in_the_users_own_settings_counts(instance: Instance) -> None:
    instance.write("var/lib/ecs/ecs.config", "")
    instance.write("etc/ecs/ecs.config", "A=b\nECS_ENABLE_GPU_SUPPORT=true\n")
    assert instance.check() == []


@pytest.mark.parametrize(
    ("loaded", "problem"),
    [
        (DRIVER, None),
        ("570.1", f"the NVIDIA module that is loaded is 570.1, and the driver is {DRIVER}"),
        ("", "this instance has a GPU, and the NVIDIA module is not loaded"),
    ],
)
def test_a_builder_with_a_gpu_must_have_loaded_the_drivers_module(
    instance: Instance, loaded: str, problem: str | None
) -> None:
    instance.write("sys/bus/pci/devices/0000:00:1e.0/vendor", "0x10de\n")
    if loaded:
        instance.write("sys/module/nvidia/version", f"{loaded}\n")
    assert instance.check() == ([problem] if problem else [])


def test_amazon_linux_2_has_the_module_in_the_kernels_folder(instance: Instance) -> None:
    base = "amazon-linux-2"
    shutil.rmtree(instance.root / "var/lib/dkms-archive")
    (problem,) = instance.check(base)
    assert "has no NVIDIA module: the kernel was updated" in problem
    instance.write(f"lib/modules/{KERNEL}/extra/nvidia.ko.xz")
    assert instance.check(base) == []


def test_without_a_kernel_nothing_else_can_be_checked(instance: Instance) -> None:
    instance.program("grubby", "exit 1")
    assert instance.check() == ["grubby shows no kernel that starts by default"]
