"""The catalog's file format: JSON, one line an instance type, so that a refresh diffs by line."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date

import msgspec

from mngen.catalog._types import InstanceType, natural_key
from mngen.errors import InputError, Position, Problem

FORMAT = 4


class CatalogFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of a catalog file.

    Attributes:
        format: Version of this layout; raised whenever a field is added or changes its meaning.
        date: The day on which the facts were read.
        source: Where they were read, in words.
        memory_source: Who measured the memory, in words; empty if nothing was measured.
        types: The instance types, in natural order.
    """

    format: int
    date: date
    source: str
    memory_source: str
    types: list[InstanceType]


class _Header(msgspec.Struct):
    format: int


def encode(
    types: Iterable[InstanceType], *, date: date, source: str, memory_source: str = ""
) -> bytes:
    """Returns the bytes of a catalog file; the same facts always give the same bytes."""
    defaults = {
        field.name: field.default
        for field in msgspec.structs.fields(InstanceType)
        if isinstance(field.default, tuple)
    }

    def row(each: InstanceType) -> bytes:
        # msgspec leaves out a tuple only where it is the very object of the default.
        same = {name: value for name, value in defaults.items() if getattr(each, name) == value}
        return msgspec.json.encode(msgspec.structs.replace(each, **same))

    head = msgspec.json.encode(
        {"format": FORMAT, "date": date, "source": source, "memory_source": memory_source}
    )
    rows = b",\n".join(row(each) for each in sorted(types, key=natural_key))
    return head[:-1] + b',"types":[\n' + rows + b"\n]}\n"


def decode(data: bytes, file: str) -> CatalogFile:
    """Reads a catalog file.

    Args:
        data: The file's content.
        file: Its name, for errors.

    Raises:
        InputError: It is damaged, of another version, or contradicts itself.
    """
    try:
        content = msgspec.json.decode(data, type=CatalogFile)
    except msgspec.ValidationError as error:
        raise _invalid(data, file, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(data, file, error, _WHAT, _MEND) from None
    if content.format != FORMAT:
        raise _wrong_format(content.format, file)
    if len({each.name for each in content.types}) != len(content.types):
        raise _repeated(content.types, file)
    return content


_WHAT = "instance catalog"
_MEND = (
    "restore the file from version control, or recreate it with "
    "`mngen instances --refresh`, or delete it to use the catalog that mngen ships"
)


def malformed(data: bytes, file: str, error: Exception, what: str, mend: str) -> InputError:
    """Returns the error for a data file that is not JSON, with the place of the damage.

    Args:
        data: The file's content.
        file: Its name.
        error: What the decoder raised.
        what: What the file is, such as `instance catalog`.
        mend: What to do about it.
    """
    found = re.search(r"byte (\d+)", str(error))
    position = source_line = None
    if found:
        offset = min(int(found[1]), len(data))
        start = data.rfind(b"\n", 0, offset) + 1
        line = data[start:].split(b"\n", 1)[0]
        position = Position(data.count(b"\n", 0, offset) + 1, offset - start + 1)
        source_line = line.decode(errors="replace")
    reason = "it ends too early" if "truncated" in str(error) else f"it is not JSON ({error})"
    problem = Problem(f"cannot read the {what}: {reason}", hint=mend)
    return InputError(problem.at(file, position, source_line))


def _invalid(data: bytes, file: str, error: msgspec.ValidationError) -> InputError:
    try:
        version = msgspec.json.decode(data, type=_Header).format
    except msgspec.ValidationError:
        version = None
    except msgspec.DecodeError as damage:
        return malformed(data, file, damage, _WHAT, _MEND)
    if version not in (None, FORMAT):
        return _wrong_format(version, file)
    return InputError(Problem(f"cannot use the instance catalog: {error}", file=file, hint=_MEND))


def _repeated(types: list[InstanceType], file: str) -> InputError:
    name, _ = Counter(each.name for each in types).most_common(1)[0]
    return InputError(
        Problem(f"the instance catalog describes `{name}` more than once", file=file, hint=_MEND)
    )


def _wrong_format(version: int | None, file: str) -> InputError:
    return InputError(
        Problem(
            f"the instance catalog has format {version}, and this mngen reads format {FORMAT}",
            file=file,
            hint="use the mngen that wrote it, or recreate it with `mngen instances --refresh`",
        )
    )
