"""`sharq enqueue`: one job, and jobs from a file."""

from __future__ import annotations

import csv
import gzip
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from sharq_client import Client, JobState
from sharq_client.cli.jobfiles.report import FileReport
from tests.support.extent import is_full
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import SCRIPT, Sharq
from tests.support.processes.terminal import Terminal


@pytest.fixture
def sharq(server: SharqServer) -> Sharq:
    return Sharq(server.url)


def lines_of(kind: str, count: int, queues: int = 7) -> list[str]:
    return [
        json.dumps({"queue_type": kind, "queue_id": f"q{n % queues}", "interval": 0, "payload": n})
        for n in range(count)
    ]


def write(path: Path, lines: Sequence[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def queued(client: Client, kind: str) -> int:
    return sum(row.queued + row.delayed for row in client.control.queues(kind))


def payloads(client: Client, kind: str, queue_id: str = "acme") -> list[object]:
    rows = client.jobs.in_queue(kind, queue_id)
    return [row.payload for row in rows]


def test_one_job_with_its_options(client: Client, sharq: Sharq, kind: str) -> None:
    outcome = sharq(
        "enqueue", kind, "acme", '{"to": "+1"}', "--job-id", "a", "--rate", "40/s", "--priority", "2",
        "--delay", "1h", "--expires", "2d", "--on-expiry", "drop", "--cost", "3", "--requeue-limit", "-1",
        "--retry", "1s,factor=3", "--batch", "spring",
    )  # fmt: skip
    assert outcome.out == f"{kind} acme a: queued\n"
    status = client.job(kind, "acme", "a")
    assert status is not None and status.retry is not None
    assert (status.payload, status.priority, status.cost) == ({"to": "+1"}, 2, 3)
    assert (status.state, status.requeue_limit, status.batch) == (JobState.DELAYED, -1, "spring")
    assert (status.retry.delay, status.retry.factor, str(status.on_expiry)) == (1000, 3, "drop")
    stats = client.queue(kind, "acme")
    assert stats is not None and stats.rate == "40/s"
    assert sharq("enqueue", kind, "acme", "1", "--job-id", "a").out == f"{kind} acme a: duplicate\n"
    sharq("enqueue", kind, "acme", "1", "--job-id", "b", "--retry", "none", "--rate", "unlimited")
    second, stats = client.job(kind, "acme", "b"), client.queue(kind, "acme")
    assert second is not None and second.retry is None
    assert stats is not None and stats.interval == 0


def test_payload_comes_from_stdin(client: Client, sharq: Sharq, kind: str) -> None:
    answer = sharq.process(
        "enqueue", kind, "acme", "-", "--interval", "0s", "--json", stdin='{"n": 1}'
    ).document
    assert answer["duplicate"] is False
    status = client.job(kind, "acme", answer["job_id"])
    assert status is not None and status.payload == {"n": 1}


def test_what_is_wrong_with_one_job_is_told(sharq: Sharq, kind: str) -> None:
    assert "PAYLOAD: expected JSON" in sharq("enqueue", kind, "acme", "hello", code=2).err
    assert "expected TYPE, QUEUE and PAYLOAD" in sharq("enqueue", kind, code=2).err
    assert "rate" in sharq("enqueue", kind, "acme", "1", "--rate", "fast", code=2).err
    assert "--file" in sharq("enqueue", kind, "acme", "1", "--file", "-", code=2).err


def test_json_lines_are_enqueued_in_order(client: Client, sharq: Sharq, kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "jobs.jsonl", lines_of(kind, 9_000))
    outcome = sharq("enqueue", "--file", path)
    assert outcome.out.startswith("9,000 queued, 0 duplicates, 0 failed in ")
    for queue in range(7):
        found = payloads(client, kind, f"q{queue}")
        assert found == list(range(queue, 9_000, 7))
    assert not list(tmp_path.glob("*.sharq-enqueue"))


def test_file_that_is_sent_again_enqueues_nothing_twice(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "jobs.jsonl", [*lines_of(kind, 20), *lines_of(kind, 20)])
    assert sharq("enqueue", "-f", path, "--json").document["queued"] == 40
    job = client.dequeue(kind)
    assert job is not None
    client.finish(job)
    again = sharq("enqueue", "-f", path, "--json").document
    assert (again["queued"], again["duplicates"], again["failed"]) == (0, 40, 0)
    assert queued(client, kind) == 39
    assert sharq("enqueue", "-f", path, "--run", "next", "--json").document["queued"] == 40


def test_csv_has_fields_of_the_wire_and_the_rest_is_the_payload(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        rows = csv.writer(file)
        rows.writerow(["queue_id", "job_id", "to", "text", "priority", "retry"])
        rows.writerow(["acme", "a", "0171555", 'Hällo, "you"\nthere', "1", '{"delay": 5}'])
        rows.writerow(["acme", "", "0172555", "", "", ""])
    sharq("enqueue", kind, "--file", str(path), "--rate", "90/min")
    first = client.job(kind, "acme", "a")
    assert first is not None and first.retry is not None
    assert (first.priority, first.retry.delay) == (1, 5)
    texts = [{"to": "0171555", "text": 'Hällo, "you"\nthere'}, {"to": "0172555", "text": ""}]
    assert payloads(client, kind) == texts
    stats = client.queue(kind, "acme")
    assert stats is not None and stats.interval == pytest.approx(666.667, abs=0.01)


def test_line_that_says_a_default_in_another_way_wins(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    rows = [
        {
            "queue_id": "own",
            "job_id": "a",
            "payload": 1,
            "interval": 100,
            "at": 1,
            "expires_at": 4102444800000,
        },
        {"queue_id": "plain", "job_id": "b", "payload": 1, "interval": None},
    ]
    path = write(tmp_path / "jobs.jsonl", [json.dumps(row) for row in rows])
    options = ("--rate", "40/s", "--delay", "1h", "--expires", "2h")
    assert sharq("enqueue", kind, "--file", path, *options).out.startswith("2 queued")
    own, plain = client.queue(kind, "own"), client.queue(kind, "plain")
    assert own is not None and plain is not None
    assert (own.rate, plain.rate) == ("10/s", "40/s")
    first, second = client.job(kind, "own", "a"), client.job(kind, "plain", "b")
    assert first is not None and second is not None
    assert (first.state, first.expires_at) == (JobState.QUEUED, 4102444800000)
    assert second.state is JobState.DELAYED


def test_bad_lines_are_told_and_do_not_stop_the_others(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    good = lines_of(kind, 2, queues=1)
    bad = [
        "not json",
        json.dumps({"queue_type": kind, "queue_id": "a", "payload": 1, "nope": 1}),
        json.dumps({"queue_type": kind, "payload": 1}),
        json.dumps({"queue_type": kind, "queue_id": "a//b", "payload": 1}),
        json.dumps({"queue_type": kind, "queue_id": "q", "payload": 1, "rate": "fast"}),
        "[]",
    ]
    path = write(tmp_path / "jobs.jsonl", [good[0], "", *bad, good[1]])
    rejected = tmp_path / "rejected.jsonl"
    outcome = sharq("enqueue", "--file", path, "--rejected", str(rejected), code=1)
    assert outcome.out.startswith("2 queued, 0 duplicates, 6 failed in ")
    told = {line.split(":", 3)[2]: line.split(":", 3)[3] for line in outcome.err.splitlines()}
    assert sorted(told) == ["3", "4", "5", "6", "7", "8"]
    assert "is not JSON" in told["3"] and "unknown field 'nope'" in told["4"]
    assert "queue_id is missing" in told["5"]
    assert told["6"].startswith(" queue_id: expected") and told["7"].startswith(" rate: expected")
    assert sorted(rejected.read_text().splitlines()) == sorted(bad)
    assert queued(client, kind) == 2


def test_bad_csv_lines_have_the_number_of_their_first_line(sharq: Sharq, kind: str, tmp_path: Path) -> None:
    rows = ["queue_id;interval;text", 'a;0;"two', 'lines"', "a;soon;x", "a;0", "a;0;x"]
    outcome = sharq(
        "enqueue",
        kind,
        "-f",
        write(tmp_path / "jobs.csv", rows),
        "--json",
        "--rejected",
        str(tmp_path / "no"),
        code=1,
    )
    failures = [(one["line"], one["message"]) for one in outcome.document["failures"]]
    assert failures == [
        (4, "interval: expected a number, got 'soon'"),
        (5, "expected 3 cells as in the header, got 2"),
    ]
    assert (tmp_path / "no").read_text().splitlines() == [rows[0], rows[3], rows[4]]
    wrong = write(tmp_path / "wrong.csv", ["queue_id,queue_id", "a,b"])
    assert "expected a header" in sharq("enqueue", kind, "-f", wrong, code=2).err


def test_strict_run_ends_at_the_first_bad_line_and_goes_on_once_it_is_mended(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    lines = lines_of(kind, 10)
    path = write(tmp_path / "jobs.jsonl", [*lines[:5], "bad", *lines[5:]])
    outcome = sharq("enqueue", "-f", path, "--strict", code=1)
    assert f"{path}:6: is not JSON" in outcome.err and "stopped after line 5; --resume" in outcome.err
    assert queued(client, kind) == 5
    assert "--resume goes on there" in sharq("enqueue", "-f", path, code=2).err
    write(tmp_path / "jobs.jsonl", lines)
    assert sharq("enqueue", "-f", path, "--resume", "--json").document["queued"] == 5
    assert queued(client, kind) == 10


def test_file_that_has_changed_is_not_gone_on_with(sharq: Sharq, kind: str, tmp_path: Path) -> None:
    lines = lines_of(kind, 4)
    path = write(tmp_path / "jobs.jsonl", [*lines, "bad"])
    sharq("enqueue", "-f", path, "--strict", code=1)
    write(tmp_path / "jobs.jsonl", [*reversed(lines)])
    error = sharq("enqueue", "-f", path, "--resume", code=2).err
    assert "its first 4 lines are not those" in error and "--restart" in error
    assert sharq("enqueue", "-f", path, "--restart", "--json").document["failed"] == 0


def test_stdin_and_packed_files(client: Client, sharq: Sharq, kind: str, tmp_path: Path) -> None:
    text = "\n".join(lines_of(kind, 5))
    sharq.process("enqueue", "--file", "-", stdin=text)
    with gzip.open(tmp_path / "more.jsonl.gz", "wt") as file:
        file.write("\n".join(lines_of(f"{kind}-gz", 6)))
    sharq("enqueue", "--file", str(tmp_path / "more.jsonl.gz"))
    table = "queue_id,interval,n\na,0,1\na,0,2\n"
    sharq.process("enqueue", f"{kind}-csv", "--file", "-", stdin=table)
    counts = [queued(client, name) for name in (kind, f"{kind}-gz", f"{kind}-csv")]
    assert counts == [5, 6, 2]
    assert sharq("enqueue", "--file", str(tmp_path / "none.jsonl"), code=1).err.startswith("sharq: ")


@contextmanager
def started(sharq: Sharq, path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command on a file, and yield it once a part of the file is enqueued."""
    words = [str(SCRIPT), "enqueue", "--file", path, "--json"]
    with subprocess.Popen(words, env=sharq.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        while not Path(f"{path}.sharq-enqueue").exists():
            assert run.poll() is None
            time.sleep(0.01)
        yield run


def test_interrupted_run_goes_on_where_it_ended(sharq: Sharq, kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "jobs.jsonl", lines_of(kind, 20_000))
    with started(sharq, path) as run:
        run.send_signal(signal.SIGINT)
        out, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    reached = json.loads(out)
    assert not reached["is_complete"] and 0 < reached["line"] < 20_000
    again = sharq.process("enqueue", "--file", path, "--resume", "--json").document
    # Nothing is lost, and nothing is sent twice: all that was answered is behind the run.
    assert reached["queued"] + again["queued"] == 20_000
    assert again["is_complete"] and again["duplicates"] == 0


def test_interruption_while_answers_are_counted_counts_them_all(
    sharq: Sharq, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "jobs.jsonl", lines_of(kind, 6_000))
    counted = FileReport.enqueued

    def interrupt(report: FileReport, *, is_duplicate: bool) -> None:
        counted(report, is_duplicate=is_duplicate)
        if report.sent == 10:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(FileReport, "enqueued", interrupt)
        first = sharq("enqueue", "--file", path, "--json", code=130)
    again = sharq("enqueue", "--file", path, "--resume", "--json").document
    assert first.document["queued"] + again["queued"] == 6_000
    assert again["duplicates"] == 0


def test_killed_run_goes_on_and_enqueues_nothing_twice(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "jobs.jsonl", lines_of(kind, 20_000))
    with started(sharq, path) as run:
        run.kill()
        run.wait()
    again = sharq("enqueue", "--file", path, "--resume", "--json").document
    assert again["is_complete"] and again["duplicates"] <= 8_000
    assert queued(client, kind) == 20_000


def test_server_that_cannot_be_reached_ends_the_run(
    sharq: Sharq, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sharq_client.cli.jobfiles.run.FILE_RETRIES", 0)
    path = write(tmp_path / "jobs.jsonl", lines_of(kind, 10))
    outcome = Sharq("http://127.0.0.1:9")("enqueue", "-f", path, code=4)
    assert "cannot reach http://127.0.0.1:9" in outcome.err
    sharq("enqueue", "-f", path)


def test_damaged_archive_is_told_and_a_run_goes_on_once_it_is_whole(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    whole = gzip.compress("".join(f"{line}\n" for line in lines_of(kind, 9_000)).encode(), mtime=0)
    path = tmp_path / "jobs.jsonl.gz"
    path.write_bytes(whole[: len(whole) - 20])
    outcome = sharq("enqueue", "--file", str(path), code=1)
    assert f"sharq: {path}: its compressed data ends early\n" in outcome.err
    sent = int(outcome.out.partition(" ")[0].replace(",", ""))
    assert sent > 0  # what came before the damage
    path.write_bytes(whole[:-8] + bytes(8))  # another checksum
    assert (
        f"{path}: its compressed data is damaged" in sharq("enqueue", "-f", str(path), "--resume", code=1).err
    )
    path.write_bytes(whole)
    assert sharq("enqueue", "-f", str(path), "--resume").out.startswith(f"{9_000 - sent:,} queued")
    path.write_bytes(b"queue_id\nacme\n")
    assert f"{path}: its compressed data is damaged" in sharq("enqueue", "-f", str(path), code=1).err


def test_progress_that_cannot_be_written_is_told_before_anything_is_sent(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    name = write(tmp_path / "jobs.jsonl", lines_of(kind, 3))
    state = str(tmp_path / "missing" / "state")
    outcome = sharq("enqueue", "--file", name, "--state", state, code=1)
    problem = "the progress cannot be kept: No such file or directory; --state names another file"
    assert (outcome.out, outcome.err) == ("", f"sharq: {state}: {problem}. Nothing was sent\n")
    assert queued(client, kind) == 0


def test_disk_that_fills_up_ends_the_run_with_its_summary(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    """The progress can be written at the start, and not any more once some jobs are sent."""
    name = write(tmp_path / "jobs.jsonl", lines_of(kind, 3))
    state = tmp_path / "state"
    state.mkdir()  # a file beside it can be written, but cannot take its place
    outcome = sharq("enqueue", "--file", name, "--restart", "--state", str(state), code=1)
    assert outcome.out.startswith("3 queued, 0 duplicates, 0 failed")
    assert f"sharq: {state}: the progress is not kept: Is a directory\n" in outcome.err
    assert "--resume" not in outcome.err
    assert (queued(client, kind), list(tmp_path.glob("state.*"))) == (3, [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this device, which is always full")
def test_lines_that_fail_are_in_their_file_before_a_later_run_skips_them(
    client: Client, sharq: Sharq, kind: str, tmp_path: Path
) -> None:
    name = write(tmp_path / "jobs.jsonl", [*lines_of(kind, 2), "nonsense"])
    outcome = sharq("enqueue", "--file", name, "--rejected", "/dev/full", code=1)
    assert outcome.out.startswith("2 queued, 0 duplicates, 1 failed")
    assert "/dev/full: No space left on device" in outcome.err
    assert "stopped after line 0\n" in outcome.err
    rejected = tmp_path / "rejected"
    outcome = sharq("enqueue", "--file", name, "--rejected", str(rejected), code=1)
    assert outcome.out.startswith("0 queued, 2 duplicates, 1 failed")
    assert rejected.read_text() == "nonsense\n"


def test_terminal_shows_a_bar_with_rate_and_remaining_time(sharq: Sharq, kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "jobs.jsonl", [*lines_of(kind, 20_000), "bad"])
    with Terminal([str(SCRIPT), "enqueue", "--file", path], sharq.environ(), columns=100) as terminal:
        terminal.until("jobs ")
        terminal.until("/s ETA ")
        terminal.until(f"{path}:20001: is not JSON"[:80])
        terminal.until("100 %")
        terminal.until("20,000 queued, 0 duplicates, 1 failed in ")
        assert terminal.exit_code() == 1


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(sharq: Sharq, kind: str, tmp_path: Path) -> None:
    def peak_kib(count: int) -> int:
        path = write(tmp_path / f"{count}.jsonl", lines_of(f"{kind}-{count}", count, queues=50))
        words = [str(SCRIPT), "enqueue", "--file", path]
        peak = 0
        with subprocess.Popen(words, env=sharq.environ(), stdout=subprocess.DEVNULL) as process:
            # Not the rusage of the process: it counts the memory of this one, from which it was forked.
            while process.poll() is None:
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = max(peak, *map(int, re.findall(r"VmHWM:\s+(\d+) kB", status)), 0)
                time.sleep(0.01)
        assert process.returncode == 0
        return peak

    small, large = peak_kib(5_000), peak_kib(100_000 if is_full() else 30_000)
    assert large < small * 1.15, (small, large)
    assert large < 100_000
