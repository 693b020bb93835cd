"""The application: all commands, each loaded when it is needed."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer

from mngen import __version__
from mngen.cli._options import require_subcommand
from mngen.cli._quick import QuickCommand, QuickGroup

# A command is what has its name in the module of its name: a function, or a group of commands with
# its own `root`. Python's own words have an underscore after them there. The class of a command is
# `CommandClass`, where the module has one.
_SECTIONS = {
    "Spec": ("init", "import", "check", "render", "graph", "instances", "rules", "schema"),
    "Deploy": ("plan", "apply", "output", "destroy", "policy"),
    "Images": ("bake", "ami", "container"),
    "Jobs": (
        "rehearse",
        "selftest",
        "submit",
        "jobs",
        "top",
        "status",
        "logs",
        "shell",
        "wait",
        "cancel",
        "fetch",
        "timeline",
        "cost",
    ),
    "More": ("sandbox", "demo", "doctor"),
}
_NAMES = tuple(name for names in _SECTIONS.values() for name in names)
# These log nothing, and are not to wait for what shows it.
_WITHOUT_LOG = ("init", "render", "graph", "rules", "schema")
_SETTINGS: dict[str, Any] = {
    # Plain help needs no rich, which would take as long to import as all the rest.
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def _module(name: str) -> Any:
    return import_module(f"mngen.cli.{_python_name(name)}")


def _python_name(name: str) -> str:
    return f"{name}_" if iskeyword(name) else name


class _Commands(Mapping[str, Any]):
    """The commands by name: reading the arguments of all takes longer than most of them run."""

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        module = _module(name)
        source = getattr(module, _python_name(name))
        if isinstance(source, typer.Typer):
            return typer.main.get_command(source)
        alone = typer.Typer(add_completion=False, **_SETTINGS)
        alone.command(name, cls=getattr(module, "CommandClass", QuickCommand))(source)
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


class _Root(QuickGroup):
    """The group of all commands, which are shown in sections."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "commands": {}})
        self.commands: Any = _Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes the first line of each command's help, without a look at its arguments."""
        del ctx
        width = max(map(len, _NAMES))
        for section, names in _SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), _summary(name)) for name in names])


def _summary(name: str) -> str:
    module = _module(name)
    source = getattr(module, _python_name(name))
    if isinstance(source, typer.Typer):
        source = module.root
    return str(source.__doc__).partition("\n")[0].rstrip(".")


app = typer.Typer(name="mngen", cls=_Root, pretty_exceptions_enable=False, **_SETTINGS)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log AWS calls and child processes to standard error")
    ] = False,
) -> None:
    """Run multi-node MPI jobs on AWS Batch from one YAML file."""
    if context.invoked_subcommand not in _WITHOUT_LOG:
        from mngen.cli._log import shown_log

        context.with_resource(shown_log())
    if debug:
        from mngen import _debug

        _debug.enable()
    if version:
        typer.echo(f"mngen {__version__}")
    else:
        require_subcommand(context)
