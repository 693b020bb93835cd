"""The row of a sweep: what a child of an array job runs, and what it refuses before any work."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mngen.cluster import ROWS_GUARD, ROWS_VARIABLE
from mngen.jobs._rows import Rows, pack
from mngen.jobs._sweep import filled, variables_of
from mngen_wireup.errors import BAD_ENVIRONMENT, WireupError
from mngen_wireup.row import GUARD, INDEX, ROWS, take_row
from tests.support.wireup import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUOTES = """it's "quoted", $HOME `id` {n} \\ é"""
VALUES = ({"n": "1", "a b": QUOTES}, {"n": "{a b}", "a b": ""}, {"n": "{n}", "a b": "x\ny"})
TEXT = pack(Rows("0" * 32, (1, 2, 5), VALUES))
PROGRAM = (
    "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['n'], sorted(os.environ)]))"
)


def run(
    environment: Mapping[str, str], *command: str, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command as the container's entrypoint does, as a job of one node."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-IS", *options, str(CONTAINER / "wireup.py"), *command],
        env={**inherited, "MNGEN_LAUNCHER": "none", "AWS_BATCH_JOB_ID": "j", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def coded(data: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(data).encode())).decode()


def test_both_sides_have_the_same_words() -> None:
    assert (GUARD, ROWS) == (ROWS_GUARD, ROWS_VARIABLE)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_child_runs_the_row_of_its_index(index: int) -> None:
    """What mngen packs, the wire-up of a container runs: words as they are, through no shell."""
    words = (sys.executable, "-c", PROGRAM, "--n={n}", "{a b}", "{other}")
    done = run({ROWS: TEXT, INDEX: str(index), "n": "the job's own"}, GUARD, *words)
    assert done.returncode == 0, done.stderr
    row = VALUES[index]
    arguments, variable, names = json.loads(done.stdout)
    assert arguments == [f"--n={row['n']}", row["a b"], "{other}"]
    assert variable == row["n"]
    assert not {ROWS, "a b"} & set(names)
    number = (1, 2, 5)[index]
    [line] = [each for each in done.stderr.splitlines() if "s row: " in each]
    expected = " ".join(f"row: {number}, index {index} of the array: n={row['n']}".split())
    assert expected in line
    assert "a b=" in line


def test_the_log_has_values_of_no_other_columns_than_the_command_has() -> None:
    values = ({"n": "7", "API_TOKEN": "s3cret"}, {"n": "8", "API_TOKEN": "s3cret"})
    text = pack(Rows("0" * 32, (1, 2), values))
    words = (sys.executable, "-c", "import os; print(os.environ['API_TOKEN'])", "{n}")
    done = run({ROWS: text, INDEX: "1"}, GUARD, *words)
    assert (done.returncode, done.stdout) == (0, "s3cret\n")
    assert "row: 2, index 1 of the array: n=8, API_TOKEN\n" in done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("column", ["n", "a b"])
def test_a_character_that_the_locale_lacks_is_no_traceback(column: str) -> None:
    text = pack(Rows("0" * 32, (1, 2), ({column: "→"}, {column: "x"})))
    words = (sys.executable, "-c", "print('at work')", f"{{{column}}}")
    # As in an image with a locale of ISO 8859: this one has no character beside those of ASCII.
    options = ("-X", "utf8=0")
    done = run({ROWS: text, INDEX: "0", "LC_ALL": "C"}, GUARD, *words, options=options)
    assert (done.returncode, done.stdout) == (64, "")
    assert f"error: the column {column} has a character that the locale" in done.stderr
    assert "Traceback" not in done.stderr
    done = run({ROWS: text, INDEX: "1", "LC_ALL": "C"}, GUARD, *words, options=options)
    assert (done.returncode, done.stdout) == (0, "at work\n")


NAMES = st.one_of(
    st.sampled_from(["n", "a b", "x.y", "é", "{", "n}", "\\1", "N_1"]), st.text(min_size=1)
)
TEXTS = st.one_of(st.sampled_from(["{n}", "{a b}", "{{n}}", "$(id)", "\\g<0>", "", "é"]), st.text())


@settings(max_examples=300)
@given(data=st.data(), names=st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_any_row_is_what_a_job_of_its_own_would_run(data: st.DataObject, names: list[str]) -> None:
    rows = data.draw(
        st.lists(st.fixed_dictionaries(dict.fromkeys(names, TEXTS)), min_size=1, max_size=6)
    )
    parts = st.lists(st.one_of(TEXTS, st.sampled_from([f"{{{each}}}" for each in names])))
    words = data.draw(st.lists(parts.map("".join)))
    first = data.draw(st.integers(1, 10_000))
    numbers = tuple(range(first, first + len(rows)))
    index = data.draw(st.integers(0, len(rows) - 1))
    environ = {ROWS: pack(Rows("s", numbers, tuple(rows))), INDEX: str(index)}
    row = take_row(environ)
    assert environ == {INDEX: str(index)}
    assert row.number == numbers[index]
    assert row.variables() == variables_of(rows[index])
    assert row.command([GUARD, *words]) == [filled(word, rows[index]) for word in words]


@pytest.mark.parametrize(
    ("text", "index", "says"),
    [
        (TEXT, "3", "no row for this job: AWS_BATCH_JOB_ARRAY_INDEX='3', and MNGEN_ROWS has rows"),
        (TEXT, "-1", "AWS_BATCH_JOB_ARRAY_INDEX='-1'"),
        (TEXT, "", "AWS_BATCH_JOB_ARRAY_INDEX is not set, and MNGEN_ROWS has rows 0 to 2"),
        (TEXT[:-8], "0", "MNGEN_ROWS cannot be read"),
        (TEXT[:-1] + "!", "0", "MNGEN_ROWS cannot be read"),
        ("", "0", "MNGEN_ROWS cannot be read"),
        (base64.b64encode(b"no zlib").decode(), "0", "MNGEN_ROWS cannot be read"),
        (base64.b64encode(zlib.compress(b"no JSON")).decode(), "0", "MNGEN_ROWS cannot be read"),
        (coded([1]), "0", "MNGEN_ROWS cannot be read"),
        (coded({"numbers": [[1, 1]]}), "0", "MNGEN_ROWS cannot be read"),
        (coded({"numbers": [[1, 1]], "columns": {}}), "0", "MNGEN_ROWS cannot be read"),
        (coded({"numbers": [], "columns": {"n": []}}), "0", "MNGEN_ROWS cannot be read"),
        (coded({"numbers": [[1, 2]], "columns": {"n": ["1"]}}), "0", "MNGEN_ROWS cannot be read"),
        (coded({"numbers": [[1, 1]], "columns": {"n": [1]}}), "0", "MNGEN_ROWS cannot be read"),
        (coded({"numbers": [1], "columns": {"n": ["1"]}}), "0", "MNGEN_ROWS cannot be read"),
    ],
)
def test_without_its_row_a_job_ends_before_any_work(text: str, index: str, says: str) -> None:
    with pytest.raises(WireupError) as caught:
        take_row({ROWS: text, **({INDEX: index} if index else {})})
    assert caught.value.code == BAD_ENVIRONMENT
    assert says in str(caught.value)


def test_the_exit_code_says_so() -> None:
    done = run({ROWS: TEXT, INDEX: "7"}, GUARD, sys.executable, "-c", "print('at work')")
    assert (done.returncode, done.stdout) == (64, "")
    assert "error: no row for this job" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("end: exit 64")


def test_rows_without_the_guard_are_refused() -> None:
    done = run({ROWS: TEXT, INDEX: "0"}, sys.executable, "-c", "print('at work')")
    assert (done.returncode, done.stdout) == (64, "")
    assert f"the command does not start with {GUARD}" in done.stderr


def test_a_wire_up_that_knows_no_rows_names_what_is_missing_and_starts_nothing() -> None:
    """One that is older does not look at the variable, as this one does not where there is none."""
    done = run({"MNGEN_OLD_ROWS": TEXT}, GUARD, sys.executable, "-c", "print('at work {n}')")
    assert (done.returncode, done.stdout) == (68, "")
    assert f"error: cannot start {GUARD}: No such file or directory" in done.stderr


def test_what_a_row_needs_is_imported_for_rows_alone() -> None:
    code = f"import sys; sys.path.insert(0, {str(CONTAINER)!r}); import mngen_wireup.start"
    done = subprocess.run(
        [sys.executable, "-IS", "-c", f"{code}; print('mngen_wireup.row' in sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "False\n"
