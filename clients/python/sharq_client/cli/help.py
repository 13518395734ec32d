"""Writes the help of commands and groups: plain text, in sections, with examples as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import typer
from typer.core import TyperCommand, TyperGroup

SHARED = "Connection and output"
"""The heading of the options that every command has. It is the last one."""

HELP_OPTIONS = ["--help", "-h"]

_METAVARS = {"<int>": "NUMBER", "<float>": "NUMBER", "<str>": "TEXT"}
"""The names of typer for values whose option has no name for them → the words of the help."""

Record = tuple[str, str]
"""A name, and its explanation."""


class HelpWriter(Protocol):
    """The part of typer's formatter of help that is needed here."""

    def section(self, name: str) -> AbstractContextManager[None]:
        """Write a heading, and indent what follows."""
        ...

    def write(self, string: str) -> None:
        """Write a text as it stands."""
        ...

    def write_dl(self, rows: Sequence[Record]) -> None:
        """Write a list of names with their explanations."""
        ...


class HelpfulCommand(TyperCommand):
    """A command whose help has the shared options last, and its examples as they stand."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line: a required argument in capitals, an optional one in brackets."""
        arguments = [each for each in self.get_params(ctx) if each.param_type_name == "argument"]
        names = [_argument_name(each) for each in arguments]
        return [
            "[OPTIONS]",
            *(name if each.required else f"[{name}]" for each, name in zip(arguments, names, strict=True)),
        ]

    def format_options(self, ctx: Any, formatter: HelpWriter) -> None:
        """Write the arguments and the options, under their headings."""
        _write_sections(formatter, _sections(self.get_params(ctx), ctx))

    def format_epilog(self, ctx: Any, formatter: HelpWriter) -> None:
        """Write the examples."""
        del ctx
        if self.epilog:
            formatter.write(f"\n{_styled('Examples')}:\n{self.epilog}\n")


class HelpfulGroup(TyperGroup):
    """A group of commands whose help lists them under the headings of their sections."""

    def format_options(self, ctx: Any, formatter: HelpWriter) -> None:
        """Write the commands, and then the options."""
        self.format_commands(ctx, formatter)
        _write_sections(formatter, _sections(self.get_params(ctx), ctx))

    def format_commands(self, ctx: Any, formatter: HelpWriter) -> None:
        """Write the names of the commands with the first sentences of their help."""
        sections: dict[str, list[Record]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                section = getattr(command, "rich_help_panel", None) or "Commands"
                sections.setdefault(section, []).append((name, command.get_short_help_str(200)))
        _write_sections(formatter, sections)


def _sections(parameters: Sequence[Any], ctx: Any) -> dict[str, list[Record]]:
    """Return the parameters by heading: arguments, the options of the command, and those that every command has."""
    sections: dict[str, list[Record]] = {"Arguments": [], "Options": []}
    for parameter in parameters:
        record = parameter.get_help_record(ctx)
        if parameter.param_type_name == "argument":
            # The usage line shows already that it is required.
            about = record[1].removesuffix("[required]").rstrip() if record else ""
            sections["Arguments"].append((_argument_name(parameter), about))
        elif record is not None:
            default = SHARED if set(parameter.opts) == set(HELP_OPTIONS) else "Options"
            heading = getattr(parameter, "rich_help_panel", None) or default
            sections.setdefault(heading, []).append((_in_words(record[0]), record[1]))
    shared = sections.pop(SHARED, [])
    return sections | {SHARED: shared}


def _in_words(option: str) -> str:
    """Return the name of an option with a word for its value, such as `--weight NUMBER`."""
    for metavar, word in _METAVARS.items():
        option = option.replace(metavar, word)
    return option


def _argument_name(parameter: Any) -> str:
    name = str(parameter.metavar).removesuffix("...")
    return f"{name}..." if parameter.nargs != 1 else name


def _write_sections(formatter: HelpWriter, sections: dict[str, list[Record]]) -> None:
    for heading, records in sections.items():
        if records:
            with formatter.section(_styled(heading)):
                formatter.write_dl(records)


def _styled(heading: str) -> str:
    """Return a heading for a terminal. typer removes the style for a pipe."""
    return typer.style(heading, bold=True)
