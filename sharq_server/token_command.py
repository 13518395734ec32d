"""Provides `sharq token new`, `ls` and `revoke`, which change the file of tokens of a server on this machine.

The command `sharq` of the client loads this through the entry point group `sharq.commands`, and brings typer with it.
Nothing of the server imports it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from msgspec.structs import replace

from router.access.name_patterns import NamePatterns
from router.access.permissions import ALL_PERMISSIONS, in_order
from router.access.token import Token
from router.access.token_file import new_token, read_tokens
from router.access.words import parse_line, read_max_queued, read_patterns, read_permissions, read_rps
from sharq_core.config.inspection import inspect
from sharq_core.errors import ConfigError
from sharq_server.token_file import add_token, remove_token

FAILED = 1
"""The exit code if the file cannot be used, or the name is taken or unknown."""

ValueT = TypeVar("ValueT")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token, which is no secret.")]
File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="FILE",
        help="File of tokens. Default: [auth] tokens_file of --config, else SHARQ_AUTH_TOKENS_FILE.",
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration file of the server.")
]
Ops = Annotated[
    str | None,
    typer.Option(
        metavar="WORDS",
        help="Of produce, work, read, operate and admin, joined by commas. Default: everything.",
    ),
]
Types = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERNS",
        help="Queue types, joined by commas; * stands for any text. Default: all.",
    ),
]
Caps = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERNS",
        help="Named caps, joined by commas; * stands for any text. Default: all.",
    ),
]
MaxQueued = Annotated[
    str | None,
    typer.Option(metavar="N", help="Most jobs that a queue may hold after an enqueue. Default: no limit."),
]
Rps = Annotated[
    str | None,
    typer.Option(metavar="N", help="Most requests per second to one router. Default: no limit."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON for scripts instead of text.")]
_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    help="Make, list and revoke the tokens of a server.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings=_HELP,
)

NEW_EXAMPLES = """\b
Examples:
  sharq token new shop --ops produce --types 'sms*' --file tokens
  sharq token new sms-workers --ops work,read --config sharq.conf
  sharq token new trial --ops produce --max-queued 1000 --rps 20"""

LS_EXAMPLES = """\b
Examples:
  sharq token ls --file tokens
  sharq token ls --config sharq.conf --json"""

REVOKE_EXAMPLES = """\b
Examples:
  sharq token revoke trial --file tokens"""


class _NewToken(msgspec.Struct, frozen=True):
    """The new token of `new --json`."""

    name: str
    token: str
    file: str


class _ListedToken(msgspec.Struct, frozen=True):
    """One token of `ls --json`."""

    name: str
    ops: list[str]
    types: list[str] | None
    caps: list[str] | None
    max_queued: int | None
    rps: int | None


@app.command(epilog=NEW_EXAMPLES, context_settings=_HELP)
def new(
    name: Name,
    *,
    ops: Ops = None,
    types: Types = None,
    caps: Caps = None,
    max_queued: MaxQueued = None,
    rps: Rps = None,
    file: File = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a token, write its line to the file, and print the token, which is shown only once.

    Servers read the file again within a second. The file has only the SHA-256 of the token.
    """
    permissions = _given("--ops", ops, read_permissions)
    path = _file(file, config)
    try:
        secret, line = new_token(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from None
    token = replace(
        parse_line(line),
        permissions=ALL_PERMISSIONS if permissions is None else permissions,
        types=_given("--types", types, read_patterns),
        caps=_given("--caps", caps, read_patterns),
        max_queued=_given("--max-queued", max_queued, read_max_queued),
        rps=_given("--rps", rps, read_rps),
    )
    _try(lambda: add_token(path, token), path)
    if as_json:
        _write(_NewToken(name, secret, str(path)))
        return
    typer.echo(secret)
    typer.echo(f"This is the token of {name}. It is shown only once; {path} has its hash.", err=True)


@app.command(epilog=LS_EXAMPLES, context_settings=_HELP)
def ls(*, file: File = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the tokens of the file by their names, with what each may do. The tokens themselves are not in the file."""
    path = _file(file, config)
    tokens = _try(lambda: read_tokens(path), path)
    if as_json:
        _write([_listed(token) for token in tokens])
        return
    rows = [("NAME", "OPS", "TYPES", "CAPS", "MAX QUEUED", "RPS"), *map(_row, tokens)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command(epilog=REVOKE_EXAMPLES, context_settings=_HELP)
def revoke(name: Name, *, file: File = None, config: ConfigFile = None) -> None:
    """Take a token out of the file. Servers refuse it within a second.

    The last token cannot be revoked, because servers refuse a file without one.
    """
    path = _file(file, config)
    other = _try(lambda: remove_token(path, name), path)
    if other is None:
        typer.echo(f"{name} is revoked in {path}. Servers refuse it within a second.")
    else:
        typer.echo(
            f"The line {name} is gone from {path}, but its token stays valid: the line {other} has the same token. "
            f"Revoke {other}, too, so that servers refuse it."
        )


def _file(file: Path | None, config: Path | None) -> Path:
    """Return the file of tokens, or end the command if none is named."""
    if file is not None:
        return file
    inspection = inspect(config, os.environ, {})
    if inspection.config is None:
        for problem in inspection.problems:
            typer.echo(f"sharq: {problem}", err=True)
        raise typer.Exit(FAILED)
    if inspection.config.auth.tokens_file is None:
        raise typer.BadParameter(
            "required, unless --config or SHARQ_AUTH_TOKENS_FILE names the file of tokens",
            param_hint="--file",
        )
    return inspection.config.auth.tokens_file


def _given(option: str, text: str | None, read: Callable[[str], ValueT]) -> ValueT | None:
    """Return the value of an option; None without it."""
    if text is None:
        return None
    try:
        return read(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _try(work: Callable[[], ValueT], path: Path) -> ValueT:
    """Return what a function returns, or end the command with what is wrong with the file."""
    try:
        return work()
    except ConfigError as error:
        typer.echo(f"sharq: {error}", err=True)
    except OSError as error:
        typer.echo(f"sharq: {path}: {error.strerror}. Nothing was done", err=True)
    raise typer.Exit(FAILED)


def _write(document: object) -> None:
    typer.echo(msgspec.json.encode(document).decode())


def _listed(token: Token) -> _ListedToken:
    return _ListedToken(
        name=token.name,
        ops=list(map(str, in_order(token.permissions))),
        types=_listed_patterns(token.types),
        caps=_listed_patterns(token.caps),
        max_queued=token.max_queued,
        rps=token.rps,
    )


def _listed_patterns(patterns: NamePatterns | None) -> list[str] | None:
    return None if patterns is None else list(patterns.patterns)


def _row(token: Token) -> tuple[str, ...]:
    ops = "all" if token.permissions == ALL_PERMISSIONS else "|".join(in_order(token.permissions))
    types, caps = ("all" if names is None else str(names) for names in (token.types, token.caps))
    return token.name, ops, types, caps, _number(token.max_queued), _number(token.rps)


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
