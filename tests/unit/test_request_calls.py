"""Every field of the calls after the enqueue, with every kind of bad input, and what good input becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from multidict import MultiDict, MultiMapping

from router.api import parsing
from sharq_core.models import DeadRef, ExtendJob, FinishJob, ReleaseJob
from tests.unit.bad_values import (
    NO_QUERY,
    NOT_DURATIONS,
    NOT_FLAGS,
    NOT_HOLD_TIMES,
    NOT_IDENTIFIERS,
    NOT_LEASES,
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


class TestLeases:
    @pytest.mark.parametrize(
        ("read", "more", "bad_fields"),
        [
            (parsing.finish, {}, {"lease": NOT_LEASES, "by": ("1",)}),
            (parsing.extend, {"lease": '"l"', "by": "100"}, {"lease": NOT_LEASES, "by": NOT_HOLD_TIMES}),
            (parsing.release, {"lease": '"l"'}, {"lease": NOT_LEASES, "delay": NOT_DURATIONS}),
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
        assert parsing.release(b"", PATH, query) == ReleaseJob("sms", "1", "a", "l", 0)
        assert parsing.extend(b'{"by": 100}', PATH, query) == ExtendJob("sms", "1", "a", "l", 100_000)

    def test_two_different_leases_are_refused(self) -> None:
        message = message_of(lambda: parsing.finish(b'{"lease": "b"}', PATH, MultiDict({"lease": "a"})))
        assert names(message, "lease")

    def test_extend_and_release_need_a_lease(self) -> None:
        assert names(message_of(lambda: parsing.extend(b'{"by": 100}', PATH, NO_QUERY)), "lease")
        assert names(message_of(lambda: parsing.release(b"", PATH, NO_QUERY)), "lease")

    def test_extend_needs_by(self) -> None:
        assert message_of(lambda: parsing.extend(b'{"lease": "l"}', PATH, NO_QUERY)) == "by: required"


class TestQueues:
    @pytest.mark.parametrize(
        ("field", "bad"),
        table(
            {
                "interval": NOT_DURATIONS,
                "burst": (*NOT_WHOLE, "0"),
                "pin": NOT_FLAGS,
                "unknown": ("1",),
            }
        ),
        ids=repr,
    )
    def test_a_bad_field_of_a_rate_is_named(self, field: str, bad: str) -> None:
        message = message_of(lambda: parsing.rate(body_of({"interval": "1"}, field, bad)))
        assert names(message, field), message

    def test_a_rate_needs_an_interval(self) -> None:
        assert message_of(lambda: parsing.rate(b'{"pin": true}')) == "interval: required"
        assert names(message_of(lambda: parsing.rate(b"")), "body")

    def test_what_a_rate_leaves_out_stays(self) -> None:
        assert parsing.rate(b'{"interval": 0.5}') == (500, None, None)
        assert parsing.rate(b'{"interval": 0, "burst": 3, "pin": false}') == (0, 3, False)

    def test_purge_all_is_a_flag_that_may_be_left_out(self) -> None:
        assert [parsing.purge_all(body) for body in (b"", b"{}", b'{"purge_all": true}')] == [
            False,
            False,
            True,
        ]
        for bad in NOT_FLAGS:
            body = body_of({}, "purge_all", bad)
            assert names(message_of(parsing.purge_all, body), "purge_all")

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
        assert parsing.dequeue(NO_QUERY, SETTINGS) == (None, 60_000_000, 0)
        query = MultiDict({"count": "1000", "wait": "0.5", "lease": "100.25"})
        assert parsing.dequeue(query, SETTINGS) == (1000, 100_250, 500)
        assert parsing.dequeue(MultiDict({"wait": "60000", "lease": "86400000"}), SETTINGS) == (
            None,
            86_400_000_000,
            60_000_000,
        )

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

    def test_a_page_may_say_where_and_how_much(self) -> None:
        assert parsing.page(NO_QUERY) == (None, None)
        assert parsing.page(MultiDict({"limit": "10000", "cursor": "3-0"})) == (10_000, "3-0")
