"""`sharq` writes for people, for pipes and for terminals: times, widths, colours, questions."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import msgspec
import pytest

from sharq_client import Client, EnqueueJob, JobState
from sharq_client.answers import QueueStats, TypeStats
from sharq_client.cli.commands import reasons
from sharq_client.cli.commands.setting_texts import limit_of, quota_of, retry_of
from sharq_client.cli.output import printable
from sharq_client.cli.tables import MOST_PADDED, Column, aligned, fitted, shown_columns
from sharq_client.cli.times import age, duration_ms, readable, time_ms
from sharq_core.limits import BlockedBy
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import SCRIPT, Sharq
from tests.support.processes.terminal import Terminal


@pytest.mark.parametrize(
    ("text", "ms"),
    [("500ms", 500), ("30s", 30_000), ("1.5s", 1_500), ("5m", 300_000), ("5min", 300_000), ("2h", 7_200_000),
     ("1d", 86_400_000), ("1h30m", 5_400_000), ("1 h 30 min", 5_400_000), ("0s", 0)],
)  # fmt: skip
def test_durations_are_read(text: str, ms: float) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "30", "s", "-5s", "5 weeks", "5s later", "1e3s", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration with its unit"):
        duration_ms(text)


def test_duration_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a shorter duration"):
        duration_ms(f"{'9' * 400}d")


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0.5, "0.5 ms"), (25, "25 ms"), (666.6667, "666.7 ms"), (999.6, "999.6 ms"), (1_000, "1 s"), (4_190, "4.2 s"),
     (9_960, "10 s"), (59_400, "59 s"), (59_600, "1 min"), (125_000, "2 min 5 s"), (3_600_000, "1 h"),
     (12_000_000, "3 h 20 min"), (86_400_000, "1 d"), (349_200_000, "4 d 1 h"), (31_536_000_000, "365 d")],
)  # fmt: skip
def test_durations_are_written_in_at_most_two_units(ms: float, text: str) -> None:
    assert readable(ms) == text


def test_ages_tell_past_from_future() -> None:
    now_ms = time.time() * 1000
    assert age(round(now_ms)) == "now"
    assert age(round(now_ms) - 90_100) == "1 min 30 s ago"
    assert age(round(now_ms) + 7_230_000) == "in 2 h"


def test_times_are_read_as_local_ones() -> None:
    soon = datetime.now().astimezone().replace(microsecond=0) + timedelta(hours=3)
    expected = round(soon.timestamp() * 1000)
    assert time_ms(f"{soon:%Y-%m-%dT%H:%M:%S}") == time_ms(soon.isoformat()) == expected
    assert time_ms(str(expected)) == expected
    assert time_ms(f"{soon:%H:%M:%S}") == expected
    # What the clock has read today already, it reads again tomorrow.
    assert (
        86_000_000
        < time_ms(f"{soon - timedelta(hours=3, seconds=30):%H:%M:%S}") - time.time() * 1000
        < 86_400_000
    )


@pytest.mark.parametrize("text", ["", "noon", "25:00", "18:61", "2026-13-01", "0001-01-01T00:00+14:00", "18"])
def test_what_is_no_time_is_refused(text: str) -> None:
    if text == "18":
        assert time_ms(text) == 18
        return
    with pytest.raises(ValueError, match="expected a time"):
        time_ms(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("ünï 日本", "ünï 日本"), ("a\nb", r"a\nb"), ("\x1b[31mred", r"\x1b[31mred"),
     ("\u202eevil", r"\u202eevil"), ("\x9b2J", r"\x9b2J")],
)  # fmt: skip
def test_control_characters_are_written_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_every_reason_of_the_server_has_a_sentence() -> None:
    stats = QueueStats(interval=25, rate="40/s", burst=1, pinned=False, queued=1, leased=2, max_leased=2)
    a_type = TypeStats(
        limits=[], max_leased=2, paused=False, held_until=None, queued=1, delayed=0, leased=2, dead=0, queues=1,
        blocked_by=None, next_ready_in=1_500,
    )  # fmt: skip
    for one in BlockedBy:
        reason = "cap:acct17" if one is BlockedBy.CAP else str(one)
        for said in (
            reasons.why_queue(
                "sms", "acme", msgspec.structs.replace(stats, blocked_by=reason, next_ready_in=1_500.0)
            ),
            reasons.why_type("sms", msgspec.structs.replace(a_type, blocked_by=reason)),
        ):
            assert said.endswith(".") and "{" not in said and not said.startswith("The reason is"), said
    unknown = msgspec.structs.replace(stats, blocked_by="weather")
    assert reasons.why_queue("sms", "acme", unknown) == "The reason is weather."


def test_settings_with_parts_are_read() -> None:
    limit, quota, retry = limit_of("40/s"), quota_of("500/hour,unit=cost"), retry_of("500ms")
    assert (limit.rate, limit.burst, limit.unit) == ("40/s", 1, "job")
    assert (quota.quota, quota.period, quota.tz, quota.unit) == (500, "hour", "UTC", "cost")
    assert (retry.delay, retry.factor, retry.jitter) == (500, 2, 0)


ID, NUMBER, TEXT = Column("id"), Column("number", is_number=True), Column("text", is_cut=True)


@pytest.mark.parametrize(
    ("terminal", "expected"),
    [
        (100, ([0, 1, 2], [20, 6, 50])),
        (60, ([0, 1, 2], [20, 6, 30])),
        (48, ([0, 1, 2], [18, 6, 20])),
        (45, ([0, 1], [20, 6])),
        (10, ([0, 1], [16, 6])),
    ],
)
def test_texts_give_way_before_ids_and_numbers_never_do(
    terminal: int, expected: tuple[list[int], list[int]]
) -> None:
    assert fitted([ID, NUMBER, TEXT], [["x" * 20, "7", "y" * 50]], terminal) == expected


def test_one_long_text_does_not_widen_every_line_of_a_pipe() -> None:
    lines = list(aligned([["error", "payload"], ["x" * 2_000, "1"], ["busy", "2"]]))
    assert lines[1] == "x" * 2_000 + "  1\n"
    assert lines[2] == "busy".ljust(MOST_PADDED) + "  2\n"


def test_optional_columns_without_content_are_left_out() -> None:
    columns = [ID, Column("dead", is_optional=True), Column("error", is_optional=True)]
    assert shown_columns(columns, [["a", "0", ""], ["b", "0", "-"]]) == [0]
    assert shown_columns(columns, [["a", "0", ""], ["b", "1", ""]]) == [0, 1]


def shown_on(sharq: Sharq, *words: str, columns: int, **environ: str) -> tuple[int, str]:
    """Run a command on a terminal. Return its exit code, and all that it wrote, with the colours."""
    with Terminal([str(SCRIPT), *words], {**sharq.environ(), **environ}, columns=columns) as terminal:
        return terminal.exit_code(), terminal.raw.decode().replace("\r\n", "\n")


@pytest.fixture
def sharq(server: SharqServer) -> Sharq:
    return Sharq(server.url)


def test_terminal_gets_colours_and_lines_that_fit(client: Client, sharq: Sharq, kind: str) -> None:
    for number in range(3):
        client.enqueue(
            EnqueueJob(
                queue_type=kind, queue_id="acme", job_id=f"order-{number}", interval=0, payload="x" * 500
            )
        )
    code, shown = shown_on(sharq, "jobs", kind, "acme", columns=70, NO_COLOR="1")
    lines = shown.splitlines()
    assert (code, len(lines)) == (0, 4)
    plain = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in lines]
    assert all(len(line) <= 70 for line in plain)
    assert [line.split()[0] for line in plain] == ["job", "order-0", "order-1", "order-2"]
    assert all(line.endswith("…") for line in plain[1:])
    assert "\x1b[32m" in shown_on(sharq, "queue", kind, "acme", columns=70)[1]
    assert "\x1b[32m" not in shown_on(sharq, "queue", kind, "acme", columns=70, NO_COLOR="1")[1]
    assert "\x1b" not in sharq.process("queue", kind, "acme").out


def test_long_list_on_a_terminal_says_that_there_is_more(client: Client, sharq: Sharq, kind: str) -> None:
    jobs = [
        EnqueueJob(queue_type=kind, queue_id="acme", job_id=f"j{number}", interval=0, payload=1)
        for number in range(101)
    ]
    client.enqueue_many(jobs)
    first = shown_on(sharq, "jobs", kind, "acme", columns=70)[1]
    assert first.startswith("These are the first 100; --limit 0 shows all.\n") and "j100" not in first
    assert "j100" in shown_on(sharq, "jobs", kind, "acme", "--limit", "0", columns=70)[1]
    assert "j100" in sharq("jobs", kind, "acme").out


@pytest.mark.parametrize(
    ("keys", "code", "state"),
    [("n\n", 1, JobState.QUEUED), ("y\n", 0, JobState.CANCELLED), ("\x03", 130, JobState.QUEUED)],
)
def test_terminal_is_asked_before_many_jobs_are_cancelled(
    client: Client, sharq: Sharq, kind: str, keys: str, code: int, state: JobState
) -> None:
    client.enqueue(EnqueueJob(queue_type=kind, queue_id="acme", job_id="order-1", interval=0, payload=1))
    words = [str(SCRIPT), "cancel", kind, "acme", "--prefix", "order-"]
    with Terminal(words, sharq.environ(), columns=100) as terminal:
        terminal.until(f"Cancel all jobs order-* of {kind} acme that wait? [y/N]:")
        ended = terminal.answer(keys)
    status = client.job(kind, "acme", "order-1")
    assert status is not None and (ended, status.state) == (code, state), terminal.seen


def test_text_that_the_encoding_lacks_is_escaped(
    client: Client, sharq: Sharq, server: SharqServer, kind: str
) -> None:
    client.enqueue(EnqueueJob(queue_type=kind, queue_id="acme", job_id="j1", interval=0, payload="日本"))
    ascii_only = Sharq(server.url, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert r'payload   "\u65e5\u672c"' in ascii_only.process("job", kind, "acme", "j1").out
