"""Measures the store's price of jobs with a feature for benchmarks/store/features.py, as price_load.py does without.

A feature is a limit, or what a job says of its life.
"""

from __future__ import annotations

import time

from benchmarks.processes.servers import Store
from benchmarks.store.price_load import INTERVAL_US, NONE, QUEUES, Feature, answer
from shard.calendar.period_keeper import bounds_around
from sharq_core.campaigns.quotas import PeriodLength, Zone
from sharq_core.job_life import Retry
from sharq_core.limits import Limit, LimitUnit, QueueSettings, Quota, TypeSettings
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.limit_calls import LimitCalls, TypeCalls

_UNREACHED_BURST = 1_000.0
HOUR_US = 3_600_000_000


def set_weights(store: Store, keys: Keys, queue_type: str) -> None:
    """Give every queue a weight, which is a setting that lasts."""
    calls = LimitCalls(keys)
    settings = QueueSettings(weight=2)
    for number in range(QUEUES):
        store.execute(calls.set_queue(0, queue_type, f"q{number}", settings))


def set_caps(store: Store, keys: Keys, queue_type: str) -> None:
    """Give the type a cap in jobs and one in units that nothing reaches."""
    limits = [Limit(unit, INTERVAL_US, _UNREACHED_BURST) for unit in LimitUnit]
    settings = TypeSettings(limits=limits, max_leased=1_000_000)
    store.execute(TypeCalls(keys).set_type(0, queue_type, settings))


def set_quotas(store: Store, keys: Keys, queue_type: str) -> None:
    """Give the type a quota in jobs for each day and one in units for each hour that nothing reaches."""
    quotas = [Quota(10**12, PeriodLength.DAY), Quota(10**12, PeriodLength.HOUR, unit=LimitUnit.COST)]
    zones = (Zone(quota.period, quota.tz) for quota in quotas)
    bounds = {zone: bounds_around(zone, time.time_ns() // 1000) for zone in zones}
    store.execute(TypeCalls(keys).set_type(0, queue_type, TypeSettings(quotas=quotas), bounds=bounds))


LIFE = {
    **NONE,
    "priority": Feature("priority", job={"priority": 1}),
    "expires": Feature("expires", job={"expires_us": HOUR_US}),
    "retry": Feature("retry", job={"retry": Retry(delay_ms=1_000)}),
    "priority, expires and retry": Feature(
        "life", job={"priority": 1, "expires_us": HOUR_US, "retry": Retry(delay_ms=1_000)}
    ),
    "trace": Feature("trace", job={"trace": bytes(range(25))}),
    "released once": Feature("released", release={}),
    "released once with an error": Feature("error", release={"error": "TimeoutError: no answer within 10 s"}),
}
"""Jobs that say something of their life, each in a type of its own, beside those that do not."""

FEATURES = {
    **LIFE,
    "burst 1.1": Feature("burst", job={"burst": 1.1}),
    "cost": Feature("cost", job={"cost": 2}),
    "cost, corrected by the finish": Feature("corrected", job={"cost": 2}, finish={"cost": 1}),
    "hold by the finish": Feature("hold", finish={"hold_us": 1}),
    "max_leased": Feature("max", job={"max_leased": 1_000}),
    "weight": Feature("weight", prepare=set_weights),
    "gathered type without caps": Feature("plain~a"),
    "gathered type with two caps and max_leased": Feature("caps~a", prepare=set_caps),
    "gathered type with two quotas": Feature("quotas~a", prepare=set_quotas),
}

if __name__ == "__main__":
    answer(FEATURES)
