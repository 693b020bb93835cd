"""The one way to AWS: how clients are made, and what their errors mean to a person.

Clients honour the usual environment (`AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …): botocore
reads it, and nothing here overrides it. They are botocore's, without boto3: what that adds to the
clients of S3 is not used, and takes a tenth of a command's time to import.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import cache, lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from mngen._version import __version__
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.exceptions import ClientError

_ATTEMPTS = 5
_CONNECT_TIMEOUT = 10  # seconds
_READ_TIMEOUT = 60  # seconds

_LOG_IN = (
    "log in again (`aws sso login`, or new keys), and check with `aws sts get-caller-identity`"
)
_REPEAT = "wait a minute and run the command again; it is safe to repeat"

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_REJECTED = {
    "AuthFailure",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "UnauthorizedOperation",
}
_THROTTLES = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_SKEWED = {"RequestTimeTooSkewed", "RequestInTheFuture"}
_NOT_OPTED_IN = {"OptInRequired", "SubscriptionRequiredException"}

# How the variables begin, and end, that decide what a session is.
# Source: https://github.com/boto/botocore (configprovider.py, session.py, credentials.py, utils.py)
_READ = ("AWS_", "BOTO_CONFIG", "HOME")
_READ_TOO = "_PROXY"
# A session does not bear two threads that make clients.
_MAKING = threading.Lock()


def client(
    service: str,
    region: str | None = None,
    *,
    endpoint_url: str | None = None,
    attempts: int = _ATTEMPTS,
) -> Any:
    """Returns a client of botocore that retries adaptively, and gives up in reasonable time.

    Args:
        service: Such as `ec2`. Annotate the result with its boto3-stubs type.
        region: Such as `us-east-1`; None for that of the AWS environment or profile.
        endpoint_url: None for `AWS_ENDPOINT_URL` of the environment, or else AWS's own.
        attempts: How often a call is tried in all; 1 where a call must not be made twice.

    Raises:
        ToolError: No region, no such profile, or an endpoint that is not a URL.
    """
    from botocore.config import Config

    from mngen import _debug

    config = Config(
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        user_agent_extra=f"mngen/{__version__}",
    )
    try:
        with translated(), _MAKING:
            made = _session().create_client(
                service, region_name=region, endpoint_url=endpoint_url, config=config
            )
    except ValueError as error:
        raise ToolError(
            f"cannot call AWS: {error}",
            hint="set AWS_ENDPOINT_URL to a URL such as http://127.0.0.1:5000",
        ) from error
    if _debug.is_enabled():
        _debug.watch(made)
    return made


def region_of(region: str | None = None) -> str:
    """Returns the region given, or else that of the AWS environment or profile.

    Raises:
        ToolError: There is none.
    """
    from botocore.exceptions import NoRegionError

    if region:
        return region
    with translated(), _MAKING:
        found = _session().get_config_variable("region")
        if not found:
            raise NoRegionError
    return str(found)


def _session() -> Any:
    """Returns the session of all clients: the MFA code of a role is asked for once."""
    read = frozenset(
        (name, text)
        for name, text in os.environ.items()
        if name.startswith(_READ) or name.upper().endswith(_READ_TOO)
    )
    return _session_in(read)


@lru_cache(maxsize=1)
def _session_in(environment: frozenset[tuple[str, str]]) -> Any:
    """Returns the session in an environment, which is this process's.

    Args:
        environment: What botocore reads of it.
    """
    import botocore.session

    session = botocore.session.get_session()
    loader = _loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    # botocore reads AWS_DEFAULT_REGION alone; the AWS CLI and the other SDKs read AWS_REGION.
    if region := dict(environment).get("AWS_REGION"):
        session.set_config_variable("region", region)
    return session


@cache
def _loader(path: str | None) -> Any:
    """Returns what reads the descriptions of AWS's services, each once for all sessions.

    To read those of EC2 and Batch takes longer than most commands do otherwise.

    Args:
        path: The folders that the AWS environment or profile adds, as `AWS_DATA_PATH` has them.
    """
    from botocore.loaders import create_loader

    from mngen._descriptions import Catalog

    return Catalog(create_loader(path).search_paths, include_default_search_paths=False)


@contextmanager
def translated() -> Iterator[None]:
    """Turns an error of botocore in a `with` block into a `ToolError` that has a hint."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise translate(error) from error


def translate(error: Exception) -> ToolError:
    """Returns what an error of botocore means, in the user's words.

    Args:
        error: A `ClientError` (AWS refused), a `BotoCoreError` (the request got no answer) or a
            `ResponseParserError` (the answer was not AWS's).
    """
    from botocore.exceptions import ClientError

    return _refused(error) if isinstance(error, ClientError) else _unanswered(error)


def was_throttled(error: Exception) -> bool:
    """Returns whether AWS refused a call for now, without having done anything."""
    # That of a request without an answer is None.
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return (
        response.get("Error", {}).get("Code") in _THROTTLES
        or response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        == HTTPStatus.TOO_MANY_REQUESTS
    )


def was_denied(error: ClientError) -> bool:
    """Returns whether the caller lacks the permission for a call."""
    return error.response.get("Error", {}).get("Code") in _DENIED


def may_have_worked(error: Exception) -> bool:
    """Returns whether AWS may have done what was asked, though the call failed: no answer was read.

    Args:
        error: What a client of boto3 raised.
    """
    from botocore import exceptions as b
    from botocore.parsers import ResponseParserError

    if isinstance(error, b.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR
    never_left = b.EndpointConnectionError | b.ConnectTimeoutError | b.ProxyConnectionError
    broke_off = b.ConnectionError | b.HTTPClientError | ResponseParserError
    return isinstance(error, broke_off) and not isinstance(error, never_left)


def _refused(error: Any) -> ToolError:
    details: dict[str, Any] = error.response.get("Error", {})
    meta: dict[str, Any] = error.response.get("ResponseMetadata", {})
    code = str(details.get("Code", "unknown"))
    action = str(error.operation_name)
    # EC2 appends an encoded blob that only an administrator can decode.
    said = str(details.get("Message") or "").partition(" Encoded authorization")[0].rstrip(".")
    status = int(meta.get("HTTPStatusCode") or 0)
    if code in _EXPIRED:
        return ToolError("the AWS credentials have expired", hint=_LOG_IN)
    if code in _SKEWED or "Signature expired" in said or "Signature not yet current" in said:
        return ToolError(
            "AWS refused the request because this machine's clock is wrong",
            hint="set the clock (`timedatectl set-ntp true`) and run the command again",
        )
    if code in _REJECTED:
        return ToolError(f"AWS does not accept the credentials ({code})", hint=_LOG_IN)
    if code in _DENIED:
        return ToolError(
            f"AWS denies {action}: {said}",
            hint=f"the role or user needs permission for {action}; `mngen policy` prints "
            "the policies that mngen's commands need",
        )
    if code in _NOT_OPTED_IN:
        return ToolError(
            f"the AWS account has not enabled this service or region: {said}",
            hint="enable it in the AWS console, or choose another region",
        )
    if code in _THROTTLES or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ToolError(f"AWS is throttling {action} ({code})", hint=_REPEAT)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ToolError(f"AWS failed on {action} ({code}, HTTP {status})", hint=_REPEAT)
    request = f", request {meta['RequestId']}" if meta.get("RequestId") else ""
    return ToolError(f"AWS refused {action}: {said or 'no reason given'} ({code}{request})")


def _unanswered(error: Exception) -> ToolError:
    from botocore import exceptions as b
    from botocore.parsers import ResponseParserError

    if isinstance(error, ResponseParserError):
        return ToolError(
            "the response did not come from AWS",
            hint="check the network's login page or proxy (HTTPS_PROXY), and AWS_ENDPOINT_URL",
        )
    if isinstance(error, b.NoCredentialsError | b.PartialCredentialsError):
        return ToolError(
            "AWS credentials are missing or incomplete",
            hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run "
            "`aws configure`; `--sandbox` needs none",
        )
    if isinstance(error, b.ProfileNotFound):
        return ToolError(
            f"{error}", hint="correct AWS_PROFILE; `aws configure list-profiles` lists the profiles"
        )
    if isinstance(
        error,
        b.SSOError
        | b.LoginError
        | b.TokenRetrievalError
        | b.NoAuthTokenError
        | b.CredentialRetrievalError,
    ):
        return ToolError(f"could not get AWS credentials: {error}", hint=_LOG_IN)
    if isinstance(error, b.NoRegionError):
        return ToolError(
            "no AWS region is set", hint="pass `--region us-east-1`, or set AWS_REGION"
        )
    if isinstance(error, b.InvalidRegionError):
        return ToolError(f"{error}", hint="use a region such as us-east-1")
    if isinstance(error, b.SSLError):
        return ToolError(
            f"the connection to AWS is not trusted: {error}",
            hint="behind an inspecting proxy, point AWS_CA_BUNDLE at its certificate",
        )
    if isinstance(error, b.ConnectionError | b.HTTPClientError):
        return ToolError(
            f"cannot reach AWS: {error}",
            hint="check the network, HTTPS_PROXY, AWS_ENDPOINT_URL and the region's spelling",
        )
    return ToolError(f"the request to AWS failed: {error}")
