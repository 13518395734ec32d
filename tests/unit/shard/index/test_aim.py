"""The lead of dequeues: a tenth of them may be early by it, and it is never long."""

from __future__ import annotations

import random

from shard.index.aim import MOST_S, Aim


def learned(*delays_s: float, calls: int = 10_000) -> Aim:
    """Return an aim after calls of some delays, in a random order that is always the same."""
    aim, rng = Aim(), random.Random(1)
    for _ in range(calls):
        aim.learn(rng.choice(delays_s))
    return aim


def test_a_tenth_of_the_calls_are_early_and_half_of_those_beside_others() -> None:
    aim = learned(*(number * 1e-6 for number in range(900)))
    assert 0.00005 <= aim.lead_s <= 0.00015
    assert 0.0004 <= aim.beside_s <= 0.0005


def test_calls_that_take_equally_long_leave_as_early_as_that() -> None:
    aim = learned(0.0003)
    assert 0.00027 <= aim.lead_s <= aim.beside_s <= 0.00031


def test_busy_seconds_let_no_call_leave_far_too_early() -> None:
    aim = learned(0.5)
    assert aim.lead_s == aim.beside_s == MOST_S


def test_the_lead_is_gone_soon_after_the_load_is() -> None:
    aim = learned(0.5)
    for _ in range(500):
        aim.learn(0.0)
    assert aim.lead_s == aim.beside_s == 0.0
