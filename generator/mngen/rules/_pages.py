"""The documentation of the rules, from the rules themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import InputError, format_problem
from mngen.rules._all import RULES
from mngen.rules.account import AwsRule
from mngen.rules.checks._judge import refuse_unknown
from mngen.rules.checks._spec import check
from mngen.rules.spec import SpecRule
from mngen.rules.spec._examples import load_example, read_example
from mngen.rules.submission import SubmissionRule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mngen.rules._rule import Rule
    from mngen.rules.spec._examples import Example

_WIDEST = 100

_INDEX = """\
# Rules

mngen applies these rules before you spend money:

- **MN101 and up** need only the spec and the instance catalog. `mngen render` rejects a spec that
  breaks one of them with severity error.
- **MN201 and up** ask AWS. `mngen check --aws` applies them.
- **MN301 and up** judge a job. `mngen submit` sends nothing that breaks one of them with severity
  error.

An **error** certainly fails or costs money, a **warning** probably does, an **info** is good to
know. `mngen check --skip MN124` skips a rule; `--level warning` hides what is less severe.

`mngen rules --out docs/rules` generates these pages.

| rule | severity | requirement |
|------|----------|------------|
"""


def page(rule: type[Rule]) -> str:
    """Returns the documentation of one rule as Markdown."""
    parts = [
        f"# {rule.id}: {rule.title}",
        f"Severity: **{rule.severity.value}**. {_needs(rule)}",
        rule.why,
        f"What to do: {rule.remedy}.",
    ]
    if issubclass(rule, SpecRule):
        fails, passes = (read_example(rule, each) for each in (rule.failing, rule.passing))
        parts += [
            "## Fails",
            _block("yaml", fails.part),
            *_files(fails),
            _block("text", _shown(rule)),
            "## Passes",
            _block("yaml", passes.part),
            *_files(passes, fails),
        ]
    parts += [
        "## Check it yourself",
        _block("sh", rule.manual_test + "\n"),
        f"Source: <{rule.source_url}>",
    ]
    return "\n\n".join(parts) + "\n"


def page_of(rule_id: str) -> str:
    """Returns the documentation of the rule of this id, as Markdown.

    Raises:
        InputError: There is no such rule.
    """
    refuse_unknown([rule_id])
    return next(page(rule) for rule in RULES if rule.id == rule_id)


def pages() -> dict[str, str]:
    """Returns all of the documentation: file names and their Markdown."""
    rows = [
        f"| [{rule.id}]({rule.id}.md) | {rule.severity.value} | {rule.title} |" for rule in RULES
    ]
    return {
        "index.md": _INDEX + "\n".join(rows) + "\n",
        **{f"{rule.id}.md": page(rule) for rule in RULES},
    }


def write_pages(folder: Path) -> list[str]:
    """Writes the documentation and removes the pages of rules that no longer exist.

    Args:
        folder: Created if it does not exist.

    Returns:
        The names of the files written or removed, sorted; empty if all were up to date.

    Raises:
        InputError: The folder cannot be written.
    """
    wanted = pages()
    changed = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in sorted({path.name for path in folder.glob("MN*.md")} - wanted.keys()):
            (folder / stale).unlink()
            changed.append(stale)
        for name, text in wanted.items():
            path = folder / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                changed.append(name)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from None
    return sorted(changed)


def _needs(rule: type[Rule]) -> str:
    if issubclass(rule, AwsRule):
        calls = ", ".join(f"`{call}`" for call in rule.calls)
        return f"Asks AWS (`mngen check --aws`), with {calls}."
    if issubclass(rule, SubmissionRule):
        calls = ", ".join(f"`{call}`" for call in rule.calls)
        return "Applies to a submission (`mngen submit`)" + (f", with {calls}." if calls else ".")
    return "Needs only the spec."


def _files(example: Example, before: Example | None = None) -> Iterator[str]:
    """Yields the files that an example names, and the one before it does not."""
    for name, text in example.files.items():
        if name in example.part and not (before and name in before.part):
            yield f"`{name}`:"
            yield _block("json", text)


def _shown(rule: type[SpecRule]) -> str:
    """Returns what a user sees of the failing example."""
    from mngen.catalog import load_catalog

    loaded = load_example(rule, rule.failing)
    found = check(loaded, load_catalog(), skip=rule.besides)
    return "\n".join(format_problem(problem) + "\n" for problem in found)


def _block(language: str, text: str) -> str:
    lines = [
        line if len(line) <= _WIDEST or language != "yaml" else line[: _WIDEST - 1] + "…"
        for line in text.rstrip("\n").split("\n")
    ]
    return f"```{language}\n" + "\n".join(lines) + "\n```"
