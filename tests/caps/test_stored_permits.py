"""The permits of a real ledger in the walks of the model: there are never more live leases than the cap allows."""

from __future__ import annotations

from typing import cast

import pytest
import redis

from sharq_core.caps import MAX_TAKE, CapDefinition
from sharq_core.limits import BlockedBy, Limit, LimitUnit
from sharq_core.scheduler.caps.cap_calls import CapCalls
from tests.caps.model import stored_ledger
from tests.caps.model.permit_walk import AHEAD_US, MOST, PermitWalk
from tests.caps.model.permits import Ledger
from tests.caps.model.stored_ledger import BEGIN_US, LedgerStore
from tests.scheduler.drivers.driver import HOUR_US, SECOND_US
from tests.support.extent import is_full

STEPS = 400
WALKS = 400 if is_full() else 8
SEEDS_TO_A_BREACH = 300
CAP = "account"
MARGIN_US = 15 * SECOND_US


class StoredPermits(Ledger, kw_only=True):
    """The permits of one cap in a store."""

    store: LedgerStore

    @property
    def calls(self) -> CapCalls:
        """The maker of calls about caps."""
        return self.store.calls

    def define(self, told_us: int, most: int) -> None:
        """Define the cap, whose slots are due at any time."""
        self.max_leased = most
        put = self.calls.put_cap(0, CAP, CapDefinition([], most), now_us=BEGIN_US + told_us)
        self.store.value(put)

    def take(self, told_us: int, want: int, ahead_us: int, lease_us: int) -> list[int]:
        """Take slots with permits."""
        call = self.calls.cap_take(
            0, CAP, "n", want, within_us=ahead_us, lease_us=lease_us, now_us=BEGIN_US + told_us
        )
        return [slot.serial for slot in self.store.value(call).slots]

    def settle(self, told_us: int, serials: list[int]) -> None:
        """Give permits back."""
        self.store.value(self.calls.cap_settle(0, CAP, serials, now_us=BEGIN_US + told_us))

    def renew(self, told_us: int, serial: int, lease_us: int) -> bool:
        """Renew a permit."""
        call = self.calls.cap_renew(0, CAP, [serial], lease_us, now_us=BEGIN_US + told_us)
        return self.store.value(call)[0]


class StoredPermitWalk(PermitWalk):
    """The walk over the permits of a store, whose failovers go on with older records and permits."""

    def __init__(self, seed: int, store: LedgerStore) -> None:
        super().__init__(seed)
        self._store = store
        self._copies: list[tuple[bytes, dict[bytes, float]]] = []
        self.ledger = StoredPermits(self.ledger.max_leased, store=store)
        self._stored.define(self._ledger_us, self.ledger.max_leased)

    @property
    def _stored(self) -> StoredPermits:
        return cast(StoredPermits, self.ledger)

    def _copy(self) -> None:
        self._copies.append((self._store.record(CAP), self._store.permits(CAP)))

    def _fail_over(self) -> None:
        if self._copies:
            record, permits = self._random.choice(self._copies[-3:])
            self._copies = []
            self._store.replace(CAP, record)
            self._store.replace_permits(CAP, permits)

    def _change(self) -> None:
        """Change the cap. No promoted replica lacks the change."""
        self._stored.define(self._ledger_us, self._random.choice(MOST))
        self._most.append((self.real_us, self.ledger.max_leased))
        self._copies = []


@pytest.fixture
def ledgers(client: redis.Redis, prefix: str) -> LedgerStore:
    """A deployment with one cap."""
    return LedgerStore(client, prefix, [CAP])


@pytest.mark.parametrize("seed", range(WALKS))
def test_no_walk_has_more_live_leases_than_the_cap_allows(ledgers: LedgerStore, seed: int) -> None:
    walk = StoredPermitWalk(seed, ledgers)
    walk.ledger.take(
        walk._ledger_us, 1, AHEAD_US, 40 * SECOND_US
    )  # the longest lease is known from the beginning
    walk.go(STEPS)


def test_the_walks_find_a_store_that_does_not_notice_a_failover(
    client: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_ledger, "FOREIGN", None)
    for seed in range(SEEDS_TO_A_BREACH):
        try:
            StoredPermitWalk(seed, LedgerStore(client, f"{prefix}-{seed}", [CAP])).go(STEPS)
        except AssertionError:
            return
    pytest.fail(f"no breach in {SEEDS_TO_A_BREACH} walks")


def test_a_permit_lasts_until_its_lease_has_surely_ended(ledgers: LedgerStore) -> None:
    permits = StoredPermits(2, store=ledgers)
    permits.define(0, 2)
    assert len(permits.take(0, 5, AHEAD_US, 10 * SECOND_US)) == 2
    assert permits.take(10 * SECOND_US + MARGIN_US, 5, AHEAD_US, SECOND_US) == []
    assert len(permits.take(11 * SECOND_US + MARGIN_US, 5, AHEAD_US, SECOND_US)) == 2


def test_a_permit_is_settled_once_and_renewed_only_while_it_lasts(ledgers: LedgerStore) -> None:
    permits = StoredPermits(1, store=ledgers)
    permits.define(0, 1)
    (serial,) = permits.take(0, 1, AHEAD_US, SECOND_US)
    assert permits.renew(SECOND_US, serial, HOUR_US)
    assert permits.renew(SECOND_US, serial, 1), "it is never made shorter"
    assert permits.take(HOUR_US, 1, AHEAD_US, SECOND_US) == []
    for _ in range(2):
        permits.settle(HOUR_US, [serial])
    assert not permits.renew(HOUR_US, serial, SECOND_US)
    (other,) = permits.take(HOUR_US, 1, AHEAD_US, SECOND_US)
    permits.settle(HOUR_US, [serial])
    assert permits.take(HOUR_US, 1, AHEAD_US, SECOND_US) == [], "the other one is not settled"
    assert not permits.renew(HOUR_US + MARGIN_US + 10 * SECOND_US, other, SECOND_US)


def test_a_slot_that_comes_back_brings_its_permit_back(ledgers: LedgerStore) -> None:
    permits = StoredPermits(1, store=ledgers)
    permits.define(0, 1)
    take = permits.calls.cap_take(0, CAP, "n", 1, lease_us=HOUR_US, now_us=BEGIN_US)
    reply = ledgers.value(take)
    assert reply.has_permits
    assert ledgers.value(permits.calls.cap_return(0, CAP, reply.slots, now_us=BEGIN_US + 1)) == 0, "it is due"
    assert len(permits.take(2, 1, AHEAD_US, SECOND_US)) == 1


def test_a_slot_of_a_dropped_cap_that_comes_back_brings_its_permit_back(ledgers: LedgerStore) -> None:
    """The cap may be defined again before the lease would have ended, and would have a lease too few until then."""
    permits = StoredPermits(1, store=ledgers)
    permits.define(0, 1)
    take = permits.calls.cap_take(0, CAP, "n", 1, lease_us=HOUR_US, now_us=BEGIN_US)
    slots = ledgers.value(take).slots
    assert ledgers.value(permits.calls.drop_cap(0, CAP, now_us=BEGIN_US + 1))
    assert ledgers.value(permits.calls.cap_return(0, CAP, slots, now_us=BEGIN_US + 2)) == 0
    permits.define(3, 1)
    assert len(permits.take(4, 1, AHEAD_US, SECOND_US)) == 1


def test_a_late_settlement_of_a_forgotten_cap_ends_no_permit_of_a_new_one(ledgers: LedgerStore) -> None:
    """A node that was cut off from the ledger tries on until it is back."""
    permits = StoredPermits(1, store=ledgers)
    permits.define(0, 1)
    (old,) = permits.take(0, 1, AHEAD_US, SECOND_US)
    ended_us = 2 * MARGIN_US
    assert ledgers.value(permits.calls.cap_take(0, CAP, "n", 1, now_us=BEGIN_US + ended_us)).slots == []
    assert ledgers.value(permits.calls.drop_cap(0, CAP, now_us=BEGIN_US + ended_us))
    for seconds in (100, 101):  # the first one removes the old cap
        other = permits.calls.put_cap(
            0, "o", CapDefinition([]), now_us=BEGIN_US + ended_us + seconds * SECOND_US
        )
        ledgers.value(other)
    again_us = ended_us + 200 * SECOND_US
    permits.define(again_us, 1)
    assert len(permits.take(again_us, 1, AHEAD_US, HOUR_US)) == 1
    permits.settle(again_us, [old])
    assert permits.take(again_us, 1, AHEAD_US, HOUR_US) == []


def test_ended_permits_of_other_caps_are_counted_by_the_way(client: redis.Redis, prefix: str) -> None:
    """In bounded steps: a call counts a hundred of them."""
    store = LedgerStore(client, prefix, [CAP])
    names = [f"cap{number}" for number in range(5)]
    for name in (*names, CAP):
        store.value(store.calls.put_cap(0, name, CapDefinition([], 50), now_us=BEGIN_US))
        store.value(store.calls.cap_take(0, name, "n", MAX_TAKE, lease_us=SECOND_US, now_us=BEGIN_US))
    late_us = BEGIN_US + HOUR_US
    left = []
    for _ in range(4):
        call = store.calls.cap_take(0, CAP, "n", 1, lease_us=HOUR_US, now_us=late_us)
        store.value(call)
        page = store.value(store.calls.list_caps(0, 0, MAX_TAKE, now_us=late_us))
        left.append(sum(state.leased for state in page.caps if state.name != CAP))
    assert left[0] >= 5 * 50 - 100
    assert left[-1] == 0


def test_a_cap_without_the_length_of_leases_gives_no_slot(ledgers: LedgerStore) -> None:
    permits = StoredPermits(1, store=ledgers)
    permits.define(0, 1)
    reply = ledgers.value(permits.calls.cap_take(0, CAP, "n", 1, now_us=BEGIN_US))
    assert (reply.slots, reply.blocked_by) == ([], BlockedBy.MAX_LEASED)


def test_after_a_failover_the_lease_of_a_slot_far_ahead_may_be_live_for_longer(ledgers: LedgerStore) -> None:
    """A lost reservation may begin at the end of the horizon, a minute ahead."""
    minute_us, lease_us = 60 * SECOND_US, 100 * SECOND_US
    definition = CapDefinition([Limit(LimitUnit.JOB, minute_us, 1)], 2)
    ledgers.value(ledgers.calls.put_cap(0, CAP, definition, now_us=BEGIN_US))

    def take(after_us: int) -> int:
        call = ledgers.calls.cap_take(
            0, CAP, "n", 2, within_us=minute_us, lease_us=lease_us, now_us=BEGIN_US + after_us
        )
        return len(ledgers.value(call).slots)

    assert take(0) == 2
    ledgers.replace(CAP, ledgers.record(CAP))
    assert take(0) == 0
    settled_us = minute_us + lease_us + MARGIN_US
    assert take(settled_us - SECOND_US) == 0
    assert take(settled_us + 3 * SECOND_US) > 0
