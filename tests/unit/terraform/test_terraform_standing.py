"""What an interrupted apply has left is found on the emulated AWS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from mngen.terraform._missing import Search, Wanted
from mngen.terraform._standing import standing
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

POLICY = "aws_batch_scheduling_policy"


def test_a_scheduling_policy_is_imported_by_its_arn_if_it_is_the_deployments(
    sandbox: Sandbox,
) -> None:
    name = f"s{uuid4().hex[:10]}"
    batch = client(sandbox, "batch")
    own, foreign = (
        batch.create_scheduling_policy(name=f"{name}-{queue}", fairsharePolicy={}, tags=tags)["arn"]
        for queue, tags in (("mpi", {"mngen:deployment": name}), ("post", {"owner": "lab"}))
    )
    addresses = {queue: f"module.queue_{queue}[0].{POLICY}.this[0]" for queue in ("mpi", "post")}
    search = Search(
        name,
        "us-east-1",
        wanted=tuple(
            Wanted(address, POLICY, {"name": f"{name}-{queue}"})
            for queue, address in addresses.items()
        ),
        replaced=frozenset(),
        known=frozenset(),
    )
    found, refused = standing(search, partial(client, sandbox))
    assert refused == ()
    [taken] = found.imports
    assert (taken.address, taken.found.import_id) == (addresses["mpi"], own)
    [other] = found.foreign
    assert (other.address, other.found.import_id) == (addresses["post"], foreign)
