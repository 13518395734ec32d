"""The embedded store at its limits: its memory, its disk, and the time that it needs to read its data."""

from __future__ import annotations

import asyncio
import fcntl
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.support.ports import free_port
from tests.support.processes.commands import Server, StartServer, metrics, status_of, until_status

MIB = 1 << 20
PAYLOAD = "x" * 100_000


async def enqueue(http: aiohttp.ClientSession, url: str, job_id: str, payload: str = PAYLOAD) -> int:
    body = {"job_id": job_id, "interval": 0, "payload": payload}
    async with http.post(f"{url}/enqueue/t/q/", json=body) as answer:
        return answer.status


async def fill(
    http: aiohttp.ClientSession, url: str, name: str, payload: str = PAYLOAD
) -> tuple[list[str], int]:
    """Enqueue until it is refused; returns what was acknowledged, and how the refusal was answered.

    A busy machine may leave a job without an answer of the store (504), which is no refusal.
    """
    acknowledged: list[str] = []
    for number in range(10_000):
        status = await enqueue(http, url, f"{name}-{number}", payload)
        if status == 201:
            acknowledged.append(f"{name}-{number}")
        elif status != 504:
            return acknowledged, status
    raise AssertionError("it never was full")


async def test_a_full_store_answers_507_and_everything_else_goes_on(
    start: StartServer, http: aiohttp.ClientSession
) -> None:
    server = start(SHARQ_EMBEDDED_MAX_MEMORY_BYTES=str(32 * MIB))
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    jobs, status = await fill(http, url, "a")
    assert status == 507
    assert await status_of(http, f"{url}/readyz") == 200, "jobs can be taken and finished"
    server.until(lambda: "store_notice check=memory" in server.stderr)
    for job_id in jobs[:5]:
        async with http.get(f"{url}/dequeue/t/") as answer:
            assert (await answer.json())["job_id"] == job_id
        async with http.post(f"{url}/finish/t/q/{job_id}/") as answer:
            assert answer.status == 200
    assert await enqueue(http, url, "again") == 201
    text = await metrics(http, url)
    assert re.search(r"^sharq_store_memory_limit_bytes\{.*\} 3.3554432e\+07$", text, re.MULTILINE)
    assert 'sharq_store_notices{check="memory"} 1.0' in text
    assert "embedded_store_died" not in server.stderr
    assert server.stop() == 0


async def test_a_server_that_reads_its_data_says_so_and_is_ready_later(
    start: StartServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A store of a killed server, which has yet to end, holds up the start as a long file would."""
    lock = tmp_path / "data" / "lock"
    lock.parent.mkdir()
    with lock.open("w+b") as held:
        held.write(b"%d\n" % ended_pid())
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        server = start("--port", str(port))
        await until_answered(http, f"{url}/healthz", 200)
        async with http.get(f"{url}/readyz") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert "starting" in (await answer.json())["message"]
        assert await enqueue(http, url, "a") == 503
        second = start("--port", str(port), "--data-dir", str(tmp_path / "other"))
        assert second.exit_code() == 1
        assert second.stderr.endswith(
            f"127.0.0.1:{port} is in use by another process; --port chooses another port\n"
        )
    await until_status(http, f"{url}/readyz", 200)
    assert await enqueue(http, url, "a") == 201
    assert server.stop() == 0


def ended_pid() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


async def until_answered(http: aiohttp.ClientSession, url: str, status: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if await status_of(http, url) == status:
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


async def fill_disk(http: aiohttp.ClientSession, url: str) -> list[str]:
    filled = await asyncio.gather(*(fill(http, url, str(name), "x" * 8000) for name in range(8)))
    assert {status for _, status in filled} == {503}
    return [job_id for jobs, _ in filled for job_id in jobs]


def occupy(disk: Path) -> None:
    """Take all the room that is left, such as that of a file which the store has removed."""
    with (disk / "others").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


async def fill_to_the_end(http: aiohttp.ClientSession, url: str, disk: Path) -> list[str]:
    """Fill the disk so that the store has acknowledged work for which there is no room."""
    jobs = await fill_disk(http, url)
    occupy(disk)
    return jobs + await fill_disk(http, url)


def take_reserve(disk: Path) -> None:
    """Remove the reserve, and leave room for less than two of them, with which the server makes it anew."""
    reserve, others = disk / "data" / "store.reserve", disk / "others"
    left = reserve.stat().st_size * 2 // 3
    with others.open("ab", buffering=0) as file:
        while (room := shutil.disk_usage(disk).free - left) > 0:
            file.write(bytes(min(room, MIB)))
    reserve.unlink()


async def until_said(http: aiohttp.ClientSession, url: str, server: Server) -> None:
    await until_status(http, f"{url}/readyz", 503)
    async with http.get(f"{url}/readyz") as answer:
        assert "cannot write to its disk" in (await answer.json())["message"]
    server.until(lambda: "CRITICAL store_writes_refused" in server.stderr)
    server.until(lambda: "store_notice check=persistence" in server.stderr)


async def missing(http: aiohttp.ClientSession, url: str, jobs: list[str]) -> list[str]:
    found = []
    for job_id in jobs:
        async with http.get(f"{url}/job/t/q/{job_id}/") as answer:
            if answer.status != 200 or (await answer.json())["state"] != "queued":
                found.append(job_id)
    return found


@pytest.mark.slow
async def test_a_stop_on_a_full_disk_loses_nothing_that_was_acknowledged(
    start: StartServer, http: aiohttp.ClientSession, small_disk: Path
) -> None:
    place = ("--data-dir", str(small_disk / "data"))
    server = start(*place)
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    jobs = await fill_disk(http, url)
    await until_said(http, url, server)
    assert server.stop() == 0
    server = start(*place)
    await until_answered(http, f"{server.url()}/healthz", 200)
    assert await missing(http, server.url(), jobs) == []
    assert server.stop() == 0


async def test_without_a_reserve_the_stop_waits_for_room_or_for_a_second_signal(
    start: StartServer, http: aiohttp.ClientSession, small_disk: Path
) -> None:
    place = ("--data-dir", str(small_disk / "data"))
    server = start(*place, SHARQ_SERVER_SHUTDOWN_TIMEOUT="1000")
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    take_reserve(small_disk)
    jobs = await fill_to_the_end(http, url, small_disk)
    await until_said(http, url, server)
    server.process.send_signal(signal.SIGTERM)
    server.until(lambda: "CRITICAL stop_waits_for_disk unwritten_bytes=" in server.stderr)
    (small_disk / "others").unlink()
    assert server.exit_code() == 0
    assert "stop_goes_on" in server.stderr

    server = start(*place, SHARQ_SERVER_SHUTDOWN_TIMEOUT="1000")
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    assert await missing(http, url, jobs) == []
    take_reserve(small_disk)
    await fill_to_the_end(http, url, small_disk)
    await until_said(http, url, server)
    server.process.send_signal(signal.SIGTERM)
    server.until(lambda: "CRITICAL stop_waits_for_disk" in server.stderr)
    assert server.stop() == 1
    assert "given up:" in server.stderr
    assert "bytes of acknowledged work that do not fit on the full disk" in server.stderr


async def test_there_is_room_again_and_everything_goes_on(
    start: StartServer, http: aiohttp.ClientSession, small_disk: Path
) -> None:
    other = small_disk / "others"
    other.write_bytes(bytes(12 * MIB))
    server = start("--data-dir", str(small_disk / "data"))
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    await fill_disk(http, url)
    await until_said(http, url, server)
    other.unlink()
    await until_status(http, f"{url}/readyz", 200)
    server.until(lambda: "store_writes_again" in server.stderr)
    assert await enqueue(http, url, "after", "x") == 201
    assert server.stop() == 0


async def test_a_start_on_a_full_disk_says_why_it_is_not_ready(
    start: StartServer, http: aiohttp.ClientSession, small_disk: Path
) -> None:
    place = ("--data-dir", str(small_disk / "data"))
    server = start(*place)
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    assert await enqueue(http, url, "a") == 201
    assert server.stop() == 0
    (small_disk / "data" / "store.reserve").unlink()
    occupy(small_disk)
    server = start(*place)
    url = server.url()
    # The last page of the store's file has room even on a full disk.
    await fill(http, url, "more", "x")
    await until_said(http, url, server)
    server.until(lambda: "disk_reserve_missing" in server.stderr)
    (small_disk / "others").unlink()
    await until_status(http, f"{url}/readyz", 200)
    assert await missing(http, url, ["a"]) == []
    assert server.stop() == 0
