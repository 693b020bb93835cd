"""The messages between a child node and the main node, and what makes them trustworthy."""

from __future__ import annotations

import os

from mngen_wireup.lean import Mac, compare_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mngen_wireup.plan import Plan

    Message = dict[str, Any]

MALFORMED = "malformed message"


class Session:
    """Messages between two ends that have the secret. Each is one line, `<MAC> <message>`.

    The keys are derived from the secret, from what the child claims to be, and from a fresh nonce
    of each side, so that nothing from an earlier session is valid in this one. Each key serves one
    direction, and the MAC covers the number of the message: messages cannot be changed, dropped,
    repeated, reordered or sent back. Nothing in them is secret.
    """

    def __init__(self, secret: bytes, greeting: Message, nonce: str, *, is_main: bool) -> None:
        base = Mac(Mac(secret).digest(b"mngen wire-up 1"))
        shared = packed({**dict(sorted(greeting.items())), "answer": nonce})
        macs = [Mac(base.digest(way + shared)) for way in (b"from main ", b"from child ")]
        self._send_mac, self._receive_mac = macs if is_main else macs[::-1]
        self._sent = self._received = 0

    def seal(self, message: Message) -> bytes:
        """Returns the line that carries a message."""
        text = packed(message)
        self._sent += 1
        return _mac_of(self._send_mac, self._sent, text) + b" " + text + b"\n"

    def open(self, line: bytes) -> Message:
        """Returns the message of a line.

        Raises:
            ValueError: It is not the next message of the other side.
        """
        mac, _, text = line.partition(b" ")
        self._received += 1
        if not compare_digest(mac, _mac_of(self._receive_mac, self._received, text)):
            raise ValueError("wrong secret or altered message")
        return parsed(text)


def _mac_of(mac: Mac, count: int, text: bytes) -> bytes:
    return mac.digest(b"%d " % count + text).hex().encode()


def packed(message: Message) -> bytes:
    """Returns a message as printable ASCII without a newline: `end=0,"6f6b node=3`.

    Not JSON, whose import takes an eighth of a child's start. Texts are in hexadecimal, so that
    nothing in them can be taken for another part of the message.

    Args:
        message: Numbers, truth values and texts by name, or lists of them.
    """
    return " ".join(f"{name}={_packed_value(value)}" for name, value in message.items()).encode()


def _packed_value(value: Any) -> str:
    if isinstance(value, list):
        return "".join(f"{_packed_value(each)}," for each in value) or ","
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).encode("utf-8", "surrogateescape").hex()


def parsed(line: bytes) -> Message:
    """Returns the message of a line.

    Raises:
        ValueError: The line is not a message.
    """
    message: Message = {}
    for part in line.split(b" ") if line else ():
        name, equals, value = part.partition(b"=")
        if not equals or not name.isalpha() or name.decode() in message:
            raise ValueError(MALFORMED)
        *listed, last = value.split(b",")
        if listed and last:
            raise ValueError(MALFORMED)
        values = [_parsed_value(each) for each in listed] if value != b"," else []
        message[name.decode()] = values if listed else _parsed_value(last)
    return message


def _parsed_value(value: bytes) -> int | bool | str:
    if value in (b"true", b"false"):
        return value == b"true"
    try:
        if value.startswith(b'"'):
            return bytes.fromhex(value[1:].decode("ascii")).decode("utf-8", "surrogateescape")
        if value.removeprefix(b"-").isdigit() and len(value) < 20:
            return int(value)
    except ValueError:
        pass
    raise ValueError(MALFORMED)


def plain_line(message: Message) -> bytes:
    """Returns the line of a message that carries no MAC: a greeting or its answer."""
    return packed(message) + b"\n"


def fresh_nonce() -> str:
    """Returns a new random number of 256 bits."""
    return os.urandom(32).hex()


def greeting_of(plan: Plan) -> Message:
    """Returns the first message of a child: who it claims to be, and its nonce."""
    return {
        "job": plan.job,
        "attempt": plan.attempt,
        "node": plan.node,
        "nonce": fresh_nonce(),
    }


def checked_greeting(line: bytes) -> Message:
    """Returns a child's greeting.

    Raises:
        ValueError: The line is not a greeting.
    """
    greeting = parsed(line)
    kinds = {name: type(value) for name, value in greeting.items()}
    if kinds != {"job": str, "attempt": str, "node": int, "nonce": str}:
        raise ValueError(MALFORMED)
    if len(greeting["nonce"]) != 64:
        raise ValueError(MALFORMED)
    return greeting


def refusal(plan: Plan, greeting: Message, taken: Mapping[int, str]) -> str:
    """Returns why a child that has the secret cannot join, or an empty string.

    Args:
        plan: The main node's own.
        greeting: The child's.
        taken: The address of each node that has joined, by index.
    """
    index = greeting["node"]
    if greeting["job"] != plan.job:
        return f"it belongs to job {greeting['job']}; this is job {plan.job}"
    if greeting["attempt"] != plan.attempt:
        return f"it belongs to attempt {greeting['attempt']}; this is attempt {plan.attempt}"
    if not 0 <= index < plan.nodes or index == plan.main:
        return f"invalid index {index} of a child: {plan.nodes} nodes with main node {plan.main}"
    if index in taken:
        return f"node {index} has already joined from {taken[index]}"
    return ""
