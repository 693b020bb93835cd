"""The main node: waits for the children, runs the launcher, and stops the job on all nodes."""

from __future__ import annotations

import os
import time

from mngen_wireup.environment import hydra_environment, job_environment
from mngen_wireup.errors import (
    BAD_CPUS,
    BAD_ENVIRONMENT,
    BAD_INPUTS,
    BAD_LAUNCH,
    BAD_OUTPUTS,
    LOST,
    MISSING,
    WireupError,
    as_wireup_error,
)
from mngen_wireup.files import remove_folder, tail, write_private
from mngen_wireup.host import check_cpus, this_host
from mngen_wireup.image import check_user, found_program
from mngen_wireup.inputs import Inputs
from mngen_wireup.launchers import (
    RANK,
    RANK_OF_NODE,
    found_launcher,
    hostfile,
    launcher_command,
    networks_of,
    ranks_on,
)
from mngen_wireup.log import listed, node_list, shortened
from mngen_wireup.node import CANCEL_GRACE, Node
from mngen_wireup.plan import ON_EACH_NODE
from mngen_wireup.processes import is_group_alive, signal_name
from mngen_wireup.rendezvous import Rendezvous
from mngen_wireup.secret import SharedSecret
from mngen_wireup.ssh import known_hosts, ssh_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mngen_wireup.host import Host
    from mngen_wireup.log import Log
    from mngen_wireup.messages import Message
    from mngen_wireup.outputs import Outputs
    from mngen_wireup.plan import Plan
    from mngen_wireup.rendezvous import Peer
    from mngen_wireup.sshd import SshServer

LOST_GRACE = 2.0
"""Seconds for the ranks of a job that lost a node: they can only close their files."""
BESIDE_GRACE = 5.0
"""Seconds for the commands that run beside that of launcher `main`, to end after it has ended; and
for it to end where one of them has failed, perhaps because it is about to end."""
FETCH_GRACE = 5.0
"""Seconds to remove inputs that were fetched in part."""
REPORT_SECONDS = 30.0
"""How often the log reports nodes that have not connected."""


class MainNode(Node):
    """The main node of a job.

    Attributes:
        outputs: Uploads the job's outputs; None if it has none, and before their upload is checked.
        gathered: Whether all children have joined.
        came: Indexes of the children that have joined at any time.
        ready: Those that accept ssh, or have started the command of a launcher without ssh.
        running: Those on which a rank has started.
        ended: Those on which all ranks have ended after SIGTERM.
        codes: Exit codes of the commands of launchers without ssh, by node, and of those that run
            beside launcher `main`.
        lost: What happened to the nodes that were lost.
        launched: PID of the launcher, or of the command that needs none; 0 before.
        ssh: What lets launcher `main` reach this node like the others.
        programs: Folder of the `ssh` of launcher `main`; empty before.
        marks: When each phase ended, on the monotonic clock.
    """

    def __init__(self, plan: Plan, log: Log) -> None:
        super().__init__(plan, log)
        self.rendezvous: Rendezvous | None = None
        self.shared: SharedSecret | None = None
        self.inputs = Inputs(plan, log, self.loop)
        self.outputs: Outputs | None = None
        self.gathered = False
        self.came: set[int] = set()
        self.ready: set[int] = set()
        self.running: set[int] = set()
        self.ended: set[int] = set()
        self.codes: dict[int, int] = {}
        self.lost: list[str] = []
        self.launched = 0
        self.ssh: SshServer | None = None
        self.programs = ""
        self.marks = [time.monotonic()]

    def run(self) -> int:
        """Runs the whole job and returns its exit code."""
        try:
            code, reason, grace = (*self._run_job(), 0.0)
        except (WireupError, OSError) as error:
            problem = as_wireup_error(error)
            code, reason, grace = problem.code, str(problem), problem.grace
            self.log.write(problem.stage, reason)
        self._mark(3)
        self._end_job(code, reason, grace)
        self._mark(4)
        if self.launched and self.outputs:
            code = self._upload_outputs(self.outputs, code)
            self._mark(5)
        names = ("rendezvous", "ssh", "run", "teardown", "outputs")
        times = [later - sooner for sooner, later in zip(self.marks, self.marks[1:])]
        spent = ", ".join(f"{name} {seconds:.2f}s" for name, seconds in zip(names, times))
        self.log.write("end", f"exit {code}; {spent}")
        return code

    def _upload_outputs(self, outputs: Outputs, code: int) -> int:
        """Uploads the job's outputs, also those of a job that failed; returns its exit code.

        A failure is the application's own, if there is one; else the job fails without its outputs,
        or ends as every other job that a signal has stopped.
        """
        try:
            outputs.upload()
        except (WireupError, OSError) as error:
            outputs.problem = str(error)
            self.log.write("error", f"outputs: {error}")
        self.clean_up()
        if code or not outputs.problem:
            return code
        return 128 + outputs.stopped if outputs.stopped else BAD_OUTPUTS

    def _mark(self, phases: int) -> None:
        """Records that some phases are over; those that were left out took no time."""
        while len(self.marks) <= phases:
            self.marks.append(time.monotonic())

    def _run_job(self) -> tuple[int, str]:
        plan, version = self.plan, 0
        keys: dict[str, int] = {}
        if plan.nodes > 1:
            secret = plan.secret.encode()
            if not secret:
                self.shared = SharedSecret(plan)
                secret = self.shared.create()
            # First of all: from here on, children learn what goes wrong.
            self.rendezvous = Rendezvous(
                self.loop, plan, secret, self.log, self._on_message, self._on_lost
            )
        # Not as a name where ssh connects to it: it may have an IPv6 address too.
        alone = "127.0.0.1" if plan.launcher == "main" else "localhost"
        mine = this_host(plan, alone if plan.nodes == 1 else "")
        check_cpus(plan, mine.cpus, self.log)
        self.prepare()
        self.inputs.start(self.folder)
        if plan.outputs_to:
            from mngen_wireup.outputs import Outputs  # most jobs have none

            self.outputs = Outputs(plan, self.log, self.loop)
            self.outputs.start_check(self.folder)
        if plan.launcher == "torchrun":
            self.check_torchrun()
        if plan.launcher not in ("main", *ON_EACH_NODE):
            version = self._ask_version()
        if plan.launcher == "main" or (self.rendezvous and plan.launcher not in ON_EACH_NODE):
            keys = self._start_ssh()
        if self.rendezvous:
            self._gather(self.rendezvous)
            mine.move_to(self.rendezvous.address)
        # No node has started anything yet, whatever the launcher is.
        self.run_until(lambda: not self.inputs.pid and not (self.outputs and self.outputs.pid))
        self._mark(1)
        hosts = [mine, *self._children()]
        public = self._connect_ssh(hosts, keys) if keys else ""
        if self.rendezvous:
            self._connect(self.rendezvous, hosts, public)
        self._mark(2)
        if plan.launcher in ON_EACH_NODE:
            return self._watch_commands(mine)
        if self.ssh:
            return self._watch_command(hosts, public, self.ssh)
        return self._watch_launcher(hosts, self._read_version(version))

    def _start_ssh(self) -> dict[str, int]:
        """Starts to make the keys that ssh needs; returns the PIDs of what does."""
        found_program("ssh")
        check_user()
        keys = {"user": self.make_key("user")}
        if self.plan.launcher == "main":
            from mngen_wireup.sshd import SshServer

            self.ssh = SshServer(self.loop, self.folder, found_program("sshd"))
            keys["host"] = self.make_key("host")
        return keys

    def _connect_ssh(self, hosts: list[Host], keys: dict[str, int]) -> str:
        """Writes what ssh needs to reach the hosts; returns the public key of its user."""
        if self.ssh:
            hosts[0].key = self.public_key("host", keys["host"])
            hosts[0].port = self.ssh.listen(hosts[0].address)
        config = ssh_config(hosts, hosts[0].address, self.folder)
        write_private(f"{self.folder}/ssh_config", config)
        write_private(f"{self.folder}/known_hosts", known_hosts(hosts))
        return self.public_key("user", keys["user"])

    def _gather(self, rendezvous: Rendezvous) -> None:
        """Waits until every child has joined."""
        plan = self.plan
        waiting = node_list(rendezvous.missing())
        self.log.write("rendezvous", f"waiting on port {plan.port} for {waiting}")
        left = plan.wait
        while not self.run_until(lambda: not rendezvous.missing(), min(left, REPORT_SECONDS)):
            left -= REPORT_SECONDS
            missing = rendezvous.missing()
            if left <= 0:
                refused = [rendezvous.refused[i] for i in missing if i in rendezvous.refused]
                raise WireupError(
                    MISSING,
                    f"{node_list(missing)} of {plan.nodes} did not connect within {plan.wait:g} s"
                    + (f" ({listed(refused)})" if refused else ""),
                )
            self.log.write("rendezvous", f"still waiting for {node_list(missing)} of {plan.nodes}")
        self.gathered = True
        if self.shared:
            self.shared.remove()
        self.log.write("rendezvous", f"all {plan.nodes} nodes have joined")

    def _children(self) -> list[Host]:
        """Returns the children by their rank."""
        plan, members = self.plan, self.rendezvous.members if self.rendezvous else {}
        children = [peer.host for peer in members.values() if peer.host]
        return sorted(children, key=lambda host: (host.node - plan.main) % plan.nodes)

    def _connect(self, rendezvous: Rendezvous, hosts: list[Host], public: str) -> None:
        """Lets every child accept ssh with a public key, or start the command if it is empty."""
        efa = all(host.efa for host in hosts)
        rendezvous.send_all(go=[public, efa])
        self.run_until(lambda: len(self.ready) == len(hosts) - 1)
        network = "EFA" if efa else f"TCP on {networks_of(hosts)}"
        if not efa and any(host.efa for host in hosts):
            network += f"; no EFA on {node_list([host.node for host in hosts if not host.efa])}"
        self.log.write("ready", f"{self.plan.nodes} nodes, {network}")

    def _watch_launcher(self, hosts: list[Host], version: str) -> tuple[int, str]:
        plan, mine = self.plan, hosts[0]
        write_private(f"{self.folder}/hosts", hostfile(plan, hosts, plan.launcher))
        command = launcher_command(plan, hosts, self.folder, version)
        env = job_environment(os.environ, plan, mine, efa=all(host.efa for host in hosts))
        env["MNGEN_RANKS"] = f"{self.folder}/ranks"
        if plan.launcher != "openmpi":
            env = hydra_environment(env, self.folder, mine.address)
        ranks = sum(ranks_on(plan, host) for host in hosts)
        words = (shortened(word) for word in (*command, *plan.command))
        which = ", on each node its own command; here" if plan.group else ""
        self.log.write("launch", f"{ranks} ranks{which}: {' '.join(words)}")
        if plan.group:
            self.write_command()
        application = RANK_OF_NODE if plan.group else (*RANK, *plan.command)
        self.launched = self.loop.spawn([*command, *application], env, {})
        code = self._launched_code()
        if code and not self.ranks and not self.running:
            raise WireupError(
                BAD_LAUNCH,
                f"{os.path.basename(command[0])} failed with exit code {code} before any rank"
                " started; its output is above",
            )
        return self._ended_with(code, "the application")

    def _watch_commands(self, mine: Host) -> tuple[int, str]:
        env = job_environment(os.environ, self.plan, mine, efa=mine.efa)
        self.launched = self.start_on_each(env, mine, mine.address)
        self.run_until(lambda: len(self._exits()) == self.plan.nodes or any(self.codes.values()))
        failed = {index: code for index, code in self._exits().items() if code}
        for index, code in failed.items():
            self._await_lost_nodes()
            return self._ended_with(code, f"the command on node {index}")
        return 0, ""

    def _watch_command(self, hosts: list[Host], public: str, ssh: SshServer) -> tuple[int, str]:
        """Runs the command of launcher `main` here, with ssh to all nodes and this one."""
        from mngen_wireup.command import command_environment, write_hostfiles, write_ssh

        plan, mine = self.plan, hosts[0]
        env = job_environment(os.environ, plan, mine, efa=all(host.efa for host in hosts))
        ssh.accept(mine.address, public, env, lambda: None)
        self.programs = write_ssh(found_program("ssh"), f"{self.folder}/ssh_config")
        path = f"{self.programs}:{env.get('PATH', os.defpath)}"
        env = command_environment(env, plan, hosts, self.folder)
        env.update(write_hostfiles(plan, hosts, self.folder), PATH=path)
        self.launched = self.start_command(env, plan.command)
        self.run_until(lambda: self.launched in self.loop.exits or any(self.codes.values()))
        self.run_until(lambda: self.launched in self.loop.exits, BESIDE_GRACE)
        if self.launched not in self.loop.exits:
            index, code = next(each for each in self.codes.items() if each[1])
            self._await_lost_nodes()
            return self._ended_with(code, f"the command on node {index}")
        ended = self._ended_with(self._launched_code(), "the command")
        if plan.group and self.rendezvous:
            self._stop_beside(self.rendezvous)
        return ended

    def _stop_beside(self, rendezvous: Rendezvous) -> None:
        """Asks the commands that have run beside launcher `main` to end, and waits for them."""
        rendezvous.send_all(stop=True)
        self.run_until(lambda: self.ended.issuperset(rendezvous.members), BESIDE_GRACE)

    def _launched_code(self) -> int:
        """Waits until what was launched has ended; returns its exit code."""
        self.run_until(lambda: self.launched in self.loop.exits)
        code = self.loop.exits[self.launched]
        if code:
            self._await_lost_nodes()
        return code

    def _exits(self) -> dict[int, int]:
        if self.launched in self.loop.exits:
            self.codes[self.plan.node] = self.loop.exits[self.launched]
        return self.codes

    def _all_ranks_ended(self) -> bool:
        if self.ssh:  # the launcher that the command has started may end later than the command
            beside = self.rendezvous.members if self.rendezvous and self.plan.group else {}
            return not is_group_alive(self.launched) and self.ended.issuperset(beside)
        if not self.ranks:  # none was started; or none here, by the user's own arguments
            return self.launched in self.loop.exits
        members = self.rendezvous.members if self.rendezvous else {}
        return self.ranks_ended() and self.ended.issuperset(members)

    def _await_lost_nodes(self) -> None:
        """Gives a lost node time to show, before a failure counts as the application's."""
        since = time.monotonic()
        self.run_for(0.05)
        if self.rendezvous:
            silent = [
                peer.connection
                for peer in self.rendezvous.members.values()
                if since - peer.connection.heard > 1.5 * self.plan.heartbeat
            ]
            self.run_until(
                lambda: all(each.heard > since for each in silent), 2 * self.plan.heartbeat
            )

    def _ended_with(self, code: int, what: str) -> tuple[int, str]:
        if not code:
            return 0, ""
        reason = explained_exit(code, what)
        self.log.write("error", reason)
        return code, reason

    def _ask_version(self) -> int:
        """Starts to ask the launcher for its version; returns the PID of what does."""
        program = found_launcher(self.plan.launcher)
        if self.plan.launcher != "openmpi":
            return 0
        return self.loop.spawn([program, "--version"], os.environ, {1: f"{self.folder}/version"})

    def _read_version(self, pid: int) -> str:
        if not pid:
            return ""
        self.loop.wait_for(pid)
        version = tail(f"{self.folder}/version")
        if "Open MPI" not in version:
            raise WireupError(
                BAD_LAUNCH,
                "the mpirun on PATH is not Open MPI's: set MNGEN_LAUNCHER to mpich or intelmpi, or"
                " put Open MPI's first on PATH",
            )
        return version

    def _on_message(self, peer: Peer, message: Message) -> None:
        index = peer.host.node if peer.host else -1
        self.came.add(index)
        if "done" in message:
            self.codes[index] = int(message["done"])
        elif "quiet" in message:
            self.ended.add(index)
        elif self.ending:
            peer.connection.send(**self.ending)
        elif "failed" in message:
            code, reason = message["failed"]
            raise WireupError(int(code), str(reason))
        elif "cancel" in message:
            code, reason = message["cancel"]
            raise WireupError(int(code), str(reason), grace=CANCEL_GRACE)
        elif "ready" in message:
            self.ready.add(index)
        elif "started" in message:
            self.running.add(index)
            self._report_running()

    def on_started(self) -> None:
        """Called when the first rank of this node has started."""
        self._report_running()

    def _report_running(self) -> None:
        if self.ranks and len(self.running) == self.plan.nodes - 1 and self.plan.nodes > 1:
            self.log.write("running", f"ranks have started on all {self.plan.nodes} nodes")

    def _on_lost(self, peer: Peer, how: str) -> None:
        if peer.host and not self.ending:
            self.lost.append(f"node {peer.host.node} ({peer.host.address}) {how}")

    def step(self, seconds: float) -> None:
        """Handles what happens next, and keeps in touch with the children.

        Raises:
            WireupError: The job ends.
        """
        super().step(seconds)
        if self.rendezvous:
            self.rendezvous.keep_alive()
        if self.ending:
            return
        if self.lost:
            raise WireupError(LOST, listed(self.lost), "lost", LOST_GRACE)
        self.inputs.check()
        if self.outputs:
            self.outputs.check()

    def _end_job(self, code: int, reason: str, grace: float) -> None:
        """Stops the job on all nodes.

        Args:
            code: Exit code of each.
            reason: What they report.
            grace: Seconds between SIGTERM and SIGKILL for the ranks.
        """
        self.ending = {"stop": True}
        if self.inputs.pid:
            self.inputs.cancel()
            self.run_until(self.inputs.has_ended, FETCH_GRACE)
        if grace and self.launched:
            self._stop_ranks(grace)
        self.ending = {"end": [code, reason]}
        if self.rendezvous:
            self._end_children(self.rendezvous, code)
        self.clean_up()
        if self.programs:
            remove_folder(self.programs)
        if self.shared:
            self.shared.remove()

    def _stop_ranks(self, grace: float) -> None:
        if self.rendezvous:
            self.rendezvous.send_all(stop=True)
        self.terminate(self.launched)
        if self.run_until(self._all_ranks_ended, grace):
            # The launcher may still have to pass on the last output of the ranks.
            self.run_until(lambda: self.launched in self.loop.exits, grace / 4)

    def _end_children(self, rendezvous: Rendezvous, code: int) -> None:
        rendezvous.send_all(**self.ending)
        self.loop.kill_all()
        if not self.gathered and code in (BAD_ENVIRONMENT, BAD_CPUS, BAD_LAUNCH, BAD_INPUTS):
            # Children that are about to connect would otherwise wait for long.
            self.run_until(lambda: len(self.came) == self.plan.nodes - 1, 3.0)
        self.run_until(lambda: not rendezvous.members, 5.0)
        rendezvous.close()


def explained_exit(code: int, what: str) -> str:
    """Returns what an exit code other than 0 means."""
    text = f"{what} failed with exit code {code}"
    if code == 127:
        return f"{text}: command not found in the container image"
    if code == 126:
        return f"{text}: the command is not executable"
    name = signal_name(code - 128)
    return f"{text} ({name})" if name else text
