"""Jobs with permits through all that may happen to them: the ledger and the jobs agree, and every permit comes back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
import redis

from sharq_core.caps import CapDefinition, Permit
from sharq_core.models import ExtendJob, LeasedJob, LeaseStatus
from sharq_core.scheduler.caps.cap_calls import CapCalls
from tests.scheduler.drivers.capped import CappedDriver, capped
from tests.scheduler.drivers.driver import HOUR_US, LEASE_US, SECOND_US
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.extent import is_full

SEEDS = 150 if is_full() else 6
STEPS = 120
MOST = 4
CAP = "account"
PERMIT_LASTS_US = 15 * SECOND_US + 2 * LEASE_US


class Life:
    """A walk over jobs of one queue, whose cap is in the same partition.

    Attributes:
        held: the leases that workers have, as far as they know.
    """

    def __init__(self, seed: int, jobs: CappedDriver) -> None:
        self.random = Random(seed)
        self.jobs = jobs
        self.caps = CapCalls(jobs.keys)
        self.held: list[LeasedJob] = []
        self.made = 0
        jobs.value(self.caps.put_cap(0, CAP, CapDefinition([], MOST), now_us=jobs.now_us))

    def step(self) -> None:
        """Take a random step."""
        steps: dict[Callable[[], object], int] = {
            self.add: 10,
            self.lease: 20,
            self.finish: 8,
            self.give_back: 8,
            self.cancel: 3,
            self.extend: 8,
            self.wait: 6,
            self.settle: 12,
            self.delete: 1,
        }
        self.random.choices([*steps], [*steps.values()])[0]()

    def add(self) -> None:
        """Queue a job."""
        self.made += 1
        limit = self.random.choice([-1, -1, 0])
        self.jobs.enqueue(capped(f"j{self.made}", CAP, requeue_limit=limit))

    def lease(self) -> None:
        """Take slots with permits, and lease jobs with them. Unused ones go back."""
        take = self.caps.cap_take(
            0, CAP, "n", self.random.randint(1, 3), lease_us=LEASE_US, now_us=self.jobs.now_us
        )
        slots = self.jobs.value(take).slots
        if not slots:
            return
        permits: list[tuple[Permit, ...]] = [((CAP, slot.serial),) for slot in slots]
        leased = self.jobs.capped_reply(CAP, count=len(slots), permits=permits).dequeue.jobs
        self.held += leased
        unused = slots[len(leased) :]
        if unused:
            self.jobs.value(self.caps.cap_return(0, CAP, unused, now_us=self.jobs.now_us))

    def finish(self) -> None:
        """Finish a job, perhaps by a lease that was lost."""
        if self.held:
            job = self.held.pop(self.random.randrange(len(self.held)))
            self.jobs.finish(job.job_id, job.lease)

    def give_back(self) -> None:
        """Release a job in one of the ways."""
        if self.held:
            job = self.held.pop(self.random.randrange(len(self.held)))
            delay_us, is_void = self.random.choice([(0, False), (SECOND_US, False), (0, True)])
            self.jobs.release(job.job_id, job.lease, delay_us, is_void=is_void)

    def cancel(self) -> None:
        """Cancel a job by force."""
        self.jobs.cancel(f"j{self.random.randint(1, self.made + 1)}", force=True)

    def extend(self) -> None:
        """Extend a lease as a node does: renew its permits, then extend."""
        if not self.held:
            return
        job, now_us = self.random.choice(self.held), self.jobs.now_us
        wanted = [ExtendJob("sms", "q", job.job_id, job.lease, LEASE_US)]
        (first,) = self.jobs.value(self.jobs.functions.extend(0, "sms", wanted, now_us=now_us))
        assert first.status is not LeaseStatus.DONE, "it has permits"
        serials = [serial for _, serial in first.permits]
        renew = self.caps.cap_renew(0, CAP, serials, LEASE_US, now_us=now_us)
        found: list[bool] = self.jobs.value(renew)
        if serials and all(found):
            call = self.jobs.functions.capped.extend_renewed(0, "sms", wanted, clock_number=0, now_us=now_us)
            assert self.jobs.value(call)[0].status is LeaseStatus.DONE

    def wait(self) -> None:
        """Let time pass; leases end by time."""
        self.jobs.advance(self.random.choice([1, SECOND_US, LEASE_US, 3 * LEASE_US]))

    def settle(self) -> None:
        """Reap, and give back what ended; sometimes that is lost."""
        settled = self.jobs.reap().settled
        if settled and self.random.random() < 0.8:
            serials = [serial for _, serial in settled]
            self.jobs.value(self.caps.cap_settle(0, CAP, serials, now_us=self.jobs.now_us))

    def delete(self) -> None:
        """Delete the queue. What is leased runs out."""
        self.jobs.delete_queue()

    @property
    def leased(self) -> int:
        """The permits that the ledger counts."""
        state = self.jobs.value(self.caps.get_cap(0, CAP, now_us=self.jobs.now_us))
        assert state is not None
        return state.leased


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_permit_comes_back_and_there_are_never_too_many_leases(
    client: redis.Redis, prefix: str, seed: int
) -> None:
    life = Life(seed, CappedDriver(client, prefix))
    for _ in range(STEPS):
        life.step()
        assert life.jobs.totals().leased <= life.leased <= MOST
    assert_keys_agree(life.jobs)
    for job in life.held:
        life.jobs.finish(job.job_id, job.lease)
    life.jobs.advance(PERMIT_LASTS_US)
    life.settle()
    life.jobs.advance(HOUR_US)
    life.lease()
    taken = life.jobs.value(life.caps.cap_take(0, CAP, "n", 9, lease_us=1, now_us=life.jobs.now_us))
    assert life.leased == MOST, "all of them could be taken, or are leased"
    assert len(taken.slots) == MOST - life.jobs.totals().leased


@pytest.mark.parametrize("seed", range(SEEDS))
def test_permits_come_back_without_waiting_for_their_end(client: redis.Redis, prefix: str, seed: int) -> None:
    life = Life(seed, CappedDriver(client, prefix))
    life.random.random = lambda: 0.0  # type: ignore[method-assign]  # no settlement is lost
    for _ in range(STEPS):
        life.random.choice([life.add, life.lease, life.finish, life.give_back, life.cancel, life.extend])()
        life.settle()
        assert life.leased == life.jobs.totals().leased
