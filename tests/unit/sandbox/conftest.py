"""What the tests of the emulated Batch ask."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.support.batch import Deployed, spec_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.sandbox import Sandbox


@pytest.fixture(scope="module")
def shared(sandbox: Sandbox) -> Deployed:
    """A deployment in the sandbox; one a module suffices, each has its own name."""
    return Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))


@pytest.fixture
def deployed(shared: Deployed) -> Iterator[Deployed]:
    """The deployment of the module, which has no unfinished job afterwards."""
    yield shared
    shared.drain()
