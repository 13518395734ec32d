"""The checker finds each fault in the life of a job, by the least amount, and none in a history without faults."""

from __future__ import annotations

import pytest

from tests.chaos.checker.story import Story
from tests.support.load.history import Lease, Outcome
from tests.support.load.life import Backoff, Life
from tests.support.load.promise import Promise, Rate
from tests.support.load.verdict import check

RETRY = Backoff(delay=400, factor=2, max=1000, jitter=0.5)
LIFE = Life(priorities=(5, 1), expiries_ms=(900,), requeue_limit=1, retry=RETRY)


@pytest.fixture
def story() -> Story:
    return Story(Promise(Rate(1), life=LIFE))


def lease_at(story: Story, number: int, at_ms: float, *, attempt: int = 1, version: int = 0) -> Lease:
    """A lease that began at a time of the store's clock."""
    return story.lease(number, at_ms=round(at_ms), attempt=attempt, version=version)


def violations(story: Story) -> dict[str, int]:
    return check(story.history).violations


@pytest.mark.parametrize(("after_ms", "found"), [(-1, {}), (1, {}), (3, {"expired_leased": 1})])
def test_a_lease_after_the_expiry_that_was_sent_is_counted(
    story: Story, after_ms: int, found: dict[str, int]
) -> None:
    expires_at_ms = story.now_ms + 500
    story.enqueue(0, expires_at_ms=expires_at_ms)
    lease_at(story, 0, expires_at_ms + after_ms)
    assert violations(story) == found


@pytest.mark.parametrize(
    ("outcome", "after_ms", "found"),
    [
        (Outcome.OK, 500, {}),
        (Outcome.OK, 503, {"expired_leased": 1}),
        (Outcome.PERHAPS, 503, {}),
    ],
)
def test_an_expiry_counts_from_the_enqueue_at_the_latest(
    story: Story, outcome: Outcome, after_ms: int, found: dict[str, int]
) -> None:
    story.enqueue(0, outcome, expires_ms=500)
    ended_s = story.history.enqueues[-1].ended_s
    lease_at(story, 0, story.history.in_ms(ended_s) + after_ms)
    assert violations(story) == found


@pytest.mark.parametrize(("after_ms", "found"), [(0, {}), (1, {"expired_leased": 1})])
def test_a_lease_after_the_expiry_that_its_answer_names_is_counted(
    story: Story, after_ms: int, found: dict[str, int]
) -> None:
    story.enqueue(0, Outcome.PERHAPS, expires_ms=500)
    expires_at_ms = story.now_ms + 500
    story.lease(0, at_ms=expires_at_ms + after_ms, expires_at_ms=expires_at_ms)
    assert violations(story) == found


@pytest.mark.parametrize(
    ("outcome", "found"), [(Outcome.OK, {}), (Outcome.PERHAPS, {}), (Outcome.NO, {"expired_leased": 1})]
)
def test_a_new_expiry_replaces_the_old_one(story: Story, outcome: Outcome, found: dict[str, int]) -> None:
    expires_at_ms = story.now_ms + 1000
    story.enqueue(0, expires_at_ms=expires_at_ms)
    story.edit(0, outcome, has_new_expiry=True)
    lease_at(story, 0, expires_at_ms + 100, version=int(outcome is Outcome.OK))
    assert violations(story) == found


def test_a_lease_after_a_new_expiry_is_counted(story: Story) -> None:
    story.enqueue(0)
    story.edit(0, has_new_expiry=True, expires_ms=300)
    lease_at(story, 0, story.now_ms + 303, version=1)
    assert violations(story) == {"expired_leased": 1}


def test_an_expired_job_is_not_lost(story: Story) -> None:
    for number in range(2):
        story.enqueue(number, expires_ms=300)
    story.wait(1)
    story.tell(0, "expired")
    story.tell(1, "dead", reason="expired")
    counts = check(story.history)
    assert (counts.violations, counts.expired) == ({}, 2)


@pytest.mark.parametrize(
    ("number", "state", "wait_s"),
    [(0, "dead", 1), (1, "expired", 1), (0, "expired", 0), (2, "expired", 1)],
)
def test_an_expiry_of_the_wrong_kind_or_too_early_or_of_a_job_without_one_is_wrong(
    story: Story, number: int, state: str, wait_s: float
) -> None:
    story.enqueue(number, expires_ms=None if number == 2 else 900)
    story.wait(wait_s)
    story.tell(number, state, reason="expired" if state == "dead" else "")
    assert violations(story) == {"lost": 1, "wrong_fate": 1}


@pytest.mark.parametrize("state", ["unknown", "queued", "delayed", "leased", "finished", "cancelled"])
def test_a_job_that_nobody_got_and_nobody_ended_is_lost(story: Story, state: str) -> None:
    story.enqueue(0)
    story.tell(0, state)
    assert violations(story) == {"lost": 1, "wrong_fate": 1}


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.PERHAPS])
@pytest.mark.parametrize("is_by_prefix", [False, True])
def test_a_cancelled_job_is_not_lost(story: Story, outcome: Outcome, is_by_prefix: bool) -> None:
    story.enqueue(0)
    story.cancel(0, outcome, is_by_prefix=is_by_prefix)
    story.tell(0, "cancelled")
    counts = check(story.history)
    assert (counts.violations, counts.cancelled) == ({}, 1)


@pytest.mark.parametrize(
    ("outcome", "found"),
    [(Outcome.OK, {"cancelled_leased": 1}), (Outcome.PERHAPS, {}), (Outcome.NO, {})],
)
@pytest.mark.parametrize("is_by_prefix", [False, True])
def test_a_lease_after_the_answer_of_a_cancellation_is_counted(
    story: Story, outcome: Outcome, found: dict[str, int], is_by_prefix: bool
) -> None:
    story.enqueue(0)
    story.cancel(0, outcome, is_by_prefix=is_by_prefix)
    lease_at(story, 0, story.now_ms + 3)
    assert violations(story) == found


def test_a_cancellation_by_prefix_keeps_what_was_leased_or_came_later(story: Story) -> None:
    story.enqueue(0)
    lease_at(story, 0, story.now_ms)
    story.cancel(0, is_by_prefix=True)
    lease_at(story, 0, story.now_ms + 2000, attempt=2)
    story.cancel(2, is_by_prefix=True)
    story.enqueue(2)
    lease_at(story, 2, story.now_ms + 3)
    assert violations(story) == {}


def test_a_cancellation_by_prefix_keeps_a_job_with_a_lease_that_nobody_heard_of(story: Story) -> None:
    story.enqueue(0)
    story.hear_nothing(leases=1)
    story.cancel(0, is_by_prefix=True)
    lease_at(story, 0, story.now_ms + 3)
    assert violations(story) == {}


def test_a_finish_of_a_cancelled_job_is_counted(story: Story) -> None:
    story.enqueue(0)
    first = lease_at(story, 0, story.now_ms)
    story.cancel(0, was="leased")
    story.end(first, Outcome.NO)
    assert violations(story) == {}
    story.end(first)
    assert violations(story) == {"cancelled_leased": 1}


def test_an_attempt_past_the_requeue_limit_is_counted(story: Story) -> None:
    story.enqueue(0)
    for attempt in (1, 2, 3):
        lease_at(story, 0, story.now_ms, attempt=attempt)
        story.wait(4)
    assert violations(story) == {"too_many_attempts": 1}


@pytest.mark.parametrize(("wait_ms", "found"), [(198, {"retried_early": 1}), (200, {})])
def test_a_retry_waits_from_the_release_on(story: Story, wait_ms: int, found: dict[str, int]) -> None:
    story.enqueue(0)
    story.end(lease_at(story, 0, story.now_ms), verb="release")
    began_ms = story.history.in_ms(story.history.ends[-1].began_s)
    lease_at(story, 0, began_ms + wait_ms, attempt=2)
    assert violations(story) == found


@pytest.mark.parametrize(("wait_ms", "found"), [(198, {"retried_early": 1}), (200, {})])
def test_a_retry_waits_from_the_end_of_the_lease_on(
    story: Story, wait_ms: int, found: dict[str, int]
) -> None:
    story.enqueue(0)
    first = lease_at(story, 0, story.now_ms)
    lease_at(story, 0, first.until_ms + wait_ms, attempt=2)
    assert violations(story) == found


def test_an_attempt_that_does_not_count_is_not_waited_for(story: Story) -> None:
    story.enqueue(0)
    story.end(lease_at(story, 0, story.now_ms), verb="release", counts=False)
    lease_at(story, 0, story.now_ms)
    assert violations(story) == {}


@pytest.mark.parametrize(
    ("attempt", "least_ms"),
    [(1, 200), (2, 400), (3, 500), (9, 500)],
    ids=["first", "second", "most", "ninth"],
)
def test_the_wait_grows_up_to_the_longest(attempt: int, least_ms: float) -> None:
    assert RETRY.least_wait_ms(attempt) == least_ms


@pytest.mark.parametrize(
    ("attempt", "error", "found"),
    [
        (2, "second", {}),
        (2, "first", {"wrong_fate": 1}),
        (2, "", {"wrong_fate": 1}),
        (1, "second", {"wrong_fate": 1}),
    ],
)
def test_a_dead_letter_has_its_last_error_and_all_its_attempts(
    story: Story, attempt: int, error: str, found: dict[str, int]
) -> None:
    story.enqueue(0)
    for number, text in enumerate(("first", "second"), start=1):
        story.end(lease_at(story, 0, story.now_ms, attempt=number), verb="release", error=text)
        story.wait(1)
    story.tell(0, "dead", reason="limit", attempt=attempt, error=error)
    assert violations(story) == found


def test_a_dead_letter_may_have_an_error_in_doubt_or_the_one_before(story: Story) -> None:
    story.enqueue(0)
    story.end(lease_at(story, 0, story.now_ms), verb="release", error="first")
    story.wait(1)
    story.end(lease_at(story, 0, story.now_ms, attempt=2), Outcome.PERHAPS, verb="release", error="second")
    for error, found in (("first", {}), ("second", {}), ("third", {"wrong_fate": 1})):
        story.tell(0, "dead", reason="limit", attempt=2, error=error)
        assert violations(story) == found


def test_a_lease_with_the_payload_from_before_a_change_is_counted(story: Story) -> None:
    for number, version in ((0, 1), (2, 0)):
        story.enqueue(number)
        story.edit(number)
        lease_at(story, number, story.now_ms + 3, version=version)
    assert violations(story) == {"outdated": 1}


@pytest.mark.parametrize("outcome", [Outcome.NO, Outcome.PERHAPS])
def test_a_change_that_was_refused_or_is_in_doubt_may_not_be_seen(story: Story, outcome: Outcome) -> None:
    story.enqueue(0)
    story.edit(0, outcome)
    lease_at(story, 0, story.now_ms + 3)
    assert violations(story) == {}


def test_a_job_of_a_lower_priority_that_leaves_first_is_out_of_priority(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1)
    lease_at(story, 0, story.now_ms + 3)
    lease_at(story, 1, story.now_ms + 3)
    assert violations(story) == {"out_of_priority": 1}


def test_a_job_of_a_higher_priority_may_leave_before_an_older_one(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1)
    lease_at(story, 1, story.now_ms + 3)
    lease_at(story, 0, story.now_ms + 3)
    assert violations(story) == {}


@pytest.mark.parametrize(("is_changed", "found"), [(False, {"out_of_order": 1}), (True, {})])
def test_the_order_holds_within_a_priority_that_is_not_changed(
    story: Story, is_changed: bool, found: dict[str, int]
) -> None:
    story.enqueue(1)
    story.enqueue(3)
    if is_changed:
        story.edit(1, has_new_priority=True)
    lease_at(story, 3, story.now_ms + 3)
    lease_at(story, 1, story.now_ms + 3, version=1)
    assert violations(story) == found


def test_a_job_may_leave_late_if_its_first_lease_was_not_heard_of(story: Story) -> None:
    story.enqueue(0)
    story.enqueue(1)
    story.hear_nothing(leases=1)
    lease_at(story, 0, story.now_ms + 3)
    lease_at(story, 1, story.now_ms + 3)
    assert violations(story) == {}
