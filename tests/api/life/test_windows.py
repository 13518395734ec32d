"""Windows over HTTP: their definitions, the jobs that wait for them, and their removal."""

from __future__ import annotations

import itertools
import time
import uuid

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server

HOUR_MS = 3_600_000
ALWAYS: Document = {"tz": "UTC", "open": [{"days": "daily", "from": "00:00", "to": "24:00"}]}


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


@pytest.fixture
def name() -> str:
    """A window of this test alone."""
    return f"w-{uuid.uuid4().hex[:12]}"


def hours(begin: int, end: int) -> Document:
    """Return a window that is open from some hours from now to others, by the full hour; from 1 to 23 apart."""
    now = time.gmtime().tm_hour
    return {
        "tz": "UTC",
        "open": [{"days": "daily", "from": f"{(now + begin) % 24:02}:00", "to": f"{(now + end) % 24:02}:00"}],
    }


def full_hour(ahead: int) -> int:
    """Return the full hour some hours after the present one, in ms."""
    return (int(time.time()) // 3600 + ahead) * HOUR_MS


async def put(api: Api, name: str, window: Document) -> None:
    reply = await api.call("PUT", f"/window/{name}/", window)
    assert (reply.status, reply.json) == (200, {"status": "success"})


async def enqueued(api: Api, kind: str, *job_ids: str, **fields: object) -> None:
    for job_id in job_ids:
        reply = await api.post(
            f"/enqueue/{kind}/1/", {"payload": 1, "job_id": job_id, "interval": 0, **fields}
        )
        assert reply.status == 201, reply.json


async def leased(api: Api, kind: str, wait_ms: int = 0) -> str | None:
    """Return the id of the next job; None if none comes."""
    reply = await api.post(f"/dequeue/{kind}/?wait={wait_ms}")
    return reply.json["job_id"] if reply.status == 200 else None


async def blocked_by(api: Api, kind: str) -> str | None:
    reply = await api.post(f"/dequeue/{kind}/")
    assert reply.status == 404
    reason: str | None = reply.json["blocked_by"]
    return reason


async def test_a_window_is_shown_as_it_was_defined_with_its_state(api: Api, name: str) -> None:
    definition = {**hours(2, 5), "except": ["2099-12-25"]}
    await put(api, name, definition)
    reply = await api.get(f"/window/{name}/")
    assert reply.json == {
        "status": "success",
        "name": name,
        **definition,
        "is_open": False,
        "opens_at": full_hour(2),
        "closes_at": None,
        "uses": 0,
    }
    await put(api, name, hours(-1, 3))
    now_open = (await api.get(f"/window/{name}/")).json
    assert (now_open["is_open"], now_open["opens_at"], now_open["closes_at"]) == (True, None, full_hour(3))
    assert now_open["except"] == []


async def test_an_unknown_window_is_not_found_and_not_accepted(api: Api, name: str, kind: str) -> None:
    missing = f"window: there is no window {name}"
    unknown = f"{missing}; create it first"
    for method in ("GET", "DELETE"):
        reply = await api.call(method, f"/window/{name}/")
        assert (reply.status, reply.json["message"]) == (404, missing)
    body = {"payload": 1, "interval": 0, "window": name}
    reply = await api.post(f"/enqueue/{kind}/1/", body)
    assert (reply.status, reply.json["code"], reply.json["message"]) == (400, "invalid_request", unknown)
    reply = await api.post(
        "/enqueue/", {"jobs": [{"queue_type": kind, "queue_id": "1", **body, "window": name}]}
    )
    assert reply.json["results"][0]["message"] == f"jobs[0].{unknown}"
    for path in (f"/queue/{kind}/1/", f"/type/{kind}~a/"):
        reply = await api.post(path, {"window": name})
        assert (reply.status, reply.json["message"]) == (400, unknown), path


async def test_a_wrong_definition_is_refused_and_changes_nothing(api: Api, name: str) -> None:
    reply = await api.call("PUT", f"/window/{name}/", {**ALWAYS, "tz": "Mars/Olympus"})
    assert (reply.status, reply.json["code"]) == (400, "invalid_request")
    assert (await api.get(f"/window/{name}/")).status == 404


async def test_jobs_wait_for_their_window_and_those_without_one_leave(api: Api, name: str, kind: str) -> None:
    await put(api, name, hours(2, 5))
    await enqueued(api, kind, "first", "second", window=name)
    await enqueued(api, kind, "free")
    await enqueued(api, kind, "code", window=name, ignore_window=True)
    assert [await leased(api, kind) for _ in range(2)] == ["free", "code"]
    assert await blocked_by(api, kind) == "window"
    state = (await api.get(f"/job/{kind}/1/first/")).json
    assert (state["state"], state["window"], state["opens_at"]) == ("queued", name, full_hour(2))
    assert "ignore_window" not in state
    queue = (await api.get(f"/queue/{kind}/1/")).json
    assert queue["blocked_by"] == "window"
    assert 0 < queue["next_ready_in"] <= 2 * HOUR_MS
    assert (await api.get(f"/window/{name}/")).json["uses"] == 1


async def test_a_new_definition_opens_the_window_for_jobs_that_wait(api: Api, name: str, kind: str) -> None:
    await put(api, name, hours(2, 5))
    await enqueued(api, kind, "first", "second", "third", window=name)
    assert await leased(api, kind) is None
    await put(api, name, ALWAYS)
    assert [await leased(api, kind, wait_ms=5_000) for _ in range(3)] == ["first", "second", "third"]


async def test_a_new_definition_closes_the_window(api: Api, name: str, kind: str) -> None:
    await put(api, name, ALWAYS)
    await enqueued(api, kind, "first", "second", window=name)
    assert await leased(api, kind) == "first"
    await put(api, name, hours(2, 5))
    assert await leased(api, kind) is None
    assert await blocked_by(api, kind) == "window"


async def test_the_window_of_a_queue_holds_all_its_jobs_but_those_that_ignore_it(
    api: Api, name: str, kind: str
) -> None:
    await put(api, name, hours(2, 5))
    assert (await api.post(f"/queue/{kind}/1/", {"window": name})).json["window"] == name
    await enqueued(api, kind, "waits")
    await enqueued(api, kind, "code", ignore_window=True)
    assert await leased(api, kind) == "code"
    assert await blocked_by(api, kind) == "window"
    assert (await api.get(f"/job/{kind}/1/waits/")).json["opens_at"] == full_hour(2)
    assert (await api.get(f"/job/{kind}/1/code/")).json["ignore_window"] is True
    assert (await api.post(f"/queue/{kind}/1/", {"window": None})).json["window"] is None
    assert await leased(api, kind) == "waits"


async def test_the_window_of_a_gathered_type_holds_queues_without_their_own(
    api: Api, name: str, kind: str
) -> None:
    carrier = f"{kind}~a"
    await put(api, name, hours(2, 5))
    await put(api, f"{name}-always", ALWAYS)
    assert (await api.post(f"/type/{carrier}/", {"window": name})).json["window"] == name
    await enqueued(api, carrier, "waits")
    assert await blocked_by(api, carrier) == "window"
    assert (await api.post(f"/queue/{carrier}/1/", {"window": f"{name}-always"})).status == 200
    assert await leased(api, carrier) == "waits"


async def test_a_used_window_is_not_deleted_until_nothing_uses_it(api: Api, name: str, kind: str) -> None:
    await put(api, name, hours(2, 5))
    await enqueued(api, kind, "first", window=name)
    assert (await api.post(f"/queue/{kind}/2/", {"window": name})).status == 200
    reply = await api.call("DELETE", f"/window/{name}/")
    assert (reply.status, reply.json["code"]) == (409, "window_used")
    assert reply.json["message"] == f"window: jobs or settings use {name} (uses: 2); nothing was dropped"
    assert (await api.call("DELETE", f"/job/{kind}/1/first/")).status == 200
    assert (await api.get(f"/window/{name}/")).json["uses"] == 1
    assert (await api.post(f"/queue/{kind}/2/", {"window": None})).status == 200
    assert (await api.call("DELETE", f"/window/{name}/")).json == {"status": "success"}
    assert (await api.get(f"/window/{name}/")).status == 404
    await put(api, name, ALWAYS)
    assert (await api.get(f"/window/{name}/")).json["uses"] == 0


async def test_a_queue_has_jobs_of_up_to_26_windows(api: Api, name: str, kind: str) -> None:
    for number in range(26):
        await put(api, f"{name}-{number}", ALWAYS)
        await enqueued(api, kind, f"j{number}", window=f"{name}-{number}")
    body = {"payload": 1, "job_id": "code", "ignore_window": True}
    reply = await api.post(f"/enqueue/{kind}/1/", body)
    assert (reply.status, reply.json["code"]) == (400, "invalid_request")
    assert reply.json["message"].startswith(
        "window: the queue has waiting or leased jobs of 26 other windows"
    )
    assert await leased(api, kind) == "j0"
    assert (await api.post(f"/finish/{kind}/1/j0/")).status == 200
    assert (await api.post(f"/enqueue/{kind}/1/", body)).status == 201


async def test_all_windows_are_listed_page_by_page(api: Api, name: str) -> None:
    names = {f"{name}-{number}" for number in range(12)}
    for each in names:
        await put(api, each, {**ALWAYS, "tz": "Asia/Kolkata"})
    found: list[Document] = []
    cursor: str | None = ""
    for page in itertools.count():
        assert page < 100
        reply = await api.get(f"/windows/?limit=5{f'&cursor={cursor}' if cursor else ''}")
        found += reply.json["windows"]
        cursor = reply.json["cursor"]
        if cursor is None:
            break
    own = [row for row in found if row["name"] in names]
    assert {row["name"] for row in own} == names
    assert len(own) == len(names), "each once"
    assert {row["tz"] for row in own} == {"Asia/Kolkata"}
    assert (await api.get("/windows/?cursor=x")).status == 400
