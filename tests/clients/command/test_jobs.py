"""`sharq` with jobs and dead letters: lists, states, waits, changes, cancellations, retries."""

from __future__ import annotations

import re
import threading

import pytest

from sharq_client import Client, EnqueueJob, JobState
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import Sharq
from tests.support.stopwatch import Stopwatch


@pytest.fixture
def sharq(server: SharqServer) -> Sharq:
    return Sharq(server.url)


def fill(client: Client, kind: str, *job_ids: str, queue_id: str = "acme", **more: object) -> None:
    for job_id in job_ids:
        client.enqueue(
            {
                "queue_type": kind,
                "queue_id": queue_id,
                "job_id": job_id,
                "interval": 0,
                "payload": {"n": job_id},
                **more,
            }
        )


def kill(client: Client, kind: str, *job_ids: str, queue_id: str = "acme") -> None:
    """Make dead letters: jobs without a second attempt, whose first one fails."""
    fill(client, kind, *job_ids, queue_id=queue_id, requeue_limit=0)
    for _ in job_ids:
        job = client.dequeue(kind, wait_ms=5_000)
        assert job is not None
        client.release(job, 0, error="500 from the carrier\nsecond \x1b[31mline")


def state(client: Client, kind: str, job_id: str) -> JobState | None:
    status = client.job(kind, "acme", job_id)
    return None if status is None else status.state


def test_jobs_are_listed_in_the_order_in_which_they_leave(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "b", "a")
    fill(client, kind, "first", priority=1)
    assert [row["job_id"] for row in sharq("jobs", kind, "acme", "--json").documents] == ["first", "b", "a"]
    header, *rows = sharq("jobs", kind, "acme").out.splitlines()
    assert header.split() == ["job", "prio", "attempt", "enqueued", "payload"]
    assert [row.split()[:2] for row in rows] == [["first", "1"], ["b", "5"], ["a", "5"]]
    assert rows[0].endswith('{"n":"first"}')


def test_jobs_of_one_state_or_prefix(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "order-1", "order-2", "mail-1")
    fill(client, kind, "later", delay=60_000)
    assert [
        row["job_id"] for row in sharq("jobs", kind, "acme", "--prefix", "order-", "--json").documents
    ] == [
        "order-1",
        "order-2",
    ]
    (delayed,) = sharq("jobs", kind, "acme", "--state", "delayed").out.splitlines()[1:]
    assert delayed.startswith("later ") and re.search(r" in (1 min|59 s) ", delayed), delayed
    nothing = sharq("jobs", kind, "acme", "--state", "leased")
    assert (nothing.out, nothing.err) == ("", f"{kind} acme has no leased jobs.\n")


def test_payload_in_a_pipe_is_whole(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "long", payload={"text": "x" * 3_000})
    assert "x" * 3_000 in sharq("jobs", kind, "acme").out
    assert "x" * 3_000 in sharq("job", kind, "acme", "long").out


def test_job_shows_what_is_known_of_it(client: Client, sharq: Sharq, kind: str) -> None:
    retry = {"delay": 30_000, "factor": 3, "max": 3_600_000, "jitter": 0}
    fill(client, kind, "one", requeue_limit=10, retry=retry, batch="spring")
    shown = sharq("job", kind, "acme", "one").out
    assert shown.startswith(f"{kind} acme one\nstate     queued\nposition  1\nenqueued  2")
    assert "attempt   0 of 11\n" in shown and "retry     after 30 s, then times 3 up to 1 h\n" in shown
    assert "batch     spring\n" in shown and shown.endswith('payload   {"n":"one"}\n')
    document = sharq("job", kind, "acme", "one", "--json").document
    assert (document["state"], document["payload"], document["retry"]) == ("queued", {"n": "one"}, retry)
    assert "result" not in document


def test_result_of_a_finished_job_is_shown(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "one")
    job = client.dequeue(kind)
    assert job is not None
    client.finish(job, result={"sid": 17})
    assert 'result    {"sid":17}\n' in sharq("job", kind, "acme", "one").out
    document = sharq("job", kind, "acme", "one", "--json").document
    assert document["result"] == {"sid": 17} and "payload" not in document


def test_unknown_job_ends_with_3(sharq: Sharq, server: SharqServer, kind: str) -> None:
    failed = sharq("job", kind, "acme", "nobody", code=3)
    assert failed.err == (
        f"sharq: there is no job {kind} acme nobody at {server.url}. Finished jobs are forgotten after a while\n"
    )
    assert sharq("cancel", kind, "acme", "nobody", code=3).err == failed.err


def test_wait_ends_with_0_only_if_the_job_is_finished(
    client: Client, sharq: Sharq, kind: str, stopwatch: Stopwatch
) -> None:
    fill(client, kind, "one", "two")
    job = client.dequeue(kind)
    assert job is not None
    threading.Timer(0.3, lambda: client.finish(job)).start()
    stopwatch.start()
    assert "state     finished" in sharq("job", kind, "acme", "one", "--wait").out
    assert stopwatch.elapsed_s > 0.2
    stopwatch.assert_within(10)
    late = sharq("job", kind, "acme", "two", "--wait", "--within", "300ms", code=1)
    assert late.err == "sharq: the job has not ended within 300ms\n"
    client.jobs.cancel(kind, "acme", "two")
    assert sharq("job", kind, "acme", "two", "--wait", code=1).err == "sharq: the job is cancelled\n"
    assert "only with --wait" in sharq("job", kind, "acme", "two", "--within", "1s", code=2).err


def test_change_of_a_waiting_job(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "one")
    words = ["--priority", "1", "--payload", '{"text": "Hello"}', "--expires", "2h", "--delay", "1h"]
    document = sharq("change", kind, "acme", "one", *words, "--json").document
    assert (document["state"], document["priority"], document["payload"]) == ("delayed", 1, {"text": "Hello"})
    assert document["expires_at"] - document["delayed_until"] == pytest.approx(3_600_000, abs=2_000)
    assert sharq("change", kind, "acme", "one", "--expires", "never", "--json").document["expires_at"] is None
    assert (
        "--payload: expected JSON" in sharq("change", kind, "acme", "one", "--payload", "Hello", code=2).err
    )
    assert "expected at least one value" in sharq("change", kind, "acme", "one", code=2).err
    assert client.dequeue(kind) is None


def test_cancel_of_one_job(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "one", "two", "three")
    assert sharq("cancel", kind, "acme", "two").out == f"{kind} acme two was queued, and is cancelled.\n"
    assert sharq("cancel", kind, "acme", "two").out == f"{kind} acme two had been cancelled already.\n"
    assert client.dequeue(kind, wait_ms=5_000) is not None
    refused = sharq("cancel", kind, "acme", "one", code=1)
    assert refused.err == "sharq: a worker holds the job. --force cancels it all the same\n"
    assert sharq("cancel", kind, "acme", "one", "--force", "--json").document == {"was": "leased"}
    assert state(client, kind, "one") is JobState.CANCELLED


def test_cancel_by_prefix_and_by_batch_asks_first(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "order-1", "order-2", "mail-1")
    fill(client, kind, "b1", "b2", queue_id="globex", batch="spring")
    by_prefix = ["cancel", kind, "acme", "--prefix", "order-"]
    by_batch = ["cancel", kind, "--batch", "spring"]
    assert "There is no terminal on which to answer; add --yes" in sharq(*by_prefix, code=2).err
    assert "There is no terminal on which to answer; add --yes" in sharq(*by_batch, code=2).err
    assert state(client, kind, "order-1") is JobState.QUEUED
    assert sharq(*by_prefix, "--yes").out == "2 jobs are cancelled.\n"
    assert sharq(*by_batch, "--yes", "--json").document == {"cancelled": 2}
    assert state(client, kind, "mail-1") is JobState.QUEUED


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["acme"],
        ["--prefix", "order-"],
        ["acme", "--batch", "spring"],
        ["acme", "one", "--prefix", "order-"],
        ["acme", "--prefix", "order-", "--force"],
    ],
)
def test_cancel_of_nothing_or_of_two_things_is_wrong_usage(sharq: Sharq, words: list[str]) -> None:
    assert "--help shows examples" in sharq("cancel", "sms", *words, code=2).err


def test_dead_letters_are_listed_on_one_line_each(client: Client, sharq: Sharq, kind: str) -> None:
    kill(client, kind, "h1")
    kill(client, kind, "g1", queue_id="globex")
    header, *rows = sharq("dead", "ls", kind).out.splitlines()
    assert header.split() == ["queue", "job", "reason", "attempts", "died", "error", "payload"]
    assert sorted(row.split()[:4] for row in rows) == [
        ["acme", "h1", "limit", "1"],
        ["globex", "g1", "limit", "1"],
    ]
    # A text of a worker must not steer the terminal of an operator.
    assert all(r"500 from the carrier\nsecond \x1b[31mline" in row for row in rows)
    (letter,) = sharq("dead", "ls", kind, "globex", "--json").documents
    assert (letter["queue_id"], letter["job_id"], letter["payload"]) == ("globex", "g1", {"n": "g1"})
    assert sharq("dead", "ls", kind, "nobody").err == f"{kind} nobody has no dead letters.\n"


def test_dead_letters_are_queued_again(client: Client, sharq: Sharq, kind: str) -> None:
    kill(client, kind, "h1", "h2", "h3")
    kill(client, kind, "g1", "g2", queue_id="globex")
    assert sharq("dead", "retry", kind, "acme", "h1").out == "1 dead letter is queued again.\n"
    assert (state(client, kind, "h1"), state(client, kind, "h2")) == (JobState.QUEUED, JobState.DEAD)
    assert "add --yes" in sharq("dead", "retry", kind, "acme", code=2).err
    assert sharq("dead", "retry", kind, "acme", "--yes").out == "2 dead letters are queued again.\n"
    assert sharq("dead", "retry", kind, "--yes", "--json").document == {"redriven": 2}
    assert sharq("dead", "retry", kind, "acme", "h1", code=3).err.startswith("sharq: ")
    assert list(client.dead(kind)) == []


def test_dead_letter_whose_id_is_used_again_is_kept(client: Client, sharq: Sharq, kind: str) -> None:
    kill(client, kind, "h1", "h2")
    fill(client, kind, "h1")
    failed = sharq("dead", "retry", kind, "acme", "--yes", code=1)
    assert failed.out == "1 dead letter is queued again.\n"
    assert failed.err.startswith("sharq: 1 dead letters are kept. The first reason: ")


def test_dead_letters_are_dropped(client: Client, sharq: Sharq, kind: str) -> None:
    kill(client, kind, "h1", "h2", "h3")
    kill(client, kind, "g1", queue_id="globex")
    assert sharq("dead", "drop", kind, "acme", "h1").out == "1 dead letter is dropped.\n"
    assert sharq("dead", "drop", kind, "acme", "h1", code=3).err.startswith("sharq: there is no dead letter")
    assert sharq("dead", "drop", kind, "acme", "--yes").out == "2 dead letters are dropped.\n"
    assert [letter.job_id for letter in client.dead(kind)] == ["g1"]
    assert "Drop all dead letters" in sharq("dead", "drop", kind, code=2).err
    assert sharq("dead", "drop", kind, "--yes", "--json").document == {"dropped": 1}


def test_cancel_of_a_dead_letter_drops_it(client: Client, sharq: Sharq, kind: str) -> None:
    kill(client, kind, "h1")
    assert sharq("cancel", kind, "acme", "h1").out == f"{kind} acme h1 was a dead letter, and is dropped.\n"


def test_batch_counts_its_jobs(client: Client, sharq: Sharq, server: SharqServer, kind: str) -> None:
    fill(client, kind, "b1", "b2", batch="spring")
    fill(client, kind, "b3", queue_id="globex", batch="spring", delay=60_000)
    job = client.dequeue(kind)
    assert job is not None
    client.finish(job)
    first, second, _, numbers = sharq("batch", kind, "spring").out.splitlines()
    assert (first, second) == (f"{kind} spring", "1 of 3 jobs have ended (33 %).")
    assert numbers.split() == ["1", "1", "0", "1", "0", "0"]
    assert sharq("batch", kind, "spring", "--json").document["total"] == 3
    assert f"no batch autumn of the type {kind} at {server.url}" in sharq("batch", kind, "autumn", code=3).err


def test_markup_in_a_payload_is_shown_as_it_stands(client: Client, sharq: Sharq, kind: str) -> None:
    client.enqueue(
        EnqueueJob(queue_type=kind, queue_id="acme", job_id="x", interval=0, payload="[bold]x[/bold]")
    )
    assert sharq("job", kind, "acme", "x").out.endswith('payload   "[bold]x[/bold]"\n')
