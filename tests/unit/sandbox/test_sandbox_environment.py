"""What a process in the sandbox is told about AWS."""

from __future__ import annotations

import pytest

from mngen.sandbox import exports, sandbox_environment

ENDPOINT = "http://127.0.0.1:4242"


@pytest.mark.parametrize(
    "name",
    [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_BATCH",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_CREDENTIAL_FILE",
        "AWS_S3_ENDPOINT",
        "TF_AWS_DEFAULT_TAGS_owner",
        "TF_CLI_ARGS",
        "TF_CLI_ARGS_apply",
        "TF_DATA_DIR",
        "TF_REATTACH_PROVIDERS",
        "BOTO_CONFIG",
        "MOTO_ACCOUNT_ID",
    ],
)
def test_what_could_reach_an_account_is_dropped(name: str) -> None:
    assert name not in sandbox_environment(ENDPOINT, "us-east-1", {name: "real"})


@pytest.mark.parametrize(
    "name",
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_ENDPOINT_URL",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_MAX_ATTEMPTS",
        "TF_WORKSPACE",
        "MNGEN_SANDBOX",
    ],
)
def test_what_the_sandbox_says_wins(name: str) -> None:
    environment = sandbox_environment(ENDPOINT, "eu-west-1", {name: "real"})
    assert environment[name] != "real"


def test_the_region_and_the_endpoint_are_those_asked_for() -> None:
    environment = sandbox_environment(ENDPOINT, "eu-west-1", {})
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert environment["AWS_ENDPOINT_URL"] == environment["MNGEN_SANDBOX"] == ENDPOINT


def test_everything_else_is_kept_and_the_base_is_untouched() -> None:
    base = {"PATH": "/bin", "HOME": "/home/x", "TF_VAR_nodes": "4", "AWS_PROFILE": "real"}
    before = dict(base)
    environment = sandbox_environment(ENDPOINT, "us-east-1", base)
    assert {"PATH", "HOME", "TF_VAR_nodes"} <= environment.keys()
    assert base == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "127.0.0.1,localhost"),
        ("corp.example, 10.0.0.0/8", "corp.example,10.0.0.0/8,127.0.0.1,localhost"),
        ("localhost", "localhost,127.0.0.1"),
        ("*", "*"),
    ],
)
def test_no_proxy_stands_between_a_client_and_the_sandbox(before: str, after: str) -> None:
    base = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": before, "no_proxy": before}
    environment = sandbox_environment(ENDPOINT, "us-east-1", base)
    assert environment["NO_PROXY"] == environment["no_proxy"] == after
    assert environment["HTTPS_PROXY"] == "http://proxy:3128"


def test_the_exports_turn_one_environment_into_the_other() -> None:
    base = {"AWS_PROFILE": "real", "PATH": "/bin", "AWS_REGION": "x"}
    lines = exports({"PATH": "/bin", "AWS_REGION": "y", "MESSAGE": "it's; rm -rf /"}, base)
    assert lines == [
        "unset AWS_PROFILE",
        "export AWS_REGION=y",
        """export MESSAGE='it'"'"'s; rm -rf /'""",
    ]
