"""The seam through which somebody who remembers the data set looks at every server that is reached anew.

Not here: what is remembered, and what follows when it is not found (shard/data_identity/guard.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sharq_core.errors import SharqError, Unavailable
from sharq_core.store.commands import Command, Fcall

if TYPE_CHECKING:
    from sharq_core.store.node import StoreNode


class Witness(Protocol):
    """Knows by which sign to recognise the data."""

    def question(self, node: StoreNode) -> Command | None:
        """What to ask a server over a new connection; None while nothing is remembered that should be there."""
        ...

    def doubt(self, node: StoreNode, answer: Any | SharqError) -> Unavailable | None:
        """What calls to the server come to from now on because of its answer, until the doubt is settled; None when it
        holds what it should, or did not say.
        """
        ...

    def lets_pass(self, commands: Sequence[Command | Fcall]) -> bool:
        """Whether a pipeline may go to a server in doubt: it is of those that settle the doubt, or of no data."""
        ...
