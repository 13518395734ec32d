"""The demo: it ends well on a running server, leaves no process behind, and would notice a broken promise."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from deploy.demo.__main__ import main
from deploy.demo.checks import (
    Finding,
    dead_letter_problems,
    expiry_problems,
    priority_problems,
    rate_problems,
    smallest_spacing_ms,
    spacing_problems,
)
from deploy.demo.customers import ALL_CUSTOMERS, CUSTOMERS, SPIKE_EVERY_S, SPIKE_FOR_S, URGENT, Customer
from deploy.demo.ledger import Account, Leased, Rate
from deploy.demo.recovery import LOOK_MS, WINDOW_MS, Recovery, full_rate_back_ms
from deploy.demo.run import say_verdict, why_slow
from sharq_client import DeadLetter, DeadReason
from tests.support.demo_verdict import broken_promises
from tests.support.processes.servers import SharqServer

ROOT = Path(__file__).parents[3]
DEADLINE_S = 90.0


@asynccontextmanager
async def demo(url: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.demo", "--url", url, cwd=ROOT, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def is_there(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.slow
async def test_demo_keeps_every_promise_on_a_running_server(server: SharqServer) -> None:
    async with demo(server.url) as process:
        assert process.stdout is not None
        output = (await process.stdout.read()).decode()
        exit_code = await process.wait()
    assert not broken_promises(output, exit_code), output
    assert "\x1b" not in output
    assert [line for line in output.splitlines() if len(line) > 100] == []
    summary = output.split("Summary", 1)[1]
    assert all(customer.name in summary for customer in ALL_CUSTOMERS)
    dead = summary.split("Dead letters", 1)[1]
    assert "limit" in dead and "NumberUnknown" in dead and "expired" in dead
    assert ("none lost" in summary) == (exit_code == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads children from /proc")
async def test_interrupted_demo_leaves_no_process_behind(server: SharqServer) -> None:
    async with demo(server.url) as process:
        assert process.stdout is not None
        while b"begin to send" not in await process.stdout.readline():
            assert process.returncode is None
        children = children_of(process.pid)
        assert len(children) == 4
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    assert not [child for child in children if is_there(child)]


def test_customers_are_twenty_from_1_to_40_a_second_and_one_sends_spikes_of_15_times_its_rate() -> None:
    rates = [customer.rate_per_s for customer in CUSTOMERS]
    (spiky,) = (customer for customer in CUSTOMERS if customer.spike_load)
    assert (len(CUSTOMERS), min(rates), max(rates)) == (20, 1, 40)
    assert spiky.sends_per_s(0.0) == 15 * spiky.rate_per_s
    assert spiky.sends_per_s(SPIKE_FOR_S) == 0.0
    assert spiky.sends_per_s(SPIKE_EVERY_S) == 15 * spiky.rate_per_s


def leases(*at_ms: int) -> list[Leased]:
    return [Leased("c", f"j{at}", at, 1) for at in at_ms]


def an_account(rate_per_s: float) -> Account:
    account = Account(Customer("c", rate_per_s))
    account.rates = [Rate(1000 / rate_per_s, 0.0, 0.0, 0.0)]
    return account


@pytest.mark.parametrize(
    ("rate_per_s", "at_ms", "is_early"),
    [
        (4, (0, 250, 500), False),
        (4, (0, 249, 500), False),  # whole milliseconds on the wire
        (4, (0, 248, 500), True),
        (4, (0, 900, 1_150), False),
        (4, (0, 900, 1_100), True),  # time that was not used gives nothing back
        (10, (0, 130, 200, 300), False),  # burst 2: the late one is caught up
        (10, (0, 0, 100, 200), False),
        (10, (0, 0, 98), True),
        (10, (0, 500, 500, 500), True),
    ],
)
def test_lease_before_its_time_is_noticed(rate_per_s: float, at_ms: tuple[int, ...], is_early: bool) -> None:
    assert bool(spacing_problems(leases(*at_ms), an_account(rate_per_s))) is is_early


@pytest.mark.parametrize(("gap_ms", "is_early"), [(200, False), (190, True)])
def test_spacing_is_held_against_the_interval_in_force_at_the_later_lease(
    gap_ms: int, is_early: bool
) -> None:
    account = an_account(2)
    account.rates.append(Rate(200.0, 5.0, 10_000.0, 10_010.0))
    later = leases(9_000, 9_500, 9_900, 12_000, 12_000 + gap_ms)
    assert bool(spacing_problems(later, account)) is is_early
    assert spacing_problems(leases(8_000, 8_200), account)


def test_spacing_with_burst_is_from_a_lease_to_the_burst_th_after_it() -> None:
    assert smallest_spacing_ms(leases(0, 30, 100), 1) == 30
    assert smallest_spacing_ms(leases(0, 30, 100), 2) == 100
    assert smallest_spacing_ms(leases(0), 1) is None


def test_only_a_customer_with_a_backlog_is_owed_its_rate() -> None:
    assert rate_problems(allowed=100, sent=120, delivered=95) == []
    assert rate_problems(allowed=100, sent=120, delivered=94) != []
    assert rate_problems(allowed=100, sent=60, delivered=60) == []


@pytest.mark.parametrize(
    ("delivered", "back_ms", "lost", "verdict"),
    [(97, 0, 0, "OK"), (47, 0, 0, "SLOW"), (97, None, 0, "SLOW"), (97, 0, 1, "FAILED"), (47, 0, 1, "FAILED")],
)
def test_a_busy_machine_is_slow_and_only_a_broken_promise_fails(
    delivered: int, back_ms: int | None, lost: int, verdict: str
) -> None:
    found = Finding(
        name="c",
        burst=1,
        sent=120,
        allowed=100,
        promised=100,
        delivered=delivered,
        over_s=10,
        spacing_ms=100,
        spacing_allowed_ms=100,
        requeued=0,
        waiting=120 - delivered - lost,
        lost=lost,
        problems=[*rate_problems(100, 120, delivered), *(["1 acknowledged job is lost"] * lost)],
        dead=[],
        waits_s=None,
    )
    output = StringIO()
    console = Console(file=output, width=200)
    assert say_verdict(console, [found], [Recovery("shard 1 of 3", back_ms)], []) is (verdict != "FAILED")
    text = output.getvalue()
    assert [word for word in ("OK", "SLOW", "FAILED") if word in text] == [verdict]
    assert ("delivered 47 of 100 promised (47%)" in text) is (delivered == 47)


def test_what_did_not_happen_in_time_is_slow() -> None:
    output = StringIO()
    late = ["the kill of a worker did not happen in time"]
    assert say_verdict(Console(file=output, width=200), [], [], [], late)
    assert "SLOW" in output.getvalue() and late[0] in output.getvalue()


def test_the_machine_is_called_too_busy_only_if_it_was() -> None:
    assert why_slow(10.24, 2).startswith("This machine was too busy (load 10.2 on 2 processors)")
    assert why_slow(0.5, 1) == (
        "Not all of it left in time, although this machine was not very busy (load 0.5 on 1 processor):"
    )


def test_allowance_adds_up_over_a_change_of_rate() -> None:
    account = an_account(2)
    account.sent_s = [10.0]
    account.rates.append(Rate(100.0, 14.0, 0.0, 0.0))
    assert account.allowed(16.0) == pytest.approx(4 * 2 + 2 * 10)


def a_letter(reason: DeadReason, attempt: int) -> DeadLetter:
    return DeadLetter(
        queue_id="c",
        job_id="j",
        attempt=attempt,
        enqueued_at=0,
        dead_at=1,
        reason=reason,
        payload_json=msgspec.Raw(),
    )


def test_dead_letters_are_expected_only_of_messages_that_fail_or_expire() -> None:
    failed, expired = a_letter(DeadReason.LIMIT, 3), a_letter(DeadReason.EXPIRED, 0)
    flaky, hasty = Customer("c", 1, unreachable=0.1, requeue_limit=2), Customer("c", 1, expires_ms=100)
    assert dead_letter_problems([failed], flaky) == dead_letter_problems([expired], hasty) == []
    assert dead_letter_problems([expired], flaky) and dead_letter_problems([failed], hasty)
    assert dead_letter_problems([a_letter(DeadReason.LIMIT, 2)], flaky)


def test_lease_of_an_expired_job_is_noticed() -> None:
    in_time, late = Leased("c", "j", 100, 1, expires_at_ms=100), Leased("c", "j", 102, 1, expires_at_ms=100)
    assert expiry_problems([in_time, Leased("c", "j", 102, 1)]) == []
    assert expiry_problems([in_time, late])


def test_usual_job_that_passes_a_waiting_urgent_one_is_noticed() -> None:
    usual = Leased("c", "j1", 100, 1)
    came_later, waited = (Leased("c", "j2", 200, 1, URGENT, waited_ms) for waited_ms in (99, 150))
    assert priority_problems([usual, came_later]) == []
    assert priority_problems([usual, waited])
    assert priority_problems([waited, Leased("c", "j1", 300, 1)]) == []


@pytest.mark.parametrize(
    ("outages_ms", "back_ms"),
    [
        ([], 0),
        ([(0, 40)], 0),  # 4 of 100 leases: less than the twentieth that may be missing
        ([(0, 300)], 250),
        ([(500, 800)], 750),
        ([(0, 300), (1_000, 1_200)], 1_150),
        ([(0, LOOK_MS + WINDOW_MS)], None),
    ],
)
def test_full_rate_is_back_when_every_later_second_has_it(
    outages_ms: list[tuple[int, int]], back_ms: int | None
) -> None:
    leased_ms = [
        at_ms
        for at_ms in range(0, 10_000, 10)
        if not any(begin <= at_ms - 5_000 < end for begin, end in outages_ms)
    ]
    assert full_rate_back_ms(leased_ms, 100, 5_000) == back_ms


def test_kill_without_a_cluster_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--kill", "router"])
    assert "--kill requires --cluster" in capsys.readouterr().err
