"""What a node has to do: its environment and arguments, checked."""

from __future__ import annotations

import os
from types import SimpleNamespace

from mngen_wireup.errors import BAD_ENVIRONMENT, WireupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


ON_EACH_NODE = ("none", "torchrun")
"""Launchers whose command starts on every node, without ssh."""
JOB = "{job}"
"""Stands for the job's ID in the path of its outputs; see `folder_name`."""
LAUNCHERS = ("openmpi", "intelmpi", "mpich", "main", *ON_EACH_NODE)


class Plan(SimpleNamespace):
    """The job as its environment describes it; see the top of the package.

    Attributes:
        job: Job ID without the node's index.
        main_address: IPv4 address of the main node; empty on the main node itself.
        group: The node group of this node; empty in a job without groups, all of whose nodes have
            the same command.
        runs_beside: Whether this node, not the main one, runs its command beside launcher `main`.
        ranks: Ranks per node; 0 for as many as there are CPUs for.
        wait: Seconds to wait for all nodes.
        heartbeat: Seconds between heartbeats.
        inputs: Folder of the job's inputs.
        inputs_from: URL from which they are fetched; empty if there is nothing to fetch.
        outputs: Folder of the job's outputs; empty if it has none.
        outputs_to: URL below which they are uploaded; empty if they stay where they are.
    """

    job: str
    attempt: str
    node: int
    nodes: int
    main: int
    main_address: str
    secret: str
    shared: str
    cpus: int
    cpus_check: str
    launcher: str
    group: str
    runs_beside: bool
    ranks: int
    threads: int
    mpi_args: tuple[str, ...]
    wait: float
    heartbeat: float
    port: int
    inputs: str
    inputs_from: str
    outputs: str
    outputs_to: str
    command: tuple[str, ...]


class Variables:
    """Reads values from an environment.

    Attributes:
        problems: What is invalid in it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        """Returns a variable without surrounding space; empty if it is not set."""
        return self.environ.get(name, "").strip()

    def number(self, name: str, default: float | None, least: float, most: float) -> float:
        """Returns a number within its bounds; without a default, it is required."""
        text = self.text(name)
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            problem = f"invalid {name}={text!r}" if text else f"{name} is not set"
            self.problems.append(f"{problem}: expected a number from {least:g} to {most:g}")
            return least
        return value

    def count(self, name: str, default: int | None, least: int, most: int) -> int:
        """Returns a whole number within its bounds; without a default, it is required."""
        value = self.number(name, default, least, most)
        if value != int(value):
            self.problems.append(f"invalid {name}={self.text(name)!r}: expected a whole number")
        return int(value)

    def choice(self, name: str, words: Sequence[str]) -> str:
        """Returns one of some words, by default the first."""
        word = self.text(name) or words[0]
        if word not in words:
            self.problems.append(f"invalid {name}={word!r}: expected one of {', '.join(words)}")
        return word

    def words(self, name: str) -> tuple[str, ...]:
        """Returns the words into which a shell would split a variable."""
        if not self.text(name):
            return ()
        import shlex  # takes some milliseconds, and most jobs do not need it

        try:
            return tuple(shlex.split(self.text(name)))
        except ValueError as error:
            self.problems.append(f"invalid {name}={self.text(name)!r}: {error}")
            return ()


def plan_from(environ: Mapping[str, str], command: Sequence[str]) -> Plan:
    """Returns the plan for this node.

    Raises:
        WireupError: Something is missing or invalid; all problems are reported at once.
    """
    seen = Variables(environ)
    nodes = seen.count("AWS_BATCH_JOB_NUM_NODES", 1, 1, 1000)
    index = 0 if nodes == 1 else None
    plan = Plan(
        # AWS Batch gives a node of a job the ID `<job>#<index>`.
        job=(seen.text("AWS_BATCH_JOB_ID") or "local").split("#")[0],
        attempt=str(seen.count("AWS_BATCH_JOB_ATTEMPT", 1, 0, 10_000)),
        node=seen.count("AWS_BATCH_JOB_NODE_INDEX", index, 0, nodes - 1),
        nodes=nodes,
        main=seen.count("AWS_BATCH_JOB_MAIN_NODE_INDEX", index, 0, nodes - 1),
        main_address=seen.text("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"),
        secret=environ.get("MNGEN_SECRET", ""),
        shared=environ.get("MNGEN_SHARED", ""),
        cpus=seen.count("MNGEN_CPUS", 0, 0, 100_000),
        cpus_check=seen.choice("MNGEN_CPUS_CHECK", ("warn", "fail", "off")),
        launcher=seen.choice("MNGEN_LAUNCHER", LAUNCHERS),
        group=seen.text("MNGEN_GROUP"),
        runs_beside=seen.choice("MNGEN_RUNS_BESIDE", ("no", "yes")) == "yes",
        ranks=seen.count("MNGEN_RANKS_PER_NODE", 0, 0, 100_000),
        threads=seen.count("MNGEN_THREADS_PER_RANK", 1, 1, 100_000),
        mpi_args=seen.words("MNGEN_MPI_ARGS"),
        wait=seen.number("MNGEN_WAIT", 900, 0.1, 86_400),
        heartbeat=seen.number("MNGEN_HEARTBEAT", 5, 0.1, 3600),
        port=seen.count("MNGEN_PORT", 7710, 1, 65_535),
        inputs=environ.get("MNGEN_INPUTS", ""),
        inputs_from=environ.get("MNGEN_INPUTS_FROM", ""),
        outputs=environ.get("MNGEN_OUTPUTS", ""),
        outputs_to=environ.get("MNGEN_OUTPUTS_TO", ""),
        command=tuple(command),
    )
    problems = seen.problems + _multi_node_problems(plan) + _input_problems(plan)
    problems += _output_problems(plan)
    plan.outputs = plan.outputs.replace(JOB, folder_name(plan.job)).rstrip("/")
    if plan.outputs_to:
        plan.outputs_to = f"{plan.outputs_to.rstrip('/')}/{plan.job}/{plan.attempt}"
    if not command:
        problems.append("no command to run: set the job's command")
    if problems:
        raise WireupError(BAD_ENVIRONMENT, "; ".join(problems))
    return plan


def _multi_node_problems(plan: Plan) -> list[str]:
    if plan.nodes == 1:
        return []
    problems = []
    if not plan.job.replace("-", "").replace(":", "").isalnum():  # becomes the name of a folder
        problems.append(
            f"invalid AWS_BATCH_JOB_ID={plan.job!r}: expected letters, digits, hyphens and colons"
        )
    if plan.node != plan.main and not is_address(plan.main_address):
        problems.append(
            f"invalid AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS={plan.main_address!r}:"
            " expected an IPv4 address"
        )
    if not plan.secret and not plan.shared:
        problems.append(
            "a multi-node job needs MNGEN_SECRET, which `mngen submit` sets, or MNGEN_SHARED, a"
            " folder on a file system that all nodes share, such as /efs"
        )
    elif plan.secret and len(plan.secret) < 16:
        problems.append("MNGEN_SECRET is shorter than 16 characters: use 32 random ones")
    return problems


def _input_problems(plan: Plan) -> list[str]:
    if not plan.inputs_from:
        return []
    if plan.inputs_from.startswith("s3://") and os.path.isabs(plan.inputs):
        return []
    given = f"MNGEN_INPUTS_FROM={plan.inputs_from!r} with MNGEN_INPUTS={plan.inputs!r}"
    return [f"invalid {given}: expected an s3:// URL and the absolute path of a folder"]


def _output_problems(plan: Plan) -> list[str]:
    if not plan.outputs and not plan.outputs_to:
        return []
    is_folder = os.path.isabs(plan.outputs) and plan.outputs.strip("/")
    if is_folder and (not plan.outputs_to or plan.outputs_to.startswith("s3://")):
        return []
    given = f"MNGEN_OUTPUTS={plan.outputs!r} with MNGEN_OUTPUTS_TO={plan.outputs_to!r}"
    return [f"invalid {given}: expected the absolute path of a folder and an s3:// URL"]


def folder_name(job: str) -> str:
    """Returns a job's ID as the name of a folder.

    A child of an array has the ID `<array>:<index>`. MPI-IO takes what is before a colon for the
    type of the file system, and so do other programs for a host.
    Source: https://github.com/pmodels/mpich/pull/5951
    """
    return job.replace(":", "-")


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 address in dotted form."""
    parts = text.split(".") if text.isascii() else []
    return len(parts) == 4 and all(p.isdigit() and len(p) < 4 and int(p) < 256 for p in parts)
