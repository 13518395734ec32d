"""The functions about a whole type beside the plain-Python model, driven by Hypothesis at an injected clock.

The rules of test_machine.py run as well, so that limits, weights, holds and pauses of a type meet every state of its
jobs and queues, clock steps and late calls.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from msgspec import UNSET

from shard.calendar.period_keeper import bounds_around
from sharq_core.campaigns.quotas import PeriodLength, Zone
from sharq_core.limits import MAX_HOLD_US, Limit, LimitUnit, Quota, TypeSettings
from sharq_core.models import FinishJob, JobState, ReleaseJob
from sharq_core.scheduler.campaigns.quotas import PeriodCalls
from sharq_core.scheduler.replies import DequeueReply
from tests.scheduler.drivers.driver import DAY_US, MINUTE_US, SECOND_US, START_US, TYPE
from tests.scheduler.drivers.types import TypeDriver
from tests.scheduler.machines.life_machine import LifeMachine
from tests.scheduler.machines.machine import RETENTION
from tests.scheduler.machines.strategies import FATES, NOT_AFTER_US, REPORTS, RETRIES, Lease, seldom
from tests.scheduler.machines.type_witness import TypeWitness
from tests.scheduler.models.gathered import GatheredModel
from tests.scheduler.models.quotas import OFFSETS_US, Reach
from tests.support.extent import CHOSEN_KINDS

LIMITS = st.builds(
    Limit,
    unit=st.sampled_from(LimitUnit),
    interval_us=st.sampled_from([1, 33_334, SECOND_US, SECOND_US, MINUTE_US, DAY_US]),
    burst=st.sampled_from([1, 1, 1.1, 1.29, 2, 3, 1_000_000]),
)
QUOTAS = st.builds(
    Quota,
    quota=st.sampled_from([1, 2, 3, 5, 100]),
    period=st.sampled_from(PeriodLength),
    tz=st.sampled_from(list(OFFSETS_US)),
    unit=st.sampled_from(LimitUnit),
)
ZONES = [Zone(period, tz) for period in PeriodLength for tz in OFFSETS_US]
TYPE_HOLDS_US = st.sampled_from([1, SECOND_US, MINUTE_US])

CHANGES = st.builds(
    TypeSettings,
    limits=st.one_of(st.just(UNSET), st.none(), st.lists(LIMITS, min_size=1, max_size=2)),
    max_leased=st.sampled_from([UNSET, UNSET, None, 1, 2]),
    hold_us=st.sampled_from([UNSET, UNSET, UNSET, None, 0, 1, SECOND_US, MINUTE_US]),
    retry=seldom(st.one_of(st.none(), RETRIES), UNSET),
    expires_us=st.sampled_from([UNSET, UNSET, UNSET, None, SECOND_US, MINUTE_US]),
    on_expiry=seldom(FATES, UNSET),
    quotas=st.one_of(st.just(UNSET), st.none(), st.lists(QUOTAS, min_size=1, max_size=2)),
)
"""Mostly of limits, because a type that is held or full all the time shows little."""


class TypeMachine(LifeMachine):
    """One type whose settings change."""

    driver: TypeDriver
    model: GatheredModel

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        super().__init__(client, prefix)
        self.driver = TypeDriver(client, prefix, retention=RETENTION, queue_type=TYPE)
        self.model = GatheredModel(TYPE, RETENTION, START_US)
        self.witness: TypeWitness = TypeWitness()

    def _takes_nothing_back(self, now_us: int) -> bool:
        """No lease of the type, and no hold that would be cut to the longest one."""
        rules = self.model.state.rules
        is_kept = rules.last_us <= now_us and rules.held_until_us <= now_us + MAX_HOLD_US
        return is_kept and super()._takes_nothing_back(now_us)

    def _compare_dequeue(self, found: DequeueReply | None, wanted: DequeueReply) -> None:
        """A refused type looks at no queue, so its next ready time comes from the agenda: early perhaps, never late."""
        assert found is not None
        rules, leased = self.model.state.rules, len(self.model.state.in_state(JobState.LEASED))
        if not found.jobs and not rules.allows(leased, self.model.state.now_us):
            if wanted.head_us is None or any(count.is_stale for count in rules.quotas.counts):
                limits_us = self.model.state.shown(rules.look_at_us(self.model.state.now_us))
                assert found.head_us is None or found.head_us >= limits_us
            else:
                assert found.head_us is not None and found.head_us <= wanted.head_us
            found = msgspec.structs.replace(found, head_us=wanted.head_us)
        assert found == wanted

    def _see_leased(self, queue_ids: set[str]) -> None:
        """I13 of the type, too: a call that leases leaves no more leases than allowed."""
        super()._see_leased(queue_ids)
        max_leased = self.model.state.rules.max_leased
        assert not queue_ids or max_leased is None or self.driver.totals().leased <= max_leased

    def _move_clock(self, by_us: int) -> None:
        """The witness of quotas begins anew when the store's clock goes back."""
        super()._move_clock(by_us)
        self.witness.see_clock(self.driver.now_us)

    @rule(change=CHANGES, not_after=NOT_AFTER_US, has_bounds=st.sampled_from([True, True, True, True, False]))
    def set_type(self, change: TypeSettings, not_after: int | None, has_bounds: bool) -> None:
        now_us = self.driver.now_us
        not_after_us = None if not_after is None else now_us + not_after
        zones = {Zone(quota.period, quota.tz) for quota in change.quotas or []} if has_bounds else set()
        bounds = {zone: bounds_around(zone, now_us) for zone in zones}
        found = self.driver.reply(
            self.driver.types.set_type(
                0, TYPE, change, bounds=bounds, not_after_us=not_after_us, now_us=now_us
            )
        )
        if not_after == -1:
            assert found.is_expired
            return
        wanted = self.model.set_type(change, _reach(bounds))
        assert found.value is not None
        stats = found.value
        assert (stats.blocked_by, stats.next_ready_in_us) in {
            (reason.blocked_by, reason.next_ready_in_us) for reason in self.model.explanations()
        }
        assert (
            msgspec.structs.replace(
                stats, blocked_by=wanted.blocked_by, next_ready_in_us=wanted.next_ready_in_us
            )
            == wanted
        )
        self.witness.see_limits(wanted.limits)
        if change.quotas is not UNSET:
            self.witness.see_quotas([use.quota for use in wanted.quotas])

    @rule(zones=st.one_of(st.just(ZONES), st.lists(st.sampled_from(ZONES), unique=True)))
    def put_periods(self, zones: list[Zone]) -> None:
        """The task of a shard brings the periods around now."""
        now_us = self.driver.now_us
        bounds = {zone: bounds_around(zone, now_us) for zone in zones}
        found = self.driver.value(PeriodCalls(self.driver.keys).put_periods(0, bounds, now_us=now_us))
        assert found == self.model.put_periods(_reach(bounds))

    @rule(is_paused=st.sampled_from([False, False, True]), not_after=NOT_AFTER_US)
    def pause_type(self, is_paused: bool, not_after: int | None) -> None:
        now_us = self.driver.now_us
        not_after_us = None if not_after is None else now_us + not_after
        call = self.driver.types.pause_type(
            0, TYPE, is_paused=is_paused, not_after_us=not_after_us, now_us=now_us
        )
        if self.driver.reply(call).is_expired:
            assert not_after == -1
        else:
            self.model.pause_type(is_paused)

    @precondition(lambda self: self.model.state.jobs)
    @rule(is_paused=st.sampled_from([False, False, False, True]))
    def pause_all(self, is_paused: bool) -> None:
        self.driver.pause_all(is_paused)
        self.model.pause_all(is_paused)

    @rule()
    def explain(self) -> None:
        assert self.driver.explain() in self.model.explanations()

    @rule(
        held=st.lists(LifeMachine.held, min_size=1, max_size=3),
        report=REPORTS,
        hold_type_us=TYPE_HOLDS_US,
    )
    def finish_and_hold_type(self, held: list[Lease], report: dict[str, Any], hold_type_us: int) -> None:
        refs = [FinishJob(TYPE, *lease, **report, hold_type_us=hold_type_us) for lease in held]
        call = self.driver.functions.finish(0, TYPE, refs, now_us=self.driver.now_us)
        with self._corrections():
            assert self.driver.value(call) == self.model.finish(refs)

    @rule(
        held=st.lists(LifeMachine.held, min_size=1, max_size=3),
        report=REPORTS,
        hold_type_us=TYPE_HOLDS_US,
    )
    def release_and_hold_type(self, held: list[Lease], report: dict[str, Any], hold_type_us: int) -> None:
        refs = [
            ReleaseJob(TYPE, queue_id, job_id, lease or "", **report, hold_type_us=hold_type_us)
            for queue_id, job_id, lease in held
        ]
        call = self.driver.functions.release(0, TYPE, refs, now_us=self.driver.now_us)
        with self._corrections():
            assert self.driver.value(call) == self.model.release(refs)


def _reach(bounds: Mapping[Zone, Sequence[int]]) -> dict[Zone, Reach]:
    """Return the first and the last bound of each zone."""
    return {zone: (of_zone[0], of_zone[-1]) for zone, of_zone in bounds.items()}


@pytest.mark.slow
@pytest.mark.parametrize("store", CHOSEN_KINDS, indirect=True, scope="session")
@pytest.mark.timeout(600)
def test_functions_about_a_type_answer_as_the_model_and_keep_its_limits(
    client: redis.Redis, prefix: str
) -> None:
    numbers = itertools.count()

    class Machine(TypeMachine):
        """Each example has a deployment of its own."""

        def __init__(self) -> None:
            super().__init__(client, f"{prefix}-{next(numbers)}")

    chosen = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
    run_state_machine_as_test(Machine, settings=chosen)
