"""Write the reference pages: the commands from the CLI, the spec from its schema, the parts.

And the picture of the deployment in examples/tutorial.yaml.

python scripts/reference.py
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mngen._resources import examples
from mngen.cli import app
from mngen.graph import graph_of, to_svg
from mngen.parts import NEEDS, PARTS, Family, Program, all_parts_of, parts_of
from mngen.rules import open_cluster
from mngen.spec import UPDATE_KEY, Effect, schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DOCS = Path(__file__).resolve().parents[1] / "docs"

_COMMANDS_HEAD = """\
# Commands

The output of `mngen COMMAND --help` for every command. Exit codes: 0 done, 1 your input or a check,
2 usage, 3 AWS or a tool failed, 4 out of date, 130 interrupted.

`make docs` generates this page from the commands.
"""
_SPEC_HEAD = """\
# The spec

Every key of mngen.yaml; an unknown key is an error. `mngen schema` prints the same as a JSON
Schema, with which an editor explains and completes the keys; `x-mngen-update` lists what a change
of a key does. The [rules](rules/index.md) check which values fit together.

`make docs` generates this page from the schema.
"""
_EFFECTS_HEAD = """\
## What a change of a key does

The words after "Change:" describe what a change of a key does to a deployment. `mngen plan`
prints them beside each key that differs from the spec of the last apply, which the Terraform state
holds. The end-to-end tests compare them with what the AWS provider plans for each key.

"""
_PARTS_HEAD = """\
# Required programs

`check`, `render`, `submit` and all other commands that are not listed here need only mngen, and
the emulated AWS (moto) if you use `--sandbox`. The commands below also run programs that are not
installed with mngen. `mngen doctor` shows which of them your machine has, what does not work
without the others, and one command that installs what is missing. `mngen doctor rehearse` fails if
a program is missing that `mngen rehearse` needs.

`make docs` generates this page from the table of programs.
"""
_FAMILIES = {
    Family.DEBIAN: "Debian, Ubuntu",
    Family.FEDORA: "Fedora",
    Family.AMAZON: "Amazon Linux",
    Family.HOMEBREW: "Homebrew",
}


def pages() -> dict[str, str]:
    """Returns the reference pages and the picture, by their names in docs/."""
    return {
        "assets/graph.svg": picture(),
        "commands.md": commands_page(),
        "parts.md": parts_page(),
        "spec.md": spec_page(schema()),
    }


def picture() -> str:
    """Returns the picture that `mngen graph --format svg` draws of the tutorial."""
    return to_svg(graph_of(open_cluster(examples() / "tutorial.yaml")))


def commands_page() -> str:
    """Returns the reference of all commands of the CLI, with their arguments and options."""
    command = typer.main.get_command(app)
    context = command.make_context("mngen", [], resilient_parsing=True)
    return _joined([_COMMANDS_HEAD, *_command(command, context)])


def parts_page() -> str:
    """Returns the reference of the real parts: what needs them, and their packages."""
    # As below, typer's types leave out what a group of commands has.
    group: Any = typer.main.get_command(app)
    known = set(group.commands)
    blocks, used = [_PARTS_HEAD], {}
    for need in NEEDS.values():
        names = [f"`mngen {name}`" for name in need.commands if name in known]
        if not names:
            continue
        used.update(dict.fromkeys(all_parts_of(need.name)))
        parts = parts_of(need.name)
        lines = [f"- needs {_titles(parts)}"] if parts else []
        lines += [
            f"- without {_titles(parts_of(each.name))}: {each.left_out}" for each in need.without
        ]
        blocks += [f"## {', '.join(names)}", "\n".join(lines)]
    head = ["part", "lowest version", *_FAMILIES.values(), "otherwise"]
    rows = [head, ["---"] * len(head)]
    for part in (PARTS[name] for name in used):
        minimum = [each.minimum for each in part.found_by if isinstance(each, Program)]
        packages = [part.packages.get(family, "") for family in _FAMILIES]
        extra = f"`pip install 'mngen[{part.extra}]'`" if part.extra else part.how
        rows.append([part.title, next(filter(None, minimum), ""), *packages, extra])
    blocks += ["## Packages", "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    return _joined(blocks)


def _titles(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(PARTS[name].title for name in names))


def spec_page(document: dict[str, Any]) -> str:
    """Returns the reference of the spec.

    Args:
        document: Its JSON Schema, as `mngen.spec.schema` returns it.
    """
    definitions: dict[str, Any] = document["$defs"]
    blocks = _object(definitions, definitions[_target(document)], "")
    return _joined([_SPEC_HEAD, _EFFECTS_HEAD + _effects_table(), *blocks])


def _effects_table() -> str:
    rows = [("change", "what happens"), ("---", "---")]
    rows += [(f"`{effect}`", _prose(effect.meaning)) for effect in Effect]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _joined(blocks: Sequence[str]) -> str:
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


# A command is typer's own copy of click's, whose types it does not export.
def _command(command: Any, context: Any) -> Iterator[str]:
    """Yields the blocks of a command and, below it, of its subcommands."""
    yield f"## {context.command_path}"
    for paragraph in (command.help or "").split("\n\n"):
        yield _prose(paragraph)
    pieces = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{pieces}\n```"
    items = []
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            names, text = record
            items.append(f"- `{' '.join(names.split())}`: {_prose(text)}")
    if items:
        yield "\n".join(items)
    for name, child in getattr(command, "commands", {}).items():
        yield from _command(
            child, child.make_context(name, [], parent=context, resilient_parsing=True)
        )


def _object(definitions: dict[str, Any], node: dict[str, Any], path: str) -> Iterator[str]:
    """Yields the blocks of a mapping with fixed keys and, below it, of those nested in it."""
    yield f"## `{path}`" if path else "## The top level"
    yield _prose(node["description"])
    required = node.get("required", [])
    nested: list[tuple[str, dict[str, Any]]] = []
    items = []
    for key, value in node["properties"].items():
        inner = f"{path}.{key}" if path else key
        facts, text = [_type(value)], [_described(value)]
        if key in required:
            facts.append("required")
        elif (default := _default(value)) is not None:
            facts.append(f"default `{default}`")
        child, suffix = _nested(definitions, value)
        if child is not None:
            where = inner + suffix
            nested.append((where, child))
            text.append(f"See [`{where}`](#{_anchor(where)}).")
        text.append(_limits(value))
        effects = ", ".join(f"`{effect}`" for effect in value.get(UPDATE_KEY, []))
        text.append(f"Change: {effects}." if effects else "")
        items.append(f"- `{key}` ({', '.join(facts)}): {' '.join(filter(None, text))}")
    yield "\n".join(items)
    for where, child in nested:
        yield from _object(definitions, child, where)


def _target(node: dict[str, Any]) -> str:
    return str(node["$ref"]).rpartition("/")[2]


def _given(node: dict[str, Any]) -> dict[str, Any]:
    """Returns what a value is when it is not null."""
    kinds = [kind for kind in node.get("anyOf", []) if kind.get("type") != "null"]
    return kinds[0] if len(kinds) == 1 else node


def _nested(definitions: dict[str, Any], node: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Returns the mapping with fixed keys in a value, and what leads to it from the value."""
    given, suffix = _given(node), ""
    for key, below in (("additionalProperties", ".<name>"), ("items", "[]")):
        # Mappings with fixed keys alone have `false` there.
        if given.get(key):
            given, suffix = given[key], below
    # A value of several types has at most one that is a mapping.
    for kind in (given, *given.get("anyOf", [])):
        if "$ref" in kind:
            found: dict[str, Any] = definitions[_target(kind)]
            return found, suffix
    return None, ""


def _described(node: dict[str, Any]) -> str:
    return _prose(_given(node).get("description", ""))


def _type(node: dict[str, Any]) -> str:
    given = _given(node)
    if "$ref" in given:
        return "mapping"
    if "enum" in given:
        return "one of " + ", ".join(f"`{value}`" for value in given["enum"])
    if "anyOf" in given:
        return " or ".join(_type(kind) for kind in given["anyOf"])
    if given["type"] == "array":
        items = given["items"]
        return f"list, each {_type(items)}" if "enum" in items else f"list of {_type(items)}s"
    if given["type"] == "object":
        return "mapping of names"
    return str(given["type"])


def _default(node: dict[str, Any]) -> str | None:
    """Returns a default as YAML; None if the description or the keys in it have it."""
    default = node["default"]
    if default is None:
        return None if "Default:" in _described(node) else "null"
    if "$ref" in _given(node):
        return None
    return default if isinstance(default, str) else json.dumps(default)


def _limits(node: dict[str, Any]) -> str:
    given = _given(node)
    least, most = given.get("minimum"), given.get("maximum")
    said = []
    if least is not None:
        said.append(f"{least} to {most}." if most is not None else f"At least {least}.")
    least, most = given.get("minItems"), given.get("maxItems")
    if least is not None and most is not None:
        said.append(f"{least} to {most} of them.")
    elif most is not None and "at most" not in given.get("description", ""):
        said.append(f"At most {most}.")
    pattern = given.get("pattern") or given.get("items", {}).get("pattern")
    if pattern:
        said.append(f"Matches `{pattern}`.")
    return " ".join(said)


def _anchor(heading: str) -> str:
    """Returns the anchor that MkDocs and GitHub give to a heading."""
    return re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-")


def _prose(text: str) -> str:
    """Returns text as one line in which Markdown finds nothing but its code spans."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(
        part if part[:1] == "`" else re.sub(r"([*<\[])", r"\\\1", part) for part in parts
    )


def main() -> None:
    """Writes the pages that have changed, and names them."""
    for name, page in pages().items():
        file = DOCS / name
        if not file.is_file() or file.read_text(encoding="utf-8") != page:
            file.write_text(page, encoding="utf-8")
            sys.stdout.write(f"wrote docs/{name}\n")


if __name__ == "__main__":
    main()
