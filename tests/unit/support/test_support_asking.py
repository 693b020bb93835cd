"""Files with end-to-end tests are told from others by their text, and no such test is left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import UNIT, pytest_collection_modifyitems
from tests.support.asking import asks, with_askers

FIXTURES = '''\
@pytest.fixture(scope="module")
def deployed(sandbox: Sandbox) -> Deployed:
    return Deployed(sandbox)


@pytest.fixture
def run(
    folder: Path, large: Deployed
) -> Callable[..., str]:
    def ran(sandbox: str) -> str:
        return sandbox

    return ran


@pytest.fixture
def large(deployed: Deployed) -> Iterator[Deployed]:
    yield deployed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder beside the sandbox: deployed, large."""
    return tmp_path
'''


def test_fixtures_that_ask_for_others() -> None:
    found = with_askers(FIXTURES, {"sandbox"})
    assert found == {"sandbox", "deployed", "large", "run"}


@pytest.mark.parametrize(
    "text",
    [
        "def test_a(sandbox: Sandbox) -> None:",
        "def test_a(\n    tmp_path: Path, deployed: Deployed\n) -> None:",
        '@pytest.mark.usefixtures("deployed")',
        'request.getfixturevalue("sandbox")',
    ],
)
def test_what_asks(text: str) -> None:
    assert asks(text, {"sandbox", "deployed"})


@pytest.mark.parametrize(
    "text",
    ["from mngen.sandbox import start_sandbox", '"""The sandbox."""', "def test_a(my_sandbox: X)"],
)
def test_what_does_not_ask(text: str) -> None:
    assert not asks(text, {"sandbox"})


def test_one_that_is_not_found_is_an_error() -> None:
    """Else the end-to-end tests would leave it out without a word."""
    asking: Any = SimpleNamespace(
        nodeid="test_a", fixturenames=("sandbox",), path=UNIT / "test_text.py"
    )
    with pytest.raises(pytest.UsageError, match="in a way that is not found in its file"):
        pytest_collection_modifyitems([asking])
