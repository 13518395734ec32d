"""`sharq dequeue`, `finish`, `extend` and `release`: work by hand."""

from __future__ import annotations

import pytest

from sharq_client import Client, JobState
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import Sharq


@pytest.fixture
def sharq(server: SharqServer) -> Sharq:
    return Sharq(server.url)


def fill(client: Client, kind: str, *job_ids: str) -> None:
    for job_id in job_ids:
        client.enqueue(
            {
                "queue_type": kind,
                "queue_id": "acme",
                "job_id": job_id,
                "interval": 0,
                "payload": {"n": job_id},
            }
        )


def leased(sharq: Sharq, kind: str) -> dict[str, str]:
    (job,) = sharq("dequeue", kind, "--wait", "5s", "--json").document["jobs"]
    found: dict[str, str] = job
    return found


def test_dequeued_job_is_shown_with_the_command_that_finishes_it(
    client: Client, sharq: Sharq, kind: str
) -> None:
    fill(client, kind, "order-17")
    first, payload, hint = sharq("dequeue", kind).out.splitlines()
    assert first == f"{kind} acme order-17  attempt 1"
    assert payload == '  payload  {"n":"order-17"}'
    words = hint.split()[1:]
    assert words[:2] == ["sharq", "finish"]
    assert sharq(*words[1:]).out == f"{kind} acme order-17: finished\n"
    status = client.job(kind, "acme", "order-17")
    assert status is not None and status.state is JobState.FINISHED


def test_dequeue_takes_several_types_a_count_a_wait_and_a_lease(
    client: Client, sharq: Sharq, kind: str
) -> None:
    fill(client, kind, "a", "b")
    fill(client, f"{kind}-mail", "c")
    outcome = sharq(
        "dequeue", kind, f"{kind}-mail", "--count", "9", "--wait", "1s", "--lease", "90s", "--json"
    )
    jobs = outcome.document["jobs"]
    assert sorted((job["queue_type"], job["job_id"]) for job in jobs) == [
        (kind, "a"),
        (kind, "b"),
        (f"{kind}-mail", "c"),
    ]
    assert 80_000 < jobs[0]["lease_expires_at"] - jobs[0]["enqueued_at"] < 100_000


def test_dequeue_of_nothing_has_its_own_exit_code(sharq: Sharq, kind: str) -> None:
    outcome = sharq("dequeue", kind, code=3)
    assert (outcome.out, outcome.err) == ("", f"sharq: no job of {kind} is ready: empty\n")
    assert sharq("dequeue", kind, "--json", code=3).document == {
        "jobs": [],
        "blocked_by": "empty",
        "next_ready_in": None,
    }


def test_dequeue_of_a_queue_that_is_not_due_says_when_it_is(client: Client, sharq: Sharq, kind: str) -> None:
    client.enqueue({"queue_type": kind, "queue_id": "acme", "payload": 1, "rate": "1/h"})
    client.enqueue({"queue_type": kind, "queue_id": "acme", "payload": 2, "rate": "1/h"})
    sharq("dequeue", kind)
    assert f"no job of {kind} is ready: rate, " in sharq("dequeue", kind, code=3).err


def test_finish_without_a_lease_keeps_a_result(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "a")
    leased(sharq, kind)
    answer = sharq("finish", kind, "acme", "a", "--result", '{"id": 81}', "--json").document
    assert answer == {"status": "success", "result_kept": True}
    status = client.job(kind, "acme", "a")
    assert status is not None and status.result == {"id": 81}


def test_extend_moves_the_end_of_a_lease(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "a")
    job = leased(sharq, kind)
    sharq(
        "extend", kind, "acme", "a", "--by", "10m", "--lease", job["lease"], "--progress", '{"percent": 50}'
    )
    status = client.job(kind, "acme", "a")
    assert status is not None and status.progress == {"percent": 50}
    assert status.lease_expires_at is not None
    assert status.lease_expires_at > int(job["lease_expires_at"]) + 8 * 60_000


def test_release_gives_the_job_back_with_its_error(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "a")
    lease = leased(sharq, kind)["lease"]
    words = ["--delay", "1h", "--error", "carrier is down", "--no-count"]
    sharq("release", kind, "acme", "a", "--lease", lease, *words)
    status = client.job(kind, "acme", "a")
    assert status is not None
    assert (status.state, status.attempt, status.error) == (JobState.DELAYED, 0, "carrier is down")


def test_lost_lease_is_refused(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "a")
    job = leased(sharq, kind)
    sharq("release", kind, "acme", "a", "--lease", job["lease"], "--delay", "0s")
    leased(sharq, kind)
    assert "lease" in sharq("finish", kind, "acme", "a", "--lease", job["lease"], code=1).err
    assert sharq("finish", kind, "acme", "unknown", code=3).err


def test_result_that_is_no_json_is_wrong_usage(sharq: Sharq, kind: str) -> None:
    error = sharq("finish", kind, "acme", "a", "--result", "hello", code=2).err
    assert "--result: expected JSON" in error
