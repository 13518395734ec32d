"""The processor time that may be wasted on bodies: when the allowance is open, and when it closes."""

from __future__ import annotations

from sharq_core.http_port.allowance import Allowance


def test_an_allowance_closes_when_its_burst_is_used_up() -> None:
    allowance = Allowance(burst_s=0.1, share=1e-6)
    allowance.take(0.09)
    assert allowance.is_open
    allowance.take(0.02)
    assert not allowance.is_open


def test_a_closed_allowance_opens_for_one_body_and_closes_behind_it() -> None:
    allowance = Allowance(burst_s=0.1, share=1e-6)
    allowance.take(0.2)
    allowance.open_once()
    assert allowance.is_open
    allowance.take(0.0)
    assert not allowance.is_open
