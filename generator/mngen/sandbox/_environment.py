"""The environment of a process that must see the sandbox and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT_ID = "123456789012"
"""The account ID of the sandbox; AWS's own documentation uses it as an example."""

ENDPOINT_VARIABLE = "MNGEN_SANDBOX"
"""Names the sandbox's endpoint; its presence means that a process already runs inside one."""

WORKSPACE = "mngen-sandbox"
"""The Terraform workspace of the sandbox.

Terraform keeps a workspace's local state in `terraform.tfstate.d/<workspace>/`, so a hand-run
`terraform apply` inside the sandbox cannot write emulated ids into a real `terraform.tfstate`.
"""

_SCRUBBED_PREFIXES = (
    # Credentials, profiles, files, regions, and one endpoint a service: all of AWS's own settings.
    "AWS_",
    # Endpoints of single services from the time before AWS_ENDPOINT_URL_<SERVICE>.
    "TF_AWS_",
    # Another account's settings of the emulator itself.
    "MOTO_",
    # Arguments slipped into every terraform call, such as -state=terraform.tfstate.
    "TF_CLI_ARGS",
)
_SCRUBBED_NAMES = frozenset(
    {
        "BOTO_CONFIG",
        "AMAZON_ACCESS_KEY_ID",
        "AMAZON_SECRET_ACCESS_KEY",
        # The Terraform working directory may hold a remote backend with separate credentials.
        "TF_DATA_DIR",
        # Would re-attach Terraform to a provider process started with another environment.
        "TF_REATTACH_PROVIDERS",
    }
)
_LOOPBACK = ("127.0.0.1", "localhost")


def sandbox_environment(endpoint: str, region: str, base: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment in which every AWS client talks to the sandbox alone.

    Everything in `base` about AWS is dropped: keys, tokens, profiles, web identities, container
    credentials, files under another name, endpoints of single services, FIPS and dual-stack
    switches. The files in `~/.aws` are hidden, because a profile in them may hold keys or an
    `endpoint_url`, and the instance metadata service is switched off. The keys that are put in
    their place belong to no account: AWS would refuse a request that reached it by mistake.

    Args:
        endpoint: URL of the sandbox, such as `http://127.0.0.1:40123`.
        region: The AWS region that the clients use, such as `us-east-1`.
        base: The environment to start from, usually `os.environ`.

    Returns:
        A new environment; `base` is left as it is.
    """
    environment = {
        name: value
        for name, value in base.items()
        if not name.startswith(_SCRUBBED_PREFIXES) and name not in _SCRUBBED_NAMES
    }
    environment.update(
        {
            "AWS_ACCESS_KEY_ID": "mngen-sandbox",
            "AWS_SECRET_ACCESS_KEY": "mngen-sandbox",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            # An emulator that answers at all answers at once: do not retry a dead one for minutes.
            "AWS_MAX_ATTEMPTS": "3",
            "AWS_PAGER": "",
            "AWS_REGION": region,
            "TF_WORKSPACE": WORKSPACE,
            ENDPOINT_VARIABLE: endpoint,
        }
    )
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = _with_loopback(environment.get(name, ""))
    return environment


def _with_loopback(no_proxy: str) -> str:
    """Adds the loopback addresses to a comma-separated list of hosts that no proxy may serve."""
    hosts = [host.strip() for host in no_proxy.split(",") if host.strip()]
    if "*" in hosts:
        return "*"
    return ",".join([*hosts, *(host for host in _LOOPBACK if host not in hosts)])
