"""Prints the banner of `sharq-server` once it listens."""

from __future__ import annotations

from collections.abc import Sequence

from sharq_core.config import Address
from sharq_core.logs.standard_files import announce
from sharq_core.version import __version__

_NAME = r"""
     ___  _                 ____
    / __|| |_   __ _  _ _  / __ \
    \__ \| ' \ / _` || '_|| (__) |
    |___/|_||_|\__,_||_|   \___\_\
"""


def show_banner(addresses: Sequence[Address], workers: int = 1) -> None:
    """Write the name, the version, each address, and the number of workers if there are several, to stdout."""
    lines = [f"Version: {__version__}", *(f"Listening on: {address}" for address in addresses)]
    if workers > 1:
        lines.append(f"Workers: {workers}")
    announce(f"{_NAME}\n" + "".join(f"{line}\n" for line in lines))
