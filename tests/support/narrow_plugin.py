"""The narrowed AWS provider as a plugin, which Terraform itself installs, starts and stops.

`attached` serves where a test starts Terraform. In a sandbox that mngen starts, as in the demo,
`TF_REATTACH_PROVIDERS` is not passed on. There Terraform installs the provider from a mirror, with
this program in its place: it runs the real provider and hands on every call and every answer but
the description (`narrow_provider`).

A plugin prints one line with its socket and the certificate for TLS. It exits when Terraform asks
it to, or kills it; the kernel then kills the provider.

Source: https://github.com/hashicorp/go-plugin/blob/v1.6.0/docs/internals.md,
https://github.com/hashicorp/go-plugin/blob/v1.6.0/docs/guide-plugin-write-non-go.md,
https://github.com/hashicorp/go-plugin/blob/v1.6.0/client.go (Start: the fields of the line; Kill),
https://github.com/hashicorp/go-plugin/blob/v1.6.0/internal/plugin/grpc_controller.proto.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import os
import shlex
import shutil
import signal
import ssl
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from scripts.provider_mirror import PROVIDER, Mirror, terraform_platform
from tests.support.narrow_provider import Relay, running, serving
from tests.support.provider import ROOT, SHARED, kept_file, named_types, provider_binary

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHUTDOWN = "/plugin.GRPCController/Shutdown"
_KEY, _CERTIFICATE = "key.pem", "certificate.pem"
_SETPRIV = "setpriv"
_DAYS = 2

# A path with spaces, or a long one, cannot stand in the first line of a script.
_PROGRAM = """\
#!/bin/sh
exec {python} -c 'import sys; sys.path.insert(0, sys.argv.pop(1))
from tests.support.narrow_plugin import main; main()' {words}
"""


def narrow_mirror(folder: Path, env: Mapping[str, str]) -> Mirror | None:
    """Make a mirror that holds the narrowed provider; None where it could outlive Terraform.

    Args:
        folder: An empty folder.
        env: An environment in which Terraform finds the real provider.
    """
    binary = provider_binary(env)
    setpriv = shutil.which("setpriv")
    if setpriv is None or binary is None or not binary.exists():
        return None
    version = binary.parent.parent.name
    program = folder / PROVIDER / version / terraform_platform() / binary.name
    program.parent.mkdir(parents=True)
    words = shlex.join([str(ROOT), str(folder), str(binary), env[SHARED]])
    program.write_text(
        _PROGRAM.format(python=shlex.quote(sys.executable), words=words), encoding="utf-8"
    )
    program.chmod(0o755)
    # A test may hide the one that is installed.
    shutil.copy(setpriv, folder / _SETPRIV)
    _make_certificate(folder)
    return Mirror(folder, version)


def main() -> None:
    """Serve until Terraform has had enough, or the provider ends."""
    folder, binary, shared = Path(sys.argv[1]), *sys.argv[2:]
    # As every plugin does: Ctrl-C at a terminal is for Terraform, which then asks for an end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The provider, run for a debugger, would heed it.
    command = [str(folder / _SETPRIV), "--pdeathsig", "KILL", binary, "-debug"]
    with running(command, start_new_session=True) as (output, attach):
        types = named_types(Path.cwd())
        kept = kept_file({SHARED: shared}, binary, *types)
        relay = Relay(attach, types, kept, {_SHUTDOWN: _shut_down})
        asyncio.run(_serve(relay, folder, output))
    sys.exit(1)


async def _serve(relay: Relay, folder: Path, output: IO[str]) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / _CERTIFICATE, folder / _KEY)
    tls.set_alpn_protocols(["h2"])
    # A name without a file, as Go writes it: nothing is left of a plugin that is killed.
    name = f"mngen-narrow-{os.getpid()}"
    server = await asyncio.start_unix_server(relay, f"\0{name}", ssl=tls)
    certificate = (folder / _CERTIFICATE).read_text(encoding="utf-8")
    encoded = base64.b64encode(ssl.PEM_cert_to_DER_cert(certificate)).decode()
    await serving(server, output, f"1|5|unix|@{name}|grpc|{encoded.rstrip('=')}")


def _shut_down(_: bytes) -> bytes:
    """Exit once the answer is on its way; the kernel kills the provider then."""
    asyncio.get_running_loop().call_soon(os._exit, 0)
    return b""


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
