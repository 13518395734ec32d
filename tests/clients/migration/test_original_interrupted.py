"""The import from the original survives a kill at any moment: nothing is lost, doubled or put out of order."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import ResponseError

from sharq_client import Client, LeasedJob
from sharq_client.migration import import_original
from sharq_client.migration.delivery import PERHAPS_MOVED
from sharq_client.migration.source import SUPERSEDED
from tests.support.foreign.dying_import import STEPS, start_import
from tests.support.foreign.processes import Original
from tests.support.processes.servers import ServerFactory, SharqServer
from tests.support.stores.server import StoreServer

KILLED = -9

UNHELD_STEPS = [step for step in STEPS if "settled" not in step and "held, not noted" not in step]
"""The steps of the import from the original for a queue that needs no hold."""


@contextmanager
def consuming(url: str, queue_type: str) -> Iterator[list[LeasedJob]]:
    """Lease and finish the jobs of a type in a thread, into a list."""
    jobs: list[LeasedJob] = []
    is_over = threading.Event()

    def consume() -> None:
        with Client(url) as client:
            while not is_over.is_set():
                leased = client.dequeue(queue_type, 100, wait_ms=100)
                client.finish_many(leased)
                jobs.extend(leased)

    thread = threading.Thread(target=consume)
    thread.start()
    try:
        yield jobs
    finally:
        is_over.set()
        thread.join()


def fill(original: Original, queue_type: str, queues: int, jobs: int, **more: object) -> set[tuple[str, str]]:
    names = {(f"q{queue}", f"{number}") for queue in range(queues) for number in range(jobs)}
    for queue_id, job_id in sorted(names, key=lambda name: int(name[1])):
        original.enqueue(queue_type, queue_id, job_id, **more)
    return names


def until_all_have_come(jobs: list[LeasedJob], names: set[tuple[str, str]]) -> None:
    deadline_s = time.monotonic() + 60
    while len(jobs) < len(names) and time.monotonic() < deadline_s:
        time.sleep(0.05)


def assert_each_once_in_order(jobs: list[LeasedJob], names: set[tuple[str, str]]) -> None:
    counts = Counter((job.queue_id, job.job_id) for job in jobs)
    assert counts == Counter(names)
    assert [job.attempt for job in jobs] == [1] * len(jobs)
    for queue_id in {queue_id for queue_id, _ in names}:
        order = [int(job.job_id) for job in jobs if job.queue_id == queue_id]
        assert order == sorted(order)


@pytest.mark.parametrize("step", UNHELD_STEPS)
def test_a_run_goes_on_where_another_was_killed(
    client: Client,
    original: Original,
    source: StoreServer,
    server: SharqServer,
    prefix: str,
    kind: str,
    step: str,
) -> None:
    names = fill(original, kind, queues=3, jobs=700, interval=0)
    turn = 1 if step == "parked, not held" else 2
    with start_import("original", server.url, source.url, prefix, step, turn) as killed:
        assert killed.wait(60) == KILLED
    with consuming(server.url, kind) as jobs:
        before = len(jobs)
        time.sleep(0.3)
        summary = import_original(client, source.url, prefix=prefix)
        until_all_have_come(jobs, names)
    assert before == 0
    assert summary.refused == summary.waiting == 0
    assert_each_once_in_order(jobs, names)


@pytest.mark.parametrize("step", ["parked, not held", "held, not noted"])
def test_the_hold_of_a_queue_outlives_a_kill(
    client: Client,
    original: Original,
    source: StoreServer,
    server: SharqServer,
    prefix: str,
    kind: str,
    step: str,
) -> None:
    original.enqueue(kind, "1", "j0", interval=60_000)
    original.enqueue(kind, "1", "j1", interval=60_000)
    leased_at_ms = time.time() * 1000
    assert original.dequeue(kind) == ("1", "j0")
    with start_import("original", server.url, source.url, prefix, step, 1) as killed:
        assert killed.wait(60) == KILLED
    time.sleep(1)
    summary = import_original(client, source.url, prefix=prefix, wait_for_leases=False)
    imported_at_ms = time.time() * 1000
    assert summary.moved == 1
    queue = client.queue(kind, "1")
    assert queue is not None
    assert queue.held_until is not None
    assert leased_at_ms + 60_000 <= queue.held_until <= imported_at_ms + 60_001


@pytest.mark.slow
def test_kills_at_random_moments(
    client: Client, original: Original, source: StoreServer, server: SharqServer, prefix: str, kind: str
) -> None:
    names = fill(original, kind, queues=5, jobs=1_000, interval=0)
    chance = random.Random(kind)
    with consuming(server.url, kind) as jobs:
        for _ in range(4):
            with start_import("original", server.url, source.url, prefix) as running:
                assert running.stdout is not None
                running.stdout.readline()
                time.sleep(chance.uniform(0, 0.08))
                running.kill()
        summary = import_original(client, source.url, prefix=prefix)
        until_all_have_come(jobs, names)
    assert summary.refused == summary.waiting == 0
    assert_each_once_in_order(jobs, names)


def test_a_job_that_may_be_forgotten_by_now_is_not_sent_unasked(
    client: Client, original: Original, source: StoreServer, server: SharqServer, prefix: str, kind: str
) -> None:
    """A run died after it had claimed j0, and nobody knows if it was sent: perhaps it was finished and forgotten."""
    original.enqueue(kind, "1", "j0")
    with start_import("original", server.url, source.url, prefix, "claimed, not sent", 1) as killed:
        assert killed.wait(60) == KILLED
    original.enqueue(kind, "1", "j1")
    time.sleep(0.1)
    second = import_original(client, source.url, prefix=prefix, remembered_ms=50)
    assert [(refusal.job_id, refusal.reason) for refusal in second.refusals] == [("j0", PERHAPS_MOVED)]
    assert second.moved == 1
    third = import_original(client, source.url, prefix=prefix, retry_refused=True)
    assert (third.moved, third.refused) == (1, 0)


def test_a_job_of_an_old_journal_that_the_server_knows_is_not_sent_again(
    client: Client, original: Original, source: StoreServer, server: SharqServer, prefix: str, kind: str
) -> None:
    original.enqueue(kind, "1", "j0")
    with start_import("original", server.url, source.url, prefix, "sent, not confirmed", 1) as killed:
        assert killed.wait(60) == KILLED
    job = client.dequeue(kind)
    assert job is not None
    client.finish(job)
    time.sleep(0.1)
    second = import_original(client, source.url, prefix=prefix, remembered_ms=50)
    assert (second.moved, second.duplicates, second.refused) == (1, 1, 0)
    assert client.dequeue(kind) is None


def test_a_second_run_ends_the_first(
    client: Client, original: Original, source: StoreServer, server: SharqServer, prefix: str, kind: str
) -> None:
    names = fill(original, kind, queues=3, jobs=700, interval=0)
    errors: list[str] = []
    has_begun, may_go_on = threading.Event(), threading.Event()

    def on_progress(_: object) -> None:
        has_begun.set()
        assert may_go_on.wait(30)

    def first_run() -> None:
        with pytest.raises(ResponseError) as raised:
            import_original(client, source.url, prefix=prefix, on_progress=on_progress)
        errors.append(str(raised.value))

    names |= {("q0", "700"), ("q0", "701")}
    with consuming(server.url, kind) as jobs:
        with start_thread(first_run):
            assert has_begun.wait(30)
            original.enqueue(kind, "q0", "700")
            import_original(client, source.url, prefix=prefix)
            original.enqueue(kind, "q0", "701")
            may_go_on.set()
        assert SUPERSEDED in errors[0]
        assert import_original(client, source.url, prefix=prefix).moved == 1
        until_all_have_come(jobs, names)
    assert_each_once_in_order(jobs, names)


@pytest.mark.slow
def test_an_import_goes_on_after_the_server_was_away(
    own_server: ServerFactory, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    server = own_server()
    names = fill(original, kind, queues=3, jobs=500, interval=0)
    with Client(server.url, timeout_s=2, retries=0) as client:
        has_begun = threading.Event()
        is_away = threading.Event()

        def on_progress(_: object) -> None:
            if not is_away.is_set():
                has_begun.set()
                is_away.wait(30)

        with start_thread(
            lambda: import_original(client, source.url, prefix=prefix, on_progress=on_progress)
        ):
            assert has_begun.wait(30)
            server.stop()
            is_away.set()
            time.sleep(0.5)
            server.start()
        with consuming(server.url, kind) as jobs:
            until_all_have_come(jobs, names)
    assert_each_once_in_order(jobs, names)


@contextmanager
def start_thread(work: object) -> Iterator[None]:
    """Run a function in a thread, and wait for its end."""
    assert callable(work)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(90)
        assert not thread.is_alive()
