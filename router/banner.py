"""What `sharq-server` shows a person once it listens."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sharq_core.config import Address
from sharq_core.version import __version__

_NAME = r"""
     ___  _                 ____
    / __|| |_   __ _  _ _  / __ \
    \__ \| ' \ / _` || '_|| (__) |
    |___/|_||_|\__,_||_|   \___\_\
"""


def show_banner(addresses: Sequence[Address]) -> None:
    """Write name, version and each address to stdout, flushed, so that who waits for the lines sees them."""
    lines = [f"Version: {__version__}", *(f"Listening on: {address}" for address in addresses)]
    sys.stdout.write(f"{_NAME}\n" + "".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
