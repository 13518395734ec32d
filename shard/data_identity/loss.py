"""Goes through all partitions of a deployment: which data set do they belong to, give them its id, accept a loss.

Not here: when that is done by itself (shard/data_identity/guard.py), and the command that does it
(shard/data_identity/acceptance.py).
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
"""Partitions asked in one pipeline: a few ms of the store, and of this process."""

_MOST_TRIES = 5
"""Tries to accept while other nodes change the record, too: each of them is a node that accepts it as well."""


class Accepted(msgspec.Struct, frozen=True):
    """What was accepted.

    Attributes:
        data_id, generation: of the data set from now on.
        found: in how many partitions each id was found before; empty for none.
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
        """The id that each partition has, empty for none; partitions that cannot be read are left out."""
        return await self._of_all(self.calls.check)

    async def enter_all(self, data_id: str, follows: Sequence[str]) -> dict[int, str]:
        """Give every partition the id that has none or one of `follows`; returns as `read_ids` what they have then."""
        return await self._of_all(lambda partition: self.calls.enter(partition, data_id, follows))

    async def begin(self, record: DataRecord) -> dict[int, str]:
        """Give every partition the record's id, and say so in the record once all of them have it.

        What an earlier try has done counts, so that a crash in the middle does no harm. Returns as `read_ids`.
        """
        ids = await self.enter_all(record.data_id, record.follows)
        if len(ids) == self.partitions and set(ids.values()) == {record.data_id}:
            await self._executor.one(self.calls.settle(record.data_id, record.generation))
        return ids

    async def accept_loss(self, expected: Sequence[str] = ()) -> Accepted | None:
        """Go on with what the store holds now, as a new generation; returns None when nothing is lost.

        Args:
            expected: ids of data sets that should be there, as far as the store does not say so itself.

        Raises:
            ConfigError: the data was made with another number of partitions. Nothing was changed.
            Unavailable: a server cannot be reached. Nothing was changed, or another node goes on with it.
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
        raise Unavailable("other nodes change the record of the data set all the time: try again")

    async def _accept(
        self, record: DataRecord, ids: dict[int, str], expected: Sequence[str]
    ) -> Accepted | None:
        """None when another call has changed the record meanwhile."""
        found = dict(sorted(Counter(ids.values()).items()))
        replaced = [data_id for data_id in (*found, *expected) if data_id != NONE]
        data_id = new_id()
        acceptance = await self._executor.one(self.calls.accept(data_id, record.data_id, replaced))
        if acceptance.partitions is not None:
            raise ConfigError(other_partitions(self.partitions, acceptance.partitions))
        if not acceptance.is_done:
            return None
        begun = await self._executor.one(self.calls.look(None, ""))
        if begun.data_id == data_id:
            follows = dict.fromkeys([*begun.follows, *replaced])
            await self.begin(msgspec.structs.replace(begun, follows=tuple(follows)))
        return Accepted(data_id, begun.generation, found)

    async def _read_all_ids(self) -> dict[int, str]:
        ids = await self.read_ids()
        if len(ids) < self.partitions:
            raise Unavailable(
                f"{self.partitions - len(ids)} of {counted(self.partitions, 'partition')} cannot be read: a server "
                "of the store is away or refuses. Try again when all of them answer"
            )
        return ids

    async def _of_all(self, make_call: Callable[[int], FunctionCall[str]]) -> dict[int, str]:
        found: dict[int, str] = {}
        for first in range(0, self.partitions, AT_ONCE):
            some = range(first, min(first + AT_ONCE, self.partitions))
            replies = await self._executor.run([make_call(partition) for partition in some])
            for partition, reply in zip(some, replies, strict=True):
                if not isinstance(reply, SharqError):
                    found[partition] = value_of(reply)
        return found


def is_whole(record: DataRecord) -> bool:
    """Every partition was given the record's id, and no node misses another data set here."""
    known = {record.data_id, *record.follows}
    return record.is_whole and all(one.data_id in known for one in record.missed)
