"""Bad input about the life of a job: the answer names the field and what it may be, and nothing is changed."""

from __future__ import annotations

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server

HOUR_MS = 3_600_000
TOO_LATE_MS = 2**53 // 1000 + 1
YEAR_MS = 365 * 24 * 3_600_000
RETRY_MS = 30 * 24 * 3_600_000


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


WRONG_RETRIES: list[tuple[object, str]] = [
    (5, "retry"),
    ("x", "retry"),
    ([], "retry"),
    ({}, "retry.delay"),
    ({"factor": 2}, "retry.delay"),
    ({"delay": -1}, "retry.delay"),
    ({"delay": 0.5}, "retry.delay"),
    ({"delay": "1"}, "retry.delay"),
    ({"delay": None}, "retry.delay"),
    ({"delay": RETRY_MS + 1}, "retry.delay"),
    ({"delay": 1, "factor": 0.99}, "retry.factor"),
    ({"delay": 1, "factor": 10.01}, "retry.factor"),
    ({"delay": 1, "factor": 1.234}, "retry.factor"),
    ({"delay": 1, "factor": True}, "retry.factor"),
    ({"delay": 1, "max": -1}, "retry.max"),
    ({"delay": 1, "max": RETRY_MS + 1}, "retry.max"),
    ({"delay": 1, "jitter": -0.01}, "retry.jitter"),
    ({"delay": 1, "jitter": 1.01}, "retry.jitter"),
    ({"delay": 1, "jitter": 0.123}, "retry.jitter"),
    ({"delay": 1, "deley": 1}, "retry.deley"),
]

NO_EXPIRY: list[object] = [0, -1, YEAR_MS + 1, "1", True, []]
NO_FATE: list[object] = ["", "Dead", "forget", 1, True]

WRONG_EXPIRIES: list[tuple[Document, str]] = [
    *(({"expires": value}, "expires") for value in NO_EXPIRY),
    *(({"on_expiry": value}, "on_expiry") for value in NO_FATE),
]

WRONG_TIMES: list[tuple[Document, str]] = [
    *(({"at": value}, "at") for value in (-1, 0.5, TOO_LATE_MS, "1", True, None)),
    *(({"priority": value}, "priority") for value in (0, 10, -5, 1.5, "5", True, None)),
    *(({"expires_at": value}, "expires_at") for value in (-1, 0.5, TOO_LATE_MS, "1", True)),
    ({"at": 1, "delay": 0}, "at"),
    ({"at": 1, "delay": 1}, "at"),
    ({"expires": 1, "expires_at": TOO_LATE_MS - 1}, "expires_at"),
]

WRONG_JOBS = [
    *WRONG_TIMES,
    *WRONG_EXPIRIES,
    *(({"retry": value}, field) for value, field in [*WRONG_RETRIES, (None, "retry")]),
    ({"expires": None}, "expires"),
    ({"expires_at": None}, "expires_at"),
    ({"on_expiry": None}, "on_expiry"),
    ({"error": "x"}, "error"),
]


@pytest.mark.parametrize(("fields", "name"), WRONG_JOBS, ids=repr)
async def test_an_enqueue_is_refused_by_the_name_of_its_field(
    api: Api, kind: str, fields: Document, name: str
) -> None:
    body = {"interval": 0, "payload": 1, **fields}
    message = await api.refused(f"/enqueue/{kind}/1/", body, name)
    assert "expected" in message or "required" in message or "unknown" in message
    entry = {"queue_type": kind, "queue_id": "1", **body}
    good = {"queue_type": kind, "queue_id": "2", "interval": 0, "payload": 1}
    first, second = (await api.post("/enqueue/", {"jobs": [good, entry]})).json["results"]
    assert (first["status"], second["code"]) == ("queued", "invalid_request")
    assert second["message"].startswith(f"jobs[1].{name}: ")
    assert (await api.get(f"/queue/{kind}/1/")).status == 404


@pytest.mark.parametrize(
    ("fields", "both"),
    [
        ({"at": 1, "delay": 1}, ("at", "delay")),
        ({"expires": 1, "expires_at": 1}, ("expires", "expires_at")),
    ],
    ids=repr,
)
async def test_fields_that_exclude_each_other_are_both_named(
    api: Api, kind: str, fields: Document, both: tuple[str, str]
) -> None:
    await api.enqueue(kind, job_id="a")
    for method, path, body in (
        ("POST", f"/enqueue/{kind}/2/", {"interval": 0, "payload": 1, **fields}),
        ("PATCH", f"/job/{kind}/1/a/", fields),
    ):
        reply = await api.call(method, path, body)
        assert reply.status == 400
        assert all(f" {name}" in reply.json["message"] for name in both), reply.json
    assert (await api.get(f"/job/{kind}/1/a/")).json["state"] == "queued"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        *WRONG_TIMES,
        *(({"expires": value}, "expires") for value in NO_EXPIRY),
        *(({"cost": value}, "cost") for value in (0, 1_000_001, 1.5, None)),
        *(({"delay": value}, "delay") for value in (-1, YEAR_MS + 1, None)),
        ({"payload": {"max_queued_length": "9"}}, "payload.max_queued_length"),
        ({"on_expiry": "drop"}, "on_expiry"),
        ({"retry": {"delay": 1}}, "retry"),
        ({"job_id": "b"}, "job_id"),
    ],
    ids=repr,
)
async def test_a_change_is_refused_by_the_name_of_its_field(
    api: Api, kind: str, fields: Document, name: str
) -> None:
    await api.enqueue(kind, job_id="a", priority=3, expires=HOUR_MS)
    before = (await api.get(f"/job/{kind}/1/a/")).json
    reply = await api.call("PATCH", f"/job/{kind}/1/a/", {"priority": 1, **fields})
    assert (reply.status, reply.json["code"]) == (400, "invalid_request"), reply.json
    assert reply.json["message"].startswith(f"{name}: "), reply.json
    assert (await api.get(f"/job/{kind}/1/a/")).json == before


@pytest.mark.parametrize(
    ("body", "name"), [(b"", "body"), (b"[]", "body"), (b'{"payload": 1e400}', "payload")]
)
async def test_a_change_needs_an_object(api: Api, kind: str, body: bytes, name: str) -> None:
    await api.enqueue(kind, job_id="a")
    reply = await api.call("PATCH", f"/job/{kind}/1/a/", body)
    assert (reply.status, reply.json["message"].partition(":")[0]) == (400, name)


async def test_a_payload_over_the_limit_is_refused(api: Api, kind: str) -> None:
    await api.enqueue(kind, job_id="a")
    reply = await api.call("PATCH", f"/job/{kind}/1/a/", {"payload": "x" * 300_000})
    assert (reply.status, reply.json["code"]) == (413, "too_large")
    assert (await api.get(f"/job/{kind}/1/a/")).json["payload"] is None


@pytest.mark.parametrize(
    ("fields", "name"),
    [*WRONG_EXPIRIES, *(({"retry": value}, field) for value, field in WRONG_RETRIES)],
    ids=repr,
)
async def test_settings_are_refused_by_the_name_of_their_field(
    api: Api, kind: str, fields: Document, name: str
) -> None:
    for path in (f"/queue/{kind}/1/", f"/type/{kind}~a/"):
        await api.refused(path, {"max_leased": 3, **fields}, name)
    assert (await api.get(f"/queue/{kind}/1/")).status == 404
    assert (await api.get(f"/type/{kind}~a/")).json["max_leased"] is None


@pytest.mark.parametrize("error", [1, None, True, ["x"], {"text": "x"}], ids=repr)
async def test_an_error_is_a_string(api: Api, kind: str, error: object) -> None:
    await api.enqueue(kind, job_id="a")
    lease = (await api.lease(kind))["lease"]
    await api.refused(f"/release/{kind}/1/a/", {"lease": lease, "error": error}, "error")
    assert await api.state(kind, "a") == "leased"


async def test_an_error_of_broken_text_is_refused(api: Api, kind: str) -> None:
    await api.enqueue(kind, job_id="a")
    lease = (await api.lease(kind))["lease"]
    for error in (rb"\ud800", b"\xff"):
        body = b'{"lease": "%b", "error": "%b"}' % (lease.encode(), error)
        assert (await api.post(f"/release/{kind}/1/a/", body)).status == 400
    assert await api.state(kind, "a") == "leased"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("state=finished", "state"),
        ("state=dead", "state"),
        ("state=", "state"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=0", "cursor"),
        ("cursor=999.1", "cursor"),
        ("state=leased&cursor=x", "cursor"),
        (f"cursor={'1' * 301}", "cursor"),
        ("prefix=a%20b", "prefix"),
        ("prefix=a%0a", "prefix"),
        ("prefix=%ff", "prefix"),
        (f"prefix={'x' * 101}", "prefix"),
        ("prefix=a&prefix=b", "prefix"),
        ("wait=1", "wait"),
    ],
)
async def test_a_list_of_jobs_is_refused_by_the_name_of_its_parameter(
    api: Api, kind: str, query: str, name: str
) -> None:
    await api.enqueue(kind, job_id="a")
    reply = await api.get(f"/queue/{kind}/1/jobs/?{query}")
    assert (reply.status, reply.json["code"]) == (400, "invalid_request"), reply.json
    assert reply.json["message"].startswith(f"{name}: "), reply.json


@pytest.mark.parametrize("query", ["queue_id=", "queue_id=a%20b", "queue_id=..", "queue_id=q&queue_id=q"])
async def test_a_list_of_dead_letters_wants_a_queue_id(api: Api, kind: str, query: str) -> None:
    reply = await api.get(f"/dead/{kind}/?{query}")
    assert (reply.status, reply.json["message"].partition(":")[0]) == (400, "queue_id")


async def test_a_cursor_of_another_queue_s_letters_is_refused(api: Api, kind: str) -> None:
    """It names a partition that has none of the queue's letters."""
    answers = [
        (await api.get(f"/dead/{kind}/?queue_id=q&cursor={partition}-1:q:a")).status
        for partition in range(64)
    ]
    assert sorted(answers) == [200, *[400] * 63]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (None, "prefix"),
        ({}, "prefix"),
        ({"prefix": None}, "prefix"),
        ({"prefix": 1}, "prefix"),
        ({"prefix": "a b"}, "prefix"),
        ({"prefix": "x" * 101}, "prefix"),
        ({"prefix": "a", "state": "queued"}, "state"),
        (b"[]", "body"),
    ],
    ids=repr,
)
async def test_a_cancellation_by_prefix_needs_one(api: Api, kind: str, body: object, name: str) -> None:
    await api.enqueue(kind, job_id="a")
    await api.refused(f"/queue/{kind}/1/cancel/", body, name)
    assert await api.state(kind, "a") == "queued"


@pytest.mark.parametrize(
    ("method", "path", "body", "name"),
    [
        ("DELETE", "/job/{kind}/1/a/?force=maybe", None, "force"),
        ("DELETE", "/job/{kind}/1/a/?forced=true", None, "forced"),
        ("DELETE", "/job/{kind}/1/a/", {"force": True}, "force"),
        ("DELETE", "/job/{kind}/1/%20/", None, "job_id"),
        ("DELETE", "/job/{kind}/1/a/?force=true&force=true", None, "force"),
        ("POST", "/cancel/", None, "body"),
        ("POST", "/cancel/", {"jobs": []}, "jobs"),
        ("POST", "/cancel/", {"jobs": [{}] * 1001}, "jobs"),
        ("POST", "/cancel/", {"jobs": 1}, "jobs"),
        ("POST", "/cancel/?force=true", {"jobs": [{}]}, "force"),
        ("PATCH", "/job/{kind}/1/a/?force=true", {"priority": 1}, "force"),
        ("DELETE", "/dead/{kind}/1/a/", {"x": 1}, "x"),
        ("DELETE", "/dead/{kind}/1/a/?x=1", None, "x"),
        ("POST", "/dead/{kind}/1/a/redrive/", {"jobs": []}, "jobs"),
        ("POST", "/dead/{kind}/%20/a/redrive/", None, "queue_id"),
    ],
    ids=repr,
)
async def test_calls_about_single_jobs_are_refused_by_name(
    api: Api, kind: str, method: str, path: str, body: object, name: str
) -> None:
    await api.enqueue(kind, job_id="a")
    reply = await api.call(method, path.format(kind=kind), body)
    assert (reply.status, reply.json["code"]) == (400, "invalid_request"), reply.json
    assert reply.json["message"].startswith(f"{name}: "), reply.json
    assert await api.state(kind, "a") == "queued"


@pytest.mark.parametrize("force", [1, "true", None], ids=repr)
async def test_a_bad_entry_of_a_bulk_cancellation_fails_alone(api: Api, kind: str, force: object) -> None:
    for job_id in ("a", "b"):
        await api.enqueue(kind, job_id=job_id)
    entries = [{"queue_type": kind, "queue_id": "1", "job_id": job_id} for job_id in ("a", "b")]
    reply = await api.post("/cancel/", {"jobs": [{**entries[0], "force": force}, entries[1]]})
    first, second = reply.json["results"]
    assert first["message"].startswith("jobs[0].force: ")
    assert second == {"status": "success", "was": "queued"}
    assert await api.state(kind, "a") == "queued"
