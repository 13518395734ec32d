"""`sharq` with queues and types: what it shows, and what its changes of rates, pauses and settings do."""

from __future__ import annotations

import re
import time

import pytest

from sharq_client import Client, EnqueueJob
from tests.support.processes.servers import ServerFactory, SharqServer
from tests.support.processes.sharq import Sharq


@pytest.fixture
def sharq(server: SharqServer) -> Sharq:
    return Sharq(server.url)


def fill(client: Client, kind: str, queue_id: str = "acme", jobs: int = 3, rate: str = "40/s") -> None:
    client.enqueue_many(
        [
            EnqueueJob(queue_type=kind, queue_id=queue_id, job_id=f"j{number}", rate=rate, payload=number)
            for number in range(jobs)
        ]
    )


def test_queue_shows_its_jobs_its_rate_and_that_nothing_blocks_it(
    client: Client, sharq: Sharq, kind: str
) -> None:
    fill(client, kind)
    shown = sharq("queue", kind, "acme").out
    assert shown.startswith(f"{kind} acme\nIt hands out jobs: the next one may be leased now.\n")
    assert "3 queued, 0 delayed, 0 leased, 0 dead" in shown
    assert "40/s (one every 25 ms)" in shown


def test_queue_as_json_has_the_names_of_the_wire(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind)
    document = sharq("queue", kind, "acme", "--json").document
    assert (document["queued"], document["rate"], document["blocked_by"]) == (3, "40/s", None)
    assert document["interval"] == 25
    assert '"interval":25,' in sharq("queue", kind, "acme", "--json").out


def test_queue_tells_what_was_delivered_and_promised_in_the_last_minute(
    client: Client, sharq: Sharq, kind: str
) -> None:
    fill(client, kind, jobs=5)
    document = sharq("queue", kind, "acme", "--json").document
    row = next(row for row in client.control.queues(kind) if row.queue_id == "acme")
    assert (document["delivered"], document["promised"]) == (row.delivered, row.promised) == (0, 5)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([("pause", "KIND", "acme")], "It is paused. sharq resume KIND acme ends that."),
        ([("pause", "KIND")], "The type KIND is paused. sharq resume KIND ends that."),
        (
            [("hold", "KIND", "acme", "1h")],
            r"It is held until [-\d: ]+. sharq resume KIND acme ends that at once.",
        ),
        (
            [("set", "KIND", "acme", "--max-leased", "1"), ("lease",)],
            r"It has 1 leased jobs, and may have 1 \(max_leased\).",
        ),
        (
            [("rate", "KIND", "acme", "1/h"), ("lease",)],
            r"It is not due yet: its rate is 1/h. The next job may be leased in (1 h|59 min \d+ s).",
        ),
        ([("cancel", "KIND", "acme", "--prefix", "j", "--yes")], "It has no jobs that wait."),
    ],
    ids=["paused", "type_paused", "hold", "max_leased", "rate", "empty"],
)
def test_queue_says_in_a_sentence_what_it_waits_for(
    client: Client, sharq: Sharq, kind: str, steps: list[tuple[str, ...]], sentence: str
) -> None:
    fill(client, kind)
    for step in steps:
        if step == ("lease",):
            assert client.dequeue(kind, wait_ms=5_000) is not None
        else:
            sharq(*(word.replace("KIND", kind) for word in step))
    said = sharq("queue", kind, "acme").out.splitlines()[1]
    assert re.fullmatch(sentence.replace("KIND", kind), said), said


def test_unknown_queue_ends_with_3_and_names_the_server(sharq: Sharq, server: SharqServer, kind: str) -> None:
    for command in (["queue"], ["pause"], ["resume"], ["hold", "1s"], ["rate", "40/s"]):
        failed = sharq(command[0], kind, "nobody", *command[1:], code=3)
        assert failed.out == ""
        assert failed.err.startswith(f"sharq: there is no queue {kind} nobody at {server.url}.")


def test_queues_lists_every_queue_with_its_numbers(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "acme", jobs=2)
    fill(client, kind, "globex", jobs=1, rate="90/min")
    header, *rows = sharq("queues", kind).out.splitlines()
    assert header.split() == ["queue", "rate", "queued", "leased", "delivered", "promised", "blocked", "by"]
    assert sorted(row.split()[:3] for row in rows) == [["acme", "40/s", "2"], ["globex", "90/min", "1"]]


def test_queues_as_json_are_lines_of_what_the_server_answers(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "acme", jobs=2)
    fill(client, kind, "globex", jobs=1)
    documents = sharq("queues", kind, "--json").documents
    assert {document["queue_id"]: document["queued"] for document in documents} == {"acme": 2, "globex": 1}
    assert set(documents[0]) == set(client.control.top_queues(kind, "depth")[0].__struct_fields__)


def test_queues_by_depth_are_the_deepest_first(client: Client, sharq: Sharq, kind: str) -> None:
    for jobs in (1, 3, 2):
        fill(client, kind, f"q{jobs}", jobs=jobs)
    documents = sharq("queues", kind, "--by", "depth", "--limit", "2", "--json").documents
    assert [document["queue_id"] for document in documents] == ["q3", "q2"]


def test_limit_bounds_a_list(client: Client, sharq: Sharq, kind: str) -> None:
    for number in range(3):
        fill(client, kind, f"q{number}", jobs=1)
    assert len(sharq("queues", kind, "--limit", "2", "--json").documents) == 2
    assert len(sharq("queues", kind, "--limit", "0", "--json").documents) == 3
    assert len(sharq("queues", kind, "--limit", "1").out.splitlines()) == 2


def test_type_without_queues_has_no_rows(sharq: Sharq, kind: str) -> None:
    listed = sharq("queues", kind)
    assert (listed.out, listed.err) == ("", f"The type {kind} has no queues.\n")
    assert sharq("queues", kind, "--json").out == ""


def test_order_in_which_no_queue_comes_says_what_they_lack(sharq: Sharq, kind: str) -> None:
    sharq("rate", kind, "acme", "40/s", "--pin")
    assert sharq("queues", kind).out
    for order, words in (("age", "jobs that wait"), ("depth", "jobs that wait"), ("dead", "dead letters")):
        assert sharq("queues", kind, "--by", order).err == f"No queue of the type {kind} has {words}.\n"


def test_types_lists_this_type(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind)
    assert any(line.split()[:2] == [kind, "3"] for line in sharq("types").out.splitlines())
    row = next(row for row in sharq("types", "--json").documents if row["queue_type"] == kind)
    assert (row["queued"], row["blocked_by"]) == (3, None)


@pytest.mark.parametrize(
    ("words", "rate", "burst", "pinned"),
    [
        (["50/s"], "50/s", 1, False),
        (["90/min", "--burst", "1.1", "--pin"], "90/min", 1.1, True),
        (["--interval", "25ms"], "40/s", 1, False),
        (["unlimited"], None, 1, False),
        (["40/s", "--pin"], "40/s", 1, True),
    ],
)
def test_rate_changes_the_rate(
    client: Client, sharq: Sharq, kind: str, words: list[str], rate: str | None, burst: float, pinned: bool
) -> None:
    fill(client, kind, rate="7/s")
    document = sharq("rate", kind, "acme", *words, "--json").document
    assert (document["rate"], document["burst"], document["pinned"]) == (rate, burst, pinned)
    stats = client.queue(kind, "acme")
    assert stats is not None and (stats.rate, stats.burst, stats.pinned) == (rate, burst, pinned)


def test_pin_creates_the_queue_and_no_pin_unpins_it(sharq: Sharq, kind: str) -> None:
    assert "--pin creates it with this rate" in sharq("rate", kind, "new", "40/s", code=3).err
    said = sharq("rate", kind, "new", "40/s", "--pin").out
    assert said == f"{kind} new has the rate 40/s (one every 25 ms), pinned against enqueues.\n"
    assert sharq("rate", kind, "new", "40/s", "--no-pin", "--json").document["pinned"] is False


def test_pause_and_resume_reach_a_queue_and_a_type(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind)
    assert sharq("pause", kind, "acme").out == f"{kind} acme is paused. sharq resume {kind} acme ends that.\n"
    assert client.dequeue(kind) is None
    sharq("pause", kind)
    assert sharq("resume", kind, "acme").out == f"{kind} acme is resumed.\n"
    assert client.dequeue(kind) is None
    assert sharq("resume", kind, "--json").document == {"status": "success"}
    assert client.dequeue(kind, wait_ms=5_000) is not None


def test_pause_of_everything_reaches_every_type(own_server: ServerFactory, kind: str) -> None:
    server = own_server()
    sharq = Sharq(server.url)
    with Client(server.url) as client:
        fill(client, kind)
        assert sharq("pause", "--all").out == "Everything is paused. sharq resume --all ends that.\n"
        assert client.dequeue(kind) is None
        assert "Everything is paused." in sharq("queue", kind, "acme").out
        sharq("resume", "--all")
        assert client.dequeue(kind, wait_ms=5_000) is not None


@pytest.mark.parametrize("words", [[], ["sms", "--all"], ["sms", "acme", "--all"]])
def test_pause_of_nothing_or_of_two_things_is_wrong_usage(sharq: Sharq, words: list[str]) -> None:
    assert "expected TYPE, TYPE QUEUE, or --all" in sharq("pause", *words, code=2).err


def test_hold_lasts_for_a_duration_or_until_a_time(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind)
    held = sharq("hold", kind, "acme", "90s", "--json").document
    assert 80_000 < held["held_until"] - time.time() * 1000 <= 91_000
    end_ms = round(time.time() * 1000) + 3_600_000
    assert sharq("hold", kind, "acme", "--until", str(end_ms), "--json").document["held_until"] == end_ms
    assert re.search(r"is held until [-\d: ]+ \(in (1 h|59 min)", sharq("hold", kind, "acme", "1s").out)
    sharq("resume", kind, "acme")
    assert client.dequeue(kind, wait_ms=5_000) is not None


@pytest.mark.parametrize("words", [["30"], ["soon"], [], ["30s", "--until", "18:30"], ["--until", "25:99"]])
def test_hold_without_a_unit_or_with_two_ends_is_wrong_usage(sharq: Sharq, words: list[str]) -> None:
    assert "expected" in sharq("hold", "sms", "acme", *words, code=2).err


def test_set_changes_and_clears_the_settings_of_a_queue(client: Client, sharq: Sharq, kind: str) -> None:
    words = [
        "--rate",
        "40/s",
        "--max-leased",
        "20",
        "--weight",
        "3",
        "--retry",
        "30s,factor=3,max=1h,jitter=0.2",
    ]
    document = sharq("set", kind, "acme", *words, "--expires", "2h", "--on-expiry", "drop", "--json").document
    assert (document["rate"], document["max_leased"], document["weight"]) == ("40/s", 20, 3)
    assert document["retry"] == {"delay": 30_000, "factor": 3, "max": 3_600_000, "jitter": 0.2}
    assert (document["expires"], document["on_expiry"]) == (7_200_000, "drop")
    cleared = sharq("set", kind, "acme", "--clear", "retry", "--clear", "max-leased", "--json").document
    assert (cleared["retry"], cleared["max_leased"], cleared["weight"]) == (None, None, 3)
    anew = sharq("set", kind, "acme", "--rate", "5/s", "--clear", "all", "--json").document
    assert (anew["rate"], anew["weight"], anew["settings"]) == ("5/s", 1, ["interval"])
    everything = sharq("set", kind, "acme", "--clear", "all", "--json").document
    assert (everything["weight"], everything["expires"], everything["settings"]) == (1, None, [])


def test_set_of_a_gathered_type_takes_limits_and_quotas(sharq: Sharq, kind: str) -> None:
    gathered = f"{kind}~skytel"
    words = ["--limit", "40/s", "--limit", "9000/min,burst=100,unit=cost", "--quota", "2000/day@Asia/Tokyo"]
    document = sharq("set", gathered, *words, "--max-leased", "100", "--json").document
    assert document["limits"] == [
        {"rate": "40/s", "interval": 25, "burst": 1, "unit": "job"},
        {"rate": "150/s", "interval": pytest.approx(6.667), "burst": 100, "unit": "cost"},
    ]
    (quota,) = document["quotas"]
    assert (quota["quota"], quota["period"], quota["tz"], quota["unit"]) == (2000, "day", "Asia/Tokyo", "job")
    shown = sharq("type", gathered).out
    assert "limit       40/s\n" in shown and "150/s of cost, burst 100" in shown
    assert "0 of 2000 used this day (Asia/Tokyo)" in shown
    cleared = sharq("set", gathered, "--clear", "quotas", "--clear", "limits", "--json").document
    assert (cleared["limits"], cleared["quotas"], cleared["max_leased"]) == ([], [], 100)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["QUEUE"], "expected at least one setting to change"),
        (["QUEUE", "--limit", "40/s"], "limits: only a gathered type has this setting"),
        (["--weight", "3"], "weight: only a queue has this setting"),
        (["QUEUE", "--clear", "colour"], "--clear: expected one of interval, rate"),
        (["QUEUE", "--weight", "3", "--clear", "weight"], "--clear weight: the same call sets weight"),
        (["QUEUE", "--retry", "soon"], "--retry: expected a duration"),
        (["QUEUE", "--retry", "30s,foo=1"], "--retry: expected factor=... or max=... or jitter=..."),
        (["QUEUE", "--weight", "1000"], "weight: expected"),
        (["--quota", "2000/week"], "--quota: expected NUMBER/day or NUMBER/hour"),
        (["--limit", "40/s,unit=piece"], "--limit: unit: expected job or cost"),
        (["--max-leased", "5"], "queue_type: expected a gathered type"),
    ],
)
def test_wrong_settings_are_refused_by_name(sharq: Sharq, kind: str, words: list[str], message: str) -> None:
    refused = sharq("set", kind, *("acme" if word == "QUEUE" else word for word in words), code=2)
    assert refused.err.startswith(f"sharq: {message}"), refused.err


def test_delete_drops_the_jobs_that_wait(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind)
    assert "add --yes" in sharq("delete", kind, "acme", code=2).err
    assert sharq("delete", kind, "acme", "--yes").out == f"The jobs of {kind} acme are deleted.\n"
    assert client.dequeue(kind) is None
    assert sharq("delete", kind, "acme", "--yes").out == f"{kind} acme has no jobs that wait.\n"


@pytest.mark.parametrize("queue_id", ["tenant:42", "eu/acme"])
def test_ids_with_colons_and_slashes_are_shown_and_changed_as_they_are(
    client: Client, sharq: Sharq, kind: str, queue_id: str
) -> None:
    sharq("enqueue", kind, queue_id, "--job-id", "a:b/c", "--rate", "40/s", '{"n": 1}')
    assert sharq("queue", kind, queue_id).out.startswith(f"{kind} {queue_id}\n")
    assert queue_id in sharq("queues", kind).out
    sharq("pause", kind, queue_id)
    state = client.queue(kind, queue_id)
    assert state is not None and (state.paused, state.queued) == (True, 1)
    assert "a:b/c" in sharq("jobs", kind, queue_id).out
    sharq("cancel", kind, queue_id, "a:b/c")
    state = client.queue(kind, queue_id)
    assert state is not None and state.queued == 0
