"""The search for a moment at which more leases of a cap are live than it allows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.caps.model import permits
from tests.caps.model.ledger import MIN_GRACE_US, SERIALS_OF_A_SERVER
from tests.caps.model.permit_walk import Call, PermitWalk
from tests.caps.model.permits import Ledger
from tests.support.extent import is_full

STEPS = 400
SEEDS = range(3_000)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5_000 if is_full() else 150, deadline=None)
def test_no_walk_has_more_leases_at_one_time_than_the_cap_allows(seed: int) -> None:
    PermitWalk(seed).go(STEPS)


def fail_over_at_once(ledger: Ledger, told_us: int) -> None:
    ledger.serial += SERIALS_OF_A_SERVER


def go_on_with_the_serials(ledger: Ledger, told_us: int) -> None:
    real_fail_over(ledger, told_us)
    ledger.serial -= SERIALS_OF_A_SERVER


real_fail_over = Ledger.fail_over


def renew_any(ledger: Ledger, told_us: int, serial: int, lease_us: int) -> bool:
    real_renew(ledger, told_us, serial, lease_us)
    return True


real_renew = Ledger.renew


def extend_alone(_walk: PermitWalk, _serial: int, _lease_us: int) -> bool:
    return True


def revive(_walk: PermitWalk) -> bool:
    return True


def call_of_any_shift(*args: object) -> Call:
    call = Call(*args)  # type: ignore[arg-type]
    call.not_after_us += 3_600_000_000
    return call


@pytest.mark.parametrize(
    ("place", "name", "instead"),
    [
        (permits, "MARGIN_US", 0),
        (Ledger, "fail_over", fail_over_at_once),
        (Ledger, "fail_over", go_on_with_the_serials),
        (Ledger, "renew", renew_any),
        (PermitWalk, "_renew", extend_alone),
        (PermitWalk, "_may_revive", revive),
        ("tests.caps.model.permit_walk", "Call", call_of_any_shift),
    ],
)
def test_each_rule_of_permits_is_needed(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, instead: Callable[..., object] | int
) -> None:
    if isinstance(place, str):
        monkeypatch.setattr(f"{place}.{name}", instead)
    else:
        monkeypatch.setattr(place, name, instead)
    for seed in SEEDS:
        try:
            PermitWalk(seed).go(STEPS)
        except AssertionError:
            return
    pytest.fail(f"no breach in {len(SEEDS)} walks")


def test_leases_that_are_settled_make_room_at_once() -> None:
    ledger = Ledger(2)
    first, second = ledger.take(1_000, 5, 0, 60_000_000)
    assert ledger.take(2_000, 1, 0, 60_000_000) == []
    ledger.settle(3_000, [first])
    ledger.settle(3_000, [first])
    (third,) = ledger.take(4_000, 5, 0, 60_000_000)
    assert third not in (first, second)


def test_a_permit_of_a_dead_node_ends_by_itself() -> None:
    ledger = Ledger(1)
    assert ledger.take(0, 1, 0, 1_000_000) == [1]
    end_us = MIN_GRACE_US + 1_000_000 + permits.MARGIN_US
    assert ledger.take(end_us - 1, 1, 0, 1_000_000) == []
    assert ledger.take(end_us, 1, 0, 1_000_000) == [2]
