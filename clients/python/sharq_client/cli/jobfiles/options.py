"""Defines the options of a run on a file of jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sharq_client.cli.jobfiles.lines import Format

FILE = "File"
STATE_SUFFIX = ".sharq-enqueue"


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run on a file."""

    file_format: Annotated[
        Format | None,
        typer.Option("--format", help="Format of the file. Default: by its name.", rich_help_panel=FILE),
    ] = None
    is_strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first wrong line.", rich_help_panel=FILE)
    ] = False
    resumes: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run ended.", rich_help_panel=FILE)
    ] = False
    restarts: Annotated[
        bool, typer.Option("--restart", help="Begin anew, although one ended early.", rich_help_panel=FILE)
    ] = False
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File for the progress. Default: FILE.sharq-enqueue.", rich_help_panel=FILE
        ),
    ] = None
    rejected: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File for the lines that fail, as they are.", rich_help_panel=FILE),
    ] = None
    run: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Send a file again as new jobs: a text that new ids depend on.",
            rich_help_panel=FILE,
        ),
    ] = ""

    def state_path(self, file: str) -> Path | None:
        """Return the path of the progress of a file; None for stdin without --state."""
        if self.state is not None or file == "-":
            return self.state
        return Path(file + STATE_SUFFIX)
