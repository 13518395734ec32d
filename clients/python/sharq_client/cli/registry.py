"""Turns functions into commands: adds the options that every command has, and opens the session.

The docstring of a function is the help of its command. What follows the line "Examples:" is printed as it stands. A
parameter whose type is a Struct takes several options as one value: each field of the Struct is an option.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Concatenate, TypeVar, get_type_hints

import msgspec
import typer

from sharq_client.cli.guard import guard
from sharq_client.cli.help import HELP_OPTIONS, HelpfulCommand, HelpfulGroup
from sharq_client.cli.session import Options, Session

StructT = TypeVar("StructT", bound=msgspec.Struct)

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


_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function that has the shared options beside its own, and keeps them for the commands below it."""

    @functools.wraps(function)
    def run(*, context: typer.Context, **arguments: Any) -> None:
        context.obj = _taken(Options, arguments)
        function(**arguments)

    return _signed(run, _parameters_of(function))


def _with_session(function: CommandFunction) -> Callable[..., None]:
    """Return the function with the shared options in place of its parameter `session`."""
    _, *own_parameters = _parameters_of(function)
    structs = {parameter.name: parameter.annotation for parameter in own_parameters if _is_struct(parameter)}

    @functools.wraps(function)
    def run(*, context: typer.Context, **arguments: Any) -> None:
        options = _taken(Options, arguments)
        outer = context.obj if isinstance(context.obj, Options) else Options()
        for name, struct in structs.items():
            arguments[name] = _taken(struct, arguments)
        guard(options.over(outer), lambda session: function(session, **arguments))

    expanded = [
        _options_of(parameter.annotation) if parameter.name in structs else [parameter]
        for parameter in own_parameters
    ]
    return _signed(run, list(chain.from_iterable(expanded)))


def _parameters_of(function: Callable[..., None]) -> list[inspect.Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())


def _is_struct(parameter: inspect.Parameter) -> bool:
    return isinstance(parameter.annotation, type) and issubclass(parameter.annotation, msgspec.Struct)


@functools.cache
def _options_of(struct: type[msgspec.Struct]) -> list[inspect.Parameter]:
    """Return a parameter for each field of a Struct."""
    hints = get_type_hints(struct, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in msgspec.structs.fields(struct)
    ]


def _taken(struct: type[StructT], arguments: dict[str, Any]) -> StructT:
    """Take the fields of a Struct out of the arguments, and return the Struct."""
    return struct(**{field: arguments.pop(field) for field in struct.__struct_fields__})


def _signed(run: Callable[..., None], own_parameters: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """Return a function with a signature that typer reads: its own parameters, and the shared options."""
    every = [*own_parameters, *_options_of(Options), _CONTEXT]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in every]
    # typer evaluates annotations that are texts again and again, which takes half of the time until the help appears.
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run
