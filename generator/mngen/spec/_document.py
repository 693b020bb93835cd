"""A YAML text as plain data that still knows where each value was written.

PyYAML parses; this module keeps its node tree beside the data, so that a problem found long after
parsing (such as an unknown instance type) can be shown at its line and column. Positions are looked
up only when a problem needs one, so a sound spec pays nothing for them.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import yaml

from mngen._json_text import MAX_BYTES
from mngen.errors import InputError, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path as FilePath

Path = tuple[str | int, ...]
"""A place in a document: keys and indices from the root."""

_MAX_DEPTH = 50
_MAX_VALUES = 1_000_000
_COMPOSED = 200
"""Levels that the composer, which recurses, is trusted with in any case, also that in Python."""

# What YAML counts as the end of a line, so that its line numbers are ours.
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_BRACES = re.compile(r"\{\w+\}")
"""A word in braces, such as `{job}`: outside quotes, YAML reads a mapping."""
# What may stand in a line before a collection that begins there and is not in brackets: blanks, a
# mark of byte order, which libyaml takes in each line, the marks of collections around it, an
# anchor and a tag.
_BEFORE_BLOCK = re.compile(r"(?:[\ufeff \t?:-]|[&!]\S*)*")
_TEXT_TAG = "tag:yaml.org,2002:str"
_COLLECTION_TAGS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_file(file: FilePath, *, hint: str | None = None) -> bytes:
    """Reads a file that the user names, up to one byte more than is parsed.

    Args:
        file: The file; it may be a device that never ends.
        hint: What to do if there is no such file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"there is no file {file}", hint=hint) from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None


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
        base: The document that this one extends, if any; `data` and `problems` are then of both.
    """

    def __init__(self, name: str, text: str, root: yaml.Node | None, loader: Any) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.base: Document | None = None
        self._lines = _LINE_BREAK.split(text)
        self._root = root
        self._loader = loader
        if root is not None:
            self._refuse_multiplication(root, text)
        self.data: Any = None if root is None else self._build(root, ())
        self._own = self.data

    def extend(self, base: Document, data: Any) -> None:
        """Makes this document one that extends another.

        Args:
            base: The other.
            data: The data of both.
        """
        self.base, self.data = base, data
        self.problems = [*base.problems, *self.problems]

    def writer(self, path: Path) -> Document:
        """Returns the document that the value at `path` is written in, this or one it extends."""
        if self.base is None:
            return self
        own, below = self._reach(path), self.base.reach(path)
        # A missing key belongs where its parent is written first; one of the whole, to this file.
        return self if own == len(path) or own > below or not below else self.base.writer(path)

    def reach(self, path: Path) -> int:
        """Returns how many parts of `path` are written, in this document or one it extends."""
        own = self._reach(path)
        return own if self.base is None else max(own, self.base.reach(path))

    def _reach(self, path: Path) -> int:
        value = self._own
        for depth, part in enumerate(path):
            if not isinstance(value, dict):
                return len(path)  # it replaces all that is below
            if part not in value:
                return depth
            value = value[part]
        return len(path)

    def is_empty(self, path: Path) -> bool:
        """Whether nothing stands after the key at `path`, which YAML takes for null."""
        node = self._root
        for part in path:
            entry = _entry(node, part)
            node = entry[1] if entry else None
        return isinstance(node, yaml.ScalarNode) and not node.value

    def locate(self, problem: Problem, path: Path, *, key: bool = False) -> Problem:
        """Returns the problem placed at `path`.

        Args:
            problem: What is wrong.
            path: Where; a missing key is placed at the nearest parent that exists.
            key: Whether the key itself is wrong rather than its value.
        """
        writer = self.writer(path)
        if writer is not self:
            return writer.locate(problem, path, key=key)
        position = self._position(path, key=key)
        return problem.at(self.name, position, self._lines[position.line - 1])

    def problem(
        self, message: str, path: Path, *, hint: str | None = None, key: bool = False
    ) -> Problem:
        """Makes an error at `path`."""
        return self.locate(Problem(message, path=dotted(path), hint=hint), path, key=key)

    def place(self, path: Path) -> str:
        """Returns where the key at `path` is: `line 3`, or `line 3 of mngen.yaml` elsewhere."""
        writer = self.writer(path)
        if writer is not self:
            return f"{writer.place(path)} of {writer.name}"
        return f"line {self._position(path, key=True).line}"

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

    def _refuse_multiplication(self, root: yaml.Node, text: str) -> None:
        """Refuses aliases that multiply, before the merging of keys or the data makes them real."""
        sizes: dict[int, int] = {}

        def size(node: yaml.Node, depth: int) -> int:
            if not isinstance(node, yaml.CollectionNode):
                return 1
            if depth >= _MAX_DEPTH:
                return _MAX_VALUES + 1
            if id(node) not in sizes:
                children = node.value
                if isinstance(node, yaml.MappingNode):
                    children = [child for pair in children for child in pair]
                total = 1
                for child in children:
                    total += size(child, depth + 1)
                    if total > _MAX_VALUES:
                        break
                sizes[id(node)] = total
            return sizes[id(node)]

        if size(root, 0) > _MAX_VALUES:
            # Else it is deeper than the text: an alias that holds itself, or a chain of them.
            _refuse_nesting(self.name, text)
            raise InputError(self._too_large())

    def _too_large(self) -> Problem:
        return self.problem("the document is too deep or its aliases multiply too far", ())

    def _build(self, node: yaml.Node, path: Path) -> Any:
        if len(path) > _MAX_DEPTH:
            raise InputError(self._too_large())
        if isinstance(node, yaml.CollectionNode):
            if node.tag not in _COLLECTION_TAGS:
                self.problems.append(self._at_node(f"the tag `{node.tag}` is unknown", node, path))
            if isinstance(node, yaml.MappingNode):
                return self._build_mapping(node, path)
            return [self._build(child, (*path, i)) for i, child in enumerate(node.value)]
        value = self._scalar(node, path)
        if isinstance(value, str):
            self._check_text(value, path)
        return value

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        # Nearly all are text, which is there already.
        if node.tag == _TEXT_TAG:
            return node.value
        try:
            return self._loader.construct_object(node)
        except (ValueError, LookupError, AttributeError):
            # What PyYAML raises for a date, a number or a boolean that only looks like one.
            kind = node.tag.rpartition(":")[2]
            self.problems.append(
                self._at_node(
                    f"this is not a sound {kind}",
                    node,
                    path,
                    hint="put it in quotes, if it is meant as text",
                )
            )
            return node.value

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

    def _at_node(
        self, message: str, node: yaml.Node, path: Path, *, hint: str | None = None
    ) -> Problem:
        position = _start(node)
        return Problem(message, path=dotted(path), hint=hint).at(
            self.name, position, self._lines[position.line - 1]
        )

    def _check_text(self, text: str, path: Path, *, key: bool = False) -> None:
        found = text_fault(text)
        if found:
            self.problems.append(self.problem(found[0], path, hint=found[1], key=key))


def text_fault(text: str) -> tuple[str, str] | None:
    """Returns what no tool downstream can carry of a text, and what to do; None if all is well."""
    if text.isascii() and (text.isprintable() or not _controls(text)):
        return None
    for char in _controls(text):
        return (
            f"the text holds the control character U+{ord(char):04X}",
            "only newline and tab can be carried to AWS; remove it",
        )
    if not unicodedata.is_normalized("NFC", text):
        message = (
            "the text is not in Unicode's composed form (NFC), and Terraform would change it "
            "silently"
        )
        return message, "retype the accented characters, or normalise the file to NFC"
    return None


def _controls(text: str) -> list[str]:
    return [
        char
        for char in text
        if char not in "\n\t" and (unicodedata.category(char) in {"Cc", "Cs"} or char == "\ufeff")
    ]


def _start(marked: Any) -> Position:
    """Returns where a node or an event begins; PyYAML counts from 0."""
    return Position(marked.start_mark.line + 1, marked.start_mark.column + 1)


def at_start(problem: Problem, name: str, text: str, marked: Any) -> Problem:
    """Returns a problem placed where a node or an event of a text begins; None is its beginning."""
    position = Position(1, 1) if marked is None else _start(marked)
    return problem.at(name, position, _LINE_BREAK.split(text)[position.line - 1])


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
    if len(raw) > MAX_BYTES:
        raise InputError(Problem(f"{name} is larger than 10 MiB", file=name))
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        offset = len(raw[: error.start].decode())
        problem = Problem("the file is not UTF-8 text", hint="save it in UTF-8")
        raise InputError(_at_offset(problem, name, raw.decode(errors="replace"), offset)) from None
    with _opened(name, text) as loader:
        # A look at the nodes costs less than one at the text before.
        if _most_levels(text) > _COMPOSED:
            _refuse_nesting(name, text)
        return Document(name, text, loader.get_single_node(), loader)


def compose(name: str, text: str) -> yaml.Node | None:
    """Returns the nodes of a YAML text, whatever its tags mean; None for an empty one.

    Args:
        name: The file as the user named it, for messages.
        text: Its text.

    Raises:
        InputError: It is not YAML, nests absurdly deep, or holds more than one document.
    """
    with _opened(name, text) as loader:
        _refuse_nesting(name, text)
        root: yaml.Node | None = loader.get_single_node()
        return root


@contextmanager
def _opened(name: str, text: str) -> Iterator[Any]:
    """Gives a loader of a text, and places what it finds wrong.

    Raises:
        InputError: The text is not YAML, or nests absurdly deep as far as it is.
    """
    loader = None
    try:
        loader = _SafeLoader(text)
        yield loader
    except yaml.MarkedYAMLError as error:
        # What nests too deep is often not closed either.
        with suppress(yaml.YAMLError):
            _refuse_nesting(name, text)
        raise InputError(_syntax_problem(name, text, error)) from None
    except yaml.reader.ReaderError as error:
        raise InputError(_character_problem(name, text, error)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(Problem(f"not valid YAML: {error}", file=name)) from None
    finally:
        if loader is not None:
            loader.dispose()


def _most_levels(text: str) -> int:
    """Returns a number of levels that a text cannot nest deeper than."""
    # Without brackets, a collection begins further to the right than the one around it, or where
    # that does: a list may stand below its key.
    rightmost = max(
        found.end() for found in map(_BEFORE_BLOCK.match, _LINE_BREAK.split(text)) if found
    )
    # In square brackets, each item may be a mapping of one key: `[a: [b: 1]]`.
    return 2 * text.count("[") + text.count("{") + 2 * (rightmost + 1)


def _refuse_nesting(name: str, text: str) -> None:
    """Refuses absurd nesting before the composer recurses into it and exhausts the C stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            problem = Problem(f"the document nests deeper than {_MAX_DEPTH} levels")
            raise InputError(at_start(problem, name, text, event))


def _character_problem(name: str, text: str, error: yaml.reader.ReaderError) -> Problem:
    """Places a character that YAML itself does not allow."""
    found = next((match.start() for match in yaml.reader.Reader.NON_PRINTABLE.finditer(text)), 0)
    problem = Problem(
        f"not valid YAML: {error.reason}", hint="remove the character, or write it as \\n or \\t"
    )
    return _at_offset(problem, name, text, found)


def _at_offset(problem: Problem, name: str, text: str, offset: int) -> Problem:
    before = _LINE_BREAK.split(text[:offset])
    position = Position(len(before), len(before[-1]) + 1)
    return problem.at(name, position, _LINE_BREAK.split(text)[position.line - 1])


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
    if mark is None:
        return Problem(message, hint=hint).at(name, None, None)
    lines = _LINE_BREAK.split(text)
    line = min(mark.line, len(lines) - 1)
    braces = _BRACES.finditer(lines[line])
    found = next((each[0] for each in braces if mark.column in each.span()), None)
    if found:
        hint = f"text that contains braces, such as {found}, must be in quotes"
    problem = Problem(message, hint=hint)
    return problem.at(name, Position(line + 1, mark.column + 1), lines[line])
