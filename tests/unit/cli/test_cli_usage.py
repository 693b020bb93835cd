"""Arguments that are not of their type: the value, and what is expected, in plain words."""

from __future__ import annotations

import pytest

from mngen.cli._main import run

SUBMIT = ("--nodes", "--vcpus", "--memory", "--gpus", "--attempts", "--timeout")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *((["submit", "job", each, "x"], '"x": expected a whole number') for each in SUBMIT),
        (["submit", "job", "--vcpus", "1.5"], '"1.5": expected a whole number'),
        (["submit", "job", "--memory", ""], '"": expected a whole number'),
        (["submit", "job", "--gpus", "9" * 5000], '9…": expected a whole number with fewer digits'),
        (["submit", "job", "--gpus", "\x1b[31m"], r'"\x1b[31m": expected a whole number'),
        (["wait", "id", "--timeout", "soon"], '"soon": expected a number'),
        (["wait", "id", "--timeout", "nan"], '"nan": expected 0 or more'),
        (["import", "--finish", "--timeout", "-1"], '"-1": expected 0 or more'),
        (["rehearse", "job", "--nodes", "1001"], '"1001": expected 1000 or less'),
        (["rehearse", "job", "--timeout", "0"], '"0": expected 0.1 or more'),
        (["check", "--format", "xml"], "'xml' is not one of 'pretty', 'json', 'sarif'."),
    ],
)
def test_the_value_and_what_is_expected_are_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr().err
    option = next(each for each in arguments if each.startswith("--") and each != "--finish")
    assert shown.startswith("error: Invalid value for ")
    assert option in shown
    assert f"{said}\n  help: see `" in shown
    assert "Input should" not in shown
    assert "Value error" not in shown
