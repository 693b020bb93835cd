"""SSH through AWS Session Manager: no open port, no public address."""

from __future__ import annotations

import shutil

from mngen.errors import ToolError


def require_session_manager() -> None:
    """Checks that what it takes is installed.

    Raises:
        ToolError: The AWS CLI or its plugin is missing.
    """
    for program, name in (
        ("aws", "the AWS CLI"),
        ("session-manager-plugin", "the Session Manager plugin of the AWS CLI"),
    ):
        if shutil.which(program) is None:
            raise ToolError(
                f"builders are reached through Session Manager, and {name} is not on PATH",
                hint="install it (https://docs.aws.amazon.com/systems-manager/latest/userguide/"
                "session-manager-working-with-install-plugin.html), or choose another way in the "
                "spec: `image: {connect: public-ip}` or `private-ip`",
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
