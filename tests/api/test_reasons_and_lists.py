"""Why nothing comes, and the lists of queues and types with their numbers, over HTTP."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from router.access.token_file import new_token
from shard.index.type_list import MAX_EXPLAINED
from sharq_client import AsyncClient
from tests.support.http.contract import Api, Document, Server
from tests.support.processes.servers import PATIENT, ServerFactory
from tests.support.stores.server import StoreServer


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


async def listed_reason(api: Api, queue_type: str) -> object:
    """Return why a type gives nothing, as the list of types says."""
    types = (await api.get("/types/?limit=10000")).json["types"]
    (found,) = [row["blocked_by"] for row in types if row["queue_type"] == queue_type]
    return found


async def test_a_list_tells_the_reason_of_each_of_many_types(
    own_server: ServerFactory, tmp_path: Path
) -> None:
    """The counts of a type with a held queue say `rate`."""
    names = [f"t{n:04}" for n in range(MAX_EXPLAINED + 100)]
    (every, every_line), (few, few_line) = new_token("every"), new_token("few")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{every_line}\n{few_line} types=t1*,t209*\n")
    url = own_server(
        environ={"SHARQ_CLUSTER_PARTITIONS": "1", "SHARQ_AUTH_TOKENS_FILE": str(tokens), **PATIENT}
    ).url
    async with AsyncClient(url, token=every) as client, AsyncClient(url, token=few) as narrow:
        jobs = ({"queue_type": name, "queue_id": "q", "payload": 1, "interval": 0} for name in names)
        assert (await client.enqueue_many(jobs)).queued == len(names)
        for at in range(0, len(names), 100):
            await asyncio.gather(
                *(client.control.hold(name, "q", for_ms=600_000) for name in names[at : at + 100])
            )
        found = {row.queue_type: row.blocked_by async for row in client.control.types(page=10_000)}
        assert found == dict.fromkeys(names, "hold")
        its = [name for name in names if name.startswith(("t1", "t209"))]
        for page in (10_000, len(its) - 1):
            found = {row.queue_type: row.blocked_by async for row in narrow.control.types(page=page)}
            assert found == dict.fromkeys(its, "hold")


class TestWhyNothingComes:
    async def test_each_reason_is_told(self, api: Api, kind: str) -> None:
        assert await api.nothing(kind) == {"blocked_by": "empty"}
        await api.enqueue(kind, job_id="a", interval=60_000, delay=30_000)
        found = await api.nothing(kind)
        assert found["blocked_by"] == "delayed"
        assert 25_000 < found["next_ready_in"] <= 30_000
        await api.post(f"/enqueue/{kind}/1/", {"job_id": "b", "payload": None})
        await api.lease(kind)
        await api.post(f"/enqueue/{kind}/1/", {"job_id": "c", "payload": None})
        found = await api.nothing(kind)
        assert found["blocked_by"] == "rate"
        assert 50_000 < found["next_ready_in"] <= 60_000
        await api.post(f"/queue/{kind}/1/pause/")
        assert (await api.nothing(kind))["blocked_by"] in {"paused", "delayed"}
        assert (await api.queue(kind))["blocked_by"] == "paused"

    async def test_the_list_of_types_tells_the_same(self, api: Api, kind: str) -> None:
        for change in ("pause", "hold", "max_leased"):
            queue_type = f"{kind}-{change}"
            for job_id in ("a", "b"):
                await api.enqueue(queue_type, job_id=job_id)
            job = await api.lease(queue_type)
            if change == "max_leased":
                await api.post(f"/queue/{queue_type}/1/", {"max_leased": 1})
            else:
                await api.post(f"/queue/{queue_type}/1/pause/", {"for": 60_000} if change == "hold" else {})
            reason = (await api.queue(queue_type))["blocked_by"]
            assert reason is not None
            assert await listed_reason(api, queue_type) == reason
            await api.nothing(queue_type)
            assert await listed_reason(api, queue_type) == reason
            await api.post(f"/finish/{queue_type}/1/a/", {"lease": job["lease"]})
            await api.post(f"/queue/{queue_type}/1/resume/")
            assert await listed_reason(api, queue_type) is None

    async def test_the_queue_that_comes_first_is_told(self, api: Api, kind: str) -> None:
        for queue_id, interval in (("slow", 90_000), ("fast", 45_000), ("slower", 99_000)):
            for job_id in ("a", "b"):
                await api.enqueue(kind, queue_id, job_id=job_id, interval=interval)
        await api.post(f"/dequeue/{kind}/?count=3")
        found = await api.nothing(kind)
        assert found["blocked_by"] == "rate"
        assert 40_000 < found["next_ready_in"] <= 45_000

    async def test_a_long_poll_that_ends_in_vain_is_told_the_reason(self, api: Api, kind: str) -> None:
        await api.enqueue(kind)
        await api.post(f"/queue/{kind}/1/pause/")
        reply = await api.get(f"/dequeue/{kind}/?wait=50&count=5")
        assert (reply.status, reply.json["blocked_by"]) == (404, "paused")

    async def test_a_reason_is_forgotten_with_any_call_about_the_type(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", delay=60_000)
        assert (await api.nothing(kind))["blocked_by"] == "delayed"
        await api.post(f"/enqueue/{kind}/1/", {"job_id": "b", "payload": None, "delay": 20_000})
        assert (await api.nothing(kind))["next_ready_in"] <= 20_000
        await api.delete(f"/deletequeue/{kind}/1/")
        assert await api.nothing(kind) == {"blocked_by": "empty"}


class TestLists:
    async def test_queues_are_listed_with_their_numbers_page_by_page(self, api: Api, kind: str) -> None:
        for queue_id in ("a", "b", "c", "d", "e"):
            fields = {"rate": "2/s", "burst": 1.5, "max_leased": 4, "payload": None}
            assert (await api.post(f"/enqueue/{kind}/{queue_id}/", fields)).status == 201
        await api.lease(kind)
        rows: list[Document] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await api.get(f"/queues/{kind}/?limit=2" + (f"&cursor={cursor}" if cursor else ""))).json
            rows += page["queues"]
            cursor = page["cursor"]
        assert sorted(row["queue_id"] for row in rows) == ["a", "b", "c", "d", "e"]
        assert sum(row["leased"] for row in rows) == 1
        (waiting, *_) = (row for row in rows if row["queued"])
        assert waiting.pop("oldest_age") >= 0
        assert {name: value for name, value in waiting.items() if name != "queue_id"} == {
            "interval": 500,
            "rate": "2/s",
            "burst": 1.5,
            "queued": 1,
            "delayed": 0,
            "leased": 0,
            "dead": 0,
            "max_leased": 4,
            "caps": [],
            "delivered": 0,
            "promised": 1,
            "blocked_by": None,
            "next_ready_in": 0,
        }

    async def test_queues_may_be_asked_for_in_an_order(self, api: Api, kind: str) -> None:
        for queue_id, jobs in (("few", 1), ("many", 3), ("some", 2)):
            for _ in range(jobs):
                await api.enqueue(kind, queue_id)
        reply = (await api.get(f"/queues/{kind}/?by=depth&limit=2")).json
        assert [(row["queue_id"], row["queued"]) for row in reply["queues"]] == [("many", 3), ("some", 2)]
        assert (reply["cursor"], reply["complete"]) == (None, True)

    async def test_types_are_listed_with_their_totals(self, api: Api, kind: str) -> None:
        for name, queue_ids in (("a", "12"), ("b", "3"), ("c", "456")):
            for queue_id in queue_ids:
                await api.enqueue(f"{kind}-{name}", queue_id)
        await api.lease(f"{kind}-c")
        await api.post(f"/type/{kind}-b/pause/")
        page = (await api.get(f"/types/?limit=2&cursor={kind}")).json
        assert [(row["queue_type"], row["queued"]) for row in page["types"]] == [
            (f"{kind}-a", 2),
            (f"{kind}-b", 1),
        ]
        assert [row["blocked_by"] for row in page["types"]] == [None, "type_paused"]
        page = (await api.get(f"/types/?limit=1&cursor={page['cursor']}")).json
        (row,) = page["types"]
        assert row == {
            "queue_type": f"{kind}-c",
            "queued": 2,
            "delayed": 0,
            "leased": 1,
            "dead": 0,
            "enqueued": 0,
            "delivered": 0,
            "blocked_by": None,
        }

    @pytest.mark.parametrize(
        ("query", "field"),
        [("limit=0", "limit"), ("by=rate", "by"), ("by=age&cursor=0-0", "cursor"), ("cursor=x", "cursor")],
    )
    async def test_a_bad_parameter_is_named(self, api: Api, kind: str, query: str, field: str) -> None:
        reply = await api.get(f"/queues/{kind}/?{query}")
        assert reply.status == 400
        assert reply.json["message"].startswith(f"{field}: ")


class TestPriceOfReasons:
    """A reason costs the store nothing while jobs come, and one look a second while none do."""

    async def test_a_dequeue_that_finds_a_job_explains_nothing(
        self, api: Api, kind: str, store: StoreServer
    ) -> None:
        for number in range(20):
            await api.enqueue(kind, str(number))
        with Monitor(store) as monitor:
            for _ in range(20):
                await api.lease(kind)
            assert await monitor.count("explain", kind) == 0
            await api.nothing(kind)
            assert await monitor.count("explain", kind) > 0

    async def test_polls_in_vain_look_once_a_second(self, api: Api, kind: str, store: StoreServer) -> None:
        await api.enqueue(kind, delay=60_000)
        with Monitor(store) as monitor:
            begun_s = time.monotonic()
            await api.nothing(kind)
            a_look = await monitor.count("explain", kind)
            for _ in range(100):
                assert (await api.nothing(kind))["blocked_by"] == "delayed"
            looks = 1 + (time.monotonic() - begun_s)
            assert a_look <= await monitor.count("explain", kind) <= a_look * looks


class Monitor:
    """The commands that a store runs, from `with` on."""

    def __init__(self, store: StoreServer) -> None:
        self._client = store.client()
        self._connection = socket.create_connection(("127.0.0.1", store.port))
        self._lines = b""

    def __enter__(self) -> Self:
        self._connection.sendall(b"MONITOR\r\n")
        assert self._connection.recv(5) == b"+OK\r\n"
        self._connection.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._client.close()

    async def count(self, *words: str) -> int:
        """Return the number of commands so far that have all of these words."""
        mark = uuid.uuid4().hex
        self._client.echo(mark)
        loop = asyncio.get_running_loop()
        while mark.encode() not in self._lines:
            self._lines += await loop.sock_recv(self._connection, 1 << 16)
        return sum(
            all(word in line for word in words) for line in self._lines.decode(errors="replace").splitlines()
        )
