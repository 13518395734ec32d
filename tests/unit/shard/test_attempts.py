"""Attempts are counted by type, with a bound on the types, and failures by their cause."""

from __future__ import annotations

from shard.metrics.attempts import AttemptCounts
from sharq_core.models import LeasedJob, LeaseOutcome, LeaseStatus, ReleaseJob


def leased(attempt: int) -> LeasedJob:
    return LeasedJob("sms", "a", "1", b"0", "00" * 16, 0, 0, attempt, -1, 0)


def released(*, is_void: bool = False, counts: bool = True) -> ReleaseJob:
    return ReleaseJob("sms", "a", "1", "00" * 16, is_void=is_void, counts=counts)


def samples(attempts: AttemptCounts) -> dict[tuple[str, ...], float]:
    """The values by name and labels, without the name of the type's label."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in attempts.collect()
        for sample in family.samples
    }


def test_leases_are_counted_in_the_bucket_of_their_attempt() -> None:
    attempts = AttemptCounts(10)
    attempts.leased("sms", [leased(1), leased(1), leased(3), leased(101)])
    found = samples(attempts)
    buckets = [
        found["sharq_lease_attempts_bucket", "sms", bound] for bound in ("1.0", "2.0", "3.0", "100.0", "+Inf")
    ]
    assert buckets == [2, 2, 3, 3, 4]
    assert found["sharq_lease_attempts_sum", "sms"] == 106


def test_only_releases_that_were_done_and_count_are_failures() -> None:
    attempts = AttemptCounts(10)
    done, lost = LeaseOutcome(LeaseStatus.DONE), LeaseOutcome(LeaseStatus.LOST)
    died = LeaseOutcome(LeaseStatus.DONE, is_dead=True)
    jobs = [released(), released(), released(), released(is_void=True), released(counts=False)]
    attempts.released("sms", jobs, [done, died, lost, done, done])
    attempts.timed_out("sms", 3)
    found = samples(attempts)
    assert found["sharq_failed_attempts_total", "sms", "released"] == 2
    assert found["sharq_failed_attempts_total", "sms", "timed_out"] == 3


def test_a_type_has_all_causes_once_it_has_leased() -> None:
    attempts = AttemptCounts(10)
    attempts.leased("idle", [])
    assert samples(attempts) == {}
    attempts.leased("sms", [leased(1)])
    assert samples(attempts)["sharq_failed_attempts_total", "sms", "released"] == 0


def test_types_beyond_the_bound_share_one_value() -> None:
    attempts = AttemptCounts(2)
    for queue_type in ("a", "b", "c", "d", "a"):
        attempts.leased(queue_type, [leased(1)])
    found = samples(attempts)
    counts = {name[1]: value for name, value in found.items() if name[0] == "sharq_lease_attempts_count"}
    assert counts == {"a": 2, "b": 1, "_other": 2}
