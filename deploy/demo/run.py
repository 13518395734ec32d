"""The course of the demo: start, send, kill, change, drain, stop, judge.

Not here: each of these (their own modules), and the command line (__main__.py).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack

from rich.console import Console

from deploy.demo.board import Board, introduce, summarize
from deploy.demo.checks import Finding, findings
from deploy.demo.crew import Crew, working_crew
from deploy.demo.customers import (
    CUSTOMERS,
    DRAIN_S,
    KILL_AT_S,
    RATE_CHANGE,
    RATE_CHANGE_AT_S,
    SHARD_KILL_AT_S,
)
from deploy.demo.ledger import Ledger, Rate
from deploy.demo.processes import own_cluster, own_server
from deploy.demo.producer import produce
from sharq_core.client import SharqClient

WATCH_S = 1.0


async def run_demo(console: Console, urls: Sequence[str], is_cluster: bool = False) -> bool:
    """Shows the whole demo, on a server of its own unless URLs of running ones are given; True when all held.

    Args:
        is_cluster: on a cluster of its own instead, of which a shard is killed.

    Raises:
        StartError: the server, or the cluster, did not start.
    """
    introduce(console, is_cluster)
    ledger = Ledger(CUSTOMERS)
    async with AsyncExitStack() as stack:
        shard_pids: Sequence[int] = ()
        if is_cluster:
            cluster = await stack.enter_async_context(own_cluster())
            urls, shard_pids = cluster.router_urls, cluster.shard_pids
            console.print(f"sharq-cluster runs: routers at {' and '.join(urls)}, {len(shard_pids)} shards")
        elif not urls:
            urls = [await stack.enter_async_context(own_server())]
            console.print(f"sharq-server runs at {urls[0]}")
        clients = [await stack.enter_async_context(SharqClient(url)) for url in urls]
        queue_type = f"demo-{uuid.uuid4().hex[:8]}"
        crew = await stack.enter_async_context(working_crew(urls, queue_type, ledger))
        board = Board(console, ledger)
        async with board.live():
            problems, ended_s = await _send_and_watch(clients, queue_type, ledger, crew, board, shard_pids)
        if not await crew.stop():
            problems.append("workers did not end in time, so what they did is not known")
        found = await findings(clients[0], queue_type, ledger, ended_s)
    summarize(console, found)
    return _say(console, found, problems)


async def _send_and_watch(
    clients: Sequence[SharqClient],
    queue_type: str,
    ledger: Ledger,
    crew: Crew,
    board: Board,
    shard_pids: Sequence[int],
) -> tuple[list[str], float]:
    """Returns problems on the way, and when sending ended on the monotonic clock."""
    await crew.ready()
    board.start()
    board.happened(f"{len(crew.senders)} workers are ready; {len(CUSTOMERS)} customers begin to send")
    watching = [
        asyncio.create_task(_watch(clients[0], queue_type, ledger)),
        asyncio.create_task(_show(board)),
    ]
    acts = [
        asyncio.create_task(_kill_a_worker(crew, board)),
        asyncio.create_task(_change_a_rate(clients[0], queue_type, ledger, board)),
    ]
    if shard_pids:
        acts.append(asyncio.create_task(_kill_a_shard(shard_pids, board)))
    try:
        problems = await produce(clients, queue_type, ledger)
        ended_s = time.monotonic()
        await asyncio.wait(acts)
        board.happened("everyone has stopped sending; the workers go on with what waits")
        await _drain(ledger)
    finally:
        for task in (*watching, *acts):
            task.cancel()
        ends = await asyncio.gather(*watching, *acts, return_exceptions=True)
    return problems + [repr(failure) for failure in ends if isinstance(failure, Exception)], ended_s


async def _kill_a_worker(crew: Crew, board: Board) -> None:
    await asyncio.sleep(KILL_AT_S)
    pid, held = await crew.kill_one()
    board.happened(f"worker {pid} is killed (SIGKILL) with {held} jobs in its hands; their leases will end")


async def _change_a_rate(client: SharqClient, queue_type: str, ledger: Ledger, board: Board) -> None:
    """Pins the new rate: the customer's own enqueues still carry the old one."""
    await asyncio.sleep(RATE_CHANGE_AT_S)
    account = ledger.accounts[RATE_CHANGE.name]
    interval_ms = 1000 / RATE_CHANGE.rate_per_s
    from_ms, since_s = time.time() * 1000, time.monotonic()
    await client.set_interval(queue_type, RATE_CHANGE.name, interval_ms, pin=True)
    account.rates.append(Rate(interval_ms, since_s, from_ms, time.time() * 1000))
    old_per_s = account.customer.rate_per_s
    board.happened(f"{RATE_CHANGE.name} is raised from {old_per_s:.0f}/s to {RATE_CHANGE.rate_per_s:.0f}/s")


async def _kill_a_shard(pids: Sequence[int], board: Board) -> None:
    await asyncio.sleep(SHARD_KILL_AT_S)
    number, pid = random.choice(list(enumerate(pids, 1)))
    os.kill(pid, signal.SIGKILL)
    board.happened(
        f"shard {number} of {len(pids)}, process {pid}, is killed (SIGKILL); the others take its queues"
    )


async def _drain(ledger: Ledger) -> None:
    """Waits until everything is finished, DRAIN_S at the most."""
    deadline_s = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline_s:
        if all(account.acknowledged <= account.finished for account in ledger.accounts.values()):
            return
        await asyncio.sleep(0.05)


async def _watch(client: SharqClient, queue_type: str, ledger: Ledger) -> None:
    """Asks for the length of each queue, again and again."""
    while True:
        for name, account in ledger.accounts.items():
            stats = await client.queue(queue_type, name)
            account.waiting = 0 if stats is None else stats.queued
        await asyncio.sleep(WATCH_S)


async def _show(board: Board) -> None:
    while True:
        board.show()
        await asyncio.sleep(board.pause_s)


def _say(console: Console, found: Sequence[Finding], problems: Sequence[str]) -> bool:
    """Prints the verdict; True when every promise held."""
    broken = [*problems, *(f"{finding.name}: {problem}" for finding in found for problem in finding.problems)]
    if broken:
        console.print("\n[red b]FAILED[/red b]", *broken, sep="\n  ")
        return False
    console.print(
        f"\n[green b]OK[/green b]: {sum(finding.sent for finding in found):,} jobs acknowledged, none lost;"
        f" {sum(finding.requeued for finding in found)} came back from a killed process;"
        f"\nno lease came before its time; every customer with a backlog got its rate."
        f" {sum(finding.waiting for finding in found):,} jobs still wait their turn.",
        highlight=False,
    )
    return True
