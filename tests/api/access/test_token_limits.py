"""Tokens with limits: what their lists, counts and metrics show, how much they may send, and how their words change."""

from __future__ import annotations

import operator
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import pytest

from router.access.token_file import new_token
from router.access.words import parse_line
from sharq_client import EnqueueJob, errors
from sharq_client.cli.exits import Exit
from sharq_server.token_file import add_token, remove_token
from tests.support.http.roles import Roles
from tests.support.processes.sharq import Sharq
from tests.support.waits import until_answer


def reloads_of(roles: Roles) -> Callable[[], Awaitable[int]]:
    """Return the function that counts the reloads so far."""

    async def count() -> int:
        return roles.server.log.count(" reloaded ")

    return count


async def test_lists_counts_and_metrics_show_only_the_types_of_the_token(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    shown = ("sms", "sms-list", "voice~x")
    names = {*shown, "mail-list", "voice~y", "a-first"}
    async with roles.client("all") as client:
        for name in names:
            await client.enqueue(EnqueueJob(queue_type=name, queue_id="list", payload=1, interval=0))
            if "~" not in name:
                job = {"queue_type": name, "queue_id": "q", "payload": 1, "interval": 0}
                schedule = {"every": 3_600_000, "job": job}
                await roles.ask(http, "all", "PUT", f"/schedule/of-{name}/", schedule)

    async def get(name: str, path: str) -> Any:
        return (await roles.ask(http, name, "GET", path))[1]

    async def types(name: str) -> set[str]:
        return {row["queue_type"] for row in (await get(name, "/types/"))["types"]}

    await until_answer(lambda: types("all"), lambda found: names <= found)
    assert not await types("sms") - {"sms", "sms2", "sms-list", "voice~x", "sms~x", "sms2~x"}
    assert set(shown) <= await types("sms")
    page = await get("sms", "/types/?limit=2")
    assert len(page["types"]) == 2
    assert page["cursor"] == page["types"][-1]["queue_type"]
    rest = await get("sms", f"/types/?limit=1000&cursor={page['cursor']}")
    assert rest["cursor"] is None
    assert {row["queue_type"] for row in page["types"] + rest["types"]} == await types("sms")

    counts = await get("sms", "/metrics/")
    assert set(shown) <= set(counts["queue_types"])
    assert not {"mail-list", "voice~y", "a-first"} & set(counts["queue_types"])
    assert (counts["enqueue_counts"], counts["dequeue_counts"]) == ({}, {})
    assert (await get("all", "/metrics/"))["enqueue_counts"]

    rows = {row["queue_type"] for row in (await get("sms", "/schedules/"))["schedules"]}
    assert {"sms", "sms-list"} <= rows
    assert not {"mail-list", "a-first"} & rows

    whole, seen = await get("all", "/metrics"), await get("sms", "/metrics")
    assert 'queue_type="mail-list"' in whole
    labels = {
        line.split('queue_type="')[1].split('"')[0] for line in seen.splitlines() if 'queue_type="' in line
    }
    assert set(shown) <= labels
    assert not {label for label in labels if not label.startswith("sms") and label != "voice~x"}
    assert [line for line in whole.splitlines() if line.startswith("# HELP")] == [
        line for line in seen.splitlines() if line.startswith("# HELP")
    ]


async def test_max_queued_refuses_jobs_past_the_limit_of_each_queue(roles: Roles) -> None:
    async with roles.client("capped") as capped, roles.client("all") as everyone:

        def job(queue_id: str, cap: int | None = None) -> EnqueueJob:
            limit = {} if cap is None else {"max_queued_length": cap}
            return EnqueueJob(queue_type="caps", queue_id=queue_id, payload=1, interval=0, **limit)  # type: ignore[arg-type]

        await capped.enqueue(job("one"))
        await capped.enqueue(job("one", 50))
        with pytest.raises(errors.QueueFull) as full:
            await capped.enqueue(job("one", 50))
        assert full.value.queue_length == 2
        first, second, third, other = await capped.enqueue_many(
            [job("two"), job("two"), job("two"), job("three")]
        )
        assert isinstance(third, errors.QueueFull)
        assert not any(isinstance(outcome, errors.SharqError) for outcome in (first, second, other))
        with pytest.raises(errors.QueueFull):
            await capped.enqueue(job("three", 1))
        await everyone.enqueue(job("one"))


async def test_max_queued_holds_for_the_schedules_of_the_token(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    job = {"queue_type": "caps", "queue_id": "scheduled", "payload": 1, "interval": 0}
    made, _ = await roles.ask(http, "capped", "PUT", "/schedule/capped/", {"every": 1000, "job": job})
    assert made == 200

    async def last_status() -> str:
        return str((await roles.ask(http, "all", "GET", "/schedule/capped/"))[1]["last_status"])

    await until_answer(last_status, lambda found: found == "full")
    assert (await roles.ask(http, "all", "DELETE", "/schedule/capped/"))[0] == 200
    _, queue = await roles.ask(http, "all", "GET", "/queue/caps/scheduled/")
    assert queue["queued"] == 2


async def test_caps_are_refused_wherever_a_request_names_one(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async def ask(method: str, path: str, body: object = None) -> tuple[int, Any]:
        return await roles.ask(http, "tenant", method, path, body)

    for name in ("mine-1", "theirs"):
        assert (await roles.ask(http, "all", "PUT", f"/cap/{name}/", {"rate": "100/s"}))[0] == 200
    mine, theirs = (
        {"queue_type": "tenants", "queue_id": cap, "payload": 1, "interval": 0, "caps": [cap]}
        for cap in ("mine-1", "theirs")
    )
    only = "the token tenant has only caps=mine*, not 'theirs'; nothing was done"
    status, many = await ask("POST", "/enqueue/", {"jobs": [mine, theirs]})
    assert (status, [entry["status"] for entry in many["results"]]) == (200, ["queued", "failure"])
    assert many["results"][1]["message"] == f"jobs[1].caps[0]: {only}"
    single = {"payload": 1, "interval": 0, "caps": ["mine-1", "theirs"]}
    schedule = {"every": 1000, "job": theirs}
    refused: list[tuple[str, str, object, str]] = [
        ("POST", "/enqueue/tenants/q/", single, "caps[1]: "),
        ("POST", "/queue/tenants/q/", {"caps": ["theirs"]}, "caps[0]: "),
        ("PUT", "/schedule/tenant/", schedule, "caps[0]: "),
        ("PUT", "/cap/theirs/", {"rate": "1/s"}, ""),
        ("GET", "/cap/theirs/", None, ""),
        ("DELETE", "/cap/theirs/", None, ""),
        ("POST", "/cap/theirs/hold/", {"for": 1000}, ""),
    ]
    for method, path, body, place in refused:
        status, answer = await ask(method, path, body)
        assert (status, answer["code"], answer["message"]) == (403, "forbidden", place + only), path
    _, job = await ask("GET", "/dequeue/tenants/?wait=10000")
    lease = {"lease": job["lease"]}
    held = {**lease, "hold_cap": {"name": "theirs", "ms": 60_000}}
    for verb in ("finish", "release"):
        status, answer = await ask("POST", f"/{verb}/tenants/mine-1/{job['job_id']}/", held)
        assert (status, answer["message"]) == (403, f"hold_cap.name: {only}")
    assert (await roles.ask(http, "all", "GET", "/cap/theirs/"))[1]["held_until"] is None
    entry = {"queue_type": "tenants", "queue_id": "mine-1", "job_id": job["job_id"]}
    status, ends = await ask("POST", "/finish/", {"jobs": [entry | held]})
    assert ends["results"][0]["message"] == f"jobs[0].hold_cap.name: {only}"
    own = {**lease, "hold_cap": {"name": "mine-1", "ms": 60_000}}
    assert (await ask("POST", f"/finish/tenants/mine-1/{job['job_id']}/", own))[0] == 200
    assert [row["name"] for row in (await ask("GET", "/caps/"))[1]["caps"]] == ["mine-1"]


async def test_past_its_rps_a_token_is_told_to_wait(roles: Roles, http: aiohttp.ClientSession) -> None:
    statuses = []
    for _ in range(10):
        async with http.get(f"{roles.url}/token/", headers=roles.headers("slow")) as answer:
            statuses.append(answer.status)
            if answer.status == 429:
                assert answer.headers["Retry-After"] == "1"
                refusal = await answer.json()
                assert refusal["code"] == "overloaded"
                assert refusal["message"] == "the token slow may send 3 requests per second to a router"
    assert statuses[0] == 200
    assert 429 in statuses
    assert (await roles.ask(http, "all", "GET", "/token/"))[0] == 200


async def test_reading_the_file_again_gives_no_token_new_requests(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    began_s, allowed, rounds = time.monotonic(), 0, 8
    for _ in range(rounds):
        reloads = roles.server.log.count(" reloaded ")
        roles.server.signal(signal.SIGHUP)
        await until_answer(reloads_of(roles), partial(operator.lt, reloads))
        allowed += [(await roles.ask(http, "slow", "GET", "/token/"))[0] for _ in range(4)].count(200)
    most = 3 + 3 * (time.monotonic() - began_s)
    assert most < 3 * rounds, "too slow to tell"
    assert allowed <= most


async def test_a_token_tells_what_it_may_do(roles: Roles, http: aiohttp.ClientSession) -> None:
    async def rights(name: str) -> Any:
        return (await roles.ask(http, name, "GET", "/token/"))[1]

    ops = ["produce", "work", "read", "operate", "admin"]
    nothing = {"types": None, "caps": None, "max_queued": None, "rps": None, "status": "success"}
    assert await rights("all") == {"name": "all", "ops": ops, **nothing}
    assert await rights("admin") == {"name": "admin", "ops": ops, **nothing}
    assert await rights("capped") == {"name": "capped", "ops": ops, **nothing, "max_queued": 2}
    mixed = {"name": "mixed", "ops": ["produce", "work"], **nothing, "types": ["sms*"]}
    assert await rights("mixed") == mixed
    async with roles.client("mixed") as client:
        assert (await client.control.token()).types == ["sms*"]
        with pytest.raises(errors.Forbidden, match=r"mixed has only ops=produce\|work, and this needs read"):
            await client.queue("sms", "q")


def test_the_command_says_what_the_token_lacks(roles: Roles) -> None:
    refused = Sharq(roles.url, SHARQ_TOKEN=roles.secrets["produce"])("types", code=Exit.FAILED)
    assert refused.out == ""
    lacks = "the token produce has only ops=produce, and this needs read; nothing was done"
    assert refused.err == f"sharq: {roles.url}: {lacks}\n"
    unknown = Sharq(roles.url, SHARQ_TOKEN="sharq_unknown")("types", code=Exit.FAILED)
    assert (
        unknown.err == f"sharq: {roles.url}: the token is unknown (set SHARQ_TOKEN, --token or --profile)\n"
    )


async def test_words_change_while_the_server_runs_and_a_wrong_one_changes_nothing(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async def status() -> int:
        return (await roles.ask(http, "produce", "GET", "/types/"))[0]

    line = roles.lines["produce"]
    try:
        assert await status() == 403
        roles.write(produce=f"{line}|read")
        await until_answer(status, lambda found: found == 200)
        roles.write(produce=f"{line}|raed")
        roles.server.until(lambda: "word 3: ops=: 'raed' is unknown" in roles.server.log)
        assert await status() == 200, "what was read before stays"
    finally:
        roles.write()
    await until_answer(status, lambda found: found == 403)


async def test_a_new_token_is_in_force_within_a_second_and_a_revoked_one_is_not(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    secret, line = new_token("trial")

    async def status() -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        async with http.get(f"{roles.url}/token/", headers=headers) as answer:
            return answer.status

    assert await status() == 401
    add_token(roles.path, parse_line(line))
    await until_answer(status, lambda found: found == 200)
    remove_token(roles.path, "trial")
    await until_answer(status, lambda found: found == 401)
