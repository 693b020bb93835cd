"""The notebook in docs/jobs.md runs, cell by cell, and waits as it does for a user."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.batch import Deployed

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.usefixtures("state_home")
def test_notebook_runs(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
    cells = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    text = (ROOT / "examples" / "tutorial.yaml").read_text(encoding="utf-8")
    text = text.replace("name: tutorial", "name: notebook")
    deployed = Deployed(sandbox, text)
    (tmp_path / "mngen.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with sandbox.applied():
        for cell in cells:
            exec(compile(cell, "docs/jobs.md", "exec"), names)
    assert deployed.job(names["job"].id)["status"] == "SUCCEEDED"
    assert "[0] " in capsys.readouterr().out
    assert (tmp_path / "job.svg").read_text(encoding="utf-8").startswith("<svg")
    assert sorted(each.name for each in names["swept"]) == ["mpi-example-0001", "mpi-example-0002"]
