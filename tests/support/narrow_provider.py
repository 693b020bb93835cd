"""The AWS provider with the descriptions of few resources, for Terraform in tests.

    python -m tests.support.narrow_provider SOCKET KEPT TYPES PROVIDER [ARGUMENT ...]

Every command of Terraform first has the provider describe each of its 1500 resources, and reads
that: nearly all of the processor time that a command takes. This process runs the provider, stands
between the two, and hands on every call and every answer as they are, but for two.

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

import fcntl
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_ATTACH: Final = re.compile(r"\s*TF_REATTACH_PROVIDERS='(.+)'")
_APPLY: Final = "/tfplugin5.Provider/ApplyResourceChange"
"""The one call that can take minutes."""

_MAPS: Final = frozenset({2, 3, 8})
"""The fields of the answer that map a type's name to its description: of resources, data sources
and ephemeral resources."""

_OBJECTIONS: Final = 2
"""The field of the answer to `PrepareProviderConfig` for errors and warnings."""

_NO_LOGS: Final = dict.fromkeys(("TF_LOG_SDK", "TF_LOG_PROVIDER_AWS"), "off")
"""Terraform chooses from the logs of a provider, which therefore writes all; here none is read."""

# What a plugin is started with, such as the certificate that it would want of who connects.
_OF_PLUGINS: Final = "PLUGIN_"

_VARINT, _BYTES = 0, 2
_MORE = 0x80

# Terraform works on ten resources at a time, and stops them from beside.
_CALLS = 32
_UNLIMITED: Final = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Milliseconds; at most so many. It cannot connect a second time.
    ("grpc.client_idle_timeout_ms", 2**31 - 1),
]


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
            method: The method of the protocol.
            request: What it is called with.
            ask: Has the provider answer.
        """
        match method:
            case "/tfplugin5.Provider/GetSchema":
                return once(self._kept, lambda: narrowed(ask(), self._types))
            case "/tfplugin5.Provider/PrepareProviderConfig":
                digest = hashlib.sha256(request).hexdigest()
                return once(
                    self._kept.with_name(f"{self._kept.name}-{digest}"), ask, unless=objects
                )
            case _:
                return ask()


def once(
    file: Path, make: Callable[[], bytes], unless: Callable[[bytes], bool] = lambda _: False
) -> bytes:
    """Read a file, or make and write it; one process and thread at a time makes it.

    Args:
        file: The file.
        make: Returns what it holds.
        unless: Whether that is not to be written.
    """
    with file.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():
            return file.read_bytes()
        made = make()
        if not unless(made):
            making = file.with_suffix(".new")
            making.write_bytes(made)
            making.rename(file)
        return made


class Narrow:
    """Hands calls on to a provider; what grpc asks for each method.

    Args:
        grpc: The library, which carries no types.
        address: Where the provider listens.
        answers: Those that it need not be asked for.
    """

    def __init__(self, grpc: Any, address: str, answers: Answers) -> None:
        self._grpc = grpc
        self._answers = answers
        self._channel = grpc.insecure_channel(address, options=_UNLIMITED)
        grpc.channel_ready_future(self._channel).result()

    def service(self, details: Any) -> Any:
        """Return what answers a method; None for those of the plugin's own, which none needs."""
        method: str = details.method
        if not method.startswith("/tfplugin5."):
            return None
        call = self._channel.unary_unary(method)

        def hand_on(request: bytes, context: Any) -> bytes:
            def ask() -> bytes:
                return self._ask(call, request, context, cancels=method == _APPLY)

            return self._answers.find(method, request, ask)

        return self._grpc.unary_unary_rpc_method_handler(hand_on)

    def _ask(self, call: Any, request: bytes, context: Any, *, cancels: bool) -> bytes:
        """Ask the provider.

        Args:
            call: Calls the method.
            request: What it is called with.
            context: The call of Terraform.
            cancels: Whether the provider learns of it where Terraform goes away meanwhile. That
                takes another thread.
        """
        try:
            if cancels:
                asked = call.future(request)
                context.add_callback(asked.cancel)
                answer: bytes = asked.result()
            else:
                answer = call(request)
        except self._grpc.RpcError as error:
            context.abort(error.code(), error.details())
        return answer


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[tuple[IO[str], dict[str, Any]]]:
    """Run a provider for a debugger.

    Args:
        command: What starts it so that it ends with the thread that started it.
        options: Further ones of `subprocess.Popen`.

    Yields:
        Its output, which must be read, and what `TF_REATTACH_PROVIDERS` has to be.

    Raises:
        SystemExit: It ended before it listened.
    """
    env = {name: text for name, text in os.environ.items() if not name.startswith(_OF_PLUGINS)}
    env |= _NO_LOGS
    with subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        **options,
    ) as provider:
        assert provider.stdout is not None
        found = next(filter(None, map(_ATTACH.match, provider.stdout)), None)
        if found is None:
            sys.exit(f"{command[-2]} ended with {provider.wait()}")
        yield provider.stdout, json.loads(found[1])


def server(attach: Mapping[str, Any], types: Iterable[str], kept: Path, *handlers: Any) -> Any:
    """Return a server of grpc that hands calls on to a provider; it listens nowhere yet.

    Args:
        attach: What leads to the provider.
        types: What is left of its description.
        kept: The file of what is left; answers about the configuration are kept beside it.
        handlers: What answers other calls.
    """
    # Looked up by name: grpcio carries no types.
    grpc: Any = importlib.import_module("grpc")
    (own,) = attach.values()
    socket = own["Addr"]["String"]
    narrow = Narrow(grpc, f"unix://{socket}", Answers(frozenset(types), kept))
    # The provider, which is killed, would leave its file among the temporary ones.
    Path(socket).unlink()
    return grpc.server(ThreadPoolExecutor(_CALLS), handlers=[narrow, *handlers], options=_UNLIMITED)


def main() -> None:
    """Run the provider until it ends, or the process that started this."""
    socket, kept, types, *command = sys.argv[1:]
    command = ["setpriv", "--pdeathsig", "KILL", *command]
    with running(command, stderr=subprocess.DEVNULL) as (output, attach):
        serving = server(attach, types.split(","), Path(kept))
        serving.add_insecure_port(f"unix://{socket}")
        serving.start()
        (own,) = attach.values()
        own["Pid"] = os.getpid()
        own["Addr"]["String"] = socket
        print(json.dumps(attach), flush=True)
        # What it writes later must not fill the pipe.
        output.read()


if __name__ == "__main__":
    main()
