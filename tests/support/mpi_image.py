"""The MPI image: built as a user does, but on a local base, and run as AWS Batch would."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mngen.rehearsal import Bind, NodesRequest, start_nodes, unavailable
from tests.support.cli import mngen
from tests.support.images import buildah_unavailable, image_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mngen.rehearsal import Nodes
    from tests.support.images import Store

SPEC = """\
name: seismic
region: us-east-1
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5]}
jobs:
  hello: {queue: mpi, nodes: 2, command: [hostname]}
"""
NAME = "localhost/seismic/mpi"
"""What the image of that spec is called, without its tag."""

SOON = 240.0


@contextmanager
def store_with(base: str, folder: Path) -> Iterator[Store]:
    """Make a store with a base, or skip where that cannot be done."""
    if reason := buildah_unavailable():
        pytest.skip(reason)
    with image_store(folder / "store", base) as made:
        yield made


def rendered(folder: Path) -> Path:
    """Put the spec and its rendered tree into a folder; return that."""
    (folder / "mngen.yaml").write_text(SPEC, encoding="utf-8")
    done = mngen("render", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def build(store: Store, folder: Path, base: str, *options: str) -> str:
    """Build the image from a rendered tree; return its name."""
    done = mngen(
        *("container", "build", "--engine", "buildah", "--build-arg", f"BASE={base}"),
        *options,
        cwd=folder,
        env=store.env,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def nodes_of(
    store: Store,
    image: str,
    root: Path,
    words: tuple[str, ...],
    user: str = "mpi",
    **variables: str,
) -> Iterator[Nodes]:
    """Run two nodes in the image, as AWS Batch would."""
    if reason := unavailable():
        pytest.skip(reason)
    config: dict[str, Any] = store.config(image)
    who = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups") if user == "mpi" else ()
    request = NodesRequest(
        command=(*who, *config["Entrypoint"], *words),
        count=2,
        root=root,
        workdir=config["WorkingDir"],
        binds=(Bind(None, "/efs"),),
        environment={
            **dict(variable.split("=", 1) for variable in config["Env"]),
            "HOME": "/home/mpi" if user == "mpi" else "/root",
            "MNGEN_SECRET": "only-a-test-s-secret-of-32-letters",
            "OMPI_MCA_mpi_yield_when_idle": "1",
            **variables,
        },
    )
    with start_nodes(request) as nodes:
        yield nodes


def text_of(nodes: Nodes) -> str:
    """Return what the nodes have written, each line after its node's index."""
    return "\n".join(f"{line.node}: {line.text}" for line in nodes.lines)
