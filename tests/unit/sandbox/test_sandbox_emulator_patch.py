"""Patches of moto say so where they do not fit the version that is installed."""

from __future__ import annotations

from typing import Any

import pytest

from mngen.sandbox.emulator._patch import PatchError, patch, patch_attribute, patch_table


class Theirs:
    word = "theirs"

    def inherited(self) -> str:
        return "theirs"


class Backend(Theirs):
    def asked(self) -> str:
        return "theirs"


class Ours:
    kept = 3

    def asked(self) -> str:
        return "ours"

    def inherited(self) -> str:
        return "ours"


def fresh() -> Any:
    return type("Fresh", (Backend,), {})


def test_what_moto_has_is_replaced_and_what_it_lacks_is_added() -> None:
    target = fresh()
    patch(target, Ours, adds=("kept",))
    assert (target().asked(), target().inherited(), target().kept) == ("ours", "ours", 3)
    assert Theirs().inherited() == "theirs"


@pytest.mark.parametrize(
    ("adds", "reason"),
    [
        ((), "it has no kept"),
        (("kept", "asked"), "it has a asked already"),
        (("kept", "gone"), "Ours has no gone to add"),
    ],
)
def test_a_patch_that_does_not_fit_changes_nothing(adds: tuple[str, ...], reason: str) -> None:
    target = fresh()
    with pytest.raises(PatchError, match=f"does not fit moto .*: {reason}"):
        patch(target, Ours, adds=adds)
    assert target().asked() == "theirs"


def test_an_attribute_and_a_table_are_what_they_were_known_to_be() -> None:
    target = fresh()
    patch_attribute(target, "word", "theirs", "ours")
    assert target.word == "ours"
    with pytest.raises(PatchError, match="it is 'ours', not 'theirs'"):
        patch_attribute(target, "word", "theirs", "other")
    table: dict[str, str] = {}
    patch_table(table, "a", "b")
    with pytest.raises(PatchError, match="the table has b"):
        patch_table(table, "a", "c")
    assert table == {"a": "b"}
