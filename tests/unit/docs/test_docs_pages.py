"""What the hand-written pages name is there: files, commands, options, causes."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from mngen.cli import app
from mngen.errors import Severity
from mngen.jobs._reasons import REMEDIES
from mngen.rules import AWS_RULES, RULES, SUBMISSION_RULES, AwsRule, SubmissionRule
from mngen.rules._rule import Waiting

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(
    path for path in [ROOT / "README.md", *DOCS.glob("*.md")] if path.name != "commands.md"
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s]+)\)")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCED_COMMAND = re.compile(r"^mngen( .*)", re.MULTILINE)
CODE = re.compile(r"(?:^ {4}|`|\$\(command -v )mngen(?![\w.\[-])([^`\n]*)", re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(name: str) -> None:
    targets = LINK.findall((ROOT / name).read_text(encoding="utf-8"))
    missing = [each for each in targets if not (ROOT / each.partition("#")[0]).exists()]
    assert missing == []
    assert targets or name != "README.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_in_python_call_what_there_is(page: Path) -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(
        r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for block in blocks:
        nodes = list(ast.walk(ast.parse(block)))
        imports: list[ast.stmt] = [each for each in nodes if isinstance(each, ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), str(page), "exec"), names)
        for call in nodes:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                called = names.get(call.func.id)
                if called is not None:
                    keywords = {each.arg: None for each in call.keywords if each.arg}
                    inspect.signature(called).bind(*call.args, **keywords)


def commands_in(text: str) -> list[list[str]]:
    """The words of each `mngen …` in code, without a comment and what follows ` -- ` or ` && `."""
    fenced = [line for block in FENCED.findall(text) for line in FENCED_COMMAND.findall(block)]
    lines = [re.split(r" -- | +# | && ", code)[0] for code in [*CODE.findall(text), *fenced]]
    return [re.sub(r"['\")]", "", line).split() for line in lines]


@cache
def command_at(path: tuple[str, ...]) -> Any:
    """The command of a path such as `ami`, `list`; made once, which takes longer than all else."""
    return command_at(path[:-1]).commands[path[-1]] if path else typer.main.get_command(app)


def fault_in(words: list[str]) -> str | None:
    """What is wrong with a command line, as far as names go."""
    path: tuple[str, ...] = ()
    for word in words:
        command = command_at(path)
        if word in getattr(command, "commands", {}):
            path += (word,)
        elif hasattr(command, "commands") and word.islower() and word.isalpha():
            return f"there is no command `{word}`"
        elif word.startswith("--") and len(word) > 2:
            options = {name for each in command.params for name in (*each.opts, "--help")}
            if word not in options:
                return f"`{command.name}` has no option `{word}`"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    commands = commands_in(page.read_text(encoding="utf-8"))
    faults = [
        f"mngen {' '.join(words)}: {fault}" for words in commands if (fault := fault_in(words))
    ]
    assert faults == []


def test_a_wrong_command_would_be_found() -> None:
    text = "`mngen bake --engin x` and `mngen baje`\n\n    mngen jobs --all  # no\n"
    commands = commands_in(text + "```\nmngen container pull\n```\n")
    assert [fault_in(words) for words in commands] == [
        "`bake` has no option `--engin`",
        "there is no command `baje`",
        "`jobs` has no option `--all`",
        "there is no command `pull`",
    ]


def test_every_command_of_the_workflow_is_documented() -> None:
    told = {
        words[0]
        for page in PAGES
        for words in commands_in(page.read_text(encoding="utf-8"))
        if words
    }
    assert set(command_at(()).commands) - told == set()


def test_troubleshooting_has_every_cause_of_waiting() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    rules: list[type[AwsRule | SubmissionRule]] = [*SUBMISSION_RULES, *AWS_RULES]
    fatal = {
        rule.id
        for rule in rules
        if rule.severity is Severity.ERROR and rule.waiting is not Waiting.NOTHING
    }
    assert {"MN205", "MN311"} <= fatal
    missing = [each for each in sorted({*REMEDIES, *fatal}) if each not in page]
    assert missing == []


def test_rules_that_pages_name_exist() -> None:
    known = {rule.id for rule in RULES}
    for page in PAGES:
        named = set(re.findall(r"\bMN\d{3}\b", page.read_text(encoding="utf-8")))
        assert named <= known, page.name


@pytest.mark.parametrize("path", sorted({*ROOT.glob("*.md"), *PAGES}), ids=lambda path: path.name)
def test_no_page_has_the_marks_of_a_merge(path: Path) -> None:
    marks = re.compile(r"^(?:<{7}|>{7}|={7}$)", re.MULTILINE)
    assert marks.findall(path.read_text(encoding="utf-8")) == []
