"""Tests a process's estimate of the store's clock."""

from __future__ import annotations

from time import monotonic

import pytest

from sharq_core.clock import RemoteClock

HOUR_US = 3_600_000_000


def store_us(ahead_us: int = HOUR_US) -> int:
    """Return the time of a store whose clock is that far ahead of this machine's."""
    return int(monotonic() * 1e6) + ahead_us


def test_nothing_is_known_before_the_first_answer() -> None:
    assert RemoteClock().now_us() is None


def test_the_fastest_answer_counts_and_the_estimate_is_never_ahead() -> None:
    clock = RemoteClock()
    for late_us in (30_000, 2_000, 900_000):
        clock.learn(store_us() - late_us)
        now_us = clock.now_us()
        assert now_us is not None
        assert now_us <= store_us()
    assert (clock.now_us() or 0) > store_us() - 30_000


def test_a_clock_that_stepped_back_is_believed_at_once() -> None:
    clock = RemoteClock()
    clock.learn(store_us(), monotonic())
    clock.learn(store_us(HOUR_US - 5_000_000), monotonic())
    now_us = clock.now_us()
    assert now_us is not None
    assert now_us <= store_us(HOUR_US - 5_000_000)


def test_a_slow_answer_is_no_step_back() -> None:
    clock = RemoteClock()
    clock.learn(store_us(), monotonic())
    clock.learn(store_us() - 1_500_000, monotonic() - 2.0)
    now_us = clock.now_us()
    assert now_us is not None
    assert store_us() - now_us < 1_000_000


def test_an_answer_that_no_delay_explains_is_a_step() -> None:
    clock = RemoteClock()
    assert not clock.learn(store_us(), monotonic())
    assert not clock.learn(store_us() - 1_500_000, monotonic() - 2.0)
    assert not clock.learn(store_us(), monotonic())
    assert clock.learn(store_us(HOUR_US + 1_000_000), monotonic())
    assert not clock.learn(store_us(HOUR_US + 1_000_000), monotonic())
    assert clock.learn(store_us(), monotonic())


def test_calls_are_timed_for_a_moment_as_before_a_step_ahead() -> None:
    clock = RemoteClock()
    clock.learn(store_us(), monotonic())
    clock.learn(store_us(2 * HOUR_US), monotonic())
    assert (clock.now_us() or 0) > store_us(2 * HOUR_US) - 1_000_000
    assert (clock.steady_us() or 0) < store_us() + 1_000_000
    clock.learn(store_us(-HOUR_US), monotonic())
    assert (clock.steady_us() or 0) <= store_us(-HOUR_US)


def test_a_careful_estimate_is_not_ahead_of_a_clock_that_runs_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    local_s = 1_000.0
    monkeypatch.setattr("sharq_core.clock.monotonic", lambda: local_s)
    clock = RemoteClock()
    assert clock.careful_us() is None
    clock.learn(1_000_000_000, local_s)
    for _ in range(100):
        local_s += 0.2
        slow_us = int(1e6 * (1_000 + (local_s - 1_000) * 0.9996))
        # An answer that was on its way for 5 ms tells less than the first one, which was not.
        clock.learn(slow_us - 5_000, local_s - 0.01)
        careful_us = clock.careful_us()
        assert careful_us is not None
        assert slow_us - 5_000 <= careful_us <= slow_us


def test_a_careful_estimate_believes_a_step_back_at_once() -> None:
    clock = RemoteClock()
    clock.learn(store_us(), monotonic())
    clock.learn(store_us(HOUR_US - 20_000), monotonic())
    careful_us = clock.careful_us()
    assert careful_us is not None
    assert careful_us <= store_us(HOUR_US - 20_000)


def learn_call(clock: RemoteClock, way_s: float, ahead_us: int = HOUR_US) -> None:
    """Learn from a call that took so long to the store, whose answer came at once."""
    now = monotonic()
    clock.learn(int(now * 1e6) + ahead_us, now - way_s)


def lead_us(clock: RemoteClock) -> int:
    now_us, arrival_us = clock.now_us(), clock.arrival_us()
    assert now_us is not None
    assert arrival_us is not None
    return arrival_us - now_us


def test_a_call_may_leave_earlier_by_the_way_of_the_fastest_one() -> None:
    clock = RemoteClock()
    assert clock.arrival_us() is None
    for way_s in (0.0008, 0.0003, 0.0009):
        learn_call(clock, way_s)
    assert lead_us(clock) >= 299
    clock.learn(store_us())
    assert lead_us(clock) < 800


def test_a_slow_call_lets_no_other_leave_far_too_early() -> None:
    clock = RemoteClock()
    learn_call(clock, 0.5)
    assert lead_us(clock) < 100_000


def test_the_ways_of_calls_before_a_step_do_not_count() -> None:
    clock = RemoteClock()
    learn_call(clock, 0.0005)
    learn_call(clock, 0.0005, HOUR_US + 1_000_000)
    assert lead_us(clock) >= 499
