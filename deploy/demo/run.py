"""Runs the phases of the demo: start, send, kill, change, drain, stop, judge."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from rich.console import Console

from deploy.demo.board import Board, introduce, list_dead, summarize
from deploy.demo.checks import Finding, findings, lateness
from deploy.demo.crew import Crew, working_crew
from deploy.demo.customers import (
    ACCOUNT,
    ACCOUNT_NAME,
    ALL_CUSTOMERS,
    CALLS,
    CARRIER,
    CARRIER_NAME,
    DRAIN_S,
    KILL_AT_S,
    KILLS_AT_S,
    RATE_CHANGE,
    RATE_CHANGE_AT_S,
)
from deploy.demo.ledger import Ledger, Rate
from deploy.demo.processes import own_cluster, own_server
from deploy.demo.producer import produce
from deploy.demo.recovery import Kill, Recovery, recovery
from sharq_client import AsyncClient, Cap, Limit, TypeSettings
from sharq_core.logs.plurals import counted
from sharq_server.local_cluster.state_file import ProcessState, State

WATCH_S = 1.0

ACTS_TIMEOUT_S = 10.0
"""The longest wait, after everyone has stopped sending, for what was to happen meanwhile."""


async def run_demo(console: Console, urls: Sequence[str], killed_roles: Sequence[str] = ()) -> bool:
    """Show the whole demo, on a server of its own unless URLs of running ones are given; True if no promise was broken.

    Args:
        killed_roles: on a cluster of its own instead, of which one process of each role is killed: router, shard.

    Raises:
        StartError: the server, or the cluster, did not start.
    """
    introduce(console, killed_roles)
    ledger = Ledger(ALL_CUSTOMERS, {CARRIER_NAME: CARRIER, ACCOUNT_NAME: ACCOUNT})
    async with AsyncExitStack() as stack:
        victims: Sequence[tuple[str, ProcessState]] = ()
        if killed_roles:
            cluster = await stack.enter_async_context(own_cluster())
            urls = [router.url for router in cluster.of("router")]
            victims = [_victim(cluster, role) for role in killed_roles]
            console.print(
                f"sharq-cluster runs: routers at {' and '.join(urls)}, {counted(len(cluster.of('shard')), 'shard')}"
            )
        elif not urls:
            urls = [await stack.enter_async_context(own_server())]
            console.print(f"sharq-server runs at {urls[0]}")
        clients = [
            await stack.enter_async_context(AsyncClient([*urls[first:], *urls[:first]]))
            for first in range(len(urls))
        ]
        queue_type = f"demo-{uuid.uuid4().hex[:8]}"
        carrier = await stack.enter_async_context(_capped(clients[0], f"{queue_type}~{CARRIER_NAME}"))
        await stack.enter_async_context(_named_cap(clients[0], f"{queue_type}.{ACCOUNT_NAME}"))
        types = [queue_type, carrier, f"{queue_type}.{CALLS}"]
        crew = await stack.enter_async_context(working_crew(urls, types, ledger))
        board = Board(console, ledger)
        async with board.live():
            course = await _send_and_watch(clients, queue_type, ledger, crew, board, victims)
        if not await crew.stop():
            course.problems.append("workers did not end in time, so their results are unknown")
        verdicts = await findings(clients[0], queue_type, ledger, course.ended_s)
    summarize(console, verdicts)
    list_dead(console, verdicts)
    recoveries = [recovery(ledger, kill) for kill in course.kills]
    return say_verdict(console, verdicts, recoveries, course.problems, course.late)


@asynccontextmanager
async def _capped(client: AsyncClient, queue_type: str) -> AsyncIterator[str]:
    """Set the cap of the carrier's type for the run, and yield the type."""
    limit = Limit(rate=f"{CARRIER.rate_per_s:.0f}/s", burst=CARRIER.burst)
    await client.control.set_type(queue_type, TypeSettings(limits=[limit]))
    try:
        yield queue_type
    finally:
        await client.control.clear_type(queue_type)


@asynccontextmanager
async def _named_cap(client: AsyncClient, name: str) -> AsyncIterator[None]:
    """Define the cap of the account for the run."""
    limit = Limit(rate=f"{ACCOUNT.rate_per_s:.0f}/s", burst=ACCOUNT.burst)
    await client.control.put_cap(name, Cap(limits=[limit]))
    try:
        yield
    finally:
        await client.control.drop_cap(name)


def _victim(cluster: State, role: str) -> tuple[str, ProcessState]:
    """Return the name of a random process of the role, and the process."""
    processes = cluster.of(role)
    number, process = random.choice(list(enumerate(processes, 1)))
    return f"{role} {number} of {len(processes)}", process


class _Course(msgspec.Struct):
    """The events of a run; ended_s is the time at which sending ended, on the monotonic clock.

    Attributes:
        late: what was to happen and did not in time.
    """

    problems: list[str] = []
    late: list[str] = []
    kills: list[Kill] = []
    ended_s: float = 0.0


async def _send_and_watch(
    clients: Sequence[AsyncClient],
    queue_type: str,
    ledger: Ledger,
    crew: Crew,
    board: Board,
    victims: Sequence[tuple[str, ProcessState]],
) -> _Course:
    await crew.ready()
    board.start()
    board.happened(f"{len(crew.senders)} workers are ready; {len(ledger.accounts)} customers begin to send")
    watching = [
        asyncio.create_task(_watch(clients[0], queue_type, ledger)),
        asyncio.create_task(_show(board)),
    ]
    acts = [
        asyncio.create_task(_kill_a_worker(crew, board), name="the kill of a worker"),
        asyncio.create_task(
            _change_a_rate(clients[0], queue_type, ledger, board), name="the change of a rate"
        ),
    ]
    course = _Course()
    acts += [
        asyncio.create_task(_kill_a_process(name, victim, course, board), name=f"the kill of {name}")
        for name, victim in victims
    ]
    try:
        course.problems += await produce(clients, queue_type, ledger)
        course.ended_s = time.monotonic()
        _, late = await asyncio.wait(acts, timeout=ACTS_TIMEOUT_S)
        course.late = [f"{act.get_name()} did not happen in time" for act in late]
        board.happened("everyone has stopped sending; the workers go on with what waits")
        await _drain(ledger)
    finally:
        for task in (*watching, *acts):
            task.cancel()
        ends = await asyncio.gather(*watching, *acts, return_exceptions=True)
    course.problems += [repr(failure) for failure in ends if isinstance(failure, Exception)]
    return course


async def _kill_a_worker(crew: Crew, board: Board) -> None:
    await asyncio.sleep(KILL_AT_S)
    pid, held = await crew.kill_one()
    board.happened(
        f"worker {pid} is killed (SIGKILL) with {counted(held, 'job')} in its hands; their leases will end"
    )


async def _change_a_rate(client: AsyncClient, queue_type: str, ledger: Ledger, board: Board) -> None:
    """Pin the new rate: the customer's own enqueues still carry the old one."""
    await asyncio.sleep(RATE_CHANGE_AT_S)
    account = ledger.accounts[RATE_CHANGE.name]
    interval_ms = 1000 / RATE_CHANGE.rate_per_s
    from_ms, since_s = time.time() * 1000, time.monotonic()
    await client.set_interval(queue_type, RATE_CHANGE.name, interval_ms, pin=True)
    account.rates.append(Rate(interval_ms, since_s, from_ms, time.time() * 1000))
    old_per_s = account.customer.rate_per_s
    board.happened(f"{RATE_CHANGE.name} is raised from {old_per_s:.0f}/s to {RATE_CHANGE.rate_per_s:.0f}/s")


async def _kill_a_process(name: str, process: ProcessState, course: _Course, board: Board) -> None:
    await asyncio.sleep(KILLS_AT_S[process.role])
    course.kills.append(Kill(name, time.time() * 1000))
    os.kill(process.pid, signal.SIGKILL)
    board.happened(f"{name}, process {process.pid}, is killed (SIGKILL); the others go on")


async def _drain(ledger: Ledger) -> None:
    """Wait until everything is finished, DRAIN_S at most."""
    deadline_s = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline_s:
        if all(account.has_ended for account in ledger.accounts.values()):
            return
        await asyncio.sleep(0.05)


async def _watch(client: AsyncClient, queue_type: str, ledger: Ledger) -> None:
    """Ask for the length of each queue, again and again."""
    while True:
        for name, account in ledger.accounts.items():
            stats = await client.queue(account.customer.type_in(queue_type), name)
            account.waiting, account.dead = (0, 0) if stats is None else (stats.queued, stats.dead)
        for name, cap in ledger.shared.items():
            cap.waiting = sum(account.waiting for account in ledger.under(name))
        await asyncio.sleep(WATCH_S)


async def _show(board: Board) -> None:
    while True:
        board.show()
        await asyncio.sleep(board.pause_s)


def say_verdict(
    console: Console,
    verdicts: Sequence[Finding],
    recoveries: Sequence[Recovery],
    problems: Sequence[str],
    late: Sequence[str] = (),
) -> bool:
    """Print the verdict; True if no promise was broken. What a busy machine did not do in time breaks none.

    Args:
        problems: broken promises.
        late: what did not happen in time, besides the recoveries and the rates.
    """
    for killed in recoveries:
        console.print(f"{killed.name} was killed: {killed.words}", highlight=False)
    slow = [*late, *(killed.problem for killed in recoveries if killed.problem)]
    slow += [f"{finding.name}: {problem}" for finding in verdicts for problem in lateness(finding)]
    broken = [*problems]
    broken += [
        f"{finding.name}: {problem}"
        for finding in verdicts
        for problem in finding.problems
        if problem not in lateness(finding)
    ]
    if broken:
        console.print("\n[red b]FAILED[/red b]", *broken, *slow, sep="\n  ")
        return False
    customers = [finding for finding in verdicts if finding.name not in {CARRIER.name, ACCOUNT.name}]
    rates = "not every customer got its rate" if slow else "every customer with a backlog got its rate"
    console.print(
        f"\n{'[yellow b]SLOW[/yellow b]' if slow else '[green b]OK[/green b]'}:"
        f" {sum(finding.sent for finding in customers):,} jobs acknowledged, none lost;"
        f" {sum(finding.requeued for finding in customers)} came back after a failure or from a killed process;"
        f"\nno lease came before its time; {rates}, and both caps held."
        f" {sum(finding.waiting for finding in customers):,} jobs still wait their turn, and"
        f" {sum(row.count for finding in customers for row in finding.dead):,} are dead letters, as they should be.",
        highlight=False,
    )
    if slow:
        console.print(why_slow(os.getloadavg()[0], os.cpu_count() or 1), *slow, sep="\n  ", highlight=False)
    return True


def why_slow(load: float, processors: int) -> str:
    """Return a sentence about jobs that left late.

    Args:
        load: the mean number of processes that wanted a processor in the last minute.
    """
    busy = f"load {load:.1f} on {counted(processors, 'processor')}"
    if load > processors:
        return f"This machine was too busy ({busy}) to deliver all of it in time. Try again when it has less to do:"
    return f"Not all of it left in time, although this machine was not very busy ({busy}):"
