"""The commented spec that `mngen init` writes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mngen import _resources
from mngen.errors import InputError, ToolError
from mngen.spec._load import load_text

if TYPE_CHECKING:
    from pathlib import Path

_NAME_LENGTH = 24


def name_from(text: str) -> str:
    """Makes the name of a deployment from any text, such as a folder's name."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    name = "-".join(words).lstrip("0123456789-")[:_NAME_LENGTH].rstrip("-")
    return name or "cluster"


def initial(name: str, region: str) -> str:
    """Returns the text of a commented spec to start from.

    Args:
        name: Name of the deployment.
        region: AWS region.

    Raises:
        InputError: The name or the region is not one that AWS takes.
    """
    template = (_resources.templates() / "mngen.yaml").read_text(encoding="utf-8")
    text = template.replace("NAME", scalar(name), 1).replace("REGION", scalar(region), 1)
    load_text(text.encode(), "mngen.yaml").require()
    return text


def scalar(value: object) -> str:
    """Writes a scalar as YAML that reads back as that value, or its text; bare where it can be."""
    import yaml

    if value is None or isinstance(value, int | float):
        return json.dumps(value)
    text = str(value)
    if re.fullmatch(r"[A-Za-z_/][A-Za-z0-9_./@-]*", text) and yaml.safe_load(text) == text:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    # JSON leaves these as they are; YAML does not take them, or takes them for the end of a line.
    return re.sub("[\x7f-\x9f\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", quoted)


def create(path: Path, text: str) -> None:
    """Writes a new file, never an existing one.

    Raises:
        InputError: The file exists.
        ToolError: The file cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(
            f"{path} already exists", hint="edit it, or pass another file with --file"
        ) from None
    except OSError as error:
        raise ToolError(f"cannot write {path}: {error.strerror}") from None
