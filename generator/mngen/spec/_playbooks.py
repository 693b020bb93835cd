"""The playbooks that a spec names: each with all files of its folder, read and checked."""

from __future__ import annotations

from functools import cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

import msgspec
import yaml

from mngen._files import is_leftover
from mngen.errors import InputError, Problem
from mngen.spec._document import at_start, compose
from mngen.spec._model import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mngen.spec._document import Document
    from mngen.spec._model import Spec

_MOST_FILES = 500
_MOST_BYTES = 1_048_576
_HOSTS = ("all", "localhost")


class ImageFromFiles(Image, frozen=True, kw_only=True):
    """An image with the files of its playbooks.

    Attributes:
        given: The image as it is in the spec.
        files: The text of each file of their folders, by its path from the spec, sorted.
    """

    given: Image
    files: dict[str, str]


def with_playbooks(
    spec: Spec, document: Document, files: Mapping[str, bytes]
) -> tuple[Spec, list[Problem]]:
    """Reads the playbooks that the image of a spec names, and the other files of their folders.

    Args:
        spec: The spec, or what is sound of it.
        document: Its document.
        files: Content of files in place of what is on the disk, by their paths from the spec.

    Returns:
        The spec with an `ImageFromFiles`, and what is wrong.
    """
    # As that of a definition, a path starts at the folder of the file that it is written in.
    writer = FilePath(document.writer(("image", "playbooks")).name)
    top = writer.parent
    problems: list[Problem] = []
    found: dict[str, str] = {}
    # Playbooks often share a folder.
    texts_in = cache(lambda folder: _texts(top, folder, files))
    for number, named in enumerate(spec.image.playbooks):
        place = ("image", "playbooks", number)
        try:
            texts = texts_in(named.rpartition("/")[0])
        except InputError as error:
            problems += [
                document.problem(each.message, place, hint=each.hint) for each in error.problems
            ]
            continue
        if named not in texts:
            hint = f"the path starts at the folder of {writer.name}"
            problems.append(document.problem(f"there is no file {top / named}", place, hint=hint))
            continue
        problems += _faults(str(top / named), texts[named])
        found |= texts
    image = ImageFromFiles(
        **{name: getattr(spec.image, name) for name in Image.__struct_fields__},
        given=spec.image,
        files=dict(sorted(found.items())),
    )
    return msgspec.structs.replace(spec, image=image), problems


def _texts(top: FilePath, folder: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """Returns the text of each file of a folder, by its path from the spec.

    Raises:
        InputError: There is no such folder, it is too large, or a file is not text.
    """
    raw = {name: text for name, text in files.items() if name.startswith(f"{folder}/")}
    texts = {}
    for name, content in (raw or _read(top, folder)).items():
        try:
            texts[name] = content.decode()
        except UnicodeDecodeError:
            raise InputError(
                f"{top / name} is not UTF-8 text: all files of a playbook's folder are rendered",
                hint="move it elsewhere, and have the playbook download what is not text",
            ) from None
    return texts


def _read(top: FilePath, folder: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    try:
        for path in sorted((top / folder).rglob("*")):
            below = path.relative_to(top)
            if is_leftover(below) or not path.is_file():
                continue
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
            size += len(content)
            found[below.as_posix()] = content
            if size > _MOST_BYTES or len(found) > _MOST_FILES:
                raise InputError(
                    f"the folder {top / folder} of a playbook has more than {_MOST_FILES} files or "
                    "1 MiB: all of them are rendered",
                    hint="put the playbook into a folder with only the files that it uses",
                )
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from None
    return found


def _faults(shown: str, text: str) -> Iterator[Problem]:
    """Yields what is wrong with a playbook, at its lines."""

    def problem(message: str, node: yaml.Node | None, hint: str | None = None) -> Problem:
        return at_start(Problem(message, hint=hint), shown, text, node)

    try:
        root = compose(shown, text)
    except InputError as error:
        yield from error.problems
        return
    plays = root.value if isinstance(root, yaml.SequenceNode) else []
    if not plays:
        yield problem("not a playbook: expected a list of plays", root)
    for play in plays:
        if not isinstance(play, yaml.MappingNode):
            yield problem("not a play: expected a mapping with `hosts`", play)
            continue
        keys = {key.value: value for key, value in play.value if isinstance(key, yaml.ScalarNode)}
        hosts = keys.get("hosts")
        # A merged mapping may have the hosts, as an imported playbook has.
        elsewhere = any(key == "<<" or key.endswith("import_playbook") for key in keys)
        if hosts is None and not elsewhere:
            yield problem("the play has no `hosts`", play, "write `hosts: all`")
        elif hosts is not None and hosts.value not in _HOSTS:
            yield problem(
                "the play would not run: the only host of a bake is the builder",
                hosts,
                "write `hosts: all`",
            )
