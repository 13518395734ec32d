"""The life of a job over HTTP: priority, expiry, retries and errors."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server
from tests.support.http.jobs import HOUR_MS, cancel, change, dead, job, kill, now_ms
from tests.support.stores.server import KINDS

pytestmark = pytest.mark.parametrize("store", KINDS, indirect=True, scope="session")


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


class TestPriority:
    async def test_jobs_leave_their_queue_by_priority_and_then_in_order(self, api: Api, kind: str) -> None:
        for job_id, priority in (("a", 9), ("b", 5), ("c", 1), ("d", 5), ("e", 1)):
            await api.enqueue(kind, job_id=job_id, priority=priority)
        leased = [await api.lease(kind) for _ in range(5)]
        assert [(job["job_id"], job["priority"]) for job in leased] == [
            ("c", 1),
            ("e", 1),
            ("b", 5),
            ("d", 5),
            ("a", 9),
        ]

    async def test_a_bulk_enqueue_takes_the_same_fields(self, api: Api, kind: str) -> None:
        entry = {"queue_type": kind, "queue_id": "1", "payload": 1, "interval": 0}
        life = {
            "priority": 2,
            "expires": HOUR_MS,
            "on_expiry": "drop",
            "retry": {"delay": 5000, "factor": 1.5, "max": 60_000, "jitter": 0.25},
        }
        entries = [{**entry, "job_id": "plain"}, {**entry, "job_id": "own", **life}]
        assert (await api.post("/enqueue/", {"jobs": entries})).json["failed"] == 0
        own = await job(api, kind, "own")
        assert {name: own[name] for name in ("priority", "on_expiry", "retry")} == {
            "priority": 2,
            "on_expiry": "drop",
            "retry": life["retry"],
        }
        assert own["expires_at"] == own["enqueued_at"] + HOUR_MS
        plain = await job(api, kind, "plain")
        assert (plain["priority"], plain["position"]) == (5, 2)
        assert {"retry", "expires_at", "on_expiry", "error", "reason"}.isdisjoint(plain)


class TestAt:
    async def test_a_job_waits_until_its_time(self, api: Api, kind: str) -> None:
        at = now_ms() + 700
        await api.enqueue(kind, job_id="a", at=at)
        assert (await job(api, kind, "a"))["delayed_until"] == at
        leased = await api.lease(kind)
        assert leased["lease_expires_at"] - 60_000 >= at

    async def test_a_time_in_the_past_is_now(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", at=now_ms() - HOUR_MS)
        assert (await job(api, kind, "a"))["state"] == "queued"


async def until_past(at_ms: int) -> None:
    """Wait until a time of the store's clock, which is that of this machine, has passed."""
    while (left_ms := at_ms - now_ms()) >= 0:
        await asyncio.sleep((left_ms + 1) / 1000)


class TestExpiry:
    async def test_an_expired_job_is_a_dead_letter_with_its_reason(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", expires=300)
        await until_past(now_ms() + 300)
        assert (await api.nothing(kind)) == {"blocked_by": "empty"}
        found = await job(api, kind, "a")
        assert (found["state"], found["reason"], found["attempt"]) == ("dead", "expired", 0)
        assert found["dead_at"] >= found["enqueued_at"] + 300
        (letter,) = await dead(api, kind)
        assert (letter["job_id"], letter["reason"]) == ("a", "expired")
        assert (await api.post(f"/dead/{kind}/1/a/redrive/")).status == 200
        assert (await api.lease(kind))["expires_at"] is None

    async def test_an_expired_job_that_is_dropped_is_remembered(self, api: Api, kind: str) -> None:
        expires_at = now_ms() + 1_500
        await api.enqueue(kind, job_id="a", expires_at=expires_at, on_expiry="drop")
        await until_past(expires_at)
        await api.nothing(kind)
        assert await api.state(kind, "a") == "expired"
        assert await dead(api, kind) == []
        again = await api.post(f"/enqueue/{kind}/1/", {"job_id": "a", "payload": 1, "repeat": True})
        assert again.json["duplicate"] is True
        assert (await cancel(api, kind, "a")).status == 404

    async def test_a_lease_may_outlive_the_expiry(self, api: Api, kind: str) -> None:
        expires_at = now_ms() + 2_000
        await api.enqueue(kind, job_id="a", expires_at=expires_at)
        leased = await api.lease(kind)
        assert leased["expires_at"] == expires_at
        await until_past(expires_at)
        assert (await api.post(f"/finish/{kind}/1/a/", {"lease": leased["lease"]})).status == 200

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [({"expires": 1000}, "a duration"), ({"expires_at": 1}, "a time in milliseconds")],
        ids=repr,
    )
    async def test_a_job_that_expires_before_it_is_due_is_refused(
        self, api: Api, kind: str, fields: Document, expected: str
    ) -> None:
        (name,) = fields
        body = {"interval": 0, "payload": 1, "delay": 5000, **fields}
        message = await api.refused(f"/enqueue/{kind}/1/", body, name)
        assert message.startswith(f"{name}: expected {expected}")
        assert "after the job is due" in message
        entry = {**body, "queue_type": kind, "queue_id": "1"}
        (result,) = (await api.post("/enqueue/", {"jobs": [entry]})).json["results"]
        assert result["message"].startswith(f"jobs[0].{name}: ")
        assert (await api.get(f"/queue/{kind}/1/")).status == 404


class TestRetry:
    async def test_a_release_without_a_delay_waits_as_the_policy_of_the_job_says(
        self, api: Api, kind: str
    ) -> None:
        await api.enqueue(kind, job_id="a", retry={"delay": 40_000, "factor": 3, "max": 60_000})
        for wait_ms in (40_000, 60_000):
            leased = await api.lease(kind)
            released_ms = now_ms()
            await api.post(f"/release/{kind}/1/a/", {"lease": leased["lease"]})
            until_ms = (await job(api, kind, "a"))["delayed_until"]
            assert released_ms + wait_ms - 5 <= until_ms <= now_ms() + wait_ms
            assert (await change(api, kind, "a", delay=0)).json["state"] == "queued"

    @pytest.mark.parametrize("body", [{"delay": 0}, {"count": False}], ids=repr)
    async def test_a_release_with_a_delay_or_that_does_not_count_passes_the_policy_by(
        self, api: Api, kind: str, body: Document
    ) -> None:
        await api.enqueue(kind, job_id="a", retry={"delay": HOUR_MS})
        lease = (await api.lease(kind))["lease"]
        assert (await api.post(f"/release/{kind}/1/a/", {"lease": lease, **body})).status == 200
        assert await api.state(kind, "a") == "queued"

    async def test_a_release_that_prefers_the_policy_waits_as_its_delay_says_without_one(
        self, api: Api, kind: str
    ) -> None:
        await api.enqueue(kind, job_id="a", retry={"delay": HOUR_MS})
        await api.enqueue(kind, job_id="b")
        for job_id, wait_ms in (("a", HOUR_MS), ("b", 60_000)):
            leased, released_ms = await api.lease(kind), now_ms()
            body = {"lease": leased["lease"], "delay": 60_000, "prefer_retry": True}
            assert (await api.post(f"/release/{kind}/1/{job_id}/", body)).status == 200
            until_ms = (await job(api, kind, job_id))["delayed_until"]
            assert released_ms + wait_ms - 5 <= until_ms <= now_ms() + wait_ms

    async def test_settings_of_a_queue_and_of_a_gathered_type_hold_for_jobs_without_their_own(
        self, api: Api, kind: str
    ) -> None:
        gathered = f"{kind}~a"
        settings = {"retry": {"delay": HOUR_MS}, "expires": 2 * HOUR_MS, "on_expiry": "drop"}
        shown = {"retry": {"delay": HOUR_MS, "factor": 2, "max": 2_592_000_000, "jitter": 0}}
        for place in (f"/type/{gathered}/", f"/queue/{kind}/1/"):
            state = (await api.post(place, settings)).json
            assert {name: state[name] for name in settings} == {**settings, **shown}
        for queue_type in (gathered, kind):
            await api.enqueue(queue_type, job_id="a")
            leased = await api.lease(queue_type)
            assert leased["expires_at"] == leased["enqueued_at"] + 2 * HOUR_MS
            await api.post(f"/release/{queue_type}/1/a/", {"lease": leased["lease"]})
            assert (await job(api, queue_type, "a"))["on_expiry"] == "drop"
            assert await api.state(queue_type, "a") == "delayed"
        cleared = dict.fromkeys(settings)
        for state in (
            (await api.post(f"/queue/{kind}/1/", cleared)).json,
            (await api.delete(f"/type/{gathered}/")).json,
        ):
            assert {name: state[name] for name in settings} == cleared


class TestErrors:
    async def test_the_last_error_of_a_release_is_kept_with_the_job(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", requeue_limit=1)
        for text in ("no route", "busy"):
            leased = await api.lease(kind)
            body = {"lease": leased["lease"], "error": text}
            assert (await api.post(f"/release/{kind}/1/a/", body)).status == 200
            found = await job(api, kind, "a")
            assert (found["error"], found["error_attempt"]) == (text, leased["attempt"])
            assert found["error_at"] >= leased["lease_expires_at"] - 60_000
        (letter,) = await dead(api, kind)
        assert (letter["error"], letter["error_attempt"], letter["reason"]) == ("busy", 2, "limit")
        assert letter["error_at"] == letter["dead_at"]
        await api.post(f"/dead/{kind}/1/a/redrive/")
        assert "error" not in await job(api, kind, "a")

    async def test_an_error_is_cut_between_two_characters(self, api: Api, kind: str) -> None:
        await kill(api, kind, "a", error="x" + 3000 * "ä")
        (letter,) = await dead(api, kind)
        assert letter["error"] == "x" + 1023 * "ä"

    async def test_a_bulk_release_takes_an_error_for_each_job(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id)
        leased = (await api.get(f"/dequeue/{kind}/?count=2")).json["jobs"]
        jobs = [
            {"queue_type": kind, "queue_id": "1", "job_id": job["job_id"], "lease": job["lease"]}
            for job in leased
        ]
        jobs[0]["error"] = "busy"
        assert (await api.post("/release/", {"jobs": jobs})).json["failed"] == 0
        assert (await job(api, kind, "a"))["error"] == "busy"
        assert "error" not in await job(api, kind, "b")
