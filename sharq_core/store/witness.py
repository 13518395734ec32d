"""Defines the interface through which the guard of the data's identity checks each new connection to a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sharq_core.errors import SharqError, Unavailable
from sharq_core.store.commands import Command, FcallCommand

if TYPE_CHECKING:
    from sharq_core.store.node import StoreNode


class Witness(Protocol):
    """A check that recognises the data."""

    def question(self, node: StoreNode) -> Command | None:
        """Return the command to ask a server over a new connection; None while no data is remembered."""
        ...

    def doubt(self, node: StoreNode, answer: Any | SharqError) -> Unavailable | None:
        """Return the error for calls to the server because of its answer, until the doubt is settled.

        None if the server holds its data, or did not say.
        """
        ...

    def lets_pass(self, commands: Sequence[Command | FcallCommand]) -> bool:
        """Return True if a pipeline may go to a server in doubt: it settles the doubt, or does not touch data."""
        ...
