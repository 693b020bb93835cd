"""How `mngen demo` shows its plan and its progress: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mngen.cli._console import report, wants_colour
from mngen.cli._log import shown_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import RenderableType

    from mngen.demo import Clock, Plan


def show_plan(plan: Plan) -> None:
    """Shows the steps, and which of them are reduced and why."""
    from mngen.demo import Clock, in_words

    report(f"{len(plan.steps)} steps, {in_words(Clock(plan.steps).left())}:")
    for number, step in enumerate(plan.steps, start=1):
        report(f"  {number} {step.name}" + (f": {step.reduced}" if step.reduced else ""))
    for line in plan.help:
        report(f"  help: {line}")


@contextmanager
def shown_progress() -> Iterator[Callable[[Clock], None]]:
    """Shows the progress of a demo.

    Yields:
        What is called when a step begins and at the end.
    """
    if not wants_colour(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from mngen.demo import in_words

    clock: Clock | None = None
    since = time.monotonic()

    def begin(current: Clock) -> None:
        nonlocal clock, since
        clock, since = current, time.monotonic()

    def state() -> tuple[float, str, str]:
        """Returns the share that is done, the step, and the time left."""
        if clock is None:
            return 0.0, "", ""
        ended, steps = len(clock.ended), clock.steps
        if ended == len(steps):
            return 1.0, "done", ""
        elapsed = time.monotonic() - since
        step = f"{ended + 1}/{len(steps)} {steps[ended].name}"
        return clock.share(elapsed), step, in_words(clock.left(elapsed))

    class Bar(Progress):
        """A bar that asks for its state each time it is drawn."""

        def get_renderables(self) -> Iterable[RenderableType]:
            share, step, left = state()
            # There is none yet while the bar is made.
            for task in self.task_ids:
                self.update(task, completed=share, step=step, left=left)
            return super().get_renderables()

    columns = TextColumn("{task.fields[step]}"), BarColumn(), TextColumn("{task.fields[left]}")
    console = Console(stderr=True, highlight=False)
    bar = Bar(*columns, console=console, transient=True)
    bar.add_task("", total=1.0, step="", left="")

    def show(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    with bar, shown_by(show):
        yield begin
