"""HCL by construction: what is written parses, and reads back as what it was.

`tests/e2e/test_render_strings.py` lets real Terraform evaluate it.
"""

from __future__ import annotations

import math
from typing import Any

import hcl2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mngen.render import _hcl
from tests.support.specs import texts


def values(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), text),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=12,
    )


def unescaped(literal: str) -> str:
    """Read a quoted literal without a template in it, as HCL's grammar defines it."""
    assert literal[0] == literal[-1] == '"'
    body, text, at = literal[1:-1], "", 0
    simple = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
    while at < len(body):
        if body[at] == "\\":
            kind = body[at + 1]
            if kind in simple:
                text, at = text + simple[kind], at + 2
            else:
                width = {"u": 4, "U": 8}[kind]
                text += chr(int(body[at + 2 : at + 2 + width], 16))
                at += 2 + width
        elif body.startswith(("$${", "%%{"), at):
            text, at = text + body[at + 1 : at + 3], at + 3
        else:
            assert not body.startswith(("${", "%{", '"'), at), "a template, or the literal's end"
            text, at = text + body[at], at + 1
    return text


@given(texts())
def test_a_literal_reads_back_as_its_text(text: str) -> None:
    literal = _hcl.quoted(text)
    assert unescaped(literal) == text
    assert literal.isprintable()


# The parser is slow, and takes an escaped template for one that must be closed.
@settings(max_examples=25)
@given(values(texts().map(lambda text: text.replace("{", "("))))
def test_an_expression_parses(value: Any) -> None:
    parsed = hcl2.loads(f"x = {_hcl.expression(value)}\n")
    assert set(parsed) - {"__is_block__"} == {"x"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0, "0"),
        (0.0001, "0.0001"),
        (999.9999, "999.9999"),
        (2.0, "2"),
        (1e-7, "1e-07"),
        ("a", '"a"'),
        ("${a}", '"$${a}"'),
        ("$${", '"$$${"'),
        ("%{if}", '"%%{if}"'),
        ("$ %", '"$ %"'),
        ('a"b\\c\n\t\r', r'"a\"b\\c\n\t\r"'),
        ("\u2028\U000e0001", r'"\u2028\U000e0001"'),
        ("é中", '"é中"'),
        ([], "[]"),
        (["a", 1], '["a", 1]'),
        (("a",), '["a"]'),
        ({}, "{}"),
        ({"b": 1, "a": 2}, "{\na = 2\nb = 1\n}"),
        ({"for": 1, "null": 1, "a b": 1}, '{\n"a b" = 1\n"for" = 1\n"null" = 1\n}'),
        (_hcl.Hcl("var.x"), "var.x"),
        ([_hcl.Hcl("var.x"), "var.x"], '[var.x, "var.x"]'),
    ],
)
def test_expression(value: object, text: str) -> None:
    assert _hcl.expression(value) == text


def test_a_long_list_takes_a_line_an_item() -> None:
    text = _hcl.expression(["x" * 50, "y" * 50])
    assert text == f'[\n"{"x" * 50}",\n"{"y" * 50}",\n]'


@pytest.mark.parametrize("value", [math.inf, math.nan, b"a", {1}, object()])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="as HCL"):
        _hcl.expression(value)


@pytest.mark.parametrize("text", ["", "a b", "a.b", "${x}", "é", "a\n"])
def test_an_identifier_takes_no_more_than_its_letters(text: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        _hcl.identifier(text)


@given(texts())
def test_a_comment_stays_one(text: str) -> None:
    line = f"# {_hcl.comment(text)}"
    assert line.isprintable()
    assert hcl2.loads(f"{line}\nx = 1\n")["x"] == 1


def test_layout_aligns_indents_and_removes_idle_blank_lines() -> None:
    given = (
        '\n\nresource "a" "b" {\n\nname = "x"\nlonger_name = "y"\n\n\nlist = [\n1,\n2,\n]\n\n'
        'block {\na = "{ ["\nbcd = 1\n}\n\n}\n\n\n'
    )
    assert _hcl.layout(given) == (
        'resource "a" "b" {\n'
        '  name        = "x"\n'
        '  longer_name = "y"\n'
        "\n"
        "  list = [\n"
        "    1,\n"
        "    2,\n"
        "  ]\n"
        "\n"
        "  block {\n"
        '    a   = "{ ["\n'
        "    bcd = 1\n"
        "  }\n"
        "}\n"
    )


@given(st.dictionaries(texts(), values(texts()), min_size=1, max_size=5))
def test_layout_is_at_rest_with_its_own_work(body: dict[str, Any]) -> None:
    once = _hcl.layout(f"locals {{\nx = {_hcl.expression(body)}\n}}\n")
    assert _hcl.layout(once) == once
