"""Values that JSON cannot hold as they are, which the client refuses: a worker would read another value in silence."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import re
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from sharq_client import AsyncClient, EnqueueJob, JobRef, LeasedJob
from sharq_client.errors import InvalidRequest, SharqError
from sharq_client.json_values import NotJson, to_text
from sharq_client.testing import FakeSharq
from sharq_client.worker.handlers.results import JobResult, result_of, to_running
from tests.clients.both import OpenClient
from tests.support.processes.servers import SharqServer

NAN, INFINITY = float("nan"), float("inf")


class Colour(enum.Enum):
    """An enum with text."""

    RED = "red"


@dataclasses.dataclass
class Sms:
    """A payload of an application."""

    text: object


class Form(msgspec.Struct):
    """Another one."""

    text: object


LOST = [
    (b"x", ": JSON has no bytes; decode them to text, or send base64"),
    (bytearray(b"x"), ": JSON has no bytearray; "),
    (memoryview(b"x"), ": JSON has no memoryview; "),
    (NAN, ": JSON has no nan; "),
    (INFINITY, ": JSON has no inf; "),
    (-INFINITY, ": JSON has no -inf; "),
    ({"a": b"x"}, ".a: JSON has no bytes; "),
    ({"a": 1, "b": [None, {"c": b"x"}]}, ".b[1].c: JSON has no bytes; "),
    ({"a": None, "b": [1.5, NAN]}, ".b[1]: JSON has no nan; "),
    ([1, (2, {3: b"x"})], "[1][1].3: JSON has no bytes; "),
    ({b"k": 1}, ": JSON has text for keys, got the key b'k'"),
    ([[{b"k": 1}]], "[0][0]: JSON has text for keys, got the key b'k'"),
    ({b"x"}, "[0]: JSON has no bytes; "),
    (frozenset([b"x"]), "[0]: JSON has no bytes; "),
    (Sms(b"x"), ".text: JSON has no bytes; "),
    (Form([Sms({"a": b"x"})]), ".text[0].text.a: JSON has no bytes; "),
    (Sms(INFINITY), ".text: JSON has no inf; "),
    (type("Rows", (list,), {})([b"x"]), "[0]: JSON has no bytes; "),
    (type("Row", (dict,), {})(a=b"x"), ".a: JSON has no bytes; "),
]
"""Values that JSON cannot hold, and the ends of the messages about them."""

KEPT: list[tuple[object, object]] = [
    (None, None),
    ("null", "null"),
    ([None, 1.5, -0.0], [None, 1.5, 0.0]),
    ({"a": None, "b": 1.5}, {"a": None, "b": 1.5}),
    ((1, 2), [1, 2]),
    ({1}, [1]),
    ({1: "a", 2.5: "b"}, {"1": "a", "2.5": "b"}),
    (datetime.datetime(2026, 11, 29, tzinfo=datetime.UTC), "2026-11-29T00:00:00Z"),
    (datetime.date(2026, 11, 29), "2026-11-29"),
    (datetime.timedelta(hours=1), "PT3600S"),
    (decimal.Decimal("1.20"), "1.20"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Colour.RED, "red"),
    (Sms("a"), {"text": "a"}),
    (Form(Sms([1])), {"text": {"text": [1]}}),
    (10**30, 10**30),
    (msgspec.Raw(b'{"a": null}'), {"a": None}),
]
"""Values and how they come back."""


@pytest.fixture
async def client(server: SharqServer, open_client: OpenClient) -> AsyncIterator[AsyncClient]:
    async with open_client(server.url) as opened:
        yield opened


def type_name(value: object) -> str:
    """The id of a test: the order of a set and the address of a view, which repr shows, differ between processes."""
    return type(value).__name__


@pytest.mark.parametrize(("value", "message"), LOST, ids=type_name)
def test_lost_value_is_refused_and_its_place_is_named(value: object, message: str) -> None:
    with pytest.raises(NotJson) as refused:
        to_text(value, "payload")
    assert str(refused.value).startswith(f"payload{message}")


@pytest.mark.parametrize(("value", "read"), KEPT, ids=type_name)
def test_other_value_is_sent_in_the_usual_form(value: object, read: object) -> None:
    assert msgspec.json.decode(to_text(value, "payload")) == read


def test_value_that_contains_itself_ends() -> None:
    rows: list[object] = []
    rows.append(rows)
    with pytest.raises(RecursionError):
        to_text(rows, "payload")


LEASED = LeasedJob(
    queue_type="sms", queue_id="acme", job_id="j", lease="l", lease_expires_at=1, enqueued_at=2, attempt=3,
    requeues_remaining=4, current_queue_length=5, payload_json=msgspec.Raw(b"1"),
)  # fmt: skip


async def enqueue_in_bulk(client: AsyncClient, job: dict[str, Any]) -> None:
    """Enqueue a job in a list, and raise its error."""
    (answer,) = await client.enqueue_many([job])
    if isinstance(answer, SharqError):
        raise answer


Send = Callable[[AsyncClient, str, Any], Any]

CALLS: dict[str, tuple[Send, str]] = {
    "enqueue": (
        lambda client, kind, value: client.enqueue(
            EnqueueJob(queue_type=kind, queue_id="q", payload=value, interval=0)
        ),
        "payload",
    ),
    "mapping": (
        lambda client, kind, value: client.enqueue(
            {"queue_type": kind, "queue_id": "q", "payload": value, "interval": 0}
        ),
        "payload",
    ),
    "enqueue_many": (
        lambda client, kind, value: enqueue_in_bulk(
            client, {"queue_type": kind, "queue_id": "q", "payload": value, "interval": 0}
        ),
        "payload",
    ),
    "finish": (
        lambda client, kind, value: client.finish(JobRef(kind, "q", "j", "l"), result=value),
        "result",
    ),
    "extend": (
        lambda client, kind, value: client.extend(JobRef(kind, "q", "j", "l"), 1000, progress=value),
        "progress",
    ),
    "finish_many": (
        lambda client, kind, value: client.finish_many([JobRef(kind, "q", "j", "l")], results=[value]),
        "results[0]",
    ),
    "extend_many": (
        lambda client, kind, value: client.extend_many([JobRef(kind, "q", "j", "l")], 1000, progress=[value]),
        "progress[0]",
    ),
    "change": (lambda client, kind, value: client.jobs.change(kind, "q", "j", {"payload": value}), "payload"),
}


VALUES = [b"x", {"a": [b"x"]}, NAN]


async def refused(call: str, client: AsyncClient, kind: str, value: object) -> None:
    """The call is refused, and its message begins with the field."""
    send, name = CALLS[call]
    with pytest.raises(InvalidRequest, match=f"^{re.escape(name)}.*: JSON has no (bytes|nan); "):
        await send(client, kind, value)


@pytest.mark.parametrize("value", VALUES, ids=type_name)
@pytest.mark.parametrize("call", CALLS)
async def test_each_call_of_the_clients_refuses_it(
    client: AsyncClient, kind: str, call: str, value: object
) -> None:
    await refused(call, client, kind, value)


@pytest.mark.parametrize("value", VALUES, ids=type_name)
@pytest.mark.parametrize("call", CALLS)
async def test_the_fake_refuses_it_alike(sharq: FakeSharq, call: str, value: object) -> None:
    async with sharq.async_client() as client:
        await refused(call, client, "sms", value)


@pytest.mark.parametrize("field", ["queue_type", "queue_id", "job_id", "batch", "window", "rate"])
async def test_bytes_in_another_field_are_refused_by_name(client: AsyncClient, kind: str, field: str) -> None:
    job: dict[str, Any] = {"queue_type": kind, "queue_id": "q", "payload": 1, "interval": 0, field: b"tenant"}
    with pytest.raises(InvalidRequest, match=f"^{field}: JSON has no bytes; "):
        await enqueue_in_bulk(client, job)
    ref = {"queue_type": kind, "queue_id": "q", "job_id": "j", "lease": b"l"}
    (answer,) = await client.finish_many([ref])
    assert isinstance(answer, InvalidRequest)
    assert answer.message.startswith("lease: JSON has no bytes; ")
    with pytest.raises(InvalidRequest, match=r"^interval: JSON has no nan; "):
        await enqueue_in_bulk(client, {**job, field: "a", "interval": NAN})


async def test_schedule_refuses_it(client: AsyncClient, kind: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^payload: JSON has no bytes; "):
        await client.control.schedules.put(
            kind, {"queue_type": kind, "queue_id": "q", "payload": b"x", "interval": 0}, every_ms=60_000
        )


def test_result_of_a_worker_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    assert result_of(LEASED, JobResult({"file": b"x"})) is msgspec.UNSET
    (record,) = caplog.records
    assert "result_left_out" in record.message
    assert "error=result.file: JSON has no bytes; decode them" in record.message


def test_progress_of_a_worker_is_refused() -> None:
    reports: list[object] = []
    job = to_running(LEASED, lambda *report: reports.append(report))
    with pytest.raises(TypeError, match=r"^progress\[0\]: JSON has no bytes; "):
        job.progress([b"x"])
    assert reports == []


async def test_job_that_spoils_the_text_of_a_call_fails_alone(
    open_client: OpenClient, server: SharqServer, kind: str
) -> None:
    def job(**more: object) -> dict[str, object]:
        return {"queue_type": kind, "queue_id": "q", "payload": 1, "interval": 0, **more}

    spoiled = [job(queue_id="\ud83d"), job(payload=msgspec.Raw(b"oops")), job(retry=object())]
    async with open_client(server.url) as client:
        answers = await client.enqueue_many([job(), *spoiled, job()])
        assert [isinstance(answer, InvalidRequest) for answer in answers] == [False, True, True, True, False]
        stats = await client.queue(kind, "q")
    assert stats is not None and (answers.queued, stats.queued) == (2, 2)
