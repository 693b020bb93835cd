"""The log of many nodes, a hundred a call: each line once, as CloudWatch gets it and gives it."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mngen.jobs._tail import Bundle, Stream, regrouped

START = 1_700_000_000_000
MINUTE = 60_000


class Log:
    """A log group that answers FilterLogEvents as CloudWatch does, at a time of the test's own."""

    def __init__(self, *streams: str, page: int = 10_000) -> None:
        self.now = START
        self.streams: dict[str, list[dict[str, Any]]] = {name: [] for name in streams}
        self.asked: list[dict[str, Any]] = []
        self._page = page
        self._count = 0

    def put(self, stream: str, text: str, *, late: int = 0) -> None:
        """Write a line that was written some milliseconds ago."""
        self._count += 1
        event = {
            "eventId": f"{self._count:056}",
            "logStreamName": stream,
            "timestamp": self.now - late,
            "ingestionTime": self.now,
            "message": f"{text}\n",
        }
        self.streams.setdefault(stream, []).append(event)

    def __call__(self, arguments: dict[str, Any]) -> Any:
        self.asked.append(arguments)
        names = arguments["logStreamNames"]
        assert len(names) <= 100
        if not self.streams.keys() >= set(names):
            return None
        found = [
            event
            for name in names
            for event in self.streams[name]
            if event["timestamp"] >= arguments["startTime"]
        ]
        found.sort(key=lambda event: (event["timestamp"], event["ingestionTime"], event["eventId"]))
        first = int(arguments.get("nextToken", 0))
        page: dict[str, Any] = {
            "events": found[first : first + self._page],
            "ResponseMetadata": {"HTTPHeaders": {"date": formatdate(self.now / 1000, usegmt=True)}},
        }
        if first + self._page < len(found):
            page["nextToken"] = str(first + self._page)
        return page


def texts(bundle: Bundle, log: Log) -> list[str]:
    found = [line.text for line in bundle.read(log)]
    while not bundle.done:
        found += [line.text for line in bundle.read(log)]
    return found


@given(
    st.lists(
        st.tuples(
            st.integers(0, 200_000),  # milliseconds that pass before
            st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 55_000)), max_size=6),
        ),
        max_size=12,
    ),
    st.integers(1, 5),
)
@settings(max_examples=60)
def test_each_line_comes_once_if_it_is_less_than_a_minute_late(
    rounds: list[tuple[int, list[tuple[str, int]]]], page: int
) -> None:
    log = Log("a", "b", "c", page=page)
    bundle = Bundle({"a": 0, "b": 1, "c": 2}, START - MINUTE)
    wanted: list[str] = []
    found: list[str] = []
    for passed, written in rounds:
        log.now += passed
        for stream, late in written:
            text = f"line {len(wanted)}"
            log.put(stream, text, late=late)
            wanted.append(text)
        found += texts(bundle, log)
    assert sorted(found) == sorted(wanted)
    assert len(bundle.seen) <= len(wanted)


def test_what_is_over_is_neither_asked_for_nor_remembered() -> None:
    log = Log("a")
    bundle = Bundle({"a": 0}, START)
    for number in range(100):
        log.put("a", str(number))
        assert texts(bundle, log) == [str(number)]
        log.now += 10_000
    assert len(bundle.seen) <= 8
    # The last call knew of the one before, ten seconds ago.
    assert log.asked[-1]["startTime"] >= log.now - 20_000 - MINUTE - 1_000


def test_a_machine_whose_clock_is_ahead_hides_no_line_and_repeats_none() -> None:
    log = Log("a", "b")
    bundle = Bundle({"a": 0, "b": 1}, START)
    log.put("a", "from tomorrow", late=-86_400_000)
    assert texts(bundle, log) == ["from tomorrow"]
    for number in range(5):
        log.now += MINUTE
        log.put("b", str(number))
        assert texts(bundle, log) == [str(number)]


def test_an_answer_without_a_date_is_read_as_well() -> None:
    log = Log("a")
    bundle = Bundle({"a": 0}, START)

    def ask(arguments: dict[str, Any]) -> Any:
        return {**log(arguments), "ResponseMetadata": {"HTTPHeaders": {}}}

    for number in range(3):
        log.now += 2 * MINUTE
        log.put("a", str(number))
        assert [line.text for line in bundle.read(ask)] == [str(number)]


def test_a_stream_that_is_not_there_hides_the_others_for_a_few_calls_only() -> None:
    names = [f"s{n}" for n in range(100)]
    log = Log(*(each for each in names if each != "s63"))
    for name in log.streams:
        log.put(name, name)
    bundles = [Bundle({name: index for index, name in enumerate(names)}, START)]
    found: list[str] = []
    for _ in range(8):
        for each in bundles:
            found += [line.text for line in each.read(log)]
        bundles = regrouped(bundles)
    assert sorted(found) == sorted(log.streams)
    assert len(log.asked) < 30
    assert sorted(len(each.nodes) for each in bundles) == [1, 99]
    # It is asked for on, and read once it is there.
    log.put("s63", "here I am")
    assert [line.text for each in bundles for line in each.read(log)] == ["here I am"]
    assert [len(each.nodes) for each in regrouped(bundles)] == [100]


def test_streams_that_come_one_by_one_share_calls() -> None:
    log = Log()
    bundles: list[Bundle] = []
    found: list[str] = []
    for number in range(150):
        name = f"s{number}"
        log.put(name, name)
        bundles.append(Bundle({name: number}, START))
        for each in bundles:
            found += [line.text for line in each.read(log)]
        bundles = regrouped(bundles)
        log.now += 1_000
    assert found == [f"s{number}" for number in range(150)]
    assert sorted(len(each.nodes) for each in bundles) == [50, 100]


def test_a_backlog_of_one_stream_is_read_in_parts() -> None:
    asked = []

    def ask(arguments: dict[str, Any]) -> Any:
        asked.append(arguments)
        number = len(asked)
        event = {"timestamp": START, "message": f"{number}"}
        events = [event] if number <= 7 else []
        return {"events": events, "nextForwardToken": str(min(number, 8))}

    stream = Stream("a", 0, 5)
    first = [line.text for line in stream.read(ask)]
    assert (first, stream.done) == (["1", "2", "3", "4", "5"], False)
    assert [line.text for line in stream.read(ask)] == ["6", "7"]
    assert stream.done
    assert asked[5] == {
        "logStreamName": "a",
        "startFromHead": True,
        "startTime": 5,
        "nextToken": "5",
    }
