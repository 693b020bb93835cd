"""For which service of AWS a request is, and how each writes an error."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.sax.saxutils import escape

_QUERY_SERVICES = frozenset({"autoscaling", "iam", "sts", "sns", "sqs", "cloudformation"})

SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/(?P<region>[^/]*)/(?P<service>[^/]+)/aws4_request")
"""For which region and service a request is signed."""


def service_of(environ: dict[str, Any]) -> str | None:
    """Returns the name of the service that a request is signed for; None where it is not."""
    match = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return match["service"] if match else None


def error_document(service: str | None, code: str, message: str) -> tuple[str, bytes]:
    """Returns the content type and the body of an error in the service's own protocol."""
    if service == "ec2":
        text = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message>"
            "</Error></Errors><RequestID>sandbox</RequestID></Response>"
        )
    elif service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    elif service in _QUERY_SERVICES:
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>"
            f"{escape(message)}</Message></Error><RequestId>sandbox</RequestId></ErrorResponse>"
        )
    else:
        document = {"__type": code, "code": code, "message": message, "Message": message}
        return "application/json", json.dumps(document).encode()
    return "text/xml", text.encode()
