"""Collects the makers of a node's calls to the store."""

from __future__ import annotations

from sharq_core.scheduler.campaigns.batch_calls import BatchCalls
from sharq_core.scheduler.campaigns.quotas import PeriodCalls
from sharq_core.scheduler.campaigns.schedule_calls import ScheduleCalls
from sharq_core.scheduler.campaigns.windows import WindowCalls
from sharq_core.scheduler.caps.cap_calls import CapCalls
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.job_calls import JobCalls
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.limit_calls import LimitCalls, TypeCalls
from sharq_core.scheduler.surveys import SurveyCalls


class StoreCalls:
    """The makers of one deployment's calls, by what they are about.

    Attributes:
        sources: the makers of the functions that calls of routers name (scheduler_calls.py).
    """

    def __init__(self, keys: Keys, retention: Retention) -> None:
        self.functions = Functions(keys, retention)
        self.jobs = JobCalls(keys, retention)
        self.limits, self.types = LimitCalls(keys), TypeCalls(keys)
        self.batches, self.periods = BatchCalls(keys, retention), PeriodCalls(keys)
        self.schedules = ScheduleCalls(keys, self.functions)
        self.windows = WindowCalls(keys)
        self.caps = CapCalls(keys)
        self.surveys = SurveyCalls(keys, retention.tombstones)
        self.sources: tuple[object, ...] = (
            self.functions,
            self.jobs,
            self.limits,
            self.types,
            self.batches,
            self.schedules,
            self.windows,
            self.caps,
            self.functions.capped,
        )
