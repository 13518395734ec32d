"""An original deployment's data is found and left alone; it is written here with its own keys."""

from __future__ import annotations

import asyncio
import resource
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from sharq_core.store.original_data import has_original_data, report_original_data
from tests.support.stores.server import KINDS

pytestmark = pytest.mark.parametrize("store", KINDS, indirect=True, scope="session")


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(store_url, socket_timeout=5) as client:
        yield client


async def original_enqueue(client: Redis, prefix: str, queue_type: str, queue_id: str, jobs: int) -> None:
    """The keys that the original's enqueue writes."""
    for _ in range(jobs):
        job_id = str(uuid.uuid4())
        await client.rpush(f"{prefix}:{queue_type}:{queue_id}", job_id)
        await client.hset(f"{prefix}:payload", f"{queue_type}:{queue_id}:{job_id}", '"x"')
        await client.hset(f"{prefix}:{queue_type}:{queue_id}:requeues_remaining", job_id, "-1")
    await client.hset(f"{prefix}:interval", f"{queue_type}:{queue_id}", "1000")
    await client.zadd(f"{prefix}:{queue_type}", {queue_id: 1})
    await client.sadd(f"{prefix}:ready:queue_type", queue_type)


async def original_dequeue(client: Redis, prefix: str, queue_type: str, queue_id: str) -> None:
    """The keys that the original's dequeue changes."""
    job_id = await client.lpop(f"{prefix}:{queue_type}:{queue_id}")
    assert isinstance(job_id, bytes)
    if await client.llen(f"{prefix}:{queue_type}:{queue_id}") == 0:
        await client.zrem(f"{prefix}:{queue_type}", queue_id)
        if not await client.exists(f"{prefix}:{queue_type}"):
            await client.srem(f"{prefix}:ready:queue_type", queue_type)
    await client.zadd(f"{prefix}:{queue_type}:active", {f"{queue_id}:{job_id.decode()}": 1})
    await client.sadd(f"{prefix}:active:queue_type", queue_type)


async def everything_under(client: Redis, prefix: str) -> dict[bytes, bytes | None]:
    return {key: await client.dump(key) async for key in client.scan_iter(f"{prefix}:*")}


async def test_an_empty_store_holds_none(client: Redis, prefix: str) -> None:
    assert not await has_original_data(client, prefix)


async def test_a_type_with_waiting_jobs_is_found(client: Redis, prefix: str) -> None:
    await original_enqueue(client, prefix, "sms", "1", jobs=3)
    assert await has_original_data(client, prefix)


async def test_a_type_whose_jobs_are_all_leased_is_found(client: Redis, prefix: str) -> None:
    await original_enqueue(client, prefix, "sms", "1", jobs=1)
    await original_dequeue(client, prefix, "sms", "1")
    assert not await client.exists(f"{prefix}:ready:queue_type")
    assert await has_original_data(client, prefix)


async def test_another_prefix_is_not_looked_at(client: Redis, prefix: str) -> None:
    await original_enqueue(client, f"{prefix}x", "sms", "1", jobs=1)
    assert not await has_original_data(client, prefix)


async def test_a_prefix_in_braces_is_taken_as_it_is_written(client: Redis, prefix: str) -> None:
    braced = f"{{{prefix}}}"
    await original_enqueue(client, braced, "sms", "1", jobs=1)
    assert not await has_original_data(client, prefix)
    assert await has_original_data(client, braced)


async def test_nothing_is_touched(client: Redis, prefix: str) -> None:
    await original_enqueue(client, prefix, "sms", "1", jobs=3)
    await original_dequeue(client, prefix, "sms", "1")
    before = await everything_under(client, prefix)
    await has_original_data(client, prefix)
    assert await everything_under(client, prefix) == before


async def test_another_programs_key_of_that_name_is_no_original_data(client: Redis, prefix: str) -> None:
    await client.set(f"{prefix}:ready:queue_type", "mine")
    assert not await has_original_data(client, prefix)


async def test_want_of_files_delays_the_report(
    store_url: str, client: Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    await original_enqueue(client, prefix, "sms", "1", jobs=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with Redis.from_url(store_url, socket_timeout=5) as other:
        report = asyncio.create_task(report_original_data(other, prefix))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            done, _ = await asyncio.wait({report}, timeout=0.2)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert not done, "a report that cannot be made yet must not end the server"
        await report
    assert f"original_data_found key_prefix={prefix}" in caplog.text
