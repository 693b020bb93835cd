"""Servers of tests, which all stop alike."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from socketserver import BaseServer

_SECONDS = 0.05
"""How often a server looks whether to stop; by default, it may take half a second to."""


def serve(server: BaseServer) -> threading.Thread:
    """Have a server answer, until its `shutdown`, in the thread that is returned."""
    thread = threading.Thread(target=server.serve_forever, args=(_SECONDS,), daemon=True)
    thread.start()
    return thread
