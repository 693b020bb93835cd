"""Bakes as `mngen bake` does, without Terraform: in this process, or as a program.

    python bake_deployment.py FILE ENGINE

The file holds the pickled arguments of `bake_deployment`. It imports nothing of the tests.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mngen.cluster import AmiFile
from mngen.images import Cancel, bake, choose_engine, look

if TYPE_CHECKING:
    from mngen.cluster import Cluster
    from mngen.images import Options, Site


def bake_deployment(
    deployment: tuple[Cluster, Site, Path, Path, Options],
    engine: Any,
    out: TextIO,
    cancel: Cancel | None = None,
) -> int:
    """Bake what is not baked yet, and return the exit code.

    Args:
        deployment: Cluster, site, rendered tree, file of the record, options.
        engine: `direct` or `packer`.
        out: Where stages and problems are written.
        cancel: Interrupts it.

    Raises:
        MngenError: As `bake` does.
    """
    cluster, site, tree, file, options = deployment
    record = AmiFile(file)
    survey = look(cluster, site, tree=tree, record=record)
    result = bake(
        survey,
        record=record,
        engine=choose_engine(engine),
        options=options,
        cancel=cancel or Cancel(),
        on_progress=lambda name, stage: print(name, stage, file=out, flush=True),
    )
    for problem in [*result.problems, *(each for o in result.outcomes for each in o.problems)]:
        print("problem:", problem.message, file=out, flush=True)
    if result.interrupted:
        return 130
    return 3 if any(each.id is None for each in result.outcomes) else 0


if __name__ == "__main__":
    from mngen.cli._bake import _interrupts

    program_cancel = Cancel()
    with _interrupts(program_cancel):
        code = bake_deployment(
            pickle.loads(Path(sys.argv[1]).read_bytes()), sys.argv[2], sys.stdout, program_cancel
        )
    sys.exit(code)
