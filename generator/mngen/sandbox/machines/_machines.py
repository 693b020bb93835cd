"""The machines of one emulator: which instance has which, what AMIs keep of them."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen.errors import MngenError
from mngen.sandbox.machines._address import claim_address
from mngen.sandbox.machines._image import Images, kernel_limit
from mngen.sandbox.machines._machine import PENDING, Machine
from mngen.sandbox.machines._root import (
    BASES,
    init_unavailable,
    machine_layers,
    machines_unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

_LOG = logging.getLogger(__name__)
_SOON_SECONDS = 1.0


def prepare_machines() -> None:
    """Builds what emulated instances start from, unless this computer has it already.

    Otherwise, the first instance of each base stays `pending` for the minute that this takes. A
    line is logged if it takes more than a second, and one if the instances have no init.

    Raises:
        ToolError: This computer cannot run emulated instances, or building failed.
    """
    timer = threading.Timer(
        _SOON_SECONDS, _LOG.info, ["preparing emulated instances (only once, about a minute)"]
    )
    timer.daemon = True
    timer.start()
    if reason := init_unavailable():
        _LOG.info("%s", reason)
    try:
        for base in BASES:
            machine_layers(base)
    finally:
        timer.cancel()


@dataclass
class _Watched:
    """A machine, and what is called when its state changes."""

    machine: Machine
    below: str | None
    report: Callable[[str], None]
    seen: str = PENDING


@dataclass
class _Copying:
    """An AMI that is being made."""

    ami_id: str
    below: Callable[[], Sequence[Path]]
    future: Future[None]
    report: Callable[[str], None]


class Machines:
    """All machines of an emulator, by the ids of their instances.

    Its methods are called one at a time, as the emulator serves one request at a time. What
    happened meanwhile is reported by `settle`.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._images = Images(home)
        self._machines: dict[str, _Watched] = {}
        self._copying: list[_Copying] = []
        self._unwanted: set[str] = set()
        self._unavailable: str | None = None
        self._asked = False

    def unavailable(self) -> str | None:
        """Returns why this computer can run no machines; None if it can. Looks once."""
        if not self._asked:
            self._unavailable, self._asked = machines_unavailable(), True
        return self._unavailable

    def launch(
        self,
        instance_id: str,
        ami_id: str,
        base: str,
        *,
        domain: str,
        key: str,
        user_data: bytes,
        report: Callable[[str], None],
    ) -> Machine:
        """Begins to boot a machine.

        Args:
            instance_id: Its instance.
            ami_id: What it starts from.
            base: What a machine starts from whose AMI keeps no disk, one of `BASES`.
            domain: The domain of its host's name.
            key: The public key that may log in, or nothing.
            user_data: Run as root at the first boot, if it is a script.
            report: Called with each new state of it, out of `settle`.

        Raises:
            OSError: No address is free.
        """
        kept = ami_id in self._images.kept()

        def layers() -> Sequence[Path]:
            return self._images.layers(ami_id) if kept else machine_layers(base)

        address = claim_address()
        host = "ip-" + address.ip.replace(".", "-")
        folder = self._home / "machines" / instance_id
        init = init_unavailable() is None
        machine = Machine(folder, layers, address, (host, domain), key, user_data, init=init)
        self._machines[instance_id] = _Watched(machine, ami_id if kept else None, report)
        machine.boot()
        return machine

    def start(self, instance_id: str) -> None:
        """Begins to boot a machine that has ended; `report` is called again."""
        watched = self._machines[instance_id]
        watched.seen = PENDING
        watched.machine.boot()

    def terminate(self, instance_id: str) -> None:
        """Stops a machine, and removes its disk once AMIs have their copies."""
        self._machines.pop(instance_id).machine.remove()
        self._discard()

    def keep(self, instance_id: str, ami_id: str, report: Callable[[str], None]) -> None:
        """Begins to copy a machine's disk for an AMI.

        Args:
            instance_id: The machine's instance.
            ami_id: The new AMI.
            report: Called with nothing, or with why it failed, out of `settle`.
        """
        machine = self._machines[instance_id].machine
        future = machine.copy(self._images.place(ami_id))
        self._copying.append(_Copying(ami_id, machine.layers, future, report))

    def kernel_limit(self, ami_id: str) -> int | None:
        """Returns the `nr_cpus` that an AMI's kernel starts with; None for none, or no disk."""
        kept = ami_id in self._images.kept()
        return kernel_limit(self._images.layers(ami_id)) if kept else None

    def forget(self, ami_id: str) -> None:
        """Removes an AMI's disk, once no machine and no other AMI's disk lies above it."""
        self._unwanted.add(ami_id)
        self._discard()

    def settle(self) -> None:
        """Reports what has changed since the last time."""
        for copying in [each for each in self._copying if each.future.done()]:
            self._copying.remove(copying)
            error: BaseException | None = copying.future.exception()
            if error is None:
                try:
                    self._images.record(copying.ami_id, copying.below())
                except (MngenError, OSError) as failure:
                    error = failure
            copying.report(str(error) if error else "")
        for watched in list(self._machines.values()):
            state = watched.machine.state
            if state != watched.seen:
                watched.seen = state
                watched.report(state)

    def clear(self) -> None:
        """Stops all machines and removes what AMIs keep."""
        self._copying.clear()
        for instance_id in list(self._machines):
            self.terminate(instance_id)
        self._images.clear()
        self._unwanted.clear()

    def end(self) -> None:
        """Stops all machines; their disks go when the sandbox's home is removed."""
        for watched in self._machines.values():
            watched.machine.end()

    def _discard(self) -> None:
        for ami_id in sorted(self._unwanted & set(self._images.kept())):
            folder = self._images.folder(ami_id)
            others = [each for each in self._images.kept() if each != ami_id]
            above = [each.below for each in self._machines.values()]
            if ami_id in above or any(folder in self._images.layers(each) for each in others):
                continue
            self._images.remove(ami_id)
            self._unwanted.discard(ami_id)
