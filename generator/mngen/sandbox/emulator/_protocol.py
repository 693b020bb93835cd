"""How each service of AWS writes an error."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

_QUERY_SERVICES = frozenset({"autoscaling", "iam", "sts", "sns", "sqs", "cloudformation"})


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
