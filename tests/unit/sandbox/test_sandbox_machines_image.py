"""What the disk of an emulated AMI tells of its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.sandbox.machines._image import kernel_limit

if TYPE_CHECKING:
    from pathlib import Path


def entry(layer: Path, version: str, arguments: str) -> None:
    place = layer / f"boot/loader/entries/ec2-{version}.amzn2023.x86_64.conf"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"title Amazon Linux\noptions root=/dev/xvda1 {arguments}\n")


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        ("ro quiet", None),
        ("ro nr_cpus=48 quiet", 48),
        ("nr_cpus=24 ro nr_cpus=48", 24),
        ("nr_cpus=48 ro nr_cpus=24", 24),
        ("nr_cpus=0", None),
        ("my.nr_cpus=4 xnr_cpus=5", None),
    ],
)
def test_the_kernel_heeds_the_lowest_limit(
    tmp_path: Path, arguments: str, limit: int | None
) -> None:
    entry(tmp_path, "6.1.147", arguments)
    assert kernel_limit((tmp_path,)) == limit


def test_the_newest_kernel_starts_as_its_topmost_entry_says(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    entry(lower, "6.1.99", "nr_cpus=8")
    entry(lower, "6.1.147", "nr_cpus=16")
    assert kernel_limit((upper, lower)) == 16
    entry(upper, "6.1.147", "nr_cpus=24")
    assert kernel_limit((upper, lower)) == 24


def test_kernels_in_grub_cfg_start_in_its_order(tmp_path: Path) -> None:
    place = tmp_path / "boot/grub2/grub.cfg"
    place.parent.mkdir(parents=True)
    place.write_text(
        "menuentry {\n\tlinux /boot/new nr_cpus=24\n}\nmenuentry {\n\tlinux /boot/old\n}\n"
    )
    assert kernel_limit((tmp_path,)) == 24
