"""The additions for operators: jobs, dead letters, queues and the server itself (docs/api.md)."""

from __future__ import annotations

import aiohttp
import pytest

from tests.support.http.contract import Api, Server
from tests.support.stores.server import KINDS

pytestmark = pytest.mark.parametrize("store", KINDS, indirect=True, scope="session")


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


async def bury(api: Api, kind: str, *job_ids: str) -> None:
    """Makes dead letters."""
    for job_id in job_ids:
        await api.enqueue(kind, job_id=job_id, requeue_limit=0, payload={"n": job_id})
        leased = await api.lease(kind)
        assert (await api.post(f"/release/{kind}/1/{job_id}/", {"lease": leased["lease"]})).status == 200
        assert await api.state(kind, job_id) == "dead"


class TestJobs:
    async def test_a_job_s_states_are_told(self, api: Api, kind: str) -> None:
        path = f"/job/{kind}/1/b/"
        assert (await api.get(path)).status == 404
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id, payload={"n": 1})
        queued = (await api.get(path)).json
        assert {**queued, "enqueued_at": 0} == {
            "status": "success",
            "state": "queued",
            "attempt": 0,
            "enqueued_at": 0,
            "position": 2,
            "payload": {"n": 1},
            "priority": 5,
            "cost": 1,
            "requeue_limit": -1,
            "blocked_by": None,
        }
        await api.lease(kind)
        leased = await api.lease(kind)
        told = (await api.get(path)).json
        assert (told["state"], told["attempt"], told["payload"]) == ("leased", 1, {"n": 1})
        assert told["lease_expires_at"] == leased["lease_expires_at"]
        assert "position" not in told
        await api.post(f"/finish/{kind}/1/b/")
        finished = (await api.get(path)).json
        assert finished["state"] == "finished"
        assert "payload" not in finished

    async def test_dead_letters_are_listed_oldest_first_and_dropped(self, api: Api, kind: str) -> None:
        empty = (await api.get(f"/dead/{kind}/")).json
        assert empty == {"status": "success", "jobs": [], "cursor": None}
        await bury(api, kind, "a", "b", "c")
        listed = (await api.get(f"/dead/{kind}/")).json
        assert [(job["job_id"], job["payload"], job["attempt"]) for job in listed["jobs"]] == [
            (job_id, {"n": job_id}, 1) for job_id in ("a", "b", "c")
        ]
        assert all(job["dead_at"] >= job["enqueued_at"] for job in listed["jobs"])
        assert (await api.delete(f"/dead/{kind}/")).json == {"status": "success", "dropped": 3}
        assert (await api.get(f"/dead/{kind}/")).json == empty

    async def test_dead_letters_can_be_paged(self, api: Api, kind: str) -> None:
        await bury(api, kind, "a", "b", "c")
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await api.get(f"/dead/{kind}/?limit=2" + (f"&cursor={cursor}" if cursor else ""))).json
            seen += [job["job_id"] for job in page["jobs"]]
            cursor = page["cursor"]
            assert len(seen) <= 3
        assert seen == ["a", "b", "c"]

    async def test_all_dead_letters_are_redriven_with_attempts_from_zero(self, api: Api, kind: str) -> None:
        await bury(api, kind, "a", "b")
        assert (await api.post(f"/dead/{kind}/redrive/")).json == {"status": "success", "redriven": 2}
        leased = [await api.lease(kind) for _ in range(2)]
        assert {(job["job_id"], job["attempt"]) for job in leased} == {("a", 1), ("b", 1)}
        assert (await api.post(f"/dead/{kind}/redrive/", {})).json == {"status": "success", "redriven": 0}

    async def test_named_dead_letters_are_redriven_each_with_its_result(self, api: Api, kind: str) -> None:
        await bury(api, kind, "a", "b", "c")
        await api.enqueue(kind, job_id="b")
        names = [{"queue_id": "1", "job_id": job_id} for job_id in ("a", "b", "none", "..")]
        reply = await api.post(f"/dead/{kind}/redrive/", {"jobs": names})
        results = reply.json["results"]
        assert reply.json["failed"] == 3
        assert results[0] == {"status": "queued", "job_id": "a"}
        assert [result["code"] for result in results[1:]] == ["duplicate", "not_found", "invalid_request"]
        assert await api.state(kind, "c") == "dead"


class TestQueues:
    async def test_a_queue_says_what_is_known_of_it(self, api: Api, kind: str) -> None:
        assert (await api.get(f"/queue/{kind}/1/")).status == 404
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id, interval=33.333, burst=1)
        await api.enqueue(kind, job_id="c", interval=60_000.5, delay=60_000)
        await api.lease(kind)
        queue = (await api.get(f"/queue/{kind}/1/")).json
        assert 0 < queue.pop("next_ready_in") <= 60_001
        assert 0 <= queue.pop("oldest_age") < 20_000
        assert queue == {
            "status": "success",
            "interval": 60_000.5,
            "rate": "59.9995/h",
            "burst": 1,
            "pinned": False,
            "paused": False,
            "queued": 1,
            "delayed": 1,
            "leased": 1,
            "dead": 0,
            "max_leased": None,
            "weight": 1,
            "held_until": None,
            "retry": None,
            "expires": None,
            "on_expiry": None,
            "window": None,
            "caps": [],
            "settings": [],
            "blocked_by": "rate",
        }

    async def test_a_pinned_rate_wins_over_what_enqueues_carry(self, api: Api, kind: str) -> None:
        path = f"/interval/{kind}/1/"
        assert (await api.post(path, {"interval": 5000, "burst": 3, "pin": True})).status == 200
        await api.enqueue(kind, interval=1, burst=1)
        queue = (await api.get(f"/queue/{kind}/1/")).json
        assert (queue["interval"], queue["burst"], queue["pinned"]) == (5000, 3, True)
        assert (await api.post(path, {"interval": 7000})).status == 200
        assert (await api.get(f"/queue/{kind}/1/")).json["pinned"] is True
        assert (await api.post(path, {"interval": 7000, "pin": False})).status == 200
        await api.enqueue(kind, interval=1)
        queue = (await api.get(f"/queue/{kind}/1/")).json
        assert (queue["interval"], queue["pinned"]) == (1, False)

    async def test_a_paused_queue_takes_jobs_and_gives_none(self, api: Api, kind: str) -> None:
        for verb in ("pause", "resume"):
            assert (await api.post(f"/queue/{kind}/1/{verb}/")).status == 404
        await api.enqueue(kind, job_id="a")
        assert (await api.post(f"/queue/{kind}/1/pause/")).json == {"status": "success"}
        await api.enqueue(kind, job_id="b")
        assert (await api.get(f"/dequeue/{kind}/")).status == 404
        queue = (await api.get(f"/queue/{kind}/1/")).json
        assert (queue["paused"], queue["queued"], queue["next_ready_in"]) == (True, 2, None)
        assert (await api.post(f"/queue/{kind}/1/resume/", {})).json == {"status": "success"}
        assert (await api.lease(kind))["job_id"] == "a"


class TestOperations:
    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/deepstatus"])
    async def test_a_server_that_is_well_says_so(self, api: Api, path: str) -> None:
        assert (await api.get(path)).json == {"status": "success"}

    async def test_the_cluster_shows_its_members_and_their_partitions(self, api: Api) -> None:
        cluster = (await api.get("/cluster/")).json
        assert cluster["members"]
        assert sum(member["partitions"] for member in cluster["members"]) == cluster["partitions"]

    async def test_prometheus_counts_by_operation_and_result(self, api: Api, kind: str) -> None:
        async def counted(operation: str, result: str) -> float:
            text = (await api.get("/metrics")).content.decode()
            labels = f'sharq_router_requests_total{{operation="{operation}",result="{result}"}} '
            return sum(
                float(line.removeprefix(labels)) for line in text.splitlines() if line.startswith(labels)
            )

        asked = (
            ("enqueue", "ok"),
            ("enqueue", "duplicate"),
            ("enqueue", "invalid_request"),
            ("dequeue", "empty"),
        )
        before = [await counted(*labels) for labels in asked]
        await api.enqueue(kind, job_id="a", delay=60_000)
        await api.enqueue(kind, job_id="a")
        await api.post(f"/enqueue/{kind}/1/", {})
        await api.get(f"/dequeue/{kind}/")
        after = [await counted(*labels) for labels in asked]
        assert all(now > then for then, now in zip(before, after, strict=True))

    async def test_prometheus_has_no_label_per_queue(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, "a-queue-of-its-own")
        text = (await api.get("/metrics")).content.decode()
        assert "a-queue-of-its-own" not in text
        for name in ("request_duration_seconds_count", "in_flight_requests", "build_info"):
            assert f"sharq_router_{name}" in text


async def test_the_deepest_queues_of_all_partitions_come_first(
    server: Server, http: aiohttp.ClientSession, kind: str
) -> None:
    api = await Api.open(server.url, http)
    for depth, queue_id in enumerate(("shallow", "middle", "deep"), start=1):
        for _ in range(depth):
            await api.enqueue(kind, queue_id)
    top = (await api.get(f"/top/{kind}/?by=depth&limit=2")).json
    assert [(one["queue_id"], one["queued"]) for one in top["queues"]] == [("deep", 3), ("middle", 2)]
    assert top["complete"] is True


async def test_the_queues_that_are_ready_longest_come_first(
    server: Server, http: aiohttp.ClientSession, kind: str
) -> None:
    api = await Api.open(server.url, http)
    for queue_id in ("old", "new"):
        await api.enqueue(kind, queue_id)
    await api.enqueue(kind, "later", delay=60_000)
    queues = (await api.get(f"/top/{kind}/")).json["queues"]
    assert [one["queue_id"] for one in queues] == ["old", "new"]
    assert all(one["due_for"] >= 0 for one in queues)


@pytest.mark.parametrize("query", ["by=size", "limit=0", "limit=101", "cursor=1"])
async def test_what_top_cannot_do_is_refused_by_name(
    server: Server, http: aiohttp.ClientSession, kind: str, query: str
) -> None:
    reply = await (await Api.open(server.url, http)).get(f"/top/{kind}/?{query}")
    assert reply.status == 400
    assert query.partition("=")[0] in reply.json["message"]


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/deepstatus/", "/metrics", "/metrics/", "/cluster/"]
)
async def test_head_is_answered_as_get_without_the_body(
    server: Server, http: aiohttp.ClientSession, path: str
) -> None:
    """Monitors ask so."""
    async with http.get(server.url + path) as whole, http.head(server.url + path) as head:
        assert (head.status, head.content_type) == (whole.status, whole.content_type)
        assert int(head.headers["Content-Length"]) > 0
        assert await head.read() == b""


async def test_head_never_leases(server: Server, http: aiohttp.ClientSession, kind: str) -> None:
    api = await Api.open(server.url, http)
    await api.enqueue(kind)
    async with http.head(f"{server.url}/dequeue/{kind}/") as head:
        assert (head.status, head.headers["Allow"]) == (405, "GET, POST")
    assert (await api.lease(kind))["attempt"] == 1
