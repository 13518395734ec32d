"""The permits of leases: a job has them while it is leased, and the reap names them once afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from sharq_core.caps import Permit
from sharq_core.job_life import Retry
from sharq_core.models import ExtendJob, FinishJob, LeasedJob, LeaseOutcome, LeaseStatus, ReleaseJob
from tests.scheduler.drivers.capped import CappedDriver, capped
from tests.scheduler.drivers.driver import LEASE_US, SECOND_US
from tests.scheduler.stored.records import assert_keys_agree

CAPS = ("a", "b")
PERMITS: tuple[Permit, ...] = (("a", 7), ("b", (1 << 40) + 1))
TRACE = bytes(range(25))


def lease(caps: CappedDriver, *permits: tuple[Permit, ...]) -> list[LeasedJob]:
    """Lease a job for each entry, with these permits."""
    return caps.capped_reply(*CAPS, count=len(permits), permits=permits).dequeue.jobs


def lease_one(caps: CappedDriver) -> LeasedJob:
    """Queue a job whose queue has caps, and lease it with its permits."""
    caps.put_capped("1", *CAPS)
    (job,) = lease(caps, PERMITS)
    assert_keys_agree(caps)
    return job


def extend_renewed(
    caps: CappedDriver, job: LeasedJob, *, clock_number: int = 0, not_after_us: int | None = None
) -> LeaseOutcome | None:
    """Extend a lease whose permits were renewed; None if the call came too late."""
    jobs = [ExtendJob("sms", "q", job.job_id, job.lease, LEASE_US, progress=b"1")]
    call = caps.functions.capped.extend_renewed(
        0, "sms", jobs, clock_number=clock_number, not_after_us=not_after_us, now_us=caps.now_us
    )
    found = caps.reply(call).value
    return found[0] if found else None


def let_end(caps: CappedDriver, _job: LeasedJob) -> None:
    """Let a lease end by time."""
    caps.advance(LEASE_US)


def delete(caps: CappedDriver, job: LeasedJob) -> None:
    """Delete the queue of a leased job, whose lease then ends by time."""
    caps.delete_queue()
    let_end(caps, job)


def fail(caps: CappedDriver, job: LeasedJob) -> None:
    """Release a job with an error."""
    jobs = [ReleaseJob("sms", "q", job.job_id, job.lease, error="no route")]
    caps.value(caps.functions.release(0, "sms", jobs, now_us=caps.now_us))


ENDINGS: dict[str, Callable[[CappedDriver, LeasedJob], object]] = {
    "finish": lambda caps, job: caps.finish("1", job.lease),
    "release": lambda caps, job: caps.release("1", job.lease),
    "release later": lambda caps, job: caps.release("1", job.lease, SECOND_US),
    "release with an error": fail,
    "void release": lambda caps, job: caps.release("1", job.lease, is_void=True),
    "end": let_end,
    "cancel": lambda caps, _job: caps.cancel("1", force=True),
    "deletion": delete,
}


@pytest.mark.parametrize("ending", list(ENDINGS))
def test_the_permits_of_a_lease_are_named_once_after_it(caps: CappedDriver, ending: str) -> None:
    job = lease_one(caps)
    assert caps.reap().settled == (), "the lease is live"
    ENDINGS[ending](caps, job)
    first, second = caps.reap(), caps.reap()
    assert sorted((*first.settled, *second.settled)) == sorted(PERMITS)
    assert caps.reap().settled == ()
    assert_keys_agree(caps)


def test_the_timer_of_ended_permits_is_due_at_once(caps: CappedDriver) -> None:
    job = lease_one(caps)
    call = caps.functions.finish(0, "sms", [FinishJob("sms", "q", "1", job.lease)], now_us=caps.now_us)
    assert caps.reply(call).hint.timer_us == caps.now_us


def test_each_job_gets_its_own_permits(caps: CappedDriver) -> None:
    caps.enqueue(*(capped(str(number), *CAPS) for number in range(4)))
    jobs = lease(caps, (("a", 1),), (), (("a", 3),), (("a", 4),))
    for job in jobs[1:3]:
        caps.finish(job.job_id, job.lease)
    assert caps.reap().settled == (("a", 3),)


def test_a_job_without_permits_has_no_note(caps: CappedDriver) -> None:
    caps.put_capped("1", *CAPS)
    (job,) = lease(caps, ())
    assert caps.client.exists(caps.key("notes")) == 0
    caps.finish(job.job_id, job.lease)
    assert caps.reap().settled == ()


def test_the_rest_of_a_note_outlives_the_permits(caps: CappedDriver) -> None:
    caps.enqueue(structs.replace(capped("1", *CAPS), trace=TRACE))
    (job,) = lease(caps, PERMITS)
    assert job.trace == TRACE
    fail(caps, job)
    caps.reap()
    (again,) = lease(caps, (("a", 8),))
    assert again.trace == TRACE
    status = caps.reply(caps.job_calls.get_job(0, "sms", "q", "1", knows_life=True, now_us=caps.now_us)).value
    assert status is not None
    assert status.error is not None
    assert_keys_agree(caps)


def test_a_dead_letter_has_no_permits(caps: CappedDriver) -> None:
    caps.enqueue(capped("1", *CAPS, requeue_limit=0))
    (job,) = lease(caps, PERMITS)
    caps.release("1", job.lease)
    assert caps.reap().settled == PERMITS
    caps.redrive("1")
    (again,) = lease(caps, ())
    caps.finish("1", again.lease)
    assert caps.reap().settled == ()
    assert_keys_agree(caps)


def test_a_retry_policy_and_permits_go_together(caps: CappedDriver) -> None:
    caps.enqueue(structs.replace(capped("1", *CAPS), retry=Retry(1_000)))
    lease(caps, PERMITS)
    caps.advance(LEASE_US)
    assert caps.reap().ended == 1
    assert caps.reap().settled == PERMITS
    assert_keys_agree(caps)


def test_a_dequeue_leaves_the_permits_to_the_reap(caps: CappedDriver) -> None:
    caps.enqueue(*(capped(str(number), *CAPS) for number in range(40)))
    jobs = lease(caps, *((("a", number),) for number in range(20)))
    for job in jobs:
        caps.finish(job.job_id, job.lease)
    for _ in range(3):
        lease(caps, ())
    assert sorted(caps.reap().settled) == [("a", number) for number in range(20)]


def test_a_lease_with_permits_is_extended_only_after_their_renewal(caps: CappedDriver) -> None:
    job = lease_one(caps)
    jobs = [ExtendJob("sms", "q", "none", job.lease, 1), ExtendJob("sms", "q", "1", job.lease, 5 * LEASE_US)]
    call = caps.functions.extend(0, "sms", jobs, now_us=caps.now_us)
    assert caps.value(call) == [
        LeaseOutcome(LeaseStatus.NOT_FOUND),
        LeaseOutcome(LeaseStatus.LOST, permits=PERMITS),
    ]
    caps.advance(SECOND_US)
    assert extend_renewed(caps, job) == LeaseOutcome(LeaseStatus.DONE, caps.now_us + LEASE_US)
    assert extend_renewed(caps, job, clock_number=3) is None, "the partition's time has another shift"
    assert extend_renewed(caps, job, not_after_us=caps.now_us - 1) is None, "it comes too late"
    assert_keys_agree(caps)
    caps.advance(LEASE_US - 1)
    assert caps.reap().ended == 0
    caps.finish("1", job.lease)
    assert caps.reap().settled == PERMITS


def test_an_extend_does_not_take_a_job_back_whose_permits_were_given_back(caps: CappedDriver) -> None:
    job = lease_one(caps)
    caps.advance(LEASE_US)
    caps.reap()
    assert extend_renewed(caps, job) == LeaseOutcome(LeaseStatus.LOST)
    assert caps.extend("1", job.lease, LEASE_US) is LeaseStatus.LOST
    assert caps.finish("1", job.lease) is LeaseStatus.DONE, "the work is done all the same"
