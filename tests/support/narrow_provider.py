"""The AWS provider with the descriptions of few resources, for Terraform in tests.

    python -m tests.support.narrow_provider SOCKET KEPT TYPES PROVIDER [ARGUMENT ...]

Every command of Terraform first has the provider describe each of its 1500 resources, and reads
that: nearly all of the processor time that a command takes. This process runs the provider, stands
between the two, and hands on every call and every answer as they are, but for two (`frames`).

Of that description only the types that are named (with commas) are left. Terraform refuses any
other type as unknown, so none is left out unseen. The provider is asked for it once, and not at all
where the file KEPT holds what it answered to another process for the same types: by its own
declaration (`get_provider_schema_optional`), on which Terraform relies as well, it need not be
asked.

Before each validation, plan and apply, Terraform has the provider check its configuration, and it
then checks its 1500 resources as well, though they are always the same. That is a third of its
processor time. Where it had no objection, the answer is kept beside KEPT, and given again to the
same request. What stands in the environment is not checked here: the provider reads it when it is
configured, and that call is handed on.

It prints to standard output what `TF_REATTACH_PROVIDERS` has to be, and ends with the process that
started it.

Source: https://github.com/hashicorp/terraform/blob/v1.11.4/docs/plugin-protocol/tfplugin5.8.proto
(GetSchema, PrepareProviderConfig), https://protobuf.dev/programming-guides/encoding/,
https://github.com/hashicorp/terraform-plugin-sdk/blob/v2.36.1/helper/schema/provider.go (Validate),
https://developer.hashicorp.com/terraform/plugin/log/managing.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Final

from tests.support.frames import serve_connection
from tests.support.once import once

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_ATTACH: Final = re.compile(r"\s*TF_REATTACH_PROVIDERS='(.+)'")
_DESCRIBE: Final = "/tfplugin5.Provider/GetSchema"
_CHECK: Final = "/tfplugin5.Provider/PrepareProviderConfig"

_MAPS: Final = frozenset({2, 3, 8})
"""The fields of the answer that map a type's name to its description: of resources, data sources
and ephemeral resources."""

_OBJECTIONS: Final = 2
"""The field of the answer to `PrepareProviderConfig` for errors and warnings."""

_NO_LOGS: Final = dict.fromkeys(("TF_LOG_SDK", "TF_LOG_PROVIDER_AWS"), "off")
"""Terraform chooses from the logs of a provider, which therefore writes all; here none is read."""

OF_PLUGINS: Final = "PLUGIN_"
"""What a plugin is started with, such as the certificate that it would want of who connects."""

_VARINT, _BYTES = 0, 2
_MORE = 0x80

_UNLIMITED: Final = [("grpc.max_receive_message_length", -1)]


def narrowed(message: bytes, types: frozenset[str]) -> bytes:
    """Return a description of a provider with those types alone.

    Args:
        message: The answer to `GetSchema`.
        types: Names of resources and data sources.

    Raises:
        ValueError: It is not a message that this can read.
    """
    kept = bytearray()
    for number, start, body, end in _fields(message):
        if number in _MAPS:
            entry = _fields(message, body, end)
            key = next(message[at:to] for field, _, at, to in entry if field == 1)
            if key.decode() not in types:
                continue
        kept += message[start:end]
    return bytes(kept)


def objects(message: bytes) -> bool:
    """Return whether a provider has an error or a warning about its configuration.

    Args:
        message: The answer to `PrepareProviderConfig`.
    """
    return any(number == _OBJECTIONS for number, *_ in _fields(message))


def _fields(
    message: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int, int, int]]:
    """Read a message: each field's number, where it and its value begin, and where it ends."""
    place, end = start, len(message) if end is None else end
    while place < end:
        tag, body = _varint(message, place)
        if tag & 7 == _VARINT:
            _, after = _varint(message, body)
        elif tag & 7 == _BYTES:
            size, body = _varint(message, body)
            after = body + size
        else:
            raise ValueError(f"a field of wire type {tag & 7}")
        yield tag >> 3, place, body, after
        place = after


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & ~_MORE) << shift
        if not byte & _MORE:
            return value, place
        shift += 7


class Answers:
    """The answers of a provider that need not be asked for again; all that serve a folder of them
    share them.

    Args:
        types: What is left of its description.
        kept: The file of what is left; answers about the configuration are kept beside it.
    """

    def __init__(self, types: frozenset[str], kept: Path) -> None:
        self._types = types
        self._kept = kept

    def find(self, method: str, request: bytes, ask: Callable[[], bytes]) -> bytes:
        """Answer a call.

        Args:
            method: `GetSchema` or `PrepareProviderConfig`, with its path.
            request: What it is called with.
            ask: Has the provider answer.
        """
        if method == _DESCRIBE:
            return once(self._kept, lambda: narrowed(ask(), self._types))
        digest = hashlib.sha256(request).hexdigest()
        return once(self._kept.with_name(f"{self._kept.name}-{digest}"), ask, unless=objects)


@contextmanager
def running(
    command: Sequence[str], env: Mapping[str, str], **options: Any
) -> Iterator[tuple[IO[str], dict[str, Any]]]:
    """Run a provider for a debugger, and kill it at the end.

    Args:
        command: What starts it so that it ends with the thread that started it.
        env: The environment of what starts it elsewhere.
        options: Further ones of `subprocess.Popen`.

    Yields:
        Its output, which must be read, and what `TF_REATTACH_PROVIDERS` has to be.

    Raises:
        SystemExit: It ended before it listened.
    """
    own = {name: text for name, text in env.items() if not name.startswith(OF_PLUGINS)}
    with subprocess.Popen(
        command,
        env=own | _NO_LOGS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        **options,
    ) as provider:
        assert provider.stdout is not None
        found = next(filter(None, map(_ATTACH.match, provider.stdout)), None)
        if found is None:
            sys.exit(f"{command[-2]} ended with {provider.wait()}")
        try:
            yield provider.stdout, json.loads(found[1])
        finally:
            provider.kill()


class Relay:
    """Hands connections of Terraform on to a provider, and answers the calls that it can.

    Args:
        address: The socket of the provider.
        types: What is left of its description.
        kept: The file of what is left; answers about the configuration are kept beside it.
        answers: What answers further methods.
    """

    def __init__(
        self,
        address: str,
        types: Iterable[str],
        kept: Path,
        answers: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType({}),
    ) -> None:
        self._address = address
        known = Answers(frozenset(types), kept)
        self._answers: dict[str, Callable[[bytes], bytes]] = {
            **answers,
            **{method: partial(self._find, known, method) for method in (_DESCRIBE, _CHECK)},
        }

    async def __call__(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a connection to its end."""
        await serve_connection(reader, writer, self._address, self._answers)

    def _find(self, known: Answers, method: str, request: bytes) -> bytes:
        """Answer a call. Nothing else is handed on meanwhile: a command begins with these calls."""
        return known.find(method, request, lambda: self._ask(method, request))

    def _ask(self, method: str, request: bytes) -> bytes:
        # Looked up by name: grpcio carries no types. Mostly there is nothing to ask for.
        grpc: Any = importlib.import_module("grpc")
        with grpc.insecure_channel(f"unix:{self._address}", options=_UNLIMITED) as channel:
            answer: bytes = channel.unary_unary(method)(request)
        return answer


@contextmanager
def hidden_socket(attach: Mapping[str, Any]) -> Iterator[str]:
    """Remove the file of a provider's socket, and yield the address that is left to this process.

    The provider, which is killed, would leave its file among the temporary ones.

    Args:
        attach: What leads to the provider.
    """
    (own,) = attach.values()
    socket = Path(own["Addr"]["String"])
    descriptor = os.open(socket, os.O_PATH)
    socket.unlink()
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


async def _serve(relay: Relay, attach: dict[str, Any], socket: str, output: IO[str]) -> None:
    """Serve until the provider ends, and read what it writes, which must not fill the pipe."""
    (own,) = attach.values()
    own["Pid"] = os.getpid()
    own["Addr"]["String"] = socket
    async with await asyncio.start_unix_server(relay, socket):
        print(json.dumps(attach), flush=True)
        await asyncio.to_thread(output.read)


def main() -> None:
    """Run the provider until it ends, or the process that started this."""
    socket, kept, types, *command = sys.argv[1:]
    command = ["setpriv", "--pdeathsig", "KILL", *command]
    with (
        running(command, os.environ, stderr=subprocess.DEVNULL) as (output, attach),
        hidden_socket(attach) as address,
    ):
        relay = Relay(address, types.split(","), Path(kept))
        asyncio.run(_serve(relay, attach, socket, output))


if __name__ == "__main__":
    main()
