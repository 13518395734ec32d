"""Every field of every request with every kind of bad input, and what good input becomes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from router import requests
from router.fields import to_us
from router.forms import MAX_DEPTH, is_nested_too_deep
from router.settings import RouterSettings
from sharq_core.errors import InvalidRequest, SharqError, TooLarge
from sharq_core.models import DeadRef, ExtendJob, FinishJob, NewJob, ReleaseJob

SETTINGS = RouterSettings(default_requeue_limit=7, max_payload_bytes=2000)
PATH = {"queue_type": "sms", "queue_id": "1", "job_id": "a"}
NO_QUERY: MultiDict[str] = MultiDict()
YEAR_MS = 31_536_000_000
DAY_MS = 86_400_000
DEEP = "[" * 10_000 + "]" * 10_000

ValueT = TypeVar("ValueT")

NOT_STRINGS = ("1", "1.5", "true", "null", "[]", "{}", "NaN", "1e400")
NOT_IDENTIFIERS = (
    *NOT_STRINGS,
    '""',
    '"."',
    '".."',
    '"a b"',
    '"a/b"',
    '"a\\n"',
    '"..\\n"',
    '"\\u0000"',
    '"ä"',
    '"\\ud800"',
    '"9\\ufffd"',
    f'"{"x" * 101}"',
)
NOT_NUMBERS = (
    '"1"',
    '""',
    "true",
    "null",
    "[]",
    "{}",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "1" + "0" * 5000,
)
NOT_WHOLE = (*NOT_NUMBERS, "1.0", "1.5", "1e2", "-1e99")
NOT_DURATIONS = (*NOT_NUMBERS, "-1", "-0.001", str(YEAR_MS + 1), f"{YEAR_MS}.5", "1e300", "9" * 30)
NOT_HOLD_TIMES = (*NOT_NUMBERS, "-1", "0", "99", "99.999", str(DAY_MS + 1), f"{DAY_MS}.5", "9" * 30)
NOT_FLAGS = ("0", "1", '"true"', "null", "[]", "{}", "NaN")
NOT_LEASES = (*NOT_STRINGS, '""', f'"{"x" * 101}"')

BAD_JOB_FIELDS = {
    "job_id": NOT_IDENTIFIERS,
    "interval": NOT_DURATIONS,
    "delay": NOT_DURATIONS,
    "requeue_limit": (*NOT_WHOLE, "-2", str(2**31), "9" * 30),
    "burst": (*NOT_WHOLE, "0", "-1", "1000001", "9" * 30),
    "max_queued_length": (*NOT_WHOLE, "-1"),
    "repeat": NOT_FLAGS,
    "payload": ("NaN", "1e400", '{"a": [-Infinity]}', '"\\ud800"', "01", "nul", DEEP, f'{{"a": {DEEP}}}'),
    "unknown": ("1", "null"),
}
BAD_ADDRESS = {"queue_type": NOT_IDENTIFIERS, "queue_id": NOT_IDENTIFIERS}


def body_of(good: dict[str, str], field: str, bad: str) -> bytes:
    """A JSON object of good fields with one bad one; the values are JSON texts."""
    fields = {**good, field: bad}
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


def message_of(read: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(*arguments)
    return caught.value.message


def names(message: str, field: str) -> bool:
    return re.match(rf"{re.escape(field)}(\.\w+)?: ", message) is not None


def table(fields: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(field, bad) for field, values in fields.items() for bad in values]


def enqueue(body: bytes | str) -> NewJob:
    return requests.enqueue(PATH, body.encode() if isinstance(body, str) else body, SETTINGS)[0]


def only(results: list[ValueT | SharqError]) -> ValueT:
    (result,) = results
    if isinstance(result, SharqError):
        raise result
    return result


def in_bulk(entry: bytes | str) -> bytes:
    return b'{"jobs": [%b]}' % (entry.encode() if isinstance(entry, str) else entry)


def message_in_bulk(read: Callable[[bytes], list[ValueT | SharqError]], entry: bytes) -> str:
    return message_of(lambda: only(read(in_bulk(entry))))


class TestEnqueue:
    @pytest.mark.parametrize(("field", "bad"), table(BAD_JOB_FIELDS), ids=repr)
    def test_a_bad_field_is_named(self, field: str, bad: str) -> None:
        message = message_of(lambda: enqueue(body_of({"interval": "1", "payload": "1"}, field, bad)))
        assert names(message, field), message
        assert "$" not in message
        assert "Struct" not in message
        assert len(message) < 400

    @pytest.mark.parametrize(("field", "bad"), table({**BAD_JOB_FIELDS, **BAD_ADDRESS}), ids=repr)
    def test_a_bad_field_in_bulk_is_named_with_its_place(self, field: str, bad: str) -> None:
        good = {"queue_type": '"sms"', "queue_id": '"1"', "interval": "1", "payload": "1"}
        body = in_bulk(body_of(good, field, bad))
        message = message_of(lambda: only(requests.enqueue_bulk(body, SETTINGS)))
        assert names(message, f"jobs[0].{field}"), message

    @pytest.mark.parametrize("value", ["-1", "1.5", "true", '"5"', "[]", "-99999999999999999999"])
    def test_a_bad_cap_in_the_payload_is_named(self, value: str) -> None:
        message = message_of(lambda: enqueue(f'{{"payload": {{"max_queued_length": {value}}}}}'))
        assert names(message, "payload.max_queued_length")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (b"", "body"),
            (b"  ", "body"),
            (b"[]", "body"),
            (b"null", "body"),
            (b'"x"', "body"),
            (b"interval=1", "body"),
            (b'{"payload": 1', "payload"),
            (b'{"payload": 1} x', "body"),
            (b"\xef\xbb\xbf{}", "body"),
            (b"{}", "payload"),
            (b'{"interval": 1}', "payload"),
            (b'{"payload": "\xff"}', "payload"),
            (b'{"payload": {"a": "\xc3"}}', "payload"),
            (b'{"job_id": "\xff", "payload": 1}', "job_id"),
            (b'{"payload": 1, "interval": NaN}', "interval"),
            (DEEP.encode(), "body"),
            (b'{"payload": 1, "interval": ' + DEEP.encode() + b"}", "interval"),
        ],
        ids=repr,
    )
    def test_a_broken_body_says_where(self, body: bytes, field: str) -> None:
        message = message_of(lambda: enqueue(body))
        assert names(message, field), message

    def test_nesting_is_allowed_up_to_a_fixed_depth(self) -> None:
        deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
        assert enqueue(f'{{"payload": {deepest}}}').payload == deepest.encode()
        message = message_of(lambda: enqueue(f'{{"payload": [{deepest}]}}'))
        assert message == f"payload: nested deeper than {MAX_DEPTH} levels"

    def test_a_broken_body_of_16_mib_is_refused_without_looking_for_the_field_in_all_of_it(self) -> None:
        body = b'{"payload": [' + b'"",' * 5_000_000 + b"NaN]}"
        assert names(message_of(lambda: enqueue(body)), "body")

    def test_an_unknown_field_is_quoted_no_longer_than_it_needs(self) -> None:
        message = message_of(lambda: enqueue(json.dumps({"payload": 1, "x" * 5000: 1})))
        assert message.startswith("x" * 100 + ": unknown")

    @pytest.mark.parametrize("name", ["queue_type", "queue_id"])
    @pytest.mark.parametrize("bad", ["", ".", "..", "a b", "ä", "a\n", "x" * 101, "a/b", "%41"])
    def test_a_bad_part_of_the_path_is_named(self, name: str, bad: str) -> None:
        path = {**PATH, name: bad}
        message = message_of(lambda: requests.enqueue(path, b'{"payload": 1}', SETTINGS))
        assert names(message, name)

    @pytest.mark.parametrize("good", ["a", "...", "+1.a@b_c-D9", "active", "x" * 100])
    def test_identifiers_may_be_any_of_the_allowed_characters(self, good: str) -> None:
        job, is_new_id = requests.enqueue(
            {**PATH, "queue_id": good}, json.dumps({"payload": 1, "job_id": good}).encode(), SETTINGS
        )
        assert (job.queue_id, job.job_id, is_new_id) == (good, good, False)

    def test_all_fields_arrive_in_the_engine_s_units(self) -> None:
        job = enqueue(
            '{"job_id": "j", "interval": 33.333, "payload": 1, "requeue_limit": -1, "burst": 2, "delay": 1.5,'
            ' "max_queued_length": 9, "repeat": true}'
        )
        assert job == NewJob("sms", "1", "j", b"1", -1, 33333, 2, 1500, 9, True)

    def test_fields_left_out_have_their_defaults(self) -> None:
        job = enqueue('{"job_id": "j", "payload": null}')
        assert job == NewJob("sms", "1", "j", b"null", 7, None)

    def test_a_queue_named_in_a_single_body_is_ignored(self) -> None:
        job = enqueue('{"payload": 1, "queue_type": ["x"], "queue_id": 5}')
        assert (job.queue_type, job.queue_id) == ("sms", "1")

    def test_a_job_without_an_id_gets_a_uuid_of_version_7_that_grows(self) -> None:
        made = [requests.enqueue(PATH, b'{"payload": 1}', SETTINGS) for _ in range(1000)]
        ids = [job.job_id for job, is_new_id in made if is_new_id]
        assert len(set(ids)) == 1000
        assert ids == sorted(ids)
        assert all(
            re.fullmatch(r"[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}", one)
            for one in ids
        )

    @pytest.mark.parametrize(
        ("in_body", "in_payload", "cap"),
        [
            (None, 5, 5),
            (5, None, 5),
            (5, 3, 3),
            (3, 5, 3),
            (0, 9, 0),
            (None, None, None),
            (10**20, None, 2**31 - 1),
        ],
    )
    def test_the_lower_of_two_caps_holds(
        self, in_body: int | None, in_payload: int | None, cap: int | None
    ) -> None:
        body: dict[str, object] = {"payload": {"max_queued_length": in_payload}}
        if in_body is not None:
            body["max_queued_length"] = in_body
        assert enqueue(json.dumps(body)).max_queued_length == cap

    @pytest.mark.parametrize(
        "payload", ['{"a":  1.50, "b": 123456789012345678901234567890}', '"\\u00e4 ä"', "[]"]
    )
    def test_the_payload_s_text_is_kept_as_it_came(self, payload: str) -> None:
        assert enqueue(f'{{"payload": {payload}}}').payload == payload.encode()

    def test_a_payload_past_the_limit_is_too_large_and_one_at_it_is_not(self) -> None:
        assert len(enqueue(json.dumps({"payload": "x" * 1998})).payload) == 2000
        with pytest.raises(TooLarge, match=r"^payload: 2001 bytes, at most 2000 are allowed$"):
            enqueue(json.dumps({"payload": "x" * 1999}))


class TestBulk:
    @pytest.mark.parametrize(
        "read", [lambda body: requests.enqueue_bulk(body, SETTINGS), requests.finish_bulk]
    )
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (b"", "body"),
            (b"[]", "body"),
            (b"{", "body"),
            (b"{}", "jobs"),
            (b'{"jobs": null}', "jobs"),
            (b'{"jobs": {}}', "jobs"),
            (b'{"jobs": []}', "jobs"),
            (b'{"jobs": [' + b"{}," * 1000 + b"{}]}", "jobs"),
            (b'{"jobs": [{}], "more": 1}', "more"),
        ],
    )
    def test_a_body_that_is_no_list_of_1_to_1000_jobs_fails_as_a_whole(
        self, read: Callable[[bytes], object], body: bytes, field: str
    ) -> None:
        assert names(message_of(lambda: read(body)), field)

    def test_a_bad_job_fails_alone_and_in_its_place(self) -> None:
        good = {"queue_type": "sms", "queue_id": "1", "payload": 1}
        jobs = [good, {**good, "burst": 0}, 5, {**good, "payload": "x" * 3000}, {**good, "job_id": "last"}]
        first, bad, number, large, last = requests.enqueue_bulk(json.dumps({"jobs": jobs}).encode(), SETTINGS)
        assert isinstance(first, NewJob)
        assert isinstance(last, NewJob)
        assert isinstance(bad, InvalidRequest)
        assert bad.message.startswith("jobs[1].burst: ")
        assert isinstance(number, InvalidRequest)
        assert number.message == "jobs[2]: expected a JSON object, got an integer"
        assert isinstance(large, TooLarge)
        assert large.message.startswith("jobs[3].payload: ")

    def test_a_thousand_jobs_are_allowed_and_keep_their_order(self) -> None:
        jobs = [{"queue_type": "t", "queue_id": "q", "job_id": str(n), "payload": n} for n in range(1000)]
        read = requests.enqueue_bulk(json.dumps({"jobs": jobs}).encode(), SETTINGS)
        assert [job.job_id for job in read if isinstance(job, NewJob)] == [str(n) for n in range(1000)]

    @pytest.mark.parametrize(
        ("read", "more", "bad_fields"),
        [
            (requests.finish_bulk, {}, {"lease": NOT_LEASES}),
            (
                requests.extend_bulk,
                {"lease": '"l"', "by": "100"},
                {"lease": NOT_LEASES, "by": NOT_HOLD_TIMES},
            ),
            (requests.release_bulk, {"lease": '"l"'}, {"lease": NOT_LEASES, "delay": NOT_DURATIONS}),
        ],
    )
    def test_a_bad_field_of_a_lease_call_is_named(
        self,
        read: Callable[[bytes], list[object | SharqError]],
        more: dict[str, str],
        bad_fields: dict[str, tuple[str, ...]],
    ) -> None:
        good = {"queue_type": '"t"', "queue_id": '"q"', "job_id": '"j"', **more}
        everywhere = {**BAD_ADDRESS, "job_id": NOT_IDENTIFIERS, "unknown": ("1",)}
        for field, bad in table({**everywhere, **bad_fields}):
            message = message_in_bulk(read, body_of(good, field, bad))
            assert names(message, f"jobs[0].{field}"), (field, bad, message)

    def test_good_lease_calls_become_the_engine_s_values(self) -> None:
        address = {"queue_type": "t", "queue_id": "q", "job_id": "j"}

        def body(**more: object) -> bytes:
            return json.dumps({"jobs": [{**address, **more}]}).encode()

        assert requests.finish_bulk(body()) == [FinishJob("t", "q", "j", None)]
        assert requests.finish_bulk(body(lease="l")) == [FinishJob("t", "q", "j", "l")]
        assert requests.extend_bulk(body(lease="l", by=100.5)) == [ExtendJob("t", "q", "j", "l", 100_500)]
        assert requests.release_bulk(body(lease="l", delay=1)) == [ReleaseJob("t", "q", "j", "l", 1000)]

    @pytest.mark.parametrize("field", ["queue_type", "queue_id", "job_id", "lease", "by"])
    def test_a_missing_field_is_named(self, field: str) -> None:
        job = {"queue_type": "t", "queue_id": "q", "job_id": "j", "lease": "l", "by": 100}
        del job[field]
        message = message_of(lambda: only(requests.extend_bulk(json.dumps({"jobs": [job]}).encode())))
        assert message == f"jobs[0].{field}: required"


class TestLeases:
    @pytest.mark.parametrize(
        ("read", "more", "bad_fields"),
        [
            (requests.finish, {}, {"lease": NOT_LEASES, "by": ("1",)}),
            (requests.extend, {"lease": '"l"', "by": "100"}, {"lease": NOT_LEASES, "by": NOT_HOLD_TIMES}),
            (requests.release, {"lease": '"l"'}, {"lease": NOT_LEASES, "delay": NOT_DURATIONS}),
        ],
    )
    def test_a_bad_field_is_named(
        self,
        read: Callable[[dict[str, str], MultiDict[str], bytes], object],
        more: dict[str, str],
        bad_fields: dict[str, tuple[str, ...]],
    ) -> None:
        for field, bad in table({**bad_fields, "unknown": ("1",)}):
            body = body_of(more, field, bad)
            message = message_of(read, PATH, NO_QUERY, body)
            assert names(message, field), (field, bad, message)
        for part in PATH:
            path = {**PATH, part: ".."}
            query = MultiDict({"lease": "l"})
            body = b'{"by": 100}' if read is requests.extend else b""
            assert names(message_of(read, path, query, body), part)

    def test_finish_needs_no_body(self) -> None:
        for body in (b"", b"{}"):
            assert requests.finish(PATH, NO_QUERY, body) == FinishJob("sms", "1", "a", None)

    def test_the_lease_may_stand_in_the_body_or_the_query_or_both(self) -> None:
        query = MultiDict({"lease": "l"})
        assert requests.finish(PATH, query, b"") == FinishJob("sms", "1", "a", "l")
        assert requests.finish(PATH, NO_QUERY, b'{"lease": "l"}') == FinishJob("sms", "1", "a", "l")
        assert requests.release(PATH, query, b'{"lease": "l", "delay": 0.5}').delay_us == 500
        assert requests.release(PATH, query, b"") == ReleaseJob("sms", "1", "a", "l", 0)
        assert requests.extend(PATH, query, b'{"by": 100}') == ExtendJob("sms", "1", "a", "l", 100_000)

    def test_two_different_leases_are_refused(self) -> None:
        message = message_of(lambda: requests.finish(PATH, MultiDict({"lease": "a"}), b'{"lease": "b"}'))
        assert names(message, "lease")

    def test_extend_and_release_need_a_lease(self) -> None:
        assert names(message_of(lambda: requests.extend(PATH, NO_QUERY, b'{"by": 100}')), "lease")
        assert names(message_of(lambda: requests.release(PATH, NO_QUERY, b"")), "lease")

    def test_extend_needs_by(self) -> None:
        assert message_of(lambda: requests.extend(PATH, NO_QUERY, b'{"lease": "l"}')) == "by: required"


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
        message = message_of(lambda: requests.rate(body_of({"interval": "1"}, field, bad)))
        assert names(message, field), message

    def test_a_rate_needs_an_interval(self) -> None:
        assert message_of(lambda: requests.rate(b'{"pin": true}')) == "interval: required"
        assert names(message_of(lambda: requests.rate(b"")), "body")

    def test_what_a_rate_leaves_out_stays(self) -> None:
        assert requests.rate(b'{"interval": 0.5}') == (500, None, None)
        assert requests.rate(b'{"interval": 0, "burst": 3, "pin": false}') == (0, 3, False)

    def test_purge_all_is_a_flag_that_may_be_left_out(self) -> None:
        assert [requests.purge_all(body) for body in (b"", b"{}", b'{"purge_all": true}')] == [
            False,
            False,
            True,
        ]
        for bad in NOT_FLAGS:
            body = body_of({}, "purge_all", bad)
            assert names(message_of(requests.purge_all, body), "purge_all")

    def test_a_body_that_should_be_empty_may_be_an_empty_object(self) -> None:
        requests.nothing(b"")
        requests.nothing(b"{}")
        assert names(message_of(lambda: requests.nothing(b'{"count": 1}')), "count")

    def test_redrive_takes_all_or_those_named(self) -> None:
        for body in (b"", b"{}", b"{ }"):
            assert requests.redrive("t", body) is None
        assert requests.redrive("t", in_bulk('{"queue_id": "q", "job_id": "j"}')) == [DeadRef("t", "q", "j")]
        for field in ("queue_id", "job_id"):
            for bad in NOT_IDENTIFIERS:
                body = body_of({"queue_id": '"q"', "job_id": '"j"'}, field, bad)
                message = message_in_bulk(lambda whole: requests.redrive("t", whole) or [], body)
                assert names(message, f"jobs[0].{field}")
        assert names(message_of(lambda: requests.redrive("t", b'{"jobs": []}')), "jobs")


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
        message = message_of(lambda: requests.dequeue(MultiDict({name: bad}), SETTINGS))
        assert names(message, name), message

    def test_a_dequeue_s_parameters_arrive_in_the_engine_s_units(self) -> None:
        assert requests.dequeue(NO_QUERY, SETTINGS) == (None, 60_000_000, 0)
        query = MultiDict({"count": "1000", "wait": "0.5", "lease": "100.25"})
        assert requests.dequeue(query, SETTINGS) == (1000, 100_250, 500)
        assert requests.dequeue(MultiDict({"wait": "60000", "lease": "86400000"}), SETTINGS) == (
            None,
            86_400_000_000,
            60_000_000,
        )

    def test_a_parameter_given_twice_is_refused(self) -> None:
        message = message_of(lambda: requests.dequeue(MultiDict([("count", "1"), ("count", "1")]), SETTINGS))
        assert message == "count: expected once in the query, got 2 times"

    def test_a_call_without_parameters_refuses_any(self) -> None:
        requests.no_query(NO_QUERY)
        assert names(message_of(lambda: requests.no_query(MultiDict({"x": "1"}))), "x")

    @pytest.mark.parametrize(
        ("name", "bad"),
        table({"limit": ("0", "-1", "10001", "x", "", "1.5"), "cursor": ("x" * 301,), "x": ("1",)}),
    )
    def test_a_bad_parameter_of_a_page_is_named(self, name: str, bad: str) -> None:
        assert names(message_of(lambda: requests.page(MultiDict({name: bad}))), name)

    def test_a_page_may_say_where_and_how_much(self) -> None:
        assert requests.page(NO_QUERY) == (None, None)
        assert requests.page(MultiDict({"limit": "10000", "cursor": "3-0"})) == (10_000, "3-0")


class TestDurations:
    @pytest.mark.parametrize(
        ("duration_ms", "expected_us"),
        [
            (0, 0),
            (0.0, 0),
            (-0.0, 0),
            (1, 1000),
            (33.333, 33333),
            (33.3331, 33334),
            (1e-9, 1),
            (5e-324, 1),
            (0.001, 1),
            (0.1 + 0.2, 300),
            (1.1 * 3, 3300),
            (1000 / 30, 33334),
            (YEAR_MS, YEAR_MS * 1000),
            (YEAR_MS - 0.5, YEAR_MS * 1000 - 500),
        ],
    )
    def test_fractions_are_rounded_up_to_whole_microseconds(
        self, duration_ms: float, expected_us: int
    ) -> None:
        assert to_us(duration_ms) == expected_us

    @given(st.integers(0, 10**12))
    def test_whole_microseconds_survive_the_way_through_milliseconds(self, duration_us: int) -> None:
        assert to_us(duration_us / 1000) == duration_us


@given(
    st.recursive(
        st.none() | st.integers() | st.text('"\\[]{}ab'),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('"\\[]{}'), inner),
        max_leaves=30,
    ),
    st.integers(0, 3),
)
def test_depth_is_counted_outside_strings_only(value: object, room: int) -> None:
    """Wraps a value so that it ends just below, at or above the limit."""
    depth = MAX_DEPTH + 1 - room
    text = b"[" * depth + msgspec.json.encode(value) + b"]" * depth
    assert is_nested_too_deep(text) == (depth + _depth(value) > MAX_DEPTH)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0
