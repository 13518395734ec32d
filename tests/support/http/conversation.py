"""One script of HTTP calls, and its answers without what differs from run to run: what every deployment must answer
alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from tests.support.http.contract import Api, Document, Reply

PASSING = frozenset(
    {
        "lease",
        "lease_expires_at",
        "enqueued_at",
        "dead_at",
        "expires_at",
        "error_at",
        "delayed_until",
        "oldest_age",
        "next_ready_in",
        "cursor",
        "message",
    }
)
"""Fields that depend on the clock, on chance, or are words; their kind is kept."""

Told = tuple[str, str, int, Any]
"""Method, path, status and answer of one call."""


class Conversation:
    """Calls that go to one router after the other.

    Attributes:
        told: what was answered so far.
    """

    def __init__(self, routers: Sequence[Api], kind: str) -> None:
        self.told: list[Told] = []
        self._routers = cycle(routers)
        self._kind = kind
        self._counted_before = 0

    async def say(self, method: str, path: str, body: object = None) -> Document:
        """Send one call to the next router; KIND in its path is the queue type."""
        reply: Reply = await next(self._routers).call(method, path.replace("KIND", self._kind), body)
        self.told.append((method, path, reply.status, self._normalize("", reply.json)))
        return reply.json

    async def run(self) -> None:
        """Say all of it, within ten minutes of the server's first job."""
        counts = (await next(self._routers).get("/metrics/")).json
        self._counted_before = sum(counts["enqueue_counts"].values())
        await self._operations()
        await self._original()
        await self._leases()
        await self._bulks()
        await self._queues()
        await self._dead_letters()
        await self._single_jobs()
        await self._mistakes()

    async def _operations(self) -> None:
        for path in ("/", "/healthz", "/readyz", "/deepstatus/", "/nowhere/"):
            await self.say("GET", path)

    async def _original(self) -> None:
        job = {"job_id": "a", "interval": 0, "payload": {"text": "hello"}, "requeue_limit": 2}
        await self.say("GET", "/dequeue/KIND/")
        await self.say("POST", "/enqueue/KIND/1/", job)
        await self.say("POST", "/enqueue/KIND/1/", job)
        full = {"job_id": "b", "interval": 0, "payload": {"max_queued_length": 1}}
        await self.say("POST", "/enqueue/KIND/1/", full)
        await self.say("GET", "/metrics/KIND/")
        await self.say("GET", "/metrics/KIND/1/")
        await self.say("GET", "/dequeue/KIND/")
        await self.say("GET", "/dequeue/KIND/")
        await self.say("POST", "/interval/KIND/1/", {"interval": 5})
        await self.say("POST", "/interval/KIND/none/", {"interval": 5})
        await self.say("POST", "/finish/KIND/1/a/")
        await self.say("POST", "/finish/KIND/1/a/")
        await self._all_counts()
        await self.say("DELETE", "/deletequeue/KIND/1/", {"purge_all": True})

    async def _all_counts(self) -> None:
        """Return the counts of everything that the server did; the caller takes away what it did before."""
        counts = await self.say("GET", "/metrics/")
        self.told.pop()
        added = sum(counts["enqueue_counts"].values()) - self._counted_before
        self.told.append(
            ("GET", "/metrics/", added, (len(counts["enqueue_counts"]), self._kind in counts["queue_types"]))
        )

    async def _leases(self) -> None:
        job = {"interval": 0, "payload": [1, None, "x"]}
        for job_id in ("f", "e", "r"):
            await self.say("POST", f"/enqueue/KIND/{job_id}/", {"job_id": job_id, **job})
            leased = await self.say("POST", "/dequeue/KIND/?wait=5000&lease=30000")
            lease = {"lease": leased["lease"]}
            await self.say("POST", f"/extend/KIND/{job_id}/{job_id}/", {**lease, "by": 60000})
            await self.say("GET", f"/job/KIND/{job_id}/{job_id}/")
            if job_id == "r":
                await self.say("POST", "/release/KIND/r/r/", lease)
                await self.say("POST", "/dequeue/KIND/?wait=5000")
                await self.say("POST", "/finish/KIND/r/r/", lease)
            else:
                await self.say("POST", f"/finish/KIND/{job_id}/{job_id}/", lease)
                await self.say("POST", f"/finish/KIND/{job_id}/{job_id}/", lease)
        await self.say("POST", "/finish/KIND/r/r/")
        await self.say("POST", "/enqueue/KIND/d/", {"job_id": "late", "delay": 60000, **job})
        await self.say("GET", "/job/KIND/d/late/")
        await self.say("GET", "/job/KIND/d/none/")

    async def _bulks(self) -> None:
        jobs = [
            {
                "queue_type": self._kind,
                "queue_id": f"q{number}",
                "job_id": f"j{number}",
                "interval": 0,
                "payload": number,
            }
            for number in range(20)
        ]
        jobs[7] = {**jobs[7], "queue_id": "not an id"}
        await self.say("POST", "/enqueue/", {"jobs": jobs})
        await self.say("GET", "/metrics/KIND/?limit=1000")
        ends: list[Document] = []
        while len(ends) < 19:
            taken = await self.say("POST", "/dequeue/KIND/?count=100&wait=5000")
            ends += [
                {"queue_type": self._kind, "queue_id": j["queue_id"], "job_id": j["job_id"]}
                for j in taken["jobs"]
            ]
            self.told.pop()  # how many come at a time is nobody's promise
        ends.sort(key=lambda end: end["job_id"])
        await self.say("POST", "/finish/", {"jobs": [*ends, {**ends[0], "job_id": "none"}]})

    async def _queues(self) -> None:
        await self.say("GET", "/queue/KIND/p/")
        await self.say("POST", "/interval/KIND/p/", {"interval": 33.5, "burst": 2, "pin": True})
        await self.say("POST", "/enqueue/KIND/p/", {"job_id": "p", "interval": 1, "payload": 0})
        await self.say("POST", "/queue/KIND/p/pause/")
        await self.say("GET", "/queue/KIND/p/")
        await self.say("GET", "/dequeue/KIND/")
        await self.say("POST", "/queue/KIND/p/resume/")
        await self.say("POST", "/queue/KIND/none/pause/")
        await self.say("DELETE", "/deletequeue/KIND/p/")
        await self.say("DELETE", "/deletequeue/KIND/p/")

    async def _dead_letters(self) -> None:
        await self.say(
            "POST", "/enqueue/KIND/x/", {"job_id": "x", "interval": 0, "payload": 0, "requeue_limit": 0}
        )
        leased = await self.say("POST", "/dequeue/KIND/?wait=5000")
        await self.say("POST", "/release/KIND/x/x/", {"lease": leased["lease"]})
        await self.say("GET", "/dead/KIND/")
        await self.say("POST", "/dead/KIND/redrive/")
        await self.say("GET", "/job/KIND/x/x/")
        leased = await self.say("POST", "/dequeue/KIND/?wait=5000")
        await self.say("POST", "/release/KIND/x/x/", {"lease": leased["lease"]})
        await self.say("DELETE", "/dead/KIND/")
        await self.say("GET", "/dead/KIND/")

    async def _single_jobs(self) -> None:
        life = {
            "priority": 2,
            "expires": 3_600_000,
            "on_expiry": "drop",
            "retry": {"delay": 0, "jitter": 0.5},
        }
        await self.say("POST", "/enqueue/KIND/s/", {"job_id": "s", "interval": 0, "payload": 0, **life})
        await self.say("GET", "/job/KIND/s/s/")
        await self.say("PATCH", "/job/KIND/s/s/", {"priority": 1, "payload": {"n": 1}})
        leased = await self.say("POST", "/dequeue/KIND/?wait=5000")
        await self.say("PATCH", "/job/KIND/s/s/", {"priority": 3})
        await self.say("DELETE", "/job/KIND/s/s/")
        await self.say("POST", "/release/KIND/s/s/", {"lease": leased["lease"], "error": "busy"})
        await self.say("GET", "/queue/KIND/s/jobs/")
        await self.say("DELETE", "/job/KIND/s/s/")
        await self.say("DELETE", "/job/KIND/s/s/")
        await self.say("GET", "/job/KIND/s/s/")
        entry = {"queue_type": self._kind, "queue_id": "s", "job_id": "s"}
        await self.say("POST", "/cancel/", {"jobs": [entry, {**entry, "job_id": "none"}]})
        await self.say("POST", "/queue/KIND/s/cancel/", {"prefix": "s"})
        await self.say("GET", "/dead/KIND/?queue_id=s")
        await self.say("DELETE", "/dead/KIND/s/s/")
        await self.say("POST", "/dead/KIND/s/s/redrive/")
        await self.say("POST", "/queue/KIND/s/", {"retry": {"delay": 5}, "expires": 1000, "on_expiry": None})

    async def _mistakes(self) -> None:
        await self.say("POST", "/enqueue/KIND/1/", {"job_id": "a", "interval": -1, "payload": 0})
        await self.say("POST", "/enqueue/KIND/new/", {"job_id": "a", "payload": 0})
        await self.say("POST", "/enqueue/KIND/1/", b"{")
        await self.say("POST", "/finish/KIND/1/a/", {"lease": "no lease"})
        await self.say("GET", "/dequeue/KIND/?count=0")
        await self.say("GET", "/metrics/KIND/?cursor=nonsense")
        await self.say("DELETE", "/healthz")

    def _normalize(self, name: str, value: Any) -> Any:
        """Return a value that is equal for equal behaviour; counts by minute become their number and their sum."""
        if name.endswith("_counts"):
            return len(value), sum(value.values())
        if name in PASSING:
            return type(value).__name__
        if name == "queue_ids":
            return sorted(value)
        if isinstance(value, dict):
            return {key: self._normalize(key, item) for key, item in value.items()}
        return [self._normalize("", item) for item in value] if isinstance(value, list) else value
