"""Checks over each new connection to a store server that it holds the data set, before any call goes there.

shard/data_identity/guard.py confirms a doubt and acts on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from sharq_core.errors import SharqError, Unavailable
from sharq_core.scheduler import library
from sharq_core.scheduler.data_set import NONE
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from sharq_core.store.commands import Command, FcallCommand
from sharq_core.store.node import StoreNode
from sharq_core.store.store import Store

log = logging.getLogger(__name__)

_IN_DOUBT = (
    "the store may have lost its data, which is being checked: nothing was done; try again in a moment"
)


class DataWitness:
    """The store's Witness for the data set.

    Args:
        stops: if True, a server in doubt gets no calls until the doubt is settled.
        suspect: called if a server does not hold the expected data set.

    Attributes:
        data_id: the id of the data set that every server should hold; empty while it is not known.
        doubts: the number of times a server was put in doubt.
    """

    def __init__(
        self, store: Store, executor: Executor, keys: Keys, *, stops: bool, suspect: Callable[[], None]
    ) -> None:
        self.data_id = NONE
        self.doubts = 0
        self._store = store
        self._executor = executor
        self._keys = keys
        self._stops = stops
        self._suspect = suspect

    def question(self, node: StoreNode) -> Command | None:
        """Return the question to a server, as Witness.question: about the record if it is alone, else a partition."""
        if self.data_id == NONE:
            return None
        if len(self._store.nodes()) == 1:
            return (b"HGET", self._keys.identity, b"id")
        partition = self.first_partition(node)
        return None if partition is None else (b"HGET", self._keys.counters(partition), b":id")

    def doubt(self, node: StoreNode, answer: Any | SharqError) -> Unavailable | None:
        """Return the refusal for a server in doubt, as Witness.doubt.

        Only a check of the guard settles the doubt: the server may be a replica that has no data yet.
        """
        if isinstance(answer, SharqError) or answer == self.data_id.encode():
            return None
        self._suspect()
        if not self._stops or self._executor.is_all_lost:
            return None
        log.warning("data_in_doubt server=%s expected=%s found=%s", node.name, self.data_id, answer)
        self.doubts += 1
        return Unavailable(_IN_DOUBT)

    def lets_pass(self, commands: Sequence[Command | FcallCommand]) -> bool:
        """Return True if a server in doubt may get the commands, as Witness.lets_pass."""
        first = commands[0]
        return not isinstance(first, FcallCommand) or first.function in library.OF_DATA_SET

    def first_partition(self, node: StoreNode) -> int | None:
        """Return the first partition that a server holds; None if it holds none."""
        partitions = range(self._keys.partitions)
        return next((at for at in partitions if self._executor.node_of(at) is node), None)
