"""What an instance sees of AWS: the metadata service, S3, and the login of ECR.

The signature of each request to S3 and ECR is checked as AWS does: it is made again with botocore,
from the request that arrived and the secret that the metadata service gave out.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mngen.rehearsal._linux import NEW_NETWORK
from tests.support.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET, TOKEN = "se/cret+key", "session/token+=="
CREDENTIALS = Credentials("ASIAEXAMPLE", SECRET, TOKEN)
# As the metadata service writes it:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
DOCUMENT = f"""{{
  "Code" : "Success",
  "LastUpdated" : "2012-04-26T16:39:16Z",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "{CREDENTIALS.access_key}",
  "SecretAccessKey" : "{SECRET}",
  "Token" : "{TOKEN}",
  "Expiration" : "2017-05-17T15:09:54Z"
}}"""


LOGIN = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
"""What the header X-Amz-Target of a request to ECR asks for; from botocore's model of ECR."""


class Instance(BaseHTTPRequestHandler):
    """The metadata service (IMDSv2), S3 and ECR, on one port."""

    server: Servers

    def do_PUT(self) -> None:
        known = self.path == "/latest/api/token"
        lifetime = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer(200 if known and lifetime else 400, b"imds-token")

    def do_GET(self) -> None:
        if not self.path.startswith("/latest/"):
            self.object()
        elif self.headers["X-aws-ec2-metadata-token"] != "imds-token":
            self.answer(401, b"")
        else:
            found = self.server.metadata.get(self.path.removeprefix("/latest/meta-data/"))
            self.answer(404 if found is None else 200, (found or "").encode())

    def object(self) -> None:
        if self.server.status:
            self.answer(self.server.status, b"<Error/>")
        elif self.headers["Authorization"] != self.expected():
            self.answer(403, b"SignatureDoesNotMatch")
        elif self.path not in self.server.objects:
            self.answer(404, b"NoSuchKey")
        else:
            self.answer(200, self.server.objects[self.path])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["X-Amz-Target"] != LOGIN or json.loads(body) != {}:
            self.answer(400, b'{"__type":"UnknownOperationException"}')
        elif self.server.status:
            refusal = {"__type": "X", self.server.message_key: "not authorized"}
            self.answer(self.server.status, json.dumps(refusal).encode())
        elif self.headers["Authorization"] != self.expected("ecr", hashlib.sha256(body)):
            self.answer(403, b'{"__type":"InvalidSignatureException"}')
        else:
            # As the API reference shows the answer:
            # https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
            token = base64.b64encode(f"AWS:{self.server.password}".encode()).decode()
            data = {
                "authorizationToken": token,
                "expiresAt": 1.448878779809e9,
                "proxyEndpoint": "https://123456789012.dkr.ecr.us-east-1.amazonaws.com",
            }
            self.answer(200, json.dumps({"authorizationData": [data]}).encode())

    def expected(self, service: str = "s3", payload: hashlib._Hash | None = None) -> str:
        """Sign what arrived, as botocore does it for a service."""
        signed = self.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        names = signed.split(";")
        # A session token that is not signed is refused by AWS.
        assert {"host", "x-amz-date", "x-amz-security-token"} <= set(names)
        assert payload is None or "x-amz-target" in names
        parts = urlsplit(self.path)
        request = AWSRequest(self.command, f"http://{self.headers['Host']}{parts.path}")
        for name in names:
            request.headers[name] = self.headers[name]
        request.context["timestamp"] = self.headers["x-amz-date"]
        request.context["payload_signing_enabled"] = False
        stamp = datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs((datetime.now(UTC) - stamp).total_seconds()) < 900
        kind = S3SigV4Auth if service == "s3" else SigV4Auth
        auth = kind(CREDENTIALS, service, "us-east-1")
        canonical = "\n".join(
            [
                self.command,
                parts.path,
                parts.query,
                *(f"{name}:{' '.join(self.headers[name].split())}" for name in names),
                "",
                signed,
                self.headers["x-amz-content-sha256"] if payload is None else payload.hexdigest(),
            ]
        )
        signature = auth.signature(auth.string_to_sign(request, canonical), request)
        scope = f"{CREDENTIALS.access_key}/{auth.credential_scope(request)}"
        return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}"

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Servers(ThreadingHTTPServer):
    """What both know.

    Args:
        pid: A process in whose network they are; None for the test's own.
    """

    def __init__(self, pid: int | None) -> None:
        super().__init__(("127.0.0.1", 0), Instance, bind_and_activate=False)
        # A socket stays in the network that its thread was in when it was made.
        thread = threading.Thread(target=self._listen, args=(pid,))
        thread.start()
        thread.join()
        self.status = 0
        self.message_key = "message"
        self.password = "password of ECR"
        self.objects: dict[str, bytes] = {}
        self.metadata = {
            "placement/region": "us-east-1",
            "services/domain": "amazonaws.com",
            "iam/security-credentials/": "builder",
            "iam/security-credentials/builder": DOCUMENT,
        }

    def _listen(self, pid: int | None) -> None:
        if pid is not None:
            with Path(f"/proc/{pid}/ns/net").open("rb") as network:
                # Python has `os.setns` from 3.12 on.
                assert ctypes.CDLL(None).setns(network.fileno(), NEW_NETWORK) == 0
        self.socket.close()
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.server_bind()
        self.server_activate()


@contextmanager
def serving(pid: int | None = None) -> Iterator[Servers]:
    with Servers(pid) as servers:
        serve(servers)
        try:
            yield servers
        finally:
            servers.shutdown()
