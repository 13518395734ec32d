"""Reads which types this node's partitions hold, a bounded page at a time; feeds the ready index, reaper and census.

What a node does to its own partitions it knows by the replies; what another node did, that one leaves word of (lua/
touched.lua), and each look reads the words. The pages find everything again after a start or a change of the ring, and
go round for ever, so that nothing missed stays so. No page is taken for the whole: a type is forgotten only when a scan
from end to end did not meet it. Not here: when to read (shard/index/refresher.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import takewhile
from time import monotonic

import msgspec

from shard.batching.pipeline import Pipeline
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks, elapsed_us
from shard.data_identity.guard import DataGuard
from shard.index.census import Census
from shard.index.ready_index import ReadyIndex
from shard.index.set_aside import ASIDE_S, SetAside
from shard.reaper import Reaper
from sharq_core.errors import SharqError
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.replies import Reply
from sharq_core.scheduler.surveys import SurveyCalls, SurveyReply, TypeRow
from sharq_core.store.failures import CallFailed

log = logging.getLogger(__name__)

PAGE_TYPES = 500
"""Types that one round trip reads, of all partitions together: about a millisecond of the store, some of the loop."""

CALLS_AT_ONCE = 100
"""Partitions that one round trip looks at."""

SLICE_TYPES = 1_000
"""Types that are forgotten before the loop goes on with something else."""

_SPARE = 16
"""A page is asked to be longer than what is there, or the scan of a short one might not say that it is at its end."""


class _Reading(msgspec.Struct):
    """How far a partition's types were read.

    Attributes:
        fields: how many types there are, about; -1 before the first look.
        touches: words of other nodes that were read.
        scan: where the round goes on; 0 at its beginning.
        begun_at: when (time.monotonic) its first page was asked for.
        server: of which server and connections its cursor is.
        is_sound: its pages are all of one server, so that what it did not meet is not there.
        met: the types that it met.
        is_whole: a sound round has come to its end.
        is_doubted: another node changed more than its words name.
        look_at: when a partition that failed may be asked again.
        tombstones, forgotten_early, turn_us, now_us: as the store last said (SurveyReply).
    """

    fields: int = -1
    touches: int = -1
    scan: int = 0
    begun_at: float = 0.0
    server: Hashable = None
    is_sound: bool = True
    met: set[str] = msgspec.field(default_factory=set)
    is_whole: bool = False
    is_doubted: bool = False
    look_at: float = 0.0
    tombstones: int = 0
    forgotten_early: int = 0
    turn_us: int | None = None
    now_us: int = 0

    @property
    def must_turn(self) -> bool:
        """The time of the older tombstones is over."""
        return self.turn_us is not None and self.turn_us <= self.now_us

    @property
    def is_behind(self) -> bool:
        """It is to be read on without a pause."""
        return (not self.is_whole or self.is_doubted) and self.look_at <= monotonic()


class _Look(msgspec.Struct, frozen=True):
    """One call about a partition: what was known of it, how many types were asked for, its answer, and when it was
    asked (partition_clocks.elapsed_us).
    """

    partition: int
    known: _Reading
    count: int
    answer: asyncio.Future[tuple[Reply[SurveyReply], float]]
    asked_us: int


class Surveyor:
    """What this node knows of the types in the partitions that it covers.

    Args:
        reaper: None when this process runs none; due timers then count as ready, because a dequeue runs them.
        clocks: are told each reading of a partition's time.
        guard: is told which data set each partition belongs to, and knows whose data is lost: these are not read.
        server_of: by partition, something that changes when cursors given by its server mean nothing any more.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        surveys: SurveyCalls,
        index: ReadyIndex,
        reaper: Reaper | None,
        ownership: Ownership,
        census: Census,
        set_aside: SetAside,
        guard: DataGuard,
        clocks: PartitionClocks,
        server_of: Callable[[int], Hashable],
    ) -> None:
        self._pipeline = pipeline
        self._surveys = surveys
        self._index = index
        self._reaper = reaper
        self._ownership = ownership
        self._census = census
        self._set_aside = set_aside
        self._guard = guard
        self._clocks = clocks
        self._server_of = server_of
        self._loop = asyncio.get_running_loop()
        self._readings: dict[int, _Reading] = {}

    def readings(self) -> Iterable[tuple[int, _Reading]]:
        """What was read of each partition that this node owns."""
        return ((p, reading) for p, reading in self._readings.items() if self._ownership.owns(p))

    def begin_again(self, partitions: Iterable[int]) -> None:
        """What was read of these partitions counts no longer: other nodes may have changed them unseen."""
        for partition in partitions:
            self._readings.pop(partition, None)

    def lose(self, partition: int) -> None:
        """Nothing is known to be in a partition whose data was lost. What is left of it goes with the next look."""
        self._readings.pop(partition, None)
        self._ownership.was_read(partition)
        self._index.forget(partition, SLICE_TYPES)

    def behind(self) -> list[int]:
        """The owned partitions whose types are not all known. Those of others are never: their owners change them."""
        owned = filter(self._is_read, self._ownership.owned)
        return [p for p in owned if (known := self._readings.get(p)) is None or known.is_behind]

    def _is_read(self, partition: int) -> bool:
        """This node answers for the partition, and its data is there."""
        return self._ownership.covers(partition) and not self._guard.is_lost(partition)

    async def read(self, partitions: Sequence[int], most_types: int) -> tuple[int, int]:
        """Look at each partition, and read pages of up to about `most_types` types in all, the first ones first.

        Returns:
            How many types were asked for, and how many partitions had their page before one that had none.

        Raises:
            SharqError: the store did not answer for some; those keep what was known. A partition that fails by itself
                is set aside and raises nothing.
        """
        failures: list[SharqError] = []
        types = served = looked_at = 0
        for group in self._groups([*filter(self._is_read, partitions)], most_types):
            looks = [self._begin_look(partition, count) for partition, count in group]
            answers = await asyncio.gather(*(look.answer for look in looks), return_exceptions=True)
            for look, answer in zip(looks, answers, strict=True):
                if isinstance(answer, CallFailed):
                    self._put_off(look, answer)
                elif isinstance(answer, SharqError):
                    look.known.look_at = monotonic() + ASIDE_S
                    failures.append(answer)
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    await self._end_look(look, *answer)
            counts = [count for _, count in group]
            types += sum(counts)
            has_page = [
                count > 0 or look.known.fields <= 0 for look, count in zip(looks, counts, strict=True)
            ]
            served += len(list(takewhile(bool, has_page))) if served == looked_at else 0
            looked_at += len(group)
            await asyncio.sleep(0)
        if failures:
            raise failures[0]
        return types, served

    async def read_on(self, behind: Sequence[int]) -> None:
        """Read a page, in one round trip, of the first of the partitions whose types are not all known.

        Raises:
            SharqError: as `read`.
        """
        types = 0
        for index, partition in enumerate(behind[:CALLS_AT_ONCE]):
            known = self._readings.get(partition)
            types += known.fields if known else 0
            if index and types > PAGE_TYPES:
                behind = behind[:index]
                break
        await self.read(behind[:CALLS_AT_ONCE], PAGE_TYPES)

    def under_way(self) -> list[int]:
        """The covered partitions with a round that has begun and not ended."""
        return [p for p, known in self._readings.items() if known.scan and self._ownership.covers(p)]

    async def find(self, partition: int, queue_type: str) -> None:
        """Read one type of a partition, for a caller who has to know whether a job is ready.

        Raises:
            SharqError: the store did not answer.
        """
        try:
            reply, sent_at = await self._pipeline.run(self._surveys.get_type(partition, queue_type))
        except CallFailed as error:
            self._set_aside.add(partition, queue_type, error.message)
            return
        if self._ownership.covers(partition):
            row, shift_us = value_of(reply)
            now_us = reply.hint.now_us
            self._tell(partition, [(queue_type, row)], now_us, sent_at, shift_us, with_timers=True)

    async def let_go(self) -> None:
        """Forget the partitions that this node answers for no longer, some types at a time."""
        for partition in [p for p in self._readings if not self._is_read(p)]:
            del self._readings[partition]
        for partition in self._index.partitions():
            await self._forget(partition, self._is_read, self._index.forget)
        for partition in self._census.partitions():
            await self._forget(partition, self._ownership.owns, self._census.forget)

    async def _forget(
        self, partition: int, is_kept: Callable[[int], bool], forget: Callable[[int, int], bool]
    ) -> None:
        """Forget what is known of a partition, some types at a time, unless it has come back meanwhile."""
        is_left = True
        while is_left and not is_kept(partition):
            is_left = forget(partition, SLICE_TYPES)
            await asyncio.sleep(0)

    def _groups(self, partitions: Sequence[int], most_types: int) -> Iterable[list[tuple[int, int]]]:
        """(partition, types to read) of each, in groups of one round trip; each is planned when its turn comes."""
        group: list[tuple[int, int]] = []
        size = 0
        for partition in partitions:
            known = self._readings.setdefault(partition, _Reading())
            count = min(max(known.fields, 0), PAGE_TYPES, max(most_types, 0))
            if group and (size + count > PAGE_TYPES or len(group) == CALLS_AT_ONCE):
                yield group
                group, size = [], 0
            group.append((partition, count))
            size += count
            most_types -= count
        if group:
            yield group

    def _begin_look(self, partition: int, count: int) -> _Look:
        """Ask for what is to be known of a partition, and a page of about `count` types."""
        known = self._readings[partition]
        if count and not known.scan:
            self._begin_round(partition, known, monotonic())
        wanted = count + _SPARE if count else 0
        call = self._surveys.survey(partition, touches=known.touches, scan=known.scan, count=wanted)
        return _Look(partition, known, count, self._pipeline.send(call), elapsed_us())

    def _begin_round(self, partition: int, known: _Reading, begun_at: float) -> None:
        known.begun_at, known.met, known.server = begun_at, set(), self._server_of(partition)
        known.is_sound, known.is_doubted = True, False

    def _put_off(self, look: _Look, error: CallFailed) -> None:
        """The partition failed by itself. It counts as read, so that it does not make the whole node unsure."""
        look.known.look_at, look.known.turn_us = monotonic() + ASIDE_S, None
        self._set_aside.add(look.partition, "", error.message)
        self._ownership.was_read(look.partition)

    async def _end_look(self, look: _Look, reply: Reply[SurveyReply], sent_at: float) -> None:
        partition, known, value, now_us = look.partition, look.known, value_of(reply), reply.hint.now_us
        if self._readings.get(partition) is not known:
            return
        self._guard.note(partition, value.data_id)
        known.fields, known.touches = value.fields, value.touches
        known.tombstones, known.forgotten_early = value.tombstones, value.forgotten_early
        known.turn_us, known.now_us = value.turn_us, now_us
        known.is_doubted |= value.is_cut
        await self._see_clock(look, now_us, value)
        shift_us = value.clock.shift_us
        self._tell(partition, value.touched, now_us, sent_at, shift_us)
        self._tell(partition, value.page, now_us, sent_at, shift_us)
        if not value.fields:
            self._begin_round(partition, known, sent_at)
        elif not look.count:
            return
        known.is_sound &= known.server == self._server_of(partition)
        known.met.update([name for name, _ in value.page])
        known.met.update([name for name, row in value.touched if row is not None])
        known.scan = value.scan if known.is_sound or known.is_whole else 0
        if not known.scan and known.is_sound:
            await self._end_round(partition, known, now_us)

    async def _see_clock(self, look: _Look, now_us: int, value: SurveyReply) -> None:
        """Tell what a reading says of the partition's time, before anything goes by that time. A store that refuses to
        set it (it lacks a replica) is asked again with the next reading.
        """
        try:
            await self._clocks.see(
                look.partition,
                now_us,
                value.clock,
                look.asked_us,
                is_used=bool(value.fields or value.tombstones),
                is_owned=self._ownership.owns(look.partition),
            )
        except SharqError as error:
            log.debug("partition_time_not_set partition=%d error=%r", look.partition, error.message)

    async def _end_round(self, partition: int, known: _Reading, now_us: int) -> None:
        """Every type that was there throughout was met; the others are gone."""
        met, known.met, known.is_whole = known.met, set(), True
        self._ownership.was_read(partition)
        for at, name in enumerate(self._index.types_in(partition), 1):
            if name not in met:
                self._index.read(partition, now_us, [(name, None)], known.begun_at)
            if not at % SLICE_TYPES:
                await asyncio.sleep(0)
        for at, name in enumerate(self._census.types_in(partition), 1):
            if name not in met:
                self._census.put(partition, name, None)
            if not at % SLICE_TYPES:
                await asyncio.sleep(0)

    def _tell(
        self,
        partition: int,
        rows: Sequence[tuple[str, TypeRow]] | Sequence[tuple[str, TypeRow | None]],
        now_us: int,
        sent_at: float,
        shift_us: int,
        *,
        with_timers: bool = False,
    ) -> None:
        """Tell the index, the reaper and the census what was read.

        Args:
            now_us: the store's clock in the reply.
            shift_us: how far the times of the rows are ahead of it.
            with_timers: what a due timer may make ready counts as ready.
        """
        if not rows or not self._ownership.covers(partition):
            return
        heads: list[tuple[str, int | None]] = []
        is_owned = self._ownership.owns(partition)
        own_us = now_us + shift_us
        offset_s = self._loop.time() - own_us / 1e6
        for name, row in rows:
            ready_us, timer_us = (row.ready_us, row.timer_us) if row else (None, None)
            if timer_us is not None:
                if self._reaper is not None and is_owned:
                    self._reaper.note_at(partition, name, timer_us / 1e6 + offset_s)
                if self._reaper is None or (with_timers and timer_us <= own_us):
                    ready_us = timer_us if ready_us is None else min(timer_us, ready_us)
            heads.append((name, None if ready_us is None else ready_us - shift_us))
            if is_owned:
                self._census.put(partition, name, row if row and row.has_jobs else None)
        self._index.read(partition, now_us, heads, sent_at)
