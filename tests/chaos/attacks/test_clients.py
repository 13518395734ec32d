"""Clients that are slow, half-open, or gone during a long poll, and payloads of the greatest size."""

from __future__ import annotations

import asyncio
import io
import time
import zlib
from contextlib import suppress

import aiohttp
import msgspec

from tests.chaos.stage import QUIET_S, Stage, is_quick
from tests.support.http.contract import open_raw
from tests.support.load.crowd import LEASE_MS, STEADY, WAIT_MS, Crowd
from tests.support.load.history import Dequeue, Outcome

BAD_CLIENTS = 20
BYTE_EVERY_S = 0.02
"""The pause of a slow client between two bytes."""

LEAVES_AFTER_S = 0.01
"""The time after which a client leaves its long poll, and the pause before the next one."""

MAX_PAYLOAD_BYTES = 256 * 1024
LARGE_JOBS = 200 if is_quick() else 1000
JOBS_A_BODY = 50


def head(kind: str, body_bytes: int) -> bytes:
    """The first lines of an enqueue."""
    return (
        f"POST /enqueue/{kind}/slow/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body_bytes}\r\n\r\n"
    ).encode()


async def send_slowly(url: str, kind: str, until_s: float) -> None:
    """Requests whose bytes come one at a time."""
    body = b'{"job_id": "x", "interval": 0, "payload": 1, "delay": 86400000}'
    reader, writer = await open_raw(url)
    for byte in head(kind, len(body)) + body[:-1]:
        if time.monotonic() > until_s:
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(BYTE_EVERY_S)
    writer.transport.abort()
    with suppress(ConnectionError):
        await reader.read()


async def stay_half_open(url: str, kind: str, until_s: float) -> None:
    """A connection on which half a request came and nothing more."""
    _, writer = await open_raw(url)
    writer.write(head(kind, 1000) + b'{"job_id"')
    await asyncio.sleep(max(0.0, until_s - time.monotonic()))
    writer.transport.abort()


async def leave_during_polls(crowd: Crowd, url: str, until_s: float) -> None:
    """Long polls whose client is gone before or while they are answered; what they leased, nobody heard of."""
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        _, writer = await open_raw(url)
        path = f"/dequeue/{crowd.kind}/?wait={WAIT_MS}&lease={LEASE_MS}"
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await asyncio.sleep(LEAVES_AFTER_S)
        writer.transport.abort()
        crowd.history.dequeues.append(Dequeue(began_s=began_s, ended_s=time.monotonic(), outcome=Outcome.OK))
        await asyncio.sleep(LEAVES_AFTER_S)


async def test_bad_clients_disturb_nobody(shared_stage: Stage) -> None:
    urls = shared_stage.cluster.urls

    async def fault(crowd: Crowd) -> None:
        until_s = time.monotonic() + shared_stage.pace.hold_s + 1
        async with asyncio.TaskGroup() as group:
            for number in range(BAD_CLIENTS):
                url = urls[number % len(urls)]
                group.create_task(send_slowly(url, crowd.kind, until_s))
                group.create_task(stay_half_open(url, crowd.kind, until_s))
            for url in urls:
                group.create_task(leave_during_polls(crowd, url, until_s))

    await shared_stage.play(
        "slow clients, half-open ones, some gone in a poll", fault, habits=STEADY, may_fail=False
    )


def payload(number: int) -> str:
    """The greatest there is, of its own for each number; two bytes of it are quotation marks."""
    return (f"{number}-{zlib.crc32(str(number).encode())} " * MAX_PAYLOAD_BYTES)[: MAX_PAYLOAD_BYTES - 2]


async def test_many_jobs_of_the_greatest_payload_come_back_equal(shared_stage: Stage) -> None:
    first, second = shared_stage.cluster.urls
    limits = aiohttp.ClientTimeout(total=QUIET_S)
    async with aiohttp.ClientSession(timeout=limits) as http:
        for begin in range(0, LARGE_JOBS, JOBS_A_BODY):
            jobs = [large_job(number) for number in range(begin, begin + JOBS_A_BODY)]
            async with http.post(
                f"{first}/enqueue/", data=io.BytesIO(msgspec.json.encode({"jobs": jobs}))
            ) as reply:
                results = (await reply.json())["results"]
            assert [result["status"] for result in results] == ["queued"] * JOBS_A_BODY
        seen: set[int] = set()
        while len(seen) < LARGE_JOBS:
            async with http.post(f"{second}/dequeue/large/?count=1000&wait=5000") as reply:
                assert reply.status == 200, f"{len(seen)} of {LARGE_JOBS} came"
                leased = (await reply.json())["jobs"]
            for job in leased:
                assert job["payload"] == payload(int(job["job_id"]))
                seen.add(int(job["job_id"]))
            ends = [
                {"queue_type": "large", **{name: job[name] for name in ("queue_id", "job_id", "lease")}}
                for job in leased
            ]
            async with http.post(f"{second}/finish/", json={"jobs": ends}) as reply:
                assert all(result["status"] == "success" for result in (await reply.json())["results"])


def large_job(number: int) -> dict[str, object]:
    """One of them, on one of twenty queues."""
    return {
        "queue_type": "large",
        "queue_id": f"q{number % 20}",
        "job_id": str(number),
        "interval": 0,
        "payload": payload(number),
    }
