"""A file keeps what AWS Batch forgets: each job once, and no line is lost or changed."""

from __future__ import annotations

import csv
import io
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mngen.catalog import PricedRegion, Prices, load_prices
from mngen.cost import By, Origin, keep, spent_when_kept, summed
from mngen.cost._spent import FORGOTTEN, IN_BLOCK, spent_of
from mngen.errors import InputError, ToolError
from tests.support.processes import outcome
from tests.unit.cost.test_cost_spent import HOUR, usage

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.jobs import Usage

PRICES = load_prices()
HERE = Origin("lab", "123456789012", "us-east-1")
CREATED = 1_790_000_000.125


def finished(identifier: str, **keys: Any) -> Usage:
    return usage(**{"id": identifier, "created": CREATED, **keys})


def test_a_line_is_what_a_spreadsheet_needs(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    # Two nodes for an hour at 6.048 USD, and half of an m4.4xlarge at 0.80 for 90 seconds.
    half = finished("b", user=None, nodes=1, seconds=90.0, shares={"m4.4xlarge": 0.5})
    kept = keep(file, [half, finished("a", seconds=2 * HOUR)], PRICES, HERE)
    assert (kept.added, [each.usage.id for each in kept.jobs]) == (2, ["a", "b"])
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert rows[0] == {
        "deployment": "lab",
        "account": "123456789012",
        "region": "us-east-1",
        "id": "a",
        "name": "a",
        "job": "solve",
        "queue": "mpi",
        "user": "ada",
        "state": "SUCCEEDED",
        "submitted": "2026-09-21T14:13:20.125+00:00",
        "nodes": "2",
        "attempts": "1",
        "node_seconds": "7200.000",
        "instances": "r5.24xlarge=1",
        "amount": "12.096000",
        "currency": "USD",
        "not_counted": "",
    }
    assert (rows[1]["user"], rows[1]["amount"], rows[1]["instances"]) == (
        *("", "0.010000"),
        "m4.4xlarge=0.5",
    )


def test_a_job_is_added_once_and_only_when_it_has_finished(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    running = finished("r", state="RUNNING")
    assert keep(file, [running], PRICES, HERE).added == 0
    # AWS Batch can report its end later.
    assert keep(file, [finished("o", is_open=True)], PRICES, HERE).added == 0
    assert not file.exists()
    keep(file, [finished("a"), running], PRICES, HERE)
    before = file.read_bytes()
    changed = file.stat().st_mtime_ns
    assert keep(file, [finished("a", seconds=9.0)], PRICES, HERE).added == 0
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (before, changed)
    # AWS Batch forgot the first; the second ended meanwhile.
    kept = keep(file, [finished("r", state="FAILED")], PRICES, HERE)
    assert [each.usage.id for each in kept.jobs] == ["a", "r"]
    assert file.read_bytes().startswith(before)


def test_kept_jobs_cost_what_they_did_on_that_day(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    keep(file, [finished("a", seconds=HOUR)], PRICES, HERE)
    place = PRICES.region("us-east-1")
    assert place is not None
    dearer = Prices([place], {"us-east-1": {"r5.24xlarge": 100.0, "r5.12xlarge": 3.0}})
    # This one had no price when it was kept, and gets today's.
    nameless = finished("b", seconds=HOUR, shares={"x9.metal": 1.0})
    kept = keep(file, [nameless], PRICES, HERE)
    assert kept.jobs[1].amount is None
    later = Prices([place], {"us-east-1": {"r5.24xlarge": 100.0, "x9.metal": 7.0}})
    amounts = [spent_when_kept(each, later).amount for each in keep(file, [], later, HERE).jobs]
    assert amounts == [pytest.approx(6.048), 7.0]
    spent = [(each.usage, spent_when_kept(each, dearer)) for each in kept.jobs]
    found = summed(spent, dearer, "us-east-1", By.USER)
    assert found.total.amount == pytest.approx(6.048)
    assert found.total.unpriced == 1
    # A job that is never counted stays so, whatever the words for it are later.
    keep(file, [finished("c", seconds=0.0, size=3, is_forgotten=True)], PRICES, HERE)
    text = file.read_text(encoding="utf-8")
    assert text.count(FORGOTTEN) == 1
    file.write_text(text.replace(FORGOTTEN, "was an array"), encoding="utf-8")
    array = spent_when_kept(keep(file, [], PRICES, HERE).jobs[2], PRICES)
    assert (array.amount, array.reason) == (None, "was an array")
    # An amount in another currency is not added to this one.
    yuan = PricedRegion(name="us-east-1", date=place.date, currency="CNY", source="a test")
    found_now = spent_when_kept(kept.jobs[0], Prices([yuan], {"us-east-1": {"r5.24xlarge": 50.0}}))
    assert found_now.amount == 50.0


def test_deployments_share_a_file_and_see_their_own_jobs(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    keep(file, [finished("a")], PRICES, HERE)
    others = [
        HERE._replace(deployment="sea"),
        HERE._replace(region="eu-west-1"),
        # The same spec in a second account.
        HERE._replace(account="000000000042"),
    ]
    for number, each in enumerate(others):
        found = keep(file, [finished(f"b{number}")], PRICES, each)
        assert [kept.usage.id for kept in found.jobs] == [f"b{number}"]
    assert [each.usage.id for each in keep(file, [], PRICES, HERE).jobs] == ["a"]


@pytest.mark.parametrize(
    ("damage", "line", "what"),
    [
        (lambda text: text.replace("7200.000", "many"), 2, 'invalid node_seconds "many"'),
        (lambda text: text.replace("7200.000", "nan"), 2, 'invalid node_seconds "nan"'),
        (lambda text: text.replace("7200.000", "-1"), 2, 'invalid node_seconds "-1"'),
        (lambda text: text.replace("2026-09-21", "21.9.2026"), 2, "invalid submitted"),
        (lambda text: text.replace("r5.24xlarge=1", "r5.24xlarge"), 2, "invalid instances"),
        (lambda text: text.replace("123456789012", "1.23457E+11"), 2, "invalid account"),
        (lambda text: text[:-9], 3, "columns, not 17"),
        (lambda text: text + text.splitlines()[1] + "\n", 4, "the job a is in the file twice"),
        (lambda text: text.replace("SUCCEEDED", "RUNNING", 1), 2, "not a finished job"),
        (lambda text: text.replace("deployment,", "project,"), 1, "the header must be deployment,"),
        (lambda text: text.replace("lab", '"lab', 1), 3, "unexpected end of data"),
        (lambda _: "<html>\n", 1, "the header must be"),
        (lambda text: text.replace("ada", "\0"), 2, ""),
    ],
)
def test_a_damaged_file_is_told_by_its_line_and_left(
    damage: Any, line: int, what: str, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.csv"
    keep(file, [finished("a"), finished("b")], PRICES, HERE)
    text = damage(file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")
    if not what:
        # csv takes a NUL since Python 3.11, and a name is not judged.
        assert len(keep(file, [], PRICES, HERE).jobs) == 2
        return
    with pytest.raises(InputError) as caught:
        keep(file, [finished("c")], PRICES, HERE)
    (problem,) = caught.value.problems
    assert problem.position is not None
    assert problem.position.line == line
    assert what in problem.message
    assert "the file was not changed" in str(problem.hint)
    assert file.read_text(encoding="utf-8") == text


def test_what_is_not_text_or_no_file(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_bytes(b"deployment\n\xff\n")
    with pytest.raises(InputError, match="it is not UTF-8") as caught:
        keep(file, [finished("a")], PRICES, HERE)
    position = caught.value.problems[0].position
    assert position is not None
    assert position.line == 2
    with pytest.raises(InputError, match="is not a file"):
        keep(tmp_path, [finished("a")], PRICES, HERE)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a file"):
        keep(tmp_path / "pipe", [finished("a")], PRICES, HERE)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ToolError, match=r"cannot keep jobs in .*[Ss]ymlink loop"):
        keep(loop, [finished("a")], PRICES, HERE)
    with pytest.raises(ToolError, match=r"cannot keep jobs in .*File name too long"):
        keep(tmp_path / ("a" * 300), [finished("a")], PRICES, HERE)
    with pytest.raises(ToolError, match=r"cannot keep jobs in .*No such file"):
        keep(tmp_path / "none" / "jobs.csv", [finished("a")], PRICES, HERE)


def test_a_file_of_a_spreadsheet_and_a_link_stay_what_they_are(tmp_path: Path) -> None:
    file, link = tmp_path / "real.csv", tmp_path / "link.csv"
    keep(file, [finished("a")], PRICES, HERE)
    saved = b"\xef\xbb\xbf" + file.read_bytes().rstrip(b"\n").replace(b"\n", b"\r\n")
    file.write_bytes(saved)
    link.symlink_to(file)
    # Spreadsheets take numbers for numbers.
    file.write_bytes(saved.replace(b"123456789012", b"42"))
    assert len(keep(file, [], PRICES, HERE._replace(account="000000000042")).jobs) == 1
    file.write_bytes(saved)
    assert len(keep(link, [finished("b")], PRICES, HERE).jobs) == 2
    assert link.is_symlink()
    assert file.read_bytes().startswith(saved + b"\n")
    assert len(keep(file, [], PRICES, HERE).jobs) == 2


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n", b"\n\n"])
def test_an_empty_file_of_an_editor_is_begun(before: bytes, tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_bytes(before)
    keep(file, [finished("a")], PRICES, HERE)
    assert file.read_bytes().startswith(b"deployment,account,")
    assert [each.usage.id for each in keep(file, [], PRICES, HERE).jobs] == ["a"]


def test_empty_lines_are_no_jobs(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    keep(file, [finished("a")], PRICES, HERE)
    file.write_bytes(b"\n" + file.read_bytes() + b"\r\n\n")
    assert keep(file, [finished("b")], PRICES, HERE).added == 1
    assert [each.usage.id for each in keep(file, [], PRICES, HERE).jobs] == ["a", "b"]


@pytest.mark.parametrize("user", ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "a\u2028b"])
def test_whatever_a_user_is_called_the_file_can_be_read(user: str, tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    keep(file, [finished("a", user=user)], PRICES, HERE)
    kept = keep(file, [finished("b")], PRICES, HERE)
    assert [each.usage.user for each in kept.jobs] == [user.replace("\r", " "), "ada"]


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    keep(file, [finished("a")], PRICES, HERE)
    before = file.read_bytes()
    with pytest.raises(InputError, match="invalid node_seconds"):
        keep(file, [finished("b", seconds=-1.0)], PRICES, HERE)
    assert file.read_bytes() == before


def test_two_at_a_time_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"

    def keep_one_by_one(name: str) -> None:
        for number in range(20):
            keep(file, [finished(f"{each}{number}") for each in ("x", name)], PRICES, HERE)

    with ThreadPoolExecutor() as pool:
        both = [*pool.map(outcome, [partial(keep_one_by_one, name) for name in "ab"])]
    assert both == ["None", "None"]
    ids = [each.usage.id for each in keep(file, [], PRICES, HERE).jobs]
    expected = {f"{name}{number}" for name in "abx" for number in range(20)}
    assert (len(ids), {*ids}) == (60, expected)
    assert [each.name for each in tmp_path.iterdir()] == ["jobs.csv"]


_LETTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\x85")
_USAGES = st.builds(
    finished,
    st.text("0123456789abcdef-", min_size=1, max_size=36),
    name=st.text(_LETTERS, max_size=20),
    user=st.none() | st.text(_LETTERS, min_size=1, max_size=20),
    seconds=st.integers(0, 10**9).map(lambda number: number / 1000),
    created=st.integers(10**12, 2 * 10**12).map(lambda number: number / 1000),
    state=st.sampled_from(["SUCCEEDED", "FAILED"]),
    shares=st.dictionaries(
        st.sampled_from(["r5.24xlarge", "m4.4xlarge", "x9.metal"]),
        st.sampled_from([0.25, 0.5, 1.0]),
        max_size=3,
    ),
    in_block=st.booleans(),
    size=st.none() | st.integers(2, 10_000),
)


@given(found=_USAGES)
def test_what_is_read_is_what_was_kept(found: Usage, tmp_path_factory: Any) -> None:
    file = tmp_path_factory.mktemp("kept") / "jobs.csv"
    keep(file, [found], PRICES, HERE)
    (kept,) = keep(file, [], PRICES, HERE).jobs
    cost, again = spent_of(found, PRICES, "us-east-1"), spent_when_kept(kept, PRICES)
    assert again.amount == (None if cost.amount is None else pytest.approx(cost.amount, abs=1e-6))
    assert (again.reason, again.hours, again.possible) == (cost.reason, cost.hours, cost.possible)
    assert cost.reason in ("", FORGOTTEN, IN_BLOCK) or cost.reason.startswith("no price of")
    for name in ("id", "name", "user", "state", "created", "nodes", "attempts", "seconds"):
        assert getattr(kept.usage, name) == getattr(found, name), name
