"""The import from a deployment at work: no queue gets its rate twice, and the original serves none again."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeAlias

from redis import Redis

from sharq_client import Client
from sharq_client.migration import Summary, import_original, undo_original
from tests.clients.migration.conftest import StartOriginal
from tests.support.foreign.processes import Original
from tests.support.processes.servers import SharqServer
from tests.support.stores.server import StoreServer
from tests.support.waits import wait_until

INTERVAL_MS = 300

ROUNDING_MS = 2
"""The most by which a distance of two times in whole ms may be too short."""

INTERVALS_MS = (40, 60, 100, 150, 200, 300)
LEASE_MS = 700


Lease: TypeAlias = tuple[str, str, float]
"""The queue, the job and the time of a lease, in ms since the epoch."""


class Worker(threading.Thread):
    """A worker of the new server. It notes queue, job and time of each lease, and finishes it."""

    def __init__(self, url: str, queue_type: str) -> None:
        super().__init__()
        self.leases: list[Lease] = []
        self._url = url
        self._queue_type = queue_type
        self._is_over = threading.Event()

    def run(self) -> None:
        with Client(self._url) as client:
            while not self._is_over.is_set():
                for job in client.dequeue(self._queue_type, 20, wait_ms=200, lease_ms=30_000):
                    self.leases.append((job.queue_id, job.job_id, job.lease_expires_at - 30_000))
                    client.finish(job)

    def end(self) -> None:
        self._is_over.set()
        self.join()


@contextmanager
def following(client: Client, url: str, prefix: str) -> Iterator[Callable[[], Summary]]:
    """Run an import that follows in a thread; the yielded function ends it and returns its summary."""
    stop = threading.Event()
    summaries: list[Summary] = []

    def follow() -> None:
        # Both clocks are the same here, so that nothing is tolerated.
        options = {
            "clock_tolerance_ms": 0,
            "lease_grace_ms": 500,
            "lease_ms": LEASE_MS,
            "default_interval_ms": max(INTERVALS_MS),
        }
        summaries.append(
            import_original(client, url, prefix=prefix, follow=True, stop=stop, **options)  # type: ignore[arg-type]
        )

    def end() -> Summary:
        stop.set()
        thread.join(30)
        return summaries[0]

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield end
    finally:
        stop.set()
        thread.join(30)


def test_no_queue_gets_its_rate_twice_and_no_job_is_lost_or_doubled(
    client: Client,
    start_original: StartOriginal,
    source: StoreServer,
    server: SharqServer,
    prefix: str,
    kind: str,
) -> None:
    """Two workers and the requeue of the original run throughout, and producers send to it until near the end.

    Every tenth job is never finished by the workers of the original, so that its lease ends. The original may then have
    forgotten the interval, and breaks it itself; the distance of two of its own leases is its own affair.
    """
    original = start_original(LEASE_MS)
    intervals_ms = {f"q{number}": INTERVALS_MS[number % len(INTERVALS_MS)] for number in range(18)}
    sent: set[tuple[str, str]] = set()

    def send(queue_id: str) -> None:
        number = len(sent)
        job_id = f"{number}-lost" if number % 10 == 0 else f"{number}"
        sent.add((queue_id, job_id))
        original.enqueue(kind, queue_id, job_id, interval=intervals_ms[queue_id], requeue_limit=-1)

    early = list(intervals_ms)[:12]
    for _ in range(10):
        for queue_id in early:
            send(queue_id)
    worker = Worker(server.url, kind)
    worker.start()
    with (
        original.working(kind) as first,
        original.working(kind) as second,
        original.requeueing(),
    ):
        output = first.line() + second.line()
        time.sleep(0.7)
        with following(client, source.url, prefix) as end_import:
            deadline_s = time.monotonic() + 2.0
            while time.monotonic() < deadline_s:
                for queue_id in intervals_ms:
                    send(queue_id)
                time.sleep(0.3)
            there = until_settled(lambda: client_is_idle(client, kind), lambda: len(worker.leases))
            summary = end_import()
        output += first.end() + second.end()
    worker.end()

    by_the_original: list[Lease] = [tuple(json.loads(line)) for line in output.splitlines()]
    assert there
    assert_spaced(by_the_original, worker.leases, intervals_ms)
    counts = Counter((queue_id, job_id) for queue_id, job_id, _ in by_the_original if "lost" not in job_id)
    counts.update((queue_id, job_id) for queue_id, job_id, _ in worker.leases)
    assert counts == Counter(sent)
    assert len(by_the_original) > 50, "the original did not work beside the import"
    assert len(worker.leases) > 50
    assert summary.moved == len(worker.leases)
    assert summary.without_payload == summary.refused == summary.waiting == summary.leased == 0


def until_dequeued(original: Original, queue_type: str) -> tuple[str, str]:
    """Dequeue until there is a job, and return its queue and its id."""
    found: list[tuple[str, str]] = []

    def has_come() -> bool:
        if (job := original.dequeue(queue_type)) is not None:
            found.append(job)
        return bool(found)

    wait_until(has_come)
    return found[0]


def client_is_idle(client: Client, queue_type: str) -> bool:
    return not list(client.queues(queue_type))


def until_settled(is_idle: Callable[[], bool], count: Callable[[], int]) -> bool:
    """Wait until the new server has nothing to do and nothing more comes, longer than a lease and its grace."""
    deadline_s = time.monotonic() + 60
    quiet_since_s, last = time.monotonic(), count()
    while time.monotonic() < deadline_s:
        if not is_idle() or count() != last:
            quiet_since_s, last = time.monotonic(), count()
        if time.monotonic() - quiet_since_s > 2:
            return True
        time.sleep(0.1)
    return False


def assert_spaced(theirs: list[Lease], ours: list[Lease], intervals_ms: dict[str, int]) -> None:
    """Assert that no lease of ours is closer to another lease of its queue than its interval."""
    times: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for leases, is_ours in ((theirs, False), (ours, True)):
        for queue_id, _, at_ms in leases:
            times[queue_id].append((at_ms, is_ours))
    for queue_id, moments in times.items():
        moments.sort()
        for earlier, later in pairwise(moments):
            is_close = later[0] - earlier[0] < intervals_ms[queue_id] - ROUNDING_MS
            assert not is_close or not (earlier[1] or later[1]), f"{queue_id}: {moments}"


def test_the_original_serves_a_taken_over_queue_under_no_circumstances(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    """Each call of the original is tried, and its requeue, in the states in which it could bring a queue back."""
    for job_id in ("j0", "j1", "j2"):
        original.enqueue(kind, "1", job_id, interval=0)
        assert original.dequeue(kind) == ("1", job_id)
    original.enqueue(kind, "2", "waits", interval=0)
    import_original(client, source.url, prefix=prefix, wait_for_leases=False)

    assert original.finish(kind, "1", "j0"), "it was the last one with an interval"
    assert original.dequeue(kind) is None
    original.enqueue(kind, "1", "j3")
    assert original.dequeue(kind) is None
    original.call("interval", queue_type=kind, queue_id="1", interval=10)
    assert original.dequeue(kind) is None
    time.sleep(0.9)
    original.call("requeue")
    assert original.dequeue(kind) is None, "a requeue brought the queue back"
    original.call("clear_queue", queue_type=kind, queue_id="2", purge_all=False)
    original.enqueue(kind, "2", "j4", interval=0)
    assert original.dequeue(kind) is None, "a delete and an enqueue brought the queue back"

    summary = import_original(client, source.url, prefix=prefix, lease_grace_ms=300)
    assert summary.moved == 4
    with_queue_1 = {job.job_id for job in client.dequeue(kind, 100) if job.queue_id == "1"}
    assert "j0" not in with_queue_1


def test_undo_gives_the_queues_back_that_are_empty_here(
    client: Client, original: Original, source: StoreServer, source_redis: Redis, prefix: str, kind: str
) -> None:
    for queue_id in ("done", "busy"):
        original.enqueue(kind, queue_id, "j0", interval=INTERVAL_MS)
    import_original(client, source.url, prefix=prefix)
    leased_s = time.monotonic()
    finished = client.dequeue(kind, wait_ms=2_000)
    assert finished is not None
    client.finish(finished)
    original.enqueue(kind, "done", "j1", interval=INTERVAL_MS)
    original.enqueue(kind, "busy", "j1", interval=INTERVAL_MS)
    assert original.dequeue(kind) is None

    summary = undo_original(client, source.url, prefix=prefix)

    assert (summary.queues, summary.jobs, summary.kept) == (1, 1, 1)
    back = until_dequeued(original, kind)
    assert time.monotonic() - leased_s >= INTERVAL_MS / 1000, "it is one interval too early"
    assert back == (finished.queue_id, "j1")
    assert original.finish(kind, *back)
    other = client.dequeue(kind, wait_ms=2_000)
    assert other is not None
    client.finish(other)
    assert undo_original(client, source.url, prefix=prefix).queues == 1
    assert until_dequeued(original, kind) == (other.queue_id, "j1")
    left = [key.decode() for key in source_redis.scan_iter(f"{prefix}:*") if b"~import" in key]
    assert left == [f"{prefix}:~import:run"]


def test_an_undone_queue_can_be_taken_over_again(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    original.enqueue(kind, "1", "j0", interval=100)
    import_original(client, source.url, prefix=prefix)
    assert client.dequeue(kind, wait_ms=2_000) is not None
    assert undo_original(client, source.url, prefix=prefix).kept == 1
    original.enqueue(kind, "1", "j1", interval=100)
    summary = import_original(client, source.url, prefix=prefix)
    assert (summary.moved, summary.queues) == (1, 0)
