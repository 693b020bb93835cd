"""The words of all text: plain English, AWS's terms, one word for one thing.

What is checked: README.md and docs, which hold the help of all commands and all rules; strings in
the package (errors, hints, rule texts, questions); docstrings and comments in Python files, and
comments in the rendered files. Code in them is left out.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[3]
MODULES = set((ROOT / "generator" / "mngen").rglob("*.py"))
# What is read by those who work on mngen.
SOURCES = sorted(
    path
    for folder in ("generator/mngen", "container", "scripts", "benchmarks", "tests/support")
    for path in (ROOT / folder).rglob("*.py")
)
# What is rendered, or copied into an image, apart from Python.
RENDERED = sorted(
    path
    for folder in ("templates", "packer", "playbooks", "container")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What not to write, and what instead.
WORDS = {
    r"ends? (?:it|them|the|all|every\w*|what|these|those|both|its|a|an|your|mngen)\b(?! of| to)": (
        "terminate (instances), cancel (jobs), delete (resources), clean up, stop (processes)"
    ),
    r"says?|said|tells?|told|telling": "print, show, report, describe",
    r"(?<!there )(?:is|are|was|were) no (?!longer\b|more\b|less\b|fewer\b)": "is not a valid …",
    r"has no key": "unknown key",
    r"nor": "or",
    r"whoever|whomever": "the user who",
    r"in vain": "timed out",
    r"for ever": "indefinitely",
    r"nobody": "no user",
    r"cannot be had": "is not available",
    r"by (?:itself|themselves)": "automatically",
    r"of (?:its|their) own": "its own …",
    r"(?<!amazon )machine images?": "AMI",
    r"(?:ec2|emulated|batch|running|new|spot|on-demand) machines?": "instance",
    r"(?:the|whole|a) road": "the workflow",
    r"(?:the|a) house": "the architecture",
    r"side by side": "in parallel",
    r"anew|brings?|brought": "recreate, upload, copy",
    r"main node is told": "the main node receives",
    r"speak the wire-up's language": "malformed message",
    r"wardens?|leash|twins?": "supervisor",
    r"strangers?|knock(?:s|ing)?": "unauthenticated connection",
    r"no more(?=[`'\",.;:]|$)": "no longer",
    r"cannot be:": "must be …",
    r"swept|sweeps? (?:up|away)": "clean up",
    r"(?:is|are|could|can|cannot|may) (?:not )?(?:to )?be had": "is (not) available",
    r"everybody|anybody": "all users, any user",
    r"broken[- ]off": "interrupted",
}
WHOLE = {
    rf"(?:{words})" + (r"\b" if words[-1].isalpha() else ""): better
    for words, better in WORDS.items()
}
PATTERNS = {re.compile(rf"\b{words}", re.IGNORECASE): better for words, better in WHOLE.items()}
# Most texts have none of them, which one look shows: at the beginning of each word, with its case
# folded, as a pattern that ignores case is slow to tell that a word is another.
ANY = re.compile(rf"\b(?:{'|'.join(WHOLE)})")
# This is English; a sentence that begins with the second word is not ours.
NEITHER = re.compile(r"\bneither\b[^.:;]{1,80}?\bnor\b", re.IGNORECASE)
# Python's strings and comments: where one begins, the sign of the other means nothing.
STRING_OR_COMMENT = re.compile(
    r"""\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}"""
    r"""|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|(?P<comment>\#[^\n]*)""",
    re.DOTALL,
)
CODE = re.compile(r"```.*?```|^ {4}\S.*?$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def test_words_are_in_lower_case() -> None:
    """As one look expects them."""
    assert [words for words in WHOLE if re.search(r"(?<!\\)[A-Z]", words)] == []


def faults(text: str) -> list[str]:
    """What is to be said otherwise in a text, with the words around it."""
    prose = NEITHER.sub("neither", CODE.sub("`…`", text))
    if not ANY.search(prose.casefold()):
        return []
    return [
        f"…{prose[max(0, match.start() - 40) : match.end() + 40]!r}…: {better}"
        for pattern, better in PATTERNS.items()
        for match in pattern.finditer(prose)
    ]


def notes(source: str, nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """The docstrings and comments of a Python file with their lines, each as one paragraph."""
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, " ".join(str(node.value.value).split())
    found = (match for match in STRING_OR_COMMENT.finditer(source) if match["comment"])
    comments = [(source.count("\n", 0, match.start()) + 1, match[0]) for match in found]
    yield from paragraphs(comments)


def rendered_notes(text: str) -> Iterator[tuple[int, str]]:
    """The comments of a rendered file, or of its template, with their lines."""
    found = enumerate(text.splitlines(), start=1)
    yield from paragraphs(
        (number, line.strip()) for number, line in found if line.strip().startswith(("#", "{#"))
    )


def paragraphs(comments: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Joins the comments of adjacent lines; a sentence may go over several."""
    joined: list[str] = []
    first = last = -1
    for number, comment in comments:
        if joined and number != last + 1:
            yield first, " ".join(joined)
            joined = []
        if not joined:
            first = number
        joined.append(comment.lstrip("#{ "))
        last = number
    if joined:
        yield first, " ".join(joined)


def strings(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """The strings of a module with their lines, without its documentation."""
    skipped = {id(each.value) for each in nodes if isinstance(each, ast.Expr)}
    for each in nodes:
        if isinstance(each, ast.JoinedStr):
            skipped |= {id(part) for part in each.values}
            parts = [
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in each.values
            ]
            yield each.lineno, "".join(parts)
    for each in nodes:
        if isinstance(each, ast.Constant) and id(each) not in skipped and " " in str(each.value):
            yield each.lineno, str(each.value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_words_of_a_page(page: Path) -> None:
    assert faults(page.read_text(encoding="utf-8")) == []


def test_words_of_python_files() -> None:
    found = []
    for file in SOURCES:
        source = file.read_text(encoding="utf-8")
        # Parsed once for both: that takes longest.
        nodes = list(ast.walk(ast.parse(source)))
        texts = [*notes(source, nodes), *(strings(nodes) if file in MODULES else [])]
        found += faults_of(file, texts)
    assert found == [], "\n".join(found)


def test_words_of_rendered_comments() -> None:
    found = [
        fault
        for file in RENDERED
        for fault in faults_of(file, rendered_notes(file.read_text(encoding="utf-8")))
    ]
    assert found == [], "\n".join(found)


def faults_of(file: Path, texts: Iterable[tuple[int, str]]) -> list[str]:
    name = file.relative_to(ROOT)
    return [f"{name}:{line}: {fault}" for line, text in texts for fault in faults(text)]


@pytest.mark.parametrize(
    ("now", "better"),
    [
        ("RUNING is no state of a job", 'unknown job state "RUNING"; did you mean RUNNING?'),
        ("nodes 0 cannot be: Batch takes 1 to 1000", "`--nodes` must be between 1 and 1000"),
        ("there is nobody to ask", "not a terminal: pass --yes to confirm"),
        ("waited 5 minutes for it, in vain", "timed out after 5 min waiting for it"),
        ("the provider cannot be had", "could not install the Terraform AWS provider"),
        ("Batch knows the job no more", "AWS Batch no longer has a record of this job"),
        ("List the machine images", "List AMIs and delete unused ones"),
        ("it says why", "it shows why"),
        ("bakes them side by side", "bakes them in parallel"),
        ("Ctrl-C ends the builders", "Ctrl-C terminates the builders"),
    ],
)
def test_what_is_to_be_found_is_found(now: str, better: str) -> None:
    assert faults(now)
    assert faults(better) == []


def test_code_is_left_out() -> None:
    assert faults("run(on_line=print, tell=print) is told") != []
    assert faults("```python\nrun(tell=print)\n```\nand `tell` and\n\n    mngen tell\n") == []
    source = 'X = f"a {b} says so"\n"""It says."""\ny = {"said": "no key"}\n'
    assert list(strings(list(ast.walk(ast.parse(source))))) == [(1, "a … says so"), (3, "no key")]


def test_docstrings_and_comments_are_found_as_sentences() -> None:
    source = '"""It\'s told\n    the rest # of it."""\n\nX = "k # p"  # one\n# "two\n\n# three\n'
    assert list(notes(source, ast.walk(ast.parse(source)))) == [
        (1, "It's told the rest # of it."),
        (4, 'one "two'),
        (7, "three"),
    ]
    text = "# A machine\n# image.\nname: x  # no\n  {# of Jinja #}\n"
    assert list(rendered_notes(text)) == [(1, "A machine image."), (4, "of Jinja #}")]
    assert faults("A machine image.")
