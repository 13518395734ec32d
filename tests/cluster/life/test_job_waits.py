"""Requests that wait for the end of a job: answered as soon as it has ended, and nearly free until then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from router.longpoll import job_waits
from router.longpoll.job_waits import JobWaits
from router.shards.dispatch import Dispatch
from shard.index.job_ends import JobEnds
from shard.node import NodeSettings
from sharq_core.errors import Overloaded, SharqError, Unavailable
from sharq_core.job_changes import CancelJob
from sharq_core.link.job_watches import JobKey
from sharq_core.link.messages import GetJob, ShardPort
from sharq_core.models import FinishJob, JobState, JobStatus, LeaseOutcome, QueueKey, ReleaseJob
from tests.cluster.nodes.test_long_polls import calls_by_function
from tests.support.nodes.links import router_end, shard_end
from tests.support.nodes.parts import PATIENT_S, Parts, enqueued, job, running_node
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreServer
from tests.support.waits import until

KIND = "sms"
LONG_US = 300_000_000
SOON_S = 60.0
"""A wait that hears of its job's end is over by then, on any machine; one that asks is not."""


@pytest.fixture(autouse=True)
def _asks_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that is over soon was told of the end and did not ask."""
    monkeypatch.setattr(job_waits, "ASK_EVERY_S", 200.0)


def waiting(
    parts: Parts, job_id: str, queue_id: str = "q", wait_us: int = LONG_US
) -> asyncio.Task[JobStatus | None]:
    """Begin to wait for the end of a job."""
    return asyncio.create_task(parts.polls.job_waits.status(QueueKey(KIND, queue_id), job_id, wait_us))


async def parked(parts: Parts, count: int = 1) -> None:
    """Return once so many requests wait, and their subscriptions are known."""
    await until(lambda: parts.polls.job_waits.waiting == count)
    await asyncio.sleep(0.05)


async def leased(parts: Parts, *job_ids: str, **fields: object) -> dict[str, str]:
    """Enqueue and lease jobs; returns their leases."""
    await enqueued(parts, *(job(KIND, "q", job_id, **fields) for job_id in job_ids))
    found: dict[str, str] = {}
    while len(found) < len(job_ids):
        found |= {held.job_id: held.lease for held in await parts.dequeue(KIND, 1000)}
    return found


async def end_of(wait: asyncio.Task[JobStatus | None]) -> JobStatus:
    """The status that a wait is answered with soon."""
    status = await asyncio.wait_for(wait, SOON_S)
    assert status is not None
    return status


async def test_a_finish_ends_the_wait_at_once_with_the_result(parts: Parts) -> None:
    lease = (await leased(parts, "j"))["j"]
    wait = waiting(parts, "j")
    await parked(parts)
    (outcome,) = await parts.dispatch.finish([FinishJob(KIND, "q", "j", lease, result=b'{"ok":1}')])
    assert isinstance(outcome, LeaseOutcome) and outcome.result_kept
    status = await end_of(wait)
    assert (status.state, status.result) == (JobState.FINISHED, b'{"ok":1}')


async def test_a_death_and_a_cancellation_end_the_wait_at_once(parts: Parts) -> None:
    leases = await leased(parts, "dies", requeue_limit=0)
    await enqueued(parts, job(KIND, "q", "goes"))
    waits = waiting(parts, "dies"), waiting(parts, "goes")
    await parked(parts, 2)
    await parts.dispatch.release([ReleaseJob(KIND, "q", "dies", leases["dies"])])
    await parts.dispatch.cancel([CancelJob(KIND, "q", "goes")])
    assert [(await end_of(wait)).state for wait in waits] == [JobState.DEAD, JobState.CANCELLED]


async def test_a_release_that_the_job_survives_does_not_end_the_wait(parts: Parts) -> None:
    leases = await leased(parts, "j")
    wait = waiting(parts, "j")
    await parked(parts)
    await parts.dispatch.release([ReleaseJob(KIND, "q", "j", leases["j"])])
    await asyncio.sleep(0.1)
    assert not wait.done()
    (again,) = await parts.dequeue(KIND)
    await parts.dispatch.finish([FinishJob(KIND, "q", "j", again.lease)])
    assert (await end_of(wait)).state is JobState.FINISHED


async def test_an_ended_or_unknown_job_is_answered_at_once(parts: Parts) -> None:
    leases = await leased(parts, "j")
    await parts.dispatch.finish([FinishJob(KIND, "q", "j", leases["j"])])
    assert (await end_of(waiting(parts, "j"))).state is JobState.FINISHED
    assert await asyncio.wait_for(waiting(parts, "never"), SOON_S) is None


async def test_a_wait_that_is_over_is_answered_with_the_present_state(
    parts: Parts, stopwatch: Stopwatch
) -> None:
    await leased(parts, "j")
    stopwatch.start()
    status = await waiting(parts, "j", wait_us=300_000)
    assert status is not None and status.state is JobState.LEASED
    assert stopwatch.elapsed_s >= 0.3
    stopwatch.assert_within(10)


async def test_the_end_of_a_lease_by_time_is_found_by_asking(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_waits, "ASK_EVERY_S", 0.3)
    await enqueued(parts, job(KIND, "q", "j", requeue_limit=0))
    await parts.dequeue(KIND, lease_us=200_000)
    assert (await end_of(waiting(parts, "j"))).state is JobState.DEAD


async def test_a_thousand_requests_for_one_job_share_one_watch(parts: Parts, store: StoreServer) -> None:
    leases = await leased(parts, "j")
    waits = [waiting(parts, "j") for _ in range(1000)]
    await parked(parts, 1000)
    with store.client() as client:
        before = calls_by_function(client)
        await parts.dispatch.finish([FinishJob(KIND, "q", "j", leases["j"], result=b"1")])
        answers = await asyncio.wait_for(asyncio.gather(*waits), SOON_S)
        calls = calls_by_function(client) - before
    assert {status.result for status in answers if status} == {b"1"}
    assert calls <= 2 + 2 * 64
    assert_nobody_waits(parts)


async def test_a_thousand_jobs_are_waited_for_at_once(parts: Parts) -> None:
    ids = [f"j{number}" for number in range(1000)]
    leases = await leased(parts, *ids)
    waits = [waiting(parts, job_id) for job_id in ids]
    await parked(parts, 1000)
    finished = [FinishJob(KIND, "q", job_id, leases[job_id]) for job_id in ids]
    await parts.dispatch.finish(finished)
    answers = await asyncio.wait_for(asyncio.gather(*waits), SOON_S)
    assert {status.state for status in answers if status} == {JobState.FINISHED}
    assert_nobody_waits(parts)


async def test_waits_ask_the_store_seldom(
    parts: Parts, store: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many jobs are waited for, the reads of a router a second have a bound."""
    monkeypatch.setattr(job_waits, "ASK_EVERY_S", 1.0)
    monkeypatch.setattr(job_waits, "READS_A_SECOND", 50)
    ids = [f"j{number}" for number in range(300)]
    await leased(parts, *ids)
    waits = [waiting(parts, job_id) for job_id in ids]
    await parked(parts, 300)
    await asyncio.sleep(0.5)  # the reads with which the watches begin
    with store.client() as client:
        before = calls_by_function(client)
        await asyncio.sleep(3)
        calls = calls_by_function(client) - before
    assert calls <= 3 * 64 + 300
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    assert_nobody_waits(parts)


async def test_a_client_that_leaves_leaves_nothing_behind(parts: Parts) -> None:
    await leased(parts, "j")
    left: list[Callable[[], object]] = []
    waits = parts.polls.job_waits
    wait = asyncio.create_task(waits.status(QueueKey(KIND, "q"), "j", LONG_US, left.append))
    await parked(parts)
    (leave,) = left
    leave()
    assert (await end_of(wait)).state is JobState.LEASED
    cancelled = waiting(parts, "j")
    await parked(parts)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert_nobody_waits(parts)


def assert_nobody_waits(parts: Parts) -> None:
    """Neither router nor shard remembers a wait."""
    waits = parts.polls.job_waits
    assert (waits.waiting, len(waits), len(ends_of(parts).watchers)) == (0, 0, 0)


def ends_of(parts: Parts) -> JobEnds:
    """The watchers of jobs at the node."""
    return parts.node.job_ends


async def test_a_drain_answers_every_wait_with_the_present_state(parts: Parts) -> None:
    await leased(parts, "j", "k")
    waits = [waiting(parts, job_id) for job_id in "jjk"]
    await parked(parts, 3)
    parts.polls.drain()
    assert [(await end_of(wait)).state for wait in waits] == [JobState.LEASED] * 3
    assert (await end_of(waiting(parts, "j"))).state is JobState.LEASED


async def test_requests_over_the_bound_are_refused(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_waits, "MAX_WAITING", 1)
    await leased(parts, "j")
    first = waiting(parts, "j")
    await parked(parts)
    with pytest.raises(Overloaded):
        await waiting(parts, "j")
    first.cancel()


# Over links.


class OneLink:
    """The directory of a router whose owner of every partition is the link that the test chose."""

    def __init__(self, shard: object, partitions: int) -> None:
        self.shard = shard
        self.partitions = partitions
        self.formats = 4
        self.sole_owner = None
        self.second_tries = 0
        self._listeners: list[Callable[[], None]] = []

    def owner(self, _partition: int, /) -> object:
        if self.shard is None:
            raise Unavailable("no shard can be reached")
        return self.shard

    def shards(self) -> list[object]:
        return [self.shard]

    def on_change(self, tell: Callable[[], None]) -> None:
        self._listeners.append(tell)

    def informed(self, shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        return shards

    def stand_in(self, _partition: int, _failed: object, /) -> None:
        return None

    def doubt(self, shard: object) -> None:
        """Nothing else could be asked."""

    async def covered(self) -> None:
        """Nobody covers."""

    def change(self, shard: object) -> None:
        """Let another shard own everything."""
        self.shard = shard
        for tell in self._listeners:
            tell()


def waits_over(directory: OneLink) -> JobWaits:
    """The waits of a router with this directory."""
    return JobWaits(directory, Dispatch(directory))  # type: ignore[arg-type] # as far as it is asked


@pytest.fixture
async def other(store_url: str, prefix: str) -> AsyncIterator[Parts]:
    """A second node on the store of the first."""
    async with running_node(
        store_url, NodeSettings(key_prefix=prefix, node_id="other"), PATIENT_S
    ) as running:
        yield running


async def test_routers_hear_over_their_links_of_the_end_of_a_job(parts: Parts) -> None:
    leases = await leased(parts, "j", "k")
    async with (
        shard_end(parts.node) as shard,
        router_end(shard.address) as first,
        router_end(shard.address) as second,
    ):
        routers = [waits_over(OneLink(end.link, 64)) for end in (first, second)]
        waits = [
            asyncio.create_task(router.status(QueueKey(KIND, "q"), job_id, LONG_US))
            for router in routers
            for job_id in "jk"
        ]
        await until(lambda: len(ends_of(parts).watchers) == 2)
        await parts.dispatch.finish([FinishJob(KIND, "q", "j", leases["j"], result=b'"x"')])
        assert [(await end_of(waits[at])).result for at in (0, 2)] == [b'"x"'] * 2
        assert not waits[1].done() and not waits[3].done()
        await until(lambda: len(ends_of(parts).watchers) == 1)
        await parts.dispatch.finish([FinishJob(KIND, "q", "k", leases["k"])])
        assert [(await end_of(waits[at])).state for at in (1, 3)] == [JobState.FINISHED] * 2
        await until(lambda: len(ends_of(parts).watchers) == 0)


async def test_a_wait_follows_its_job_to_another_shard(parts: Parts, other: Parts) -> None:
    """A shard that drains, or a change of the ring, moves the watch; an end in between is not missed."""
    leases = await leased(parts, "j", "k")
    directory = OneLink(parts.node, 64)
    router = waits_over(directory)
    first, second = (
        asyncio.create_task(router.status(QueueKey(KIND, "q"), job_id, LONG_US)) for job_id in "jk"
    )
    await until(lambda: len(ends_of(parts).watchers) == 2)
    await other.dispatch.finish([FinishJob(KIND, "q", "k", leases["k"])])
    await asyncio.sleep(0.1)
    assert not second.done()
    directory.change(other.node)
    assert (await end_of(second)).state is JobState.FINISHED
    assert (len(ends_of(parts).watchers), len(ends_of(other).watchers)) == (0, 1)
    await other.dispatch.finish([FinishJob(KIND, "q", "j", leases["j"])])
    assert (await end_of(first)).state is JobState.FINISHED


async def test_a_wait_outlives_a_moment_without_a_shard(parts: Parts) -> None:
    leases = await leased(parts, "j")
    directory = OneLink(parts.node, 64)
    router = waits_over(directory)
    wait = asyncio.create_task(router.status(QueueKey(KIND, "q"), "j", LONG_US))
    await until(lambda: len(ends_of(parts).watchers) == 1)
    directory.change(None)
    await parts.dispatch.finish([FinishJob(KIND, "q", "j", leases["j"])])
    await asyncio.sleep(0.1)
    directory.change(parts.node)
    assert (await end_of(wait)).state is JobState.FINISHED


async def test_a_wait_that_is_over_while_no_shard_answers_fails(parts: Parts) -> None:
    await leased(parts, "j")
    directory = OneLink(parts.node, 64)
    router = waits_over(directory)
    wait = asyncio.create_task(router.status(QueueKey(KIND, "q"), "j", 300_000))
    await until(lambda: len(ends_of(parts).watchers) == 1)
    directory.change(None)
    with pytest.raises(SharqError):
        await asyncio.wait_for(wait, SOON_S)


async def test_an_error_in_a_read_ends_no_wait_before_its_time(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    """A wait goes on after an unexpected error, and fails with it if it lasts; it never hangs."""
    leases = await leased(parts, "j")
    reader = Stumbling(parts.dispatch)
    waits = JobWaits(OneLink(parts.node, 64), reader)  # type: ignore[arg-type] # as far as it is asked
    short, long = (
        asyncio.create_task(waits.status(QueueKey(KIND, "q"), "j", wait_us)) for wait_us in (300_000, LONG_US)
    )
    await until(lambda: len(ends_of(parts).watchers) == 1)
    reader.stumbles = True
    with pytest.raises(SharqError, match="the job could not be read: RuntimeError"):
        await asyncio.wait_for(short, SOON_S)
    reader.stumbles = False
    await parts.dispatch.finish([FinishJob(KIND, "q", "j", leases["j"])])
    assert (await end_of(long)).state is JobState.FINISHED
    assert "job_wait_failed" in caplog.text


class Stumbling:
    """A dispatch whose reads of jobs fail at will, as a mistake in the code would make them."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self.stumbles = False

    async def route(self, call: GetJob, /) -> JobStatus | None:
        if self.stumbles:
            raise RuntimeError("a mistake")
        return await self._dispatch.route(call)


async def test_a_router_asks_no_older_shard_to_tell_of_ends(parts: Parts) -> None:
    directory = OneLink(parts.node, 64)
    directory.formats = 3
    with pytest.raises(Unavailable, match="wait: a shard of this cluster"):
        await waits_over(directory).status(QueueKey(KIND, "q"), "j", LONG_US)


async def test_a_link_that_comes_back_watches_its_jobs_again(parts: Parts) -> None:
    leases = await leased(parts, "j")
    heard: list[str] = []
    watched = JobKey(KIND, "q", "j")
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        end.link.watch_job(watched, lambda: heard.append("word"))
        await until(lambda: len(ends_of(parts).watchers) == 1)
        await shard.server.close()
        await until(lambda: heard == ["word"])
        async with shard_end(parts.node) as elsewhere:
            end.link.address = elsewhere.address
            await until(lambda: end.link.is_up and len(ends_of(parts).watchers) == 1)
            await parts.dispatch.finish([FinishJob(KIND, "q", "j", leases["j"])])
            await until(lambda: heard == ["word"] * 2)
        await until(lambda: len(ends_of(parts).watchers) == 0)
