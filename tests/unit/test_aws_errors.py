from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions
from botocore.session import Session

from mngen._aws import client, region_of, translate, translated
from mngen.errors import ToolError
from mngen.jobs import is_temporary


def refusal(code: str, message: str = "No.", status: int = 400) -> exceptions.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "r-1"},
    }
    return exceptions.ClientError(response, "DescribeInstanceTypes")


@pytest.mark.parametrize(
    ("error", "says", "advises"),
    [
        (refusal("ExpiredToken"), "have expired", "aws sso login"),
        (refusal("RequestExpired"), "have expired", "aws sso login"),
        (refusal("AuthFailure"), "does not accept the credentials", "aws sts"),
        (
            refusal("SignatureDoesNotMatch", "Signature expired: 20260101 is now earlier"),
            "clock",
            "timedatectl",
        ),
        (
            refusal("UnauthorizedOperation", "You are not. Encoded authorization failure: x9"),
            "AWS denies DescribeInstanceTypes: You are not",
            "permission for DescribeInstanceTypes",
        ),
        (refusal("RequestLimitExceeded", status=503), "throttling", "wait a minute"),
        (refusal("Odd", status=429), "throttling", "wait a minute"),
        (refusal("OptInRequired"), "not enabled", "enable it"),
        (refusal("InternalError", status=500), "AWS failed", "safe to repeat"),
        (refusal("InvalidParameterValue", "Wrong."), "Wrong (InvalidParameterValue, request", None),
        (exceptions.NoCredentialsError(), "AWS credentials are missing", "AWS_PROFILE"),
        (exceptions.ProfileNotFound(profile="me"), "(me)", "list-profiles"),
        (exceptions.UnauthorizedSSOTokenError(), "SSO session", "aws sso login"),
        (exceptions.NoRegionError(), "no AWS region", "--region"),
        (exceptions.EndpointConnectionError(endpoint_url="u"), "cannot reach AWS", "network"),
        (exceptions.ConnectTimeoutError(endpoint_url="u"), "cannot reach AWS", "network"),
        (exceptions.ReadTimeoutError(endpoint_url="u"), "cannot reach AWS", "network"),
        (
            exceptions.SSLError(endpoint_url="u", error=OSError("self-signed")),
            "self-signed",
            "CA_BUNDLE",
        ),
        (exceptions.DataNotFoundError(data_path="p"), "the request to AWS failed", None),
    ],
)
def test_an_error_of_aws_says_what_to_do(error: Exception, says: str, advises: str | None) -> None:
    (problem,) = translate(error).problems
    assert says in problem.message
    assert problem.hint is None if advises is None else advises in str(problem.hint)
    assert "Encoded" not in problem.message


def test_a_denial_of_sns_has_a_code_of_its_own() -> None:
    """It is in botocore's model of the service."""
    model = Session().get_service_model("sns")
    code = model.shape_for("AuthorizationErrorException").metadata["error"]["code"]
    (problem,) = translate(refusal(code, "You are not", 403)).problems
    assert "AWS denies" in problem.message
    assert "mngen policy" in str(problem.hint)


def test_a_refusal_without_any_detail_is_still_told() -> None:
    error = translate(exceptions.ClientError({}, "RunInstances"))
    assert "RunInstances" in str(error)
    assert error.exit_code == 3


def test_the_region_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert region_of() == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert region_of() == "eu-west-2"
    assert client("ec2").meta.region_name == "eu-west-2"
    assert region_of("eu-west-3") == "eu-west-3"
    assert client("ec2", "eu-west-3").meta.region_name == "eu-west-3"


def test_a_client_goes_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert client("ec2", "us-east-1").meta.endpoint_url == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AWS_PROFILE", "nobody", "nobody"),
        ("AWS_ENDPOINT_URL", "not a url", "not a url"),
        ("AWS_REGION", "us east 1", "us east 1"),
        ("AWS_REGION", "", "no AWS region"),
    ],
)
def test_a_wrong_environment_makes_no_traceback(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    if name != "AWS_REGION":
        monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv(name, value)
    with pytest.raises(ToolError) as caught:
        client("ec2")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (refusal("ThrottlingException"), True),
        (refusal("Odd", status=429), True),
        (refusal("InternalError", status=500), True),
        (exceptions.EndpointConnectionError(endpoint_url="u"), True),
        (exceptions.ConnectTimeoutError(endpoint_url="u"), True),
        # botocore gives these a response that is None.
        (exceptions.ConnectionClosedError(endpoint_url="u"), True),
        (exceptions.ReadTimeoutError(endpoint_url="u"), True),
        (refusal("ExpiredToken"), False),
        (refusal("AccessDenied", status=403), False),
        (exceptions.NoCredentialsError(), False),
    ],
)
def test_what_passes_when_it_is_tried_again(error: Exception, passes: bool) -> None:
    with pytest.raises(ToolError) as caught, translated():
        raise error
    assert is_temporary(caught.value) is passes
