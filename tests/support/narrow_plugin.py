"""The narrowed AWS provider as a plugin, which Terraform itself installs, starts and stops.

`attached` serves where a test starts Terraform. In a sandbox that mngen starts, as in the demo,
`TF_REATTACH_PROVIDERS` is not passed on. There Terraform installs the provider from a mirror, with
a plugin in its place that is hardly more than the line that a plugin prints. It gets that from a
server beside the tests, which runs the real provider, with the environment and in the folder of
the plugin, and hands on every call and every answer but the description (`narrow_provider`).

Terraform starts a plugin for each step of each command: up to four times in one. The server keeps
the provider for all of them. With another environment or another folder, it starts another one.

A plugin prints one line with its socket and the certificate for TLS. It exits when Terraform asks
it to, or kills it.

Source: https://github.com/hashicorp/go-plugin/blob/v1.6.0/docs/internals.md,
https://github.com/hashicorp/go-plugin/blob/v1.6.0/docs/guide-plugin-write-non-go.md,
https://github.com/hashicorp/go-plugin/blob/v1.6.0/client.go (Start: the fields of the line; Kill),
https://github.com/hashicorp/go-plugin/blob/v1.6.0/internal/plugin/grpc_controller.proto,
https://man7.org/linux/man-pages/man7/unix.7.html (abstract names; SO_PEERCRED).
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import itertools
import os
import shlex
import shutil
import socket
import ssl
import struct
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.provider_mirror import (
    CONFIG_VARIABLE,
    PROVIDER,
    Mirror,
    terraform_platform,
    write_cli_config,
)
from tests.support.narrow_provider import OF_PLUGINS, Relay, hidden_socket, running
from tests.support.provider import ROOT, SHARED, kept_file, named_types, provider_binary

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Iterator, Mapping

_SHUTDOWN = "/plugin.GRPCController/Shutdown"
_KEY, _CERTIFICATE = "key.pem", "certificate.pem"
_DAYS = 2
_PEER = struct.Struct("3i")
"""A process, its user and its group, as SO_PEERCRED returns them."""

_LINE = 4096
"""Bytes that hold the line of a plugin."""

# As every plugin does, it leaves Ctrl-C at a terminal to Terraform, which then asks for an end.
# Terraform gives it a certificate in a variable that no shell needs. Of the modules of Python, it
# loads the one that is compiled: more would take longer than all else that it does.
_PROGRAM = """\
#!/bin/sh
trap '' INT
exec {python} -I -S -c 'import _socket, sys
server = _socket.socket(_socket.AF_UNIX)
server.connect("\\0" + sys.argv[1])
print(server.recv({size}).decode(), flush=True)
server.recv(1)' {name}
"""


@contextmanager
def narrow_environment(folder: Path, env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run the server, and yield an environment in which Terraform installs its plugin.

    Args:
        folder: An empty folder.
        env: An environment in which Terraform finds the real provider. Where the provider could
            outlive the tests, this is what is yielded.
    """
    binary = provider_binary(env)
    setpriv = shutil.which("setpriv")
    if setpriv is None or binary is None or not binary.exists():
        yield dict(env)
        return
    _make_certificate(folder)
    name = f"mngen-narrow-{os.getpid()}-{folder.name}"
    config = folder / "terraform.rc"
    write_cli_config(_mirror(folder, binary, name), config)
    command = [sys.executable, "-m", "tests.support.narrow_plugin", name, str(folder)]
    # Each ends with the thread that started it.
    mortal = [setpriv, "--pdeathsig", "KILL"]
    with subprocess.Popen(
        [*mortal, *command, env[SHARED], *mortal, str(binary)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline(), f"the server ended with {server.wait()}"
            # The cache is of the provider that is under the same name elsewhere.
            yield {
                **{key: text for key, text in env.items() if key != "TF_PLUGIN_CACHE_DIR"},
                CONFIG_VARIABLE: str(config),
            }
        finally:
            server.kill()


def _mirror(folder: Path, binary: Path, name: str) -> Mirror:
    """Write a mirror with the plugin of a server in the provider's place."""
    version = binary.parent.parent.name
    program = folder / PROVIDER / version / terraform_platform() / binary.name
    program.parent.mkdir(parents=True)
    text = _PROGRAM.format(python=shlex.quote(sys.executable), size=_LINE, name=shlex.quote(name))
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return Mirror(folder, version)


@dataclass
class _Provider:
    """A provider that runs.

    Attributes:
        address: Its socket.
        process: Stops it when it is closed.
        plugins: How many plugins stand for it.
    """

    address: str
    process: ExitStack
    plugins: int = 0


class _Server:
    """Stands behind the plugins of a mirror.

    Args:
        name: Its abstract name, with which those of the plugins' sockets begin.
        folder: Where the certificate is.
        shared: The folder of a run of tests for what its processes share.
        command: What starts the real provider, so that it ends with this process.
    """

    def __init__(self, name: str, folder: Path, shared: str, command: list[str]) -> None:
        self._name = name
        self._shared = shared
        self._command = command
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(folder / _CERTIFICATE, folder / _KEY)
        self._tls.set_alpn_protocols(["h2"])
        certificate = (folder / _CERTIFICATE).read_text(encoding="utf-8")
        encoded = base64.b64encode(ssl.PEM_cert_to_DER_cert(certificate)).decode()
        self._certificate = encoded.rstrip("=")
        self._numbers = itertools.count()
        self._providers: dict[tuple[str, str], _Provider] = {}

    async def serve(self) -> None:
        """Announce the server, and serve until it is cancelled."""
        async with await asyncio.start_unix_server(self._stand, f"\0{self._name}") as server:
            print(flush=True)
            await server.serve_forever()

    async def _stand(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Stand behind a plugin to its end."""
        plugin = writer.get_extra_info("socket")
        process, *_ = _PEER.unpack(
            plugin.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        )
        environment = Path(f"/proc/{process}/environ").read_text(encoding="utf-8")
        folder = Path(f"/proc/{process}/cwd").readlink()
        provider = self._find(_variables(environment), folder)

        def shut_down(_: bytes) -> bytes:
            # Once the answer is on its way. The plugin exits then.
            asyncio.get_running_loop().call_soon(writer.close)
            return b""

        types = named_types(folder)
        kept = kept_file({SHARED: self._shared}, self._command[-1], *types)
        relay = Relay(provider.address, types, kept, {_SHUTDOWN: shut_down})
        provider.plugins += 1
        try:
            # A name without a file, as Go writes it: nothing is left of a plugin that is killed.
            name = f"{self._name}-{next(self._numbers)}"
            async with await asyncio.start_unix_server(relay, f"\0{name}", ssl=self._tls):
                writer.write(f"1|5|unix|@{name}|grpc|{self._certificate}".encode())
                await reader.read()
        finally:
            provider.plugins -= 1
            writer.close()

    def _find(self, env: dict[str, str], folder: Path) -> _Provider:
        """Return the provider of an environment and a folder, and stop those without plugins."""
        key = str(folder), str(sorted(env.items()))
        for other, provider in list(self._providers.items()):
            if other != key and not provider.plugins:
                provider.process.close()
                del self._providers[other]
        if key not in self._providers:
            with ExitStack() as stack:
                options = {"cwd": folder, "stderr": subprocess.DEVNULL}
                run = running([*self._command, "-debug"], env, **options)
                output, attach = stack.enter_context(run)
                # What it writes later must not fill the pipe.
                asyncio.get_running_loop().run_in_executor(None, output.read)
                address = stack.enter_context(hidden_socket(attach))
                self._providers[key] = _Provider(address, stack.pop_all())
        return self._providers[key]


def _variables(environment: str) -> dict[str, str]:
    """Read an environment as the kernel shows it, without what differs from plugin to plugin."""
    variables = (line.partition("=") for line in environment.split("\0") if line)
    return {name: text for name, _, text in variables if not name.startswith(OF_PLUGINS)}


def main() -> None:
    """Serve until the process ends that started this."""
    name, folder, shared, *command = sys.argv[1:]
    asyncio.run(_Server(name, Path(folder), shared, command).serve())


def _make_certificate(folder: Path) -> None:
    """Write a key and a certificate, of the name by which Terraform knows every plugin."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + _DAYS * day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / _CERTIFICATE).write_bytes(made.public_bytes(pem))
    (folder / _KEY).write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


if __name__ == "__main__":
    main()
