"""The golden requests and replies of the original surface (docs/compatibility.md)."""

from __future__ import annotations

import time
import uuid
from itertools import pairwise

import aiohttp
import pytest

from tests.support.http.contract import Api, Server
from tests.support.stores.server import KINDS
from tests.support.waits import until_answer

pytestmark = pytest.mark.parametrize("store", KINDS, indirect=True, scope="session")


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


async def test_the_greeting_is_the_original_s(api: Api) -> None:
    reply = await api.get("/")
    assert (reply.status, reply.json) == (200, {"message": "Hello, SharQ!"})


async def test_a_job_goes_in_comes_out_and_is_finished(api: Api, kind: str) -> None:
    job_id = "b81c07a7-5bba-4790-ab40-a061994088c1"
    body = b'{"job_id": "%b", "interval": 1000, "payload": {"message": "hello, world"}}' % job_id.encode()
    headers = {"Content-Type": "application/json"}
    queued = await api.call("POST", f"/enqueue/{kind}/1/", body, headers)
    assert (queued.status, queued.json) == (201, {"status": "queued"})

    leased = await api.call("GET", f"/dequeue/{kind}/", headers=headers)
    assert leased.status == 200
    original = ("status", "queue_id", "job_id", "payload", "requeues_remaining", "current_queue_length")
    assert {name: leased.json[name] for name in original} == {
        "status": "success",
        "queue_id": "1",
        "job_id": job_id,
        "payload": {"message": "hello, world"},
        "requeues_remaining": -1,
        "current_queue_length": 0,
    }
    finished = await api.post(f"/finish/{kind}/1/{job_id}/")
    assert (finished.status, finished.json) == (200, {"status": "success"})
    again = await api.post(f"/finish/{kind}/1/{job_id}/")
    assert (again.status, again.json["status"]) == (404, "failure")


async def test_an_empty_dequeue_is_a_plain_404(api: Api, kind: str) -> None:
    reply = await api.get(f"/dequeue/{kind}/")
    assert (reply.status, reply.json) == (404, {"status": "failure", "blocked_by": "empty"})
    assert reply.headers["Cache-Control"] == "no-store"


async def test_a_dequeue_without_a_type_asks_for_the_default_one(api: Api) -> None:
    job_id = uuid.uuid4().hex
    await api.enqueue("default", job_id, job_id=job_id)
    leased = await until_answer(
        lambda: api.get("/dequeue/"), lambda reply: reply.json.get("job_id") == job_id
    )
    assert leased.json["queue_id"] == job_id
    assert (await api.post(f"/finish/default/{job_id}/{job_id}/")).status == 200


@pytest.mark.parametrize("slash", ["", "/"])
async def test_paths_answer_with_and_without_the_trailing_slash(api: Api, kind: str, slash: str) -> None:
    body = {"job_id": "j", "interval": 0, "payload": 1}
    assert (await api.post(f"/enqueue/{kind}/1{slash}", body)).status == 201
    assert (await api.get(f"/dequeue/{kind}{slash}")).json["job_id"] == "j"
    assert (await api.post(f"/finish/{kind}/1/j{slash}")).status == 200
    assert (await api.post(f"/interval/{kind}/1{slash}", {"interval": 5})).status == 200
    assert (await api.get(f"/metrics/{kind}/1{slash}")).status == 200
    assert (await api.delete(f"/deletequeue/{kind}/1{slash}")).status == 200


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"]
)
async def test_the_content_type_is_not_looked_at(api: Api, kind: str, content_type: str) -> None:
    reply = await api.call(
        "POST", f"/enqueue/{kind}/1/", b'{"interval": 0, "payload": 1}', {"Content-Type": content_type}
    )
    assert reply.status == 201


@pytest.mark.parametrize(
    "payload",
    [
        None,
        True,
        0,
        -1.5e-7,
        12345678901234567890,
        "",
        'ä"\\\n\u2028😀',
        '"',
        [],
        {},
        [[], {"a": [None]}],
        "x" * 10_000,
    ],
    ids=lambda payload: repr(payload)[:20],
)
async def test_a_payload_of_any_kind_comes_back_equal(api: Api, kind: str, payload: object) -> None:
    await api.enqueue(kind, payload=payload)
    assert (await api.lease(kind))["payload"] == payload


async def test_a_queue_s_jobs_leave_in_order_and_say_how_many_are_left(api: Api, kind: str) -> None:
    for job_id in ("a", "b", "c"):
        await api.enqueue(kind, job_id=job_id)
    leased = [await api.lease(kind) for _ in range(3)]
    assert [(job["job_id"], job["current_queue_length"]) for job in leased] == [("a", 2), ("b", 1), ("c", 0)]


async def test_a_full_queue_refuses_and_says_its_length(api: Api, kind: str) -> None:
    for length in (0, 1):
        reply = await api.enqueue(kind, job_id=str(length), payload={"max_queued_length": 2})
        assert reply.json == {"status": "queued", "current_queue_length": length}
    full = await api.post(f"/enqueue/{kind}/1/", {"interval": 0, "payload": {"max_queued_length": 2}})
    assert full.status == 429
    assert full.json["status"] == "failure"
    assert full.json["message"] == "Max queue length reached"
    assert full.json["current_queue_length"] == 2


async def test_the_interval_spaces_the_jobs_of_a_queue(api: Api, kind: str) -> None:
    for job_id in ("a", "b"):
        await api.enqueue(kind, job_id=job_id, interval=300)
    first, second = await api.lease(kind), await api.lease(kind)
    begin_ms = [job["lease_expires_at"] for job in (first, second)]
    assert begin_ms[1] - begin_ms[0] >= 299  # each is cut to whole ms


async def test_a_changed_interval_holds_at_once(api: Api, kind: str) -> None:
    for job_id in ("a", "b"):
        await api.enqueue(kind, job_id=job_id, interval=3_600_000)
    assert (await api.lease(kind))["job_id"] == "a"
    assert (await api.get(f"/dequeue/{kind}/")).status == 404
    changed = await api.post(f"/interval/{kind}/1/", {"interval": 10})
    assert (changed.status, changed.json) == (200, {"status": "success"})
    assert (await api.lease(kind))["job_id"] == "b"


async def test_the_interval_of_an_unknown_queue_is_a_404(api: Api, kind: str) -> None:
    reply = await api.post(f"/interval/{kind}/1/", {"interval": 10})
    assert (reply.status, reply.json["status"]) == (404, "failure")


async def test_a_job_past_its_lease_comes_back_with_one_requeue_less(api: Api, kind: str) -> None:
    await api.enqueue(kind, job_id="a", requeue_limit=1)
    assert (await api.lease(kind, "&lease=100"))["requeues_remaining"] == 1
    assert (await api.lease(kind, "&lease=60000"))["requeues_remaining"] == 0


async def test_metrics_show_types_queues_and_the_last_ten_minutes(api: Api, kind: str) -> None:
    for job_id in ("a", "b"):
        await api.enqueue(kind, job_id=job_id)
    await api.lease(kind)

    everything = (await api.get("/metrics/")).json
    assert kind in everything["queue_types"]
    for counts in (everything["enqueue_counts"], everything["dequeue_counts"]):
        minutes_ms = [int(minute) for minute in counts]
        assert [later - earlier for earlier, later in pairwise(minutes_ms)] == [60_000] * 9
        assert abs(minutes_ms[-1] - time.time() * 1000) < 120_000
    assert (await api.get(f"/metrics/{kind}/")).json == {"status": "success", "queue_ids": ["1"]}

    queue = (await api.get(f"/metrics/{kind}/1/")).json
    assert queue["queue_length"] == 1
    assert (sum(queue["enqueue_counts"].values()), sum(queue["dequeue_counts"].values())) == (2, 1)
    assert len(queue["enqueue_counts"]) == len(queue["dequeue_counts"]) == 10


async def test_metrics_of_an_unknown_queue_are_zeros_and_create_nothing(api: Api, kind: str) -> None:
    unknown = (await api.get(f"/metrics/{kind}/1/")).json
    assert unknown["queue_length"] == 0
    assert set(unknown["enqueue_counts"].values()) == set(unknown["dequeue_counts"].values()) == {0}
    assert (await api.get(f"/metrics/{kind}/")).json == {"status": "success", "queue_ids": []}
    assert kind not in (await api.get("/metrics/")).json["queue_types"]


async def test_the_queues_of_a_type_can_be_paged(api: Api, kind: str) -> None:
    ids = {f"q{number}" for number in range(40)}
    for queue_id in ids:
        await api.enqueue(kind, queue_id)
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await api.get(f"/metrics/{kind}/?limit=7{cursor}")).json
        seen += page["queue_ids"]
        assert len(seen) <= len(ids)
        if "cursor" not in page:
            break
        cursor = f"&cursor={page['cursor']}"
    assert sorted(seen) == sorted(ids)


async def test_a_deleted_queue_says_so_in_the_original_s_words(api: Api, kind: str) -> None:
    nothing = {"status": "Failure", "message": "No queued calls found"}
    assert (await api.delete(f"/deletequeue/{kind}/1/")).json == nothing
    await api.enqueue(kind)
    deleted = await api.delete(f"/deletequeue/{kind}/1/")
    assert deleted.status == 200
    assert deleted.json == {"status": "Success", "message": "Successfully removed all queued calls"}
    await api.enqueue(kind)
    purged = await api.delete(f"/deletequeue/{kind}/1/", {"purge_all": True})
    assert purged.json == {
        "status": "Success",
        "message": "Successfully removed all queued calls and purged related resources",
    }
    assert (await api.delete(f"/deletequeue/{kind}/1/", {})).json == nothing
    assert (await api.get(f"/dequeue/{kind}/")).status == 404


async def test_deepstatus_says_that_the_store_answers(api: Api) -> None:
    reply = await api.get("/deepstatus/")
    assert (reply.status, reply.json) == (200, {"status": "success"})


@pytest.mark.parametrize("name", ["active", "queue_type", "payload", "interval", "ready", "time"])
async def test_names_of_the_original_s_structures_are_names_like_any_other(
    api: Api, kind: str, name: str
) -> None:
    await api.enqueue(kind, name, job_id=name)
    assert (await api.lease(kind))["queue_id"] == name
    assert (await api.post(f"/finish/{kind}/{name}/{name}/")).status == 200
