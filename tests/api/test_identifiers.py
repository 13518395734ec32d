"""Ids with `:` and `/` through every call that takes one: no two jobs, queues or batches are ever taken for one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import quote

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Reply, Server, open_raw

PAIRS = [
    ("a:b", "c"),
    ("a", "b:c"),
    ("a:b:c", "c"),
    ("a", "c"),
    ("a", ":c"),
    ("a:", "c"),
    (":a", "c"),
    ("a/b", "c"),
    ("a", "b/c"),
    ("a:/b", "c:d"),
    ("a.b", "c"),
]
"""Queue and job ids. Joined with a colon or a slash, some of them are the same."""

FOLDED = ["a//b", "/a", "a/", "a/../b", "./a", "a/.", "..", "/"]
"""A proxy that decodes `%2F` makes another path of these."""

Pair = tuple[str, str]


class Calls:
    """An Api whose paths are made of a template and ids, and which remembers the templates.

    Attributes:
        used: the method and the template of each call so far.
    """

    def __init__(self, api: Api, kind: str) -> None:
        self.api = api
        self.kind = kind
        self.used: set[tuple[str, str]] = set()

    async def send(
        self, method: str, template: str, body: object = None, query: str = "", **ids: str
    ) -> Reply:
        self.used.add((method, template))
        ids = {"queue_type": self.kind, **ids}
        path = re.sub(r"{(\w+)}", lambda part: quote(ids[part[1]], safe=""), template)
        return await self.api.call(method, path + query, body)

    async def done(
        self, method: str, template: str, body: object = None, query: str = "", **ids: str
    ) -> Document:
        """Send a call that succeeds, and return its answer."""
        reply = await self.send(method, template, body, query, **ids)
        assert reply.status < 300, (method, template, ids, reply.json)
        return reply.json

    async def about(self, method: str, template: str, pair: Pair, body: object = None) -> Document:
        """Send a call about one job that succeeds, and return its answer."""
        return await self.done(method, template, body, queue_id=pair[0], job_id=pair[1])

    async def bulk(self, verb: str, entries: Sequence[Document]) -> list[Document]:
        answer = await self.done("POST", f"/{verb}/", {"jobs": entries})
        assert answer.get("failed", 0) == 0, answer
        results: list[Document] = answer["results"]
        return results

    def entry(self, pair: Pair, **more: object) -> Document:
        return {"queue_type": self.kind, "queue_id": pair[0], "job_id": pair[1], **more}

    async def enqueue(self, pair: Pair, **more: object) -> Document:
        body = {"job_id": pair[1], "payload": list(pair), "interval": 0, "requeue_limit": 0, **more}
        return await self.done("POST", "/enqueue/{queue_type}/{queue_id}/", body, queue_id=pair[0])

    async def lease_all(self, pairs: Sequence[Pair]) -> dict[Pair, str]:
        """Lease these jobs, which are all that wait, and return their leases."""
        leases: dict[Pair, str] = {}
        while len(leases) < len(pairs):
            answer = await self.done("GET", "/dequeue/{queue_type}/", query="?count=100&wait=5000")
            for job in answer["jobs"]:
                pair = job["queue_id"], job["job_id"]
                assert job["payload"] == list(pair)
                leases[pair] = job["lease"]
        assert leases.keys() == set(pairs)
        return leases

    async def states(self, pairs: Sequence[Pair]) -> list[str]:
        jobs = [await self.about("GET", "/job/{queue_type}/{queue_id}/{job_id}/", pair) for pair in pairs]
        return [job["state"] for job in jobs]

    async def dead(self, query: str = "") -> list[Pair]:
        """Return all dead letters, one a page."""
        found: list[Pair] = []
        cursor: str | None = ""
        while cursor is not None:
            page = f"?limit=1&{query}" + (f"&cursor={quote(cursor)}" if cursor else "")
            answer = await self.done("GET", "/dead/{queue_type}/", query=page)
            found += [(job["queue_id"], job["job_id"]) for job in answer["jobs"]]
            cursor = answer["cursor"]
        return found


@pytest.fixture(params=["", "~x"], ids=["plain", "gathered"])
async def calls(
    server: Server, http: aiohttp.ClientSession, kind: str, request: pytest.FixtureRequest
) -> Calls:
    """Calls about a plain type, or about one that has all its queues in one partition."""
    return Calls(await Api.open(server.url, http), kind + request.param)


async def _leases(calls: Calls) -> None:
    for pair in PAIRS:
        assert "duplicate" not in await calls.enqueue(pair)
    again = [calls.entry(pair, payload=0) for pair in PAIRS]
    assert [result["duplicate"] for result in await calls.bulk("enqueue", again)] == [True] * len(PAIRS)
    leases = await calls.lease_all(PAIRS)
    path = "/{queue_type}/{queue_id}/{job_id}/"
    for number, pair in enumerate(PAIRS):
        lease = leases[pair]
        await calls.about(
            "POST", f"/extend{path}", pair, {"lease": lease, "by": 60_000, "progress": list(pair)}
        )
        await calls.bulk("extend", [calls.entry(pair, lease=lease, by=60_000)])
        job = await calls.about("GET", f"/job{path}", pair)
        assert (job["state"], job["payload"], job["progress"]) == ("leased", list(pair), list(pair))
        if number % 2:
            await calls.about("POST", f"/finish{path}", pair, {"lease": lease, "result": list(pair)})
        else:
            await calls.bulk("finish", [calls.entry(pair, lease=lease, result=list(pair))])
        states = ["finished"] * (number + 1) + ["leased"] * (len(PAIRS) - number - 1)
        assert await calls.states(PAIRS) == states
    for pair in PAIRS:
        assert (await calls.about("GET", f"/job{path}", pair))["result"] == list(pair)
        assert (await calls.enqueue(pair, repeat=True))["duplicate"] is True


async def _queues(calls: Calls) -> None:
    counts = {queue_id: sum(other == queue_id for other, _ in PAIRS) for queue_id, _ in PAIRS}
    for pair in PAIRS:
        await calls.enqueue(pair, job_id=f"{pair[1]}.")
    queue = "/queue/{queue_type}/{queue_id}/"
    for number, (queue_id, count) in enumerate(counts.items()):
        state = await calls.done("GET", queue, queue_id=queue_id)
        assert (state["queued"], state["interval"], state["paused"]) == (count, 0, False)
        await calls.done(
            "POST", "/interval/{queue_type}/{queue_id}/", {"interval": number}, queue_id=queue_id
        )
        await calls.done("POST", queue, {"weight": number + 1}, queue_id=queue_id)
        await calls.done("POST", f"{queue}pause/", queue_id=queue_id)
        counted = await calls.done("GET", "/metrics/{queue_type}/{queue_id}/", queue_id=queue_id)
        assert counted["queue_length"] == count
    for number, queue_id in enumerate(counts):
        state = await calls.done("GET", queue, queue_id=queue_id)
        assert (state["interval"], state["weight"], state["paused"]) == (number, number + 1, True)
        await calls.done("POST", queue, {"interval": 0, "weight": None}, queue_id=queue_id)
        await calls.done("POST", f"{queue}resume/", queue_id=queue_id)
    listed = await calls.done("GET", "/metrics/{queue_type}/")
    assert sorted(listed["queue_ids"]) == sorted(counts)
    rows = await calls.done("GET", "/queues/{queue_type}/")
    assert {row["queue_id"]: row["queued"] for row in rows["queues"]} == counts
    for by in ("age", "depth"):
        top = await calls.done("GET", "/top/{queue_type}/", query=f"?by={by}&limit=100")
        assert {row["queue_id"] for row in top["queues"]} == counts.keys()
    remaining = dict(counts)
    for queue_id in counts:
        await calls.done("DELETE", "/deletequeue/{queue_type}/{queue_id}/", queue_id=queue_id)
        remaining[queue_id] = 0
        for other, count in remaining.items():
            assert (await calls.done("GET", queue, queue_id=other))["queued"] == count


async def _jobs(calls: Calls) -> None:
    path, listing = "/job/{queue_type}/{queue_id}/{job_id}/", "/queue/{queue_type}/{queue_id}/jobs/"
    pairs = [(queue_id, f"x{job_id}") for queue_id, job_id in PAIRS]
    for pair in pairs:
        await calls.enqueue(pair, delay=3_600_000)
    for pair in pairs:
        await calls.about("PATCH", path, pair, {"payload": ["changed", *pair]})
    for pair in pairs:
        assert (await calls.about("GET", path, pair))["payload"] == ["changed", *pair]
        query = f"?state=delayed&prefix={quote(pair[1], safe='')}"
        rows = (await calls.done("GET", listing, query=query, queue_id=pair[0]))["jobs"]
        wanted = [job_id for queue_id, job_id in pairs if queue_id == pair[0] and job_id.startswith(pair[1])]
        assert [row["job_id"] for row in rows] == wanted
    for number, pair in enumerate(pairs):
        if number % 3 == 0:
            await calls.about("DELETE", path, pair)
        elif number % 3 == 1:
            await calls.bulk("cancel", [calls.entry(pair)])
        else:
            prefix = {"prefix": pair[1]}
            answer = await calls.done(
                "POST", "/queue/{queue_type}/{queue_id}/cancel/", prefix, queue_id=pair[0]
            )
            assert answer["cancelled"] == 1
        states = ["cancelled"] * (number + 1) + ["delayed"] * (len(pairs) - number - 1)
        assert await calls.states(pairs) == states


async def _dead_letters(calls: Calls) -> None:
    pairs = [(queue_id, f"d{job_id}") for queue_id, job_id in PAIRS]
    for pair in pairs:
        await calls.enqueue(pair)
    leases = await calls.lease_all(pairs)
    for pair in pairs:
        release = "/release/{queue_type}/{queue_id}/{job_id}/"
        await calls.about("POST", release, pair, {"lease": leases[pair], "error": f"no {pair}"})
    assert sorted(await calls.dead()) == sorted(pairs)
    for queue_id, _ in pairs:
        own = [pair for pair in pairs if pair[0] == queue_id]
        assert sorted(await calls.dead(f"queue_id={quote(queue_id, safe='')}")) == sorted(own)
        state = await calls.done("GET", "/queue/{queue_type}/{queue_id}/", queue_id=queue_id)
        assert state["dead"] == len(own)
    letter = "/dead/{queue_type}/{queue_id}/{job_id}/"
    first, second, *others = pairs
    await calls.about("POST", f"{letter}redrive/", first)
    named = {"jobs": [{"queue_id": second[0], "job_id": second[1]}]}
    await calls.done("POST", "/dead/{queue_type}/redrive/", named)
    assert await calls.states(pairs) == ["queued"] * 2 + ["dead"] * len(others)
    await calls.lease_all([first, second])
    for pair in others:
        await calls.about("DELETE", letter, pair)
        assert pair not in await calls.dead()
    assert await calls.dead() == []
    assert await calls.states([first, second]) == ["leased"] * 2


async def _batches(calls: Calls) -> None:
    batches = ["b:1", "b/1", "b", "b:", ":b", "n", ":n"]
    for number, batch in enumerate(batches):
        for copy in range(number + 1):
            await calls.enqueue(("a:b", f"b{number}.{copy}"), batch=batch, delay=3_600_000)
    path = "/batch/{queue_type}/{batch}/"
    for number, batch in enumerate(batches):
        assert (await calls.done("GET", path, batch=batch))["delayed"] == number + 1
    for number, batch in enumerate(batches):
        assert (await calls.done("POST", f"{path}cancel/", batch=batch))["cancelled"] == number + 1
        for other in batches[number + 1 :]:
            assert (await calls.done("GET", path, batch=other))["cancelled"] == 0


async def test_no_call_takes_one_job_queue_or_batch_for_another(calls: Calls) -> None:
    for part in (_leases, _queues, _jobs, _dead_letters, _batches):
        await part(calls)
    with_ids = {
        (method.upper(), path)
        for path, operations in calls.api.document["paths"].items()
        for method in operations
        if re.search("{(queue_id|job_id|batch)}", path)
    }
    assert with_ids - calls.used == set()


async def test_a_schedule_enqueues_into_a_queue_with_such_an_id(calls: Calls) -> None:
    body = {
        "every": 1000,
        "job": {"queue_type": calls.kind, "queue_id": "t:4/2", "payload": 1, "interval": 0},
    }
    name = {"schedule": calls.kind.replace("~", ".")}
    await calls.done("PUT", "/schedule/{schedule}/", body, **name)
    job = await calls.done("GET", "/dequeue/{queue_type}/", query="?wait=5000")
    assert (job["queue_id"], job["job_id"].partition("@")[0]) == ("t:4/2", name["schedule"])
    state = await calls.done("GET", "/schedule/{schedule}/", **name)
    assert state["job"]["queue_id"] == "t:4/2"
    await calls.done("DELETE", "/schedule/{schedule}/", **name)


@pytest.mark.parametrize("identifier", FOLDED)
@pytest.mark.parametrize("field", ["queue_id", "job_id"])
async def test_what_a_proxy_would_fold_is_refused_by_name(calls: Calls, field: str, identifier: str) -> None:
    ids = {"queue_id": "q", "job_id": "j", field: identifier}
    reply = await calls.send("POST", "/finish/{queue_type}/{queue_id}/{job_id}/", **ids)
    message = "but no part between slashes may be empty, . or ..; it is in the path"
    assert (reply.status, reply.json["code"]) == (400, "invalid_request")
    assert reply.json["message"].startswith(f"{field}: expected 1 to 100 characters")
    assert message in reply.json["message"]
    in_bulk = await calls.done("POST", "/enqueue/", {"jobs": [{"queue_type": "t", "payload": 1, **ids}]})
    assert in_bulk["results"][0]["message"].startswith(f"jobs[0].{field}: expected a string")


@pytest.mark.parametrize(
    ("sent", "status", "queue_id"),
    [
        ("tenant:42", 201, "tenant:42"),
        ("tenant%3A42", 201, "tenant:42"),
        ("tenant%3a42", 201, "tenant:42"),
        ("a%2Fb", 201, "a/b"),
        ("a%2fb", 201, "a/b"),
        ("a%252Fb", 400, None),
        ("%2e%2e%2fa", 400, None),
        ("%2E%2E", 400, None),
        ("a%2F%2Fb", 400, None),
        ("a/b", 404, None),
        ("a/../b", 404, None),
        ("a//b", 404, None),
    ],
)
async def test_a_path_is_split_before_it_is_decoded(
    calls: Calls, sent: str, status: int, queue_id: str | None
) -> None:
    """Byte for byte as sent: an HTTP library may fold the path."""
    reader, writer = await open_raw(calls.api.url)
    body = b'{"job_id": "j", "payload": 1, "interval": 0}'
    head = (
        f"POST /enqueue/{calls.kind}/{sent}/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    )
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert int(answer.split()[1]) == status, answer
    if queue_id is not None:
        job = await calls.done("GET", "/dequeue/{queue_type}/")
        assert job["queue_id"] == queue_id
    else:
        listed = await calls.done("GET", "/metrics/{queue_type}/")
        assert listed["queue_ids"] == []
