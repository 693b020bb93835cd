from __future__ import annotations

import fcntl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.support.once import once

if TYPE_CHECKING:
    from pathlib import Path


def test_one_process_makes_a_file_and_others_wait(tmp_path: Path) -> None:
    file = tmp_path / "kept"

    def make() -> bytes:
        raise AssertionError("another one makes it")

    with ThreadPoolExecutor(1) as pool, file.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = pool.submit(once, file, make)
        file.write_bytes(b"made")
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert waiting.result() == b"made"
