"""The ssh server of a node: an sshd for each connection from the main node, as inetd would."""

from __future__ import annotations

import os

from mngen_wireup.files import write_private
from mngen_wireup.lean import Socket
from mngen_wireup.ssh import authorized_keys, session_script, sshd_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Callable

    from mngen_wireup.loop import Loop


class SshServer:
    """Runs commands of the main node on this one.

    Attributes:
        port: The port that the kernel has chosen; 0 before.
        accepted: How many connections there have been.
    """

    def __init__(self, loop: Loop, folder: str, program: str) -> None:
        self.port = self.accepted = 0
        self._loop, self._folder, self._program = loop, folder, program
        self._listener: Socket | None = None
        self._client = ""
        self._on_first: Callable[[], None] = lambda: None

    def listen(self, address: str) -> int:
        """Listens on an address of this node; returns the port. Connections wait until `accept`."""
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", 0o755, exist_ok=True)  # sshd requires it
        self._listener = Socket()
        self._listener.bind((address, 0))
        self._listener.listen(64)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        return self.port

    def accept(
        self, client: str, key: str, env: Mapping[str, str], on_first: Callable[[], None]
    ) -> None:
        """Runs commands from now on.

        Args:
            client: The only address that may connect.
            key: The only public key that may log in.
            env: The environment of the commands.
            on_first: Called at the first connection.
        """
        folder = self._folder
        write_private(f"{folder}/session", session_script(env, os.getcwd()))
        write_private(f"{folder}/sshd_config", sshd_config(folder))
        write_private(f"{folder}/authorized_keys", authorized_keys(client, folder, key))
        self._client, self._on_first = client, on_first
        if self._listener:
            self._loop.watch(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        if not self._listener:
            return
        try:
            sock, (address, _) = self._listener.accept()
        except OSError:
            return
        try:
            sock.setblocking(True)
            if address == self._client:
                log = f"{self._folder}/sshd.log"
                self._loop.spawn(
                    [self._program, "-i", "-f", f"{self._folder}/sshd_config", "-E", log],
                    {"PATH": os.environ.get("PATH", os.defpath)},
                    {0: sock.fileno(), 1: sock.fileno(), 2: log},
                )
                self.accepted += 1
                if self.accepted == 1:
                    self._on_first()
        finally:
            sock.close()
