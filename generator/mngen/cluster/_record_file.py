"""A record beside the rendered Terraform, which reads it as a variable: values by name, in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import msgspec

from mngen._files import locked_folder, write_atomically
from mngen.errors import InputError, Problem, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_T = TypeVar("_T")


class RecordFile(Generic[_T]):
    """A record on disk.

    Args:
        path: The file; it need not exist yet, but its folder must.

    Attributes:
        content: A struct with one field, the values by name; the field's name is the variable's.
        title: What the record is called in an error.
        remedy: What to do if it is damaged.
    """

    content: ClassVar[type[msgspec.Struct]]
    title: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, _T]:
        """Returns the values by name; none if there is no file.

        Raises:
            InputError: The file is damaged or cannot be read.
        """
        try:
            raw = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}") from None
        try:
            content = msgspec.json.decode(raw, type=self.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(
                Problem(
                    f"{self.title} is damaged: {error}",
                    file=str(self.path),
                    hint=f"restore it from version control, or {self.remedy}",
                )
            ) from None
        values: dict[str, _T]
        (values,) = msgspec.structs.astuple(content)
        return values

    def update(self, values: Mapping[str, _T], *, hint: str | None = None) -> None:
        """Writes values into the file, and leaves those of other names as they are.

        If it is killed at any point, the file is the old or the new one. Concurrent updates wait
        for each other.

        Args:
            values: New values by name.
            hint: What to do if they cannot be written.

        Raises:
            InputError: The existing file is damaged.
            ToolError: It cannot be written.
        """
        try:
            with locked_folder(self.path.parent, self.path.name):
                content = self.content(dict(sorted({**self.read(), **values}.items())))
                text = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
                write_atomically(self.path, text)
        except OSError as error:
            message = f"cannot write {self.path}: {error.strerror or error}"
            raise ToolError(message, hint=hint) from None
