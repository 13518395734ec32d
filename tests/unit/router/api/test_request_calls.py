"""Every field of the calls after the enqueue, with every kind of bad input, and what good input becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
from multidict import MultiDict, MultiMapping

from router.api import parsing, queue_parsing
from sharq_core.job_life import DeadRef
from sharq_core.limits import QueueSettings
from sharq_core.models import ExtendJob, FinishJob, ReleaseJob
from sharq_core.top_queues import TopOrder
from tests.unit.router.api.bad_values import (
    NO_QUERY,
    NOT_BURSTS,
    NOT_DURATIONS,
    NOT_FLAGS,
    NOT_HOLD_TIMES,
    NOT_HOLDS,
    NOT_IDENTIFIERS,
    NOT_LEASES,
    NOT_MILLIONS,
    NOT_RATES,
    NOT_WHOLE,
    PATH,
    SETTINGS,
    body_of,
    in_bulk,
    message_in_bulk,
    message_of,
    names,
    table,
)

BAD_REPORTS = {
    "cost": (*NOT_WHOLE, "-1", "1000001"),
    "hold": NOT_HOLDS,
    "hold_type": (*NOT_HOLDS, "1"),
}
"""`hold_type` is refused for the type of PATH, which is not gathered."""


class TestLeases:
    @pytest.mark.parametrize(
        ("read", "more", "bad_fields"),
        [
            (parsing.finish, {}, {"lease": NOT_LEASES, "by": ("1",), **BAD_REPORTS, "count": ("false",)}),
            (parsing.extend, {"lease": '"l"', "by": "100"}, {"lease": NOT_LEASES, "by": NOT_HOLD_TIMES}),
            (
                parsing.release,
                {"lease": '"l"'},
                {"lease": NOT_LEASES, "delay": NOT_DURATIONS, **BAD_REPORTS, "count": NOT_FLAGS},
            ),
        ],
    )
    def test_a_bad_field_is_named(
        self,
        read: Callable[[bytes, Mapping[str, str], MultiMapping[str]], object],
        more: dict[str, str],
        bad_fields: dict[str, tuple[str, ...]],
    ) -> None:
        for field, bad in table({**bad_fields, "unknown": ("1",)}):
            body = body_of(more, field, bad)
            message = message_of(read, body, PATH, NO_QUERY)
            assert names(message, field), (field, bad, message)
        for part in PATH:
            path = {**PATH, part: ".."}
            query = MultiDict({"lease": "l"})
            body = b'{"by": 100}' if read is parsing.extend else b""
            assert names(message_of(read, body, path, query), part)

    def test_finish_needs_no_body(self) -> None:
        for body in (b"", b"{}"):
            assert parsing.finish(body, PATH, NO_QUERY) == FinishJob("sms", "1", "a", None)

    def test_the_lease_may_stand_in_the_body_or_the_query_or_both(self) -> None:
        query = MultiDict({"lease": "l"})
        assert parsing.finish(b"", PATH, query) == FinishJob("sms", "1", "a", "l")
        assert parsing.finish(b'{"lease": "l"}', PATH, NO_QUERY) == FinishJob("sms", "1", "a", "l")
        assert parsing.release(b'{"lease": "l", "delay": 0.5}', PATH, query).delay_us == 500
        assert parsing.release(b"", PATH, query) == ReleaseJob("sms", "1", "a", "l", 0, retries=True)
        assert parsing.extend(b'{"by": 100}', PATH, query) == ExtendJob("sms", "1", "a", "l", 100_000)

    def test_two_different_leases_are_refused(self) -> None:
        message = message_of(lambda: parsing.finish(b'{"lease": "b"}', PATH, MultiDict({"lease": "a"})))
        assert names(message, "lease")

    def test_extend_and_release_need_a_lease(self) -> None:
        assert names(message_of(lambda: parsing.extend(b'{"by": 100}', PATH, NO_QUERY)), "lease")
        assert names(message_of(lambda: parsing.release(b"", PATH, NO_QUERY)), "lease")

    def test_reports_of_a_lease_arrive_in_the_engine_s_units(self) -> None:
        path = {**PATH, "queue_type": "sms~carrier"}
        body = b'{"lease": "l", "cost": 0, "hold": 1.5, "hold_type": 86400000}'
        expected = FinishJob("sms~carrier", "1", "a", "l", 0, 1500, 86_400_000_000)
        assert parsing.finish(body, path, NO_QUERY) == expected
        released = parsing.release(b'{"lease": "l", "cost": 7, "hold": 2, "count": false}', PATH, NO_QUERY)
        assert released == ReleaseJob("sms", "1", "a", "l", cost=7, hold_us=2000, counts=False, retries=True)
        entry = b'{"queue_type": "sms", "queue_id": "1", "job_id": "a", "lease": "l", "hold_type": 1}'
        message = message_in_bulk(parsing.release_bulk, entry)
        assert names(message, "jobs[0].hold_type"), message
        assert names(message_in_bulk(parsing.finish_bulk, entry), "jobs[0].hold_type")

    def test_extend_needs_by(self) -> None:
        assert message_of(lambda: parsing.extend(b'{"lease": "l"}', PATH, NO_QUERY)) == "by: required"


BAD_RATES: dict[str, Sequence[str]] = {
    "interval": NOT_DURATIONS,
    "burst": NOT_BURSTS,
    "rate": NOT_RATES,
    "pin": NOT_FLAGS,
    "unknown": ("1",),
}

BAD_SETTINGS: dict[str, Sequence[str]] = {
    "interval": [value for value in NOT_DURATIONS if value != "null"],
    "rate": [value for value in NOT_RATES if value != "null"],
    "burst": [value for value in NOT_BURSTS if value != "null"],
    "pin": [value for value in NOT_FLAGS if value != "null"],
    "max_leased": [value for value in NOT_MILLIONS if value != "null"],
    "weight": [*(value for value in NOT_MILLIONS if value != "null"), "101"],
    "hold": [value for value in NOT_HOLDS if value != "null"],
    "paused": ["true"],
}


class TestQueues:
    @pytest.mark.parametrize("field", BAD_RATES)
    def test_a_bad_field_of_a_rate_is_named(self, field: str) -> None:
        for bad in BAD_RATES[field]:
            message = message_of(queue_parsing.rate, body_of({"interval": "1"}, field, bad))
            assert names(message, field), (bad, message)

    def test_a_rate_needs_an_interval(self) -> None:
        assert (
            message_of(lambda: queue_parsing.rate(b'{"pin": true}')) == "interval: required, or rate instead"
        )
        assert names(message_of(lambda: queue_parsing.rate(b"")), "body")

    def test_what_a_rate_leaves_out_stays(self) -> None:
        assert queue_parsing.rate(b'{"interval": 0.5}') == (500, None, None)
        assert queue_parsing.rate(b'{"interval": 0, "burst": 3, "pin": false}') == (0, 3, False)

    def test_a_rate_may_be_said_in_words(self) -> None:
        assert queue_parsing.rate(b'{"rate": "40/s"}') == (25_000, None, None)
        assert queue_parsing.rate(b'{"rate": "0.5/min", "burst": 1.25}') == (120_000_000, 1.25, None)
        assert queue_parsing.rate(b'{"interval": 1, "burst": 2.0}') == (1000, 2, None)
        message = message_of(lambda: queue_parsing.rate(b'{"rate": "40/s", "interval": 25}'))
        assert names(message, "rate")
        assert "interval" in message

    @pytest.mark.parametrize("field", BAD_SETTINGS)
    def test_a_bad_setting_is_named(self, field: str) -> None:
        for bad in BAD_SETTINGS[field]:
            message = message_of(queue_parsing.queue_settings, body_of({}, field, bad))
            assert names(message, field), (bad, message)

    def test_settings_are_set_cleared_or_left(self) -> None:
        assert queue_parsing.queue_settings(b"{}") == QueueSettings()
        body = b'{"rate": "2/s", "burst": 1.5, "pin": true, "max_leased": 3, "weight": 2, "hold": 0.5}'
        assert queue_parsing.queue_settings(body) == QueueSettings(500_000, 1.5, True, 3, 2, 500)
        cleared = b'{"interval": null, "burst": null, "pin": null, "max_leased": null, "weight": null, "hold": null}'
        assert queue_parsing.queue_settings(cleared) == QueueSettings(None, None, None, None, None, None)
        assert queue_parsing.queue_settings(b'{"rate": null}') == QueueSettings(interval_us=None)
        for both in (b'{"rate": null, "interval": 1}', b'{"rate": "1/s", "interval": null}'):
            message = message_of(queue_parsing.queue_settings, both)
            assert names(message, "rate")
            assert "interval" in message

    def test_a_pause_may_have_an_end(self) -> None:
        for body in (b"", b"{}"):
            assert not queue_parsing.pause(body).is_hold
        assert queue_parsing.pause(b'{"for": 1.5}').hold_us == 1500
        assert queue_parsing.pause(b'{"until": 1700000000000}').until_us == 1_700_000_000_000_000
        for bad in NOT_HOLDS:
            assert names(message_of(queue_parsing.pause, body_of({}, "for", bad)), "for")
        for bad in (*NOT_WHOLE, "-1", "1e300"):
            assert names(message_of(queue_parsing.pause, body_of({}, "until", bad)), "until")
        both = message_of(queue_parsing.pause, b'{"for": 1, "until": 1700000000000}')
        assert names(both, "for")
        assert "until" in both
        assert names(message_of(queue_parsing.pause, b'{"hold_for": 1}'), "hold_for")

    def test_purge_all_is_a_flag_that_may_be_left_out(self) -> None:
        assert [queue_parsing.purge_all(body) for body in (b"", b"{}", b'{"purge_all": true}')] == [
            False,
            False,
            True,
        ]
        for bad in NOT_FLAGS:
            body = body_of({}, "purge_all", bad)
            assert names(message_of(queue_parsing.purge_all, body), "purge_all")

    def test_a_body_that_should_be_empty_may_be_an_empty_object(self) -> None:
        parsing.nothing(b"")
        parsing.nothing(b"{}")
        assert names(message_of(lambda: parsing.nothing(b'{"count": 1}')), "count")

    def test_redrive_takes_all_or_those_named(self) -> None:
        for body in (b"", b"{}", b"{ }"):
            assert parsing.redrive(body, "t") is None
        assert parsing.redrive(in_bulk('{"queue_id": "q", "job_id": "j"}'), "t") == [DeadRef("t", "q", "j")]
        for field in ("queue_id", "job_id"):
            for bad in NOT_IDENTIFIERS:
                body = body_of({"queue_id": '"q"', "job_id": '"j"'}, field, bad)
                message = message_in_bulk(lambda whole: parsing.redrive(whole, "t") or [], body)
                assert names(message, f"jobs[0].{field}")
        assert names(message_of(lambda: parsing.redrive(b'{"jobs": []}', "t")), "jobs")


class TestQueries:
    @pytest.mark.parametrize(
        ("name", "bad"),
        table(
            {
                "count": (
                    "",
                    "0",
                    "1001",
                    "-1",
                    "1.5",
                    "x",
                    "true",
                    "null",
                    "NaN",
                    "\uff19",
                    " 1",
                    "1_0",
                    "1" + "0" * 5000,
                ),
                "wait": ("", "-1", "-0.5", "60001", "60000.5", "x", "nan", "inf", "1e400", " 1", "9" * 30),
                "lease": ("", "0", "99.9", "86400001", "x", "nan", "inf", "-inf", "9" * 30),
                "more": ("1", ""),
            }
        ),
        ids=repr,
    )
    def test_a_bad_parameter_of_a_dequeue_is_named(self, name: str, bad: str) -> None:
        message = message_of(lambda: parsing.dequeue(MultiDict({name: bad}), SETTINGS))
        assert names(message, name), message

    def test_a_dequeue_s_parameters_arrive_in_the_engine_s_units(self) -> None:
        assert parsing.dequeue(NO_QUERY, SETTINGS) == (None, 60_000_000, 0, ())
        query = MultiDict({"count": "1000", "wait": "0.5", "lease": "100.25"})
        assert parsing.dequeue(query, SETTINGS) == (1000, 100_250, 500, ())
        assert parsing.dequeue(MultiDict({"wait": "60000", "lease": "86400000"}), SETTINGS) == (
            None,
            86_400_000_000,
            60_000_000,
            (),
        )
        query = MultiDict([("type", "sms"), ("type", "mail"), ("type", "sms")])
        assert parsing.dequeue(query, SETTINGS)[3] == ("sms", "mail")

    def test_a_parameter_given_twice_is_refused(self) -> None:
        message = message_of(lambda: parsing.dequeue(MultiDict([("count", "1"), ("count", "1")]), SETTINGS))
        assert message == "count: expected once in the query, got 2 times"

    def test_a_call_without_parameters_refuses_any(self) -> None:
        parsing.no_query(NO_QUERY)
        assert names(message_of(lambda: parsing.no_query(MultiDict({"x": "1"}))), "x")

    @pytest.mark.parametrize(
        ("name", "bad"),
        table({"limit": ("0", "-1", "10001", "x", "", "1.5"), "cursor": ("x" * 301,), "x": ("1",)}),
    )
    def test_a_bad_parameter_of_a_page_is_named(self, name: str, bad: str) -> None:
        assert names(message_of(lambda: parsing.page(MultiDict({name: bad}))), name)

    @pytest.mark.parametrize(
        ("name", "bad"),
        table({"limit": ("0", "10001", "x"), "cursor": ("x" * 301,), "by": ("rate", ""), "x": ("1",)}),
    )
    def test_a_bad_parameter_of_a_list_of_queues_is_named(self, name: str, bad: str) -> None:
        assert names(message_of(lambda: queue_parsing.queues(MultiDict({name: bad}))), name)

    def test_an_order_has_no_cursor_and_at_most_a_hundred_queues(self) -> None:
        ordered = queue_parsing.queues(MultiDict({"by": "age", "limit": "100"}))
        assert (ordered.by, ordered.limit) == (TopOrder.AGE, 100)
        assert queue_parsing.queues(NO_QUERY) == queue_parsing.QueuesPage(100, None, None)
        both = MultiDict({"by": "age", "cursor": "0-0"})
        assert names(message_of(queue_parsing.queues, both), "cursor")
        assert names(message_of(queue_parsing.queues, MultiDict({"by": "age", "limit": "101"})), "limit")

    def test_a_list_of_types_goes_on_after_a_name(self) -> None:
        assert queue_parsing.types(NO_QUERY) == (100, "")
        assert queue_parsing.types(MultiDict({"limit": "5", "cursor": "sms~a"})) == (5, "sms~a")
        assert names(message_of(queue_parsing.types, MultiDict({"cursor": "a b"})), "cursor")

    def test_a_page_may_say_where_and_how_much(self) -> None:
        assert parsing.page(NO_QUERY) == (None, None)
        assert parsing.page(MultiDict({"limit": "10000", "cursor": "3-0"})) == (10_000, "3-0")
