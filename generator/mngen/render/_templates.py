"""Jinja, set up so that nothing from the spec reaches HCL unescaped.

Every printed value passes through `expression`, the environment's `finalize`: a plain string comes
out as a quoted literal, a list as a list, None as null. A template that needs anything else uses
a filter, and each filter gives text that is safe in its place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from mngen import _resources
from mngen.render import _hcl
from mngen.render._cache import template_cache

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mngen.cluster import ResolvedEnvironment


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Returns the one Jinja environment."""
    # HTML escaping would corrupt HCL; `finalize` does what autoescape does for pages.
    jinja = Environment(
        loader=FileSystemLoader([_resources.templates() / "terraform", _resources.root()]),
        undefined=StrictUndefined,
        finalize=_hcl.expression,
        autoescape=select_autoescape(enabled_extensions=(), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=template_cache(),
    )
    jinja.filters |= {
        "arns_of": _arns_of,
        "comment": _hcl.comment,
        "identifier": _hcl.identifier,
        "inside": _inside,
        "key": lambda text: _hcl.Hcl(_hcl.key_expression(text)),
        "label": lambda text: _hcl.Hcl(f'"{_hcl.identifier(text)}"'),
        "raw": _hcl.Hcl,
        "subnets_of": _subnets_of,
    }
    return jinja


def render_template(name: str, values: Mapping[str, object]) -> str:
    """Renders one template and lays it out.

    Args:
        name: Its path below `templates/terraform/`, or that of a folder beside `templates/`, such
            as `packer/images.pkr.hcl.j2`.
        values: What the template prints.
    """
    return _hcl.layout(environment().get_template(name).render(values))


def _inside(text: str) -> _hcl.Hcl:
    """Encodes text for a place between the quotes of a literal."""
    return _hcl.Hcl(_hcl.quoted(text)[1:-1])


def _subnets_of(zones: Iterable[str]) -> _hcl.Hcl:
    parts = [f"module.network.subnets_by_zone[{_hcl.quoted(zone)}]" for zone in zones]
    return _hcl.Hcl(parts[0] if len(parts) == 1 else f"concat({', '.join(parts)})")


def _arns_of(environments: Iterable[ResolvedEnvironment], others: Iterable[str] = ()) -> _hcl.Hcl:
    """Joins the ARNs of the environments that exist: a module without its image has none.

    Args:
        environments: The environments, in their order.
        others: ARNs of existing environments behind them.
    """
    parts = [f"module.environment_{_hcl.identifier(each.name)}[*].arn" for each in environments]
    if others:
        parts.append(str(_hcl.expression(tuple(others))))
    return _hcl.Hcl(f"concat({', '.join(parts)})")
