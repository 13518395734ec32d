"""The machine of machine.py with what a person does with jobs: cancels, changes and lists them, and dead letters."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from sharq_core.job_changes import CancelJob, JobChange, JobRow
from sharq_core.job_life import DeadLetter, DeadRef
from sharq_core.models import JobState
from tests.scheduler.drivers.driver import TYPE
from tests.scheduler.machines.machine import SchedulerMachine
from tests.scheduler.machines.strategies import (
    BATCHES,
    CHANGES,
    JOB_IDS,
    NOT_AFTER_US,
    PREFIXES,
    QUEUE_IDS,
    change_on_the_clock,
)

KEYS = st.tuples(QUEUE_IDS, JOB_IDS)


class LifeMachine(SchedulerMachine):
    """A whole life of jobs: all rules of the scheduler of one type."""

    def _deadline_us(self, not_after: int | None) -> dict[str, Any]:
        """The arguments of a call that may come too late."""
        now_us = self.driver.now_us
        return {"not_after_us": None if not_after is None else now_us + not_after, "now_us": now_us}

    @precondition(lambda self: self.model.state.results.held)
    @rule()
    def trim_results(self) -> None:
        self.driver.reply(self.driver.functions.results.trim(0, now_us=self.driver.now_us))
        self.model.state.results.trim(self.model.state.now_us)

    # Jobs by their ids.

    @precondition(lambda self: self.model.state.enqueued)
    @rule(keys=st.lists(KEYS, min_size=1, max_size=3), force=st.booleans(), not_after=NOT_AFTER_US)
    def cancel(self, keys: list[tuple[str, str]], force: bool, not_after: int | None) -> None:
        refs = [CancelJob(TYPE, *key, force) for key in keys]
        call = self.driver.job_calls.cancel(0, TYPE, refs, **self._deadline_us(not_after))
        assert self.driver.reply(call).value == (None if not_after == -1 else self.model.cancel(refs))

    @precondition(lambda self: self.model.state.enqueued)
    @rule(key=KEYS, change=CHANGES, not_after=NOT_AFTER_US)
    def change_job(self, key: tuple[str, str], change: JobChange, not_after: int | None) -> None:
        change = change_on_the_clock(change, self.driver.now_us)
        call = self.driver.job_calls.change_job(0, TYPE, *key, change, **self._deadline_us(not_after))
        found = self.driver.reply(call).value
        assert found == (None if not_after == -1 else self.model.change_job(key, change))

    @precondition(lambda self: self.model.state.jobs)
    @rule(queue_id=QUEUE_IDS, prefix=PREFIXES)
    def cancel_matching(self, queue_id: str, prefix: str) -> None:
        cancelled = self.driver.cancel_by_prefix(queue_id, prefix)
        assert cancelled == self.model.cancel_matching(queue_id, prefix)

    @precondition(lambda self: self.model.state.jobs)
    @rule(
        queue_id=QUEUE_IDS,
        state=st.sampled_from([JobState.QUEUED, JobState.DELAYED, JobState.LEASED]),
        prefix=PREFIXES,
        limit=st.sampled_from([1, 2, 100]),
    )
    def list_jobs(self, queue_id: str, state: JobState, prefix: str, limit: int) -> None:
        scan, found = "", list[JobRow]()
        while True:
            call = self.driver.job_calls.list_jobs(
                0, TYPE, queue_id, state, limit, prefix, scan, now_us=self.driver.now_us
            )
            page = self.driver.value(call)
            assert len(page.jobs) <= limit
            found, scan = found + page.jobs, page.scan
            if not scan:
                break
        wanted = self.model.list_jobs(queue_id, state, prefix)
        if state is JobState.LEASED:
            found, wanted = sorted(found, key=_job_id), sorted(wanted, key=_job_id)
        assert found == wanted

    # Batches.

    @precondition(lambda self: self.model.state.batches)
    @rule(batch=BATCHES)
    def cancel_batch(self, batch: str) -> None:
        scan, cancelled = "", 0
        while True:
            call = self.driver.batches.cancel_batch(0, TYPE, batch, scan, now_us=self.driver.now_us)
            step = self.driver.value(call)
            cancelled, scan = cancelled + step.cancelled, step.scan
            if not scan:
                break
        assert cancelled == self.model.cancel_batch(batch)

    @precondition(lambda self: self.model.state.batches)
    @rule(batch=BATCHES)
    def drop_batch(self, batch: str) -> None:
        call = self.driver.batches.drop_batches(0, TYPE, [batch], now_us=self.driver.now_us)
        assert self.driver.value(call) == self.model.drop_batch(batch)

    @invariant()
    def batches_agree(self) -> None:
        names = ("b1", "b:1", "unknown")
        get_batch, now_us = self.driver.batches.get_batch, self.driver.now_us
        replies = self.driver.replies([get_batch(0, TYPE, name, now_us=now_us) for name in names])
        assert [reply.value for reply in replies] == [self.model.get_batch(name) for name in names]

    # Dead letters.

    @precondition(lambda self: self.model.state.letters)
    @rule(keys=st.lists(KEYS, min_size=1, max_size=4))
    def redrive(self, keys: list[tuple[str, str]]) -> None:
        refs = [DeadRef(TYPE, *key) for key in keys]
        call = self.driver.job_calls.redrive(0, TYPE, refs, now_us=self.driver.now_us)
        assert self.driver.value(call) == self.model.redrive(refs)

    @precondition(lambda self: self.model.state.letters)
    @rule(key=KEYS)
    def drop_dead_letter(self, key: tuple[str, str]) -> None:
        call = self.driver.job_calls.drop_dead_letter(0, TYPE, *key, now_us=self.driver.now_us)
        assert self.driver.value(call) == self.model.drop_dead_letter(key)

    @precondition(lambda self: self.model.state.letters)
    @rule(keys=st.lists(KEYS, min_size=1, max_size=4))
    def drop_letters(self, keys: list[tuple[str, str]]) -> None:
        refs = [DeadRef(TYPE, *key) for key in keys]
        call = self.driver.job_calls.drop_letters(0, TYPE, refs, now_us=self.driver.now_us)
        assert self.driver.value(call) == [self.model.drop_dead_letter(key) for key in keys]

    @precondition(lambda self: self.model.state.letters)
    @rule(limit=st.sampled_from([1, 100]))
    def drop_dead(self, limit: int) -> None:
        assert self.driver.drop_dead(limit) == self.model.drop_dead(limit)

    @precondition(lambda self: self.model.state.letters)
    @rule(limit=st.sampled_from([1, 2, 100]))
    def list_dead(self, limit: int) -> None:
        scan = ""
        while True:
            found = self.driver.list_dead(scan, limit)
            assert found == self.model.list_dead(scan, limit)
            scan = found.scan
            if not scan:
                return

    @precondition(lambda self: self.model.state.letters)
    @rule(queue_id=QUEUE_IDS, limit=st.sampled_from([1, 2, 100]))
    def list_dead_of_a_queue(self, queue_id: str, limit: int) -> None:
        scan, found = "", list[DeadLetter]()
        while True:
            call = self.driver.job_calls.list_dead(0, TYPE, scan, limit, queue_id, now_us=self.driver.now_us)
            page = self.driver.value(call)
            found, scan = found + page.jobs, page.scan
            if not scan:
                break
        wanted = self.model.list_dead("", 100).jobs
        assert found == [letter for letter in wanted if letter.queue_id == queue_id]


def _job_id(row: JobRow) -> str:
    return row.job_id
