"""moto, with its gaps closed and what it would do for each request again done once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from moto.core import responses
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)
from moto.core.utils import method_names_from_class
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from mngen.sandbox.emulator import _serialize
from mngen.sandbox.emulator._gaps import close_gaps
from mngen.sandbox.emulator._http import HEADER
from mngen.sandbox.emulator._patch import patch_attribute
from mngen.sandbox.emulator._pricing import SERVICE as PRICING
from mngen.sandbox.emulator._pricing import price_list
from mngen.sandbox.emulator._protocol import service_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mngen.sandbox.machines._machines import Machines


def load(machines: Machines) -> Callable[..., Iterable[bytes]]:
    """Returns a WSGI application that answers as AWS does. Call once in a process.

    Args:
        machines: The machines that instances can be.

    Raises:
        PatchError: This version of moto is not the one that its patches were written for.
    """
    close_gaps(machines)
    _serialize.close()
    patch_attribute(responses, "method_names_from_class", method_names_from_class, _actions)
    moto = _Dispatcher(_make_app)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        _preserve_names(environ)
        answers: Any = price_list if service_of(environ) == PRICING else moto
        body: Iterable[bytes] = answers(environ, start_response)
        return body

    return answer


def _preserve_names(environ: dict[str, Any]) -> None:
    """Adds what moto's own server does: names with an underscore, of the metadata of objects in S3.

    werkzeug leaves them out, since to WSGI an underscore is a dash.
    Source: MotoRequestHandler of moto.moto_server.werkzeug_app
    """
    header: list[tuple[str, str]] = environ.get(HEADER, [])
    dashed = {environ_key_for_header(name) for name, _ in header if "_" not in name}
    names: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for name, value in header:
        key = environ_key_for_header(name)
        if should_preserve_original_header_name(name) and key not in dashed:
            names.setdefault(key, name)
            values.setdefault(key, []).append(value.replace("\r\n", ""))
    environ |= {key: ",".join(each) for key, each in values.items()}
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = names


def _make_app(service: Any) -> Any:
    """Makes the application of a service, whose faults reach who calls it.

    moto has Flask debug them, which makes a class for each request that has a form.
    """
    app = create_backend_app(service)
    app.debug = False
    app.config.update(PROPAGATE_EXCEPTIONS=True, TRAP_BAD_REQUEST_ERRORS=True)
    return app


class _Dispatcher(DomainDispatcherApplication):
    """Finds a service's backend once; moto lists its own folders for every request."""

    def __init__(self, create_app: Any) -> None:
        super().__init__(create_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """Returns the name of a backend, such as `ec2`, None for no service of moto's."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


@cache
def _actions(service: type) -> frozenset[str]:
    """Returns the actions of a service; moto inspects its whole class for every request."""
    return frozenset(method_names_from_class(service))
