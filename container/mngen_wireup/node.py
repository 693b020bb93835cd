"""What the main node and a child node have in common: a loop, a folder, and ranks."""

from __future__ import annotations

import os
import time

from mngen_wireup.environment import torch_environment
from mngen_wireup.errors import BAD_ENVIRONMENT, WireupError
from mngen_wireup.files import make_writable, private_folder, remove_folder, tail, write_private
from mngen_wireup.image import found_program
from mngen_wireup.lean import signal
from mngen_wireup.loop import Loop
from mngen_wireup.processes import is_alive, send_signal, signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Callable

    from mngen_wireup.host import Host
    from mngen_wireup.log import Log
    from mngen_wireup.messages import Message
    from mngen_wireup.plan import Plan

CANCEL_GRACE = 18.0
"""Seconds between SIGTERM and SIGKILL for the ranks; AWS Batch sends SIGKILL after 30."""


class Node:
    """A node of a job.

    Attributes:
        ranks: PIDs of the ranks that have started here.
        cancelled: Whether a signal has asked this process to end.
        stopping: Whether the ranks have been asked to end.
        ending: The message that stops the job; empty while it runs.
    """

    def __init__(self, plan: Plan, log: Log) -> None:
        self.plan, self.log = plan, log
        self.loop = Loop()
        self.folder = ""
        self.ranks: list[int] = []
        self.cancelled = False
        self.stopping = False
        self.ending: Message = {}

    def prepare(self) -> None:
        """Makes the job's folder, and in it the pipe by which ranks report their PIDs.

        The folder of the job's outputs is made too, before anything is computed.

        Raises:
            WireupError: One of them cannot be made.
        """
        if self.plan.outputs:
            make_writable(self.plan.outputs)
        self.folder = private_folder()
        os.mkfifo(f"{self.folder}/ranks", 0o600)
        self._pipe = os.open(f"{self.folder}/ranks", os.O_RDWR | os.O_NONBLOCK)
        self.loop.watch(self._pipe, self._read_ranks)

    def _read_ranks(self) -> None:
        try:
            found = [int(word) for word in os.read(self._pipe, 65536).split() if word.isdigit()]
        except BlockingIOError:
            return
        first = not self.ranks and found
        self.ranks += found
        if first:
            self.log.write("running", f"first rank started (pid {found[0]})")
            self.on_started()

    def on_started(self) -> None:
        """Called when the first rank of this node has started."""

    def write_command(self) -> None:
        """Writes the command of this node for the ranks that a launcher starts here."""
        from mngen_wireup.launchers import own_command  # a job without groups does not need it

        write_private(f"{self.folder}/command", own_command(self.plan, os.getcwd()))

    def make_key(self, name: str) -> int:
        """Starts to make a key pair and returns the PID of the program that does."""
        path = f"{self.folder}/{name}"
        return self.loop.spawn(
            [found_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path],
            os.environ,
            {1: f"{path}.log", 2: f"{path}.log"},
        )

    def public_key(self, name: str, pid: int) -> str:
        """Returns the public key of a pair, once it has been made.

        Raises:
            WireupError: It could not be made.
        """
        if self.loop.wait_for(pid):
            raise WireupError(
                BAD_ENVIRONMENT, f"ssh-keygen failed: {tail(f'{self.folder}/{name}.log')}"
            )
        with open(f"{self.folder}/{name}.pub") as file:
            return " ".join(file.read().split()[:2])

    def step(self, seconds: float) -> None:
        """Handles what happens next.

        Raises:
            WireupError: The job ends.
        """
        self.loop.step(seconds)
        if self.loop.signals and not self.cancelled and not self.ending:
            self.cancelled = True
            number = self.loop.signals[0]
            text = f"cancelled by {signal_name(number)} on node {self.plan.node}"
            raise WireupError(128 + number, text, grace=CANCEL_GRACE)

    def run_until(self, done: Callable[[], object], seconds: float = float("inf")) -> bool:
        """Runs until a condition holds; returns whether it did in time."""
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            # The end of a rank is noticed by looking; everything else wakes the loop.
            self.step(min(left, 0.05 if self.stopping else self.plan.heartbeat / 2, 1.0))
        return True

    def run_for(self, seconds: float) -> None:
        """Runs for some seconds."""
        self.run_until(lambda: False, seconds)

    def ranks_ended(self) -> bool:
        """Whether no rank of this node is running."""
        return not any(is_alive(pid) for pid in self.ranks)

    def terminate(self, *others: int) -> None:
        """Sends SIGTERM to the ranks; before there are any, to other processes."""
        self.stopping = True
        for pid in self.ranks or others:
            send_signal(pid, signal.SIGTERM)

    def check_torchrun(self) -> None:
        """Checks that the image has what launcher `torchrun` runs.

        Raises:
            WireupError: It has not.
        """
        from mngen_wireup.torchrun import torchrun_command

        found_program(torchrun_command(self.plan.command)[0])

    def start_on_each(self, env: Mapping[str, str], host: Host, main_address: str) -> int:
        """Starts what runs on every node, for launchers without ssh; returns its PID."""
        plan = self.plan
        if plan.launcher == "torchrun":
            from mngen_wireup.torchrun import torchrun_command, torchrun_environment

            env = torchrun_environment(env, plan, host, main_address)
            return self.start_command(env, torchrun_command(plan.command))
        return self.start_command({**env, **torch_environment(plan, main_address)}, plan.command)

    def start_command(self, env: Mapping[str, str], command: Sequence[str]) -> int:
        """Starts a command that stands for the ranks of this node; returns its PID."""
        pid = self.loop.spawn(command, env, {})
        self.log.write("running", f"{command[0]} (pid {pid})")
        self.ranks.append(pid)
        return pid

    def clean_up(self) -> None:
        """Leaves no process and no file behind."""
        self.loop.kill_all()
        if self.folder:
            remove_folder(self.folder)
