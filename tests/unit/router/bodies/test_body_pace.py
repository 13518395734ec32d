"""The receipt of bodies: at full speed while they are good, and at the pace of all while many are refused."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from sharq_core.http_port import body_pace as pace
from sharq_core.http_port.body_pace import BodyPace
from tests.support.http.fronted import is_at_full_speed

TAKEN_S = 0.007


async def test_bodies_are_received_at_once_while_few_are_refused() -> None:
    one = BodyPace()
    for _ in range(1000):
        assert is_at_full_speed(one)
    one.waste(pace.WASTED_BURST_S / 2)
    assert is_at_full_speed(one)


async def test_the_pieces_of_all_bodies_share_a_pace_after_many_refused_ones() -> None:
    one = BodyPace()
    one.waste(pace.WASTED_BURST_S + 1)
    began_s = time.monotonic()
    for _ in range(3):
        await one.receive(TAKEN_S)
    assert time.monotonic() - began_s >= 3 * TAKEN_S / pace.PACED_SHARE - 0.01


async def test_bodies_are_received_at_once_again_when_the_allowance_is_refilled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 1_000.0
    monkeypatch.setattr("sharq_core.http_port.allowance.time", SimpleNamespace(monotonic=lambda: now_s))
    one = BodyPace()
    one.waste(pace.WASTED_BURST_S + 0.1 * pace.WASTED_SHARE)
    assert not is_at_full_speed(one)
    now_s += 0.11
    assert is_at_full_speed(one)
