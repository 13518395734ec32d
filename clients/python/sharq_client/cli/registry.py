"""Turns functions into commands: adds the options that every command has, and opens the session.

The docstring of a function is the help of its command. What follows the line "Examples:" is printed as it stands.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Concatenate

import typer

from sharq_client.cli.guard import guard
from sharq_client.cli.help import HELP_OPTIONS, SHARED, HelpfulCommand, HelpfulGroup
from sharq_client.cli.session import DEFAULT_TIMEOUT, Options, Session

CommandFunction = Callable[Concatenate[Session, ...], None]


def group(name: str | None = None, *, about: str) -> typer.Typer:
    """Return an empty group of commands, or the program itself.

    Args:
        about: the help of the group.
    """
    return typer.Typer(
        name=name,
        help=about,
        cls=HelpfulGroup,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        add_completion=name is None,
        context_settings={"help_option_names": HELP_OPTIONS},
    )


def add(
    app: typer.Typer, function: CommandFunction, *, section: str | None = None, name: str | None = None
) -> None:
    """Add a command to a group.

    Args:
        section: the heading under which the help of the group lists it; None for "Commands".
        name: the name; None for that of the function.
    """
    about, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\nExamples:\n")
    app.command(
        name,
        cls=HelpfulCommand,
        help=about,
        epilog=examples or None,
        rich_help_panel=section,
        context_settings={"help_option_names": HELP_OPTIONS},
    )(_with_session(function))


def shared_options(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="URL of the server, or several of one cluster with spaces between them.",
            metavar="URL",
            rich_help_panel=SHARED,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="Bearer token. Others on this machine can see options, but not SHARQ_TOKEN.",
            metavar="TOKEN",
            rich_help_panel=SHARED,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Name of a server in profiles.toml.", metavar="NAME", rich_help_panel=SHARED),
    ] = None,
    ca: Annotated[
        str | None,
        typer.Option(help="File with the certificates to trust.", metavar="FILE", rich_help_panel=SHARED),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            help=f"Longest wait for an answer, {DEFAULT_TIMEOUT} by default.",
            metavar="DURATION",
            rich_help_panel=SHARED,
        ),
    ] = None,
    is_json: Annotated[
        bool,
        typer.Option("--json", help="Write JSON for scripts instead of text.", rich_help_panel=SHARED),
    ] = False,
    is_debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=SHARED)
    ] = False,
) -> Options:
    """Return the options that the program and every command have."""
    return Options(
        url=url, token=token, profile=profile, ca=ca, timeout=timeout, is_json=is_json, is_debug=is_debug
    )


_SHARED = list(inspect.signature(shared_options, eval_str=True).parameters.values())
_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function that has the shared options beside its own, and keeps them for the commands below it."""

    @functools.wraps(function)
    def run(*, context: typer.Context, **arguments: Any) -> None:
        context.obj = shared_options(**_taken(arguments))
        function(**arguments)

    return _signed(run, list(inspect.signature(function, eval_str=True).parameters.values()))


def _with_session(function: CommandFunction) -> Callable[..., None]:
    """Return the function with the shared options in place of its parameter `session`."""

    @functools.wraps(function)
    def run(*, context: typer.Context, **arguments: Any) -> None:
        options = shared_options(**_taken(arguments))
        outer = context.obj if isinstance(context.obj, Options) else Options()
        guard(options.over(outer), lambda session: function(session, **arguments))

    return _signed(run, list(inspect.signature(function, eval_str=True).parameters.values())[1:])


def _taken(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the shared options out of the arguments, and return them."""
    return {parameter.name: arguments.pop(parameter.name) for parameter in _SHARED}


def _signed(run: Callable[..., None], own_parameters: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """Return a function with a signature that typer reads: its own parameters, and the shared options."""
    every = [*own_parameters, *_SHARED, _CONTEXT]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in every]
    # typer evaluates annotations that are texts again and again, which takes half of the time until the help appears.
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run
