"""The exported metrics are those of docs/metrics.md, and they tell what happened."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from sharq_core.config import parse_url
from tests.support.http.contract import Api
from tests.support.processes.servers import PATIENT, SharqCluster, SharqProcess, SharqServer
from tests.support.stores.server import StoreServer
from tests.support.waits import until_answer

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*) ?\|", re.MULTILINE)
_ADDED_BY_HISTOGRAMS = {"le"}
ROUTER_ONLY = ("sharq_router_",)
CLUSTER_ROUTER = (
    "sharq_router_link",
    "sharq_router_ring",
    "sharq_router_members",
    "sharq_router_reachable",
    "sharq_router_stood_in",
    "sharq_router_second_tries",
)
ANY_PROCESS = ("process_", "sharq_event_loop_", "sharq_log_")


class Exported(msgspec.Struct, frozen=True):
    """One metric; labels: of all its samples, None when it has none yet."""

    kind: str
    labels: frozenset[str] | None


def documented() -> dict[str, Exported]:
    rows = _ROW.findall(DOCUMENT.read_text())
    assert len({name for name, _, _ in rows}) == len(rows)
    return {
        name: Exported(kind, frozenset(label for label in labels.replace(" ", "").split(",") if label))
        for name, kind, labels in rows
    }


def scrape(process: SharqProcess) -> dict[str, Metric]:
    with urllib.request.urlopen(f"{process.url}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        f"{one.name}_total" if one.type == "counter" else one.name: one
        for one in families
        if not one.name.endswith("_created")
    }


def exported(process: SharqProcess) -> dict[str, Exported]:
    return {
        name: Exported(
            family.type,
            frozenset(
                label for sample in family.samples for label in sample.labels.keys() - _ADDED_BY_HISTOGRAMS
            )
            if family.samples
            else None,
        )
        for name, family in scrape(process).items()
    }


def total(process: SharqProcess, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    family = scrape(process)[name]
    return sum(
        sample.value
        for sample in family.samples
        if labels.items() <= sample.labels.items() and not sample.name.endswith(("_created", "_bucket"))
    )


def buckets(cluster: SharqCluster, name: str, queue_type: str) -> dict[str, float]:
    """The samples of a histogram's series over all shards, by the greatest value of their bucket."""
    found: dict[str, float] = {}
    for shard in cluster.shards:
        for family in scrape(shard).values():
            for sample in family.samples:
                if sample.name == name and sample.labels["queue_type"] == queue_type:
                    bound = sample.labels.get("le", "")
                    found[bound] = found.get(bound, 0) + sample.value
    return found


@contextmanager
def running(store: StoreServer) -> Iterator[SharqCluster]:
    """A cluster of one router and two shards, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        environ = {"SHARQ_REDIS_KEY_PREFIX": f"metrics-{uuid.uuid4().hex[:12]}", **PATIENT}
        made = SharqCluster(Path(directory), parse_url(store.url), environ, routers=1, shards=2)
        try:
            made.start()
            yield made
        finally:
            made.end()


@pytest.fixture(scope="module")
def cluster(store: StoreServer) -> Iterator[SharqCluster]:
    """A cluster that all tests share; in it `live_a_little` has been."""
    with running(store) as made:
        asyncio.run(_live_in(made))
        yield made


async def _live_in(cluster: SharqCluster) -> None:
    async with opened(cluster) as api:
        await live_a_little(api)


@asynccontextmanager
async def opened(cluster: SharqCluster) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        yield await Api.open(cluster.urls[0], http)


@pytest.fixture
async def api(cluster: SharqCluster) -> AsyncIterator[Api]:
    async with opened(cluster) as api:
        yield api


async def live_a_little(api: Api) -> None:
    """Queue, refuse, lease, finish twice, extend, release and bury jobs; one dequeue waits, another in vain."""
    await api.enqueue("sms", "a", job_id="1")
    await api.enqueue("sms", "a", job_id="1")
    await api.enqueue("sms", "a", job_id="2", requeue_limit=0)
    first, second = await api.lease("sms"), await api.lease("sms")
    for job in (first, second):
        await api.post(f"/extend/sms/a/{job['job_id']}/", {"lease": job["lease"], "by": 60_000})
    await api.post("/finish/sms/a/1/", {"lease": first["lease"]})
    assert (await api.post("/finish/sms/a/1/", {"lease": "00" * 16})).status in {404, 409}
    await api.post("/release/sms/a/2/", {"lease": second["lease"]})
    await api.enqueue("sms", "b", job_id="4")
    throttled = await api.lease("sms")
    await api.post("/release/sms/b/4/", {"lease": throttled["lease"], "count": False})
    assert (await api.delete("/job/sms/b/4/")).json["was"] == "queued"
    assert (await api.delete("/job/sms/b/5/")).status == 404
    await api.enqueue("sms", "c", job_id="6", expires=1, on_expiry="drop")
    await api.enqueue("sms", "c", job_id="7", expires=1)
    await api.enqueue("sms", "a", job_id="3")
    assert (await api.lease("sms", "&lease=100"))["job_id"] == "3"
    await api.lease("sms")
    for job_id in ("1", "2"):
        await api.enqueue("slow", "a", job_id=job_id, rate="3/min")
    await api.lease("slow")
    assert (await api.get("/dequeue/slow/?wait=2500")).json["blocked_by"] == "rate"
    await api.post("/type/slow~a/", {"max_leased": 1})
    await api.enqueue("slow~a", "a")
    every_day = [{"days": "daily", "from": "08:00", "to": "21:00"}]
    assert (await api.call("PUT", "/window/day/", {"tz": "UTC", "open": every_day})).status == 200


WITH_TLS = "sharq_certificate_expiry_seconds"
"""A process without certificates has no such metric; tests/cluster/test_reasons.py looks at it with one."""


async def test_what_is_exported_is_what_the_document_lists(cluster: SharqCluster) -> None:
    router, shard = cluster.routers[0], cluster.shards[0]
    found = {**exported(router), **await _of_all_shards(cluster)}
    listed = documented()
    assert listed.pop(WITH_TLS).labels == frozenset({"use"})
    assert set(found) == set(listed)
    for name, one in found.items():
        assert one.kind == listed[name].kind, name
        assert one.labels == listed[name].labels, name
    assert {name for name in exported(router) if not name.startswith((*ROUTER_ONLY, *ANY_PROCESS))} == set()
    assert {name for name in exported(shard) if name.startswith(ROUTER_ONLY)} == set()


async def _of_all_shards(cluster: SharqCluster) -> dict[str, Exported]:
    """Metrics of both shards, those with samples first: the jobs of one queue are on one of them."""

    async def read() -> dict[str, Exported]:
        first, second = map(exported, cluster.shards)
        assert set(first) == set(second)
        return {name: first[name] if first[name].labels is not None else second[name] for name in first}

    return await until_answer(read, lambda found: all(one.labels is not None for one in found.values()))


async def test_a_server_exports_what_the_document_says_of_both(
    tmp_path: Path, store: StoreServer, prefix: str
) -> None:
    environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix, **PATIENT}
    server = SharqServer(tmp_path, environ=environ)
    try:
        await asyncio.to_thread(server.start)
        of_a_cluster = (*CLUSTER_ROUTER, "sharq_shard_", WITH_TLS)
        assert set(exported(server)) == {name for name in documented() if not name.startswith(of_a_cluster)}
    finally:
        server.stop()


async def test_duplicates_stale_finishes_and_dead_letters_are_counted(cluster: SharqCluster) -> None:
    def counted(name: str, **labels: str) -> float:
        return sum(total(shard, name, queue_type="sms", **labels) for shard in cluster.shards)

    async def ended() -> float:
        return counted("sharq_leases_ended_total")

    await until_answer(ended, lambda count: count == 1)
    assert counted("sharq_enqueue_outcomes_total", outcome="queued") == 6
    assert counted("sharq_enqueue_outcomes_total", outcome="duplicate") == 1
    assert counted("sharq_lease_outcomes_total", verb="finish", outcome="done") == 1
    assert counted("sharq_lease_outcomes_total", verb="finish", outcome="done") == 1
    stale = [
        counted("sharq_lease_outcomes_total", verb="finish", outcome=word) for word in ("lost", "not_found")
    ]
    assert sum(stale) == 1
    assert counted("sharq_lease_outcomes_total", verb="release", outcome="done") == 2
    assert counted("sharq_dead_letters_total", reason="limit") == 1


async def test_attempts_are_counted_by_their_number_and_by_how_they_failed(cluster: SharqCluster) -> None:
    def counted(name: str, **labels: str) -> float:
        return sum(total(shard, name, queue_type="sms", **labels) for shard in cluster.shards)

    async def failed() -> tuple[float, float]:
        name = "sharq_failed_attempts_total"
        return counted(name, cause="released"), counted(name, cause="timed_out")

    assert await until_answer(failed, lambda counts: counts == (1, 1)), (
        "a release that does not count is none"
    )
    leases = buckets(cluster, "sharq_lease_attempts_bucket", "sms")
    assert (leases["1.0"], leases["2.0"], leases["+Inf"]) == (4, 5, 5)
    assert buckets(cluster, "sharq_lease_attempts_sum", "sms")[""] == 6

    async def cancelled() -> float:
        return counted("sharq_jobs_cancelled_total")

    await until_answer(cancelled, lambda count: count == 2)
    outcomes = [counted("sharq_cancel_outcomes_total", outcome=word) for word in ("done", "not_found")]
    assert outcomes == [1, 1]


async def test_expired_jobs_are_counted_and_those_among_them_that_are_dead_letters(
    cluster: SharqCluster,
) -> None:
    async def counted() -> tuple[float, float]:
        expired = sum(total(shard, "sharq_expired_jobs_total", queue_type="sms") for shard in cluster.shards)
        dead = sum(
            total(shard, "sharq_dead_letters_total", queue_type="sms", reason="expired")
            for shard in cluster.shards
        )
        return expired, dead

    assert await until_answer(counted, lambda counts: counts[0] == 2) == (2, 1)


async def test_jobs_that_expire_at_their_release_are_counted(cluster: SharqCluster, api: Api) -> None:
    for job_id, fate in (("1", "dead"), ("2", "drop")):
        await api.enqueue("late", "a", job_id=job_id, interval=0, expires=400, on_expiry=fate)
    leased = [await api.lease("late"), await api.lease("late")]
    for job in leased:
        await asyncio.sleep(max(0.0, (job["expires_at"] + 1) / 1000 - time.time()))
        assert (await api.post(f"/release/late/a/{job['job_id']}/", {"lease": job["lease"]})).status == 200

    def counted(name: str, **labels: str) -> float:
        return sum(total(shard, name, queue_type="late", **labels) for shard in cluster.shards)

    assert counted("sharq_expired_jobs_total") == 2
    assert counted("sharq_dead_letters_total", reason="expired") == 1
    assert counted("sharq_dead_letters_total", reason="limit") == 0


async def test_a_queue_nobody_serves_grows_old(cluster: SharqCluster, api: Api) -> None:
    await api.enqueue("old", "a")

    async def age_s() -> float:
        return max(
            total(shard, "sharq_oldest_ready_age_seconds", queue_type="old") for shard in cluster.shards
        )

    first_s = await until_answer(age_s, lambda seconds: seconds > 0)
    await until_answer(age_s, lambda seconds: seconds > first_s + 0.2)
    await api.lease("old")
    await until_answer(age_s, lambda seconds: seconds == 0)


async def test_a_shard_that_leaves_is_seen_in_links_and_partitions(store: StoreServer) -> None:
    with running(store) as own:
        await _leave(own)


async def _leave(cluster: SharqCluster) -> None:
    router, (stays, leaves) = cluster.routers[0], cluster.shards

    async def owned() -> float:
        return total(stays, "sharq_shard_partitions")

    await until_answer(owned, lambda count: 0 < count < 64)
    before = total(stays, "sharq_shard_partitions")
    taken = total(stays, "sharq_partitions_taken_total")
    await asyncio.to_thread(leaves.stop)
    assert await until_answer(owned, lambda count: count == 64) > before
    assert total(stays, "sharq_partitions_taken_total") - taken == 64 - before

    async def reachable() -> float:
        return total(router, "sharq_router_reachable_shards")

    await until_answer(reachable, lambda count: count == 1)

    async def versions() -> tuple[float, float]:
        return total(router, "sharq_router_ring_version"), total(stays, "sharq_shard_ring_version")

    await until_answer(versions, lambda both: both[0] == both[1])
    assert total(router, "sharq_router_link_up", shard=f"127.0.0.1:{stays.port}") == 1
