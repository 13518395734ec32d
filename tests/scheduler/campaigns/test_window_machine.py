"""The scheduler beside window_model.py: any calls about windows, queues and jobs, with steps of the clock."""

from __future__ import annotations

import os
from itertools import pairwise
from uuid import uuid4

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sharq_core.campaigns.windows import DropStatus
from sharq_core.job_changes import JobChange
from sharq_core.job_life import RedriveStatus
from sharq_core.limits import BlockedBy
from sharq_core.models import EnqueueStatus, JobState, LeasedJob, LeaseStatus, NewJob, QueueStats
from tests.scheduler.campaigns.window_model import DEAD, LEASED, QUEUED, Job, Window, WindowModel
from tests.scheduler.drivers.driver import DAY_US, MINUTE_US
from tests.scheduler.drivers.windows import WindowDriver, windowed
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.extent import CHOSEN_KINDS

WINDOWS = ["w1", "w2", "w3"]
QUEUES = ["q1", "q2", "q3"]
IDS = [f"j{number}" for number in range(12)]
LEASE_US = 30 * DAY_US
GRAIN_US = 200_000
"""The most by which a step back takes back a partition's time (clock.lua)."""

windows = st.sampled_from(WINDOWS)
queues = st.sampled_from(QUEUES)
cuts = st.tuples(
    st.sampled_from([-60, -60, -1, 0, 1, 30]),
    st.lists(st.sampled_from([31, 60, 90, 91, 120, 240]), unique=True, min_size=1, max_size=5).map(sorted),
).map(lambda drawn: [drawn[0], *drawn[1]])
"""Minutes from now at which a window opens and closes in turn."""

reaches = st.sampled_from([2880, 120, 30])
mostly_none = st.sampled_from([*WINDOWS, *[None] * 5])
fresh_jobs = st.builds(
    windowed,
    st.sampled_from(IDS),
    st.none() | windows | windows,
    queues,
    ignores=st.sampled_from([False, False, False, True]),
    priority=st.integers(4, 6),
    requeue_limit=st.sampled_from([-1, -1, 0]),
    queue_type=st.just("sms~a"),
)


class WindowMachine(RuleBasedStateMachine):
    """Windows that open, close, change and go, under jobs that come and go."""

    client: redis.Redis

    def __init__(self) -> None:
        super().__init__()
        self.driver = WindowDriver(self.client, f"wm{uuid4().hex[:12]}", queue_type="sms~a")
        self.model = WindowModel()
        self.must_walk = self.has_stepped_back = False
        self.gone_us: dict[tuple[str, str], int] = {}

    def teardown(self) -> None:
        keys = [*self.driver.store_keys()]
        if keys:
            self.client.delete(*keys)

    def openings(self, minutes: list[int]) -> list[tuple[int, int]]:
        times = [self.driver.now_us + minute * MINUTE_US for minute in minutes]
        return [(begin, end) for index, (begin, end) in enumerate(pairwise(times)) if index % 2 == 0]

    @initialize(minutes=st.lists(cuts, min_size=3, max_size=3))
    def begin(self, minutes: list[list[int]]) -> None:
        for name, of_window in zip(WINDOWS, minutes, strict=True):
            self.put(name, of_window, 2880)

    def put(self, name: str, minutes: list[int], known: int) -> None:
        openings, until_us = self.openings(minutes), self.driver.now_us + known * MINUTE_US
        outcome = self.driver.put_all(name, *openings, until_us=until_us)
        self.must_walk |= outcome.must_rescore
        self.model.windows[name] = Window(openings, until_us, outcome.version)

    @rule(kind=st.sampled_from(["put", "extend", "late"]), name=windows, minutes=cuts, known=reaches)
    def define(self, kind: str, name: str, minutes: list[int], known: int) -> None:
        if kind == "put":
            self.put(name, minutes, known)
        else:
            self.extend(name, known, is_newest=kind == "extend")

    def extend(self, name: str, known: int, *, is_newest: bool) -> None:
        window, until_us = self.model.windows.get(name), self.driver.now_us + known * MINUTE_US
        version, openings = (window.version, window.openings) if window else (1, [])
        later = (
            [*openings, (until_us - MINUTE_US, until_us)]
            if not openings or openings[-1][1] < until_us - MINUTE_US
            else openings
        )
        self.must_walk |= self.driver.extend_window(
            name, version if is_newest else version + 1, until_us, *later
        )
        if window and is_newest:
            self.model.windows[name] = Window(later, until_us, version)

    def drop(self, name: str) -> None:
        status, uses = self.driver.drop_window(name), self.model.uses(name)
        if name not in self.model.windows:
            assert status is DropStatus.UNKNOWN
        else:
            assert status is (DropStatus.USED if uses else DropStatus.DONE)
        if status is DropStatus.DONE:
            del self.model.windows[name]

    @rule(jobs=st.lists(fresh_jobs, min_size=1, max_size=5))
    def enqueue(self, jobs: list[NewJob]) -> None:
        for job in jobs:
            self.enqueue_one(job)

    def forget(self, job: Job) -> None:
        """Note that a job is gone."""
        key = job.queue_id, job.job_id
        del self.model.jobs[key]
        self.gone_us[key] = self.driver.now_us

    def enqueue_one(self, job: NewJob) -> None:
        # The store tells the newer of the tombstone and the dead letter of an id, so an id that may die is not used
        # again in the microsecond in which it went.
        if self.gone_us.get((job.queue_id, job.job_id)) == self.driver.now_us:
            return
        (answer,) = self.driver.enqueue(job)
        known = self.model.jobs.get((job.queue_id, job.job_id))
        if known and known.state != DEAD:
            assert answer.status is EnqueueStatus.DUPLICATE
        elif job.window is not None and job.window not in self.model.windows:
            assert answer.status is EnqueueStatus.UNKNOWN_WINDOW
        else:
            assert answer.status is EnqueueStatus.QUEUED
            if known:  # a dead letter of the same id
                self.model.jobs[job.queue_id, f"{job.job_id}/dead/{known.seq}"] = known
            self.model.jobs[job.queue_id, job.job_id] = Job(
                job.job_id, job.queue_id, job.window, job.ignores_window, job.priority, self.model.next_seq()
            )

    def set_queue(self, queue_id: str, window: str | None) -> None:
        stats = self.driver.set_window(window, queue_id)
        assert stats.is_window_unknown == (window is not None and window not in self.model.windows)
        if stats.is_window_unknown:
            return
        assert stats.window == window
        if window is None:
            self.model.of_queues.pop(queue_id, None)
        else:
            self.model.of_queues[queue_id] = window

    def set_type(self, window: str | None) -> None:
        stats = self.driver.set_type_window(window)
        assert stats.is_window_unknown == (window is not None and window not in self.model.windows)
        if not stats.is_window_unknown:
            assert stats.window == window
            self.must_walk |= window != self.model.of_type
            self.model.of_type = window

    @rule(
        kind=st.sampled_from(["queue", "queue", "type", "drop", "delete"]),
        queue_id=queues,
        window=mostly_none,
    )
    def change_settings(self, kind: str, queue_id: str, window: str | None) -> None:
        if kind == "queue":
            self.set_queue(queue_id, window)
        elif kind == "type":
            self.set_type(window)
        elif kind == "delete":
            self.delete_queue(queue_id)
        else:
            self.drop(window or "w1")

    @rule(
        kind=st.sampled_from(["advance", "advance", "advance", "step back", "walk"]),
        minutes=st.sampled_from([30, 0, 1, 29, 31, 60, 90]),
        microseconds=st.sampled_from([0, -1, 1]),
    )
    def pass_time(self, kind: str, minutes: int, microseconds: int) -> None:
        if kind == "walk":
            self.driver.rescore_all("0", 1 + minutes)
            self.must_walk = False
        elif kind == "step back":
            self.driver.advance(-minutes * MINUTE_US)
            self.has_stepped_back = True
            self.must_walk |= minutes > 0
        else:
            self.driver.advance(max(minutes * MINUTE_US + microseconds, 0))
        self.dequeue_all()

    def take(self, jobs: list[LeasedJob]) -> None:
        """Compare leased jobs with the model: of each queue the first ones that may leave, in order."""
        now_us = self.driver.now_us
        for queue_id in {job.queue_id for job in jobs}:
            leased = [job for job in jobs if job.queue_id == queue_id]
            wanted = self.model.leasable(queue_id, now_us)[: len(leased)]
            assert [job.job_id for job in leased] == [job.job_id for job in wanted]
            for job, known in zip(leased, wanted, strict=True):
                known.state, known.lease = LEASED, job.lease

    @rule(jobs=st.lists(fresh_jobs, max_size=3), count=st.sampled_from([1, 2, 3, 100]))
    def enqueue_and_dequeue(self, jobs: list[NewJob], count: int) -> None:
        for job in jobs:
            self.enqueue_one(job)
        if count < 100:
            self.take(self.driver.dequeue(count, lease_us=LEASE_US))
        else:
            self.dequeue_all()

    def dequeue_all(self) -> None:
        """Lease until nothing is due: then no job is left that may leave, unless ready times are to be corrected."""
        for _ in range(100):
            reply = self.driver.dequeue_reply(5, lease_us=LEASE_US)
            self.take(reply.jobs)
            if not reply.jobs and not reply.due_after:
                break
        else:
            raise AssertionError("the dequeues have no end")
        if not self.must_walk:
            left = [job for queue_id in QUEUES for job in self.model.leasable(queue_id, self.driver.now_us)]
            stale = [job for job in left if self.was_stale(job)]
            assert left == stale

    def was_stale(self, job: Job) -> bool:
        """A queue whose window was not known to open is examined again within a minute."""
        score = self.driver.score(job.queue_id)
        return score is not None and 0 < score - self.partition_now() <= MINUTE_US

    def partition_now(self) -> int:
        clock = self.client.hget(self.driver.key("counters"), ":clock")
        assert isinstance(clock, bytes)
        return self.driver.now_us + int.from_bytes(clock[5:13], "big", signed=True)

    def of_state(self, *states: str) -> list[Job]:
        return sorted(
            (job for (_, name), job in self.model.jobs.items() if job.state in states and "/" not in name),
            key=lambda job: job.seq,
        )

    @precondition(lambda self: self.of_state(LEASED))
    @rule(data=st.data(), ending=st.sampled_from(["finish", "release", "take back"]))
    def end_lease(self, data: st.DataObject, ending: str) -> None:
        job = data.draw(st.sampled_from(self.of_state(LEASED)))
        if ending == "finish":
            assert self.driver.finish(job.job_id, job.lease, job.queue_id) is LeaseStatus.DONE
            self.forget(job)
            return
        assert self.driver.release(job.job_id, job.lease, queue_id=job.queue_id) is LeaseStatus.DONE
        status = self.driver.status(job.job_id, job.queue_id)
        if status is None or status.state is JobState.CANCELLED:
            assert job.is_deleted
            self.forget(job)
            return
        assert not job.is_deleted
        job.state = DEAD if status.state is JobState.DEAD else QUEUED
        if ending == "take back" and job.state == QUEUED:
            is_open = self.model.may_leave(job, self.driver.now_us)
            taken = self.driver.extend(job.job_id, job.lease, LEASE_US, job.queue_id)
            assert taken is (LeaseStatus.DONE if is_open else LeaseStatus.LOST)
            if is_open:
                job.state = LEASED

    @precondition(lambda self: self.of_state(QUEUED))
    @rule(data=st.data(), priority=st.none() | st.integers(4, 6))
    def cancel_or_change(self, data: st.DataObject, priority: int | None) -> None:
        job = data.draw(st.sampled_from(self.of_state(QUEUED)))
        if priority is None:
            self.driver.cancel(job.job_id, job.queue_id)
            self.forget(job)
            return
        call = self.driver.job_calls.change_job(
            0, "sms~a", job.queue_id, job.job_id, JobChange(priority=priority), now_us=self.driver.now_us
        )
        self.driver.value(call)
        job.priority = priority

    @precondition(lambda self: self.of_state(DEAD))
    @rule(data=st.data())
    def redrive(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.of_state(DEAD)))
        assert self.driver.redrive(job.job_id, queue_id=job.queue_id) == [RedriveStatus.QUEUED]
        job.state, job.seq = QUEUED, self.model.next_seq()

    def delete_queue(self, queue_id: str) -> None:
        waiting = self.model.waiting(queue_id)
        assert self.driver.delete_queue(queue_id) == len(waiting)
        for job in waiting:
            self.forget(job)
        if waiting:
            for job in self.of_state(LEASED):
                job.is_deleted |= job.queue_id == queue_id

    def is_ahead(self, stats: QueueStats) -> bool:
        """Return True if the last lease of a queue was a moment later than now, because the clock stepped back."""
        return (
            self.has_stepped_back
            and stats.blocked_by is BlockedBy.RATE
            and stats.next_ready_in_us is not None
            and 0 < stats.next_ready_in_us <= GRAIN_US
        )

    @invariant()
    def keys_agree(self) -> None:
        assert_keys_agree(self.driver)

    @invariant()
    def what_is_told_is_right(self) -> None:
        now_us = self.driver.now_us
        for queue_id in self.model.queue_ids():
            waiting, stats = self.model.waiting(queue_id), self.driver.get_queue(queue_id)
            assert stats.queued == len(waiting)
            if waiting and not self.is_ahead(stats):
                is_closed = not self.model.leasable(queue_id, now_us)
                assert stats.blocked_by is (BlockedBy.WINDOW if is_closed else None)
            for position, job in enumerate(waiting, start=1):
                status = self.driver.status(job.job_id, queue_id)
                assert status is not None
                assert (status.position, status.opens_at_us) == (position, self.model.opens_at(job, now_us))
                assert (status.window, status.ignores_window) == (
                    None if job.ignores else job.window,
                    job.ignores,
                )


@pytest.mark.parametrize("store", CHOSEN_KINDS, indirect=True, scope="session")
def test_windows_keep_to_the_model(client: redis.Redis) -> None:
    class Machine(WindowMachine):
        pass

    Machine.client = client
    chosen = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
    run_state_machine_as_test(Machine, settings=chosen)
