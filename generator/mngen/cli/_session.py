"""Opening what a command works on: the spec, its jobs, its Terraform; on AWS or the sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.cli._console import report_problem

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mngen.catalog import Prices
    from mngen.cluster import AmiFile, Cluster
    from mngen.cost import SpotPrice
    from mngen.errors import Problem
    from mngen.jobs import Jobs
    from mngen.sandbox import Sandbox
    from mngen.terraform import Terraform


def cluster_of(file: Path) -> "Cluster":
    """Returns the cluster of a spec.

    Raises:
        InputError: The spec has errors.
    """
    from mngen.rules import open_cluster

    return open_cluster(file)


def account_of(region: str | None, *, sandbox: bool) -> "AbstractContextManager[object]":
    """Returns a context in which this process talks to the emulated AWS, or one that does nothing.

    Args:
        region: AWS region; None for the configured one.
        sandbox: Whether to talk to the emulated AWS.
    """
    return _applied(_sandbox(), region) if sandbox else nullcontext()


def _sandbox() -> "Sandbox":
    from mngen.sandbox import open_sandbox

    return open_sandbox()


def _applied(box: "Sandbox", region: str | None) -> "AbstractContextManager[Sandbox]":
    return box.applied(region) if region else box.applied()


@contextmanager
def opened_jobs(file: Path, *, sandbox: bool) -> Iterator["Jobs"]:
    """Opens the jobs of a spec's deployment, on AWS or on the emulated one."""
    from mngen.jobs import Jobs

    jobs = Jobs.of(file)
    with account_of(jobs.cluster.spec.region, sandbox=sandbox):
        yield jobs


@contextmanager
def opened_terraform(
    out: Path, *, sandbox: bool, region: str | None = None
) -> Iterator["Terraform"]:
    """Opens the Terraform of a rendered tree, on AWS or on the emulated one.

    With the emulated AWS, all that this process calls meanwhile goes there too.

    Args:
        out: The rendered tree.
        sandbox: Whether to work on a copy of its Terraform folder, against the sandbox.
        region: As for `account_of`.
    """
    from mngen.terraform import Terraform, check_folder, sandbox_folder

    folder = out / "terraform"
    if not sandbox:
        yield Terraform(folder)
        return
    check_folder(folder)
    with _sandbox() as box, _applied(box, region):
        yield Terraform(sandbox_folder(folder, box.home), box.environment())


def ami_record(out: Path, *, sandbox: bool) -> "AmiFile":
    """Returns the record of AMIs: the rendered tree's, or the sandbox's own.

    Args:
        out: The rendered tree.
        sandbox: Whether the AMIs are those of the emulated AWS.
    """
    from mngen.cluster import AMIS_FILE, AmiFile

    if not sandbox:
        return AmiFile(out / AMIS_FILE)
    from mngen.terraform import SANDBOX_AMIS

    with opened_terraform(out, sandbox=True) as terraform:
        return AmiFile(terraform.folder / SANDBOX_AMIS)


def stale_amis(file: Path, out: Path) -> "list[Problem]":
    """Returns a warning for each recorded AMI that is no longer what the spec asks for.

    One that no node can start from is an error.

    Args:
        file: A spec without errors.
        out: The rendered tree, with the record.

    Raises:
        InputError: The record is damaged.
    """
    record = ami_record(out, sandbox=False)
    if not record.path.exists():
        return []
    from mngen.catalog import load_catalog
    from mngen.images import stale_images
    from mngen.rules import require
    from mngen.spec import load

    loaded = load(file)
    return stale_images(require(loaded, load_catalog(file)), record, loaded.document)


def prices_beside(beside: Path) -> "Prices":
    """Returns the prices to show, which nothing waits for: of a damaged table, the shipped ones.

    A warning then describes the damage.

    Args:
        beside: The spec, or the folder that holds it.
    """
    from mngen.catalog import load_prices
    from mngen.errors import InputError, Severity

    try:
        return load_prices(beside)
    except InputError as error:
        for each in error.problems:
            report_problem(replace(each, severity=Severity.WARNING))
        return load_prices()


def sound_cluster(file: Path) -> "Cluster | None":
    """Returns the cluster of a spec; None for a spec with errors, whose rules may be skipped.

    Args:
        file: The spec.
    """
    from mngen.errors import InputError

    try:
        return cluster_of(file)
    except InputError:
        return None


def spot_of(cluster: "Cluster", prices: "Prices") -> "tuple[tuple[SpotPrice, ...], str]":
    """Returns what the Spot instances of a cluster cost, and the reason if that is not known.

    If AWS does not answer, a check goes on without prices.

    Args:
        cluster: The cluster.
        prices: The prices on demand.
    """
    from mngen._aws import client, translated
    from mngen.account import spot_history
    from mngen.cost import SPOT_DAYS, spot_prices, spot_types
    from mngen.errors import ToolError

    types = spot_types(cluster)
    if not types:
        return (), ""
    try:
        with translated():
            history = spot_history(client("ec2", cluster.spec.region), types, days=SPOT_DAYS)
    except ToolError as error:
        return (), f"prices not known: {error}"
    return spot_prices(cluster, prices, history), ""
