"""Drives the scheduler's functions beside the plain-Python model at an injected clock, and compares the answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import redis
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
)

from sharq_core.limits import MAX_HOLD_US, Burst, QueueSettings
from sharq_core.models import (
    ExtendJob,
    FinishJob,
    JobState,
    JobStatus,
    MinuteCounts,
    NewJob,
    QueuePage,
    QueueStats,
    ReleaseJob,
)
from sharq_core.scheduler.function_call import MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.replies import CountsReply, DequeueReply, Reply, TypeTotals, minute_counts
from sharq_core.scheduler.surveys import RefreshReply
from tests.scheduler.drivers.driver import DAY_US, MINUTE_US, RANDOM, SECOND_US, START_US, TYPE, Driver
from tests.scheduler.machines.strategies import (
    BURSTS,
    CLOCK_STEPS_US,
    DELAYS_US,
    ERRORS,
    FINISHES,
    GUESSES,
    HOLDS_US,
    INTERVALS_US,
    LEASES_US,
    NEW_JOBS,
    NOT_AFTER_US,
    PROGRESS,
    QUEUE_IDS,
    REPORTS,
    SETTINGS,
    STEPS_US,
    Lease,
    on_the_clock,
)
from tests.scheduler.machines.witness import Witness
from tests.scheduler.models import queues as model_queues
from tests.scheduler.models.model import Model
from tests.scheduler.stored.records import assert_records_agree, read_raw

RETENTION = Retention(
    finished_us=5 * MINUTE_US, dead_us=60 * MINUTE_US, tombstones=4, dead=3, result_bytes=600
)

NO_TOTALS = TypeTotals(TYPE, 0, 0, 0, 0, 0, 0, 0)


class SchedulerMachine(RuleBasedStateMachine):
    """Every rule does the same thing to the model and to the store and compares the answers."""

    leases: Bundle[Lease] = Bundle("leases")
    held = st.one_of(leases, leases, leases, GUESSES)

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        super().__init__()
        self.driver = Driver(client, prefix, retention=RETENTION)
        self.model = Model(TYPE, RETENTION, START_US)
        self.witness = Witness()
        self.latest_us = START_US
        self.real_us = START_US
        self.has_stepped_far = False

    def teardown(self) -> None:
        keys = self.driver.store_keys()
        if keys:
            self.driver.client.unlink(*keys)

    # The clock.

    @rule(by_us=STEPS_US)
    def advance(self, by_us: int) -> None:
        self._let_pass(by_us)

    @rule(by_us=CLOCK_STEPS_US)
    def step_back(self, by_us: int) -> None:
        """The store's clock, before any node has noticed."""
        self._move_clock(-by_us)

    @rule(by_us=CLOCK_STEPS_US, is_back=st.booleans(), is_stale=st.sampled_from([False, False, False, True]))
    def step_and_mend(self, by_us: int, is_back: bool, is_stale: bool) -> None:
        """The store's clock, and a node mends the partition's time before any call; stale: another node has already.

        Left out is a mending that takes back a time at which jobs were leased: nodes' calls are refused while a step
        ahead is not mended, and the model has no such queues (queue_record.unpack heals them).
        """
        by_us = -by_us if is_back else by_us
        state = self.model.state
        number, seen_us, shift_us = state.number, state.seen_us - is_stale, state.shift_us - by_us
        if not is_back:
            number = max(number - is_stale, 0)
        foreseen = copy(state)
        foreseen.told_us += by_us
        foreseen.set_clock(number, seen_us, shift_us)
        assume(self._takes_nothing_back(foreseen.now_us))
        self._move_clock(by_us)
        found = self.driver.value(
            self.driver.functions.set_clock(0, number, seen_us, shift_us, now_us=self.driver.now_us)
        )
        assert (found.number, found.shift_us) == state.set_clock(number, seen_us, shift_us)
        if state.shift_us != shift_us and not is_back:
            self.real_us += by_us

    def _takes_nothing_back(self, now_us: int) -> bool:
        return all(queue.last_us <= now_us for queue in self.model.state.queues.values())

    @rule(near_us=st.sampled_from([-1, 0, 1]))
    def advance_to_the_next_event(self, near_us: int) -> None:
        """To about when something becomes due: where off-by-one mistakes live."""
        now_us = self.model.state.now_us
        places = [queue.place_us for queue in self.model.state.queues.values() if queue.place_us is not None]
        events = [*places, *(job.due_us for job in self.model.state.jobs.values())]
        events += [job.expires_at_us or 0 for job in self.model.state.jobs.values()]
        events += [
            max(queue.full_us, queue.active_us + 10 * MINUTE_US) for queue in self.model.state.queues.values()
        ]
        due_us = min((event for event in events if event > now_us), default=now_us + SECOND_US)
        self._let_pass(max(min(due_us, now_us + 400 * DAY_US) + near_us - now_us, 0))

    def _let_pass(self, by_us: int) -> None:
        self.real_us += by_us
        self._move_clock(by_us)

    def _move_clock(self, by_us: int) -> None:
        self.driver.advance(by_us)
        self.has_stepped_far = self.has_stepped_far or by_us <= -10 * MINUTE_US
        self.model.state.told_us = self.driver.now_us
        self.latest_us = max(self.latest_us, self.driver.now_us)

    # Jobs.

    @rule(jobs=st.lists(NEW_JOBS, min_size=1, max_size=4), not_after=NOT_AFTER_US)
    def enqueue(self, jobs: list[NewJob], not_after: int | None) -> None:
        functions, now_us = self.driver.functions, self.driver.now_us
        jobs = [on_the_clock(job, now_us) for job in jobs]
        not_after_us = None if not_after is None else now_us + not_after
        found = self.driver.reply(functions.enqueue(0, TYPE, jobs, not_after_us=not_after_us, now_us=now_us))
        assert found.hint.now_us == now_us
        with self._expiries(found):
            assert found.value == (None if not_after == -1 else self.model.enqueue(jobs))

    @contextmanager
    def _expiries(self, found: Reply[Any]) -> Iterator[None]:
        """A reply has the numbers of jobs that expire in the model's call within."""
        state = self.model.state
        state.expired = state.dropped = 0
        yield
        assert (found.expired_jobs, found.dropped_jobs) == (state.expired, state.dropped)

    @rule(
        target=leases,
        count=st.sampled_from([1, 2, 3, 100]),
        lease_us=LEASES_US,
        per_queue=st.sampled_from([1, 2, 100]),
        max_bytes=st.sampled_from([1, 70, MAX_CALL_BYTES]),
        not_after=NOT_AFTER_US,
    )
    def dequeue(
        self, count: int, lease_us: int, per_queue: int, max_bytes: int, not_after: int | None
    ) -> MultipleResults[Lease]:
        now_us = self.driver.now_us
        call = self.driver.functions.dequeue(
            0,
            TYPE,
            count,
            lease_us,
            RANDOM,
            per_queue=per_queue,
            max_bytes=max_bytes,
            not_after_us=None if not_after is None else now_us + not_after,
            now_us=now_us,
        )
        found = self.driver.reply(call).value
        if not_after == -1:
            assert found is None
            return multiple()
        wanted = self.model.dequeue(count, lease_us, RANDOM, per_queue=per_queue, max_bytes=max_bytes)
        self._compare_dequeue(found, wanted)
        for job in wanted.jobs:
            limit = self.model.state.jobs[job.queue_id, job.job_id].requeue_limit
            self.witness.see_lease(job, limit, self.real_us)
            assert job.expires_at_us is None or job.expires_at_us > now_us  # I15
        self._see_leased({job.queue_id for job in wanted.jobs})
        return multiple(*((job.queue_id, job.job_id, job.lease) for job in wanted.jobs))

    def _see_leased(self, queue_ids: set[str]) -> None:
        for queue_id in queue_ids:
            queue = self.driver.get_queue(queue_id)
            self.witness.see_leased(queue_id, queue.leased, queue.max_leased)

    @contextmanager
    def _corrections(self) -> Iterator[None]:
        """The witness sees the leases whose cost the calls within correct."""
        before = [job for job in self.model.state.jobs.values() if not job.is_corrected]
        yield
        for job in before:
            if job.is_corrected and job.token is not None and job.corrected_cost is not None:
                self.witness.see_correction(job.token, job.corrected_cost)

    @rule(held=st.lists(held, min_size=1, max_size=3), report=FINISHES)
    def finish(self, held: list[Lease], report: dict[str, Any]) -> None:
        refs = [FinishJob(TYPE, *lease, **report) for lease in held]
        call = self.driver.functions.finish(0, TYPE, refs, now_us=self.driver.now_us)
        with self._corrections():
            assert self.driver.value(call) == self.model.finish(refs)

    @rule(held=st.lists(held, min_size=1, max_size=3), by_us=LEASES_US, progress=PROGRESS)
    def extend(self, held: list[Lease], by_us: int, progress: bytes) -> None:
        refs = [ExtendJob(TYPE, *lease[:2], lease[2] or "", by_us, progress) for lease in held]
        call = self.driver.functions.extend(0, TYPE, refs, now_us=self.driver.now_us)
        before = self.model.state.in_state(JobState.LEASED)
        assert self.driver.value(call) == self.model.extend(refs)
        revived = set(self.model.state.in_state(JobState.LEASED)) - set(before)
        self._see_leased({job.queue_id for job in revived})

    @rule(
        held=st.lists(held, min_size=1, max_size=3),
        delay_us=st.one_of(st.none(), DELAYS_US),
        is_void=st.booleans(),
        counts=st.booleans(),
        report=REPORTS,
        error=ERRORS,
        not_after=NOT_AFTER_US,
    )
    def release(
        self,
        held: list[Lease],
        delay_us: int | None,
        is_void: bool,
        counts: bool,
        report: dict[str, Any],
        error: str,
        not_after: int | None,
    ) -> None:
        now_us = self.driver.now_us
        refs = [
            ReleaseJob(
                TYPE,
                queue_id,
                job_id,
                lease or "",
                delay_us or 0,
                is_void,
                counts=counts,
                error=error,
                retries=delay_us is None,
                **report,
            )
            for queue_id, job_id, lease in held
        ]
        not_after_us = None if not_after is None else now_us + not_after
        call = self.driver.functions.release(0, TYPE, refs, not_after_us=not_after_us, now_us=now_us)
        found = self.driver.reply(call)
        with self._corrections(), self._expiries(found):
            assert found.value == (None if not_after == -1 else self.model.release(refs))

    def _compare_dequeue(self, found: DequeueReply | None, wanted: DequeueReply) -> None:
        assert found == wanted

    # Queues.

    @rule(
        queue_id=QUEUE_IDS, interval_us=INTERVALS_US, burst=BURSTS, pin=st.sampled_from([None, False, True])
    )
    def interval(self, queue_id: str, interval_us: int, burst: Burst | None, pin: bool | None) -> None:
        found = self.driver.interval(interval_us, queue_id, burst=burst, pin=pin)
        assert found == self.model.interval(queue_id, interval_us, burst, pin)

    @precondition(lambda self: self.model.state.queues)
    @rule(queue_id=QUEUE_IDS, is_paused=st.sampled_from([False, False, True]))
    def pause(self, queue_id: str, is_paused: bool) -> None:
        assert self.driver.pause(is_paused, queue_id) == self.model.pause(queue_id, is_paused)

    @precondition(lambda self: self.model.state.queues)
    @rule(
        queue_id=QUEUE_IDS,
        by_us=st.one_of(HOLDS_US, st.sampled_from([0, MAX_HOLD_US + 1])),
        is_until=st.booleans(),
    )
    def hold(self, queue_id: str, by_us: int, is_until: bool) -> None:
        until_us = self.driver.now_us + by_us if is_until else None
        span_us = None if is_until else by_us
        found = self.driver.hold(span_us, queue_id, until_us=until_us)
        assert found == self.model.hold(queue_id, span_us, until_us)

    @rule(queue_id=QUEUE_IDS, settings=SETTINGS, not_after=NOT_AFTER_US)
    def set_queue(self, queue_id: str, settings: QueueSettings, not_after: int | None) -> None:
        now_us = self.driver.now_us
        not_after_us = None if not_after is None else now_us + not_after
        call = self.driver.limits.set_queue(
            0, TYPE, queue_id, settings, not_after_us=not_after_us, now_us=now_us
        )
        found = self.driver.reply(call).value
        assert found == (None if not_after == -1 else self.model.set_queue(queue_id, settings))

    @precondition(
        lambda self: any(job.state is not JobState.LEASED for job in self.model.state.jobs.values())
    )
    @rule(queue_id=QUEUE_IDS, purge=st.booleans(), limit=st.sampled_from([1, 2, 100]))
    def delete_queue(self, queue_id: str, purge: bool, limit: int) -> None:
        found = self.driver.delete_queue(queue_id, purge=purge, limit=limit)
        assert found == self.model.delete_queue(queue_id, purge, limit)

    # The reaper.

    @rule()
    def reap(self) -> None:
        found = self.driver.reap()
        assert (found.ended, found.died, found.expired, found.dropped) == self.model.reap()
        if TYPE.encode() not in read_raw(self.driver)["counters"]:
            # The idle timer of a queue that this reap swept runs in the next one; an expiry timer may have dropped it.
            model_queues.drop_forgotten(self.model.state)
        head = self.driver.client.zrange(self.driver.key("timers"), 0, 0, withscores=True)
        wanted_us = self.model.state.shown(int(head[0][1])) if head else None
        # A score is a double: above 2^53 (the year 2255) it may be a microsecond off.
        is_rounded = wanted_us is not None and found.next_timer_us is not None and wanted_us > 2**53
        off_us = (found.next_timer_us or 0) - (wanted_us or 0)
        assert found.next_timer_us == wanted_us or (is_rounded and abs(off_us) <= 2)

    @rule()
    def turn(self) -> None:
        self.driver.turn()
        self.model.state.turn()

    # What holds after every step.

    @invariant()
    def reads_agree_create_nothing_and_the_keys_agree(self) -> None:
        before = read_raw(self.driver)
        model, now_us = self.model, self.driver.now_us
        queues, jobs, (queue_page, counts, refresh) = self._read_everything()
        assert queues == {queue_id: model.get_queue(queue_id) for queue_id in queues}
        assert self.driver.list_queue_stats() == {
            queue_id: queue for queue_id, queue in queues.items() if queue.is_known
        }
        assert jobs == {key: model.get_job(key) for key in jobs}
        live = {job.queue_id for job in model.state.jobs.values()}
        assert set(queue_page.queue_ids) == live
        assert counts.queue_types == ([TYPE] if live else [])
        for column in () if self.has_stepped_far else (1, 2):
            assert self._kept(minute_counts(now_us, counts.minutes, column)) == self._kept(
                minute_counts(now_us, model.minute_rows(), column)
            )
        assert refresh.forgotten_early == model.state.forgotten_early
        model.state.results.check(before)
        assert (refresh.totals or [NO_TOTALS]) == [model.state.totals()]
        assert read_raw(self.driver) == before
        assert_records_agree(before, self.driver)
        self.witness.see_rates(queues)

    def _kept(self, counts: MinuteCounts) -> MinuteCounts:
        """Minutes that the partition keeps: after a step back of the clock, ten up to the latest that it has shown."""
        return [row for row in counts if row[0] * 1000 > self.latest_us - 10 * MINUTE_US]

    def _read_everything(
        self,
    ) -> tuple[
        dict[str, QueueStats],
        dict[tuple[str, str], JobStatus | None],
        tuple[QueuePage, CountsReply, RefreshReply],
    ]:
        functions, now_us = self.driver.functions, self.driver.now_us
        names = ["a", "a:1", "unknown"]
        keys = [(queue_id, job_id) for queue_id in names for job_id in ("1", "2", "1:2")]
        calls: list[FunctionCall[Any]] = [functions.get_queue(0, TYPE, name, now_us=now_us) for name in names]
        get_job = self.driver.job_calls.get_job
        calls += [get_job(0, TYPE, *key, knows_life=True, now_us=now_us) for key in keys]
        calls.append(functions.list_queues(0, TYPE, 0, 1000, now_us=now_us))
        calls += [functions.get_counts(0, now_us=now_us), self.driver.surveys.refresh(0, now_us=now_us)]
        values: list[Any] = [reply.value for reply in self.driver.replies(calls)]
        queues = dict(zip(names, values, strict=False))
        jobs = dict(zip(keys, values[len(names) :], strict=False))
        return queues, jobs, (values[-3], values[-2], values[-1])
