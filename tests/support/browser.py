"""A headless Chromium, driven over a pipe, that reaches nothing but a proxy of the test's.

The protocol is the Chrome DevTools Protocol (https://chromedevtools.github.io/devtools-protocol/):
with --remote-debugging-pipe, messages are JSON that ends with a NUL, on descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mngen.parts import PARTS, find
from tests.support.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "docs.test"
"""The site's name in the browser; only the proxy knows it."""

_LIMIT = 120.0
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    # One process for all pages: they are of one site.
    "--disable-site-isolation-trials",
    "--process-per-site",
    "--renderer-process-limit=1",
    "--disable-features=AutofillServerCommunication,OptimizationHints,MediaRouter,Translate",
)

_ON_3_AND_4 = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Proxy:
    """Serves a folder as http://docs.test/ and refuses every other request.

    Attributes:
        port: Its port on loopback.
        missing: The requested paths below docs.test that the folder does not have.
    """

    def __init__(self, folder: Path) -> None:
        self.missing: set[str] = set()
        proxy = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                if address.hostname != HOST:
                    self.send_error(403)
                    return
                self.path = address.path
                super().do_GET()

            # What Chromium sends unasked, to Google's servers, ends here too.
            def do_POST(self) -> None:
                self.send_error(403)

            def do_CONNECT(self) -> None:
                self.send_error(403)

            def send_error(self, code: int, *_: Any) -> None:
                if code == 404:
                    proxy.missing.add(self.path)
                super().send_error(code)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        serve(self._server)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Browser:
    """One page of a browser.

    Attributes:
        proxy: What every request of the browser goes through.
        requested: Origins that the pages asked for something, such as `http://docs.test`.
    """

    def __init__(self, proxy: Proxy, reader: int, writer: int) -> None:
        self.proxy = proxy
        self.requested: set[str] = set()
        self._reader = os.fdopen(reader, "rb", buffering=0)
        self._writer = os.fdopen(writer, "wb", buffering=0)
        self._rest = b""
        self._numbers = itertools.count(1)
        self._session = ""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method of the protocol, and returns its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = self._reader.read(1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if message.get("method") == "Network.requestWillBeSent":
            address = urlsplit(message["params"]["request"]["url"])
            if address.scheme not in ("data", "blob", "about"):
                self.requested.add(f"{address.scheme}://{address.netloc}")
        return message

    def run(self, script: str) -> Any:
        """Runs an expression in the page, waits if it is a promise, and returns its value."""
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait_for(self, condition: str) -> Any:
        """Waits until an expression of the page is true, and returns its value."""
        return self.run(
            f"""new Promise((resolve, reject) => {{
              const end = Date.now() + {_LIMIT * 1000};
              const look = () => {{
                const found = ({condition});
                if (found) resolve(found);
                else if (Date.now() > end) reject(new Error("timed out"));
                else setTimeout(look, 50);
              }};
              look();
            }})"""
        )

    def open(self, address: str, *, width: int, height: int = 900) -> None:
        """Opens a page at a width in pixels, and waits until all of it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Page.navigate", url="about:blank")
        self.wait_for("location.href === 'about:blank'")
        self.call("Page.navigate", url=address)
        self.wait_for(
            f"location.href.startsWith({json.dumps(address)}) && document.readyState === 'complete'"
        )

    def attach(self) -> None:
        """Opens the page; must be called before anything else."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.call("Network.enable")

    def close(self) -> None:
        """Closes both pipes."""
        self._reader.close()
        self._writer.close()

    def scheme(self, name: str) -> None:
        """Makes the reader's system `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self, file: Path) -> None:
        """Writes what is seen now as a PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(data))


def program() -> str:
    """Returns the browser to run.

    Raises:
        AssertionError: There is none: ask `skip_without("browser")` first.
    """
    found = find(PARTS["browser"])
    assert found.where, "there is no browser"
    return found.where


def _pipe() -> tuple[int, int]:
    """Returns the ends of a pipe, none of which is a descriptor that Chromium uses."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


@contextmanager
def browsing(site: Path, profile: Path) -> Iterator[Browser]:
    """Starts a browser and the proxy that serves a folder to it, and stops both.

    Args:
        site: The folder.
        profile: A new folder for what the browser keeps.
    """
    proxy = Proxy(site)
    read_here, write_there = _pipe()
    read_there, write_here = _pipe()
    flags = [
        *_FLAGS,
        f"--proxy-server=http://127.0.0.1:{proxy.port}",
        "--proxy-bypass-list=<-loopback>",
        f"--user-data-dir={profile}",
        # Chromium refuses to run its sandbox as root.
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    child = subprocess.Popen(
        [
            *(sys.executable, "-c", _ON_3_AND_4, str(read_there), str(write_there)),
            *(program(), *flags, "about:blank"),
        ],
        env={**os.environ, "HOME": str(profile)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(read_there, write_there),
        start_new_session=True,
    )
    os.close(read_there)
    os.close(write_there)
    with ExitStack() as cleanup:
        cleanup.callback(proxy.close)
        cleanup.callback(child.wait)
        cleanup.callback(os.killpg, child.pid, signal.SIGKILL)
        browser = Browser(proxy, read_here, write_here)
        cleanup.callback(browser.close)
        browser.attach()
        yield browser
