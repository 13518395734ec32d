"""Reads the options that every example has."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple


class Options(NamedTuple):
    """The options of a run.

    Attributes:
        seconds: about how long it lasts.
        log: the file for what arrived at the other side, one JSON object a line; None for none.
    """

    seconds: float
    log: Path | None


def read_options(description: str, seconds: float) -> Options:
    """Return the options of the command line; `seconds` is the default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--seconds", type=float, default=seconds, help="about how long the run lasts (%(default)s)"
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="write what arrived to this file, one JSON object a line"
    )
    options = parser.parse_args()
    return Options(options.seconds, options.log)
