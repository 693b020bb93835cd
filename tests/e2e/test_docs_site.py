"""The documentation builds as a site, whole, and a dead link in it is found."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_BESIDE = Path(sys.executable).with_name("mkdocs")
PROGRAM = str(_BESIDE) if _BESIDE.exists() else shutil.which("mkdocs")

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="mkdocs is not installed")
# What a browser fetches by itself.
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"((?:https?:)?//[^\"]+)\"")


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    assert PROGRAM is not None
    return subprocess.run(
        [PROGRAM, "build", "--strict", "--config-file", config, "--site-dir", site],
        cwd=site.parent,
        env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_site_builds_and_has_every_page(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = build(ROOT / "mkdocs.yml", site)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert pages - built == set()
    assert "<h1" in (site / "troubleshooting.html").read_text(encoding="utf-8")


def test_site_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert build(ROOT / "mkdocs.yml", site).returncode == 0
    assert LOADED.findall('<script async src="https://x/y.js">') == ["https://x/y.js"]
    foreign = {
        address
        for page in site.rglob("*.html")
        for address in LOADED.findall(page.read_text(encoding="utf-8"))
    }
    assert foreign == set()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gone](nowhere.md)", "nowhere.md"),
        ("[gone](spec.md#no-such-key)", "no-such-key"),
        ("[gone](../README.md)", "../README.md"),
    ],
)
def test_dead_link_is_found(tmp_path: Path, text: str, said: str) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{text}\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert said in done.stderr
