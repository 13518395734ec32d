"""`sharq top`: one reading for scripts, and the live view in a terminal."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from sharq_client import Client, QueueRow, TypeRow
from sharq_client.cli.top.grid import TopColumn, lay_out
from sharq_client.cli.top.readings import Customer, Reading
from sharq_client.cli.top.screen import View, draw, tables
from sharq_client.cli.top.words import count, duration, reason
from tests.support.network.lossy_path import path_to
from tests.support.processes.servers import ServerFactory, SharqServer
from tests.support.processes.sharq import SCRIPT, Sharq
from tests.support.processes.terminal import Terminal


@pytest.fixture
def sharq(server: SharqServer) -> Sharq:
    return Sharq(server.url)


def fill(client: Client, kind: str, queue_id: str, jobs: int, **more: object) -> None:
    client.enqueue_many(
        [{"queue_type": kind, "queue_id": queue_id, "payload": n, "interval": 1, **more} for n in range(jobs)]
    )


def test_customers_come_by_backlog_with_what_was_promised_and_delivered(
    client: Client, sharq: Sharq, kind: str
) -> None:
    fill(client, kind, "small", 2)
    fill(client, kind, "large", 5, rate="90/min", interval=None)
    client.pause(kind, "large")
    document = sharq("top", kind, "--json").document
    (queue_type,) = document["types"]
    assert (queue_type["queue_type"], queue_type["queued"]) == (kind, 7)
    large, small = document["customers"]
    assert [large["queue_id"], small["queue_id"]] == ["large", "small"]
    assert (large["queued"], large["rate"], large["blocked_by"]) == (5, "90/min", "paused")
    assert set(large) >= {"promised", "delivered", "leased", "delayed", "dead", "oldest_age", "due_for"}
    assert small["oldest_age"] > 0 and small["due_for"] is not None


def test_one_reading_as_text(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "acme", 3)
    fill(client, kind, "beta", 2)
    client.control.pause_type(kind)
    lines = sharq("top", kind, "--once", "--limit", "1").out.splitlines()
    assert lines[0].split()[:2] == ["TYPE", "QUEUED"] and lines[1].split()[:2] == [kind, "5"]
    assert lines[3].split()[:2] == ["CUSTOMER", "QUEUED"]
    assert lines[4].split()[:2] == ["acme", "3"] and lines[4].endswith("type paused")
    assert len(lines) == 5
    assert sharq("top", "nothing-here").out == "there are no jobs of this type\n"


def test_by_age_comes_the_customer_that_waits_longest(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "old", 1)
    time.sleep(0.05)  # the ages are whole ms
    fill(client, kind, "new", 3)
    assert [one["queue_id"] for one in sharq("top", kind, "--by", "age", "--json").document["customers"]] == [
        "old",
        "new",
    ]


async def test_a_reading_costs_a_bounded_number_of_calls(server: SharqServer, kind: str) -> None:
    with Client(server.url) as client:
        for number in range(9):
            fill(client, f"{kind}-{number}", "acme", 1)
    async with path_to(server.url) as path:
        outcome = await asyncio.to_thread(Sharq(path.url), "top", "--json")
        assert len(outcome.document["types"]) >= 9
        assert path.requests <= 2 + 2 * 6


def test_live_view_is_left_with_q_and_with_ctrl_c(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "acme", 1_234)
    for key in ("q", "\x03"):
        with Terminal([str(SCRIPT), "top", kind], sharq.environ()) as terminal:
            terminal.until("1,234 queued")
            terminal.until("CUSTOMER")
            terminal.until("q quit")
            terminal.press(key)
            assert terminal.exit_code() == 0
            # The screen of before is back, and the cursor, and keys are shown again.
            assert b"\x1b[?1049l" in terminal.raw and b"\x1b[?25h" in terminal.raw
            assert "Traceback" not in terminal.seen


def test_terminal_that_cannot_move_its_cursor_gets_one_reading(
    client: Client, sharq: Sharq, kind: str
) -> None:
    fill(client, kind, "acme", 1_234)
    with Terminal([str(SCRIPT), "top", kind], sharq.environ(), kind="dumb") as terminal:
        terminal.until("1,234")
        assert terminal.exit_code() == 0
        assert b"\x1b[?1049h" not in terminal.raw


def test_terminal_is_as_before_after_sigterm(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "acme", 1)
    with Terminal([str(SCRIPT), "top", kind], sharq.environ()) as terminal:
        terminal.until("q quit")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.exit_code() == 128 + signal.SIGTERM
        assert b"\x1b[?1049l" in terminal.raw and b"\x1b[?25h" in terminal.raw


def test_live_view_follows_the_server_the_keys_and_the_size(client: Client, sharq: Sharq, kind: str) -> None:
    fill(client, kind, "acme", 10)
    with Terminal([str(SCRIPT), "top", kind, "--refresh", "200ms"], sharq.environ(), 120, 30) as terminal:
        terminal.until("10 queued")
        terminal.until("PROMISED  DELIVERED")
        fill(client, kind, "acme", 5)
        terminal.until("15 queued")
        terminal.press("a")
        terminal.until("d by backlog")
        terminal.resize(40, 12)
        terminal.until("QUEUED")
        terminal.press("q")
        assert terminal.exit_code() == 0


def test_live_view_says_that_the_server_is_away_and_goes_on(
    own_server: ServerFactory, tmp_path: Path
) -> None:
    server = own_server("--data-dir", str(tmp_path / "data"))
    with Client(server.url) as client:
        fill(client, "sms", "acme", 3)
    with Terminal([str(SCRIPT), "top"], Sharq(server.url).environ(), 110, 20) as terminal:
        terminal.until("3 queued")
        server.stop()
        terminal.until("trying again: cannot reach")
        terminal.until("acme")
        server.start()
        terminal.until("sharq top ")
        terminal.until("3 queued")
        terminal.press("q")
        assert terminal.exit_code() == 0


def test_refused_live_view_ends_with_the_reason(server: SharqServer) -> None:
    with Terminal([str(SCRIPT), "top"], Sharq("http://127.0.0.1:9").environ(), 110, 20) as terminal:
        terminal.until("trying again: cannot reach http://127.0.0.1:9: Connection refused")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.exit_code() == 0


def a_reading(customers: int, types: int = 1, **row: Any) -> Reading:
    numbers: dict[str, Any] = {
        "interval": 25.0, "rate": "40/s", "burst": 1.0, "queued": 1_000, "delayed": 2, "leased": 3, "dead": 4,
        "max_leased": None, "delivered": 1_200, "promised": 2_400, "blocked_by": None, "next_ready_in": None,
    }  # fmt: skip
    rows = [
        QueueRow(queue_id=f"customer-with-a-long-name-{n}", **{**numbers, **row}) for n in range(customers)
    ]
    kinds = [
        TypeRow(
            queue_type=f"type-{n}",
            queued=5,
            delayed=0,
            leased=1,
            dead=0,
            enqueued=9,
            delivered=8,
            blocked_by="rate",
        )
        for n in range(types)
    ]
    return Reading(kinds, [Customer("type-0", one, 61_000.0, 5_000.0) for one in rows], False, 0.0)


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [6, 12, 24, 50])
def test_screen_fits_the_terminal(width: int, height: int) -> None:
    view = View("http://queue.example.com:8080", None, "depth", a_reading(60, types=30), "cannot reach it")
    lines = draw(view, width, height)
    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width


def test_what_matters_most_stays_in_a_narrow_terminal() -> None:
    def headings(width: int) -> list[str]:
        lines = tables(a_reading(3, types=2), width, 5, 20, has_types=True)
        (heading,) = [line.plain for line in lines if line.plain.startswith("CUSTOMER")]
        return heading.split()

    assert headings(200)[-4:] == ["KEPT", "AGE", "BLOCKED", "BY"]
    narrow = headings(80)
    assert {"CUSTOMER", "TYPE", "QUEUED", "PROMISED", "DELIVERED", "BLOCKED"} <= set(narrow)
    assert "RATE" not in narrow
    assert headings(24) == ["CUSTOMER", "QUEUED"]


def test_customer_whose_ready_jobs_nobody_takes_is_marked() -> None:
    def styles(**row: Any) -> set[str]:
        lines = tables(a_reading(1, **row), 200, 5, 20, has_types=False)
        return {str(span.style) for span in lines[-1].spans}

    assert "bold red" in styles()
    assert "bold red" not in styles(blocked_by="rate")
    assert "yellow" in styles(blocked_by="paused")


def test_cells_are_cut_and_empty_columns_left_out() -> None:
    columns = [
        TopColumn[str]("A", str, is_number=False, is_name=True),
        TopColumn[str]("B", lambda _: "", rank=1),
    ]
    heading, row = lay_out(columns, ["x" * 50], 10)
    assert (heading.plain.rstrip(), row.plain) == ("A", "x" * 9 + "…")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, ""),
        (0, "0ms"),
        (999, "999ms"),
        (59_900, "59.9s"),
        (61_000, "1m01s"),
        (3_600_000, "1h00m"),
        (90_000_000, "1d01h"),
    ],
)
def test_durations_are_short(ms: float | None, text: str) -> None:
    assert duration(ms) == text


def test_numbers_and_reasons() -> None:
    assert (count(1_234_567), count(123_456_789)) == ("1,234,567", "123.5M")
    assert (reason(None), reason("type_rate"), reason("window")) == ("ready", "limit of type", "window")
