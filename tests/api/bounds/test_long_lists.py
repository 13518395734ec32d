"""Long lists: an answer has a bound in bytes and a cursor, or comes whole and piece by piece."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from router.handlers.list_answers import MAX_LIST_BYTES
from router.http.unread_answers import PIECE_BYTES
from tests.support.http.contract import open_raw
from tests.support.processes.servers import PATIENT, ServerFactory, SharqServer
from tests.support.stores.server import StoreFactory

PAYLOAD_BYTES = 250_000
LETTERS = 45
QUEUES = 9_000


async def post(http: aiohttp.ClientSession, url: str, body: object = None) -> Any:
    async with http.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def bury(http: aiohttp.ClientSession, url: str, kind: str) -> set[str]:
    """Make dead letters of more than a listing may answer at once; returns their queues."""
    for first in range(0, LETTERS, 3):
        jobs = [
            {
                "queue_type": kind,
                "queue_id": f"q{number}",
                "job_id": "j",
                "interval": 0,
                "requeue_limit": 0,
                "payload": "x" * PAYLOAD_BYTES,
            }
            for number in range(first, first + 3)
        ]
        assert all(
            result["status"] == "queued"
            for result in (await post(http, f"{url}/enqueue/", {"jobs": jobs}))["results"]
        )
    buried: set[str] = set()
    while len(buried) < LETTERS:
        leased = (await post(http, f"{url}/dequeue/{kind}/?count=1000&wait=5000"))["jobs"]
        given_back = [
            {"queue_type": kind, **{name: job[name] for name in ("queue_id", "job_id", "lease")}}
            for job in leased
        ]
        await post(http, f"{url}/release/", {"jobs": given_back})
        buried |= {job["queue_id"] for job in leased}
    return buried


async def test_a_page_of_dead_letters_is_bounded_in_bytes_and_the_cursor_goes_on(
    server: SharqServer, http: aiohttp.ClientSession, kind: str
) -> None:
    buried = await bury(http, server.url, kind)
    found: list[str] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        async with http.get(
            f"{server.url}/dead/{kind}/", params={"limit": "10000", **({"cursor": cursor} if cursor else {})}
        ) as answer:
            content = await answer.read()
        assert len(content) < MAX_LIST_BYTES + PIECE_BYTES + 2 * PAYLOAD_BYTES
        page = json.loads(content)
        assert {len(job["payload"]) for job in page["jobs"]} == {PAYLOAD_BYTES}
        found += [job["queue_id"] for job in page["jobs"]]
        cursor = page["cursor"]
        pages += 1
    assert (set(found), len(found)) == (buried, LETTERS)
    assert pages == 2


async def test_a_page_of_the_jobs_of_a_queue_is_bounded_in_bytes_and_the_cursor_goes_on(
    server: SharqServer, http: aiohttp.ClientSession, kind: str
) -> None:
    entry = {"queue_type": kind, "queue_id": "q", "interval": 0, "payload": "x" * PAYLOAD_BYTES}
    names = [f"{number:02}" for number in range(LETTERS)]
    for first in range(0, LETTERS, 3):
        jobs = [{**entry, "job_id": name} for name in names[first : first + 3]]
        assert (await post(http, f"{server.url}/enqueue/", {"jobs": jobs}))["failed"] == 0
    pages: list[list[str]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
        async with http.get(f"{server.url}/queue/{kind}/q/jobs/", params=query) as answer:
            content = await answer.read()
        assert len(content) < MAX_LIST_BYTES + PIECE_BYTES + 2 * PAYLOAD_BYTES
        page = json.loads(content)
        pages.append([job["job_id"] for job in page["jobs"]])
        cursor = page["cursor"]
    assert [name for page in pages for name in page] == names
    assert len(pages) == 2


async def test_a_long_list_is_whole_for_a_client_of_http_1_0_and_for_head(
    server: SharqServer, http: aiohttp.ClientSession, kind: str
) -> None:
    await bury(http, server.url, kind)
    reader, writer = await open_raw(server.url)
    writer.write(
        f"GET /dead/{kind}/?limit=10 HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n".encode()
    )
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b"chunked" not in head
    assert b"Connection: close" in head
    assert len(json.loads(body)["jobs"]) == 10
    async with http.head(f"{server.url}/dead/{kind}/?limit=10") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with http.get(f"{server.url}/dead/{kind}/?limit=10") as answer:
        assert len((await answer.json())["jobs"]) == 10


async def test_queues_without_limit_are_told_all_and_each_once(
    server: SharqServer, http: aiohttp.ClientSession, kind: str
) -> None:
    ids = [f"{number}-{'q' * 60}" for number in range(QUEUES)]
    for first in range(0, QUEUES, 1000):
        jobs = [
            {"queue_type": kind, "queue_id": queue_id, "interval": 0, "payload": 1}
            for queue_id in ids[first : first + 1000]
        ]
        await post(http, f"{server.url}/enqueue/", {"jobs": jobs})
    async with http.get(f"{server.url}/metrics/{kind}/") as answer:
        assert "Content-Length" not in answer.headers, "it comes piece by piece"
        listed = await answer.json()
    assert {*listed} == {"status", "queue_ids"}
    assert len(listed["queue_ids"]) == QUEUES
    assert set(listed["queue_ids"]) == set(ids)


async def test_types_are_told_all_in_order_and_each_once(
    own_server: ServerFactory, own_store: StoreFactory, prefix: str, http: aiohttp.ClientSession, kind: str
) -> None:
    environ = {"SHARQ_REDIS_URL": own_store().url, "SHARQ_REDIS_KEY_PREFIX": prefix, **PATIENT}
    server = own_server(environ=environ)
    types = [f"{kind}-{number}-{'t' * 60}" for number in range(4000)]
    for first in range(0, len(types), 1000):
        jobs = [
            {"queue_type": name, "queue_id": "q", "interval": 0, "payload": 1}
            for name in types[first : first + 1000]
        ]
        await post(http, f"{server.url}/enqueue/", {"jobs": jobs})
    async with http.get(f"{server.url}/metrics/") as answer:
        listed = await answer.json()
    mine = [name for name in listed["queue_types"] if name.startswith(kind)]
    assert mine == sorted(types)
    assert len(listed["enqueue_counts"]) == len(listed["dequeue_counts"]) == 10


async def test_a_client_that_stops_reading_a_long_list_holds_little(
    server: SharqServer, http: aiohttp.ClientSession, kind: str
) -> None:
    count = 12
    await bury(http, server.url, kind)
    before_bytes = rss_bytes(server.pid)
    writers = []
    for _ in range(count):
        reader, writer = await open_raw(server.url)
        reader._transport.pause_reading()  # type: ignore[attr-defined] # else the test's own buffer takes some of it
        writer.write(f"GET /dead/{kind}/?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        writers.append(writer)
    for _ in range(50):
        async with http.get(f"{server.url}/dead/{kind}/?limit=1") as probe:
            assert probe.status == 200
    assert rss_bytes(server.pid) - before_bytes < count * MAX_LIST_BYTES // 2
    for writer in writers:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def rss_bytes(pid: int) -> int:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
