"""Remembers the data set that this node works on and checks that the store still holds it.

The checks run every second and over each new connection to the store. Calls about lost data are refused until the data
is back or an operator accepts the loss (shard/data_identity/acceptance.py). docs/decisions/data-identity.md has the
reasons; lua/identity.lua has the records in the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from shard.data_identity.loss import DataSet, is_whole
from shard.data_identity.memory import NoMemory
from shard.data_identity.pulse import Pulse
from shard.data_identity.witness import DataWitness
from sharq_core.errors import ConfigError, SharqError, Unavailable
from sharq_core.logs.plurals import counted, is_or_are
from sharq_core.scheduler.data_set import NONE, DataCalls, DataRecord, Remembered, new_id
from sharq_core.scheduler.executor import Executor, Lost
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import other_partitions
from sharq_core.store.failures import WritesRefused
from sharq_core.store.store import Store

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
_LEAST_PAUSE_S = 0.1
"""Least pause between two checks, however often a loss is suspected."""

READ_EVERY_S = 0.9
"""Least time between two reads of all partitions while the record names another data set."""

SAY_EVERY_S = 30.0
"""Interval at which a lasting loss is logged again."""

_WAY_ON = (
    "restore the data, or accept the loss with this node's configuration: "
    "sharq-shard --accept-data-loss (or sharq-server --accept-data-loss); see docs/runbook.md#sharqdatalost"
)
_WAY_ON_WITHOUT_FILES = (
    "stop the server, replace the directory by a backup (or remove it to begin with no data), and start the server "
    "again: the store's present data is in memory only"
)
_REFUSAL = (
    "the store has lost data, or holds another data set than before: nothing was done, and calls are refused until an "
    "operator restores the data or accepts the loss (see SharqDataLost in docs/runbook.md)"
)


_WRITES_REFUSED = (
    "the store cannot write to its disk (is it full?), so it refuses every write; free some space, and it resumes "
    "by itself"
)


class DataLost(Unavailable):
    """The error of a call to a store that does not hold the expected data set; nothing was done."""


class Loss(msgspec.Struct, frozen=True):
    """A detected loss of data.

    Attributes:
        partitions: the partitions whose data is lost; empty if only the deployment's record is lost.
        found: a description of what the store holds instead.
        way_on: a description of what an operator can do.
        can_be_accepted: True if there is data to continue with.
    """

    partitions: frozenset[int]
    found: str
    way_on: str = _WAY_ON
    can_be_accepted: bool = True


class DataGuard:
    """The data set that one node remembers, and the checks that the store holds it.

    Args:
        executor: refuses calls to lost partitions.
        memory: the knowledge of the data set that outlives the process.
        goes_on: if True, every loss is accepted at once instead of refusing calls.
        on_lost: called with the lost partitions while calls to them are refused.
        on_misfit: called with the reason if this node can never work on the data.
        on_remembered: called with the id of the data set that this node works on, whenever it changes.

    Attributes:
        losses: the number of times data was found to be lost.
        pulse: detects an older copy of the data.
        refusal: the error of every call; None while some partition can be served.
        writes_refused: True if the last check found that the store refuses writes because its disk is full or broken.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        keys: Keys,
        node_id: str,
        memory: NoMemory,
        *,
        goes_on: bool,
        on_lost: Callable[[frozenset[int]], None],
        on_misfit: Callable[[ConfigError], None],
        on_remembered: Callable[[str], None],
    ) -> None:
        self.losses = 0
        self.writes_refused = False
        self.refusal: DataLost | None = None
        self._store = store
        self._executor = executor
        self._keys = keys
        self._node_id = node_id
        self._goes_on = goes_on
        self._on_lost = on_lost
        self._on_misfit = on_misfit
        self._on_remembered = on_remembered
        executor.on_other_data = self.suspect
        self._memory = memory
        self._noted = memory.expected_id()
        self._data = DataSet(executor, DataCalls(keys), keys.partitions)
        self._all = frozenset(range(keys.partitions))
        self._loop = asyncio.get_running_loop()
        self._remembered = Remembered(self._noted, 0) if self._noted else None
        self._witness = DataWitness(store, executor, keys, stops=not goes_on, suspect=self.suspect)
        self.pulse = Pulse(store.inspector)
        self._loss: Loss | None = None
        self._suspicion = asyncio.Event()
        self._said_at = 0.0
        self._read_at = 0.0

    @property
    def data_id(self) -> str:
        """The id of the data set that this node works on; empty while it knows none."""
        return self._remembered.data_id if self._remembered else NONE

    @property
    def lost_partitions(self) -> int:
        """The number of partitions whose data is lost."""
        return len(self._loss.partitions) if self._loss else 0

    @property
    def reason(self) -> str | None:
        """The reason, for an operator, that this node is not ready; None while nothing is lost."""
        return None if self._loss is None or self._goes_on else self._describe(self._loss)

    @property
    def whole_reason(self) -> str | None:
        """The reason that no partition can be served, a loss or a disk without space; None while one can."""
        if self._loss is not None and self._loss.partitions == self._all:
            return self.reason
        is_unwritable = self.writes_refused and (len(self._store.nodes()) == 1 or not self._store.is_writable)
        return _WRITES_REFUSED if is_unwritable else None

    def is_lost(self, partition: int) -> bool:
        """Return True if calls to the partition are refused."""
        return self._executor.lost is not None and partition in self._executor.lost.partitions

    async def open(self) -> None:
        """Find the deployment's data set, or begin one, and remember it.

        Raises:
            ConfigError: the data was made with another number of partitions.
            DataLost: another data set was expected. Try again: it may come back, or the loss may be accepted.
            SharqError: the store cannot be read.
        """
        calls = self._data.calls
        if self._remembered is not None:
            await self._executor.one(calls.look(self._remembered, self._node_id))
        record = await self._claim()
        self._store.watch_data(self._witness)
        await self._judge(record, is_suspicious=True)
        self._tell_id()
        if self.refusal is not None:
            raise self.refusal

    async def run(self) -> None:
        """Check every second, and at once after a suspicion, until cancelled."""
        while True:
            await asyncio.sleep(_LEAST_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S - _LEAST_PAUSE_S):
                    await self._suspicion.wait()
            try:
                await self.look()
                self._note_writes(None)
            except (SharqError, ConfigError) as error:
                self._note_writes(error)
                log.debug("data_not_checked error=%r", str(error))
            except Exception:
                log.exception("data_look_failed")

    def _note_writes(self, error: Exception | None) -> None:
        """Update `writes_refused` after a check; an error of another kind says nothing about the store's disk."""
        if error is None and self.writes_refused:
            self.writes_refused = False
            log.warning("store_writes_again: the store can write to its disk")
        elif isinstance(error, WritesRefused) and not self.writes_refused:
            self.writes_refused = True
            log.critical("store_writes_refused error=%r: %s", error.message, _WRITES_REFUSED)
            self._store.inspector.look_soon()

    async def look(self) -> None:
        """Check once.

        Raises:
            SharqError: the store cannot be read; the previous result stays in force.
        """
        fault = self._memory.fault()
        if fault is not None:
            await self._lose(Loss(self._all, fault, _WAY_ON_WITHOUT_FILES, can_be_accepted=False))
            return
        is_suspicious, doubts = self._suspicion.is_set() or self._loss is not None, self._witness.doubts
        self._suspicion.clear()
        try:
            if self.data_id == NONE:
                record = await self._claim()
            else:
                record = await self._executor.one(self._data.calls.look(self._remembered, self._node_id))
            if record.data_id == self.data_id:
                self.pulse.note(record)
            await self._judge(record, is_suspicious=is_suspicious or await self._is_odd())
        except BaseException:
            if is_suspicious:
                self._suspicion.set()
            raise
        if doubts == self._witness.doubts:
            self._store.settle_doubts()

    def suspect(self) -> None:
        """Trigger a check at once: something indicates that the data has changed."""
        self._suspicion.set()

    def note(self, partition: int, data_id: str | None) -> None:
        """Compare the data id that a partition was read with; None if the reply had none."""
        if data_id is not None and data_id != self.data_id and not self.is_lost(partition):
            self.suspect()

    async def _claim(self) -> DataRecord:
        """Remember the deployment's data set and return its record.

        An older library on the store knows no data set; the next check asks again.
        """
        record = await self._executor.one(self._data.calls.claim(new_id()))
        if record.partitions != self._keys.partitions:
            raise ConfigError(other_partitions(self._keys.partitions, record.partitions or 0))
        if self.data_id == NONE:
            self._take_over(record)
        return record

    async def _judge(self, record: DataRecord, *, is_suspicious: bool) -> None:
        """Determine the loss from the record and, if it is suspicious, from all partitions."""
        # An operator accepted a loss: the store's data set continues the one of this node.
        if record.data_id != self.data_id != NONE and self.data_id in record.follows:
            self._take_over(record)
        if record.data_id == self.data_id != NONE and record.partitions != self._keys.partitions:
            self._on_misfit(ConfigError(other_partitions(self._keys.partitions, record.partitions or 0)))
        # A begun data set that a crash left unfinished is completed.
        if record.data_id == self.data_id != NONE and not record.is_whole:
            await self._settle(await self._data.begin(record), record)
        elif is_suspicious or not self._is_ours(record):
            if (
                # A lasting loss is read again only now and then, since that reads all partitions.
                self._loss is None
                or self._is_ours(record)
                or self._loop.time() >= self._read_at + READ_EVERY_S
            ):
                self._read_at = self._loop.time()
                await self._settle(await self._data.read_ids(), record)
        elif self._remembered is not None:
            self._found(record)

    async def _settle(self, ids: Mapping[int, str], record: DataRecord) -> None:
        before = self._loss.partitions if self._loss else frozenset[int]()
        unread = before - ids.keys()
        lost = frozenset(partition for partition, data_id in ids.items() if data_id != self.data_id) | unread
        is_record_lost = not self._is_ours(record)
        if record.replaces(self.data_id) or (lost and record.data_id == self.data_id and not record.is_whole):
            lost = self._all  # the record was begun on what is left of another data set
        if self.data_id == NONE:
            return
        if not lost and is_record_lost and record.data_id == NONE and len(ids) == len(self._all):
            await self._restore_record(record)
        elif lost or is_record_lost:
            await self._lose(Loss(lost, _what_is_there(ids, lost, record)))
        else:
            self._found(record)

    async def _restore_record(self, record: DataRecord) -> None:
        """Write the record again: all partitions are there, so only the record's key was deleted."""
        assert self._remembered is not None
        log.warning("data_record_restored data=%s", self.data_id)
        generation, pulse = max(self._remembered.generation, 1), self.pulse.seen or 0
        await self._executor.one(self._data.calls.settle(self.data_id, generation, pulse=pulse))
        self._found(record)

    def _is_ours(self, record: DataRecord) -> bool:
        """Return True if the record names this node's data set and no node misses another one."""
        return record.data_id == self.data_id and not record.replaces(self.data_id)

    def _take_over(self, record: DataRecord) -> None:
        """Work on the record's data set from now on, or on the missed one if the record names none."""
        data_id = record.data_id or next(iter(record.replaces(NONE)), NONE)
        if self.data_id != NONE:
            log.warning("data_set_taken_over data=%s instead_of=%s", data_id, self.data_id)
        self._remembered = Remembered(data_id, record.generation, record.now_us)
        self.pulse.forget()
        self._tell_id()

    def _tell_id(self) -> None:
        """Tell the witness and the functions the id of the data set."""
        self._witness.data_id = self.data_id
        self._on_remembered(self.data_id)

    def _found(self, record: DataRecord) -> None:
        """Note that the data set was found whole, and end a loss."""
        assert self._remembered is not None
        self._remembered = msgspec.structs.replace(self._remembered, found_us=record.now_us)
        if self._loss is not None:
            log.warning("data_loss_ended data=%s", self.data_id)
        self._loss = self._executor.lost = self.refusal = None
        self._store.inspector.tell("data_lost", None)
        if self._noted != self.data_id and record.pulse and self._memory.note(self.data_id):
            self._noted = self.data_id

    async def _lose(self, loss: Loss) -> None:
        is_news = self._loss is None or bool(loss.partitions - self._loss.partitions)
        self._loss = loss
        self._store.inspector.tell("data_lost", self._describe(loss))
        if not self._goes_on:
            self._executor.lost = Lost(loss.partitions, DataLost(_REFUSAL))
            self.refusal = DataLost(_REFUSAL) if loss.partitions == self._all else None
            self._on_lost(loss.partitions)
        now = self._loop.time()
        if is_news:
            self.losses += 1
        if is_news or now >= self._said_at + SAY_EVERY_S:
            self._said_at = now
            log.critical("data_lost %s", self._describe(loss))
        if self._goes_on and loss.can_be_accepted:
            await self._go_on()

    async def _go_on(self) -> None:
        """Accept the loss, as `[redis] on_data_loss: continue` asks."""
        accepted = await self._data.accept_loss()
        if accepted is not None:
            log.critical("data_loss_accepted data=%s by='[redis] on_data_loss'", accepted.data_id)
        record = await self._executor.one(self._data.calls.look(self._remembered, self._node_id))
        if record.data_id != self.data_id:
            self._take_over(record)
        if is_whole(record):
            self._found(record)

    def _describe(self, loss: Loss) -> str:
        return (
            f"the store should hold the data set {self.data_id}, but {loss.found}. {len(loss.partitions)} of "
            f"{counted(len(self._all), 'partition')} {is_or_are(len(loss.partitions))} lost"
            f"{', and this node continues' if self._goes_on else f', and refused. What to do: {loss.way_on}'}"
        )

    async def _is_odd(self) -> bool:
        """Return True if one of several primaries does not hold the data set in its first partition."""
        if len(self._store.nodes()) <= 1 or self.data_id == NONE:
            return False
        probes = {self._witness.first_partition(node) for node in self._store.nodes()} - {None}
        calls = [self._data.calls.check(partition) for partition in probes if partition is not None]
        replies = await self._executor.run(calls) if calls else []
        return any(not isinstance(reply, SharqError) and reply.value != self.data_id for reply in replies)


def _what_is_there(ids: Mapping[int, str], lost: frozenset[int], record: DataRecord) -> str:
    """Return a description of what the store holds instead."""
    others = sorted({ids[partition] for partition in lost if partition in ids} - {NONE})
    there = f"the data set {', '.join(others)}" if others else "nothing"
    in_record = f"the data set {record.data_id}" if record.data_id else "no data set"
    missed = "".join(
        f", and the node {miss.node_id} misses {miss.data_id}" for miss in record.missed if miss.is_replaced
    )
    return f"it holds {there} in the lost partitions; its record names {in_record}{missed}"
