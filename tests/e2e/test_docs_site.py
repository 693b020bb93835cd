"""The documentation builds as a site, whole, finds dead links, and reads well in a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import HOST, browsing
from tests.support.needs import skip_without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.browser import Browser

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SHOTS = ROOT / ".cache" / "screenshots"
"""Where the screenshots are left to be looked at."""

_BESIDE = Path(sys.executable).with_name("zensical")
PROGRAM = str(_BESIDE) if _BESIDE.exists() else shutil.which("zensical")

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="zensical is not installed"),
    pytest.mark.xdist_group("docs site"),
]
# What a browser fetches by itself.
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"((?:https?:)?//[^\"]+)\"")
SHOWN = ("index.html", "spec.html", "compare.html")
WIDTHS = (1280, 390)


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    assert PROGRAM is not None
    return subprocess.run(
        [PROGRAM, "build", "--strict", "--config-file", str(folder / "zensical.toml")],
        cwd=folder,
        env={
            **{name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
            "NO_COLOR": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def copied(folder: Path) -> Path:
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / "zensical.toml", folder)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copied(tmp_path_factory.mktemp("docs"))
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def browser(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    skip_without("browser")
    with browsing(site, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Browser:
    browser.requested.clear()
    browser.scheme("light")
    return browser


def in_nav(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for below in entry.values():
            yield from [below] if isinstance(below, str) else in_nav(below)


def test_site_has_every_page(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert pages - built == set()
    assert "<h1" in (site / "troubleshooting.html").read_text(encoding="utf-8")


def test_navigation_has_every_page() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    # The page of a rule is reached from the list of rules.
    rules = {page for page in pages if page.startswith("rules/MN")}
    assert sorted(in_nav(nav)) == sorted(pages - rules)


def test_site_names_nothing_to_load_from_elsewhere(site: Path) -> None:
    assert LOADED.findall('<script async src="https://x/y.js">') == ["https://x/y.js"]
    foreign = {
        address
        for page in site.rglob("*.html")
        for address in LOADED.findall(page.read_text(encoding="utf-8"))
    }
    assert foreign == set()


@pytest.mark.parametrize("link", ["nowhere.md", "spec.md#no-such-key", "../README.md"])
def test_each_dead_link_fails_the_build(tmp_path: Path, link: str) -> None:
    """A missing page, a missing heading, and a file outside the site: each on its own."""
    config = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    pages = tmp_path / "docs"
    pages.mkdir()
    # The site's own settings, with two pages of it.
    small = re.sub(r"^nav = \[\n.*?^\]\n", "", config, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "zensical.toml").write_text(small, encoding="utf-8")
    (tmp_path / "README.md").write_text("# Not in the site\n", encoding="utf-8")
    (pages / "spec.md").write_text("# Spec\n\n## A key\n", encoding="utf-8")
    (pages / "index.md").write_text("# Overview\n\n[a](spec.md#a-key)\n", encoding="utf-8")
    assert build(tmp_path).returncode == 0

    with (pages / "index.md").open("a", encoding="utf-8") as page:
        page.write(f"\n[b]({link})\n")
    done = build(tmp_path)
    assert done.returncode != 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert re.search(rf"\[b\]\(.*{re.escape(link)}\)", shown), shown
    assert "[a](" not in shown


def overflowing(page: Browser) -> Any:
    """Returns how far the page reaches beyond its window, and the elements that do."""
    return page.run(
        """(() => {
          const wide = document.documentElement.clientWidth;
          const scrolls = (e) => e && (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX)
            || scrolls(e.parentElement));
          return {
            page: Math.max(0, document.documentElement.scrollWidth - wide),
            elements: [...document.querySelectorAll("article *")]
              .filter((e) => e.getBoundingClientRect().right > wide + 1 && !scrolls(e))
              .map((e) => e.outerHTML.slice(0, 120)),
          };
        })()"""
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_and_load_nothing_from_elsewhere(page: Browser, width: int) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name in SHOWN:
        page.open(f"http://{HOST}/{name}", width=width)
        assert page.run("document.querySelector('article h1').innerText.length") > 0
        assert overflowing(page) == {"page": 0, "elements": []}, name
        # The site's own styles are there: without them, everything fits.
        assert page.run("getComputedStyle(document.querySelector('.md-header')).position") in (
            "sticky",
            "fixed",
        )
        page.screenshot(SHOTS / f"{Path(name).stem}-{width}.png")
    assert page.requested == {f"http://{HOST}"}
    assert page.proxy.missing == set()


def test_overflow_and_foreign_hosts_are_noticed(page: Browser, site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    wide = '<div style="width: 3000px">wide</div><img src="http://elsewhere.test/x.png">'
    (site / "bad.html").write_text(re.sub("</article>", f"{wide}</article>", text), "utf-8")
    page.open(f"http://{HOST}/bad.html", width=390)
    (site / "bad.html").unlink()
    assert overflowing(page)["page"] > 1000
    assert page.requested == {f"http://{HOST}", "http://elsewhere.test"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_reader_s_system_chooses_light_or_dark(page: Browser, scheme: str) -> None:
    page.scheme(scheme)
    page.open(f"http://{HOST}/index.html", width=1280)
    light = page.run(
        """getComputedStyle(document.body).backgroundColor.match(/\\d+/g)
             .slice(0, 3).every((each) => each > 128)"""
    )
    assert light is (scheme == "light")
    page.screenshot(SHOTS / f"index-{scheme}.png")


@pytest.mark.parametrize("where", ["server", "disk"])
def test_search_finds_a_rule(page: Browser, site: Path, where: str) -> None:
    address = f"http://{HOST}/index.html" if where == "server" else (site / "index.html").as_uri()
    page.open(address, width=1280)
    page.run("document.querySelector('button.md-search__button').click()")
    page.wait_for("!!document.activeElement.shadowRoot")
    found = "document.activeElement.shadowRoot.querySelector('a[href*=\"rules/MN185.html\"]')"
    assert page.run(f"{found} === null")
    page.call("Input.insertText", text="service-linked role MN185")
    assert "service" in page.wait_for(f"{found}?.innerText")
    page.screenshot(SHOTS / f"search-{where}.png")
    assert page.requested == {f"http://{HOST}" if where == "server" else "file://"}
