"""Named caps over HTTP: their definitions, the queues that share one, holds, and what waits for a cap."""

from __future__ import annotations

import time
import uuid

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server

FREE: Document = {"interval": 0}
"""A queue without a rate of its own."""


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


@pytest.fixture
def name() -> str:
    """A cap of this test alone."""
    return f"c-{uuid.uuid4().hex[:12]}"


async def put(api: Api, name: str, **cap: object) -> Document:
    reply = await api.call("PUT", f"/cap/{name}/", cap)
    assert reply.status == 200, reply.json
    return dict(reply.json)


async def shown(api: Api, name: str) -> Document:
    return dict((await api.get(f"/cap/{name}/")).json)


async def enqueued(api: Api, kind: str, queue: str, jobs: int = 1, **fields: object) -> None:
    for _ in range(jobs):
        reply = await api.post(f"/enqueue/{kind}/{queue}/", {"payload": 1, **FREE, **fields})
        assert reply.status == 201, reply.json


async def leased(api: Api, kind: str, wait_ms: int = 0) -> Document | None:
    """Return the next job; None if none comes."""
    reply = await api.post(f"/dequeue/{kind}/?wait={wait_ms}")
    return dict(reply.json) if reply.status == 200 else None


async def queue_of(api: Api, kind: str, queue: str = "q") -> Document:
    return dict((await api.get(f"/queue/{kind}/{queue}/")).json)


async def test_a_cap_is_shown_as_it_was_defined_with_its_state(api: Api, name: str) -> None:
    limits = [{"rate": "40/s", "burst": 2}, {"interval": 1, "unit": "cost", "burst": 1.5}]
    answer = await put(api, name, limits=limits, max_leased=7)
    defined = [
        {"interval": 25, "rate": "40/s", "burst": 2, "unit": "job"},
        {"interval": 1, "rate": "1000/s", "burst": 1.5, "unit": "cost"},
    ]
    assert "1000/s is not delivered in full" in answer.pop("warning")
    state = {
        "status": "success",
        "name": name,
        "limits": defined,
        "max_leased": 7,
        "held_until": None,
        "leased": 0,
        "next_slot_in": 0,
        "slots_used": 0,
        "blocked_by": None,
    }
    assert answer == state
    assert await shown(api, name) == {**state, "queues": 0, "queued": 0}


async def test_a_definition_replaces_the_whole_one_before_it(api: Api, name: str) -> None:
    await put(api, name, rate="40/s", max_leased=7, hold=60_000)
    answer = await put(api, name, rate="90/min")
    assert [limit["rate"] for limit in answer["limits"]] == ["90/min"]
    assert answer["max_leased"] is None and answer["leased"] is None
    assert answer["blocked_by"] == "hold" and answer["held_until"] > 0
    ended = await put(api, name, hold=None)
    assert (ended["limits"], ended["held_until"], ended["blocked_by"]) == ([], None, None)


async def test_all_caps_are_listed_page_by_page(api: Api, name: str) -> None:
    names = {f"{name}-{number}" for number in range(5)}
    for each in names:
        await put(api, each, rate="1/s")
    found: list[str] = []
    query = ""
    while True:
        reply = await api.get(f"/caps/?limit=2{query}")
        assert reply.status == 200
        found += [cap["name"] for cap in reply.json["caps"] if cap["name"] in names]
        if reply.json["cursor"] is None:
            break
        query = f"&cursor={reply.json['cursor']}"
    assert set(found) == names


async def test_queues_of_several_types_share_the_rate_of_a_cap(api: Api, name: str, kind: str) -> None:
    """The rate of the cap, and not the sum of what each type could do."""
    await put(api, name, rate="20/s")
    for part in ("sms", "voice"):
        await enqueued(api, f"{kind}.{part}", "q", 5, caps=[name])
    began = time.monotonic()
    for part in ("sms", "voice") * 4:
        assert await leased(api, f"{kind}.{part}", 30_000) is not None
    assert time.monotonic() - began >= 7 * 0.05 - 0.01


async def test_caps_of_an_enqueue_are_those_of_the_queue_until_another_one(
    api: Api, name: str, kind: str
) -> None:
    await enqueued(api, kind, "q", caps=["brand3", "acct17", "acct17"])
    assert (await queue_of(api, kind))["caps"] == ["acct17", "brand3"]
    await enqueued(api, kind, "q")
    assert (await queue_of(api, kind))["caps"] == ["acct17", "brand3"]
    await enqueued(api, kind, "q", caps=[])
    assert (await queue_of(api, kind))["caps"] == []


async def test_caps_of_the_settings_win_over_those_of_enqueues(api: Api, name: str, kind: str) -> None:
    reply = await api.post(f"/queue/{kind}/q/", {"caps": [name]})
    assert (reply.json["caps"], reply.json["settings"]) == ([name], ["caps"])
    await enqueued(api, kind, "q", caps=["brand3"])
    assert (await queue_of(api, kind))["caps"] == [name]
    reply = await api.post(f"/queue/{kind}/q/", {"caps": []})
    assert (reply.json["caps"], reply.json["settings"]) == ([], [])


async def test_an_unknown_cap_stops_its_queues_until_it_is_defined(api: Api, name: str, kind: str) -> None:
    await put(api, f"{name}.known", rate="1000/s")
    await enqueued(api, kind, "q", caps=[f"{name}.known", name])
    reply = await api.post(f"/dequeue/{kind}/")
    assert (reply.status, reply.json) == (404, {"status": "failure", "blocked_by": f"cap:{name}"})
    queue = await queue_of(api, kind)
    assert (queue["blocked_by"], queue["next_ready_in"]) == (f"cap:{name}", None)
    (row,) = (await api.get(f"/queues/{kind}/")).json["queues"]
    assert (row["caps"], row["blocked_by"]) == ([name, f"{name}.known"], f"cap:{name}")
    await put(api, name, rate="1000/s")
    assert await leased(api, kind, 30_000) is not None


async def test_of_several_caps_the_one_with_the_latest_slot_is_the_reason(
    api: Api, name: str, kind: str
) -> None:
    await put(api, f"{name}.a", hold=60_000)
    await put(api, f"{name}.b", hold=3_600_000)
    await enqueued(api, kind, "q", caps=[f"{name}.a", f"{name}.b"])
    queue = await queue_of(api, kind)
    assert queue["blocked_by"] == f"cap:{name}.b"
    assert 3_590_000 < queue["next_ready_in"] <= 3_600_000
    reply = await api.post(f"/dequeue/{kind}/")
    assert reply.json["blocked_by"] == f"cap:{name}.b"


async def test_a_hold_stops_all_queues_of_a_cap_until_it_ends(api: Api, name: str, kind: str) -> None:
    await put(api, name)
    assert (await api.post(f"/cap/{name}/hold/", {"for": 3_600_000})).status == 200
    await enqueued(api, kind, "q", caps=[name])
    assert await leased(api, kind) is None
    state = await shown(api, name)
    assert (state["blocked_by"], state["queues"], state["queued"]) == ("hold", 1, 1)
    await put(api, name, hold=None)
    assert await leased(api, kind, 30_000) is not None
    assert (await api.post("/cap/no-such/hold/", {"for": 1})).status == 404


@pytest.mark.parametrize("verb", ["finish", "release"])
async def test_a_worker_holds_a_cap_when_it_reports(api: Api, name: str, kind: str, verb: str) -> None:
    await put(api, name)
    await enqueued(api, kind, "q", 2, caps=[name])
    job = await leased(api, kind, 30_000)
    assert job is not None
    hold = {"name": name, "ms": 3_600_000}
    path = f"/{verb}/{kind}/q/{job['job_id']}/"
    refused = await api.post(path, {"lease": "0" * 32, "hold_cap": hold})
    assert refused.status == 409
    assert (await shown(api, name))["held_until"] is None
    assert (await api.post(path, {"lease": job["lease"], "hold_cap": hold})).status == 200
    assert (await shown(api, name))["blocked_by"] == "hold"
    assert await leased(api, kind) is None


async def test_a_bulk_report_holds_caps_too(api: Api, name: str, kind: str) -> None:
    await put(api, name)
    await enqueued(api, kind, "q", 1, caps=[name])
    job = await leased(api, kind, 30_000)
    assert job is not None
    entry = {"queue_type": kind, "queue_id": "q", "job_id": job["job_id"], "lease": job["lease"]}
    reply = await api.post("/finish/", {"jobs": [{**entry, "hold_cap": {"name": name, "ms": 60_000}}]})
    assert reply.json["failed"] == 0
    assert (await shown(api, name))["blocked_by"] == "hold"


async def test_hold_of_an_unknown_cap_does_not_fail_the_report(api: Api, name: str, kind: str) -> None:
    await enqueued(api, kind, "q")
    job = await leased(api, kind)
    assert job is not None
    body = {"lease": job["lease"], "hold_cap": {"name": name, "ms": 60_000}}
    assert (await api.post(f"/finish/{kind}/q/{job['job_id']}/", body)).status == 200
    assert (await api.get(f"/cap/{name}/")).status == 404


async def test_deleting_a_cap_says_how_many_queues_stand_still(api: Api, name: str, kind: str) -> None:
    await put(api, name, rate="1000/s")
    for queue in ("a", "b"):
        await enqueued(api, kind, queue, caps=[name])
    reply = await api.call("DELETE", f"/cap/{name}/", {})
    assert (reply.status, reply.json) == (200, {"status": "success", "queues": 2})
    assert await leased(api, kind) is None
    assert (await api.post(f"/dequeue/{kind}/")).json["blocked_by"] == f"cap:{name}"
    assert (await api.call("DELETE", f"/cap/{name}/", {})).status == 404
    assert (await api.get(f"/cap/{name}/")).status == 404
    assert (await api.get("/caps/?limit=10000")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("PUT", "/cap/a~b/", {}, "cap: expected 1 to 64 characters"),
        ("PUT", f"/cap/{'a' * 65}/", {}, "cap: expected 1 to 64 characters"),
        ("PUT", "/cap/a/", {"rate": "fast"}, "rate: expected a rate over 0"),
        ("PUT", "/cap/a/", {"limits": [{"rate": "1/s"}, {}]}, "limits[1].rate: required"),
        ("PUT", "/cap/a/", {"window": "night"}, "window: unknown"),
        ("POST", "/cap/a/hold/", {}, "for: required"),
        ("POST", "/enqueue/t/q/", {"payload": 1, "caps": ["a", "b", "c", "d"]}, "caps: expected a list"),
        ("POST", "/enqueue/t/q/", {"payload": 1, "caps": ["a~b"]}, "caps[0]: expected a string"),
        ("POST", "/queue/t/q/", {"caps": "a"}, "caps: expected a list"),
        ("POST", "/finish/t/q/j/", {"hold_cap": {"name": "a"}}, "hold_cap.ms: required"),
    ],
)
async def test_bad_input_names_the_field(
    api: Api, method: str, path: str, body: Document, message: str
) -> None:
    reply = await api.call(method, path, body)
    assert (reply.status, reply.json["code"]) == (400, "invalid_request")
    assert reply.json["message"].startswith(message)
