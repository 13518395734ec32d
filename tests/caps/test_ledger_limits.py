"""Ledgers with several limits, costs, slots further ahead, holds and changes; judged by the times of the slots alone.

A slot of which nothing came back counts as used at its time.
"""

from __future__ import annotations

from random import Random

import pytest
import redis
from msgspec import Struct

from sharq_core import caps
from sharq_core.caps import MAX_TAKE, CapDefinition, CapReply, CapSlot, CapTakeStatus
from sharq_core.limits import BlockedBy, Burst, Limit, LimitUnit
from sharq_core.scheduler import library
from tests.caps.model.stored_ledger import BEGIN_US, LedgerStore
from tests.scheduler.drivers.driver import HOUR_US, MINUTE_US, SECOND_US
from tests.support.extent import is_full

SEEDS = 300 if is_full() else 10
STEPS = 120
CAP = "account"


def job_limit(interval_us: int, burst: Burst = 1) -> Limit:
    """A limit that counts jobs."""
    return Limit(LimitUnit.JOB, interval_us, burst)


def cost_limit(interval_us: int, burst: Burst = 1) -> Limit:
    """A limit that counts points of cost."""
    return Limit(LimitUnit.COST, interval_us, burst)


class Use(Struct, frozen=True):
    """A slot that counts as used, with its points of cost."""

    due_us: int
    units: int


class Ledger:
    """One cap in a store, at a clock that only the test moves.

    Attributes:
        uses: the slots that were reserved and did not come back, by serial.
    """

    def __init__(
        self, client: redis.Redis, prefix: str, *limits: Limit, max_leased: int | None = None
    ) -> None:
        self.store = LedgerStore(client, prefix, [CAP])
        self.now_us = BEGIN_US
        self.uses: dict[int, Use] = {}
        self.put(*limits, max_leased=max_leased)

    def put(self, *limits: Limit, max_leased: int | None = None, hold_us: int | None = None) -> None:
        """Define the cap."""
        definition = CapDefinition(list(limits), max_leased)
        put = self.store.calls.put_cap(0, CAP, definition, hold_us, now_us=self.now_us)
        state = self.store.value(put)
        assert state is not None
        assert state.definition == definition

    def take(
        self,
        want: int = MAX_TAKE,
        *,
        units: int = 1,
        within_us: int = HOUR_US,
        after_us: int = 0,
        lease_us: int | None = None,
    ) -> CapReply:
        """Reserve slots."""
        reply = self.store.value(
            self.store.calls.cap_take(
                0,
                CAP,
                "node",
                want,
                units=units,
                within_us=within_us,
                after_us=after_us,
                lease_us=lease_us,
                now_us=self.now_us,
            )
        )
        self.uses |= {slot.serial: Use(slot.due_us, units) for slot in reply.slots}
        return reply

    def give_back(self, slots: list[CapSlot], units: int = 1) -> int:
        """Give slots back, one by one, so that it is known which ones came back."""
        count = 0
        for slot in slots:
            call = self.store.calls.cap_return(0, CAP, [slot], units=units, now_us=self.now_us)
            if self.store.value(call):
                del self.uses[slot.serial]
                count += 1
        return count

    def drop(self) -> bool:
        """Drop the cap."""
        return self.store.value(self.store.calls.drop_cap(0, CAP, now_us=self.now_us))

    def hold(self, hold_us: int) -> bool:
        """Hold the cap."""
        return self.store.value(self.store.calls.cap_hold(0, CAP, hold_us, now_us=self.now_us))

    def correct(self, difference: int) -> bool:
        """Correct the cost of a lease."""
        return self.store.value(self.store.calls.cap_correct(0, CAP, difference, now_us=self.now_us))

    def ahead(self, reply: CapReply) -> list[int]:
        """The times of slots from now on."""
        return [slot.due_us - self.now_us for slot in reply.slots]

    def assert_bound(self, *limits: Limit) -> None:
        """Raise AssertionError if more slots are due in any time than each limit allows, with one overdraft (I12)."""
        uses = sorted(self.uses.values(), key=lambda use: use.due_us)
        for limit in limits:
            counts = [(use.due_us, use.units if limit.unit is LimitUnit.COST else 1) for use in uses]
            for first, (start_us, _) in enumerate(counts):
                units = largest = 0
                for end_us, one in counts[first:]:
                    units, largest = units + one, max(largest, one)
                    most = limit.burst - 1 + (end_us - start_us) / limit.interval_us
                    assert units - largest <= most + 1e-6, f"{units} in {end_us - start_us} µs under {limit}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_limit_of_a_cap_is_exceeded(client: redis.Redis, prefix: str, seed: int) -> None:
    random = Random(seed)
    intervals, bursts = (100, 1_000, 7_000, 25_000), (1, 1.1, 2, 5.5)
    limits = [
        Limit(random.choice(list(LimitUnit)), random.choice(intervals), random.choice(bursts))
        for _ in range(random.randint(1, 3))
    ]
    ledger = Ledger(client, prefix, *limits)
    held: list[tuple[CapSlot, int]] = []
    for _ in range(STEPS):
        ledger.now_us += random.choice([0, 0, 10, 1_000, 20_000, 200_000])
        if random.random() < 0.7:
            units, after_us = random.choice([1, 1, 2, 30]), random.choice([0, 0, 0, 500, 9_999])
            reply = ledger.take(random.choice([1, 3, 100]), units=units, after_us=after_us)
            assert all(ahead_us >= after_us for ahead_us in ledger.ahead(reply))
            assert all(ahead_us <= reply.horizon_us for ahead_us in ledger.ahead(reply))
            held += [(slot, units) for slot in reply.slots]
        elif random.random() < 0.1:
            ledger.hold(random.choice([1_000, 50_000]))
        else:
            for slot, units in random.sample(held, min(len(held), 5)):
                if slot.serial in ledger.uses:
                    ledger.give_back([slot], units)
    assert len(ledger.uses) > 5
    ledger.assert_bound(*limits)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_slots_of_one_call_are_those_of_a_call_each(client: redis.Redis, prefix: str, seed: int) -> None:
    random = Random(seed)
    unit, interval_us = random.choice(list(LimitUnit)), random.choice([0, 90, 1_000, 30_000])
    limit = Limit(unit, interval_us, random.choice([1, 1.1, 7.5]))
    together, apart = (Ledger(client, f"{prefix}-{name}", limit) for name in "ab")
    for step in range(6):
        elapsed_us, units = random.choice([0, 3_000, 50_000]), random.choice([1, 4])
        # Another node asks at the beginning, so that turns bound what this one gets until the other has been away long.
        for ledger in (together, apart):
            ledger.now_us += elapsed_us
            if step == 0:
                ledger.store.value(
                    ledger.store.calls.cap_take(0, CAP, "other", 2, within_us=HOUR_US, now_us=ledger.now_us)
                )
            if step % 3 == 2:
                ledger.hold(5_000)
        want = random.choice([2, 30, MAX_TAKE])
        reply = together.take(want, units=units)
        replies = [apart.take(1, units=units) for _ in range(want)]
        slots = [slot for one in replies for slot in one.slots]
        assert reply.slots == slots
        if len(slots) < want:
            assert (reply.blocked_by, reply.ask_in_us) == (replies[-1].blocked_by, replies[-1].ask_in_us)


def test_a_slot_is_due_when_all_limits_allow_it(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, job_limit(1_000, 3), job_limit(10_000))
    assert ledger.ahead(ledger.take(within_us=20_000)) == [0, 10_000, 20_000]


def test_a_slot_of_several_points_borrows(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, cost_limit(10_000), job_limit(1_000))
    assert ledger.ahead(ledger.take(units=5, within_us=20_000)) == [0]
    assert ledger.take(units=1, within_us=0).ask_in_us == 50_000
    ledger.now_us += 50_000
    assert ledger.ahead(ledger.take(1)) == [0]


def test_a_correction_moves_later_slots_by_the_difference(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, cost_limit(1_000))
    ledger.take(1, units=100)
    assert ledger.correct(-60)
    assert ledger.take(1, within_us=0).ask_in_us == 40_000
    assert ledger.correct(5)
    assert ledger.take(1, within_us=0).ask_in_us == 45_000
    assert ledger.correct(-1_000)
    assert ledger.take(1, within_us=0).ask_in_us == 1_000, "one interval after the last slot at the earliest"


def test_no_free_slot_is_given_before_a_correction_is_paid(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, cost_limit(5_000))
    assert ledger.give_back(ledger.take(3).slots) == 2
    assert ledger.correct(100)
    assert ledger.take(1, within_us=0).ask_in_us == 515_000


def test_slots_that_a_later_one_leaves_out_are_free_for_others(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, job_limit(1_000))
    assert ledger.ahead(ledger.take(1)) == [0]
    assert ledger.ahead(ledger.take(1, after_us=10_500)) == [10_500], "at the time that another cap needs"
    rest = [*range(1_000, 10_000, 1_000), *range(11_500, 20_001, 1_000)]
    assert ledger.ahead(ledger.take(within_us=20_000)) == rest


def test_slots_that_a_later_one_leaves_out_under_several_limits_are_free_for_others(
    client: redis.Redis, prefix: str
) -> None:
    limits = job_limit(1_000), job_limit(2_000, 2)
    ledger = Ledger(client, prefix, *limits)
    ledger.take(1)
    assert ledger.ahead(ledger.take(1, after_us=15_000)) == [15_000]
    assert len(ledger.take().slots) >= 8
    ledger.assert_bound(*limits)


def test_a_cap_with_a_hundred_thousand_slots_a_second_gives_them_all(
    client: redis.Redis, prefix: str
) -> None:
    """The record stays small meanwhile, also if slots come back in disorder."""
    ledger = Ledger(client, prefix, job_limit(10))
    random, taken = Random(1), 0
    for _ in range(60):
        ledger.now_us += 1_000
        slots = ledger.take().slots
        taken += len(slots)
        back = random.sample(slots, 40)
        call = ledger.store.calls.cap_return(0, CAP, back, now_us=ledger.now_us)
        ledger.store.value(call)
        assert len(ledger.store.record(CAP)) < 4_000
    assert taken == 6_000


def test_a_hold_only_grows_and_the_spacing_holds_at_its_end(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, job_limit(1_000))
    assert ledger.hold(SECOND_US)
    assert ledger.hold(1)
    reply = ledger.take()
    assert (reply.slots, reply.blocked_by, reply.ask_in_us) == ([], BlockedBy.HOLD, SECOND_US - 64_000)
    ledger.now_us += SECOND_US - 5_000
    assert ledger.ahead(ledger.take(3)) == [5_000, 6_000, 7_000]
    ledger.put(job_limit(1_000), hold_us=MINUTE_US)
    assert ledger.take().blocked_by is BlockedBy.HOLD
    ledger.put(job_limit(1_000), hold_us=0)
    assert ledger.take().slots != []


def test_a_definition_that_changes_nothing_leaves_the_slots_alone(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, job_limit(10_000, 3))
    slots = ledger.take().slots
    ledger.put(job_limit(10_000, 3))
    assert ledger.take().slots == [], "the burst is not given anew"
    assert ledger.give_back([slots[-1]]) == 1


def test_a_new_limit_begins_one_interval_after_the_latest_slot(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, job_limit(10_000, 5))
    assert len(ledger.take(1).slots) == 1
    ledger.put(job_limit(15_000))
    assert ledger.ahead(ledger.take(within_us=20_000)) == [15_000]


def test_a_cap_that_is_dropped_and_made_again_gives_nothing_anew(client: redis.Redis, prefix: str) -> None:
    limit = job_limit(10_000, 3)
    ledger = Ledger(client, prefix, limit)
    slots = ledger.take().slots
    assert ledger.drop()
    assert not ledger.drop()
    assert ledger.take().status is CapTakeStatus.UNKNOWN
    assert ledger.give_back([slots[-1]]) == 0
    for definition in ([], [job_limit(1)], [limit]):
        ledger.put(*definition)
    ledger.take()
    ledger.assert_bound(limit)


def test_dropped_caps_are_forgotten(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, job_limit(HOUR_US))
    calls, definition = ledger.store.calls, CapDefinition([job_limit(1_000)])
    ledger.take()
    for number in range(50):
        ledger.store.value(calls.put_cap(0, f"brief{number}", definition, now_us=ledger.now_us))
        ledger.store.value(calls.drop_cap(0, f"brief{number}", now_us=ledger.now_us))
    ledger.drop()
    ledger.now_us += MINUTE_US + SECOND_US
    for _ in range(50):
        ledger.store.value(calls.put_cap(0, "other", definition, now_us=ledger.now_us))
    assert ledger.store.names(CAP) == {"other", CAP}, "the slot of an hour is still under way"


def test_a_partition_takes_no_more_caps_than_it_may_have(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, job_limit(1_000))
    calls = ledger.store.calls

    def put(name: str) -> bool:
        call = calls.put_cap(0, name, CapDefinition([]), most=2, now_us=ledger.now_us)
        raw = client.execute_command(*call.command.words)  # type: ignore[no-untyped-call]
        return call.decode(raw).value is not None

    assert [put(name) for name in ("second", "third", CAP)] == [True, False, True]


def test_a_page_of_caps_shows_how_each_stands(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix, cost_limit(10_000, 1.5), job_limit(5_000), max_leased=3)
    slots = ledger.take(2, lease_us=SECOND_US).slots
    (state,) = ledger.store.value(ledger.store.calls.list_caps(0, 0, 10, now_us=ledger.now_us)).caps
    assert (state.name, state.leased, state.reserved) == (CAP, 2, 2)
    assert state.definition == CapDefinition([cost_limit(10_000, 1.5), job_limit(5_000)], 3)
    assert (state.blocked_by, state.next_slot_in_us) == (BlockedBy.RATE, 15_000)
    ledger.take(1, lease_us=SECOND_US)
    ledger.now_us += SECOND_US
    later = ledger.store.value(ledger.store.calls.get_cap(0, CAP, now_us=ledger.now_us))
    assert later is not None
    assert (later.blocked_by, later.next_slot_in_us) == (BlockedBy.MAX_LEASED, None)
    assert slots


def test_a_library_that_is_loaded_again_counts_as_a_failover(client: redis.Redis, prefix: str) -> None:
    """So do a restart and a full copy from another server: each loads the library anew."""
    ledger = Ledger(client, prefix, job_limit(200_000))
    slots = ledger.take().slots
    client.function_load(library.source(), replace=True)
    assert ledger.take().slots == []
    assert ledger.give_back(slots) == 0
    ledger.now_us += 200_000
    assert ledger.ahead(ledger.take()) == [200_000]


def test_a_failover_of_a_cap_with_cost_takes_as_many_points_for_granted_as_the_latest_slot(
    client: redis.Redis, prefix: str
) -> None:
    ledger = Ledger(client, prefix, cost_limit(1_000))
    ledger.take(1, units=50)
    ledger.now_us += SECOND_US
    ledger.store.replace(CAP, ledger.store.record(CAP))
    assert ledger.take(within_us=0).ask_in_us == 64_000 + 50_000


def test_the_horizon_and_the_grace_of_a_cap_follow_its_intervals(client: redis.Redis, prefix: str) -> None:
    ledger = Ledger(client, prefix)
    for intervals in ([], [0], [250], [1_000], [25_000], [400_000], [1_000, 3_000_000], [60_000_000]):
        ledger.put(*map(job_limit, intervals))
        reply = ledger.take(0)
        assert (reply.horizon_us, reply.grace_us) == (caps.horizon_us(intervals), caps.grace_us(intervals))


def test_a_new_limit_makes_up_for_the_longer_grace_of_the_former_one(
    client: redis.Redis, prefix: str
) -> None:
    """The latest slot may be used 250 ms after its time, and those of the new limit only 10 ms."""
    ledger = Ledger(client, prefix, job_limit(6_000_000))
    assert ledger.take(1).grace_us == 250_000
    ledger.put(job_limit(15_000))
    assert ledger.ahead(ledger.take(1, after_us=0, within_us=HOUR_US)) == []
    ledger.now_us += 240_000
    reply = ledger.take(1)
    assert (ledger.ahead(reply), reply.grace_us) == ([15_000], 10_000)


def test_a_caller_of_an_older_version_gets_slots_without_their_grace(
    client: redis.Redis, prefix: str
) -> None:
    ledger = Ledger(client, prefix, job_limit(25_000))
    call = ledger.store.calls.cap_take(0, CAP, "older", 1, within_us=HOUR_US, now_us=ledger.now_us)
    words = list(call.command.words)
    place = next(index for index, word in enumerate(words) if word in {b"older", "older"}) - 2
    terms = words[place]
    assert isinstance(terms, bytes)
    words[place] = terms[:-1]
    raw = client.execute_command(*words)  # type: ignore[no-untyped-call]
    status, now_us, _, _, horizon_us, has_permits, serial, *slots = raw[4:]
    assert (status, horizon_us, has_permits) == (0, 100_000, 0)
    assert serial > 0
    assert slots == [now_us]
