"""Queues with caps beside the plain-Python model, driven by Hypothesis at an injected clock.

A node's knowledge of them is kept up by the news alone, and must never be late.
"""

from __future__ import annotations

import itertools
import os

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, invariant, multiple, rule, run_state_machine_as_test
from msgspec import structs

from sharq_core.caps import ParkedSet
from sharq_core.limits import QueueSettings
from sharq_core.models import NewJob
from sharq_core.scheduler.caps.capped_calls import CappedCalls
from sharq_core.scheduler.function_call import MAX_CALL_BYTES
from sharq_core.scheduler.replies import DequeueReply
from tests.scheduler.drivers.driver import RANDOM, TYPE
from tests.scheduler.machines.life_machine import LifeMachine
from tests.scheduler.machines.strategies import LEASES_US, NEW_JOBS, NOT_AFTER_US, QUEUE_IDS, Lease
from tests.support.extent import CHOSEN_KINDS

CAPS = st.sampled_from([(), ("a",), ("a",), ("b",), ("a", "b")])
SETS = st.sampled_from([("a",), ("a",), ("b",), ("a", "b"), ("c",)])


class CappedMachine(LifeMachine):
    """A whole life of jobs, some of whose queues have caps.

    Attributes:
        due_us: when each set is due, as a node knows from news and from its own dequeues; times of the partition.
        changed: the latest change that the node knows.
    """

    leases = LifeMachine.leases

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        super().__init__(client, prefix)
        self.due_us: dict[tuple[str, ...], int | None] = {}
        self.changed = 0

    @property
    def capped(self) -> CappedCalls:
        return self.driver.functions.capped

    @rule(
        jobs=st.lists(st.tuples(NEW_JOBS, st.one_of(st.none(), CAPS)), min_size=1, max_size=4),
        not_after=NOT_AFTER_US,
    )
    def enqueue_capped(
        self, jobs: list[tuple[NewJob, tuple[str, ...] | None]], not_after: int | None
    ) -> None:
        self.enqueue([structs.replace(job, caps=caps) for job, caps in jobs], not_after)

    @rule(queue_id=QUEUE_IDS, caps=CAPS, not_after=NOT_AFTER_US)
    def set_caps(self, queue_id: str, caps: tuple[str, ...], not_after: int | None) -> None:
        self.set_queue(queue_id, QueueSettings(caps=caps or None), not_after)

    @rule(
        target=leases,
        caps=SETS,
        count=st.sampled_from([1, 2, 100]),
        units=st.sampled_from([1, 2, 100]),
        lease_us=LEASES_US,
        per_queue=st.sampled_from([1, 2, 100]),
        max_bytes=st.sampled_from([1, 70, MAX_CALL_BYTES]),
        not_after=NOT_AFTER_US,
        is_own=st.booleans(),
    )
    def dequeue_capped(
        self,
        caps: tuple[str, ...],
        count: int,
        units: int,
        lease_us: int,
        per_queue: int,
        max_bytes: int,
        not_after: int | None,
        is_own: bool,
    ) -> MultipleResults[Lease]:
        """By the node whose knowledge is checked, or by another one."""
        now_us = self.driver.now_us
        call = self.capped.dequeue_capped(
            0,
            TYPE,
            caps,
            count,
            units,
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
        assert found is not None
        state = self.model.state
        wanted = self.model.dequeue(
            count, lease_us, RANDOM, per_queue=per_queue, max_bytes=max_bytes, caps=caps, units=units
        )
        places = [queue.place_us for queue in state.queues.values() if queue.caps == caps]
        due_us = min((place_us for place_us in places if place_us is not None), default=None)
        assert found.due_us == (None if due_us is None else state.shown(due_us))
        assert found.left_cost == self.model.left_cost
        head_us = found.dequeue.head_us
        assert wanted.head_us is None or (head_us is not None and head_us <= wanted.head_us)
        assert structs.replace(found.dequeue, head_us=None, parked=None) == structs.replace(
            wanted, head_us=None, due_after=len(state.line(caps))
        )
        if is_own:
            self.due_us[caps] = due_us
        for job in wanted.jobs:
            limit = state.jobs[job.queue_id, job.job_id].requeue_limit
            self.witness.see_lease(job, limit, self.real_us)
        assert len(wanted.jobs) <= count
        self._see_leased({job.queue_id for job in wanted.jobs})
        return multiple(*((job.queue_id, job.job_id, job.lease) for job in wanted.jobs))

    def _compare_dequeue(self, found: DequeueReply | None, wanted: DequeueReply) -> None:
        assert found is not None
        assert all(not self.model.state.queues[job.queue_id].caps for job in found.jobs)
        super()._compare_dequeue(structs.replace(found, parked=None), wanted)

    @invariant()
    def the_sets_are_told_as_they_stand(self) -> None:
        state, now_us = self.model.state, self.driver.now_us
        page = self.driver.value(self.capped.list_parked(0, TYPE, 0, 100, now_us=now_us))
        wanted = {
            caps: (state.shown(min(times)), sum(time_us <= state.now_us for time_us in times))
            for caps, times in self._places().items()
        }
        assert {found.names: (found.due_us, found.due_queues) for found in page.sets} == wanted

    @invariant()
    def the_node_learns_of_a_set_in_time(self) -> None:
        """Early perhaps, never late: each set that is due earlier than the node knows has news."""
        for found in self._news():
            self.due_us[found.names] = self.model.state.partition_time(found.due_us)
        for caps, times in self._places().items():
            known_us = self.due_us.get(caps)
            assert known_us is not None
            assert known_us <= min(times)

    def _news(self) -> list[ParkedSet]:
        """Read the sets with news since the latest change, one at a time."""
        sets: list[ParkedSet] = []
        while True:
            call = self.capped.list_parked(0, TYPE, self.changed, 1, now_us=self.driver.now_us)
            page = self.driver.value(call)
            self.changed = max(page.changed, self.changed)
            sets += page.sets
            if not page.has_more:
                return sets

    def _places(self) -> dict[tuple[str, ...], list[int]]:
        """The times of the parked queues of each set."""
        places: dict[tuple[str, ...], list[int]] = {}
        for queue in self.model.state.queues.values():
            if queue.caps and queue.place_us is not None:
                places.setdefault(queue.caps, []).append(queue.place_us)
        return places


@pytest.mark.parametrize("store", CHOSEN_KINDS, indirect=True, scope="session")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_queues_with_caps_answer_as_the_model_and_no_news_is_late(client: redis.Redis, prefix: str) -> None:
    numbers = itertools.count()

    class Machine(CappedMachine):
        """Each example has a deployment of its own."""

        def __init__(self) -> None:
            super().__init__(client, f"{prefix}-{next(numbers)}")

    chosen = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
    run_state_machine_as_test(Machine, settings=chosen)
