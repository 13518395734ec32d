"""A long list does not hold the event loop, whatever it lists: it is read, encoded and sent a few items at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import aiohttp
import pytest

from router.api.fields import MAX_CAP_NAME, MAX_NAME, MAX_PAGE
from router.handlers.list_answers import MAX_LIST_BYTES
from sharq_core.campaigns import schedules
from tests.support.extent import is_full
from tests.support.http.holds import LIMIT_MS, RETRIES, Hold, longest_ms
from tests.support.processes.servers import PATIENT, SharqServer, running_server
from tests.support.stores.server import StoreFactory

BULK = 1000
PUTS_AT_ONCE = 32

FEW = MAX_PAGE if is_full() else 1_500
"""Caps and schedules, each of which is put alone. Their lists are read as that of queues is."""

QUEUES, TYPES, DEAD = "queues", "types", "dead"


@pytest.fixture
def watched(own_store: StoreFactory, prefix: str) -> Iterator[SharqServer]:
    environ = {"SHARQ_REDIS_URL": own_store().url, "SHARQ_REDIS_KEY_PREFIX": prefix, **PATIENT}
    with running_server(environ=environ, is_watched=True) as server:
        yield server


def long_names(count: int, length: int = MAX_NAME) -> list[str]:
    """Return different names of the greatest length."""
    return [f"{number:x}-".ljust(length, "n") for number in range(count)]


async def post(http: aiohttp.ClientSession, url: str, body: object = None) -> Any:
    async with http.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def enqueue(http: aiohttp.ClientSession, url: str, entries: Iterable[dict[str, Any]]) -> None:
    remaining = iter(entries)
    while some := list(islice(remaining, BULK)):
        jobs = [{"interval": 0, "payload": 1, "job_id": "j", **entry} for entry in some]
        assert (await post(http, f"{url}/enqueue/", {"jobs": jobs}))["failed"] == 0


async def bury(http: aiohttp.ClientSession, url: str, queues: Sequence[str]) -> None:
    """Make a dead letter of the largest number of fields in each queue."""
    await enqueue(
        http, url, ({"queue_type": DEAD, "queue_id": queue, "requeue_limit": 0} for queue in queues)
    )
    buried = 0
    while buried < len(queues):
        leased = (await post(http, f"{url}/dequeue/{DEAD}/?count={BULK}&wait=5000"))["jobs"]
        jobs = [
            {
                "queue_type": DEAD,
                "error": "e" * 200,
                **{name: job[name] for name in ("queue_id", "job_id", "lease")},
            }
            for job in leased
        ]
        assert (await post(http, f"{url}/release/", {"jobs": jobs}))["failed"] == 0
        buried += len(leased)


async def put_all(http: aiohttp.ClientSession, bodies: dict[str, object]) -> None:
    """Put a body to each URL."""
    gate = asyncio.Semaphore(PUTS_AT_ONCE)

    async def put(url: str, body: object) -> None:
        async with gate, http.put(url, json=body) as answer:
            assert answer.status == 200, await answer.text()

    await asyncio.gather(*(put(url, body) for url, body in bodies.items()))


async def fill(http: aiohttp.ClientSession, url: str) -> None:
    """Make as much of everything that is listed as one answer may hold."""
    caps = long_names(FEW, MAX_CAP_NAME)
    limits = [{"rate": "1/s"}, {"rate": "2/s", "unit": "cost"}, {"rate": "3/day", "burst": 2}]
    await put_all(http, {f"{url}/cap/{name}/": {"limits": limits} for name in caps})
    queues, types = long_names(MAX_PAGE), long_names(MAX_PAGE)
    await enqueue(
        http,
        url,
        (
            {
                "queue_type": QUEUES,
                "queue_id": queue,
                "caps": [caps[(at + step) % FEW] for step in (0, 7, 90)],
            }
            for at, queue in enumerate(queues)
        ),
    )
    await enqueue(http, url, ({"queue_type": name, "queue_id": queues[0]} for name in types))
    await bury(http, url, queues)
    job = {"queue_type": types[0], "queue_id": queues[0], "interval": 0, "payload": 1}
    await put_all(
        http,
        {
            f"{url}/schedule/{name}/": {
                "cron": "0 9 * * mon-fri",
                "tz": "America/Argentina/ComodRivadavia",
                "job": {**job, "queue_id": name},
            }
            for name in long_names(FEW, schedules.MAX_NAME)
        },
    )


LISTS = {
    f"/queues/{QUEUES}/?limit={MAX_PAGE}": ("queues", MAX_PAGE),
    f"/metrics/{QUEUES}/?limit={MAX_PAGE}": ("queue_ids", MAX_PAGE),
    f"/metrics/{QUEUES}/": ("queue_ids", MAX_PAGE),
    f"/queues/{QUEUES}/?by=depth&limit=100": ("queues", 100),
    f"/top/{QUEUES}/?by=depth&limit=100": ("queues", 100),
    f"/types/?limit={MAX_PAGE}": ("types", 1),
    "/metrics/": ("queue_types", MAX_PAGE),
    f"/dead/{DEAD}/?limit={MAX_PAGE}": ("jobs", MAX_PAGE),
    f"/caps/?limit={MAX_PAGE}": ("caps", FEW),
    f"/schedules/?limit={MAX_PAGE}": ("schedules", FEW),
}
"""Path → the field of the list, and how many items it has at least."""


async def hold_of(http: aiohttp.ClientSession, url: str, path: str) -> Hold:
    """Read a list, and return how long it held the loop."""
    field, count = LISTS[path]
    await longest_ms(http, url)
    async with http.get(url + path) as answer:
        content = await answer.read()
        assert answer.status == 200, content
    cpu_ms, wall_ms = await longest_ms(http, url)
    listed = json.loads(content)
    assert len(listed[field]) >= count
    assert len(content) < MAX_LIST_BYTES
    return Hold(path, "router", answer.status, cpu_ms, wall_ms)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_list_holds_the_event_loop(watched: SharqServer, http: aiohttp.ClientSession) -> None:
    await fill(http, watched.url)
    holds: dict[str, Hold] = {}
    for path in LISTS:
        for _ in range(1 + RETRIES):
            hold = await hold_of(http, watched.url, path)
            holds[path] = min(holds.get(path, hold), hold, key=lambda each: each.cpu_ms)
            if hold.cpu_ms <= LIMIT_MS:
                break
    print(*(f"{hold.cpu_ms:6.1f} ms {path}" for path, hold in holds.items()), sep="\n")
    assert [hold for hold in holds.values() if hold.cpu_ms > LIMIT_MS] == []
