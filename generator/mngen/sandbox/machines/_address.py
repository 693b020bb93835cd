"""Loopback addresses for machines: one each, also beside other sandboxes on this host."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE_SSH_PORT = 2222
"""The port on which the sshd of every machine listens, each on its own address."""

_NETWORK = ipaddress.ip_network("127.64.0.0/10")
_ATTEMPTS = 100


@dataclass(frozen=True)
class Address:
    """An address that no other machine on this host has, until it is released.

    Attributes:
        ip: The address, within 127.64.0.0/10.
    """

    ip: str
    _claim: socket.socket

    def release(self) -> None:
        """Gives the address back."""
        self._claim.close()


def claim_address() -> Address:
    """Takes an address that is free.

    The claim is a UDP socket on the machine's port, which the machine's own sshd (TCP) leaves
    alone: the kernel gives it to one process only, and takes it back however that process ends.

    Raises:
        OSError: None is free.
    """
    for _ in range(_ATTEMPTS):
        # Neither the network's own address nor the last one.
        ip = str(_NETWORK[1 + secrets.randbelow(_NETWORK.num_addresses - 2)])
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((ip, MACHINE_SSH_PORT))
            with socket.create_server((ip, MACHINE_SSH_PORT)):
                return Address(ip, claim)
        except OSError:
            claim.close()
    raise OSError(f"no address in {_NETWORK} has port {MACHINE_SSH_PORT} free")


@contextmanager
def unclaimed(ip: str) -> Iterator[bool]:
    """Yields whether no machine on this host has an address, which none gets meanwhile."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claim:
        try:
            claim.bind((ip, MACHINE_SSH_PORT))
        except OSError:
            yield False
        else:
            yield True
