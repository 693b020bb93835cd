"""The messages between nodes of the wire-up cannot be forged, changed, repeated or reordered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mngen_wireup.messages import Session, checked_greeting, greeting_of, packed, refusal
from mngen_wireup.plan import plan_from

SECRET = b"s" * 32
GREETING = {"job": "j", "attempt": "1", "node": 1, "nonce": "0" * 64}
NONCE = "1" * 64


def main_of(secret: bytes = SECRET, greeting: Any = None, nonce: str = NONCE) -> Session:
    return Session(secret, greeting or GREETING, nonce, is_main=True)


def child_of(secret: bytes = SECRET, greeting: Any = None, nonce: str = NONCE) -> Session:
    return Session(secret, greeting or GREETING, nonce, is_main=False)


names = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1)
values = st.booleans() | st.integers(-(10**9), 10**9) | st.text()
messages = st.dictionaries(names, values | st.lists(values))


@given(st.lists(messages, max_size=5), st.lists(messages, max_size=5))
def test_messages_arrive_as_they_were_sent(down: list[Any], up: list[Any]) -> None:
    main, child = main_of(), child_of()
    lines = [main.seal(message) for message in down]
    assert all(line.count(b"\n") == 1 and line.isascii() for line in lines)
    assert all(line[:-1].decode().isprintable() for line in lines)
    assert [child.open(line.rstrip(b"\n")) for line in lines] == down
    assert [main.open(child.seal(message).rstrip(b"\n")) for message in up] == up


@given(messages, st.data())
def test_changed_message_is_refused(message: Any, data: st.DataObject) -> None:
    line = bytearray(main_of().seal(message).rstrip(b"\n"))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="wrong secret or altered message"):
        child_of().open(bytes(line))


def refused(session: Session, line: bytes) -> bool:
    try:
        session.open(line.rstrip(b"\n"))
    except ValueError:
        return True
    return False


def test_message_is_refused_the_second_time() -> None:
    main, child = main_of(), child_of()
    line = main.seal({"go": 1})
    assert not refused(child, line)
    assert refused(child, line)


def test_messages_out_of_order_or_left_out_are_refused() -> None:
    main = main_of()
    first, second = main.seal({"go": 1}), main.seal({"end": 1})
    assert refused(child_of(), second)
    child = child_of()
    assert not refused(child, first)
    assert not refused(child, second)


def test_message_is_refused_by_who_sent_it() -> None:
    assert refused(main_of(), main_of().seal({}))
    assert refused(child_of(), child_of().seal({}))


@pytest.mark.parametrize(
    "other",
    [
        {"secret": b"t" * 32},
        {"nonce": "2" * 64},
        {"greeting": {**GREETING, "nonce": "2" * 64}},
        {"greeting": {**GREETING, "node": 2}},
        {"greeting": {**GREETING, "job": "k"}},
        {"greeting": {**GREETING, "attempt": "2"}},
    ],
)
def test_nothing_of_one_session_holds_in_another(other: dict[str, Any]) -> None:
    assert refused(main_of(), child_of(**other).seal({}))
    assert refused(child_of(), main_of(**other).seal({}))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET / HTTP/1.1",
        b"\xff\xfe",
        b"[" * 5000,
        b"[]",
        b"3",
        b"{}",
        b'{"job": "j", "attempt": "1", "node": 1, "nonce": "0"}',
        packed({**GREETING, "more": 1}),
        packed({**GREETING, "node": True}),
        packed({**GREETING, "node": "1"}),
        packed({**GREETING, "nonce": "short"}),
        packed({**GREETING, "job": ["j"]}),
        packed(GREETING) + b" node=1",
        packed(GREETING).replace(b"node=1", b"node=1_0"),
        packed(GREETING).replace(b"node=1", b"node=" + b"1" * 20),
        packed(GREETING).replace(b"node=1", b"node=1,2"),
        packed(GREETING).replace(b"node=1", b"node"),
        packed(GREETING).replace(b"node=1", b"node="),
        packed(GREETING).replace(b" node", b"  node"),
        packed(GREETING).replace(b'job="6a', b'job="6'),
        packed(GREETING).replace(b'job="6a', b"job=j"),
    ],
)
def test_greeting_that_is_none(line: bytes) -> None:
    with pytest.raises(ValueError, match="malformed message"):
        checked_greeting(line)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else_happens(line: bytes) -> None:
    for judge in (checked_greeting, main_of().open):
        with pytest.raises(ValueError, match=r"malformed message|altered message"):
            judge(line)


def test_greetings_never_repeat() -> None:
    plan = plan_from({}, ["app"])
    greetings = [greeting_of(plan) for _ in range(100)]
    assert len({greeting["nonce"] for greeting in greetings}) == 100
    assert checked_greeting(packed(greetings[0])) == greetings[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"job": "k"}, "it belongs to job k; this is job j"),
        ({"attempt": "1"}, "it belongs to attempt 1; this is attempt 2"),
        ({"node": 0}, "invalid index 0 of a child: 4 nodes with main node 0"),
        ({"node": 4}, "invalid index 4 of a child: 4 nodes with main node 0"),
        ({"node": -1}, "invalid index -1 of a child: 4 nodes with main node 0"),
        ({"node": 2}, "node 2 has already joined from 10.0.0.3"),
    ],
)
def test_who_is_refused(change: dict[str, Any], reason: str) -> None:
    environ = {
        "AWS_BATCH_JOB_ID": "j",
        "AWS_BATCH_JOB_ATTEMPT": "2",
        "AWS_BATCH_JOB_NUM_NODES": "4",
        "AWS_BATCH_JOB_NODE_INDEX": "0",
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
        "MNGEN_SECRET": "s" * 32,
    }
    greeting = {**GREETING, "attempt": "2", **change}
    why = refusal(plan_from(environ, ["app"]), greeting, {2: "10.0.0.3"})
    assert why.endswith(reason)
    assert bool(why) == bool(reason)
