"""Makes the calls that identify the store's data set: begin one, compare it with the remembered one, accept its loss.

shard/data_identity/guard.py decides when to make them; lua/identity.lua is their counterpart in the store.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import MEMBERS
from sharq_core.scheduler.replies import Hint, Reply
from sharq_core.store.commands import KeyList, Word

T = TypeVar("T")

NONE = ""
"""The id that stands for no data set."""


def new_id() -> str:
    """Return a new random id of a data set, 16 hexadecimal digits."""
    return secrets.token_hex(8)


class Missed(msgspec.Struct, frozen=True):
    """A data set that a node remembers and did not find in this store.

    Attributes:
        is_replaced: True if the store's data set was begun after the node last found its own, and so replaced it.
        node_id: the node's id.
    """

    data_id: str
    is_replaced: bool
    node_id: str


class DataRecord(msgspec.Struct, frozen=True):
    """The deployment's record of its data set, as one call found it.

    Attributes:
        partitions: P; None if no number was ever written.
        data_id: the data set's id; empty if there is no record.
        generation: 1, plus one for each accepted loss; 0 without a record.
        is_whole: True if every partition has the id.
        pulse: a counter that grows each time a node reads the record.
        pulsed_us: the time of the latest read, µs by the store's clock; 0 for never.
        follows: ids of earlier generations, newest first.
        missed: data sets that nodes remember and did not find here.
        now_us: the store's time of the call, µs.
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
        """Return the ids of data sets that this one has replaced and does not follow.

        Args:
            data_id: the id of this data set, or empty if it has none.
        """
        lineage = {data_id, *self.follows}
        return tuple(
            missed.data_id for missed in self.missed if missed.is_replaced and missed.data_id not in lineage
        )


class Remembered(msgspec.Struct, frozen=True):
    """The data set that a node works on.

    Attributes:
        found_us: the time at which it was last found in the store, µs by the store's clock.
    """

    data_id: str
    generation: int
    found_us: int = 0


class Acceptance(msgspec.Struct, frozen=True):
    """The outcome of accepting a loss.

    Attributes:
        is_done: True if the record has the new id; False if another call has changed the record in the meantime.
        partitions: the data's P if it differs from the caller's, so that nothing was changed; else None.
    """

    is_done: bool
    partitions: int | None = None


class DataCalls:
    """The maker of one deployment's calls. All methods take `now_us` (None for the store's clock), for tests."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._of_record = KeyList.of(keys.partition_count, keys.identity)

    def claim(self, data_id: str, *, now_us: int | None = None) -> FunctionCall[DataRecord]:
        """Write P and begin a data set with this id, each if there is none. Value: the record after the call."""
        return self._call(
            library.CLAIM_PARTITIONS, [self._keys.partitions, data_id], _decode_record, now_us=now_us
        )

    def look(
        self, remembered: Remembered | None, node_id: str, *, now_us: int | None = None
    ) -> FunctionCall[DataRecord]:
        """Read the record, and note in it if it is not the remembered data set's. Value: the record before the note."""
        remembered = remembered or Remembered(NONE, 0)
        arguments: list[Word] = [
            self._keys.partitions,
            remembered.data_id,
            remembered.generation,
            node_id,
            remembered.found_us,
        ]
        return self._call(library.LOOK_AT_DATA, arguments, _decode_record, now_us=now_us)

    def check(self, partition: int, *, now_us: int | None = None) -> FunctionCall[str]:
        """Read the id of a partition's data set from its primary. Value: the id; empty for none."""
        return self._of_partition(library.CHECK_PARTITION, partition, [], now_us)

    def enter(
        self, partition: int, data_id: str, follows: Sequence[str], *, now_us: int | None = None
    ) -> FunctionCall[str]:
        """Give a partition the id if it has none or one of `follows`. Value: the id that it has after the call."""
        return self._of_partition(library.ENTER_PARTITION, partition, [data_id, " ".join(follows)], now_us)

    def settle(
        self, data_id: str, generation: int, *, pulse: int = 0, now_us: int | None = None
    ) -> FunctionCall[bool]:
        """Record that every partition has the id. Value: False if the record has another id and was not changed.

        Args:
            pulse: the counter's value if the record was lost and is written anew.
        """
        arguments: list[Word] = [self._keys.partitions, data_id, generation, pulse]
        return self._call(library.SETTLE_DATA, arguments, lambda raw: raw[4] == 1, now_us=now_us)

    def accept(
        self, data_id: str, seen_id: str, follows: Sequence[str], *, now_us: int | None = None
    ) -> FunctionCall[Acceptance]:
        """Begin a new generation on the store's present data, if its record still has the id `seen_id`."""
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
        return make_call(
            self._keys,
            function,
            partition,
            "",
            now_us,
            arguments,
            lambda raw: Reply(Hint(raw[1], None, None), decode(raw)),
            key_list=keys or self._of_record,
        )


def _decode_record(raw: list[Any]) -> DataRecord:
    """Decode the record; an older library reports only P."""
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
