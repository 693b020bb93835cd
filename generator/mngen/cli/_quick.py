"""Converts the simple arguments of a command without pydantic.

From 0.29 on, typer converts all arguments with pydantic: 60 ms for a command like `mngen check`,
which takes 150 ms in all. Text, paths, choices and numbers do not need it. What is converted here,
typer would convert to the same value; all else, and what is invalid, is left to typer.
"""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.models import ParameterInfo

# What an option may have without a change of how its value is converted; the range is checked.
_NEUTRAL = {
    "default",
    "help",
    "hidden",
    "max",
    "metavar",
    "min",
    "param_decls",
    "rich_help_panel",
    "show_choices",
    "show_default",
}
_DIGITS = 15
_LEFT = object()


class _QuickParams:
    """A command or a group whose parameters convert simple values without pydantic."""

    callback: Any

    def get_params(self, ctx: Any) -> list[Any]:
        """Returns the parameters, with those that typer adds."""
        parent: Any = super()
        params: list[Any] = parent.get_params(ctx)
        if not any(type(each) in _CLASSES for each in params):
            return params
        annotations = get_type_hints(self.callback, include_extras=True) if self.callback else {}
        return [_quick(each, annotations.get(each.name)) for each in params]


class QuickCommand(_QuickParams, TyperCommand):
    """A command that converts simple arguments without pydantic."""


class QuickGroup(_QuickParams, TyperGroup):
    """A group that does so with its own options."""


class _QuickArgument(TyperArgument):
    """An argument that converts its value quickly if it can."""

    kind: Any
    info: ParameterInfo

    def process_value(self, ctx: Any, value: Any) -> Any:
        """Returns what the command gets for a value from the command line, or for a default."""
        return _processed(self, ctx, value, super().process_value)

    def get_usage_pieces(self, ctx: Any) -> list[str]:
        """Returns the argument's place in the usage; brackets that it has need no second pair."""
        own = self.metavar and self.metavar.startswith("[")
        return [str(self.metavar)] if own else super().get_usage_pieces(ctx)

    def display_type_rich(self, ctx: Any) -> str:
        """Returns the choices; the help is clearer than the name of a type."""
        shown = super().display_type_rich(ctx) or ""
        return shown if "|" in shown else ""


class _QuickOption(TyperOption):
    """An option that does so."""

    kind: Any
    info: ParameterInfo

    def process_value(self, ctx: Any, value: Any) -> Any:
        """Returns what the command gets for a value from the command line, or for a default."""
        return _processed(self, ctx, value, super().process_value)

    def display_type_rich(self, ctx: Any) -> str:
        """Returns the type of one value, also if the option can be repeated."""
        shown = super().display_type_rich(ctx) or ""
        return shown.replace("<list[", "<").replace("]>", ">")


# By the class that typer gives a parameter. Each takes the place of that class: it has no bases and
# no attributes that would change the layout of the object.
_CLASSES: dict[Any, Any] = {TyperArgument: _QuickArgument, TyperOption: _QuickOption}


def _quick(parameter: Any, annotation: Any) -> Any:
    """Returns the same parameter, with a class that converts quickly what it can."""
    quick_class = _CLASSES.get(type(parameter))
    if quick_class:
        parameter.__class__ = quick_class
        parameter.kind, parameter.info = _kind_of(annotation)
    return parameter


def _kind_of(annotation: Any) -> tuple[Any, ParameterInfo]:
    """Returns the type of a value, or of each one in a list; None where typer has to convert it."""
    plain = ParameterInfo()
    if get_origin(annotation) is not Annotated:
        return None, plain
    kind, info, *_ = get_args(annotation)
    if any(
        vars(info)[name] != value for name, value in vars(plain).items() if name not in _NEUTRAL
    ):
        return None, plain
    if NoneType in get_args(kind):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is list:
        (kind,) = get_args(kind)
    return kind, info


def _processed(
    parameter: _QuickArgument | _QuickOption,
    ctx: Any,
    value: Any,
    process: Callable[[Any, Any], Any],
) -> Any:
    """Returns what the command gets for a value; what is left to typer, `process` converts."""
    converted = _converted(parameter, value)
    if converted is _LEFT:
        return process(ctx, value)
    return parameter.callback(ctx, parameter, converted) if parameter.callback else converted


def _converted(parameter: _QuickArgument | _QuickOption, value: Any) -> Any:
    """Returns what typer would make of a value, or `_LEFT` for what is left to typer."""
    many = getattr(parameter, "multiple", False) or parameter.nargs == -1
    if value is None:
        return _LEFT if parameter.required else () if many else None
    if not many:
        return _convert(value, parameter.kind, parameter.info)
    found = [_convert(each, parameter.kind, parameter.info) for each in value]
    return _LEFT if _LEFT in found or not found else found


def _convert(value: Any, kind: Any, info: ParameterInfo) -> Any:
    """Returns the converted value, or `_LEFT` where that is left to typer."""
    if not isinstance(kind, type):
        return _LEFT
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        return _LEFT
    if kind is Path:
        return Path(value)
    if issubclass(kind, Enum):
        return next((each for each in kind if each.value == value), _LEFT)
    if kind is int and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
        number = int(value)
        low, high = (number if end is None else end for end in (info.min, info.max))
        return number if low <= number <= high else _LEFT
    return _LEFT
