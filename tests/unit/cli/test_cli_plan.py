"""`mngen plan --format markdown`: what goes into the comment, of a plan that is at hand."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mngen.catalog import load_catalog
from mngen.cli._main import run
from mngen.rules import require
from mngen.spec import load_text, written
from mngen.terraform import Plan, summarise
from tests.unit.graph.test_graph_mermaid import Flowchart
from tests.unit.graph.test_graph_plan import AFTER, BEFORE, JOB, QUEUE, STANDING, changed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Planned:
    """What stands for Terraform: it has made a plan.

    Args:
        data: The plan, as `terraform show -json` prints it.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    @contextmanager
    def plan(self) -> Iterator[Plan]:
        summary = summarise(self._data)
        yield Plan(summary, is_destroy=False, has_changes=True, descriptor=-1, data=self._data)


def record(text: str) -> Any:
    return written(require(load_text(text.encode()), load_catalog()).spec)


@pytest.fixture
def comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    def of(before: Any, after: Any, *resources: dict[str, Any]) -> str:
        spec = {"actions": ["update"], "before": before, "after": after}
        data = {"resource_changes": list(resources), "output_changes": {"spec": spec}}

        @contextmanager
        def opened(*_: object, **__: object) -> Iterator[Planned]:
            yield Planned(data)

        monkeypatch.setattr("mngen.cli.plan.opened_terraform", opened)
        # They ask AWS what runs, and what an interrupted apply left.
        for name in ("running_jobs", "announce"):
            monkeypatch.setattr(f"mngen.terraform.{name}", lambda *_: [])
        assert run(["plan", "--format", "markdown", "--out", str(tmp_path / "deploy")]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return of


def picture(text: str) -> Flowchart:
    [drawn] = re.findall(r"(?m)^```mermaid\n([^`]*)^```$", text)
    return Flowchart(drawn)


def test_a_comment_has_the_picture_of_the_plan(comment: Any) -> None:
    changes = (
        changed(QUEUE.format("old"), "delete"),
        changed(JOB.format("solve"), "update"),
        changed(JOB.format("post"), "create"),
    )
    shown = comment(record(BEFORE), record(AFTER), *STANDING, *changes)
    read = picture(shown)
    assert {lines[0]: lines[-1] for key, lines in read.nodes.items() if key in read.classes} == {
        "solve": "will be changed",
        "post": "will be added",
        "old": "will be destroyed",
        "VPC": "existing",
    }
    assert shown.index("| price |") < shown.index("```mermaid") < shown.index("<details>")


def test_a_first_apply_has_one_as_well(comment: Any) -> None:
    shown = comment(None, record(AFTER), changed("module.identity.aws_iam_role.job", "create"))
    read = picture(shown)
    assert ["IAM roles", "for instances, jobs", "will be added"] in read.nodes.values()
    assert "waits for its AMI" in {lines[-1] for lines in read.nodes.values()}


@pytest.mark.parametrize("after", [{"name": 1}, None])
def test_what_cannot_be_read_is_not_drawn(comment: Any, after: Any) -> None:
    shown = comment(None, after, changed(JOB.format("solve"), "update"))
    assert "mermaid" not in shown
    assert "<summary>1 resource</summary>" in shown


def test_a_former_record_that_cannot_be_read_is_left_out(comment: Any) -> None:
    change = changed(JOB.format("mesh"), "delete")
    shown = comment({"name": 1}, record(AFTER), *STANDING, change)
    assert ["mesh", "will be destroyed"] in picture(shown).nodes.values()
