"""Tokens with words, on one live server: each operation by each word, and queue types everywhere they stand."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from msgspec import Struct

from router.api.routes.table import ROUTES
from sharq_client import EnqueueJob, JobRef, errors
from tests.support.http.roles import Roles

WORDS = ("produce", "work", "read", "operate", "admin", "all")

JOB = {"payload": 1, "interval": 0}
REF = {"queue_id": "q", "job_id": "gone"}
LEASED = {**REF, "lease": "0" * 32}


WINDOW = {"tz": "UTC", "open": [{"days": "daily", "from": "00:00", "to": "24:00"}]}


class Row(Struct, frozen=True):
    """One operation of the table.

    Attributes:
        path: `T` stands for the queue type.
        words: the words of which a token needs one; `-` for none, `open` for no token at all.
        types: where the queue type stands: path, query, body, entries, record; all: the operation is about all types.
        body: the body; `T` stands for the queue type.
    """

    operation: str
    method: str
    path: str
    words: str
    types: str = ""
    body: Any = None


TABLE = (
    Row("enqueue", "POST", "/enqueue/T/q/", "produce", "path", JOB),
    Row("enqueue_bulk", "POST", "/enqueue/", "produce", "entries", [{"queue_id": "q", **JOB}]),
    Row("dequeue", "POST", "/dequeue/T/", "work", "path"),
    Row("dequeue", "GET", "/dequeue/T/", "work", "path"),
    Row("dequeue", "POST", "/dequeue/?type=T", "work", "query"),
    Row("dequeue", "GET", "/dequeue/?type=T", "work", "query"),
    Row("dequeue", "POST", "/dequeue/?type=sms&type=T", "work", "query"),
    Row("finish", "POST", "/finish/T/q/gone/", "work", "path"),
    Row("finish_bulk", "POST", "/finish/", "work", "entries", [LEASED]),
    Row("extend", "POST", "/extend/T/q/gone/", "work", "path", {"lease": "0" * 32, "by": 1000}),
    Row("extend_bulk", "POST", "/extend/", "work", "entries", [{**LEASED, "by": 1000}]),
    Row("release", "POST", "/release/T/q/gone/", "work", "path", {"lease": "0" * 32}),
    Row("release_bulk", "POST", "/release/", "work", "entries", [LEASED]),
    Row("job", "GET", "/job/T/q/gone/", "read produce work", "path"),
    Row("batch", "GET", "/batch/T/b/", "read produce work", "path"),
    Row("change_job", "PATCH", "/job/T/q/gone/", "operate produce", "path", {"priority": 1}),
    Row("cancel_job", "DELETE", "/job/T/q/gone/", "operate produce", "path"),
    Row("cancel_bulk", "POST", "/cancel/", "operate produce", "entries", [REF]),
    Row("cancel_prefix", "POST", "/queue/T/q/cancel/", "operate", "path", {"prefix": "gone"}),
    Row("cancel_batch", "POST", "/batch/T/b/cancel/", "operate", "path"),
    Row("redrive", "POST", "/dead/T/redrive/", "operate", "path", {"jobs": [REF]}),
    Row("redrive_letter", "POST", "/dead/T/q/gone/redrive/", "operate", "path"),
    Row("drop_letters", "POST", "/dead/T/drop/", "operate", "path", {"jobs": [REF]}),
    Row("drop_letter", "DELETE", "/dead/T/q/gone/", "operate", "path"),
    Row("drop_dead", "DELETE", "/dead/T/", "operate", "path"),
    Row("interval", "POST", "/interval/T/q/", "operate", "path", {"interval": 0}),
    Row("set_queue", "POST", "/queue/T/q/", "operate", "path", {"weight": 1}),
    Row("pause", "POST", "/queue/T/q/pause/", "operate", "path"),
    Row("resume", "POST", "/queue/T/q/resume/", "operate", "path"),
    Row("set_type", "POST", "/type/T~x/", "operate", "path", {"max_leased": 100}),
    Row("clear_type", "DELETE", "/type/T~x/", "operate", "path"),
    Row("pause_type", "POST", "/type/T/pause/", "operate", "path"),
    Row("resume_type", "POST", "/type/T/resume/", "operate", "path"),
    Row("deletequeue", "DELETE", "/deletequeue/T/q/", "operate", "path"),
    Row(
        "put_schedule",
        "PUT",
        "/schedule/of-T/",
        "operate",
        "body",
        {"every": 3_600_000, "job": {"queue_type": "T", "queue_id": "q", **JOB}},
    ),
    Row("schedule", "GET", "/schedule/of-T/", "read", "record"),
    Row("pause_schedule", "POST", "/schedule/of-T/pause/", "operate", "record"),
    Row("resume_schedule", "POST", "/schedule/of-T/resume/", "operate", "record"),
    Row("delete_schedule", "DELETE", "/schedule/gone/", "operate", ""),
    Row("put_cap", "PUT", "/cap/c/", "operate", "all", {"max_leased": 100}),
    Row("hold_cap", "POST", "/cap/gone/hold/", "operate", "all", {"for": 1}),
    Row("drop_cap", "DELETE", "/cap/gone/", "operate", "all"),
    Row("put_window", "PUT", "/window/w/", "operate", "all", WINDOW),
    Row("drop_window", "DELETE", "/window/gone/", "operate", "all"),
    Row("pause_all", "POST", "/pause/", "admin", "all"),
    Row("resume_all", "POST", "/resume/", "admin", "all"),
    Row("queue", "GET", "/queue/T/q/", "read", "path"),
    Row("list_jobs", "GET", "/queue/T/q/jobs/", "read", "path"),
    Row("queues", "GET", "/queues/T/", "read", "path"),
    Row("type", "GET", "/type/T~x/", "read", "path"),
    Row("types", "GET", "/types/", "read"),
    Row("dead", "GET", "/dead/T/", "read", "path"),
    Row("top", "GET", "/top/T/", "read", "path"),
    Row("metrics", "GET", "/metrics/", "read"),
    Row("metrics_type", "GET", "/metrics/T/", "read", "path"),
    Row("metrics_queue", "GET", "/metrics/T/q/", "read", "path"),
    Row("schedules", "GET", "/schedules/", "read"),
    Row("cap", "GET", "/cap/c/", "read"),
    Row("caps", "GET", "/caps/", "read"),
    Row("window", "GET", "/window/w/", "read"),
    Row("windows", "GET", "/windows/", "read"),
    Row("deepstatus", "GET", "/deepstatus/", "read"),
    Row("cluster", "GET", "/cluster/", "read"),
    Row("prometheus", "GET", "/metrics", "read"),
    Row("openapi", "GET", "/openapi.json", "-"),
    Row("token", "GET", "/token/", "-"),
    Row("hello", "GET", "/", "open"),
    Row("healthz", "GET", "/healthz", "open"),
    Row("readyz", "GET", "/readyz", "open"),
)


def body_of(row: Row, queue_type: str) -> Any:
    if row.types == "entries":
        return {"jobs": [{"queue_type": queue_type, **entry} for entry in row.body]}
    if row.types == "body":
        return {**row.body, "job": {**row.body["job"], "queue_type": queue_type}}
    return row.body


async def ask(
    http: aiohttp.ClientSession, roles: Roles, name: str, row: Row, queue_type: str
) -> tuple[int, Any]:
    """Return status and answer of an operation with a token."""
    return await roles.ask(
        http, name, row.method, row.path.replace("T", queue_type), body_of(row, queue_type)
    )


def codes(answer: Any) -> list[str | None]:
    return [result.get("code") for result in answer["results"]]


def test_the_table_has_every_operation_of_the_api_in_each_of_its_methods() -> None:
    """An operation that is new has no rule here until somebody has thought about it."""
    in_table = {(row.operation, row.method) for row in TABLE}
    assert in_table == {(route.operation, method) for route in ROUTES for method in route.methods}


@pytest.mark.parametrize("row", TABLE, ids=[f"{row.method} {row.path}" for row in TABLE])
async def test_an_operation_needs_one_of_its_words(
    roles: Roles, http: aiohttp.ClientSession, row: Row
) -> None:
    allowed = {"admin", "all", *row.words.split()} if row.words not in ("-", "open") else set(WORDS)
    for name in WORDS:
        status, answer = await ask(http, roles, name, row, "sms")
        if name in allowed:
            assert status < 500, (name, answer)
            assert status not in (400, 401, 403, 405), (name, answer)
        else:
            assert status == 403, (name, answer)
            assert answer["code"] == "forbidden"
            needed = " or ".join(word for word in WORDS if word in row.words.split())
            assert (
                answer["message"]
                == f"the token {name} has only ops={name}, and this needs {needed}; nothing was done"
            )


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row.types], ids=[f"{row.method} {row.path}" for row in TABLE if row.types]
)
async def test_a_token_with_types_does_nothing_with_other_types(
    roles: Roles, http: aiohttp.ClientSession, row: Row
) -> None:
    if row.types == "record":
        schedule = next(row for row in TABLE if row.operation == "put_schedule")
        for queue_type in ("mail", "sms2"):
            await ask(http, roles, "all", schedule, queue_type)
    status, answer = await ask(http, roles, "sms", row, "mail")
    if row.types == "entries":
        assert (status, codes(answer)) == (200, ["forbidden"])
        assert answer["results"][0]["message"].startswith("jobs[0].queue_type: the token sms has only types=")
    else:
        assert (status, answer["code"]) == (403, "forbidden"), answer
        assert "sms has only types=sms*,voice~x" in answer["message"]
        assert answer["message"].endswith("; nothing was done")
    if row.types != "all":
        status, answer = await ask(http, roles, "sms", row, "sms2")
        assert status < 500
        assert status not in (400, 401, 403, 405), answer
        assert row.types != "entries" or "forbidden" not in codes(answer)


async def test_the_default_type_of_a_dequeue_is_a_type_like_others(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    for method in ("GET", "POST"):
        status, answer = await ask(http, roles, "sms", Row("dequeue", method, "/dequeue/", "work"), "-")
        assert (status, answer["code"]) == (403, "forbidden")
        assert "not 'default'" in answer["message"]
        assert (await ask(http, roles, "work", Row("dequeue", method, "/dequeue/", "work"), "-"))[0] == 404


async def test_an_encoded_type_in_the_path_is_the_type(roles: Roles, http: aiohttp.ClientSession) -> None:
    for path in ("/queue/m%61il/q/", "/queue/sms%2F..%2Fmail/q/"):
        async with http.get(f"{roles.url}{path}", headers=roles.headers("mixed")) as answer:
            assert answer.status == 403, path
    async with http.get(f"{roles.url}/queue/%73ms/q/", headers=roles.headers("sms")) as answer:
        assert answer.status in (200, 404)


async def test_a_bulk_call_is_refused_entry_by_entry(roles: Roles) -> None:
    jobs = [
        EnqueueJob(queue_type=name, queue_id="bulk", payload=1, interval=0)
        for name in ("sms", "mail", "sms2")
    ]
    async with roles.client("sms") as client, roles.client("all") as everyone:
        first, second, third = await client.enqueue_many(jobs)
        assert isinstance(second, errors.Forbidden)
        assert second.message.startswith("queue_type: the token sms has only types=sms*,voice~x, not 'mail'")
        assert not isinstance(first, errors.SharqError)
        assert not isinstance(third, errors.SharqError)
        assert (await everyone.queue_counts("sms", "bulk")).queue_length == 1
        assert (await everyone.queue_counts("mail", "bulk")).queue_length == 0
        refs = [JobRef(name, "bulk", "gone", "0" * 32) for name in ("mail", "sms")]
        for outcomes in (await client.finish_many(refs), await client.jobs.cancel_many(refs)):
            assert [type(outcome) for outcome in outcomes] == [errors.Forbidden, errors.NotFound]
        with pytest.raises(errors.Forbidden, match="not 'mail'; nothing was done"):
            await client.dequeue(["sms", "mail"])
        assert await client.dequeue(["sms", "voice~x"])


async def test_a_schedule_of_another_type_is_neither_replaced_nor_changed(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    def put(queue_type: str) -> Row:
        job = {"queue_type": queue_type, "queue_id": "q", **JOB}
        return Row(
            "put_schedule", "PUT", "/schedule/shared/", "operate", "", {"every": 3_600_000, "job": job}
        )

    assert (await ask(http, roles, "all", put("mail"), "-"))[0] == 200
    changes = [
        put("sms"),
        Row("delete_schedule", "DELETE", "/schedule/shared/", "operate"),
        Row("pause_schedule", "POST", "/schedule/shared/pause/", "operate"),
    ]
    for row in changes:
        status, answer = await ask(http, roles, "sms", row, "-")
        assert (status, answer["code"]) == (403, "forbidden"), row
        assert answer["message"].startswith("schedule shared: queue_type: the token sms has only types=")
    _, state = await ask(http, roles, "all", Row("schedule", "GET", "/schedule/shared/", "read"), "-")
    assert (state["job"]["queue_type"], state["paused"]) == ("mail", False)
    assert (await ask(http, roles, "sms", Row("", "DELETE", "/schedule/none/", ""), "-"))[0] == 404
