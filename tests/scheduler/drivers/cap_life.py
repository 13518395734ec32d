"""The life of one cap, which uses every function about caps."""

from __future__ import annotations

from sharq_core.caps import CapDefinition
from sharq_core.limits import Limit, LimitUnit
from sharq_core.scheduler.caps.cap_calls import CapCalls
from tests.scheduler.drivers.driver import HOUR_US, SECOND_US, Driver

LIMITS = [Limit(LimitUnit.JOB, 1_000, 2), Limit(LimitUnit.COST, 500, 1.5)]


def use_caps(driver: Driver) -> None:
    """Call every function about caps, with permits that end by themselves and with those that are given back."""
    calls, at, now_us = CapCalls(driver.keys), driver.partition, driver.now_us
    for name in ("account", "brand"):
        driver.value(calls.put_cap(at, name, CapDefinition(LIMITS, max_leased=2), 0, now_us=now_us))
    serials: dict[str, int] = {}
    for name, units in (("account", 1), ("brand", 2), ("account", 3)):
        take = calls.cap_take(
            at, name, "n", 2, units=units, within_us=SECOND_US, after_us=9, lease_us=1, now_us=now_us
        )
        slots = driver.value(take).slots
        serials.setdefault(name, slots[0].serial)
        driver.value(calls.cap_return(at, name, slots[1:], units=units, now_us=now_us))
    assert driver.value(calls.cap_renew(at, "brand", [serials["brand"], 99], SECOND_US, now_us=now_us)) == [
        True,
        False,
    ]
    assert driver.value(calls.cap_settle(at, "account", [serials["account"], 99], now_us=now_us)) == 1
    assert driver.value(calls.cap_correct(at, "account", -1, now_us=now_us))
    assert driver.value(calls.cap_hold(at, "account", SECOND_US, now_us=now_us))
    assert driver.value(calls.get_cap(at, "account", now_us=now_us)) is not None
    assert len(driver.value(calls.list_caps(at, 0, 10, now_us=now_us)).caps) == 2
    late_us = now_us + HOUR_US
    driver.value(calls.cap_take(at, "brand", "n", 1, lease_us=1, now_us=late_us))
    for name in ("account", "brand"):
        driver.value(calls.drop_cap(at, name, now_us=late_us))
