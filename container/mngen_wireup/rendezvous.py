"""How the child nodes join the main node, and stay in touch with it."""

from __future__ import annotations

import time

from mngen_wireup.connection import GREETING_SECONDS, Connection
from mngen_wireup.errors import BAD_ENVIRONMENT, WireupError
from mngen_wireup.host import checked_host
from mngen_wireup.lean import Socket, socket
from mngen_wireup.messages import Session, checked_greeting, fresh_nonce, plain_line, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from mngen_wireup.host import Host
    from mngen_wireup.log import Log
    from mngen_wireup.loop import Loop
    from mngen_wireup.messages import Message
    from mngen_wireup.plan import Plan

REPORTED_REFUSALS = 10
"""How many refused connections the log reports one by one; of the rest, only their number."""


class Peer:
    """The other end of a connection to the main node, unauthenticated at first.

    Attributes:
        greeting: Who it claims to be; None before its greeting.
        host: Its description of itself, authenticated; None before that.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.since = time.monotonic()
        self.greeting: Message | None = None
        self.host: Host | None = None


class Rendezvous:
    """Lets each child join once, and receives their messages.

    Attributes:
        members: The children that have joined, by index.
        address: IPv4 address by which they reach the main node; empty before the first joins.
        refused: By index, why a node that claimed it was last refused.
    """

    def __init__(
        self,
        loop: Loop,
        plan: Plan,
        secret: bytes,
        log: Log,
        on_message: Callable[[Peer, Message], None],
        on_lost: Callable[[Peer, str], None],
    ) -> None:
        """Starts to listen.

        Args:
            loop: What waits for its sockets.
            plan: The main node's own.
            secret: The job's.
            log: Where refusals are reported.
            on_message: Called with each message of a member, including the first.
            on_lost: Called with a member that is lost, and how.

        Raises:
            WireupError: The port is in use.
        """
        self.members: dict[int, Peer] = {}
        self.address = ""
        self.refused: dict[int, str] = {}
        self._loop, self._plan, self._secret, self._log = loop, plan, secret, log
        self._on_message, self._on_lost = on_message, on_lost
        self._unauthenticated: dict[Peer, None] = {}  # in order of arrival
        self._refusals = 0
        self._last_heartbeat = time.monotonic()
        self._most_unauthenticated = room_for(plan.nodes)
        self._listener = Socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(("", plan.port))
        except OSError as error:
            raise WireupError(
                BAD_ENVIRONMENT,
                f"cannot listen on port {plan.port}: {error.strerror}; set MNGEN_PORT to another",
            ) from None
        self._listener.listen(4096)
        self._listener.setblocking(False)
        loop.watch(self._listener.fileno(), self._accept)

    def missing(self) -> list[int]:
        """Returns the indexes of the children that have not joined."""
        return [
            index
            for index in range(self._plan.nodes)
            if index != self._plan.main and index not in self.members
        ]

    def send_all(self, **message: object) -> None:
        """Sends a message to every member."""
        for peer in list(self.members.values()):
            peer.connection.send(**message)

    def keep_alive(self) -> None:
        """Sends heartbeats, and drops peers that have been silent for too long."""
        now = time.monotonic()
        for peer in list(self._unauthenticated):
            if now - peer.since < GREETING_SECONDS:
                break
            self._refuse(peer, f"not authenticated within {GREETING_SECONDS:.0f} s")
        if now - self._last_heartbeat < self._plan.heartbeat:
            return
        self._last_heartbeat = now
        for peer in list(self.members.values()):
            silence = now - peer.connection.heard
            if silence > 3 * self._plan.heartbeat:
                self._lose(peer, f"sent no heartbeat for {silence:.0f} s")
            else:
                peer.connection.send(beat=True)

    def close(self) -> None:
        """Closes all connections and stops listening."""
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        for peer in [*self._unauthenticated, *self.members.values()]:
            peer.connection.close()
        if self._refusals > REPORTED_REFUSALS:
            self._log.write("rendezvous", f"refused {self._refusals} connections in total")

    def _accept(self) -> None:
        for _ in range(64):
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # none is waiting; or no file descriptor is free until a peer times out
            try:
                peer = Peer(Connection(self._loop, sock))
            except OSError:
                sock.close()
                continue
            self._await_greeting(peer)

    def _await_greeting(self, peer: Peer) -> None:
        peer.connection.on_readable(lambda: self._read(peer))
        self._unauthenticated[peer] = None
        # A real child authenticates within moments, so the oldest is the least likely one.
        if len(self._unauthenticated) > self._most_unauthenticated:
            oldest = next(iter(self._unauthenticated))
            self._refuse(oldest, "too many unauthenticated connections")

    def _read(self, peer: Peer) -> None:
        try:
            for line in peer.connection.receive():
                if peer.connection.session is None:
                    self._greet(peer, checked_greeting(line))
                else:
                    message = peer.connection.session.open(line)
                    if peer.host is None and not self._join(peer, message):
                        return
                    self._on_message(peer, message)
        except EOFError:
            if peer.host:
                self._lose(peer, "closed its connection")
            else:
                self._refuse(peer, "disconnected before it was authenticated")
        except ValueError as error:
            if peer.host:
                self._lose(peer, f"was disconnected: {error}")
            else:
                self._refuse(peer, str(error))

    def _greet(self, peer: Peer, greeting: Message) -> None:
        nonce = fresh_nonce()
        peer.greeting = greeting
        peer.connection.send_line(plain_line({"nonce": nonce}))
        peer.connection.session = Session(self._secret, greeting, nonce, is_main=True)
        peer.connection.send(welcome=True)

    def _join(self, peer: Peer, message: Message) -> bool:
        greeting = peer.greeting or {}
        taken = {index: member.connection.there for index, member in self.members.items()}
        if reason := refusal(self._plan, greeting, taken):
            peer.connection.send(refused=reason)
            self._refuse(peer, reason)
            return False
        peer.host = checked_host(message.get("host"))
        if peer.host.node != greeting["node"]:
            peer.host = None
            raise ValueError("its description is that of another node")
        self._unauthenticated.pop(peer, None)
        self.members[peer.host.node] = peer
        self.address = self.address or peer.connection.here
        return True

    def _refuse(self, peer: Peer, reason: str) -> None:
        self._unauthenticated.pop(peer, None)
        peer.connection.close()
        self._refusals += 1
        claim, node = "", peer.greeting["node"] if peer.greeting else -1
        if 0 <= node < self._plan.nodes:  # an unauthenticated peer can claim any number
            claim = f" as node {node}"
            self.refused[node] = f"{peer.connection.there} was refused: {reason}"
        if self._refusals <= REPORTED_REFUSALS:
            self._log.write("rendezvous", f"refused {peer.connection.there}{claim}: {reason}")

    def _lose(self, peer: Peer, how: str) -> None:
        peer.connection.close()
        if peer.host:
            self.members.pop(peer.host.node, None)
            self._on_lost(peer, how)


def room_for(nodes: int) -> int:
    """Makes room for the connections of all nodes; returns how many may be unauthenticated."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * nodes + 512
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(16, min(nodes + 256, soft - nodes - 128))
