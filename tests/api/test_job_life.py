"""The life of a job over HTTP: priority, expiry, retries and errors, and the calls about single jobs."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Reply, Server

HOUR_MS = 3_600_000


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


def now_ms() -> int:
    """Return the time of this machine, whose clock is the store's, too."""
    return time.time_ns() // 1_000_000


async def job(api: Api, kind: str, job_id: str, queue_id: str = "1") -> Document:
    """Return the state of a job, which exists."""
    reply = await api.get(f"/job/{kind}/{queue_id}/{job_id}/")
    assert reply.status == 200, reply.json
    return reply.json


async def change(api: Api, kind: str, job_id: str, **fields: object) -> Reply:
    return await api.call("PATCH", f"/job/{kind}/1/{job_id}/", fields)


async def cancel(api: Api, kind: str, job_id: str, query: str = "") -> Reply:
    return await api.delete(f"/job/{kind}/1/{job_id}/{query}")


async def ids(api: Api, kind: str, query: str = "") -> list[str]:
    """Return the ids of the jobs of a queue, over all pages."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = f"{query}&cursor={cursor}" if cursor else query
        reply = await api.get(f"/queue/{kind}/1/jobs/?{page}")
        assert reply.status == 200, reply.json
        found += [row["job_id"] for row in reply.json["jobs"]]
        cursor = reply.json["cursor"]
    return found


async def kill(api: Api, kind: str, job_id: str, queue_id: str = "1", **released: object) -> None:
    """Make a job a dead letter."""
    await api.enqueue(kind, queue_id, job_id=job_id, requeue_limit=0, priority=1)
    lease = (await api.lease(kind))["lease"]
    body = {"lease": lease, **released}
    assert (await api.post(f"/release/{kind}/{queue_id}/{job_id}/", body)).status == 200


async def dead(api: Api, kind: str, query: str = "") -> list[Document]:
    reply = await api.get(f"/dead/{kind}/?{query}")
    assert reply.status == 200, reply.json
    assert reply.json["cursor"] is None
    jobs: list[Document] = reply.json["jobs"]
    return jobs


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


class TestExpiry:
    async def test_an_expired_job_is_a_dead_letter_with_its_reason(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", expires=300)
        await asyncio.sleep(0.4)
        assert (await api.nothing(kind)) == {"blocked_by": "empty"}
        found = await job(api, kind, "a")
        assert (found["state"], found["reason"], found["attempt"]) == ("dead", "expired", 0)
        assert found["dead_at"] >= found["enqueued_at"] + 300
        (letter,) = await dead(api, kind)
        assert (letter["job_id"], letter["reason"]) == ("a", "expired")
        assert (await api.post(f"/dead/{kind}/1/a/redrive/")).status == 200
        assert (await api.lease(kind))["expires_at"] is None

    async def test_an_expired_job_that_is_dropped_is_remembered(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", expires_at=now_ms() + 300, on_expiry="drop")
        await asyncio.sleep(0.4)
        await api.nothing(kind)
        assert await api.state(kind, "a") == "expired"
        assert await dead(api, kind) == []
        again = await api.post(f"/enqueue/{kind}/1/", {"job_id": "a", "payload": 1, "repeat": True})
        assert again.json["duplicate"] is True
        assert (await cancel(api, kind, "a")).status == 404

    async def test_a_lease_may_outlive_the_expiry(self, api: Api, kind: str) -> None:
        expires_at = now_ms() + 600
        await api.enqueue(kind, job_id="a", expires_at=expires_at)
        leased = await api.lease(kind)
        assert leased["expires_at"] == expires_at
        await asyncio.sleep(0.7)
        assert (await api.post(f"/finish/{kind}/1/a/", {"lease": leased["lease"]})).status == 200

    @pytest.mark.parametrize("fields", [{"expires": 1000}, {"expires_at": 1}], ids=repr)
    async def test_a_job_that_expires_before_it_is_due_is_refused(
        self, api: Api, kind: str, fields: Document
    ) -> None:
        (name,) = fields
        body = {"interval": 0, "payload": 1, "delay": 5000, **fields}
        await api.refused(f"/enqueue/{kind}/1/", body, name)
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


class TestCancel:
    async def test_waiting_and_dead_jobs_are_cancelled_and_remembered(self, api: Api, kind: str) -> None:
        await kill(api, kind, "dead")
        await api.enqueue(kind, job_id="queued")
        await api.enqueue(kind, job_id="delayed", delay=HOUR_MS)
        for state in ("queued", "delayed", "dead"):
            assert (await cancel(api, kind, state)).json == {"status": "success", "was": state}
            assert (await cancel(api, kind, state)).json["was"] == "cancelled"
            assert await api.state(kind, state) == "cancelled"
            body = {"job_id": state, "payload": 1, "repeat": True}
            assert (await api.post(f"/enqueue/{kind}/1/", body)).json["duplicate"] is True
        assert await dead(api, kind) == []
        queue = await api.queue(kind)
        assert (queue["queued"], queue["delayed"], queue["dead"]) == (0, 0, 0)
        again = await api.post(f"/enqueue/{kind}/1/", {"job_id": "queued", "payload": 1})
        assert again.json == {"status": "queued"}

    async def test_a_leased_job_is_cancelled_by_force_only(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        lease = {"lease": (await api.lease(kind))["lease"]}
        reply = await cancel(api, kind, "a")
        assert (reply.status, reply.json["code"]) == (409, "leased")
        assert await api.state(kind, "a") == "leased"
        assert (await cancel(api, kind, "a", "?force=true")).json["was"] == "leased"
        for verb, body in (("finish", lease), ("release", lease), ("extend", {**lease, "by": 1000})):
            lost = await api.post(f"/{verb}/{kind}/1/a/", body)
            assert (lost.status, lost.json["code"]) == (409, "lease_lost")
        assert await api.state(kind, "a") == "cancelled"

    async def test_unknown_and_finished_jobs_are_not_found(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        await api.post(f"/finish/{kind}/1/a/", {"lease": (await api.lease(kind))["lease"]})
        for job_id in ("a", "nobody"):
            reply = await cancel(api, kind, job_id)
            assert (reply.status, reply.json["code"]) == (404, "not_found")

    async def test_a_bulk_cancellation_answers_for_each_job(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="leased")
        await api.lease(kind)
        await api.enqueue(kind, job_id="queued")
        entries: list[Document] = [
            {"queue_type": kind, "queue_id": "1", "job_id": job_id}
            for job_id in ("queued", "leased", "nobody", "b a d")
        ]
        reply = (await api.post("/cancel/", {"jobs": entries})).json
        assert [result.get("was") or result["code"] for result in reply["results"]] == [
            "queued",
            "leased",
            "not_found",
            "invalid_request",
        ]
        assert reply["failed"] == 3
        assert reply["results"][3]["message"].startswith("jobs[3].job_id: ")
        forced = {"jobs": [{**entries[1], "force": True}]}
        assert (await api.post("/cancel/", forced)).json["results"] == [
            {"status": "success", "was": "leased"}
        ]

    async def test_a_prefix_cancels_the_waiting_jobs_of_one_queue(self, api: Api, kind: str) -> None:
        names = [f"c7-{number}" for number in range(250)] + [f"c8-{number}" for number in range(50)]
        entries = [
            {"queue_type": kind, "queue_id": queue_id, "job_id": name, "payload": 1, "interval": 0}
            for name in names
            for queue_id in ("1", "2")
        ]
        await api.post("/enqueue/", {"jobs": entries})
        await api.enqueue(kind, job_id="c7-delayed", delay=HOUR_MS)
        reply = await api.post(f"/queue/{kind}/1/cancel/", {"prefix": "c7-"})
        assert reply.json == {"status": "success", "cancelled": 251}
        assert await ids(api, kind) == [f"c8-{number}" for number in range(50)]
        assert (await api.queue(kind, "2"))["queued"] == 300
        assert (await api.post(f"/queue/{kind}/1/cancel/", {"prefix": "c7-"})).json["cancelled"] == 0
        assert (await api.post(f"/queue/{kind}/2/cancel/", {"prefix": ""})).json["cancelled"] == 300
        assert (await api.post(f"/queue/{kind}/nobody/cancel/", {"prefix": ""})).json["cancelled"] == 0


class TestChange:
    async def test_a_waiting_job_is_changed_and_keeps_its_place(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id)
        fields = {"payload": {"n": [1, 2]}, "cost": 3, "expires": HOUR_MS}
        changed = (await change(api, kind, "a", **fields)).json
        assert (changed["payload"], changed["cost"], changed["position"]) == ({"n": [1, 2]}, 3, 1)
        assert 0 <= changed["expires_at"] - HOUR_MS - changed["enqueued_at"] < 60_000
        assert changed == await job(api, kind, "a")
        assert "expires_at" not in (await change(api, kind, "a", expires_at=None)).json
        leased = await api.lease(kind)
        assert (leased["job_id"], leased["payload"], leased["cost"]) == ("a", {"n": [1, 2]}, 3)

    async def test_a_change_of_priority_or_time_moves_the_job(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b", "c"):
            await api.enqueue(kind, job_id=job_id)
        assert (await change(api, kind, "c", priority=1)).json["position"] == 1
        at = now_ms() + HOUR_MS
        assert (await change(api, kind, "a", at=at)).json["delayed_until"] == at
        assert await ids(api, kind) == ["c", "b"]
        assert (await change(api, kind, "a", delay=0)).json["position"] == 3

    async def test_a_job_that_does_not_wait_is_not_changed(self, api: Api, kind: str) -> None:
        await kill(api, kind, "dead")
        await api.enqueue(kind, job_id="finished")
        await api.post(f"/finish/{kind}/1/finished/", {"lease": (await api.lease(kind))["lease"]})
        await api.enqueue(kind, job_id="cancelled")
        await cancel(api, kind, "cancelled")
        await api.enqueue(kind, job_id="leased")
        await api.lease(kind)
        for state in ("dead", "finished", "cancelled", "leased"):
            reply = await change(api, kind, state, priority=1)
            assert (reply.status, reply.json["code"]) == (409, "not_waiting"), state
            assert await api.state(kind, state) == state
        assert (await change(api, kind, "nobody", priority=1)).status == 404

    async def test_a_change_after_which_the_job_would_expire_early_names_the_field(
        self, api: Api, kind: str
    ) -> None:
        await api.enqueue(kind, job_id="a", expires=HOUR_MS, delay=1000)
        for field, fields in (
            ("expires_at", {"expires_at": 1}),
            ("expires", {"expires": 1000, "delay": 2000}),
            ("delay", {"delay": 2 * HOUR_MS}),
            ("at", {"at": now_ms() + 2 * HOUR_MS}),
        ):
            reply = await change(api, kind, "a", **fields)
            assert reply.status == 400, reply.json
            assert reply.json["message"].startswith(f"{field}: ")
        assert (await job(api, kind, "a"))["state"] == "delayed"


class TestLists:
    async def test_the_jobs_of_a_queue_are_listed_by_state_and_prefix(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="held-1")
        leased = await api.lease(kind)
        for job_id, priority in (("x-2", 5), ("y-1", 1), ("x-1", 5), ("x-3", 9)):
            await api.enqueue(kind, job_id=job_id, priority=priority)
        for job_id, delay in (("late", 2 * HOUR_MS), ("soon", HOUR_MS)):
            await api.enqueue(kind, job_id=job_id, delay=delay)
        assert await ids(api, kind) == ["y-1", "x-2", "x-1", "x-3"]
        assert await ids(api, kind, "prefix=x-") == ["x-2", "x-1", "x-3"]
        assert await ids(api, kind, "state=delayed") == ["late", "soon"]
        assert await ids(api, kind, "state=leased") == ["held-1"]
        assert await ids(api, kind, "state=leased&prefix=x") == []
        (row,) = (await api.get(f"/queue/{kind}/1/jobs/?state=leased")).json["jobs"]
        assert row["lease_expires_at"] == leased["lease_expires_at"]
        assert row == {**{k: v for k, v in (await job(api, kind, "held-1")).items() if k != "status"}, **row}
        assert (await api.get(f"/queue/{kind}/nobody/jobs/")).json["jobs"] == []

    @pytest.mark.parametrize("state", ["queued", "delayed", "leased"])
    async def test_pages_have_every_job(self, api: Api, kind: str, state: str) -> None:
        delay = {"delay": HOUR_MS} if state == "delayed" else {}
        entries = [
            {"queue_type": kind, "queue_id": "1", "job_id": f"{n:03}", "payload": n, "interval": 0, **delay}
            for n in range(250)
        ]
        await api.post("/enqueue/", {"jobs": entries})
        if state == "leased":
            await api.get(f"/dequeue/{kind}/?count=250")
        found = await ids(api, kind, f"state={state}&limit=70")
        expected = [f"{n:03}" for n in range(250)]
        assert sorted(set(found)) == expected
        if state != "leased":
            assert found == expected
        assert len((await api.get(f"/queue/{kind}/1/jobs/?state={state}&limit=7")).json["jobs"]) >= 7


class TestDeadLetters:
    async def test_the_letters_of_one_queue_are_listed(self, api: Api, kind: str) -> None:
        for queue_id in ("1", "2", "3"):
            for job_id in ("a", "b"):
                await kill(api, kind, job_id, queue_id)
        assert len(await dead(api, kind)) == 6
        found = await dead(api, kind, "queue_id=2")
        assert [(letter["queue_id"], letter["job_id"]) for letter in found] == [("2", "a"), ("2", "b")]
        page = (await api.get(f"/dead/{kind}/?queue_id=2&limit=1")).json
        assert [letter["job_id"] for letter in page["jobs"]] == ["a"]
        rest = await dead(api, kind, f"queue_id=2&cursor={page['cursor']}")
        assert [letter["job_id"] for letter in rest] == ["b"]
        assert await dead(api, kind, "queue_id=nobody") == []

    async def test_one_letter_is_dropped_or_redriven(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b"):
            await kill(api, kind, job_id)
        assert (await api.delete(f"/dead/{kind}/1/a/")).json == {"status": "success"}
        assert [letter["job_id"] for letter in await dead(api, kind)] == ["b"]
        assert (await api.post(f"/dead/{kind}/1/b/redrive/")).json == {"status": "success"}
        assert (await job(api, kind, "b"))["state"] == "queued"
        for reply in (
            await api.delete(f"/dead/{kind}/1/b/"),
            await api.post(f"/dead/{kind}/1/b/redrive/"),
        ):
            assert (reply.status, reply.json["code"]) == (404, "not_found")

    async def test_a_letter_whose_id_is_live_again_is_not_redriven(self, api: Api, kind: str) -> None:
        await kill(api, kind, "a")
        await api.enqueue(kind, job_id="a")
        reply = await api.post(f"/dead/{kind}/1/a/redrive/")
        assert (reply.status, reply.json["code"]) == (409, "duplicate")
        assert len(await dead(api, kind)) == 1
