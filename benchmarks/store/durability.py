"""Measures the cost of each durability: enqueues over HTTP, one at a time and 64 at once, with 1 and 2 replicas."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import msgspec
import redis

from benchmarks.errors import Spoiled
from benchmarks.figures.report import Peer, Report, Row
from benchmarks.figures.spread import Spread, percentile
from benchmarks.processes.servers import SERVER, Store, child, free_port, sharq_server, store, wait_until

_AT_ONCE = (1, 64)
_START_TIMEOUT_S = 20.0
_LOOK_AGAIN_S = 0.05
_TIMEOUT_MS = 5_000
_PAYLOAD = "x" * 100
_SERVICE = "main"


class _Setting(msgspec.Struct, frozen=True):
    """A durability, when the servers flush their files, and how many replicas the primary has."""

    durability: str
    flush: str
    replicas: int

    def __str__(self) -> str:
        return (
            f"{self.durability}, appendfsync {self.flush}, {self.replicas} replica{'s' * (self.replicas > 1)}"
        )


_REPLICAS = (1, 2)
_SETTINGS = tuple(
    _Setting(durability, flush, replicas)
    for replicas in _REPLICAS
    for durability, flush in (("fast", "everysec"), ("replicated", "everysec"), ("synced", "always"))
)


class _Plan(msgspec.Struct, frozen=True):
    """rounds of all settings in turns; how long each load is put on."""

    rounds: int
    load_s: float


class _Cost(msgspec.Struct, frozen=True):
    """Answers a second, and their waiting times."""

    rate: float
    p50_ms: float
    p99_ms: float


def run(is_quick: bool) -> Report:
    """In each round, measure every setting with every number of requests at once."""
    plan = _Plan(rounds=1, load_s=3) if is_quick else _Plan(rounds=3, load_s=6)
    rounds: list[dict[_Setting, dict[int, _Cost]]] = [{} for _ in range(plan.rounds)]
    for replicas in _REPLICAS:
        with _group(replicas) as group:
            for measured in rounds:
                for setting in _SETTINGS:
                    if setting.replicas == replicas:
                        measured[setting] = _measure_setting(setting, plan, group)
            version = group.servers[0].version
    return _report(plan, rounds, version)


class _Group(msgspec.Struct, frozen=True):
    """A primary, the first of the servers, with its replicas; and the port of the Sentinel that watches them."""

    servers: list[Store]
    sentinel_port: int


@contextmanager
def _group(replicas: int) -> Iterator[_Group]:
    port = free_port()
    with ExitStack() as stack:
        words: tuple[str, ...] = ("--port", str(port))
        servers = []
        for _ in range(1 + replicas):
            more = (*words, "--repl-diskless-sync-delay", "0")
            servers.append(stack.enter_context(store(is_durable=True, more=more)))
            words = ("--port", str(free_port()), "--replicaof", "127.0.0.1", str(port))
        for replica in servers[1:]:
            _wait_until_following(replica)
        yield _Group(servers, stack.enter_context(_sentinel(port, replicas)))


@contextmanager
def _sentinel(port: int, replicas: int) -> Iterator[int]:
    """One that knows the primary and its replicas; its port."""
    own_port = free_port()
    with TemporaryDirectory(prefix="sharq-bench-") as folder:
        config = Path(folder) / "sentinel.conf"
        config.write_text(f"port {own_port}\nsentinel monitor {_SERVICE} 127.0.0.1 {port} 1\n")
        with child([SERVER, str(config), "--sentinel"], Path(folder)) as process:

            def knows_all() -> bool:
                with redis.Redis(port=own_port, socket_timeout=1) as client:
                    try:
                        return len(client.sentinel_slaves(_SERVICE)) == replicas
                    except redis.ConnectionError:
                        return False

            wait_until(knows_all, process, Path(folder))
            yield own_port


def _wait_until_following(replica: Store) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while replica.client.info("replication").get("master_link_status") != "up":
        if time.monotonic() > deadline_s:
            raise Spoiled("a replica does not follow")
        time.sleep(_LOOK_AGAIN_S)


def _measure_setting(setting: _Setting, plan: _Plan, group: _Group) -> dict[int, _Cost]:
    for running in group.servers:
        running.client.config_set("appendfsync", setting.flush)
    group.servers[0].client.flushall()
    environ = {
        "SHARQ_REDIS_SENTINELS": f"127.0.0.1:{group.sentinel_port}",
        "SHARQ_REDIS_SENTINEL_SERVICE": _SERVICE,
        "SHARQ_REDIS_DURABILITY": setting.durability,
        "SHARQ_REDIS_TIMEOUT": str(_TIMEOUT_MS),
    }
    with sharq_server(None, environ) as server:
        return {at_once: asyncio.run(_load(server.url, at_once, plan.load_s)) for at_once in _AT_ONCE}


async def _load(url: str, at_once: int, load_s: float) -> _Cost:
    """Keep a number of enqueues in flight for a while, each in its own queue."""
    waits_ms: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began_s = time.monotonic()
        tasks = [
            _enqueue_until(session, f"{url}/enqueue/sms/q{number}/", began_s + load_s, waits_ms)
            for number in range(at_once)
        ]
        await asyncio.gather(*tasks)
        spent_s = time.monotonic() - began_s
    return _Cost(len(waits_ms) / spent_s, percentile(waits_ms, 50), percentile(waits_ms, 99))


async def _enqueue_until(
    session: aiohttp.ClientSession, url: str, end_s: float, waits_ms: list[float]
) -> None:
    for number in itertools.count():
        began_s = time.monotonic()
        if began_s >= end_s:
            return
        job = {"job_id": f"{number}-{began_s}", "interval": 1000, "payload": _PAYLOAD}
        async with session.post(url, json=job) as answer:
            if answer.status != 201:
                raise Spoiled(f"an enqueue was answered {answer.status}: {await answer.text()}")
        waits_ms.append((time.monotonic() - began_s) * 1000)


def _report(plan: _Plan, rounds: list[dict[_Setting, dict[int, _Cost]]], version: str) -> Report:
    def spread(setting: _Setting, at_once: int, field: str) -> Spread:
        return Spread.of([getattr(turn[setting][at_once], field) for turn in rounds])

    rows = []
    for at_once, (field, unit) in itertools.product(
        _AT_ONCE, (("p50_ms", "ms"), ("p99_ms", "ms"), ("rate", "req/s"))
    ):
        for setting in _SETTINGS:
            if setting.durability == "fast":
                base = spread(setting, at_once, field).median
            peer = None if setting.durability == "fast" else Peer("fast", base, is_same_run=True)
            what = f"{setting}: {field.removesuffix('_ms')}, {at_once} at once"
            rows.append(Row(what, unit, spread(setting, at_once, field), peer=peer))
    return Report(
        name="durability",
        question="What does it cost to wait for all replicas, or for all disks, before an enqueue is answered?",
        parameters={
            "store": f"{version}, a primary, its replicas and a Sentinel on this machine, append-only files",
            "load": f"single enqueues over HTTP, payload {len(_PAYLOAD)} bytes, {plan.load_s:g} s each",
            "rounds": str(plan.rounds),
        },
        rows=rows,
        notes=[
            "Loopback: a network adds its round trip to every answer of replicated and synced.",
            "A replica says at once what it has in memory, and once a second what it has on disk.",
        ],
    )
