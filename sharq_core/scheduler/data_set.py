"""The calls by which nodes find out whether the store holds the data set that they remember, and by which they begin
one or accept that it was lost.

Not here: when they are made and what follows (shard/data_identity/guard.py), and what they do (lua/identity.lua).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from sharq_core.scheduler import library
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import MEMBERS
from sharq_core.scheduler.replies import Hint, Reply
from sharq_core.store.commands import KeyList, Word

T = TypeVar("T")

NONE = ""
"""The id of no data set."""


def new_id() -> str:
    """An id that no other data set has."""
    return secrets.token_hex(8)


class Missed(msgspec.Struct, frozen=True):
    """A data set that some node remembers and did not find here.

    Attributes:
        is_replaced: what is here was begun after the node had last found its own: in the place of that.
        node_id: the node's name.
    """

    data_id: str
    is_replaced: bool
    node_id: str


class DataRecord(msgspec.Struct, frozen=True):
    """The deployment's record of its data set, as one call found it.

    Attributes:
        partitions: P; None when no number was ever written.
        data_id: the data set's id; empty when there is no record.
        generation: 1, and one more for each accepted loss; 0 without a record.
        is_whole: every partition was given the id.
        pulse: grows with every look of any node.
        pulsed_us: when the latest look was made, µs by the store's clock; 0 for never.
        follows: ids of earlier generations, newest first.
        missed: what some nodes remember and did not find here.
        now_us: the store's time of the call.
    """

    partitions: int | None
    data_id: str = NONE
    generation: int = 0
    is_whole: bool = False
    pulse: int = 0
    pulsed_us: int = 0
    follows: tuple[str, ...] = ()
    missed: tuple[Missed, ...] = ()
    now_us: int = 0

    def replaces(self, data_id: str) -> tuple[str, ...]:
        """Data sets in whose place this one, which is `data_id` or none, was begun, and that it does not follow."""
        known = {data_id, *self.follows}
        return tuple(one.data_id for one in self.missed if one.is_replaced and one.data_id not in known)


class Remembered(msgspec.Struct, frozen=True):
    """The data set that a node works on.

    Attributes:
        found_us: when it was last found in the store, µs by the store's clock.
    """

    data_id: str
    generation: int
    found_us: int = 0


class Acceptance(msgspec.Struct, frozen=True):
    """What came of the wish to accept a loss.

    Attributes:
        is_done: the record has the new id; False when another call has changed the record meanwhile.
        partitions: the data's P when it is not the caller's, and nothing was changed; else None.
    """

    is_done: bool
    partitions: int | None = None


class DataCalls:
    """Makes the calls of one deployment; all take `now_us` (None: the store's clock), for tests."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._of_record = KeyList.of(keys.partition_count, keys.identity)

    def claim(self, data_id: str, *, now_us: int | None = None) -> FunctionCall[DataRecord]:
        """Write P and begin a data set of this id, each if there is none yet. Value: the record that holds."""
        return self._call(
            library.CLAIM_PARTITIONS, [self._keys.partitions, data_id], _decode_record, now_us=now_us
        )

    def look(
        self, remembered: Remembered | None, node_id: str, *, now_us: int | None = None
    ) -> FunctionCall[DataRecord]:
        """Read the record, and write down if it is not the remembered data set's. Value: the record before that."""
        known = remembered or Remembered(NONE, 0)
        arguments: list[Word] = [
            self._keys.partitions,
            known.data_id,
            known.generation,
            node_id,
            known.found_us,
        ]
        return self._call(library.LOOK_AT_DATA, arguments, _decode_record, now_us=now_us)

    def check(self, partition: int, *, now_us: int | None = None) -> FunctionCall[str]:
        """Value: the id of the data set that a partition belongs to, by its primary; empty for none."""
        return self._of_partition(library.CHECK_PARTITION, partition, [], now_us)

    def enter(
        self, partition: int, data_id: str, follows: Sequence[str], *, now_us: int | None = None
    ) -> FunctionCall[str]:
        """Give a partition the id, if it has none or one of `follows`. Value: the id that it has then."""
        return self._of_partition(library.ENTER_PARTITION, partition, [data_id, " ".join(follows)], now_us)

    def settle(
        self, data_id: str, generation: int, *, pulse: int = 0, now_us: int | None = None
    ) -> FunctionCall[bool]:
        """Say that every partition has the id. Value: False when the record has another one, and is left alone.

        Args:
            pulse: with which a record that was lost goes on.
        """
        arguments: list[Word] = [self._keys.partitions, data_id, generation, pulse]
        return self._call(library.SETTLE_DATA, arguments, lambda raw: raw[4] == 1, now_us=now_us)

    def accept(
        self, data_id: str, seen_id: str, follows: Sequence[str], *, now_us: int | None = None
    ) -> FunctionCall[Acceptance]:
        """Begin a new generation on what the store holds now, if its record is still the one that was seen."""
        arguments: list[Word] = [self._keys.partitions, data_id, seen_id, " ".join(follows)]
        return self._call(library.ACCEPT_LOSS, arguments, _decode_acceptance, now_us=now_us)

    def _of_partition(
        self, function: library.Function, partition: int, arguments: list[Word], now_us: int | None
    ) -> FunctionCall[str]:
        keys = self._keys.of(partition, "", function.keys)
        return self._call(function, arguments, lambda raw: str(raw[4].decode()), partition, keys, now_us)

    def _call(
        self,
        function: library.Function,
        arguments: list[Word],
        decode: Callable[[list[Any]], T],
        partition: int = MEMBERS,
        keys: KeyList | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[T]:
        now: int | str = "" if now_us is None else now_us
        return FunctionCall(
            partition,
            function,
            keys or self._of_record,
            [now, "", *arguments],
            lambda raw: Reply(Hint(raw[1], None, None), decode(raw)),
        )


def _decode_record(raw: list[Any]) -> DataRecord:
    """An older library knows of P alone."""
    number = raw[4] if raw[4] >= 0 else None
    if len(raw) == 5:
        return DataRecord(number, now_us=raw[1])
    missed = raw[11]
    return DataRecord(
        number,
        raw[5].decode(),
        raw[6],
        raw[7] == b"whole",
        raw[8],
        raw[9],
        tuple(raw[10].decode().split()),
        tuple(_decode_missed(missed[i], missed[i + 1]) for i in range(0, len(missed), 2)),
        raw[1],
    )


def _decode_missed(data_id: bytes, note: bytes) -> Missed:
    _, is_replaced, node_id = note.decode().split(" ", 2)
    return Missed(data_id.decode(), is_replaced == "1", node_id)


def _decode_acceptance(raw: list[Any]) -> Acceptance:
    return Acceptance(raw[4] == 1, raw[5] if len(raw) > 5 else None)
