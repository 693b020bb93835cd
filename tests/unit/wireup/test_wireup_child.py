"""A child node that looks for its main node while its host is short of file descriptors."""

from __future__ import annotations

import subprocess
import sys

from tests.support.wireup import CONTAINER

# The kernel refuses a descriptor that is not below the limit: EMFILE, see getrlimit(2).
JOIN = """
import os, resource
from mngen_wireup.child import ChildNode
from mngen_wireup.errors import WireupError
from mngen_wireup.log import Log
from mngen_wireup.plan import plan_from
plan = plan_from(
    {
        "AWS_BATCH_JOB_ID": "j",
        "AWS_BATCH_JOB_NUM_NODES": "2",
        "AWS_BATCH_JOB_NODE_INDEX": "1",
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
        "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "127.0.0.1",
        "MNGEN_SECRET": "s" * 32,
        "MNGEN_WAIT": "1",
    },
    ["app"],
)
child = ChildNode(plan, Log(1))
lowest = os.dup(0)
os.close(lowest)
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    child._join()
except WireupError as error:
    print(error.code, error)
"""


def test_child_without_a_free_descriptor_keeps_trying() -> None:
    done = subprocess.run(
        [sys.executable, "-c", JOIN],
        env={"PYTHONPATH": str(CONTAINER)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("66 main node 0 at 127.0.0.1, port "), done.stdout
    assert done.stdout.endswith("did not answer within 1 s\n")
