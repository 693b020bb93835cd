"""Small files that only this user can read, and the folder that holds those of a job."""

from __future__ import annotations

import errno
import os

from mngen_wireup.errors import BAD_ENVIRONMENT, WireupError


def private_folder(*, executable: bool = False) -> str:
    """Returns a new folder that only this user can enter, in memory if possible.

    Args:
        executable: Whether programs in it have to run. Docker mounts /dev/shm `noexec`.

    Raises:
        WireupError: There is none.
    """
    name = f"mngen-{os.urandom(8).hex()}"
    reason = ""
    for parent in ("/dev/shm", "/run", os.environ.get("TMPDIR") or "/tmp"):
        folder = f"{parent}/{name}"
        try:
            os.mkdir(folder, 0o700)
            write_private(f"{folder}/probe", "x" * 4096)
            if executable:
                os.chmod(f"{folder}/probe", 0o700)
                if not os.access(f"{folder}/probe", os.X_OK):
                    raise PermissionError(errno.EACCES, "mounted noexec")
        except OSError as error:
            reason = f"{folder}: {error.strerror}"
            remove_folder(folder)
            continue
        return folder
    wanted = "takes programs for the job's ssh" if executable else "is writable for the job's keys"
    raise WireupError(BAD_ENVIRONMENT, f"no folder {wanted}: {reason}")


def write_private(path: str, text: str) -> None:
    """Writes a new file that only this user can read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)


def make_writable(folder: str) -> None:
    """Makes the folder of the job's outputs, unless it exists.

    Raises:
        WireupError: It cannot be made, or this user cannot write to it.
    """
    reason = ""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        reason = str(error.strerror)
    if not reason and not os.access(folder, os.W_OK | os.X_OK):
        reason = os.strerror(errno.EACCES)
    if reason:
        raise WireupError(
            BAD_ENVIRONMENT,
            f"user ID {os.geteuid()} cannot write to {folder}, the folder of the job's outputs:"
            f" {reason}",
        )


def remove_folder(folder: str) -> None:
    """Removes a folder of files, as far as possible."""
    try:
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
    except OSError:
        pass


def tail(path: str, most: int = 500) -> str:
    """Returns the last characters of a text file on one line; empty if it cannot be read."""
    try:
        with open(path, errors="replace") as file:
            return " ".join(file.read()[-most:].split())
    except OSError:
        return ""
