"""`mngen doctor`: what this machine has of what mngen runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mngen.cli._console import console, print_json, table
from mngen.cli._options import Format

if TYPE_CHECKING:
    from mngen.parts import Finding, Help, Judgement, Need

_MISSING = 3


def doctor(
    context: typer.Context,
    command: Annotated[
        str | None,
        typer.Argument(
            metavar="[COMMAND]", help="Only show what this command needs, such as rehearse"
        ),
    ] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="Output format")
    ] = Format.PRETTY,
) -> None:
    """Show installed and missing programs.

    For each program, Python package and ability of the system: where it is and in which version,
    or what does not work without it, and one command that installs all that is missing. Exits
    with 3 if something is missing that COMMAND cannot do without.
    """
    from dataclasses import replace

    from mngen import parts
    from mngen.errors import InputError, did_you_mean

    known = _commands(context)
    need = None
    if command is not None:
        need = parts.need_of_command(command) or parts.NEEDS.get(command)
        if need is None and command not in known:
            raise InputError(
                f"unknown command `{command}`",
                hint=did_you_mean(command, known) or "run mngen --help for the list of commands",
            )
        if need is None:
            typer.echo(
                "{}" if output_format is Format.JSON else f"{command} needs nothing but mngen."
            )
            return
    needs = [need] if need else [each for each in parts.NEEDS.values() if each.commands]
    # Only the commands that this version has; a need without any goes by its name.
    needs = [replace(each, commands=_present(each, known)) for each in needs]
    names = tuple(dict.fromkeys(part for each in needs for part in parts.all_parts_of(each.name)))
    findings = parts.find_all(names, parts.examine)
    judgements = {each.name: parts.judge(each.name, findings) for each in needs}
    wanted = [name for each in judgements.values() for name in each.wanted]
    help_ = parts.how_to_get(dict.fromkeys(wanted), parts.this_system())
    if output_format is Format.JSON:
        print_json(_as_data(needs, findings, judgements, help_))
    else:
        _show(needs, findings, judgements, help_)
    if need is not None and judgements[need.name].missing:
        raise typer.Exit(_MISSING)


def _commands(context: typer.Context) -> list[str]:
    root: Any = context.find_root().command
    return list(root.list_commands(context.find_root()))


def _present(need: "Need", known: list[str]) -> tuple[str, ...]:
    return tuple(name for name in need.commands if name in known) or (need.name,)


def _effects(
    name: str, needs: "list[Need]", judgements: "dict[str, Judgement]"
) -> list[tuple[str, str]]:
    """Returns the commands that a part is missing for, and what is left out of each."""
    effects = []
    for need in needs:
        judgement = judgements[need.name]
        if name in judgement.missing:
            effects.append((need.commands[0], "does not work"))
        effects += [
            (need.commands[0], each.what) for each in judgement.left_out if name in each.missing
        ]
    return effects


def _as_data(
    needs: "list[Need]",
    findings: "dict[str, Finding]",
    judgements: "dict[str, Judgement]",
    help_: "Help",
) -> dict[str, Any]:
    from mngen.parts import PARTS

    return {
        "parts": [
            {
                "name": name,
                "title": PARTS[name].title,
                "found": finding.found,
                "where": finding.where or None,
                "version": finding.version or None,
                "trouble": finding.trouble or None,
            }
            for name, finding in findings.items()
        ],
        "commands": [
            {
                "commands": list(need.commands),
                "works": not judgements[need.name].missing,
                "missing": list(judgements[need.name].missing),
                "left_out": [
                    {"what": each.what, "missing": list(each.missing)}
                    for each in judgements[need.name].left_out
                ],
            }
            for need in needs
        ],
        "install": help_.command or None,
        "notes": list(help_.notes),
    }


def _show(
    needs: "list[Need]",
    findings: "dict[str, Finding]",
    judgements: "dict[str, Judgement]",
    help_: "Help",
) -> None:
    from mngen.parts import PARTS

    shown = table("part", "version", "where, or what does not work without it")
    for name, finding in findings.items():
        if finding.found:
            shown.add_row(PARTS[name].title, finding.version, finding.where or "yes")
            continue
        effects = [f"{command}: {what}" for command, what in _effects(name, needs, judgements)]
        text = "\n".join([_why(name, findings), *dict.fromkeys(effects)])
        shown.add_row(PARTS[name].title, "-", text)
    console().print(shown, markup=False)
    for need in needs:
        works = "does not work" if judgements[need.name].missing else "works"
        partly = " in part" if works == "works" and judgements[need.name].left_out else ""
        typer.echo(f"{', '.join(need.commands)}: {works}{partly}")
    for line in help_.lines:
        typer.echo(f"help: {line}")


def _why(name: str, findings: "dict[str, Finding]") -> str:
    """Returns why a part is not there, as far as that is known."""
    from mngen.parts import PARTS

    before = [each for each in PARTS[name].after if each in findings and not findings[each].found]
    if before:
        return f"not checked without {', '.join(PARTS[each].title for each in before)}"
    trouble = findings[name].trouble
    return f"missing: {trouble}" if trouble else "missing"
