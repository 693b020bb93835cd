"""The picture of costs by week: its geometry against the figures."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mngen.catalog import load_prices
from mngen.cost import By, Weeks, costs_of, to_svg, weeks_of
from tests.unit.cost.test_cost_spent import HOUR, usage

SVG = "{http://www.w3.org/2000/svg}"
# A Monday.
MONDAY = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
DAY = 86_400.0
# No letter of Helvetica or Arial is wider than its size; text as ours takes about half of that.
LETTER = 7.0


def weeks(*jobs: tuple[float, str | None, float], by: By = By.USER, **keys: Any) -> Weeks:
    """Sum jobs, each with its day after a Monday, its user, and its hours on an r5.24xlarge."""
    usages = [
        usage(id=str(index), created=MONDAY + day * DAY, user=user, seconds=hours * HOUR, **keys)
        for index, (day, user, hours) in enumerate(jobs)
    ]
    return weeks_of(costs_of(usages, load_prices(), "us-east-1"), "lab", by, "USD")


class Picture:
    """A picture that was read back.

    Attributes:
        root: The SVG as XML.
        bars: The parts of bars: title, x, y, width, height.
        labels: The texts: text, and its left, top, right and bottom.
    """

    def __init__(self, found: Weeks) -> None:
        self.root = ET.fromstring(to_svg(found).encode())
        self.width, self.height = (float(each) for each in self.root.attrib["viewBox"].split()[2:])
        self.bars: list[tuple[str, float, float, float, float]] = []
        for each in self.root.iter(f"{SVG}rect"):
            if (title := each.find(f"{SVG}title")) is not None:
                x, y, width, height = (
                    float(each.attrib[key]) for key in ("x", "y", "width", "height")
                )
                self.bars.append((str(title.text), x, y, width, height))
        self.labels = [self._label(each) for each in self.root.iter(f"{SVG}text")]

    def _label(self, element: ET.Element) -> tuple[str, float, float, float, float]:
        text = str(element.text or "")
        size = 15.0 if element.get("class") == "title" else 12.0
        width = len(text) * LETTER * size / 12
        anchor = {"end": 1.0, "middle": 0.5}.get(element.get("text-anchor", ""), 0.0)
        left = float(element.attrib["x"]) - anchor * width
        base = float(element.attrib["y"])
        return text, left, base - size * 0.75, left + width, base + size * 0.25

    def check(self) -> None:
        """Nothing is outside the picture, and no label is over another one."""
        for title, x, y, width, height in self.bars:
            assert 0 <= x <= x + width <= self.width, title
            assert 0 <= y <= y + height <= self.height, title
        for index, (text, left, top, right, bottom) in enumerate(self.labels):
            assert 0 <= left <= right <= self.width, text
            assert 0 <= top <= bottom <= self.height, text
            for other, left2, top2, right2, bottom2 in self.labels[:index]:
                apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
                assert apart, (text, other)

    def axis(self) -> tuple[float, float]:
        """Return the place of 0, and how many pixels higher an amount of 1 is."""
        found = [
            re.fullmatch(r"M[\d.]+ ([\d.]+)h[\d.]+", str(each.get("d")))
            for each in self.root.iter(f"{SVG}path")
        ]
        lines = sorted((float(each[1]) for each in found if each), reverse=True)
        ticks = sorted(
            (float(text.replace(",", "")), (top + bottom) / 2)
            for text, _, top, right, bottom in self.labels
            if right < 80 and re.fullmatch(r"[\d,.]+", text)
        )
        assert ticks[0][0] == 0
        # Each line has its amount beside it.
        assert [middle for _, middle in ticks] == pytest.approx(lines, abs=1.1)
        return lines[0], (lines[0] - lines[-1]) / ticks[-1][0]


def test_heights_are_the_figures() -> None:
    found = weeks((0, "ada", 10), (3, "bob", 5), (6.99, "ada", 2), (7, "ada", 1), (21, None, 4))
    assert (str(found.first), found.names) == ("2026-11-02", ("ada", "bob", "unknown"))
    hourly = 6.048
    assert [list(each) for each in found.amounts] == [
        pytest.approx([12 * hourly, 5 * hourly, 0]),
        pytest.approx([hourly, 0, 0]),
        [0, 0, 0],
        pytest.approx([0, 0, 4 * hourly]),
    ]
    picture = Picture(found)
    picture.check()
    zero, scale = picture.axis()
    shown = {title: height for title, *_, height in picture.bars}
    assert shown == {
        "2026-11-02, ada: 72.58 USD": pytest.approx(12 * hourly * scale, abs=0.01),
        "2026-11-02, bob: 30.24 USD": pytest.approx(5 * hourly * scale, abs=0.01),
        "2026-11-09, ada: 6.05 USD": pytest.approx(hourly * scale, abs=0.01),
        "2026-11-23, unknown: 24.19 USD": pytest.approx(4 * hourly * scale, abs=0.01),
    }
    (_, x, y, width, height), (_, x2, y2, width2, height2), *_ = picture.bars
    assert (x, width) == (x2, width2)
    # One is on the other, and that on the axis, to a tenth of a pixel.
    assert y + height == pytest.approx(zero, abs=0.05)
    assert y2 + height2 == pytest.approx(y, abs=0.01)
    texts = [text for text, *_ in picture.labels]
    assert "total 133.06 USD" in texts
    assert "ada 78.62" in texts
    dates = {text: (left + right) / 2 for text, left, _, right, _ in picture.labels}
    assert dates["2026-11-02"] == pytest.approx(x + width / 2, abs=0.1)
    assert dates["2026-11-23"] > dates["2026-11-16"] > dates["2026-11-09"]


def test_many_users_are_grouped() -> None:
    found = weeks(*((0, f"user-{number:02}", 30 - number) for number in range(30)))
    assert len(found.names) == 7
    assert (found.names[-1], found.others) == ("24 others", 24)
    assert found.total == pytest.approx(sum(range(1, 31)) * 6.048)
    assert found.amounts[0][-1] == pytest.approx(sum(range(1, 25)) * 6.048)
    picture = Picture(found)
    picture.check()
    fills = [each.get("fill") for each in picture.root.iter(f"{SVG}rect") if len(each)]
    assert len({*fills}) == 7
    # A user of this name is not a sum.
    assert weeks((0, "2 others", 1)).others == 0


def test_what_has_no_price_is_told_and_nothing_is_still_a_picture() -> None:
    unknown = weeks((0, "ada", 1), (0, "bob", 1), shares={"x9.metal": 1.0})
    assert (unknown.unpriced, unknown.first) == (2, None)
    for found in (unknown, weeks()):
        picture = Picture(found)
        picture.check()
        assert picture.bars == []
    assert "2 jobs not counted" in [text for text, *_ in Picture(unknown).labels]


def test_names_are_text_whatever_they_are() -> None:
    name = "<script>alert(1)</script> & \"'\x1b\ud800"
    found = weeks((0, name, 1), (0, "é𝛑", 1))
    picture = Picture(found)
    assert not list(picture.root.iter(f"{SVG}script"))
    assert any("<script>alert(1)" in title for title, *_ in picture.bars)
    assert to_svg(found) == to_svg(found)


def test_the_picture_has_the_colours_of_the_page_and_loads_nothing() -> None:
    text = to_svg(weeks((0, "ada", 1)))
    assert "prefers-color-scheme: dark" in text
    assert "href" not in text
    assert "url(" not in text
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]


_JOBS = st.lists(
    st.tuples(
        st.floats(0, 800),
        st.none() | st.text("abcdefghij-", min_size=1, max_size=30),
        st.floats(0.001, 20_000),
    ),
    min_size=1,
    max_size=25,
)


@given(_JOBS, st.sampled_from(By))
def test_any_picture_is_sound(jobs: list[tuple[float, str | None, float]], by: By) -> None:
    found = weeks(*jobs, by=by)
    picture = Picture(found)
    picture.check()
    zero, scale = picture.axis()
    assert found.total == pytest.approx(sum(hours for *_, hours in jobs) * 6.048)
    drawn = sum(height for *_, height in picture.bars)
    assert drawn == pytest.approx(found.total * scale, rel=0.01, abs=0.2)
    assert all(y >= 0 and y + height <= zero + 0.05 for _, _, y, _, height in picture.bars)
