"""The checker finds each fault in a made-up history that has it, and none in a good one."""

from __future__ import annotations

import pytest

from tests.chaos.checker.story import Story
from tests.support.load.history import Enqueue, Outcome
from tests.support.load.verdict import Counts, check


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
