"""The ledger of a real store in the walks and loads of the model: the bounds and the shares hold, and both agree."""

from __future__ import annotations

import functools
from random import Random

import pytest
import redis

from tests.caps.model import stored_ledger
from tests.caps.model.ledger import Ledger, Limit, Slot
from tests.caps.model.load import Load, Worker
from tests.caps.model.stored_ledger import StoredWorld, world_of
from tests.caps.model.walk import Walk
from tests.caps.test_share import fairness
from tests.support.extent import is_full

STEPS = 300
WALKS = 600 if is_full() else 8
ROUNDS = 60 if is_full() else 6
LIMITS = [Limit(25_000), Limit(1_000, 21.0), Limit(10, 1.0), Limit(400_000, 2.5)]
CAP = "account"
SEEDS_TO_A_BREACH = 200
SERIAL = slice(18, 25)
"""The place of the serial in a record (caps.lua)."""


@pytest.mark.parametrize("seed", range(WALKS))
def test_no_walk_with_ledgers_of_a_store_exceeds_the_bound(
    client: redis.Redis, prefix: str, seed: int
) -> None:
    Walk(seed, world_of=functools.partial(world_of, client, prefix)).go(STEPS)


@pytest.mark.parametrize("seed", range(WALKS // 3))
def test_a_step_that_nobody_notices_costs_no_more_than_its_length(
    client: redis.Redis, prefix: str, seed: int
) -> None:
    walk = Walk(seed, has_unnoticed_steps=True, world_of=functools.partial(world_of, client, prefix))
    walk.go(STEPS)


def test_the_walks_find_a_store_that_does_not_notice_a_failover(
    client: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_ledger, "FOREIGN", None)
    for seed in range(SEEDS_TO_A_BREACH):
        try:
            Walk(seed, world_of=functools.partial(world_of, client, prefix)).go(STEPS)
        except AssertionError:
            return
    pytest.fail(f"no breach in {SEEDS_TO_A_BREACH} walks")


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_store_gives_the_slots_of_the_model(
    client: redis.Redis, prefix: str, limit: Limit, seed: int
) -> None:
    """Three nodes of different weights take slots, and give some of them back."""
    random = Random(seed)
    stored = world_of(client, prefix, {CAP: limit}, []).stored(CAP)
    first = int.from_bytes(
        stored.store.record(CAP)[SERIAL]
    )  # that of a new cap is the time at which it was made
    model, now_us = Ledger(limit, serial=first), 10_000_000
    held: list[Slot] = []
    for _ in range(100):
        now_us += random.choice([0, 1, limit.interval_us // 3, limit.interval_us, 3 * limit.horizon_us])
        node, weight = random.choice([("north", 1.0), ("south", 2.0), ("west", 5.0)])
        if random.random() < 0.7:
            want = random.choice([1, 3, 100])
            expected = model.take(now_us, node, want, weight)
            assert stored.take(now_us, node, want, weight) == expected
            held += expected.slots
        elif held:
            at = random.randrange(len(held))
            returned = tuple(held[at : at + random.randint(1, 20)])
            assert stored.give_back(now_us, returned) == model.give_back(now_us, returned)


@pytest.mark.parametrize(("limit", "promised"), [(Limit(25_000), 0.95), (Limit(1_000, 21.0), 0.99)])
def test_three_nodes_share_the_whole_limit_by_their_weights(
    client: redis.Redis, prefix: str, limit: Limit, promised: float
) -> None:
    weights = {"north": 1.0, "south": 2.0, "west": 5.0}
    workers = {name: Worker(weight) for name, weight in weights.items()}
    load = Load(limit, workers, world_of=functools.partial(world_of, client, prefix))
    load.run(4.0)
    load.assert_bound()
    assert load.share(0.1, load.seconds) >= promised
    assert fairness(load.used[name] / weight for name, weight in weights.items()) >= 0.98


def test_a_promoted_server_gives_nothing_for_a_horizon_and_the_burst_not_anew(
    client: redis.Redis, prefix: str
) -> None:
    world: StoredWorld = world_of(client, prefix, {CAP: Limit(25_000, 4.0)}, [])
    ledger, now_us = world.stored(CAP), 10_000_000
    replica = ledger.copy()
    lost = ledger.take(now_us, "north", 100).slots
    assert len(lost) == 8, "the burst, and the slots of a horizon"
    ledger.promote(replica)
    assert ledger.take(now_us + 1, "north", 100).slots == ()
    assert ledger.give_back(now_us + 1, lost) == 0, "a lost reservation does not come back"
    first, *_ = ledger.take(now_us + 30_000, "north", 100).slots
    assert first.due_us == now_us + 1 + 100_000 + 25_000
    assert first.serial > lost[-1].serial
