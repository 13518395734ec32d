"""Expiry, priority, retries, cancellations and changes of jobs keep their promises while processes die, shards change
and the store fails over (I3, I7, I15). What is counted is in tests/support/load/life_verdict.py.
"""

from __future__ import annotations

import uuid

import pytest

from tests.chaos.promises.test_limits import Fault, join_and_leave, kill_routers, kill_shards, kill_store
from tests.chaos.report import Report
from tests.chaos.stage import Stage, is_quick
from tests.chaos.stores.test_failover import EVENTS, ROUNDS, play_events, sentinel_stage
from tests.support.load.crowd import FAILING, Crowd
from tests.support.load.history import History, Outcome
from tests.support.load.life import Backoff, Life
from tests.support.load.promise import Promise, Rate

pytestmark = pytest.mark.timeout(900)

QUEUES = 8

LIFE = Life(
    priorities=(5, 5, 1, 5, 9),
    expiries_ms=(None, 300, None, 400, None, 600, 2_000),
    requeue_limit=2,
    retry=Backoff(delay=100, factor=2, max=1_000, jitter=0.5),
)
PROMISE = Promise(Rate(50), gap_ms=55, life=LIFE)
"""With the attempts that fail a queue gets a little more than it can give, so that some jobs expire."""

FAULTS: dict[str, Fault] = {
    "kill -9 of each router": kill_routers,
    "kill -9 of shards": kill_shards,
    "kill -9 of the store, restart from its AOF": kill_store,
    "a shard joins and leaves": join_and_leave,
}


async def one_after_another(stage: Stage, crowd: Crowd) -> None:
    """All of them in one run, which takes less time than a run for each."""
    for fault in FAULTS.values():
        await fault(stage, crowd)
        await stage.go_on(crowd)


SCENARIOS = {"all of these one after another": one_after_another} if is_quick() else FAULTS
KINDS = ["gathered"] if is_quick() else ["gathered", "plain"]


async def play(stage: Stage, scenario: str, fault: Fault, kind: str) -> None:
    """Play a scenario with jobs of such a life; it must have used all of it."""

    async def fault_and_more(crowd: Crowd) -> None:
        await fault(stage, crowd)
        await stage.go_on(crowd)  # some faults leave little time in which anything is delivered

    counts, history = await stage.play(
        f"life of jobs, {kind} type: {scenario}",
        fault_and_more,
        habits=FAILING,
        queues=QUEUES,
        promise=PROMISE,
        kind=f"t-{uuid.uuid4().hex[:12]}{'~a' if kind == 'gathered' else ''}",
    )
    assert counts.expired, "a job expired"
    assert counts.died, "a job passed its requeue limit"
    assert {"queued", "leased"} <= {call.was for call in history.cancellations}, "jobs were cancelled"
    assert any(call.is_by_prefix and call.outcome is Outcome.OK for call in history.cancellations)
    assert any(edit.outcome is Outcome.OK for edit in history.edits), "a job was changed"
    assert any(lease.version for lease in history.leases), "a changed job was leased"
    assert has_overtaken(history), "a job overtook an older one by its priority"
    assert any(lease.attempt == LIFE.requeue_limit + 1 for lease in history.leases), "a job was tried again"


def has_overtaken(history: History) -> bool:
    """Return True if a job left its queue before an older one of a lower priority."""
    firsts = [first for first, *_ in history.by_job().values()]
    return any(
        older.job[0] == younger.job[0]
        and older.job[1] < younger.job[1]
        and older.at_ms > younger.at_ms
        and LIFE.priority(older.job[1]) > LIFE.priority(younger.job[1])
        for older in firsts
        for younger in firsts
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_life_of_jobs_keeps_its_promises_through(
    shared_stage: Stage, scenario: str, kind: str
) -> None:
    await play(shared_stage, scenario, SCENARIOS[scenario], kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_life_of_jobs_keeps_its_promises_through_failovers(
    seed: int, report: Report, kind: str
) -> None:
    """With `replicated`: a primary whose replica lacks a cancellation or an expiry would lease the job again."""
    events = ["SENTINEL FAILOVER"] if is_quick() else list(EVENTS)
    with sentinel_stage("replicated", 2, seed, report) as (found, group):
        for name in events:

            async def fault(stage: Stage, crowd: Crowd, name: str = name) -> None:
                await play_events(stage, group, crowd, name, ROUNDS)

            await play(found, f"{name}, replicated, 2 replicas", fault, kind)
