"""Turns functions into commands: adds the options that every command has, and opens the session.

The docstring of a function is the help of its command. What follows the line "Examples:" is printed as it stands.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any, Concatenate, ParamSpec, Protocol

import typer
from typer.core import TyperCommand, TyperGroup

from sharq_client.cli.guard import guard
from sharq_client.cli.session import DEFAULT_TIMEOUT, Options, Session

Parameters = ParamSpec("Parameters")
CommandFunction = Callable[Concatenate[Session, Parameters], None]

CONNECTION = "Connection and output"
"""The heading of the options that every command has."""


class HelpWriter(Protocol):
    """The part of the formatter of help that is needed here."""

    def section(self, name: str) -> AbstractContextManager[None]:
        """Write a heading, and indent what follows."""
        ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None:
        """Write a list of names with their explanations."""
        ...


def group(name: str | None = None, *, about: str) -> typer.Typer:
    """Return an empty group of commands, or the program itself.

    Args:
        about: the help of the group.
    """
    return typer.Typer(
        name=name,
        help=about,
        cls=_Group,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        add_completion=name is None,
        context_settings={"help_option_names": ["--help", "-h"]},
    )


def add(
    app: typer.Typer, function: CommandFunction[...], *, section: str | None = None, name: str | None = None
) -> None:
    """Add a command to a group.

    Args:
        section: the heading under which the help of the group lists it; None for "Commands".
        name: the name; None for that of the function.
    """
    about, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\nExamples:\n")
    app.command(
        name,
        cls=_Command,
        help=about,
        epilog=f"\b\nExamples:\n{examples}" if examples else None,
        rich_help_panel=section,
    )(_with_session(function))


class _Command(TyperCommand):
    """A command whose help has the options that every command has under a heading of their own."""

    def format_options(self, ctx: Any, formatter: HelpWriter) -> None:
        _write_parameters(self.get_params(ctx), ctx, formatter)


class _Group(TyperGroup):
    """A group of commands whose help lists them under the headings of their sections."""

    def format_commands(self, ctx: Any, formatter: HelpWriter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                section = getattr(command, "rich_help_panel", None) or "Commands"
                sections.setdefault(section, []).append((name, command.get_short_help_str(90)))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)


def _write_parameters(parameters: Sequence[Any], ctx: Any, formatter: HelpWriter) -> None:
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in parameters:
        record = parameter.get_help_record(ctx)
        if record is not None:
            default = "Arguments" if parameter.param_type_name == "argument" else "Options"
            section = getattr(parameter, "rich_help_panel", None) or default
            sections.setdefault(section, []).append(record)
    for section, rows in sections.items():
        with formatter.section(section):
            formatter.write_dl(rows)


def _shared(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="URL of the server, or several of one cluster with spaces between them.",
            metavar="URL",
            rich_help_panel=CONNECTION,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="Bearer token. SHARQ_TOKEN is better: others see options.",
            metavar="TOKEN",
            rich_help_panel=CONNECTION,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Name of a server in profiles.toml.", metavar="NAME", rich_help_panel=CONNECTION),
    ] = None,
    ca: Annotated[
        str | None,
        typer.Option(help="File with the certificates to trust.", metavar="FILE", rich_help_panel=CONNECTION),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            help=f"Longest wait for an answer, {DEFAULT_TIMEOUT} by default.",
            metavar="DURATION",
            rich_help_panel=CONNECTION,
        ),
    ] = None,
    is_json: Annotated[
        bool,
        typer.Option("--json", help="Write JSON for scripts instead of text.", rich_help_panel=CONNECTION),
    ] = False,
    is_debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=CONNECTION)
    ] = False,
) -> Options:
    """Return the options that every command has."""
    return Options(
        url=url, token=token, profile=profile, ca=ca, timeout=timeout, is_json=is_json, is_debug=is_debug
    )


_SHARED = inspect.signature(_shared, eval_str=True).parameters


def _with_session(function: CommandFunction[...]) -> Callable[..., None]:
    """Return the function with the shared options in place of its parameter `session`."""

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        options = _shared(**{name: arguments.pop(name) for name in _SHARED})
        guard(options, lambda session: function(session, **arguments))

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=keyword) for parameter in [*own, *_SHARED.values()]]
    )
    return run
