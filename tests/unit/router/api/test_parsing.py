"""Every field of an enqueue and of bulk calls with every kind of bad input, and what good input becomes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

import pytest

from router.api import parsing
from router.api.nesting_depth import MAX_DEPTH
from sharq_core.errors import InvalidRequest, SharqError, TooLarge
from sharq_core.models import ExtendJob, FinishJob, NewJob, ReleaseJob
from tests.unit.router.api.bad_values import (
    BAD_ADDRESS,
    BAD_JOB_FIELDS,
    DEEP,
    NOT_DURATIONS,
    NOT_HOLD_TIMES,
    NOT_IDENTIFIERS,
    NOT_LEASES,
    PATH,
    SETTINGS,
    body_of,
    message_in_bulk,
    message_of,
    names,
    only,
    table,
)


def enqueue(body: bytes | str) -> NewJob:
    return parsing.enqueue(body.encode() if isinstance(body, str) else body, PATH, SETTINGS)[0]


def enqueue_bulk(body: bytes) -> list[NewJob | SharqError]:
    return parsing.enqueue_bulk(body, SETTINGS)


IN_BULK: dict[str, Sequence[str]] = {
    **{field: values[:1] for field, values in BAD_JOB_FIELDS.items()},
    **BAD_ADDRESS,
}
"""One for each field of a job: an entry of a bulk call is converted as a job alone, which gets all of them."""


class TestEnqueue:
    @pytest.mark.parametrize("field", BAD_JOB_FIELDS)
    def test_a_bad_field_is_named(self, field: str) -> None:
        for bad in BAD_JOB_FIELDS[field]:
            message = message_of(enqueue, body_of({"interval": "1", "payload": "1"}, field, bad))
            assert names(message, field), (bad, message)
            assert "$" not in message
            assert "Struct" not in message
            assert len(message) < 400

    @pytest.mark.parametrize("field", IN_BULK)
    def test_a_bad_field_in_bulk_is_named_with_its_place(self, field: str) -> None:
        good = {"queue_type": '"sms"', "queue_id": '"1"', "interval": "1", "payload": "1"}
        for bad in IN_BULK[field]:
            message = message_in_bulk(enqueue_bulk, body_of(good, field, bad))
            assert names(message, f"jobs[0].{field}"), (bad, message)

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
    @pytest.mark.parametrize(
        "bad",
        ["", ".", "..", "a b", "ä", "a\n", "x" * 101, "%41", "a%2Fb", "/a", "a/", "a//b", "a/../b", "./a"],
    )
    def test_a_bad_part_of_the_path_is_named(self, name: str, bad: str) -> None:
        path = {**PATH, name: bad}
        message = message_of(lambda: parsing.enqueue(b'{"payload": 1}', path, SETTINGS))
        assert names(message, name)

    @pytest.mark.parametrize("bad", ["a/b", "a:b"])
    def test_a_queue_type_has_neither_a_slash_nor_a_colon(self, bad: str) -> None:
        path = {**PATH, "queue_type": bad}
        message = message_of(lambda: parsing.enqueue(b'{"payload": 1}', path, SETTINGS))
        assert names(message, "queue_type")

    @pytest.mark.parametrize(
        "good",
        ["a", "...", "+1.a@b_c-D9", "active", "x" * 100, "tenant:42", "::", "a/b", "a/.b/...", "a:/:b"],
    )
    def test_identifiers_may_be_any_of_the_allowed_characters(self, good: str) -> None:
        job, is_new_id = parsing.enqueue(
            json.dumps({"payload": 1, "job_id": good}).encode(), {**PATH, "queue_id": good}, SETTINGS
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
        made = [parsing.enqueue(b'{"payload": 1}', PATH, SETTINGS) for _ in range(1000)]
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
        with pytest.raises(TooLarge, match=r"^payload: 2001 bytes, the limit is 2000$"):
            enqueue(json.dumps({"payload": "x" * 1999}))


class TestBulk:
    @pytest.mark.parametrize("read", [lambda body: parsing.enqueue_bulk(body, SETTINGS), parsing.finish_bulk])
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
        first, bad, number, large, last = parsing.enqueue_bulk(json.dumps({"jobs": jobs}).encode(), SETTINGS)
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
        read = parsing.enqueue_bulk(json.dumps({"jobs": jobs}).encode(), SETTINGS)
        assert [job.job_id for job in read if isinstance(job, NewJob)] == [str(n) for n in range(1000)]

    @pytest.mark.parametrize(
        ("read", "more", "bad_fields"),
        [
            (parsing.finish_bulk, {}, {"lease": NOT_LEASES}),
            (
                parsing.extend_bulk,
                {"lease": '"l"', "by": "100"},
                {"lease": NOT_LEASES, "by": NOT_HOLD_TIMES},
            ),
            (parsing.release_bulk, {"lease": '"l"'}, {"lease": NOT_LEASES, "delay": NOT_DURATIONS}),
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

        assert parsing.finish_bulk(body()) == [FinishJob("t", "q", "j", None)]
        assert parsing.finish_bulk(body(lease="l")) == [FinishJob("t", "q", "j", "l")]
        assert parsing.extend_bulk(body(lease="l", by=100.5)) == [ExtendJob("t", "q", "j", "l", 100_500)]
        assert parsing.release_bulk(body(lease="l", delay=1)) == [ReleaseJob("t", "q", "j", "l", 1000)]

    @pytest.mark.parametrize("field", ["queue_type", "queue_id", "job_id", "lease", "by"])
    def test_a_missing_field_is_named(self, field: str) -> None:
        job = {"queue_type": "t", "queue_id": "q", "job_id": "j", "lease": "l", "by": 100}
        del job[field]
        message = message_of(lambda: only(parsing.extend_bulk(json.dumps({"jobs": [job]}).encode())))
        assert message == f"jobs[0].{field}: required"
