"""Reads and writes the data set's id in all partitions of a deployment, and accepts a loss.

shard/data_identity/guard.py decides when a node does so; shard/data_identity/acceptance.py is the operator's command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from sharq_core.errors import ConfigError, SharqError, Unavailable
from sharq_core.logs.plurals import counted
from sharq_core.scheduler.data_set import NONE, DataCalls, DataRecord, new_id
from sharq_core.scheduler.executor import Executor, value_of
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.membership import other_partitions

AT_ONCE = 512
"""Partitions of one pipeline, which takes the store and this process a few milliseconds."""

_MOST_TRIES = 5
"""Most attempts to accept a loss. An attempt fails if another node that accepts it changes the record meanwhile."""


class Accepted(msgspec.Struct, frozen=True):
    """The result of an accepted loss.

    Attributes:
        data_id, generation: the identity of the data set from now on.
        found: the number of partitions that each id was found in before; the empty id stands for none.
    """

    data_id: str
    generation: int
    found: dict[str, int]


class DataSet:
    """The data set of one deployment, in all of its partitions.

    Args:
        partitions: P.
    """

    def __init__(self, executor: Executor, calls: DataCalls, partitions: int) -> None:
        self.calls = calls
        self.partitions = partitions
        self._executor = executor

    async def read_ids(self) -> dict[int, str]:
        """Return the id of each partition, empty for none; partitions that cannot be read are left out."""
        return await self._of_all(self.calls.check)

    async def enter_all(self, data_id: str, follows: Sequence[str]) -> dict[int, str]:
        """Give the id to every partition that has none or one of `follows`; return the resulting ids as `read_ids`."""
        return await self._of_all(lambda partition: self.calls.enter(partition, data_id, follows))

    async def begin(self, record: DataRecord) -> dict[int, str]:
        """Give every partition the record's id, and mark the record as whole once all of them have it.

        The work of an earlier attempt counts, so a crash in the middle does no harm. Return the ids as `read_ids`.
        """
        ids = await self.enter_all(record.data_id, record.follows)
        if len(ids) == self.partitions and set(ids.values()) == {record.data_id}:
            await self._executor.one(self.calls.settle(record.data_id, record.generation))
        return ids

    async def accept_loss(self, expected: Sequence[str] = ()) -> Accepted | None:
        """Make a new generation of the data that the store holds now; return None if nothing is lost.

        Args:
            expected: the ids of data sets that should be there, besides those that the store names.

        Raises:
            ConfigError: the data was made with another number of partitions. Nothing was changed.
            Unavailable: a server cannot be reached. Nothing was changed, or another node completes the change.
        """
        for _ in range(_MOST_TRIES):
            record = await self._executor.one(self.calls.look(None, ""))
            if record.partitions not in (None, self.partitions):
                raise ConfigError(other_partitions(self.partitions, record.partitions))
            ids = await self._read_all_ids()
            if is_whole(record) and {record.data_id} == {*ids.values(), *expected}:
                return None
            accepted = await self._accept(record, ids, expected)
            if accepted is not None:
                return accepted
        raise Unavailable("other nodes keep changing the record of the data set; try again")

    async def _accept(
        self, record: DataRecord, ids: dict[int, str], expected: Sequence[str]
    ) -> Accepted | None:
        """Accept the loss; return None if another call has changed the record in the meantime."""
        counts = dict(sorted(Counter(ids.values()).items()))
        replaced = [data_id for data_id in (*counts, *expected) if data_id != NONE]
        data_id = new_id()
        acceptance = await self._executor.one(self.calls.accept(data_id, record.data_id, replaced))
        if acceptance.partitions is not None:
            raise ConfigError(other_partitions(self.partitions, acceptance.partitions))
        if not acceptance.is_done:
            return None
        # Another node may have accepted the loss after this call; its generation then counts.
        begun = await self._executor.one(self.calls.look(None, ""))
        if begun.data_id == data_id:
            follows = dict.fromkeys([*begun.follows, *replaced])
            await self.begin(msgspec.structs.replace(begun, follows=tuple(follows)))
        return Accepted(data_id, begun.generation, counts)

    async def _read_all_ids(self) -> dict[int, str]:
        ids = await self.read_ids()
        if len(ids) < self.partitions:
            raise Unavailable(
                f"{self.partitions - len(ids)} of {counted(self.partitions, 'partition')} cannot be read: a server "
                "of the store is away or refuses. Try again when all servers answer"
            )
        return ids

    async def _of_all(self, make_call: Callable[[int], FunctionCall[str]]) -> dict[int, str]:
        ids: dict[int, str] = {}
        for first in range(0, self.partitions, AT_ONCE):
            some = range(first, min(first + AT_ONCE, self.partitions))
            replies = await self._executor.run([make_call(partition) for partition in some])
            for partition, reply in zip(some, replies, strict=True):
                if not isinstance(reply, SharqError):
                    ids[partition] = value_of(reply)
        return ids


def is_whole(record: DataRecord) -> bool:
    """Return True if every partition has the record's id and no node misses another data set."""
    data_ids = {record.data_id, *record.follows}
    return record.is_whole and all(miss.data_id in data_ids for miss in record.missed)
