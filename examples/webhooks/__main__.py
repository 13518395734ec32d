"""Sends webhooks to four customers, one of which is slow, one down and one busy, and judges by what they received."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import time
from collections import Counter

import aiohttp
from aiohttp import web

from examples.options import Options, read_options
from examples.pace import most_ahead_s
from examples.receiver import serving, write_log
from examples.verdict import LEAST_SHARE, Verdict
from examples.webhooks.customers import RETRY_AFTER_S, Customers, Delivery
from examples.webhooks.sender import AT_ONCE, ATTEMPTS, PER_S, QUEUE_TYPE, RETRY, SECRET, Sender, webhook
from sharq_client import AsyncClient, DeadLetter, Worker

CUSTOMERS = tuple(AT_ONCE)
AHEAD_S = 0.5
"""The longest time from the lease of a request to its arrival at the customer."""


async def main(options: Options) -> int:
    """Run the example and return its exit code."""
    logging.getLogger("sharq.worker").setLevel(logging.CRITICAL)  # failures are the subject here
    customers = Customers(SECRET)
    counts = {
        customer: round(options.seconds * per_s)
        for customer, per_s in {"fine": 9, "slow": 2, "down": 2, "limited": 6}.items()
    }
    async with (
        AsyncClient() as client,
        serving(web.post("/{customer}", customers.receive)) as url,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
    ):
        await clear(client)
        async with (
            Worker(client, QUEUE_TYPE, Sender(http, url).send, concurrency=10, wait_ms=500),
            asyncio.timeout(options.seconds * 3 + 30),
        ):
            events = [webhook(customer, n) for customer in CUSTOMERS for n in range(counts[customer])]
            answers = await client.enqueue_many([*events, *events])  # a producer that repeats itself
            assert answers.failed == 0, answers
            letters: list[DeadLetter] = []
            while len(letters) < counts["down"]:
                await asyncio.sleep(0.1)
                letters = [letter async for letter in client.dead(QUEUE_TYPE, queue_id="down")]
            customers.is_down = False
            redriven_at_s = time.time()
            await client.redrive(QUEUE_TYPE)
            while not await is_done(client):
                await asyncio.sleep(0.1)
        await clear(client)
    deliveries = customers.deliveries
    write_log(options.log, deliveries)
    show(deliveries)
    print(f"{len(letters)} dead letters, the first one: {letters[0].error}")
    verdict = Verdict()
    judge_deliveries(verdict, deliveries, counts)
    judge_slow(verdict, deliveries)
    judge_limited(verdict, [each for each in deliveries if each.customer == "limited"])
    judge_down(verdict, [each for each in deliveries if each.customer == "down"], letters, redriven_at_s)
    return verdict.exit_code()


async def is_done(client: AsyncClient) -> bool:
    """Return True if no event waits and none is being sent."""
    queues = [await client.queue(QUEUE_TYPE, customer) for customer in CUSTOMERS]
    return not any(queue.queued + queue.delayed + queue.leased for queue in queues if queue is not None)


async def clear(client: AsyncClient) -> None:
    """Remove what this run, or one that was interrupted, has left."""
    for customer in CUSTOMERS:
        await client.delete_queue(QUEUE_TYPE, customer, purge_all=True)
    await client.drop_dead(QUEUE_TYPE)


def show(deliveries: list[Delivery]) -> None:
    """Print a line for each customer."""
    print(f"{'customer':10}{'requests':>9}{'200':>6}{'429':>6}{'503':>6}{'seconds':>9}{'most at once':>14}")
    for customer in CUSTOMERS:
        own = [each for each in deliveries if each.customer == customer]
        status = Counter(each.status for each in own)
        print(
            f"{customer:10}{len(own):9}{status[200]:6}{status[429]:6}{status[503]:6}"
            f"{own[-1].at - own[0].at:9.1f}{max(each.at_once for each in own):14}"
        )


def judge_deliveries(verdict: Verdict, deliveries: list[Delivery], counts: dict[str, int]) -> None:
    """Check that each event is received once, and that nobody gets more than its rate."""
    received = Counter(each.event for each in deliveries if each.status == 200)
    total = sum(counts.values())
    verdict.check(
        "each event is received once",
        is_kept=len(received) == received.total() == total,
        seen=f"{received.total()} receipts of {len(received)} of {total} events",
    )
    ahead_s = max(
        most_ahead_s([(each.at, 1) for each in deliveries if each.customer == customer], PER_S, 1.1)
        for customer in CUSTOMERS
    )
    verdict.check(
        f"no customer gets more than {PER_S} a second",
        is_kept=ahead_s <= AHEAD_S,
        seen=f"no request is more than {ahead_s * 1000:.0f} ms too early",
    )


def judge_slow(verdict: Verdict, deliveries: list[Delivery]) -> None:
    """Check that the slow customer delays nobody else."""
    at_once = max(each.at_once for each in deliveries if each.customer == "slow")
    fine = [each for each in deliveries if each.customer == "fine"]
    rate = (len(fine) - 1) / (fine[-1].at - fine[0].at)
    verdict.check(
        "a slow customer delays nobody else",
        is_kept=at_once <= AT_ONCE["slow"] and rate >= LEAST_SHARE * PER_S,
        seen=f"it has {at_once} requests at most, and another one gets {rate:.1f} of {PER_S} a second",
    )


def judge_limited(verdict: Verdict, deliveries: list[Delivery]) -> None:
    """Check that a 429 stops the queue for as long as the customer asks."""
    refused = next(n for n, each in enumerate(deliveries) if each.status == 429)
    pause_s = deliveries[refused + 1].at - deliveries[refused].at
    verdict.check(
        f"after a 429 the customer is left alone for its {RETRY_AFTER_S} s",
        is_kept=pause_s >= RETRY_AFTER_S - 0.05 and deliveries[refused + 1].attempt == 1,
        seen=f"{pause_s:.2f} s, and the next request is still the first attempt",
    )


def judge_down(
    verdict: Verdict, deliveries: list[Delivery], letters: list[DeadLetter], redriven_at_s: float
) -> None:
    """Check the waits between the attempts, the reasons of the dead letters, and the redrive."""
    waits_s = [RETRY.delay / 1000 * RETRY.factor**n for n in range(ATTEMPTS - 1)]
    shortest_s = [float("inf")] * len(waits_s)
    for event in {each.event for each in deliveries}:
        times = [each.at for each in deliveries if each.event == event and each.at < redriven_at_s]
        gaps_s = [later - earlier for earlier, later in itertools.pairwise(times)]
        shortest_s = [min(pair) for pair in zip(shortest_s, gaps_s, strict=True)]
    verdict.check(
        f"an event is tried {ATTEMPTS} times, ever more rarely",
        is_kept=all(gap_s >= wait_s - 0.05 for gap_s, wait_s in zip(shortest_s, waits_s, strict=True)),
        seen=f"the waits are {', '.join(f'{gap_s:.2f}' for gap_s in shortest_s)} s or more",
    )
    reasons = {(letter.reason, letter.attempt, "503" in (letter.error or "")) for letter in letters}
    late = [each for each in deliveries if each.at >= redriven_at_s]
    verdict.check(
        "what failed is kept with its reason, and sent after a redrive",
        is_kept=reasons == {("limit", ATTEMPTS, True)} and {each.status for each in late} == {200},
        seen=f"{len(letters)} dead letters, {len(late)} requests after the redrive",
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main(read_options(__doc__ or "", seconds=3))))
