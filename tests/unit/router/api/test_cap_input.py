"""The fields about named caps: each wrong field is named, with the values that it may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import UNSET
from multidict import MultiDict

from router.api import parsing, queue_parsing
from router.api.caps import parsing as cap_parsing
from router.settings import RouterSettings
from sharq_core.caps import CapDefinition
from sharq_core.errors import InvalidRequest
from sharq_core.limits import CapHold, Limit, LimitUnit
from sharq_core.models import FinishJob, NewJob, ReleaseJob

PATH = {"queue_type": "sms", "queue_id": "acme", "job_id": "j"}
ENTRY: dict[str, Any] = {"queue_type": "sms", "queue_id": "acme", "job_id": "j", "lease": "l"}
WORDS = "1 to 64 characters of A-Z a-z 0-9 _ - . + @, but neither . nor .."
NAMES = f"expected a list with the names of up to 3 caps, each {WORDS}"


def defined(**fields: Any) -> tuple[CapDefinition, int | None]:
    return cap_parsing.cap(msgspec.json.encode(fields))


def enqueued(caps: Any) -> NewJob:
    body = msgspec.json.encode({"payload": 1, "caps": caps})
    return parsing.enqueue(body, PATH, RouterSettings())[0]


def settings(caps: Any) -> Any:
    return queue_parsing.queue_settings(msgspec.json.encode({"caps": caps})).caps


def finished(**fields: Any) -> FinishJob:
    return parsing.finish(msgspec.json.encode(fields), PATH, MultiDict())


def released(**fields: Any) -> ReleaseJob:
    return parsing.release(msgspec.json.encode({"lease": "l", **fields}), PATH, MultiDict())


def test_a_cap_has_limits_in_either_form() -> None:
    assert defined(rate="40/s", burst=2) == (CapDefinition([Limit(LimitUnit.JOB, 25_000, 2)]), None)
    limits = [{"rate": "40/s"}, {"interval": 1, "unit": "cost", "burst": 1.5}]
    assert defined(limits=limits, max_leased=7)[0] == CapDefinition(
        [Limit(LimitUnit.JOB, 25_000), Limit(LimitUnit.COST, 1000, 1.5)], 7
    )


def test_what_a_definition_lacks_is_no_limit() -> None:
    assert defined() == defined(limits=None, max_leased=None) == (CapDefinition([]), None)


def test_hold_of_a_definition_stays_unless_it_is_named() -> None:
    assert [defined(**body)[1] for body in ({}, {"hold": 0}, {"hold": 1.5}, {"hold": None})] == [
        None,
        None,
        1500,
        0,
    ]


@pytest.mark.parametrize("read", [lambda caps: enqueued(caps).caps, settings])
def test_caps_of_a_queue_are_kept_once_each_and_sorted(read: Callable[[Any], Any]) -> None:
    assert read(["brand3", "acct17", "brand3"]) == ("acct17", "brand3")


def test_an_empty_list_ends_the_caps_of_a_queue() -> None:
    assert enqueued([]).caps == ()
    assert settings([]) is None
    assert settings(None) is None
    assert queue_parsing.queue_settings(b"{}").caps is UNSET
    assert parsing.enqueue(b'{"payload": 1}', PATH, RouterSettings())[0].caps is None


def test_hold_of_a_cap_is_reported_with_a_finish_and_a_release() -> None:
    hold = {"name": "acct17", "ms": 1500.5}
    assert finished(hold_cap=hold).hold_cap == CapHold("acct17", 1_500_500)
    assert released(hold_cap=hold).hold_cap == CapHold("acct17", 1_500_500)
    for bulk in (parsing.finish_bulk, parsing.release_bulk):
        (job,) = bulk(msgspec.json.encode({"jobs": [{**ENTRY, "hold_cap": hold}]}))
        assert isinstance(job, FinishJob | ReleaseJob)
        assert job.hold_cap == CapHold("acct17", 1_500_500)


def test_hold_of_no_time_is_none() -> None:
    assert finished(hold_cap={"name": "acct17", "ms": 0}).hold_cap is None
    assert released().hold_cap is None


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: enqueued("acct17"), f"caps: {NAMES}, got a string"),
        (lambda: enqueued(["a", "b", "c", "d"]), f"caps: {NAMES}"),
        (lambda: enqueued(["a", "x~y"]), f"caps[1]: expected a string: {WORDS}"),
        (lambda: enqueued([".."]), f"caps[0]: expected a string: {WORDS}"),
        (lambda: enqueued(["x" * 65]), f"caps[0]: expected a string: {WORDS}"),
        (lambda: enqueued(None), f"caps: {NAMES}, got null"),
        (lambda: settings(["a", 7]), f"caps[1]: expected a string: {WORDS}, got an integer"),
        (lambda: settings(["a", "b", "c", "d"]), f"caps: {NAMES}"),
        (
            lambda: finished(hold_cap="acct17"),
            "hold_cap: expected an object with the name of a cap and ms, got a string",
        ),
        (lambda: finished(hold_cap={"name": "acct17"}), "hold_cap.ms: required"),
        (
            lambda: released(hold_cap={"name": "x~y", "ms": 1}),
            f"hold_cap.name: expected the name of a cap, {WORDS}",
        ),
        (
            lambda: released(hold_cap={"name": "a", "ms": 86_400_001}),
            "hold_cap.ms: expected a number of milliseconds from 0 to 86400000 (24 hours)",
        ),
        (
            lambda: released(hold_cap={"name": "a", "ms": 1, "why": 2}),
            "hold_cap.why: unknown; the known fields are: name, ms",
        ),
        (
            lambda: defined(rate="40/s", interval=1),
            "rate: expected rate or interval, got both rate and interval",
        ),
        (
            lambda: defined(rate="40/s", limits=[]),
            "limits: expected limits or rate, got both limits and rate",
        ),
        (
            lambda: defined(limits=[{"rate": "40/s"}, {"burst": 2}]),
            "limits[1].rate: required, or interval instead",
        ),
        (
            lambda: defined(limits=[{"rate": "1/s"}] * 4),
            "limits: expected a list of up to 3 limits, each with a rate or an interval, got more",
        ),
        (
            lambda: defined(limits=[{"quota": 5, "period": "day"}]),
            "limits[0].quota: unknown; the known fields are: interval, rate, burst, unit",
        ),
        (lambda: defined(max_leased=0), "max_leased: expected an integer from 1 to 1000000"),
        (lambda: defined(window="night"), "window: unknown; the known fields are: "),
    ],
)
def test_a_wrong_field_is_named(ask: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ask()
    assert str(refused.value).startswith(message)
