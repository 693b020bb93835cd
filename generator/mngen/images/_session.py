"""SSH through AWS Session Manager: no open port, no public address."""

from __future__ import annotations

from mngen import parts


def require_session_manager() -> None:
    """Checks that what it takes is installed.

    Raises:
        ToolError: The AWS CLI or its plugin is missing.
    """
    parts.require(
        "session-manager",
        otherwise="set `image: {connect: public-ip}` or `private-ip` in the spec",
    )


def proxy_command(region: str) -> str:
    """Returns OpenSSH's ProxyCommand for a host that is named by its instance id.

    Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/
    session-manager-getting-started-enable-ssh-connections.html
    """
    return (
        "aws ssm start-session --target %h --document-name AWS-StartSSHSession "
        f"--parameters portNumber=%p --region {region}"
    )
