"""Alarms ring at their time and not before, on the kernel's timer and on the event loop's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.longpoll import alarms
from router.longpoll.alarms import AlarmClock, LoopTimer

DEADLINE_S = 10.0


@pytest.fixture(params=["best", "loop"])
async def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AlarmClock:
    if request.param == "loop":
        monkeypatch.setattr(alarms, "_best_timer", LoopTimer)
    return AlarmClock()


class Bell:
    """Notes when it rang."""

    def __init__(self, clock: AlarmClock) -> None:
        self.alarm = clock.alarm(self._ring)
        self.rang_at: list[float] = []
        self._rings = asyncio.Event()

    def _ring(self) -> None:
        self.rang_at.append(monotonic())
        self._rings.set()

    async def heard(self) -> float:
        """Waits for a ring, and returns when it was."""
        await asyncio.wait_for(self._rings.wait(), DEADLINE_S)
        self._rings.clear()
        return self.rang_at[-1]


async def test_alarm_never_rings_early(clock: AlarmClock) -> None:
    bell = Bell(clock)
    for step in range(40):
        at = monotonic() + step * 0.00013
        bell.alarm.set(at)
        assert await bell.heard() >= at


async def test_time_that_has_passed_rings_at_once(clock: AlarmClock) -> None:
    bell = Bell(clock)
    bell.alarm.set(monotonic() - 5)
    await bell.heard()


async def test_earlier_alarms_ring_first(clock: AlarmClock) -> None:
    bells = [Bell(clock) for _ in range(20)]
    now = monotonic()
    for number, bell in enumerate(reversed(bells)):
        bell.alarm.set(now + 0.3 - number * 0.002)
    rang = [await bell.heard() for bell in bells]
    assert rang == sorted(rang)


async def test_alarm_that_is_set_again_rings_at_the_new_time_alone(clock: AlarmClock) -> None:
    bell, later = Bell(clock), Bell(clock)
    now = monotonic()
    bell.alarm.set(now + 0.01)
    bell.alarm.set(now + 0.03)
    later.alarm.set(now + 0.05)
    await later.heard()
    assert [at >= now + 0.03 for at in bell.rang_at] == [True]


async def test_cleared_alarm_is_silent(clock: AlarmClock) -> None:
    bell, later = Bell(clock), Bell(clock)
    bell.alarm.set(monotonic() + 0.01)
    bell.alarm.clear()
    later.alarm.set(monotonic() + 0.03)
    await later.heard()
    assert not bell.rang_at


async def test_alarm_can_be_set_where_it_rings(clock: AlarmClock) -> None:
    rings: list[float] = []
    done = asyncio.Event()

    def ring() -> None:
        rings.append(monotonic())
        alarm.set(monotonic() + 0.001) if len(rings) < 5 else done.set()

    alarm = clock.alarm(ring)
    alarm.set(monotonic())
    await asyncio.wait_for(done.wait(), DEADLINE_S)


async def test_ring_that_fails_leaves_the_others_alone(clock: AlarmClock) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def fail() -> None:
        raise RuntimeError("this bell is broken")

    bell = Bell(clock)
    at = monotonic() + 0.001
    clock.alarm(fail).set(at)
    bell.alarm.set(at + 0.001)
    await bell.heard()
    assert len(told) == 1


async def test_times_that_are_not_meant_any_more_take_no_room(clock: AlarmClock) -> None:
    bells = [Bell(clock) for _ in range(10)]
    for step in range(10_000):
        bells[step % 10].alarm.set(monotonic() + 3600 + step)
    assert len(clock._times) <= 200
    bells[3].alarm.set(monotonic())
    await bells[3].heard()


async def test_postponed_alarm_does_not_delay_the_one_between_its_two_times(clock: AlarmClock) -> None:
    postponed, between = Bell(clock), Bell(clock)
    now = monotonic()
    postponed.alarm.set(now + 0.02)
    between.alarm.set(now + 0.04)
    postponed.alarm.set(now + DEADLINE_S)
    assert await between.heard() < now + DEADLINE_S / 2


class StoppedTimer:
    """A timer that notes when it is set to ring, and never does."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self.at: float | None = None

    def set(self, at: float) -> None:
        self.at = at


@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(1, 20)), max_size=30))
def test_timer_is_never_set_later_than_the_earliest_alarm(changes: list[tuple[int, int | None]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alarms, "_best_timer", StoppedTimer)
        clock = AlarmClock()
    own = [clock.alarm(lambda: None) for _ in range(4)]
    far = monotonic() + 3600
    for number, at in changes:
        if at is None:
            own[number].clear()
        else:
            own[number].set(far + at)
    earliest = min((alarm.at for alarm in own if alarm.at is not None), default=None)
    timer = clock._timer
    assert isinstance(timer, StoppedTimer)
    assert earliest is None or (timer.at is not None and timer.at <= earliest)
