"""Lists of the whole cluster while the data of one partition is broken: they go on without it, and name it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aiohttp
import pytest
import redis

from sharq_client import AsyncClient, IncompleteList, OutcomeUnknown
from sharq_core.partitions import partition_of
from sharq_core.scheduler.keys import Keys
from tests.support.http.contract import Api
from tests.support.processes.servers import PATIENT, ServerFactory, SharqServer
from tests.support.processes.sharq import Sharq
from tests.support.stores.server import StoreFactory
from tests.support.waits import until_answer

PARTITIONS = 64
BROKEN = 3
KIND = "sms"


def names_in(partition: int, domain: str, count: int = 1) -> list[str]:
    """Return names whose home is a partition."""
    names = (f"n{number}" for number in range(100_000))
    found = (name for name in names if partition_of(domain, name, PARTITIONS) == partition)
    return [next(found) for _ in range(count)]


(LOST,) = names_in(BROKEN, KIND)
ALWAYS = {"tz": "UTC", "open": [{"days": "daily", "from": "00:00", "to": "24:00"}]}
IS_BROKEN = "the data of partition 3 is broken; repeat the call once it is repaired"
KEPT = [names_in(partition, KIND)[0] for partition in (0, 2, 4, 63)]


def names_of(prefix: str, partition: int) -> list[bytes]:
    """Return the keys that hold a partition's counts, schedules, caps, dead letters and batches."""
    keys = Keys(prefix, PARTITIONS)
    own, of_kind = ("counters", "schedules", "caps"), ("dead", "notes")
    return [*keys.of(partition, "", own).names, *keys.of(partition, KIND, of_kind).names]


def break_partition(store_url: str, prefix: str, partition: int) -> None:
    """Put a text in the place of some keys of a partition."""
    with redis.Redis.from_url(store_url) as client:
        for name in names_of(prefix, partition):
            if client.exists(name):
                client.rename(name, name + b":kept")
            client.set(name, "planted")


def repair_partition(store_url: str, prefix: str, partition: int) -> None:
    """Put the keys of a broken partition back."""
    with redis.Redis.from_url(store_url) as client:
        for name in names_of(prefix, partition):
            client.delete(name)
            if client.exists(name + b":kept"):
                client.rename(name + b":kept", name)


class Broken:
    """A server one of whose partitions is broken.

    Attributes:
        repair: puts the keys of the partition back.
        break_again: breaks the partition anew.
    """

    def __init__(self, server: SharqServer, api: Api, store_url: str, prefix: str) -> None:
        self.server = server
        self.api = api
        self.repair = partial(repair_partition, store_url, prefix, BROKEN)
        self.break_again = partial(break_partition, store_url, prefix, BROKEN)

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return await self.api.call(method, path, body)

    async def get(self, path: str) -> dict[str, Any]:
        reply = await self.api.get(path)
        assert reply.status == 200, reply.json
        return dict(reply.json)


@pytest.fixture
async def broken(
    own_server: ServerFactory, own_store: StoreFactory, prefix: str, http: aiohttp.ClientSession
) -> AsyncIterator[Broken]:
    """A server with a queue, a cap, a schedule and a dead letter in the broken partition, and some in others."""
    store = own_store()
    server = own_server(environ={"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix, **PATIENT})
    api = await Api.open(server.url, http)
    for queue in (LOST, *KEPT):
        for job in ("dead", "kept"):
            entry = {"job_id": job, "interval": 0, "requeue_limit": 0, "payload": 1, "batch": "spring"}
            assert (await api.post(f"/enqueue/{KIND}/{queue}/", entry)).status == 201
    for leased in (await api.post(f"/dequeue/{KIND}/?count=5&wait=5000")).json["jobs"]:
        path = f"/release/{KIND}/{leased['queue_id']}/{leased['job_id']}/"
        assert (await api.post(path, {"lease": leased["lease"]})).status == 200
    for partition in (BROKEN, 4):
        (cap,) = names_in(partition, "cap")
        assert (await api.call("PUT", f"/cap/{cap}/", {"rate": "1/s"})).status == 200
        queue = names_in(partition, KIND)[0]
        schedule = {
            "every": 86_400_000,
            "job": {"queue_type": KIND, "queue_id": queue, "interval": 0, "payload": 1},
        }
        assert (await api.call("PUT", f"/schedule/{queue}/", schedule)).status == 200
    assert (await api.call("PUT", f"/window/{names_in(4, 'window')[0]}/", ALWAYS)).status == 200
    await asyncio.to_thread(break_partition, store.url, prefix, BROKEN)
    yield Broken(server, api, store.url, prefix)


async def test_lists_go_on_without_a_broken_partition_and_name_it(broken: Broken) -> None:
    queues = await broken.get(f"/queues/{KIND}/?limit=10000")
    assert {row["queue_id"] for row in queues["queues"]} == set(KEPT)
    ids = await broken.get(f"/metrics/{KIND}/")
    assert set(ids["queue_ids"]) == set(KEPT)
    types = await broken.get("/types/")
    assert [(row["queue_type"], row["dead"]) for row in types["types"]] == [(KIND, len(KEPT))]
    counts = await broken.get("/metrics/")
    assert counts["queue_types"] == [KIND]
    assert sum(counts["enqueue_counts"].values()) == 2 * len(KEPT)
    caps = await broken.get("/caps/")
    assert [row["name"] for row in caps["caps"]] == names_in(4, "cap")
    schedules = await broken.get("/schedules/")
    assert [row["name"] for row in schedules["schedules"]] == [KEPT[2]]
    dead = await broken.get(f"/dead/{KIND}/")
    assert {row["queue_id"] for row in dead["jobs"]} == set(KEPT)
    top = await broken.get(f"/top/{KIND}/?by=depth")
    assert {row["queue_id"] for row in top["queues"]} == set(KEPT)
    first = await broken.get(f"/queues/{KIND}/?by=depth")
    assert {row["queue_id"] for row in first["queues"]} == set(KEPT)
    cap = await broken.get(f"/cap/{names_in(4, 'cap')[0]}/")
    assert (cap["queues"], cap["queued"]) == (0, 0)
    window = await broken.get(f"/window/{names_in(4, 'window')[0]}/")
    assert window["uses"] == 0
    batch = await broken.get(f"/batch/{KIND}/spring/")
    assert (batch["queued"], batch["dead"], batch["total"]) == (len(KEPT), len(KEPT), 2 * len(KEPT))
    answers = (queues, ids, types, counts, caps, schedules, dead, top, first, cap, window, batch)
    assert [answer.get("unread_partitions") for answer in answers] == [[BROKEN]] * len(answers)
    broken.server.until(lambda: "partition_left_out partition=3" in broken.server.log)


async def test_a_cap_whose_ledger_is_broken_is_logged_once_although_others_answer(broken: Broken) -> None:
    for cap, queue in zip(names_in(BROKEN, "cap") + names_in(4, "cap"), KEPT[:2], strict=True):
        entry = {"job_id": "capped", "interval": 0, "payload": 1, "caps": [cap]}
        assert (await broken.ask("POST", f"/enqueue/capped/{queue}/", entry)).status == 201
    assert (await broken.api.get("/dequeue/capped/?wait=5000")).json["queue_id"] == KEPT[1]

    for number in range(5):
        entry = {"job_id": f"more-{number}", "interval": 0, "payload": 1, "caps": names_in(4, "cap")}
        assert (await broken.ask("POST", f"/enqueue/capped/{KEPT[1]}/", entry)).status == 201
        assert (await broken.api.get("/dequeue/capped/?wait=5000")).json["queue_id"] == KEPT[1]
    lines = [line for line in broken.server.log.splitlines() if "cap_ledger_failed" in line]
    assert [line for line in lines if "lasted_s=" not in line] == lines[:1]


async def test_each_page_names_the_partitions_that_it_left_out(broken: Broken) -> None:
    pages: list[tuple[list[str], list[int] | None]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"?limit=1{f'&cursor={cursor}' if cursor else ''}"
        page = await broken.get(f"/queues/{KIND}/{query}")
        pages.append(([row["queue_id"] for row in page["queues"]], page.get("unread_partitions")))
        cursor = page["cursor"]
    assert [queue for queues, _ in pages for queue in queues] == KEPT
    assert [unread for _, unread in pages if unread is not None] == [[BROKEN]]


async def test_a_list_of_which_nothing_can_be_read_is_an_error(
    broken: Broken, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{broken.server.url}/dead/{KIND}/?queue_id={LOST}") as answer:
        failure = await answer.json()
        assert (answer.status, failure["code"]) == (500, "internal_error")
    assert f"partition {BROKEN}: the store failed" in failure["message"]


async def test_windows_are_listed_from_another_partition(
    own_server: ServerFactory, own_store: StoreFactory, prefix: str, http: aiohttp.ClientSession
) -> None:
    store = own_store()
    server = own_server(environ={"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix, **PATIENT})
    api = await Api.open(server.url, http)
    assert (await api.call("PUT", "/window/always/", ALWAYS)).status == 200
    await asyncio.to_thread(break_partition, store.url, prefix, 0)
    reply = await api.get("/windows/")
    assert reply.status == 200, reply.json
    assert [row["name"] for row in reply.json["windows"]] == ["always"]


CHANGES = [
    ("POST", f"/batch/{KIND}/spring/cancel/", "4 jobs were cancelled, but ", {"cancelled": 1}),
    ("POST", f"/dead/{KIND}/redrive/", "4 dead letters were done, but ", {"redriven": 1}),
    ("DELETE", f"/dead/{KIND}/", "4 dead letters were done, but ", {"dropped": 1}),
    ("POST", f"/type/{KIND}/pause/", "63 of 64 partitions have confirmed it; ", {}),
    ("POST", f"/type/{KIND}/resume/", "63 of 64 partitions have confirmed it; ", {}),
    ("POST", "/pause/", "63 of 64 partitions have confirmed it; ", {}),
    ("POST", "/resume/", "63 of 64 partitions have confirmed it; ", {}),
    ("PUT", f"/window/{names_in(4, 'window')[0]}/", "63 of 64 partitions have confirmed it; ", {}),
]


NONE_DONE = "0 of 64 partitions have confirmed it; "
(CAP,), (WINDOW,), (SCHEDULE,) = (names_in(BROKEN, domain) for domain in ("cap", "window", "schedule"))
GATHERED = next(
    f"sms~{number}" for number in range(10_000) if partition_of(f"sms~{number}", "", PARTITIONS) == BROKEN
)
DAILY = {
    "every": 86_400_000,
    "job": {"queue_type": KIND, "queue_id": LOST, "interval": 0, "payload": 1},
}
AT_HOME: list[tuple[str, str, dict[str, Any] | None, str]] = [
    ("PUT", f"/window/{WINDOW}/", ALWAYS, NONE_DONE),
    ("DELETE", f"/window/{names_in(4, 'window')[0]}/", None, NONE_DONE),
    ("PUT", f"/cap/{CAP}/", {"rate": "2/s"}, ""),
    ("POST", f"/cap/{CAP}/hold/", {"for": 1}, ""),
    ("DELETE", f"/cap/{CAP}/", None, ""),
    ("POST", f"/type/{GATHERED}/", {"rate": "2/s"}, ""),
    ("DELETE", f"/type/{GATHERED}/", None, ""),
    ("PUT", f"/schedule/{SCHEDULE}/", DAILY, ""),
    ("PUT", f"/schedule/{LOST}/", DAILY, ""),
    ("POST", f"/schedule/{LOST}/pause/", None, "0 of 1 partitions have confirmed it; "),
    ("POST", f"/schedule/{LOST}/resume/", None, "0 of 1 partitions have confirmed it; "),
    ("DELETE", f"/schedule/{LOST}/", None, "0 of 1 partitions have confirmed it; "),
]
"""Changes that the broken partition decides about: method, path, body and what the message says was done."""


async def test_a_change_that_the_broken_partition_decides_about_names_it(broken: Broken) -> None:
    for method, path, body, done in AT_HOME:
        reply = await broken.ask(method, path, body)
        assert (reply.status, reply.json["code"]) == (504, "outcome_unknown"), (method, path, reply.json)
        assert reply.json["message"].startswith(done + IS_BROKEN), (method, path)
    await asyncio.to_thread(broken.repair)
    await until_answer(
        lambda: broken.ask("PUT", f"/cap/{CAP}/", {"rate": "2/s"}), lambda it: it.status == 200
    )
    for method, path, body, _ in AT_HOME:
        reply = await broken.ask(method, path, body)
        assert reply.status == 200, (method, path, reply.json)


async def test_a_window_in_use_is_refused_as_used_although_a_partition_is_broken(broken: Broken) -> None:
    (name,) = names_in(4, "window")
    entry = {"job_id": "waits", "interval": 0, "payload": 1, "window": name}
    assert (await broken.ask("POST", f"/enqueue/{KIND}/{KEPT[0]}/", entry)).status == 201
    reply = await broken.ask("DELETE", f"/window/{name}/")
    assert (reply.status, reply.json["code"]) == (409, "window_used")


@pytest.mark.parametrize(("method", "path", "done", "repeated"), CHANGES, ids=lambda value: str(value)[:24])
async def test_a_change_is_made_in_the_other_partitions_and_says_that_one_is_left(
    broken: Broken, method: str, path: str, done: str, repeated: dict[str, int]
) -> None:
    body = ALWAYS if method == "PUT" else None
    reply = await broken.ask(method, path, body)
    assert (reply.status, reply.json["code"]) == (504, "outcome_unknown")
    assert reply.json["message"].startswith(done + IS_BROKEN)
    await asyncio.to_thread(broken.repair)

    async def repeat() -> Any:
        return await broken.ask(method, path, body)

    reply = await until_answer(repeat, lambda answer: answer.status == 200)
    assert reply.json == {"status": "success", **repeated}


async def test_a_batch_of_which_nothing_can_be_read_is_an_error(
    broken: Broken, http: aiohttp.ClientSession
) -> None:
    entry = {"job_id": "alone", "interval": 0, "payload": 1, "batch": "autumn"}
    await asyncio.to_thread(broken.repair)
    assert (await broken.ask("POST", f"/enqueue/{KIND}/{LOST}/", entry)).status == 201
    await asyncio.to_thread(broken.break_again)
    for method, path in (("GET", "autumn/"), ("POST", "autumn/cancel/"), ("GET", "not-known-elsewhere/")):
        async with http.request(method, f"{broken.server.url}/batch/{KIND}/{path}") as answer:
            failure = await answer.json()
        assert (answer.status, failure["code"]) == (500, "internal_error")
        assert f"partition {BROKEN}: the store failed" in failure["message"]


async def test_a_client_yields_what_can_be_read_and_then_says_what_is_missing(broken: Broken) -> None:
    found: list[str] = []
    async with AsyncClient(broken.server.url) as client:
        with pytest.raises(
            IncompleteList, match="without partition 3: the data there is broken"
        ) as incomplete:
            async for row in client.control.queues(KIND, page=1):
                found += [row.queue_id]
        counts = await client.counts()
        batch = await client.jobs.batch(KIND, "spring")
        with pytest.raises(OutcomeUnknown, match=IS_BROKEN):
            await client.jobs.cancel_batch(KIND, "spring")
        ended = await client.jobs.batch(KIND, "spring")
    assert found == KEPT
    assert incomplete.value.partitions == counts.unread_partitions == [BROKEN]
    assert batch is not None
    assert (batch.total, batch.unread_partitions) == (2 * len(KEPT), [BROKEN])
    assert ended is not None
    assert ended.cancelled == len(KEPT)
    assert not ended.has_ended, "the partition that cannot be read may have waiting jobs"


async def test_a_client_logs_what_is_missing_in_a_list_of_the_first_queues(
    broken: Broken, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncClient(broken.server.url) as client:
        assert {row.queue_id for row in await client.control.top_queues(KIND, "depth")} == set(KEPT)
    assert "without partitions [3]" in caplog.text


async def test_the_command_shows_what_can_be_read_and_ends_with_an_error(broken: Broken) -> None:
    sharq = Sharq(broken.server.url)
    shown = await asyncio.to_thread(sharq, "queues", KIND, code=1)
    assert {line.split()[0] for line in shown.out.splitlines()} == {"queue", *KEPT}
    assert shown.err.startswith("sharq: the list is without partition 3: the data there is broken")
    rows = await asyncio.to_thread(sharq, "types", "--json", code=1)
    assert [row["queue_type"] for row in rows.documents] == [KIND]
    batch = await asyncio.to_thread(sharq, "batch", KIND, "spring", code=1)
    assert "4 of 8 jobs have ended" in batch.out
    assert batch.err.startswith("sharq: the numbers are without partition 3: the data there is broken")
    top = await asyncio.to_thread(sharq, "top", "--json", "--once")
    assert {row["queue_id"] for row in top.document["customers"]} == set(KEPT)
