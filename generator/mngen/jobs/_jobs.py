"""The jobs of a deployment: everything that the commands do, one method each."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from mngen._aws import client
from mngen.jobs._submit import Prepared, Sender, prepare
from mngen.jobs._types import Order, Submission
from mngen.rules import Account

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mypy_boto3_batch.client import BatchClient

    from mngen.cluster import Cluster
    from mngen.errors import Problem


class Jobs:
    """The jobs of a deployment, on the account that the environment's credentials open.

    Args:
        cluster: The spec joined with the catalog; see `Jobs.of` for that of a file.
        connect: Makes a boto3 client of a service and a region, from a session of one's own, say.
    """

    def __init__(self, cluster: Cluster, connect: Callable[[str, str], Any] = client) -> None:
        self.cluster = cluster
        self._account = Account(cluster, {}, connect)
        self._connect = connect

    @classmethod
    def of(cls, file: str | Path, connect: Callable[[str, str], Any] = client) -> Jobs:
        """Returns the jobs of the deployment that a spec describes.

        Args:
            file: The spec, such as `mngen.yaml`.
            connect: See the class.

        Raises:
            InputError: The spec has errors; carries all of them.
        """
        from pathlib import Path

        from mngen.catalog import load_catalog
        from mngen.rules import require
        from mngen.spec import load

        path = Path(file)
        return cls(require(load(path), load_catalog(path)), connect)

    @property
    def batch(self) -> BatchClient:
        """The client of Batch."""
        found: BatchClient = self._account.client("batch")
        return found

    @cached_property
    def _sender(self) -> Sender:
        region = self.cluster.spec.region
        # A client of the caller's own retries as the caller has it.
        once = client("batch", region, attempts=1) if self._connect is client else self.batch
        return Sender(self.batch, once)

    def prepare(self, order: Order, *, register: bool = False) -> Prepared:
        """Judges an order by the rules, and sends nothing.

        Raises:
            InputError: The order itself cannot be.
            ToolError: AWS does not answer.
        """
        return prepare(self._account, order, registering=register)

    def submit(
        self,
        job: str,
        *,
        register: bool = False,
        again: bool = False,
        tell: Callable[[Submission], None] | None = None,
        warn: Callable[[Problem], None] | None = None,
        **wanted: Any,
    ) -> Submission:
        """Submits a job of the spec.

        The same submission twice gives the same job, as long as that one waits, runs or has
        succeeded (for the week that Batch remembers it).

        Args:
            job: Its name in the spec.
            register: Whether to register a revision of its definition first, if the one in AWS
                differs from the spec.
            again: Whether to submit it even if the same was submitted before.
            tell: Is called with the job as soon as its id is known; again, should it turn out that
                someone else submitted the same in the same moment, with the job that counts.
            warn: Is called with each warning of the rules.
            wanted: What shall differ from the definition: `nodes`, `queue`, `name`, `command`,
                `environment`, `vcpus`, `memory`, `attempts`, `timeout`; see `Order`.

        Raises:
            InputError: The submission breaks a rule; carries every error, and nothing was sent.
            ToolError: AWS refused it or does not answer.
        """
        if "command" in wanted:
            wanted["command"] = tuple(wanted["command"])
        prepared = self.prepare(Order(job=job, **wanted), register=register)
        prepared.require(warn)
        return self.send(prepared, again=again, tell=tell)

    def send(
        self,
        prepared: Prepared,
        *,
        again: bool = False,
        tell: Callable[[Submission], None] | None = None,
    ) -> Submission:
        """Submits what was prepared; see `submit`.

        Raises:
            ToolError: AWS refused it or does not answer.
        """
        return self._sender.send(prepared, again=again, tell=tell)
