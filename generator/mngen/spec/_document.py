"""A YAML text as plain data that still knows where each value was written.

PyYAML parses; this module keeps its node tree beside the data, so that a problem found long after
parsing (an unknown instance type, say) can be shown at its line and column. Positions are looked
up only when a problem needs one, so a sound spec pays nothing for them.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import yaml

from mngen.errors import InputError, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]
"""A place in a document: keys and indices from the root."""

_MAX_BYTES = 10 * 1024 * 1024
_MAX_DEPTH = 50
_MAX_VALUES = 1_000_000

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def dotted(path: Path) -> str:
    """Writes a path as a person would: `queues.mpi.environments[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


class Document:
    """One parsed YAML file.

    Attributes:
        name: The file as the user named it.
        data: The whole document as dicts, lists and scalars; None for an empty file.
        problems: What is wrong with the document whatever it means: duplicate keys, characters
            that no tool downstream can carry.
    """

    def __init__(self, name: str, text: str, root: yaml.Node | None, loader: Any) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self._lines = text.split("\n")
        self._root = root
        self._loader = loader
        self._values = 0
        self.data: Any = None if root is None else self._build(root, ())

    def locate(self, problem: Problem, path: Path, *, key: bool = False) -> Problem:
        """Returns the problem placed at `path`.

        Args:
            problem: What is wrong.
            path: Where; a missing key is placed at the nearest parent that exists.
            key: Whether the key itself is wrong rather than its value.
        """
        position = self._position(path, key=key)
        line = self._lines[position.line - 1] if position.line <= len(self._lines) else ""
        return problem.at(self.name, position, line.rstrip("\r"))

    def problem(
        self, message: str, path: Path, *, hint: str | None = None, key: bool = False
    ) -> Problem:
        """Makes an error at `path`."""
        return self.locate(Problem(message, path=dotted(path), hint=hint), path, key=key)

    def _position(self, path: Path, *, key: bool) -> Position:
        node = self._root
        position = Position(1, 1) if node is None else _start(node)
        for depth, part in enumerate(path):
            if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                if part >= len(node.value):
                    break
                node = node.value[part]
                position = _start(node)
                continue
            entry = _entry(node, part)
            if entry is None:
                break
            key_node, node = entry
            last = depth == len(path) - 1
            # A block collection starts on the line below its key; the key is what a reader seeks.
            block = isinstance(node, yaml.CollectionNode) and not node.flow_style
            position = _start(key_node if (key and last) or block else node)
        return position

    def _build(self, node: yaml.Node, path: Path) -> Any:
        self._values += 1
        if len(path) > _MAX_DEPTH or self._values > _MAX_VALUES:
            raise InputError(
                self.problem(
                    "the document is too deep or its aliases multiply too far", path[:_MAX_DEPTH]
                )
            )
        if isinstance(node, yaml.MappingNode):
            return self._build_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(child, (*path, i)) for i, child in enumerate(node.value)]
        value = self._loader.construct_object(node)
        if isinstance(value, str):
            self._check_text(value, path)
        return value

    def _build_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    first = seen[key_node.value]
                    self.problems.append(
                        self._at_node(
                            f"`{key_node.value}` is written twice; the first is on line {first}",
                            key_node,
                            path,
                        )
                    )
                seen.setdefault(key_node.value, _start(key_node).line)
        self._loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(self._at_node("a key must be text", key_node, path))
                continue
            # Keys such as `on` or `1` are text here, whatever YAML 1.1 would make of them.
            key = key_node.value
            self._check_text(key, (*path, key), key=True)
            result[key] = self._build(value_node, (*path, key))
        return result

    def _at_node(self, message: str, node: yaml.Node, path: Path) -> Problem:
        position = _start(node)
        return Problem(message, path=dotted(path)).at(
            self.name, position, self._lines[position.line - 1]
        )

    def _check_text(self, text: str, path: Path, *, key: bool = False) -> None:
        if text.isascii() and (text.isprintable() or not _controls(text)):
            return
        for char in _controls(text):
            self.problems.append(
                self.problem(
                    f"the text holds the control character U+{ord(char):04X}",
                    path,
                    hint="only newline and tab can be carried to AWS; remove it",
                    key=key,
                )
            )
            break
        if not unicodedata.is_normalized("NFC", text):
            self.problems.append(
                self.problem(
                    "the text is not in Unicode's composed form (NFC), and Terraform would change "
                    "it silently",
                    path,
                    hint="retype the accented characters, or normalise the file to NFC",
                    key=key,
                )
            )


def _controls(text: str) -> list[str]:
    return [
        char
        for char in text
        if char not in "\n\t" and (unicodedata.category(char) in {"Cc", "Cs"} or char == "\ufeff")
    ]


def _start(marked: Any) -> Position:
    """Returns where a node or an event begins; PyYAML counts from 0."""
    return Position(marked.start_mark.line + 1, marked.start_mark.column + 1)


def _entry(node: yaml.Node | None, key: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    entries: Iterator[tuple[yaml.Node, yaml.Node]] = reversed(node.value)
    return next((pair for pair in entries if pair[0].value == key), None)


def parse(name: str, raw: bytes) -> Document:
    """Parses one YAML document.

    Args:
        name: The file as the user named it, for messages.
        raw: The bytes of the file, UTF-8 with or without a byte order mark.

    Raises:
        InputError: The bytes are not UTF-8, not YAML, or hold more than one document.
    """
    if len(raw) > _MAX_BYTES:
        raise InputError(Problem(f"{name} is larger than 10 MiB", file=name))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        shown = raw.split(b"\n")[line - 1].decode("utf-8", "replace")
        raise InputError(
            Problem("the file is not UTF-8 text", hint="save it in UTF-8").at(
                name, Position(line, column), shown
            )
        ) from None
    loader = None
    try:
        _refuse_nesting(name, text)
        loader = _SafeLoader(text)
        return Document(name, text, loader.get_single_node(), loader)
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax_problem(name, text, error)) from None
    except yaml.reader.ReaderError as error:
        raise InputError(_character_problem(name, text, error)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(Problem(f"not valid YAML: {error}", file=name)) from None
    finally:
        if loader is not None:
            loader.dispose()


def _refuse_nesting(name: str, text: str) -> None:
    """Refuses absurd nesting before the composer recurses into it and exhausts the C stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise InputError(
                Problem(f"the document nests deeper than {_MAX_DEPTH} levels").at(
                    name, _start(event), text.split("\n")[_start(event).line - 1]
                )
            )


def _character_problem(name: str, text: str, error: yaml.reader.ReaderError) -> Problem:
    """Places a character that YAML itself does not allow."""
    found = next((match.start() for match in yaml.reader.Reader.NON_PRINTABLE.finditer(text)), 0)
    line = text.count("\n", 0, found)
    column = found - (text.rfind("\n", 0, found) + 1)
    return Problem(
        f"not valid YAML: {error.reason}", hint="remove the character, or write it as \\n or \\t"
    ).at(name, Position(line + 1, column + 1), text.split("\n")[line])


def _syntax_problem(name: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = (error.problem or error.context or "not valid YAML").strip()
    message = f"not valid YAML: {what}"
    if error.context and error.problem and error.context_mark is not None:
        message += f" ({error.context.strip()} that starts on line {error.context_mark.line + 1})"
    hint = None
    if "\t" in what or "'\\t'" in what or "cannot start any token" in what:
        hint = "YAML is indented with spaces, never tabs; quote text that starts with @ ` % or &"
    elif "mapping values are not allowed" in what:
        hint = "text with a colon and a space must be in quotes"
    problem = Problem(message, hint=hint)
    if mark is None:
        return problem.at(name, None, None)
    lines = text.split("\n")
    line = min(mark.line, len(lines) - 1)
    return problem.at(name, Position(line + 1, mark.column + 1), lines[line])
