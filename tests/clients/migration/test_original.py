"""The import from the original: data written by its own library comes over whole, and once."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from sharq_client import Client, LeasedJob, QueueSettings
from sharq_client.migration import MissingExtra, Progress, import_original
from tests.clients.migration.conftest import StartOriginal
from tests.support.foreign.processes import Driver, Original
from tests.support.stores.redis_cluster import running_cluster
from tests.support.stores.server import StoreServer

GRACE_MS = 300
"""The time that these tests leave to the original's own requeue, which most of them do not run."""


def everything(client: Client, queue_type: str, wait_ms: float = 0) -> list[LeasedJob]:
    """Lease and finish all ready jobs of a type, in order."""
    jobs: list[LeasedJob] = []
    while leased := client.dequeue(queue_type, 1000, wait_ms=wait_ms):
        client.finish_many(leased)
        jobs += leased
    return jobs


PAYLOADS: list[object] = [
    None, True, 34, -1.5, "", "ünï\u2028\U0001f4e8", [], [1, [2, {"a": None}]], 2**63, {"to": "+49", "text": '"q"'},
]  # fmt: skip


def test_queues_come_over_with_order_payloads_intervals_and_requeues(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    for number in range(25):
        original.enqueue(kind, "fast", f"f{number}", payload={"n": number}, requeue_limit=number - 1)
    for number, payload in enumerate(PAYLOADS):
        original.enqueue(kind, "kinds", f"k{number}", payload=payload)
    original.enqueue(kind, "slow", "s1", interval=90_000)
    original.enqueue(f"{kind}-2", "fast", "f0", payload="another type")
    progress: list[Progress] = []

    summary = import_original(client, source.url, prefix=prefix, lease_ms=90_000, on_progress=progress.append)

    assert (summary.types, summary.queues, summary.moved) == (2, 4, 25 + len(PAYLOADS) + 2)
    assert (summary.duplicates, summary.waiting, summary.leased, summary.refused) == (0, 0, 0, 0)
    assert progress[-1] == Progress(moved=summary.moved, total=summary.moved, queues=4, leased=0)
    slow = client.queue(kind, "slow")
    assert slow is not None
    assert slow.interval == 90_000
    jobs = everything(client, kind, wait_ms=1_500)
    fast = [job for job in jobs if job.queue_id == "fast"]
    assert [(job.job_id, job.payload, job.requeues_remaining) for job in fast] == [
        (f"f{number}", {"n": number}, number - 1) for number in range(25)
    ]
    assert {job.priority for job in fast} == {5}
    assert [job.payload for job in jobs if job.queue_id == "kinds"] == PAYLOADS
    assert [job.job_id for job in jobs if job.queue_id == "slow"] == ["s1"]
    assert [job.payload for job in everything(client, f"{kind}-2")] == ["another type"]


def test_second_run_moves_nothing(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    for number in range(10):
        original.enqueue(kind, "1", f"j{number}")
    assert import_original(client, source.url, prefix=prefix).moved == 10
    assert len(everything(client, kind)) == 10
    again = import_original(client, source.url, prefix=prefix)
    assert (again.moved, again.queues) == (0, 0)
    assert everything(client, kind) == []


def test_dry_run_counts_and_changes_nothing(
    client: Client, original: Original, source: StoreServer, source_redis: Redis, prefix: str, kind: str
) -> None:
    for number in range(3):
        original.enqueue(kind, "1", f"j{number}")
        original.enqueue(kind, "2", f"j{number}", payload=b"bytes", interval=60_000)
    original.enqueue(kind, "3", "large", payload="x" * 300_000)
    assert original.dequeue(kind) is not None
    before = {key: source_redis.dump(key) for key in source_redis.scan_iter(f"{prefix}:*")}

    summary = import_original(client, source.url, prefix=prefix, dry_run=True)

    assert summary.dry_run
    assert (summary.types, summary.queues, summary.leased) == (1, 3, 1)
    assert summary.moved + summary.refused == 6
    reasons = {refusal.queue_id: refusal.reason for refusal in summary.refusals}
    assert "bytes is not JSON serializable" in reasons["2"]
    assert "300002 bytes of JSON" in reasons["3"]
    assert {key: source_redis.dump(key) for key in source_redis.scan_iter(f"{prefix}:*")} == before
    assert client.queue(kind, "1") is None


def test_leased_jobs_come_after_the_end_of_their_lease_and_before_the_others(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    for number in range(6):
        original.enqueue(kind, "1", f"j{number}", requeue_limit=2)
    for number in range(3):
        assert original.dequeue(kind) == ("1", f"j{number}")
    assert original.finish(kind, "1", "j1")

    summary = import_original(client, source.url, prefix=prefix, lease_grace_ms=GRACE_MS)

    assert (summary.moved, summary.returned, summary.leased) == (5, 2, 0)
    jobs = [(job.job_id, job.requeues_remaining) for job in everything(client, kind)]
    assert sorted(jobs[:2]) == [("j0", 1), ("j2", 1)]
    assert jobs[2:] == [("j3", 2), ("j4", 2), ("j5", 2)]


def test_jobs_past_their_requeue_limit_are_discarded_as_by_the_original(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    original.enqueue(kind, "1", "j0", requeue_limit=0)
    original.enqueue(kind, "1", "j1", requeue_limit=0)
    assert original.dequeue(kind) == ("1", "j0")
    summary = import_original(client, source.url, prefix=prefix, lease_grace_ms=GRACE_MS)
    assert (summary.moved, summary.returned, summary.discarded) == (1, 0, 1)
    assert [job.job_id for job in everything(client, kind)] == ["j1"]


def test_jobs_that_the_original_requeues_itself_come_over_once(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    for number in range(4):
        original.enqueue(kind, "1", f"j{number}", requeue_limit=number)
        assert original.dequeue(kind) == ("1", f"j{number}")
    with original.requeueing():
        summary = import_original(client, source.url, prefix=prefix)
    assert (summary.moved, summary.returned, summary.leased) == (3, 0, 0)
    jobs = {(job.job_id, job.requeues_remaining) for job in everything(client, kind)}
    assert jobs == {("j1", 0), ("j2", 1), ("j3", 2)}


def test_without_waiting_for_leases_they_are_left_to_another_run(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    original.enqueue(kind, "1", "j0")
    original.enqueue(kind, "1", "j1")
    assert original.dequeue(kind) == ("1", "j0")
    first = import_original(client, source.url, prefix=prefix, wait_for_leases=False)
    assert (first.moved, first.leased) == (1, 1)
    second = import_original(client, source.url, prefix=prefix, lease_grace_ms=GRACE_MS)
    assert (second.moved, second.leased) == (1, 0)
    assert {job.job_id for job in everything(client, kind)} == {"j0", "j1"}


def test_an_id_without_a_payload_and_the_second_of_two_equal_ids_are_dropped(
    client: Client, original: Original, source: StoreServer, source_redis: Redis, prefix: str, kind: str
) -> None:
    original.enqueue(kind, "1", "twice", payload="first")
    original.enqueue(kind, "1", "twice", payload="second")
    original.enqueue(kind, "1", "ghost")
    source_redis.hdel(f"{prefix}:payload", f"{kind}:1:ghost")
    summary = import_original(client, source.url, prefix=prefix)
    assert (summary.moved, summary.without_payload) == (1, 2)
    assert [job.payload for job in everything(client, kind)] == ["second"]


def test_an_id_that_was_used_again_after_its_job_had_moved_is_a_new_job(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    for payload in ("monday", "tuesday"):
        original.enqueue(kind, "1", "daily", payload=payload)
        summary = import_original(client, source.url, prefix=prefix)
        assert (summary.moved, summary.duplicates) == (1, 0)
        assert [job.payload for job in everything(client, kind)] == [payload]


def test_refused_jobs_stay_at_the_source_and_can_be_tried_again(
    client: Client, original: Original, source: StoreServer, source_redis: Redis, prefix: str, kind: str
) -> None:
    original.enqueue(kind, "1", "odd", payload=b"bytes", requeue_limit=7)
    original.enqueue(kind, "1", "even")
    first = import_original(client, source.url, prefix=prefix)
    assert (first.moved, first.refused, first.refusals[0].job_id) == (1, 1, "odd")
    assert import_original(client, source.url, prefix=prefix).refused == 0

    original.enqueue(f"{kind}-x", "1", "mended", payload="text")
    mended = source_redis.hget(f"{prefix}:payload", f"{kind}-x:1:mended")
    assert isinstance(mended, bytes)
    source_redis.hset(f"{prefix}:payload", f"{kind}:1:odd", mended)
    second = import_original(client, source.url, prefix=prefix, retry_refused=True)
    assert (second.moved, second.refused) == (2, 0)
    jobs = [(job.job_id, job.payload, job.requeues_remaining) for job in everything(client, kind)]
    assert jobs == [("even", {"id": "even"}, -1), ("odd", "text", 7)]


def test_payloads_of_the_versions_for_python_2_come_over(
    client: Client, original: Original, source: StoreServer, source_redis: Redis, prefix: str, kind: str
) -> None:
    original.enqueue(kind, "1", "j0", payload={"text": "hello"})
    field = f"{kind}:1:j0"
    stored = source_redis.hget(f"{prefix}:payload", field)
    assert isinstance(stored, bytes)
    source_redis.hset(f"{prefix}:payload", field, b'"' + stored + b'"')
    assert original.call("metrics", queue_type=kind)["queue_ids"] == ["1"]
    import_original(client, source.url, prefix=prefix)
    assert [job.payload for job in everything(client, kind)] == [{"text": "hello"}]


def test_jobs_for_a_queue_that_is_full_here_wait_at_the_source(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    for number in range(5):
        original.enqueue(kind, "1", f"j{number}", payload={"max_queued_length": 3})
    first = import_original(client, source.url, prefix=prefix)
    assert (first.moved, first.waiting) == (3, 2)
    assert [job.job_id for job in everything(client, kind)] == ["j0", "j1", "j2"]
    second = import_original(client, source.url, prefix=prefix)
    assert (second.moved, second.waiting) == (2, 0)
    assert [job.job_id for job in everything(client, kind)] == ["j3", "j4"]


@pytest.mark.parametrize(("default_ms", "interval_ms"), [(None, 0), (80, 80)])
def test_an_interval_that_the_original_has_lost_is_unlimited_as_there_or_the_default(
    client: Client,
    original: Original,
    source: StoreServer,
    prefix: str,
    kind: str,
    default_ms: int | None,
    interval_ms: float,
) -> None:
    for job_id in ("j0", "j1"):
        original.enqueue(kind, "1", job_id, interval=0)
        assert original.dequeue(kind) == ("1", job_id)
    assert original.finish(kind, "1", "j0"), "now the interval is gone"
    assert import_original(client, source.url, prefix=prefix, dry_run=True).without_interval == 1
    summary = import_original(
        client, source.url, prefix=prefix, lease_grace_ms=GRACE_MS, default_interval_ms=default_ms
    )
    assert (summary.moved, summary.without_interval) == (1, int(default_ms is None))
    queue = client.queue(kind, "1")
    assert queue is not None
    assert (queue.interval, queue.queued) == (interval_ms, 1)


def test_an_interval_that_changes_at_the_original_is_passed_on(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    original.enqueue(kind, "1", "j0", interval=50)
    original.enqueue(kind, "1", "j1", interval=50)
    import_original(client, source.url, prefix=prefix)
    assert original.call("interval", queue_type=kind, queue_id="1", interval=70)["status"] == "success"
    import_original(client, source.url, prefix=prefix)
    queue = client.queue(kind, "1")
    assert queue is not None
    assert queue.interval == 70


def test_an_interval_that_an_operator_has_pinned_here_is_left_alone(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    original.enqueue(kind, "1", "j0", interval=50)
    import_original(client, source.url, prefix=prefix)
    client.set_interval(kind, "1", 20, pin=True)
    original.call("interval", queue_type=kind, queue_id="1", interval=70)
    import_original(client, source.url, prefix=prefix)
    queue = client.queue(kind, "1")
    assert queue is not None
    assert queue.interval == 20


@pytest.mark.parametrize("is_known", [True, False], ids=["lease length known", "lease length not known"])
def test_a_slow_queue_waits_for_one_interval_after_its_last_lease(
    client: Client, start_original: StartOriginal, source: StoreServer, prefix: str, kind: str, is_known: bool
) -> None:
    """The original forgets the last dequeue of a queue after the length of a lease, here of 100 ms."""
    original = start_original(lease_ms=100)
    original.enqueue(kind, "1", "j0", interval=3_600_000)
    leased_at_ms = time.time() * 1000
    assert original.dequeue(kind) == ("1", "j0")
    time.sleep(0.3)
    original.enqueue(kind, "1", "j1", interval=3_600_000)

    lease_ms = 100 if is_known else None
    import_original(client, source.url, prefix=prefix, lease_ms=lease_ms, wait_for_leases=False)
    imported_at_ms = time.time() * 1000

    queue = client.queue(kind, "1")
    assert queue is not None
    assert queue.held_until is not None
    assert leased_at_ms + 3_600_000 <= queue.held_until <= imported_at_ms + 3_600_000 + 1
    assert client.dequeue(kind) is None


def test_a_queue_that_must_wait_longer_than_a_hold_lasts_gets_delayed_jobs(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    three_days_ms = 3 * 24 * 3600 * 1000
    for job_id in ("j0", "j1", "j2"):
        original.enqueue(kind, "1", job_id, interval=three_days_ms)
    assert original.dequeue(kind) == ("1", "j0")
    import_original(client, source.url, prefix=prefix, wait_for_leases=False)
    queue = client.queue(kind, "1")
    assert queue is not None
    assert queue.delayed == 2
    client.control.set_queue(kind, "1", QueueSettings(hold=None))
    assert client.dequeue(kind) is None


def test_jobs_that_come_while_the_import_runs_follow(
    client: Client, original: Original, source: StoreServer, prefix: str, kind: str
) -> None:
    for number in range(20):
        original.enqueue(kind, "1", f"a{number}")
    summary = import_original(client, source.url, prefix=prefix)
    for number in range(20):
        original.enqueue(kind, "1", f"b{number}")
        assert original.dequeue(kind) is None, "the original serves a queue that was taken over"
    assert original.call("get_queue_length", queue_type=kind, queue_id="1") == 21, "the jobs and the mark"
    summary = import_original(client, source.url, prefix=prefix)
    assert (summary.moved, summary.queues) == (20, 0)
    jobs = [job.job_id for job in everything(client, kind)]
    assert jobs == [f"a{number}" for number in range(20)] + [f"b{number}" for number in range(20)]


def test_a_run_that_producers_keep_from_ending_says_so(
    client: Client,
    original: Original,
    source: StoreServer,
    prefix: str,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    original.enqueue(kind, "1", "first")
    numbers = iter(range(4))

    def produce(_: object) -> None:
        for number in itertools.islice(numbers, 1):
            original.enqueue(kind, "1", f"later{number}")

    summary = import_original(client, source.url, prefix=prefix, on_progress=produce)
    assert summary.moved == 5
    warned = [record.getMessage() for record in caplog.records if record.name.startswith("sharq_client.")]
    assert [text.partition(".")[0] for text in warned] == ["Producers still send jobs to the original"]
    caplog.clear()
    import_original(client, source.url, prefix=prefix)
    assert not caplog.records


def test_a_deployment_on_a_redis_cluster_comes_over(
    client: Client, caller: Driver, kind: str, tmp_path: Path
) -> None:
    """Its scripts work there only if the prefix has the slot of the queue type (U18). Any node may be named."""
    with running_cluster("redis", replicas=0) as cluster:
        any_port = cluster.servers[0].port
        prefix = f"{{{kind}}}"
        original = Original(caller, any_port, prefix, tmp_path, lease_ms=60_000, is_clustered=True)
        for number in range(20):
            original.enqueue(kind, f"q{number % 3}", f"j{number}")
        moved = sum(import_original(client, server.url, prefix=prefix).moved for server in cluster.servers)
    assert moved == 20
    assert len(everything(client, kind)) == 20


def test_without_the_extra_the_error_names_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"pip install 'sharq-client\[import\]'"):
        import_original(client, "redis://127.0.0.1:1/0")
