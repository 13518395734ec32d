"""The console's stream: numbers of the whole cluster, for those who may read them, as long as the router serves."""

from __future__ import annotations

import http.client
import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from router.access.token_file import new_token
from router.console.stream import MAX_WATCHERS
from tests.console.site import DEADLINE_S, Site, events, numbers, until
from tests.support.processes.servers import PATIENT, running_server
from tests.support.stopwatch import Stopwatch


def test_a_snapshot_has_the_jobs_of_all_shards(site: Site, kind: str) -> None:
    for number in range(20):
        site.enqueue(kind, f"q{number}", 3)
    assert len(site.call("POST", f"/dequeue/{kind}/?count=20")["jobs"]) == 20
    with site.stream() as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        # On a busy machine a shard may say for a moment that its store is slow.
        snapshot = until(
            events(answer), lambda one: numbers(one, kind).get("leased") == 20 and not one["notices"]
        )
    row = numbers(snapshot, kind)
    assert (row["queued"], row["delayed"], row["dead"]) == (40, 0, 0)
    assert row["ready_for_ms"] is None
    assert {shard["node"] for shard in snapshot["shards"]} == {"shard-1", "shard-2"}
    assert sum(shard["partitions"] for shard in snapshot["shards"]) == snapshot["partitions"] == 64
    assert all(snapshot["totals"][name] >= row[name] for name in ("queued", "leased"))
    assert snapshot["types_total"] >= len(snapshot["types"]) > 0


def test_rates_failures_and_delays_follow_what_happens(site: Site, kind: str) -> None:
    with site.stream() as answer:
        found = events(answer)
        before = until(found, lambda one: one["totals"]["failed_per_min"] is not None)
        site.enqueue(kind, "q", 40, interval=0, requeue_limit=0)
        leased = site.call("POST", f"/dequeue/{kind}/?count=40")["jobs"]
        for job in leased[:3]:
            path = f"/release/{kind}/q/{job['job_id']}/"
            site.call("POST", path, {"lease": job["lease"], "error": "the carrier is away"})
        after = until(found, lambda one: numbers(one, kind).get("dead") == 3)
        after = until(found, lambda one: numbers(one, kind).get("delivered_per_s") is not None)
    row = numbers(after, kind)
    assert row["failed_per_min"] == 3
    assert row["delivered_per_s"] >= 0
    assert after["totals"]["failed_per_min"] >= before["totals"]["failed_per_min"] + 3
    assert after["totals"]["died_per_min"] >= before["totals"]["died_per_min"] + 3
    assert after["totals"]["delivered_per_s"] > 0
    assert after["totals"]["enqueued_per_s"] > 0
    assert 0 <= after["totals"]["ready_delay_p50_ms"] <= after["totals"]["ready_delay_p99_ms"]


def test_the_counts_by_minute_are_those_of_the_api(site: Site, kind: str) -> None:
    site.enqueue(kind, "q", 5)
    with site.stream() as answer:
        snapshot = until(events(answer), lambda one: one["minutes"] is not None)
    assert [row["at"] for row in snapshot["minutes"]] == sorted(row["at"] for row in snapshot["minutes"])
    assert len(snapshot["minutes"]) == 10
    counts = site.get("/metrics/")
    for row in snapshot["minutes"][:-1]:
        assert counts["enqueue_counts"].get(str(row["at"]), row["enqueued"]) >= row["enqueued"]


def test_a_held_back_type_says_why_and_a_ready_one_for_how_long(site: Site, kind: str) -> None:
    held, ready = kind, f"{kind}-ready"
    site.enqueue(held, "q")
    site.call("POST", f"/queue/{held}/q/pause/")
    site.enqueue(ready, "q")
    with site.stream() as answer:
        snapshot = until(
            events(answer),
            lambda one: numbers(one, held).get("blocked_by") and numbers(one, ready).get("ready_for_ms"),
        )
    assert numbers(snapshot, held)["blocked_by"] == "paused"
    assert numbers(snapshot, held)["ready_for_ms"] is None
    assert numbers(snapshot, ready)["blocked_by"] is None
    assert numbers(snapshot, ready)["ready_for_ms"] > 0


def test_a_type_behind_an_open_cap_lacks_workers_and_one_behind_a_held_cap_does_not(
    site: Site, kind: str
) -> None:
    held, idle = f"{kind}-held", f"{kind}-idle"
    for name, cap in ((held, "held"), (idle, "idle")):
        defined = site.call("PUT", f"/cap/{cap}/", {"limits": [{"rate": "10/s"}]})
        assert defined["status"] == "success", defined
        placed = site.call("POST", f"/queue/{name}/q/", {"rate": "10/s", "caps": [cap]})
        assert placed["status"] == "success", placed
        site.enqueue(name, "q")
    assert site.call("POST", "/cap/held/hold/", {"for": 600_000})["status"] == "success"
    with site.stream() as answer:
        snapshot = until(
            events(answer),
            lambda one: numbers(one, held).get("blocked_by") and numbers(one, idle).get("ready_for_ms"),
        )
    assert numbers(snapshot, held)["blocked_by"] == "cap"
    assert numbers(snapshot, held)["ready_for_ms"] is None
    assert numbers(snapshot, idle)["blocked_by"] is None
    assert numbers(snapshot, idle)["ready_for_ms"] > 0


def test_all_who_watch_get_the_same_snapshot(site: Site) -> None:
    with site.stream() as one, site.stream(token="reader") as other:
        seen = [{data["at"] for _, data in islice(events(answer), 3)} for answer in (one, other)]
    assert seen[0] & seen[1]


def test_a_token_for_some_types_sees_the_numbers_of_these_only(site: Site, kind: str) -> None:
    site.enqueue(kind, "q", 2)
    site.enqueue("secret", "q", 2)
    with site.stream(token="clerk") as answer:
        snapshot = until(events(answer), lambda one: numbers(one, kind))
    assert all(row["queue_type"].startswith("sms") for row in snapshot["types"])
    assert snapshot["types_total"] == len(snapshot["types"])
    assert snapshot["totals"]["queued"] == sum(row["queued"] for row in snapshot["types"])
    assert snapshot["minutes"] is None
    assert "secret" not in str(snapshot)
    with site.stream("?queue_type=secret", token="clerk") as answer:
        assert answer.status == 403


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("worker", 403), ("reader", 200), ("admin", 200)])
def test_the_stream_is_for_those_who_may_read(site: Site, token: str | None, status: int) -> None:
    with site.stream(token=token) as answer:
        assert answer.status == status


@pytest.mark.parametrize("query", ["?queue_id=q", "?queue_type=a%20b", "?nothing=1"])
def test_a_wrong_query_is_refused(site: Site, query: str) -> None:
    with site.stream(query) as answer:
        assert answer.status == 400


def test_the_watched_queue_comes_after_each_snapshot(site: Site, kind: str) -> None:
    site.enqueue(kind, "q/1", 3)
    with site.stream(f"?queue_type={kind}&queue_id=q/1") as answer:
        found = events(answer)
        first = list(islice(found, 4))
        assert [name for name, _ in first] == ["snapshot", "queue"] * 2
        site.call("POST", f"/dequeue/{kind}/")
        event = until(found, lambda one: one["queue"]["leased"] == 1, "queue")
    state = site.get(f"/queue/{kind}/q%2F1/")
    moving = ("next_ready_in", "oldest_age")
    assert {name: value for name, value in event["queue"].items() if name not in moving} == {
        name: value for name, value in state.items() if name not in moving
    }
    assert (event["queue_type"], event["queue_id"], event["minute"] % 60_000) == (kind, "q/1", 0)
    before = first[1][1]
    is_same_minute = before["enqueued"] == 3 and event["minute"] == before["minute"]
    assert (event["enqueued"], event["delivered"]) == (3, 1) or not is_same_minute


def test_an_unknown_queue_is_told_as_unknown(site: Site, kind: str) -> None:
    with site.stream(f"?queue_type={kind}&queue_id=nobody") as answer:
        assert until(events(answer), lambda _: True, "queue")["queue"] is None


def test_a_watched_gathered_type_comes_with_its_state_and_its_caps(site: Site, kind: str) -> None:
    gathered = f"{kind}~voda"
    site.call("POST", f"/type/{gathered}/", {"max_leased": 4})
    site.enqueue(gathered, "a", 3, interval=0)
    site.call("POST", f"/dequeue/{gathered}/?count=2")
    with site.stream(f"?queue_type={gathered}") as answer:
        event = until(events(answer), lambda one: one["numbers"] and one["numbers"]["caps"], "type")
    assert event["numbers"]["caps"] == {"max_leased": 0.5}
    assert (event["state"]["max_leased"], event["state"]["leased"]) == (4, 2)


def test_a_stream_ends_when_its_token_is_revoked_or_changed(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    kept, changed, revoked = (new_token(name) for name in ("kept", "changed", "revoked"))
    tokens.write_text("\n".join(line for _, line in (kept, changed, revoked)))
    with (
        running_server(environ={"SHARQ_AUTH_TOKENS_FILE": str(tokens), **PATIENT}) as server,
        ExitStack() as answers,
    ):
        streams = []
        for secret, _ in (kept, changed, revoked):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
            answers.callback(connection.close)
            connection.request("GET", "/console/stream", headers={"Authorization": f"Bearer {secret}"})
            streams.append(events(connection.getresponse()))
            assert next(streams[-1])[0] == "snapshot"
        tokens.write_text(f"{kept[1]}\n{changed[1]} ops=produce\n")
        for ended in streams[1:]:
            assert all(name == "snapshot" for name, _ in ended), "the body has an end"
        assert len(list(islice(streams[0], 3))) == 3


def test_the_number_of_streams_is_bounded(site: Site) -> None:
    with ExitStack() as open_streams:
        for _ in range(MAX_WATCHERS):
            answer = open_streams.enter_context(site.stream())
            assert next(events(answer))[0] == "snapshot"
        with site.stream() as one_more:
            assert one_more.status == 429
            assert one_more.headers["Retry-After"]
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        with site.stream() as again:
            if again.status == 200:
                return
        assert time.monotonic() < deadline_s, "places become free when streams end"


def test_a_stream_ends_in_order_when_the_server_stops(stopwatch: Stopwatch) -> None:
    with running_server() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
        connection.request("GET", "/console/stream")
        answer = connection.getresponse()
        found = events(answer)
        assert next(found)[0] == "snapshot"
        stopwatch.start()
        assert server.stop() == 0
        assert all(name == "snapshot" for name, _ in found), "the body has an end"
        stopwatch.assert_within(5.0)
        connection.close()
