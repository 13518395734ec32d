"""A bulk body read all at once gives what its jobs give that are read one by one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.api import parsing
from router.api.bulk_decoding import MOST_ESCAPES, BulkDecoder
from router.api.fields import are_identifiers
from router.api.request_shapes import EnqueueEntry, FinishEntry, RawBulk, ReleaseEntry
from router.settings import RouterSettings
from sharq_core.errors import InvalidRequest
from sharq_core.models import NewJob

FORMS = {kind: BulkDecoder(kind) for kind in (EnqueueEntry, FinishEntry, ReleaseEntry)}
RAW = msgspec.json.Decoder(RawBulk)

queue_types = st.sampled_from(["a", "sms", "a.b", "...", "A-Z_+@9", "x" * 100])
identifiers = queue_types | st.sampled_from(["tenant:42", ":", "a/b", "a/.b/...", "x/" + "y" * 98])
bad_identifiers: st.SearchStrategy[Any] = st.sampled_from(
    ["", ".", "..", "a\n", "\na", "a\nb", "\n", ".\n.", "x" * 101, "ü", "a b", 7, None, True, ["a"], {}]
) | st.sampled_from(
    ["/", "/a", "a/", "a//b", "a/./b", "../a", "a/..", "a/\nb", "a~b", "a%2Fb", "x/" + "y" * 99]
)
values: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, 2.5, -1, "1", None, False, True, [], {}, 10**30, 1e300]
)
names = st.sampled_from(["job_id", "payload", "interval", "burst", "lease", "delay", "repeat", "other"])


@st.composite
def entries(draw: st.DrawFn) -> Any:
    """Mostly an entry that fits, with a flaw now and then."""
    entry: Any = {"queue_type": draw(queue_types), "queue_id": draw(identifiers)}
    entry |= {"job_id": draw(identifiers), "payload": {"a": 1}, "lease": "0" * 32}
    for name in draw(st.lists(st.sampled_from(list(entry)), max_size=2)):
        entry.pop(name, None)
    for name in draw(st.lists(st.sampled_from(["queue_type", "queue_id", "job_id"]), max_size=1)):
        entry[name] = draw(bad_identifiers)
    return entry | draw(st.dictionaries(names, values, max_size=1))


def as_told(outcome: Any) -> Any:
    """Return an entry's fields, or the reason why it is invalid."""
    if isinstance(outcome, InvalidRequest):
        return outcome.message
    values = ((name, getattr(outcome, name)) for name in outcome.__struct_fields__)
    return {name: bytes(value) if isinstance(value, msgspec.Raw) else repr(value) for name, value in values}


@pytest.mark.parametrize("kind", FORMS)
@given(jobs=st.lists(entries(), min_size=1, max_size=4))
def test_all_at_once_gives_what_one_by_one_gives(kind: type[Any], jobs: list[Any]) -> None:
    form, body = FORMS[kind], json.dumps({"jobs": jobs}).encode()
    alone = [as_told(outcome) for outcome in form.one_by_one(RAW.decode(body).jobs)]
    assert [as_told(outcome) for outcome in form.from_json(body)] == alone


def test_only_a_bad_job_fails() -> None:
    good = {"queue_type": "sms", "queue_id": "q", "job_id": "j"}
    jobs = [good, good | {"queue_id": ".."}, good | {"job_id": "a\nb"}, good | {"lease": 1}, good]
    first, dots, newline, number, last = FORMS[FinishEntry].from_json(json.dumps({"jobs": jobs}).encode())
    assert isinstance(first, FinishEntry)
    assert isinstance(last, FinishEntry)
    for flaw, field in ((dots, "jobs[1].queue_id"), (newline, "jobs[2].job_id"), (number, "jobs[3].lease")):
        assert isinstance(flaw, InvalidRequest)
        assert flaw.message.startswith(f"{field}: expected a string")


@pytest.mark.parametrize(
    ("flaw", "is_payload_only"),
    [
        (rb'"\ud800"', False),
        (rb'"\uDC00 and more"', False),
        (rb'"\ud800\ud83d\ude00"', False),
        (rb'"\\\\\ud800"', False),
        (rb'{"\ud800": 1}', True),
        (rb'["\ud83d\ude00", "\udfff"]', True),
    ],
)
def test_a_job_with_half_a_character_fails_alone(flaw: bytes, is_payload_only: bool) -> None:
    good = rb'{"queue_type":"sms","queue_id":"q","interval":0,"payload":"\ud83d\ude00 \\ud800"}'
    bad = [rb'{"queue_type":"sms","queue_id":"q","interval":0,"payload":%s}' % flaw]
    if not is_payload_only:
        bad += [rb'{"queue_type":"sms","queue_id":"q","interval":0,"payload":1,"job_id":%s}' % flaw]
        bad += [rb'{"queue_type":"sms","queue_id":"q","interval":0,"payload":1,%s:2}' % flaw]
    for text in bad:
        body = b'{"jobs":[%s,%s,%s]}' % (good, text, good)
        first, failed, last = parsing.enqueue_bulk(body, RouterSettings())
        assert isinstance(failed, InvalidRequest)
        assert "not valid JSON in UTF-8 at byte" in failed.message
        assert failed.message.startswith("jobs[1]")
        for job in (first, last):
            assert isinstance(job, NewJob)
            assert job.payload == rb'"\ud83d\ude00 \\ud800"'


def test_a_body_of_very_many_surrogates_is_refused_as_a_whole() -> None:
    pairs = rb"\ud83d\ude00" * MOST_ESCAPES
    body = rb'{"jobs":[{"queue_type":"a","queue_id":"b","payload":"%s\ud800"}]}' % pairs
    with pytest.raises(InvalidRequest, match="not valid JSON in UTF-8"):
        FORMS[EnqueueEntry].from_json(body)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"jobs":[]}', b'{"jobs":[1]', b'{"jobs":[{}],"more":1}']
)
def test_body_that_is_no_list_of_jobs_is_refused_whole(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        FORMS[FinishEntry].from_json(body)


@given(st.lists(identifiers | bad_identifiers.filter(lambda value: isinstance(value, str)), max_size=6))
def test_identifiers_are_told_together_as_alone(words: list[str]) -> None:
    assert are_identifiers(words) == all(are_identifiers([word]) for word in words) or not words
