"""A child node: joins the main node, accepts its ssh, and ends when the main node does."""

from __future__ import annotations

import os
import time

from mngen_wireup.connection import GREETING_SECONDS, Connection
from mngen_wireup.environment import job_environment
from mngen_wireup.errors import BAD_LAUNCH, LOST, MISSING, REFUSED, WireupError, as_wireup_error
from mngen_wireup.files import tail
from mngen_wireup.host import check_cpus, is_public_key, this_host
from mngen_wireup.image import check_user, found_program
from mngen_wireup.lean import Socket
from mngen_wireup.messages import Session, greeting_of, parsed, plain_line
from mngen_wireup.node import Node
from mngen_wireup.plan import ON_EACH_NODE
from mngen_wireup.sshd import SshServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mngen_wireup.log import Log
    from mngen_wireup.messages import Message
    from mngen_wireup.plan import Plan


class ChildNode(Node):
    """A child node of a job.

    Attributes:
        connection: The one to the main node; None while there is none.
        joined: Whether both sides have authenticated.
        mistrust: Why the last main node that answered was not believed.
        go: The main node's public key, and whether every node has EFA; empty before.
    """

    def __init__(self, plan: Plan, log: Log) -> None:
        super().__init__(plan, log)
        self.connection: Connection | None = None
        self.greeting: Message = {}
        self.joined = False
        self.mistrust = ""
        self.go: list[Any] = []
        self.last_heartbeat = time.monotonic()
        self.reported_end = False
        self.ssh: SshServer | None = None
        self.host = this_host(plan, "")

    def run(self) -> int:
        """Takes part in the job and returns its exit code."""
        try:
            self._run_job()
        except (WireupError, OSError) as error:
            self._report(as_wireup_error(error))
        code, reason = self.ending["end"]
        output = tail(f"{self.folder}/sshd.log") if code == BAD_LAUNCH else ""
        self.clean_up()
        if output:
            self.log.write("error", f"sshd: {output}")
        self.log.write("end", f"exit {code}" + (f": {reason}" if reason else ""))
        return int(code)

    def _run_job(self) -> None:
        key, problem = 0, None
        try:
            check_cpus(self.plan, self.host.cpus, self.log)
            self.prepare()
            if self.plan.launcher == "torchrun":
                self.check_torchrun()
            if self.plan.launcher not in ON_EACH_NODE:
                self.ssh = SshServer(self.loop, self.folder, found_program("sshd"))
                check_user()
                key = self.make_key("host")
        except (WireupError, OSError) as error:
            problem = as_wireup_error(error)  # the main node has to know, or it would wait
        connection = self._join()
        self.host.move_to(connection.here)
        if self.ssh and not problem:
            try:
                self.host.key = self.public_key("host", key)
                self.host.port = self.ssh.listen(self.host.address)
            except (WireupError, OSError) as error:
                problem = as_wireup_error(error)
        if problem:
            connection.send(host=self.host.values(), failed=[problem.code, str(problem)])
        else:
            connection.send(host=self.host.values())
            self.log.write(
                "rendezvous", f"joined as {self.host.address} with {self.host.cpus} CPUs"
            )
        self.run_until(lambda: self.go or self.ending)
        if not self.ending:
            self._start(connection, str(self.go[0]), efa=self.go[1])
            self.run_until(lambda: self.ending)

    def _join(self) -> Connection:
        """Finds the main node; returns the connection once both sides have authenticated."""
        plan, delay = self.plan, 0.05
        main_node = f"main node {plan.main} at {plan.main_address}"
        self.log.write("rendezvous", f"connecting to {main_node}")
        deadline = time.monotonic() + plan.wait
        while time.monotonic() < deadline:
            secret = plan.secret.encode() or self._shared_secret()
            if secret and (connection := self._connect(secret)):
                return connection
            self.run_for(delay)
            delay = min(delay * 1.5, 2.0)
        if self.mistrust:
            raise WireupError(REFUSED, self.mistrust)
        raise WireupError(
            MISSING, f"{main_node}, port {plan.port}, did not answer within {plan.wait:g} s"
        )

    def _shared_secret(self) -> bytes | None:
        from mngen_wireup.secret import SharedSecret  # most jobs have MNGEN_SECRET

        return SharedSecret(self.plan).find()

    def _connect(self, secret: bytes) -> Connection | None:
        plan, sock = self.plan, None
        try:
            sock = Socket()
            sock.settimeout(1.0)
            sock.connect((plan.main_address, plan.port))
            connection = Connection(self.loop, sock)
        except OSError:
            if sock:
                sock.close()
            return None
        self.connection, self.secret, self.greeting = connection, secret, greeting_of(plan)
        connection.on_readable(self._read)
        connection.send_line(plain_line(self.greeting))
        self.run_until(lambda: self.joined or not self.connection, GREETING_SECONDS)
        if self.joined:
            return connection
        connection.close()
        self.connection = None
        return None

    def _read(self) -> None:
        connection = self.connection
        if not connection:
            return
        try:
            for line in connection.receive():
                if connection.session is None:
                    nonce = str(parsed(line).get("nonce"))
                    connection.session = Session(self.secret, self.greeting, nonce, is_main=False)
                else:
                    self._on_message(connection.session.open(line))
        except EOFError:
            self._lose_main("closed the connection")
        except ValueError as error:
            self._distrust_main(str(error))

    def _lose_main(self, how: str) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None
        if self.joined and not self.ending:
            raise WireupError(LOST, f"main node {self.plan.main} {how}", "lost")

    def _distrust_main(self, reason: str) -> None:
        text = f"cannot authenticate the main node at {self.plan.main_address}: {reason}"
        if self.joined:
            self._lose_main(f"was disconnected: {reason}")
        elif self.plan.secret:
            raise WireupError(REFUSED, f"{text}; check that all nodes have the same MNGEN_SECRET")
        else:
            # The secret may be that of an earlier run, and the main node about to replace it.
            self.mistrust = text
            self._lose_main("")

    def _on_message(self, message: Message) -> None:
        if "welcome" in message:
            self.joined = True
        elif "refused" in message:
            raise WireupError(REFUSED, f"the main node refused this node: {message['refused']}")
        elif "go" in message:
            self.go = message["go"]
        elif "stop" in message:
            self.terminate()
        elif "end" in message:
            self.ending = message

    def _start(self, connection: Connection, key: str, *, efa: bool) -> None:
        plan = self.plan
        env = job_environment(os.environ, plan, self.host, efa=efa)
        if plan.launcher in ON_EACH_NODE:
            connection.send(ready=True)
            pid = self.start_on_each(env, self.host, plan.main_address)
            self.run_until(lambda: self.ending or pid in self.loop.exits)
            if not self.ending:
                connection.send(done=self.loop.exits[pid])
            return
        if not is_public_key(key) or not self.ssh:
            raise WireupError(REFUSED, "the main node sent an invalid public key")
        if plan.launcher != "main":
            env["MNGEN_RANKS"] = f"{self.folder}/ranks"
            if plan.group:
                self.write_command()
        self.ssh.accept(plan.main_address, key, env, self._on_first_command)
        connection.send(ready=True)
        self.log.write("ready", "accepting ssh from the main node")
        if plan.launcher == "main" and plan.runs_beside:
            self._run_beside(connection, env)

    def _run_beside(self, connection: Connection, env: Mapping[str, str]) -> None:
        """Runs the command of this node while the main node runs its own."""
        pid = self.start_command(env, self.plan.command)
        self.run_until(lambda: self.ending or pid in self.loop.exits)
        # What ends after SIGTERM, ends because the job does.
        if not self.ending and not self.stopping:
            connection.send(done=self.loop.exits[pid])
            self.log.write("running", f"the command ended with exit code {self.loop.exits[pid]}")

    def _on_first_command(self) -> None:
        if self.plan.launcher == "main":  # else it is a launcher's, and ranks report themselves
            self.log.write("running", "first command from the main node")

    def on_started(self) -> None:
        """Called when the first rank of this node has started."""
        if self.connection:
            self.connection.send(started=True)

    def step(self, seconds: float) -> None:
        """Handles what happens next, and keeps in touch with the main node.

        Raises:
            WireupError: The job ends.
        """
        super().step(seconds)
        now = time.monotonic()
        if not self.connection or not self.joined or self.ending:
            return
        if now - self.last_heartbeat >= self.plan.heartbeat:
            self.last_heartbeat = now
            self.connection.send(beat=True)
        if self.stopping and not self.reported_end and self.ranks_ended():
            self.reported_end = True
            self.connection.send(quiet=True)
        silence = now - self.connection.heard
        if silence > 3 * self.plan.heartbeat:
            self._lose_main(f"sent no heartbeat for {silence:.0f} s")

    def _report(self, problem: WireupError) -> None:
        """Reports to the main node why this node cannot go on, and waits for the job's end."""
        self.log.write(problem.stage, str(problem))
        ending = [problem.code, str(problem)]
        if self.connection and self.joined and problem.code != REFUSED:
            self.connection.send(**{"cancel" if problem.grace else "failed": ending})
            try:
                self.run_until(lambda: self.ending, 1.25 * problem.grace + 5.0)
            except WireupError as later:
                ending = [later.code, str(later)] if not problem.grace else ending
        self.ending = self.ending or {"end": ending}
