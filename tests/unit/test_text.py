"""Text from outside, made safe to show; and numbers with what they count."""

from __future__ import annotations

from mngen._text import counted, printable, replaced

HOSTILE = "a\tb\nc\x1b[2Jd\x9be\u202ef\u00e9"


def test_what_drives_a_terminal_is_shown_escaped() -> None:
    assert printable(HOSTILE) == "a\tb\\nc\\x1b[2Jd\\x9be\\u202ef\u00e9"
    assert printable(HOSTILE, keep="\n").startswith("a\\tb\nc\\x1b")
    assert printable(HOSTILE, keep="").isprintable()


def test_where_it_cannot_be_escaped_it_is_replaced() -> None:
    assert replaced(HOSTILE) == "a\ufffdb\ufffdc\ufffd[2Jd\ufffde\ufffdf\u00e9"


def test_only_one_is_in_the_singular() -> None:
    assert [counted(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
