"""The checker finds each fault in a made-up history that has it, and none in a good one."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.load.history import Counts, Dequeue, End, Enqueue, History, Lease, Outcome, check

INTERVAL_MS = 100
LEASE_MS = 1000


class Story:
    """A history told call by call; each takes a tenth of a second, and the clocks agree. Each queue is a partition."""

    def __init__(self) -> None:
        self.history = History(seed=0, interval_ms=INTERVAL_MS, partition_of=hash)
        self.now_s = 100.0
        self.leases: Counter[str] = Counter()

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def enqueue(self, number: int, outcome: Outcome = Outcome.OK, queue: str = "q") -> None:
        began_s, ended_s = self._take_time()
        self.history.enqueues.append(
            Enqueue(began_s=began_s, ended_s=ended_s, outcome=outcome, job=(queue, number))
        )

    def lease(self, number: int, *, attempt: int = 1, at_ms: int | None = None, queue: str = "q") -> Lease:
        began_s, ended_s = self._take_time()
        when_ms = int(began_s * 1000) if at_ms is None else at_ms
        lease = Lease(
            job=(queue, number),
            token=self._next_token(queue),
            attempt=attempt,
            heard_s=ended_s,
            at_ms=when_ms,
            until_ms=when_ms + LEASE_MS,
        )
        self.history.dequeues.append(
            Dequeue(began_s=began_s, ended_s=ended_s, outcome=Outcome.OK, leases=(lease,))
        )
        return lease

    def hear_nothing(self, outcome: Outcome = Outcome.PERHAPS, leases: int = 0, queue: str = "q") -> None:
        """A dequeue without an answer; leases: those that it took."""
        began_s, ended_s = self._take_time()
        self.leases[queue] += leases
        self.history.dequeues.append(Dequeue(began_s=began_s, ended_s=ended_s, outcome=outcome))

    def end(self, lease: Lease, outcome: Outcome = Outcome.OK, verb: str = "finish") -> None:
        began_s, ended_s = self._take_time()
        self.history.ends.append(
            End(
                began_s=began_s,
                ended_s=ended_s,
                outcome=outcome,
                verb=verb,
                job=lease.job,
                token=lease.token,
            )
        )

    def lease_in_part(self, number: int) -> Lease:
        """A dequeue that took two leases; one was not kept, so it was void and given back."""
        self.leases["q"] += 1
        return self.lease(number)

    def _next_token(self, queue: str) -> str:
        self.leases[queue] += 1
        return f"{self.leases[queue]:016x}{0:016x}"

    def _take_time(self) -> tuple[float, float]:
        self.now_s += 0.2
        return self.now_s - 0.1, self.now_s


@pytest.fixture
def story() -> Story:
    return Story()


def counts(story: Story) -> Counts:
    return check(story.history)


def test_a_good_history_has_no_violation(story: Story) -> None:
    for number in range(3):
        story.enqueue(number)
    story.enqueue(3, Outcome.PERHAPS)
    for number in range(4):
        story.end(story.lease(number))
    found = counts(story)
    assert not found.violations
    assert (found.acknowledged, found.delivered, found.redelivered, found.requests) == (3, 4, 0, 12)
    assert found.failed == 1


def test_an_acknowledged_job_that_nobody_got_is_lost(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1, Outcome.PERHAPS)
    story.enqueue(2, Outcome.NO)
    assert counts(story).violations == {"lost": 1}


def test_a_job_that_nobody_sent_is_unexpected(story: Story) -> None:
    story.end(story.lease(0))
    assert counts(story).violations == {"unexpected": 1}


def test_a_job_whose_enqueue_was_refused_is_unexpected(story: Story) -> None:
    story.enqueue(0, Outcome.NO)
    story.end(story.lease(0))
    assert counts(story).violations == {"unexpected": 1}


def test_a_job_that_was_refused_and_then_perhaps_sent_is_not_unexpected(story: Story) -> None:
    story.enqueue(0, Outcome.NO)
    story.enqueue(0, Outcome.PERHAPS)
    story.end(story.lease(0))
    assert not counts(story).violations


def test_a_job_that_comes_back_after_its_acknowledged_finish_is_revived(story: Story) -> None:
    story.enqueue(0)
    story.end(story.lease(0))
    story.wait(2)
    story.lease(0, attempt=2)
    assert counts(story).violations == {"revived": 1}


def test_a_job_may_come_back_when_its_finish_is_in_doubt(story: Story) -> None:
    story.enqueue(0)
    story.end(story.lease(0), Outcome.PERHAPS)
    story.wait(2)
    story.end(story.lease(0, attempt=2))
    found = counts(story)
    assert (found.violations, found.redelivered) == ({}, 1)


def test_a_job_that_leaves_before_an_older_one_is_out_of_order(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1)
    story.end(story.lease(1))
    story.end(story.lease(0))
    assert counts(story).violations == {"out_of_order": 1}


def test_a_job_may_pass_one_that_was_not_acknowledged_before_it_was_sent(story: Story) -> None:
    story.enqueue(0, Outcome.PERHAPS)
    story.enqueue(1)
    story.enqueue(0)
    story.end(story.lease(1))
    story.end(story.lease(0))
    assert not counts(story).violations


def test_a_job_may_pass_one_whose_lease_nobody_heard_of(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1)
    story.hear_nothing(leases=1)
    story.end(story.lease(1))
    story.end(story.lease(0))
    assert not counts(story).violations


def test_a_job_may_pass_one_whose_lease_was_void_although_its_dequeue_brought_others(story: Story) -> None:
    """In a Redis Cluster one server may fall short while another one's leases are handed out."""
    story.enqueue(0)
    story.enqueue(1)
    story.enqueue(2)
    story.end(story.lease_in_part(2))
    story.end(story.lease(0))
    story.end(story.lease(1))
    assert not counts(story).violations


def test_a_dequeue_that_failed_and_took_no_lease_excuses_nothing(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1)
    story.hear_nothing()
    story.end(story.lease(1))
    story.end(story.lease(0))
    assert counts(story).violations == {"out_of_order": 1}


@pytest.mark.parametrize("is_delivered_between", [False, True])
def test_a_lease_that_was_lost_before_the_older_job_was_sent_excuses_nothing(
    story: Story, is_delivered_between: bool
) -> None:
    story.hear_nothing(leases=1)
    story.enqueue(2)
    story.end(story.lease(2))
    if is_delivered_between:
        story.wait(60)
    story.enqueue(3)
    story.enqueue(4)
    story.end(story.lease(4))
    story.end(story.lease(3))
    assert counts(story).violations == {"out_of_order": 1}


def test_a_lease_that_nobody_heard_of_later_excuses_nothing(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1)
    story.end(story.lease(1))
    story.hear_nothing(leases=1)
    story.end(story.lease(0))
    assert counts(story).violations == {"out_of_order": 1}


def test_a_lease_of_another_partition_excuses_nothing(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1)
    story.enqueue(0, queue="other")
    story.hear_nothing(leases=1, queue="other")
    story.end(story.lease(0, queue="other"))
    story.end(story.lease(1))
    story.end(story.lease(0))
    assert counts(story).violations == {"out_of_order": 1}


def test_a_redelivered_job_is_not_out_of_order(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1)
    first = story.lease(0)
    story.end(story.lease(1))
    story.wait(2)
    story.end(story.lease(0, attempt=2))
    assert first.attempt == 1
    assert not counts(story).violations


@pytest.mark.parametrize(("gap_ms", "violations"), [(98, {"too_close": 1}), (99, {}), (100, {})])
def test_two_leases_within_the_interval_are_too_close(
    story: Story, gap_ms: int, violations: dict[str, int]
) -> None:
    story.enqueue(0)
    story.enqueue(1)
    story.end(story.lease(0, at_ms=50_000))
    story.end(story.lease(1, at_ms=50_000 + gap_ms))
    assert counts(story).violations == violations


def test_two_leases_of_one_job_at_one_time_are_a_double_lease(story: Story) -> None:
    story.enqueue(0)
    first = story.lease(0)
    second = story.lease(0, attempt=2)
    assert second.at_ms < first.until_ms
    assert counts(story).violations == {"double_leased": 1}


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.PERHAPS])
def test_a_released_job_may_be_leased_again_at_once(story: Story, outcome: Outcome) -> None:
    story.enqueue(0)
    story.end(story.lease(0), outcome, "release")
    story.end(story.lease(0, attempt=2))
    assert not counts(story).violations


def test_a_finish_with_an_older_lease_that_is_accepted_is_stale(story: Story) -> None:
    story.enqueue(0)
    first = story.lease(0)
    story.wait(2)
    story.lease(0, attempt=2)
    story.end(first)
    assert counts(story).violations == {"stale_finished": 1}


def test_a_finish_with_an_older_lease_that_is_refused_is_right(story: Story) -> None:
    story.enqueue(0)
    first = story.lease(0)
    story.wait(2)
    second = story.lease(0, attempt=2)
    story.end(first, Outcome.NO)
    story.end(second)
    assert not counts(story).violations


def test_a_repeated_finish_of_the_lease_that_perhaps_did_it_is_no_stale_one(story: Story) -> None:
    story.enqueue(0)
    first = story.lease(0)
    story.end(first, Outcome.PERHAPS)
    story.wait(2)
    story.lease(0, attempt=2)
    story.end(first)
    assert not counts(story).violations


def test_an_answer_that_the_contract_does_not_have_is_counted(story: Story) -> None:
    story.history.enqueues.append(
        Enqueue(began_s=1, ended_s=2, outcome=Outcome.PERHAPS, why="500", is_documented=False, job=("q", 0))
    )
    assert counts(story).violations == {"undocumented": 1}
