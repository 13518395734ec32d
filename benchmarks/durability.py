"""What each durability costs: enqueues over HTTP, one at a time and 64 at once, on a primary with one replica."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import msgspec

from benchmarks.errors import Spoiled
from benchmarks.report import Peer, Report, Row
from benchmarks.servers import Store, free_port, sharq_server, store
from benchmarks.spread import Spread, percentile

_AT_ONCE = (1, 64)
_START_TIMEOUT_S = 20.0
_LOOK_AGAIN_S = 0.05
_TIMEOUT_MS = 5_000
_PAYLOAD = "x" * 100


class _Setting(msgspec.Struct, frozen=True):
    """A durability, and when the two servers flush their files."""

    durability: str
    flush: str

    def __str__(self) -> str:
        return f"{self.durability}, appendfsync {self.flush}"


_SETTINGS = (
    _Setting("fast", "everysec"),
    _Setting("replicated", "everysec"),
    _Setting("synced", "always"),
    _Setting("synced", "everysec"),
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
    """Each round measures every setting with every number of requests at once."""
    plan = _Plan(rounds=1, load_s=3) if is_quick else _Plan(rounds=3, load_s=6)
    with _pair() as (primary, replica, url):
        rounds = [
            {setting: _measure_setting(setting, plan, (primary, replica), url) for setting in _SETTINGS}
            for _ in range(plan.rounds)
        ]
        return _report(plan, rounds, primary.version)


@contextmanager
def _pair() -> Iterator[tuple[Store, Store, str]]:
    """A primary, its replica, and the primary's URL."""
    port, replica_port = free_port(), free_port()
    following = ("--port", str(replica_port), "--replicaof", "127.0.0.1", str(port))
    with (
        store(is_durable=True, more=("--port", str(port), "--repl-diskless-sync-delay", "0")) as primary,
        store(is_durable=True, more=following) as replica,
    ):
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while replica.client.info("replication").get("master_link_status") != "up":
            if time.monotonic() > deadline_s:
                raise Spoiled("the replica does not follow")
            time.sleep(_LOOK_AGAIN_S)
        yield primary, replica, f"redis://127.0.0.1:{port}/0"


def _measure_setting(
    setting: _Setting, plan: _Plan, stores: tuple[Store, Store], url: str
) -> dict[int, _Cost]:
    for one in stores:
        one.client.config_set("appendfsync", setting.flush)
    stores[0].client.flushall()
    environ = {"SHARQ_REDIS_DURABILITY": setting.durability, "SHARQ_REDIS_TIMEOUT": str(_TIMEOUT_MS)}
    with sharq_server(url, environ) as server:
        return {at_once: asyncio.run(_load(server.url, at_once, plan.load_s)) for at_once in _AT_ONCE}


async def _load(url: str, at_once: int, load_s: float) -> _Cost:
    """Keep so many enqueues in flight for a while, each in a queue of its own."""
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
        return Spread.of([getattr(one[setting][at_once], field) for one in rounds])

    rows = []
    for at_once, (field, unit) in itertools.product(
        _AT_ONCE, (("p50_ms", "ms"), ("p99_ms", "ms"), ("rate", "req/s"))
    ):
        base = spread(_SETTINGS[0], at_once, field).median
        for setting in _SETTINGS:
            peer = Peer("fast", base, is_same_run=True) if setting is not _SETTINGS[0] else None
            what = f"{setting}: {field.removesuffix('_ms')}, {at_once} at once"
            rows.append(Row(what, unit, spread(setting, at_once, field), peer=peer))
    return Report(
        name="durability",
        question="What does it cost to wait for a replica, or for two disks, before an enqueue is answered?",
        parameters={
            "store": f"{version}, a primary and one replica on this machine, append-only files",
            "load": f"single enqueues over HTTP, payload {len(_PAYLOAD)} bytes, {plan.load_s:g} s each",
            "rounds": str(plan.rounds),
        },
        rows=rows,
        notes=[
            "Loopback: a network adds its round trip to every answer of replicated and synced.",
            "A replica says at once what it has in memory, and once a second what it has on disk.",
        ],
    )
