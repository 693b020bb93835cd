"""The job's secret on the shared file system, for jobs that were submitted without one."""

from __future__ import annotations

import errno
import os

from mngen_wireup.errors import BAD_ENVIRONMENT, REFUSED, WireupError
from mngen_wireup.files import remove_folder, write_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mngen_wireup.plan import Plan


class SharedSecret:
    """A secret that the main node leaves in a folder which only the job's user can enter.

    Any user who can read that file could join the job: it is as safe as the file system's
    permissions. It is removed as soon as all nodes have joined.
    """

    def __init__(self, plan: Plan) -> None:
        self._parent = f"{plan.shared}/.mngen"
        self._name = f"{plan.job}-{plan.attempt}"
        self._folder = f"{self._parent}/{self._name}"

    def create(self) -> bytes:
        """Creates a fresh one, replacing what a crashed run may have left (main node).

        Raises:
            WireupError: The folder cannot be created, or belongs to another user.
        """
        secret = os.urandom(32).hex()
        try:
            try:
                os.mkdir(self._parent)
                os.chmod(self._parent, 0o1777)  # as /tmp: each user's jobs create theirs in it
            except FileExistsError:
                pass
            try:
                os.mkdir(self._folder, 0o700)
            except FileExistsError:
                stale = f"{self._parent}/stale-{os.urandom(8).hex()}"
                os.rename(self._folder, stale)
                remove_folder(stale)
                os.mkdir(self._folder, 0o700)
            # A reader sees the whole file or none.
            write_private(f"{self._folder}/.secret", secret)
            os.rename(f"{self._folder}/.secret", f"{self._folder}/secret")
        except OSError as error:
            raise WireupError(
                BAD_ENVIRONMENT,
                f"cannot write the job's secret to {self._folder}: {error.strerror}",
            ) from None
        return secret.encode()

    def find(self) -> bytes | None:
        """Returns it, or None if it does not exist yet (child node).

        A missing name is looked for by listing its folder: NFS caches for a minute that a file
        does not exist, but not the listing.

        Raises:
            WireupError: Other users could have written or read it.
        """
        try:
            if self._name not in os.listdir(self._parent):
                return None
            if "secret" not in os.listdir(self._folder):
                return None
            for path in (self._folder, f"{self._folder}/secret"):
                found = os.lstat(path)
                if found.st_mode & 0o077 or (os.geteuid() and found.st_uid != os.geteuid()):
                    raise WireupError(
                        REFUSED,
                        f"{path} is accessible to other users: set MNGEN_SECRET, or run all nodes"
                        " as the same user",
                    )
            with open(f"{self._folder}/secret", "rb") as file:
                return file.read() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ESTALE:  # replaced just now
                return None
            raise WireupError(
                BAD_ENVIRONMENT, f"cannot read the job's secret in {self._folder}: {error.strerror}"
            ) from None

    def remove(self) -> None:
        """Removes it (main node)."""
        remove_folder(self._folder)
