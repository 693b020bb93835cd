"""Building the image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mngen.container._engine import Engine
    from mngen.container._plan import ImagePlan

CUDA_BASE = "nvcr.io/nvidia/cuda:13.1.2-runtime-ubuntu22.04"
"""The base of images for GPUs: CUDA and NCCL for the driver of the ECS GPU-optimized AMI.

CUDA 13 needs driver 580, which the AMI of Amazon Linux 2023 has. AWS builds its image of nccl-tests
on this version and system, with the compilers as well (`devel` in place of `runtime`).
Source: https://github.com/awslabs/awsome-distributed-ai (micro-benchmarks/nccl-tests),
https://docs.nvidia.com/deploy/cuda-compatibility/ and
https://github.com/aws/amazon-ecs-ami (scripts/al2023/gpu)
"""

_NAMES = ("Containerfile", "Dockerfile")
_BASE = re.compile(r"^\s*ARG\s+BASE=(\S+)", re.MULTILINE | re.IGNORECASE)
_ARGUMENT = re.compile(r"^\s*ARG\s+([A-Za-z_]\w*)", re.MULTILINE | re.IGNORECASE)


def build_image(
    plan: ImagePlan,
    context: Path,
    engine: Engine,
    *,
    build_args: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> str:
    """Builds the image of a spec; what the engine prints is logged.

    Args:
        plan: See `plan_image`.
        context: The folder with the Dockerfile: the rendered tree's `container`, or another.
        engine: See `find_engine`.
        build_args: Build arguments; they come before those that follow from the spec.
        seconds: Seconds after which the build is stopped; None for no limit.

    Returns:
        The image's name on this machine.

    Raises:
        InputError: The folder holds no Dockerfile.
        ToolError: The build failed, or took too long.
        InterruptedRunError: Ctrl-C or SIGTERM; the engine has stopped.
    """
    given = build_args or {}
    arguments = {**_arguments(plan, context, given), **given}
    engine.build(
        context, plan.reference, build_args=arguments, platform=plan.platform, seconds=seconds
    )
    return plan.reference


def base_image(context: Path) -> str | None:
    """Returns the default base image of a Dockerfile; None if it has no `ARG BASE=…`.

    Args:
        context: The folder with the Dockerfile.

    Raises:
        InputError: The folder holds no Dockerfile.
    """
    found = _BASE.search(_dockerfile(context))
    return found[1] if found else None


def _arguments(plan: ImagePlan, context: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Returns the arguments that follow from the spec and that the Dockerfile declares."""
    asked = set(_ARGUMENT.findall(_dockerfile(context)))
    cuda = given.get("CUDA", "yes" if plan.cuda else "no")
    known = {
        # A Dockerfile that does not ask for CUDA has its own way to it.
        **({"BASE": CUDA_BASE} if cuda == "yes" and "CUDA" in asked else {}),
        "CUDA": cuda,
        "EFA": "yes" if plan.efa else "no",
        "S3": "yes" if plan.s3 else "no",
        "VERSION": plan.tag,
    }
    return {name: value for name, value in known.items() if name in asked}


def _dockerfile(context: Path) -> str:
    for name in _NAMES:
        try:
            return (context / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"cannot read {context / name}: {error.strerror}") from None
    raise InputError(
        f"no Dockerfile in {context}",
        hint="`mngen render` writes the container folder; --context names another",
    )
