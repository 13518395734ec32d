"""Defines the parameters that several commands have, with their help, and reads the values that they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
import typer

from sharq_client.cli.completions import queue_ids, queue_types
from sharq_client.cli.times import duration_ms, time_ms

ValueT = TypeVar("ValueT")

QueueType: TypeAlias = Annotated[
    str, typer.Argument(metavar="TYPE", help="Queue type.", autocompletion=queue_types, show_default=False)
]
OptionalType: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="TYPE", help="Queue type.", autocompletion=queue_types, show_default=False),
]
QueueId: TypeAlias = Annotated[
    str, typer.Argument(metavar="QUEUE", help="Id of the queue.", autocompletion=queue_ids)
]
OptionalQueue: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="QUEUE", help="Id of the queue.", autocompletion=queue_ids, show_default=False),
]
JobId: TypeAlias = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
OptionalJob: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="JOB", help="Id of the job.", show_default=False)
]
Limit: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=0,
        metavar="NUMBER",
        help="Most rows, 0 for all. Default: 100 on a terminal, otherwise all.",
    ),
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def read(option: str, reader: Callable[[str], ValueT], text: str) -> ValueT:
    """Return the value of an option.

    Raises:
        ValueError: the reader does not understand the text; the message names the option.
    """
    try:
        return reader(text)
    except (ValueError, msgspec.DecodeError) as error:
        raise ValueError(f"{option}: {error}") from error


def read_duration(option: str, text: str | None) -> float | None:
    """Return the duration of an option in ms; None if it was not given."""
    return None if text is None else read(option, duration_ms, text)


def read_time(option: str, text: str | None) -> int | None:
    """Return the time of an option in ms since the epoch; None if it was not given."""
    return None if text is None else read(option, time_ms, text)


def read_json(option: str, text: str) -> Any:
    """Return the JSON text of an option, checked and otherwise as it is.

    Raises:
        ValueError: the text is not JSON; the message shows how to quote a text.
    """
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        hint = "A text needs quotes of its own, such as '\"hello\"'"
        raise ValueError(f"{option}: expected JSON, got {text!r} ({error}). {hint}") from error
    return msgspec.Raw(text.encode())


def flags(**given: object) -> dict[str, Any]:
    """Return the options that were given, without those that are None."""
    return {name: value for name, value in given.items() if value is not None}
