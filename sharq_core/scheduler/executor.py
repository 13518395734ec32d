"""Runs function calls on the store: names the slot of each call, and decodes the replies.

Not here: which calls go together (shard/batching/pipeline.py), which server holds a slot, and the library's way to the
servers (sharq_core/store).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError, StoreAway, Unavailable
from sharq_core.scheduler import library
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.joint import JointCall, join
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import Reply
from sharq_core.store.failures import OtherData
from sharq_core.store.library_loader import FunctionLibrary
from sharq_core.store.node import StoreNode
from sharq_core.store.replication.durability import NotKept
from sharq_core.store.store import Store

T = TypeVar("T")


class Lost(msgspec.Struct, frozen=True):
    """Partitions whose data is not what it should be: calls to them are refused, nothing done.

    Attributes:
        refusal: what those calls come to.
    """

    partitions: frozenset[int]
    refusal: Unavailable


def function_library() -> FunctionLibrary:
    """What the store's servers are given."""
    return FunctionLibrary(library.LIBRARY, library.REVISION, library.source(), _time_us)


def _time_us(answer: Any) -> int:
    """The store's time in an answer: the second number of each (functions.Hint)."""
    return int(answer[1])


class Executor:
    """Function calls on one store.

    Args:
        keys: say in which slot each partition is.

    Attributes:
        promises: callers who change jobs are promised more than that the primary has done it.
        lost: what is refused because its data was lost; None for nothing.
        on_other_data: called when a call found that a partition belongs to another data set.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._slots = keys.slots
        self.promises = store.promises
        self.lost: Lost | None = None
        self.on_other_data: Callable[[], None] = lambda: None

    @property
    def is_all_lost(self) -> bool:
        """Every partition is refused."""
        return self.lost is not None and len(self.lost.partitions) == len(self._slots) - 1

    @property
    def timeout_s(self) -> float:
        """No call takes longer."""
        return self._store.timeout_s

    def node_of(self, partition: int) -> StoreNode | None:
        """The server that holds a partition; None while nobody does."""
        return self._store.node_of(self._slots[partition])

    def server_of(self, partition: int) -> Hashable:
        """The server that holds a partition, with the connections to it: another value, and what a scan of the server
        gave as its cursor may mean nothing any more.
        """
        node = self.node_of(partition)
        return None if node is None else (node, node.connects)

    def now_us(self, partition: int) -> int | None:
        """The time (µs) by the clock of the partition's server, or a little before it. None while it is unknown."""
        node = self.node_of(partition)
        return None if node is None else node.clock.now_us()

    def not_after_us(self, partition: int, since: float | None = None) -> int | None:
        """The time (µs) by the clock of the partition's server at which a call times out whose work came in at `since`
        (the loop's seconds; None: now). None while that clock is unknown.
        """
        node = self.node_of(partition)
        return None if node is None else node.not_after_us(since)

    def left_us(self, since: float | None = None) -> int:
        """The time (µs) that a call has left whose work came in at `since` (the loop's seconds; None: now)."""
        waited_s = 0.0 if since is None else asyncio.get_running_loop().time() - since
        return int((self.timeout_s - waited_s) * 1e6)

    def has_promised(self, call: FunctionCall[Any]) -> bool:
        """Its caller is promised more than that the primary has done it, so that its answer may take long."""
        return self._store.has_promised(call.function.wire_name)

    async def run(
        self, calls: Sequence[FunctionCall[Any]], timeout_s: float | None = None
    ) -> list[Reply[Any] | SharqError]:
        """Run calls, those of each server as one pipeline, joined where they can be; for each its reply, or the error
        that it came to.

        Args:
            timeout_s: the time left, at most the store's own timeout, which it is when None.
        """
        if self.lost is not None:
            return await self._run_around(self.lost, calls, timeout_s)
        return await self._run(calls, timeout_s)

    async def _run_around(
        self, lost: Lost, calls: Sequence[FunctionCall[Any]], timeout_s: float | None
    ) -> list[Reply[Any] | SharqError]:
        """As `run`, without the calls to lost partitions."""
        outcomes: list[Reply[Any] | SharqError] = [lost.refusal] * len(calls)
        sent = [
            at
            for at, call in enumerate(calls)
            if call.partition not in lost.partitions or call.function.wire_name in library.OF_DATA_SET
        ]
        if sent:
            replies = await self._run([calls[at] for at in sent], timeout_s)
            for at, reply in zip(sent, replies, strict=True):
                outcomes[at] = reply
        return outcomes

    async def _run(
        self, calls: Sequence[FunctionCall[Any]], timeout_s: float | None
    ) -> list[Reply[Any] | SharqError]:
        joints = join(calls) if self._store.takes_joint_calls else [JointCall((call,)) for call in calls]
        wholes = [joint.whole for joint in joints]
        slots = [self._slots[joint.calls[0].partition] for joint in joints]
        answers = await self._store.execute(wholes, slots, timeout_s)
        return [
            self._decode(call, own)
            for joint, answer in zip(joints, answers, strict=True)
            for call, own in zip(joint.calls, joint.split(answer), strict=True)
        ]

    def _decode(self, call: FunctionCall[Any], answer: Any) -> Reply[Any] | SharqError:
        if not isinstance(answer, SharqError):
            return call.decode(answer)
        if isinstance(answer, NotKept):
            return NotKept(answer.message, call.decode(answer.reply))
        if isinstance(answer, OutcomeUnknown) and call.function.is_read:
            return StoreAway(answer.message) if answer.is_away else Unavailable(answer.message)
        if isinstance(answer, OtherData):
            self.on_other_data()
        return answer

    async def one(self, call: FunctionCall[T]) -> T:
        """Run one call and return its value, or raise the error that it came to."""
        replies: list[Reply[T] | SharqError] = await self.run([call])
        return value_of(replies[0])


def value_of(reply: Reply[T] | SharqError) -> T:
    """A reply's value, or its error raised; a call that came too late counts as Unavailable (nothing was done)."""
    if isinstance(reply, SharqError):
        raise reply
    if reply.is_expired:
        raise Unavailable("the store got the call too late, and did nothing")
    return reply.value  # type: ignore[return-value]
