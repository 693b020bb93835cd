"""Terraform in one rendered folder: plan, apply, destroy, outputs."""

from __future__ import annotations

import json
import logging
import os
import signal
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from mngen._text import printable
from mngen.cluster import UNFINISHED_FILE
from mngen.errors import InputError, InterruptedRunError, Problem, ToolError, format_problem
from mngen.terraform._events import EventStream, asks_for_init
from mngen.terraform._hints import ROLE_IS_GONE, Situation, hint_for, service_role_of
from mngen.terraform._missing import import_blocks
from mngen.terraform._moved import moved_blocks, moves_of, rescheduled
from mngen.terraform._plan import Plan, plan_path
from mngen.terraform._process import FORCE_AT
from mngen.terraform._program import find_program
from mngen.terraform._progress import Progress, measure
from mngen.terraform._summary import summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from mngen.terraform._missing import Import

    Result = tuple[int, str, str]

_LOG = logging.getLogger(__name__)
_HAS_CHANGES = 2
_NO_STATE = "No state file was found"
_IMPORTS = "zz_mngen_import.tf"


@dataclass(frozen=True, slots=True)
class Output:
    """One output of the configuration.

    Attributes:
        value: Its value: a string, number, bool, list or dict, or None.
        sensitive: Whether the configuration declares it a secret.
    """

    value: object
    sensitive: bool


class Terraform:
    """Terraform in a rendered folder, run as a user would run it there.

    Nothing but Terraform itself leaves anything in the folder, so plain `terraform` keeps working
    in it at any time. If `terraform init` is missing or outdated, it is run first. What Terraform
    reports is logged, free of control characters.

    Args:
        folder: The folder with the `*.tf` files, such as `deploy/terraform`.
        environment: The entire environment for Terraform; None is this process's own.

    Raises:
        InputError: The folder is missing or holds no Terraform files.
        ToolError: There is no Terraform to run.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        from mngen.terraform._commands import Commands

        check_folder(folder)
        environment = dict(os.environ if environment is None else environment)
        program = find_program(environment)
        self.folder = folder
        self._situation = Situation(f"{program.shown} -chdir={folder}", program.where)
        self._commands = Commands(program, folder.absolute(), environment)

    @property
    def program(self) -> str:
        """The path of the Terraform in use, or `embedded`."""
        return self._situation.where

    @property
    def command(self) -> str:
        """What a person types to run the same Terraform: `terraform -chdir=deploy/terraform`."""
        return self._situation.command

    def version(self) -> str:
        """Returns the version of the Terraform in use, such as `1.11.4`."""
        stdout = self._ask("version", json=_flag())
        return str(json.loads(stdout)["terraform_version"])

    def init(self) -> None:
        """Fetches the providers and modules that the configuration names.

        Every other method does so automatically if Terraform asks for it.

        Raises:
            ToolError: They could not be installed.
            InterruptedRunError: This process was interrupted.
        """
        from mngen.terraform._commands import InterruptedCommandError

        try:
            self._init()
        except InterruptedCommandError:
            raise InterruptedRunError("interrupted; nothing was changed") from None

    @contextmanager
    def plan(self, *, destroy: bool = False, imports: Iterable[Import] = ()) -> Iterator[Plan]:
        """Works out what is to be done, without doing it.

        A queue or job definition that the spec only calls otherwise is kept: the plan has it at its
        new address. A queue that gets its first scheduling policy, or loses its last one, is
        replaced: AWS Batch does neither to a queue that exists.

        Args:
            destroy: Plan to destroy all that there is.
            imports: What the plan takes into the state. Terraform reads that from a file, which
                stands in the folder while it plans.

        Yields:
            The plan, with its summary; it can be applied inside the `with` block only.

        Raises:
            ToolError: Terraform failed; its diagnostics are the problems.
            InterruptedRunError: This process was interrupted; nothing was changed.
        """
        with tempfile.TemporaryFile(prefix="mngen-plan-") as file:
            descriptor = file.fileno()
            blocks = import_blocks(imports)
            code, data = self._planned(descriptor, blocks, destroy=destroy)
            moves = {} if destroy else moves_of(data)
            if moves:
                blocks += moved_blocks(moves)
                code, data = self._planned(descriptor, blocks, destroy=destroy)
            replaced = [] if destroy else rescheduled(data)
            if replaced:
                code, data = self._planned(descriptor, blocks, destroy=destroy, replace=replaced)
            yield Plan(
                summary=summarise(data),
                is_destroy=destroy,
                has_changes=code == _HAS_CHANGES,
                descriptor=descriptor,
                data=data,
            )

    def _planned(
        self, descriptor: int, blocks: str, *, destroy: bool, replace: Iterable[str] = ()
    ) -> tuple[int, Any]:
        """Writes a plan into a file, and returns Terraform's exit code and the plan as data."""
        path = plan_path(descriptor)
        with self._with_blocks(blocks):
            code = self._stream(
                self._commands.plan,
                out=path,
                destroy=_flag() if destroy else None,
                replace=list(replace),
                descriptors=(descriptor,),
            )
        return code, json.loads(self._ask("show", path, json=_flag(), descriptors=(descriptor,)))

    @contextmanager
    def _with_blocks(self, text: str) -> Iterator[None]:
        """Keeps a file with blocks to import or to move in the folder for the length of a plan.

        One that a killed run has left is removed: what it names may be gone by now.
        """
        file = self.folder / _IMPORTS
        try:
            file.unlink(missing_ok=True)
            if text:
                file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ToolError(f"cannot write {file}: {error.strerror}") from None
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    def apply(self, plan: Plan) -> Progress:
        """Applies exactly this plan.

        Args:
            plan: From this object's `plan`, inside its block, and not applied yet.

        Returns:
            What was done.

        Raises:
            ToolError: Terraform failed part of the way; its diagnostics, and what is left to
                do, are the problems.
            InterruptedRunError: This process was interrupted. Terraform has finished its
                current step and saved its state; the problem lists what is left to do.
        """
        from mngen.terraform._commands import InterruptedCommandError

        stream = EventStream(show_summary=not plan.is_destroy)
        try:
            code, _, _ = self._commands.apply(
                plan_path(plan.descriptor),
                skip_plan=True,
                descriptors=(plan.descriptor,),
                **self._streaming(stream),
            )
        except InterruptedCommandError as interrupted:
            forced = interrupted.finished.interrupts >= FORCE_AT or interrupted.finished.code < 0
            headline = _interrupt_headline(stream, forced=forced)
            raise InterruptedRunError(*self._closed(plan, stream, headline)) from None
        if code != 0:
            command = "destroy" if plan.is_destroy else "apply"
            raise ToolError(*self._closed(plan, stream, _failure_headline(command, code)))
        return measure(plan.summary, stream.done)

    def destroy(self) -> Progress:
        """Destroys everything, without asking.

        Raises:
            ToolError: As for `plan` and `apply`.
            InterruptedRunError: As for `plan` and `apply`.
        """
        with self.plan(destroy=True) as plan:
            return self.apply(plan)

    def read_outputs(self) -> dict[str, Output]:
        """Returns every output that the state holds, by name.

        Raises:
            ToolError: The state cannot be read.
        """
        outputs: dict[str, Any] = json.loads(self._ask("output", json=_flag()))
        return {
            name: Output(output["value"], bool(output["sensitive"]))
            for name, output in sorted(outputs.items())
        }

    def outputs(self) -> dict[str, object]:
        """Returns the value of every output that the state holds, secrets too, by name.

        Raises:
            ToolError: The state cannot be read.
        """
        return {name: output.value for name, output in self.read_outputs().items()}

    def resources(self) -> list[str]:
        """Returns the address of every resource that the state holds, data sources too.

        Raises:
            ToolError: The state cannot be read.
        """
        try:
            return self._ask("state list").splitlines()
        except ToolError as error:
            if _NO_STATE in str(error):
                return []
            raise

    def state(self) -> dict[str, Any]:
        """Returns what the state holds, in the form of `terraform show -json`.

        Source: https://developer.hashicorp.com/terraform/internals/json-format

        Raises:
            ToolError: The state cannot be read.
        """
        found: dict[str, Any] = json.loads(self._ask("show", json=_flag()))
        return found

    def _ask(self, command: str, *arguments: str, **options: Any) -> str:
        """Runs a command that changes nothing and returns what it prints."""
        from mngen.terraform._commands import InterruptedCommandError

        def attempt() -> Result:
            return self._commands.cmd(command, *arguments, no_color=_flag(), **options)

        try:
            code, stdout, stderr = attempt()
            if code != 0 and asks_for_init(stderr):
                self._init()
                code, stdout, stderr = attempt()
        except InterruptedCommandError:
            raise InterruptedRunError("interrupted; nothing was changed") from None
        if code != 0:
            self._fail(f"`terraform {command}` failed", stderr)
        return stdout

    def _stream(self, command: Callable[..., Result], **options: Any) -> int:
        """Runs a command that changes nothing, showing what it does; returns its exit code."""
        from mngen.terraform._commands import InterruptedCommandError

        stream = EventStream(show_version=True)
        try:
            code, _, _ = command(**options, **self._streaming(stream))
            if code == 1 and stream.asks_for_init:
                self._init()
                stream = EventStream()
                code, _, _ = command(**options, **self._streaming(stream))
        except InterruptedCommandError:
            raise InterruptedRunError("interrupted while planning; nothing was changed") from None
        problems = self._problems(stream)
        if code not in (0, _HAS_CHANGES):
            raise ToolError(*(problems or [Problem(_failure_headline("plan", code))]))
        for problem in problems:
            for line in format_problem(problem).splitlines():
                _LOG.info("%s", line)
        return code

    def _streaming(self, stream: EventStream) -> dict[str, Any]:
        return {
            "json": _flag(),
            "var": None,
            "on_line": stream.feed,
            "on_error_line": lambda line: _LOG.info("%s", printable(line)),
        }

    def _init(self) -> None:
        _LOG.info("Fetching the providers and modules that the configuration names (init)...")
        code, stdout, stderr = self._commands.init_quietly()
        if code != 0:
            self._fail("`terraform init` failed", stderr or stdout)

    def _fail(self, headline: str, text: str) -> NoReturn:
        # Terraform wraps its text, and a hint may be looking for words now on two lines.
        hint = hint_for(text, self._situation) or hint_for(" ".join(text.split()), self._situation)
        text = "\n  ".join(printable(line) for line in text.strip().splitlines())
        raise ToolError(Problem(f"{headline}: {text}" if text else headline, hint=hint))

    def _problems(self, stream: EventStream) -> list[Problem]:
        return stream.problems(self.folder, self._situation)

    def _closed(self, plan: Plan, stream: EventStream, headline: str) -> list[Problem]:
        """Returns what went wrong in an apply, how far it came, and how to go on."""
        role = service_role_of(plan.data)
        problems = stream.problems(self.folder, replace(self._situation, service_role=role))
        blocked = any(ROLE_IS_GONE in (each.hint or "") for each in problems)
        return [*problems, self._closing(plan, stream, headline, blocked=blocked)]

    def _closing(self, plan: Plan, stream: EventStream, headline: str, *, blocked: bool) -> Problem:
        progress = measure(plan.summary, stream.done)
        try:
            in_state: int | None = len(self.resources())
        except (ToolError, InterruptedRunError):
            in_state = None
        again = "mngen destroy" if plan.is_destroy else "mngen apply"
        hint = f"`{again}` does the rest" if progress.left else None
        if hint and blocked:
            hint = f"restore the service role first, as described above; then {hint}"
        if hint and not plan.is_destroy:
            hint += "; `mngen destroy` removes what stands"
        return Problem(f"{headline}: {progress.describe(in_state)}", hint=hint)


def check_folder(folder: Path) -> None:
    """Checks that there is something for Terraform to do.

    Raises:
        InputError: The folder is missing, cannot be read, holds no Terraform files, or some old
            ones and some new ones.
    """
    try:
        has_files = any(folder.glob("*.tf")) or any(folder.glob("*.tf.json"))
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from None
    if not has_files:
        raise InputError(
            f"there is no Terraform in {folder}",
            hint="run `mngen render` first, or name the rendered tree with --out",
        )
    if (folder.parent / UNFINISHED_FILE).exists():
        raise InputError(
            f"an interrupted mngen render left {folder} incomplete",
            hint="run mngen render again; it completes the files",
        )


def _flag() -> Any:
    from mngen.terraform._commands import FLAG

    return FLAG


def _failure_headline(command: str, code: int) -> str:
    if code < 0:
        return f"Terraform was killed by {signal.Signals(-code).name} during {command}"
    return f"`terraform {command}` failed (exit code {code})"


def _interrupt_headline(stream: EventStream, *, forced: bool) -> str:
    if not forced:
        return "interrupted; Terraform has finished its step and saved its state"
    text = "interrupted and stopped at once"
    if stream.under_way:
        addresses = ", ".join(sorted({printable(address) for address, _ in stream.under_way}))
        text += f"; the state may be wrong about {addresses}"
    return text
