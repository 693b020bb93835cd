"""The report `adoption.md`: a line for each value, and what to do next."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from mngen._text import printable, replaced
from mngen.adoption._draft import count
from mngen.adoption._imports import IMPORTS
from mngen.adoption._lines import Line, Outcome
from mngen.adoption._record import RECORD
from mngen.cluster import AMIS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.adoption._adopt import Wishes
    from mngen.adoption._inventory import Inventory
    from mngen.adoption._jobs import MappedJob
    from mngen.adoption._queues import MappedQueue

_STAGES = """\
## Stages

Each stage is one apply. Do not go on while a plan deletes or replaces anything.

1. **Take over.** {release}`mngen render`, `mngen plan`: it imports {imported}
   and deletes nothing. Then `mngen apply`. Jobs go on as before, on the instances that they use
   today. A second `mngen plan` shows no changes; then delete {imports}.
2. **Put new environments in front.** `mngen bake`, `mngen apply`: the queue has the environments of
   the spec first, and those in `legacy` behind them. Submit a job to try them. To undo this, move
   the AMIs out of {amis}, and apply.
3. **Delete the old environments.** Remove `legacy` from {spec}, and apply: the queue has only those
   of the spec now. To undo this, put `legacy` back, and apply.
{last}
## Undo

After stage 1, let Terraform forget what it has taken over; then `mngen destroy` deletes only what
it created:

```sh
{let_go}
```
"""
_FINISH = """\
   Then run `mngen import --finish`. It asks, waits until no job runs on the old ones, and
   deletes them:

{old}

   They cannot be restored. AMIs, launch templates and roles that they used stay: the command
   lists them. Until then, keep `{record}`, which names them.
"""
_MANAGED_ELSEWHERE = """\
   The other configuration manages the old ones. When no job runs on them, take them out of its
   files, and apply there:

{old}
"""
_SCRIPTS = """\
They stay, and scripts that register revisions of job definitions go on as they do today: a name
without a revision means the newest one, also one that a script has registered.
"""
_RELEASE = """\
Another configuration manages what is taken over. Let go of it there, and take it out
   of its files (with terraform-aws-modules/batch, queues: `create_job_queues = false`). Its plan
   must delete neither that nor the compute environments and the scheduling policy that queues use:

   ```sh
{commands}
   ```

   Then """
_WRITTEN = """\
## Next

`mngen render`, then `mngen plan` in the folder that has the state: it should change nothing. Only
comments are lost, keys that had their default, and jobs whose definition is a file.
"""
_RECOVERED = """\
## Next

mngen made this deployment, so nothing is taken over. Its Terraform state knows what exists: before
the first plan, put the state back, or the section `state` that names its place. Without it,
Terraform would create all of it a second time.

The state also has the spec of the last apply. If you have it, import with `--from-terraform`
instead, which misses no key. Otherwise run `mngen render` and `mngen plan`, and correct the spec
until the plan changes nothing.
"""
_NEW = """\
## Next

Nothing was read from an account, so nothing is taken over: `mngen render`, `mngen plan` and
`mngen apply` create all of it. If the account has a queue of one of these names already, creating
it fails: import it with `mngen import --from-account --queue NAME`.
"""
_FROM_CLUSTER = """
"Coming from ParallelCluster" in mngen's documentation (docs/parallelcluster.md) has the order of
the steps until the cluster can be deleted, and a command for each of `awsbsub`, `awsbstat`,
`awsbout` and `awsbkill`.
"""


def report_text(
    wishes: Wishes,
    inventory: Inventory,
    lines: tuple[Line, ...],
    queues: list[MappedQueue],
    jobs: list[MappedJob],
    repository: str,
) -> str:
    """Returns the report as Markdown."""
    counts = ", ".join(
        f"{sum(line.outcome is outcome for line in lines)} {outcome.value}"
        for outcome in (Outcome.CANNOT, Outcome.CHANGED, Outcome.KEPT)
    )
    text = [
        f"# What mngen import made of {_inline(inventory.source)}",
        "",
        f"{counts}. *Kept* means the same as before; *cannot* has no place in a spec.",
        "",
    ]
    text += _section("What may break a job", [line for line in lines if line.breaks])
    for outcome in Outcome:
        text += _section(
            outcome.value.capitalize(),
            [line for line in lines if line.outcome is outcome and not line.breaks],
        )
    text += _names(queues, jobs)
    if inventory.written is not None:
        text.append(_WRITTEN)
    elif inventory.deployed:
        text.append(_RECOVERED)
    elif inventory.exists:
        text.append(_stages(wishes, inventory, queues, jobs, repository))
    else:
        text.append(_NEW + (_FROM_CLUSTER if inventory.cluster else ""))
    return "\n".join(text)


def line_text(line: Line) -> str:
    """Returns a line as a person reads it: outcome, where from, where to, why, what to do."""
    target = f" -> {line.spec}" if line.spec else ""
    todo = f"; {line.todo}" if line.todo else ""
    place = f"{line.place.file}#{line.place.pointer}"
    return printable(f"{line.outcome.value}: {place}{target}: {line.why}{todo}")


def _section(title: str, lines: Iterable[Line]) -> list[str]:
    rows = [_row(line) for line in lines]
    return [f"## {title}", "", *rows, ""] if rows else []


def _row(line: Line) -> str:
    place = f"{_code(line.place.file)} {_code(line.place.pointer or '/')}"
    target = f" → {_code(line.spec)}" if line.spec else ""
    todo = f" **{_inline(line.todo[0].upper() + line.todo[1:])}.**" if line.todo else ""
    return f"- {line.outcome.value}: {place}{target}: {_inline(line.why)}.{todo}"


def _names(queues: list[MappedQueue], jobs: list[MappedJob]) -> list[str]:
    if not queues and not jobs:
        return []
    rows = [f"- job queue {_code(each.name)}: `queues.{each.key}`" for each in queues]
    rows += [
        f"- job definition {_code(each.name)}: "
        + (f"`jobs.{each.key}`" if each.key else "stays outside the spec")
        for each in jobs
    ]
    return [
        "## Names that scripts use",
        "",
        _SCRIPTS,
        *rows,
        "",
    ]


def _stages(
    wishes: Wishes,
    inventory: Inventory,
    queues: list[MappedQueue],
    jobs: list[MappedJob],
    repository: str,
) -> str:
    modules = [f"module.queue_{each.key}" for each in queues]
    modules += [f"module.job_{each.key}" for each in jobs if each.key]
    modules += ["module.registry"] if repository else []
    old = dict.fromkeys(arn.rpartition("/")[2] for each in queues for arn in each.legacy)
    last = _MANAGED_ELSEWHERE if inventory.released else _FINISH
    let_go = "\n".join(
        f"terraform -chdir={quote(f'{wishes.out}/terraform')} state rm {quote(address)}"
        for address in modules
    )
    release = _RELEASE.format(
        commands="\n".join(f"   terraform state rm {quote(each)}" for each in inventory.released)
    )
    return _STAGES.format(
        release=release if inventory.released else "",
        imported=count(len(modules), "resource"),
        spec=wishes.spec,
        imports=_code(f"{wishes.out}/{IMPORTS}"),
        amis=_code(f"{wishes.out}/{AMIS_FILE}"),
        last=last.format(old="\n".join(f"   - {_code(name)}" for name in old), record=RECORD),
        let_go=let_go,
    )


def _code(text: str) -> str:
    # A span of code ends at a backtick.
    return "`" + replaced(text).replace("`", "'") + "`"


def _inline(text: str) -> str:
    return replaced(text).replace("<", "&lt;").replace("*", "\\*")
