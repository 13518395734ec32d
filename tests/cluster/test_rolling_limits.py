"""A cluster that is being upgraded: newer fields and calls are refused by name until every member can handle them."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from router.shards.upgrade import CAMPAIGNS, CAPS, IDENTIFIERS, LIFE, LIMITS
from shard.store_factory import make_store
from sharq_core.config import parse_url
from sharq_core.link.messages import Member
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import MembershipCalls
from tests.support.http.contract import Api, Reply
from tests.support.ports import free_port
from tests.support.processes.servers import PATIENT, SharqCluster
from tests.support.stores.server import StoreServer, running_store

BEAT_S = 0.3
TTL_US = 5_000_000
DEADLINE_S = 30.0
PARTITIONS = 64
PREFIX = f"rolling-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def server() -> Iterator[StoreServer]:
    with running_store("valkey") as server:
        yield server


@pytest.fixture(scope="module")
def cluster(server: StoreServer) -> Iterator[SharqCluster]:
    """One router and two shards of this version."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        environ = {"SHARQ_REDIS_KEY_PREFIX": PREFIX, **PATIENT}
        cluster = SharqCluster(Path(directory), parse_url(server.url), environ, routers=1, shards=2)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.end()


@pytest.fixture
async def api(cluster: SharqCluster) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as http:
        yield await Api.open(cluster.urls[0], http)


@asynccontextmanager
async def older_shard(server: StoreServer, formats: int) -> AsyncIterator[None]:
    """A shard of an older format is a member; it drains, so it owns nothing and is asked nothing."""
    member = Member("older", "1", f"127.0.0.1:{free_port()}", is_draining=True, formats=formats)
    keys = Keys(PREFIX, PARTITIONS)
    store = make_store(parse_url(server.url), timeout_s=2.0)
    await store.open()
    executor, calls = Executor(store, keys), MembershipCalls(keys)

    async def stay() -> None:
        while True:
            await executor.one(calls.heartbeat(member, TTL_US))
            await asyncio.sleep(BEAT_S)

    staying = asyncio.create_task(stay())
    try:
        yield
    finally:
        staying.cancel()
        await asyncio.wait([staying])
        await executor.one(calls.leave(member.node_id, member.incarnation))
        await store.close()


async def until_status(api: Api, path: str, body: object, status: int) -> Reply:
    """Send a request until it is answered with a status."""
    deadline_s = time.monotonic() + DEADLINE_S
    while (reply := await api.post(path, body)).status != status:
        assert time.monotonic() < deadline_s, reply.json
        await asyncio.sleep(0.05)
    return reply


async def test_limits_are_refused_by_name_while_an_older_shard_is_a_member(
    api: Api, server: StoreServer
) -> None:
    job = {"interval": 1000, "payload": 1}
    async with older_shard(server, LIMITS - 1):
        path = "/enqueue/sms/1/"
        refusal = await until_status(api, "/enqueue/probe/1/", {**job, "job_id": "costly", "cost": 2}, 503)
        assert refusal.json["message"].startswith("cost: ")
        assert (await api.post(path, {**job, "job_id": "plain"})).status == 201
        refused = (
            (path, {**job, "max_leased": 1}, "max_leased"),
            (path, {**job, "burst": 1.1}, "burst"),
            ("/enqueue/sms~a/1/", job, "queue_type"),
            ("/finish/sms/1/plain/", {"lease": "x", "hold": 5}, "hold"),
            ("/release/sms/1/plain/", {"lease": "x", "count": False}, "count"),
            ("/queue/sms/1/", {"max_leased": 3}, "this call"),
            ("/queue/sms/1/pause/", {"for": 1000}, "this call"),
            ("/type/sms/pause/", None, "this call"),
            ("/pause/", None, "this call"),
            ("/type/sms~a/", {"rate": "40/s"}, "this call"),
        )
        for refused_path, body, name in refused:
            reply = await api.post(refused_path, body)
            assert (reply.status, reply.json["code"]) == (503, "unavailable"), refused_path
            assert reply.json["message"].startswith(name), reply.json
        for method in ("GET", "DELETE"):
            assert (await api.call(method, "/type/sms~a/")).status == 503
        assert (await api.get("/dequeue/?type=sms~a&type=unknown")).json == {"status": "failure"}
        entries = [
            {"queue_type": "sms", "queue_id": "1", "payload": 1, "cost": cost, "job_id": str(cost)}
            for cost in (1, 2)
        ]
        results = (await api.post("/enqueue/", {"jobs": entries})).json["results"]
        assert [result["status"] for result in results] == ["queued", "failure"]
        state = (await api.get("/queue/sms/1/")).json
        assert (state["queued"], state["interval"], state["paused"]) == (2, 1000, False)
        assert (await api.get("/dequeue/unknown/")).json == {"status": "failure"}
        assert (await api.get("/dequeue/sms/")).json["job_id"] == "plain"
    assert (await until_status(api, path, {**job, "job_id": "costly", "cost": 2}, 201)).status == 201
    assert (await api.get("/dequeue/unknown/")).json == {"status": "failure", "blocked_by": "empty"}
    assert (await api.post("/queue/sms/1/", {"max_leased": 3})).json["max_leased"] == 3
    assert (await api.get("/type/sms~a/")).json["queues"] == 0
    assert (await api.post("/enqueue/sms~a/1/", job)).status == 201
    assert (await api.post("/type/sms~a/", {"rate": "40/s"})).json["queued"] == 1


async def test_the_life_of_a_job_is_refused_by_name_while_an_older_shard_is_a_member(
    api: Api, server: StoreServer
) -> None:
    new = {"interval": 0, "payload": 1}
    urgent = {**new, "job_id": "urgent", "priority": 1}
    enqueue, leased = "/enqueue/letters/1/", "/release/letters/1/plain/"
    async with older_shard(server, LIFE - 1):
        refusal = await until_status(api, "/enqueue/probe/2/", urgent, 503)
        assert refusal.json["message"].startswith("priority: ")
        assert (await api.post(enqueue, {**new, "job_id": "plain", "cost": 2})).status == 201
        lease = (await api.lease("letters"))["lease"]
        refused: tuple[tuple[str, str, object, str], ...] = (
            ("POST", enqueue, {**new, "at": 1}, "at"),
            ("POST", enqueue, {**new, "expires": 1000}, "expires"),
            ("POST", enqueue, {**new, "expires_at": 2_000_000_000_000}, "expires_at"),
            ("POST", enqueue, {**new, "on_expiry": "drop"}, "on_expiry"),
            ("POST", enqueue, {**new, "retry": {"delay": 1}}, "retry"),
            ("POST", leased, {"lease": lease, "error": "busy"}, "error"),
            ("POST", "/queue/letters/1/", {"max_leased": 3, "retry": {"delay": 1}}, "retry"),
            ("POST", "/queue/letters/1/", {"expires": None}, "expires"),
            ("POST", "/type/letters~a/", {"on_expiry": "dead"}, "on_expiry"),
            ("GET", "/dead/letters/?queue_id=1", None, "queue_id"),
            ("GET", "/queue/letters/1/jobs/", None, "this call"),
            ("POST", "/queue/letters/1/cancel/", {"prefix": ""}, "this call"),
            ("PATCH", "/job/letters/1/plain/", {"priority": 1}, "this call"),
            ("DELETE", "/job/letters/1/plain/?force=true", None, "this call"),
            ("DELETE", "/dead/letters/1/plain/", None, "this call"),
        )
        for method, path, body, name in refused:
            reply = await api.call(method, path, body)
            assert (reply.status, reply.json["code"]) == (503, "unavailable"), path
            assert reply.json["message"].startswith(f"{name}: "), reply.json
        entry = {"queue_type": "letters", "queue_id": "1", "job_id": "plain"}
        (result,) = (await api.post("/cancel/", {"jobs": [entry]})).json["results"]
        assert result["code"] == "unavailable"
        entries = [
            {**entry, **new, "job_id": name, "priority": n} for n, name in ((5, "usual"), (1, "urgent"))
        ]
        results = (await api.post("/enqueue/", {"jobs": entries})).json["results"]
        assert [result["status"] for result in results] == ["queued", "failure"]
        status = (await api.get("/job/letters/1/plain/")).json
        assert (status["state"], "priority" in status) == ("leased", False)
        assert (await api.post(leased, {"lease": lease})).status == 200
        assert (await api.post("/queue/letters/1/", {"max_leased": 3})).json["max_leased"] == 3
        assert (await api.delete("/type/letters~a/")).status == 200
        assert (await api.get("/dead/letters/")).json["jobs"] == []
    assert (await until_status(api, enqueue, urgent, 201)).status == 201
    jobs = (await api.get("/queue/letters/1/jobs/")).json["jobs"]
    assert [job["job_id"] for job in jobs] == ["urgent", "plain", "usual"]
    assert (await api.get("/job/letters/1/urgent/")).json["priority"] == 1
    assert (await api.lease("letters"))["priority"] == 1


async def test_ids_with_colons_and_slashes_are_refused_by_name_while_an_older_shard_is_a_member(
    api: Api, server: StoreServer
) -> None:
    new = {"interval": 0, "payload": 1}
    enqueue = "/enqueue/ids/tenant:42/"
    every = {"every": 1000, "job": {"queue_type": "ids", "queue_id": "a:b", **new}}
    async with older_shard(server, IDENTIFIERS - 1):
        refusal = await until_status(api, "/enqueue/probe/a:b/", {**new, "job_id": "probe"}, 503)
        assert refusal.json["message"].startswith("queue_id: ")
        refused: tuple[tuple[str, str, object, str], ...] = (
            ("POST", "/enqueue/ids/a%2Fb/", new, "queue_id"),
            ("POST", "/enqueue/ids/1/", {**new, "job_id": "a:b"}, "job_id"),
            ("POST", "/enqueue/ids/1/", {**new, "batch": "a/b"}, "batch"),
            ("POST", "/finish/ids/a:b/1/", {"lease": "x"}, "queue_id"),
            ("GET", "/job/ids/1/a%2Fb/", None, "job_id"),
            ("GET", "/queue/ids/a:b/", None, "queue_id"),
            ("POST", "/queue/ids/a:b/pause/", None, "queue_id"),
            ("GET", "/queue/ids/1/jobs/?prefix=a:", None, "prefix"),
            ("GET", "/dead/ids/?queue_id=a:b", None, "queue_id"),
            ("DELETE", "/deletequeue/ids/a:b/", None, "queue_id"),
            ("PUT", "/schedule/ids/", every, "queue_id"),
            ("GET", "/batch/ids/a:b/", None, "batch"),
        )
        for method, path, body, name in refused:
            reply = await api.call(method, path, body)
            assert (reply.status, reply.json["code"]) == (503, "unavailable"), path
            assert reply.json["message"].startswith(f"{name}: "), reply.json
        assert (await api.get("/schedule/ids/")).status == 404
        entries = [{"queue_type": "ids", "queue_id": queue_id, **new} for queue_id in ("plain", "a:b")]
        results = (await api.post("/enqueue/", {"jobs": entries})).json["results"]
        assert [result["status"] for result in results] == ["queued", "failure"]
        assert (await api.get("/metrics/ids/")).json["queue_ids"] == ["plain"]
    assert (await until_status(api, enqueue, {**new, "job_id": "a:b"}, 201)).status == 201
    assert {(await api.lease("ids"))["queue_id"] for _ in range(2)} == {"plain", "tenant:42"}


async def test_named_caps_are_refused_by_name_while_an_older_shard_is_a_member(
    api: Api, server: StoreServer
) -> None:
    new = {"interval": 0, "payload": 1}
    capped = {**new, "job_id": "capped", "caps": ["acct"]}
    enqueue, hold = "/enqueue/caps/1/", {"name": "acct", "ms": 60_000}
    async with older_shard(server, CAPS - 1):
        refusal = await until_status(api, "/enqueue/probe/3/", capped, 503)
        assert refusal.json["message"].startswith("caps: ")
        assert (await api.post(enqueue, {**new, "job_id": "plain"})).status == 201
        lease = (await api.lease("caps"))["lease"]
        refused: tuple[tuple[str, str, object, str], ...] = (
            ("POST", "/queue/caps/1/", {"caps": ["acct"]}, "caps"),
            ("POST", "/finish/caps/1/plain/", {"lease": lease, "hold_cap": hold}, "hold_cap"),
            ("POST", "/release/caps/1/plain/", {"lease": lease, "hold_cap": hold}, "hold_cap"),
            ("PUT", "/cap/acct/", {"rate": "1/min"}, "this call"),
            ("GET", "/cap/acct/", None, "this call"),
            ("DELETE", "/cap/acct/", None, "this call"),
            ("GET", "/caps/", None, "this call"),
            ("POST", "/cap/acct/hold/", {"for": 1000}, "this call"),
        )
        for method, path, body, name in refused:
            reply = await api.call(method, path, body)
            assert (reply.status, reply.json["code"]) == (503, "unavailable"), path
            assert reply.json["message"].startswith(f"{name}: "), reply.json
        assert (await api.post("/finish/caps/1/plain/", {"lease": lease})).status == 200
    assert (await until_status(api, enqueue, capped, 201)).status == 201
    assert (await api.get("/dequeue/caps/")).json["blocked_by"] == "cap:acct", "there is no such cap"
    assert (await api.call("PUT", "/cap/acct/", {"rate": "1000/s"})).status == 200
    assert (await api.get("/dequeue/caps/?wait=20000")).json["job_id"] == "capped"


async def test_a_trace_is_never_refused_while_an_older_shard_is_a_member(
    api: Api, server: StoreServer
) -> None:
    """An older shard drops the trace of a job in silence; a newer one keeps it all the same."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = {"interval": 0, "payload": 1, "job_id": "traced"}
    async with older_shard(server, CAMPAIGNS - 1):
        await until_status(api, "/enqueue/probe/2/", {**job, "window": "w"}, 503)
        assert (await api.post("/enqueue/traced/1/", {**job, "traceparent": parent})).status == 201
        entry = {**job, "queue_type": "traced", "queue_id": "2", "traceparent": parent}
        assert (await api.post("/enqueue/", {"jobs": [entry]})).json["failed"] == 0
        assert (await api.get("/job/traced/1/traced/")).json["traceparent"] == parent
        for _ in range(2):
            assert (await api.get("/dequeue/traced/")).json["traceparent"] == parent


async def test_one_shard_has_all_queues_of_a_gathered_type(api: Api) -> None:
    """The limit holds over queues that a plain type would spread over the partitions of both shards."""
    for carrier in ("sms~x", "sms~y", "sms~z"):
        assert (await api.post(f"/type/{carrier}/", {"rate": "20/s"})).status == 200
        for number in range(10):
            await api.enqueue(carrier, f"q{number}")
        begun = [(await api.lease(carrier))["lease_expires_at"] for _ in range(10)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
        assert min(gaps) >= 49, gaps


async def test_one_dequeue_serves_types_of_every_shard_and_is_woken_by_any(api: Api) -> None:
    kinds = [f"many~{number}" for number in range(8)]
    path = "/dequeue/?" + "&".join(f"type={kind}" for kind in kinds)
    for kind in kinds:
        await api.enqueue(kind)
    jobs = (await api.post(f"{path}&count=100")).json["jobs"]
    assert sorted(job["queue_type"] for job in jobs) == kinds
    for kind in kinds:
        waiting = asyncio.create_task(api.post(f"{path}&wait=20000"))
        await asyncio.sleep(0.1)
        await api.enqueue(kind)
        assert (await waiting).json["queue_type"] == kind


async def test_pauses_and_lists_reach_the_partitions_of_every_shard(api: Api) -> None:
    for number in range(40):
        await api.enqueue("push", f"q{number}")
    assert (await api.post("/type/push/pause/")).status == 200
    for _ in range(20):
        reply = await api.get("/dequeue/push/")
        assert (reply.status, reply.json["blocked_by"]) == (404, "type_paused")
    page = (await api.get("/queues/push/?limit=1000")).json
    assert {row["blocked_by"] for row in page["queues"]} == {"type_paused"}
    assert len(page["queues"]) == 40
    (row,) = [row for row in (await api.get("/types/")).json["types"] if row["queue_type"] == "push"]
    assert (row["queued"], row["blocked_by"]) == (40, "type_paused")
    assert (await api.post("/type/push/resume/")).status == 200
    leased = {(await api.lease("push"))["queue_id"] for _ in range(40)}
    assert len(leased) == 40


async def test_the_queue_that_comes_first_over_all_shards_explains_an_empty_answer(api: Api) -> None:
    for number in range(20):
        for job_id in ("a", "b"):
            await api.enqueue("mail", f"q{number}", interval=60_000 + 1000 * number, job_id=job_id)
    for _ in range(20):
        await api.lease("mail")
    found = (await api.get("/dequeue/mail/")).json
    assert found["blocked_by"] == "rate"
    assert 40_000 < found["next_ready_in"] <= 60_000
