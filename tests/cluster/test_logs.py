"""The logs of running processes: JSON lines, request ids from the client to the shard and back, and nothing secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from sharq_core.config import parse_url
from tests.support.ports import free_port
from tests.support.processes.servers import PATIENT, SharqCluster, SharqProcess, SharqServer
from tests.support.stores.server import StoreServer
from tests.support.waits import until_answer

MARK = "payload-that-no-log-shows"
LINK_SECRET = "link-secret-that-no-log-shows"
Line = dict[str, object]


def json_lines(text: str) -> list[Line]:
    """The whole lines that are JSON objects; what a process writes for people on stdout is left out."""
    return [
        json.loads(line) for line in text.splitlines(keepends=True) if line[:1] == "{" and line[-1] == "\n"
    ]


@pytest.fixture
def cluster(tmp_path: Path, store: StoreServer, prefix: str) -> Iterator[SharqCluster]:
    environ = {
        "SHARQ_REDIS_KEY_PREFIX": prefix,
        "SHARQ_CLUSTER_SECRET": LINK_SECRET,
        "SHARQ_LOG_FORMAT": "json",
        "SHARQ_LOG_LEVEL": "debug",
        "SHARQ_SERVER_ACCESSLOG": str(tmp_path / "access.log"),
        **PATIENT,
    }
    made = SharqCluster(tmp_path, parse_url(store.url), environ, routers=1, shards=1)
    try:
        made.start()
        yield made
    finally:
        made.end()


async def enqueue(url: str, session: aiohttp.ClientSession, **headers: str) -> aiohttp.ClientResponse:
    body = {"job_id": "1", "interval": 0, "payload": MARK}
    async with session.post(f"{url}/enqueue/sms/a/", json=body, headers=headers) as response:
        await response.read()
        return response


async def test_a_request_id_goes_to_the_shard_and_back(cluster: SharqCluster) -> None:
    url, shard = cluster.urls[0], cluster.shards[0]
    async with aiohttp.ClientSession() as session:
        given = await enqueue(url, session, **{"X-Request-Id": "from-the-client"})
        made = await enqueue(url, session, **{"X-Request-Id": "not an id"})
        missing = await session.get(f"{url}/nowhere")
    assert given.headers["X-Request-Id"] == "from-the-client"
    assert made.headers["X-Request-Id"] not in {"from-the-client", "not an id"}
    assert missing.status == 404
    assert missing.headers["X-Request-Id"]

    async def calls() -> dict[object, object]:
        lines = json_lines(shard.log)
        return {line["request_id"]: line["call"] for line in lines if "request_id" in line and "call" in line}

    await until_answer(calls, lambda found: {"from-the-client", made.headers["X-Request-Id"]} <= set(found))
    assert (await calls())["from-the-client"] == "Enqueue"


async def test_every_log_line_is_json_and_shows_no_payload_and_no_secret(
    cluster: SharqCluster, tmp_path: Path
) -> None:
    async with aiohttp.ClientSession() as session:
        await enqueue(cluster.urls[0], session)
        async with session.get(f"{cluster.urls[0]}/dequeue/sms/?lease=60000") as response:
            lease = (await response.json())["lease"]
        async with session.post(f"{cluster.urls[0]}/finish/sms/a/1/?lease={lease}") as response:
            assert response.status == 200
    cluster.stop()
    logs = texts_of(tmp_path)
    assert {"access.log", "router-1.log", "shard-1.log"} <= set(logs)
    for name, text in logs.items():
        assert MARK not in text, name
        assert LINK_SECRET not in text, name
        assert lease not in text, name
        written = [line for line in text.splitlines() if not line.startswith("sharq-")]
        assert [line for line in written if not line.startswith("{")] == [], name
        assert all({"time", "event"} <= set(line) for line in json_lines(text)), name
    (finish,) = [line for line in json_lines(logs["access.log"]) if str(line["path"]).startswith("/finish")]
    assert (finish["method"], finish["path"], finish["status"]) == ("POST", "/finish/sms/a/1/", 200)
    assert finish["request_id"]


@pytest.mark.parametrize(("every", "lines"), [("1", 40), ("10", 4)])
async def test_the_access_log_has_one_request_in_so_many(
    tmp_path: Path, store: StoreServer, prefix: str, every: str, lines: int
) -> None:
    path = tmp_path / "access.txt"
    environ = {
        "SHARQ_REDIS_URL": store.url,
        "SHARQ_REDIS_KEY_PREFIX": prefix,
        "SHARQ_LOG_LEVEL": "error",
        "SHARQ_SERVER_ACCESSLOG": str(path),
        "SHARQ_SERVER_ACCESSLOG_SAMPLE": every,
    }
    server = SharqServer(tmp_path, environ=environ)
    try:
        server.launch()
        server.until(lambda: server.status("/readyz") == 200)
        before = requests_of(path)
        async with aiohttp.ClientSession() as session:
            for _ in range(40):
                async with session.get(f"{server.url}/healthz") as response:
                    assert response.status == 200
        server.stop()
        assert requests_of(path) - before == lines
    finally:
        server.stop()


async def test_a_failure_has_its_line_whatever_the_sample(tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "access.txt"
    environ = {
        "SHARQ_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "SHARQ_REDIS_KEY_PREFIX": prefix,
        "SHARQ_SERVER_ACCESSLOG": str(path),
        "SHARQ_SERVER_ACCESSLOG_SAMPLE": "1000000",
    }
    server = SharqServer(tmp_path, environ=environ)
    try:
        server.start("/healthz")
        async with aiohttp.ClientSession() as session:
            answers = [await enqueue(server.url, session) for _ in range(5)]
        server.stop()
        assert [answer.status for answer in answers] == [503] * 5
        assert path.read_text().count("POST /enqueue/") == 5
    finally:
        server.stop()


def texts_of(directory: Path) -> dict[str, str]:
    """Its logs, by name."""
    return {path.name: path.read_text() for path in directory.glob("*.log")}


def requests_of(path: Path) -> int:
    """Lines about /healthz."""
    return path.read_text().count("GET /healthz")


async def test_a_log_level_leaves_out_what_is_below_it(
    tmp_path: Path, store: StoreServer, prefix: str
) -> None:
    environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix, "SHARQ_LOG_LEVEL": "warning"}
    server: SharqProcess = SharqServer(tmp_path, environ=environ)
    try:
        server.start()
    finally:
        server.stop()
    assert " INFO " not in server.log


async def test_a_header_that_is_not_utf_8_is_answered_and_leaves_one_line(
    cluster: SharqCluster, tmp_path: Path
) -> None:
    host, port = cluster.urls[0].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(2):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl\xff/8\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(len(b'{"status":"success"}'))
    writer.close()

    async def agents() -> list[object]:
        lines = json_lines((tmp_path / "access.log").read_text(encoding="utf-8"))
        return [line["user_agent"] for line in lines if line["user_agent"] == "curl?/8"]

    await until_answer(agents, lambda found: len(found) == 2)
    assert "Traceback" not in cluster.routers[0].log
