"""Runs function calls on the store: finds the slot of each call and decodes the replies.

shard/batching/pipeline.py decides which calls share a pipeline; sharq_core/store finds the server of a slot and loads
the library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, TypeVar

import msgspec

from sharq_core.clock import elapsed_us
from sharq_core.errors import OutcomeUnknown, SharqError, StoreAway, Unavailable
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import own_deadline
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.joint import MergedCall, merge
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import Reply
from sharq_core.store.commands import FcallCommand
from sharq_core.store.failures import CallFailed, OtherData
from sharq_core.store.library_loader import FunctionLibrary
from sharq_core.store.node import StoreNode
from sharq_core.store.replication.durability import NotKept
from sharq_core.store.store import Store

T = TypeVar("T")


class Lost(msgspec.Struct, frozen=True):
    """Partitions whose data was lost or replaced. Calls to them are refused, and nothing is done.

    Attributes:
        refusal: the error that those calls get.
    """

    partitions: frozenset[int]
    refusal: Unavailable


def function_library() -> FunctionLibrary:
    """Return the function library that the store's servers load."""
    return FunctionLibrary(library.LIBRARY, library.REVISION, library.source())


class Executor:
    """The executor of function calls on one store.

    Args:
        keys: the deployment's keys, which give the slot of each partition.

    Attributes:
        timeout_s: the maximum duration of a call, in seconds.
        promises: True if changes of jobs are confirmed only after a replica or the disk has them, too.
        lost: the partitions that are refused because their data was lost; None for none.
        on_other_data: called when a call finds that a partition belongs to another data set.
        offsets_us: by partition, how far its time is ahead of elapsed_us (µs), as the node last read it
            (shard/cluster/partition_clocks.py); without the partitions that it has not read.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._slots = keys.slots
        self.promises = store.promises
        self.timeout_s = store.timeout_s
        self.lost: Lost | None = None
        self.on_other_data: Callable[[], None] = lambda: None
        self.offsets_us: dict[int, int] = {}

    @property
    def is_all_lost(self) -> bool:
        """True if every partition is refused."""
        return self.lost is not None and len(self.lost.partitions) == len(self._slots) - 1

    @property
    def reign(self) -> int:
        """The number of times that other servers of the store have become primaries, as far as this process knows."""
        return self._store.reigns

    def node_of(self, partition: int) -> StoreNode | None:
        """Return the server that holds a partition; None if no server does."""
        return self._store.sole_node or self._store.node_of(self._slots[partition])

    def server_of(self, partition: int) -> Hashable:
        """Return a value that identifies the partition's server and the number of connections made to it.

        If the value changes, a scan cursor that the server gave before may be invalid.
        """
        node = self.node_of(partition)
        return None if node is None else (node, node.connects)

    def now_us(self, partition: int) -> int | None:
        """Return the time (µs) by the clock of the partition's server, or slightly less; None if it is unknown."""
        node = self.node_of(partition)
        return None if node is None else node.clock.now_us()

    def arrival_us(self, partition: int) -> int | None:
        """Return the time (µs) by the clock of the partition's server at which a call that leaves now arrives at best.

        None if it is unknown.
        """
        node = self.node_of(partition)
        return None if node is None else node.clock.arrival_us()

    def careful_us(self, partition: int) -> int | None:
        """Return the time (µs) by the clock of the partition's server, or slightly less, whatever its speed.

        None if it is unknown.
        """
        node = self.node_of(partition)
        return None if node is None else node.clock.careful_us()

    def not_after_us(self, partition: int, since: float | None = None) -> int | None:
        """Return the time (µs) at which a call times out, as calls name it (functions.py).

        It is in the partition's time as it goes on from the latest reading, so the store refuses the call if the
        partition's time has gained since then, or lost more than a second. If the partition was not read yet, the time
        is by the clock of its server, or None if that is unknown, too.

        Args:
            since: the time at which the call's work arrived (the event loop's seconds; None for now).
        """
        offset_us = self.offsets_us.get(partition)
        if offset_us is not None:
            return own_deadline(offset_us + elapsed_us(), self.remaining_us(since))
        node = self.node_of(partition)
        return None if node is None else node.not_after_us(since)

    def remaining_us(self, since: float | None = None) -> int:
        """Return the remaining time (µs) of a call whose work arrived at `since` (the loop's seconds; None for now)."""
        waited_s = 0.0 if since is None else asyncio.get_running_loop().time() - since
        return int((self.timeout_s - waited_s) * 1e6)

    def has_promised(self, call: FunctionCall[Any]) -> bool:
        """Return True if the call's answer waits for a replica or the disk, and so may take longer."""
        return self._store.has_promised(call.function.wire_name)

    async def run(
        self, calls: Sequence[FunctionCall[Any]], timeout_s: float | None = None
    ) -> list[Reply[Any] | SharqError]:
        """Run calls, with one pipeline for each server; calls that can be merged go as one.

        Args:
            timeout_s: the remaining time, at most the store's timeout; None for the store's timeout.

        Returns:
            The reply or the error of each call, in the order of the calls.
        """
        if self.lost is not None:
            return await self._run_around(self.lost, calls, timeout_s)
        if len(calls) > 1 and self._store.takes_joint_calls:
            return await self._run_merged(calls, timeout_s)
        answers = await self._send([call.command for call in calls], calls, timeout_s)
        return [
            self._failure(call, answer) if isinstance(answer, SharqError) else call.decode(answer)
            for call, answer in zip(calls, answers, strict=True)
        ]

    async def _run_merged(
        self, calls: Sequence[FunctionCall[Any]], timeout_s: float | None
    ) -> list[Reply[Any] | SharqError]:
        """Run calls, merged as far as the store takes that."""
        takes_merged = self._store.takes_joint_calls
        merged_calls = merge(calls) if takes_merged else [MergedCall((call,)) for call in calls]
        commands = [merged.command for merged in merged_calls]
        answers = await self._send(commands, [merged.calls[0] for merged in merged_calls], timeout_s)
        return [
            self._failure(call, own) if isinstance(own, SharqError) else call.decode(own)
            for merged, answer in zip(merged_calls, answers, strict=True)
            for call, own in zip(merged.calls, merged.split_reply(answer), strict=True)
        ]

    def _send(
        self, commands: Sequence[FcallCommand], calls: Sequence[FunctionCall[Any]], timeout_s: float | None
    ) -> Coroutine[Any, Any, list[Any | SharqError]]:
        """Send commands to the servers of the partitions of some calls, one for each command."""
        sole_node = self._store.sole_node
        if sole_node is not None:
            return sole_node.call(commands, timeout_s)
        return self._store.send(commands, [self._slots[call.partition] for call in calls], timeout_s)

    async def _run_around(
        self, lost: Lost, calls: Sequence[FunctionCall[Any]], timeout_s: float | None
    ) -> list[Reply[Any] | SharqError]:
        """Run the calls, and refuse those to lost partitions."""
        outcomes: list[Reply[Any] | SharqError] = [lost.refusal] * len(calls)
        sent = [
            index
            for index, call in enumerate(calls)
            if call.partition not in lost.partitions or call.function.wire_name in library.OF_DATA_SET
        ]
        if sent:
            replies = await self._run_merged([calls[index] for index in sent], timeout_s)
            for index, reply in zip(sent, replies, strict=True):
                outcomes[index] = reply
        return outcomes

    def _failure(self, call: FunctionCall[Any], error: SharqError) -> SharqError:
        """Return the error of a call from the store's: a read was never perhaps done."""
        if isinstance(error, NotKept):
            return NotKept(error.message, call.decode(error.reply))
        if isinstance(error, OutcomeUnknown) and call.function.is_read:
            return StoreAway(error.message) if error.is_away else Unavailable(error.message)
        if isinstance(error, OtherData):
            self.on_other_data()
        if isinstance(error, CallFailed):
            return CallFailed(f"partition {call.partition}: {error.message}")
        return error

    async def one(self, call: FunctionCall[T]) -> T:
        """Run one call and return its value, or raise its error."""
        replies: list[Reply[T] | SharqError] = await self.run([call])
        return value_of(replies[0])


def value_of(reply: Reply[T] | SharqError) -> T:
    """Return a reply's value, or raise its error; an expired call raises Unavailable (nothing was done)."""
    if isinstance(reply, SharqError):
        raise reply
    if reply.is_expired:
        raise Unavailable("the call reached the store too late; nothing was done")
    return reply.value  # type: ignore[return-value]
