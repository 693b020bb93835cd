"""What the container image has to provide: programs, and a user that ssh can work for."""

from __future__ import annotations

import os

from mngen_wireup.errors import BAD_ENVIRONMENT, BAD_LAUNCH, WireupError


def found_program(name: str) -> str:
    """Returns the path of a program, also if PATH lacks the system's folders.

    Args:
        name: Its name, or its path, which is not looked up.

    Raises:
        WireupError: It is not installed.
    """
    folders = (*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin", "/sbin")
    for folder in ("",) if "/" in name else folders:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise WireupError(
        BAD_LAUNCH, f"{name} not found on PATH or in /usr/sbin: install it in the container image"
    )


def check_user() -> None:
    """Checks that ssh can work for the user of this process.

    Raises:
        WireupError: It cannot.
    """
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        raise WireupError(
            BAD_ENVIRONMENT,
            f"user ID {os.geteuid()} has no entry in /etc/passwd, which ssh requires: add the user"
            " to the container image",
        ) from None
    shell = user.pw_shell or "/bin/sh"
    if os.path.basename(shell) in ("nologin", "false") or not os.access(shell, os.X_OK):
        raise WireupError(
            BAD_ENVIRONMENT,
            f"user {user.pw_name} has the login shell {shell}, which runs no commands: set it to"
            " /bin/sh in the container image",
        )
