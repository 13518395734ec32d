"""Calls two customers' numbers over one trunk with two dialers, kills one dialer, and judges what the trunk saw."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from aiohttp import web

from examples.options import Options, read_options
from examples.pace import most_ahead_s
from examples.receiver import serving, write_log
from examples.verdict import Verdict
from examples.voice.dialer import LEASE_S, QUEUE_TYPE
from examples.voice.trunk import Call, Trunk
from sharq_client import AsyncClient, EnqueueJob, Limit, RetryPolicy, TypeSettings

CALLS_PER_S, CHANNELS, BURST = 10, 5, 2
SHORT_S, LONG_S = 0.2, 2.6
CUSTOMERS = ("clinic", "institute")
AHEAD_S = 0.5
"""The longest time from the lease of a call to its arrival at the trunk."""


def jobs(seconds: float) -> Iterator[EnqueueJob]:
    """Yield reminders, which are short, and surveys, which last longer than a lease, for about that time."""
    for n in range(round(seconds * 4)):
        yield job("clinic", f"reminder-{n}", SHORT_S, engaged_once=n % 5 == 0)
    for n in range(round(seconds * 1.5)):
        yield job("institute", f"survey-{n}", LONG_S)


def job(customer: str, name: str, seconds: float, *, engaged_once: bool = False) -> EnqueueJob:
    """Return the job of a call. If its dialer dies, it is made again as soon as its lease has ended."""
    return EnqueueJob(
        queue_type=QUEUE_TYPE,
        queue_id=customer,
        job_id=name,
        interval=0,
        payload={"to": "+15550100", "seconds": seconds, "engaged_once": engaged_once},
        requeue_limit=3,
        retry=RetryPolicy(delay=0),
    )


async def main(options: Options) -> int:
    """Run the example and return its exit code."""
    trunk = Trunk(CALLS_PER_S, CHANNELS)
    calls = trunk.calls
    to_make = list(jobs(options.seconds))
    async with AsyncClient() as client, serving(web.post("/", trunk.dial)) as url:
        await clear(client)
        limit = Limit(rate=f"{CALLS_PER_S}/s", burst=BURST)
        await client.control.set_type(QUEUE_TYPE, TypeSettings(limits=[limit], max_leased=CHANNELS))
        answers = await client.enqueue_many(to_make)
        assert answers.failed == 0, answers
        async with dialer(url) as one, dialer(url) as other, asyncio.timeout(options.seconds * 3 + 20):
            while not (surveys := [call for call in calls if call.name.startswith("survey")]):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
            victim = one if surveys[0].dialer == one.pid else other
            victim.kill()  # in the middle of its calls
            while not await is_done(client):
                await asyncio.sleep(0.1)
        await clear(client)
    write_log(options.log, calls)
    return judge(calls, [each.job_id or "" for each in to_make], victim.pid)


@asynccontextmanager
async def dialer(trunk_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a dialer as a process of its own until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.voice.dialer", trunk_url, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def is_done(client: AsyncClient) -> bool:
    """Return True if no call waits and none is being made."""
    stats = await client.control.type(QUEUE_TYPE)
    return stats.queued + stats.delayed + stats.leased == 0


async def clear(client: AsyncClient) -> None:
    """Remove what this run, or one that was interrupted, has left."""
    for customer in CUSTOMERS:
        await client.delete_queue(QUEUE_TYPE, customer, purge_all=True)


def judge(calls: list[Call], names: list[str], dead_dialer: int) -> int:
    """Print what the trunk saw and return the exit code.

    A call that had ended when its dialer died, but was not reported yet, is made again: a job is done at least once.
    """
    outcomes = Counter(call.outcome for call in calls)
    lasted_s = max(call.at + call.lasted for call in calls) - calls[0].at
    used = sum(call.lasted for call in calls) / (lasted_s * CHANNELS)
    print(
        f"{len(names)} calls, dialed {len(calls)} times in {lasted_s:.1f} s, {used:.0%} of the channels used"
    )
    print(f"outcomes: {', '.join(f'{count} {outcome}' for outcome, count in outcomes.most_common())}")
    verdict = Verdict()
    ahead_s = most_ahead_s([(call.at, 1) for call in calls], CALLS_PER_S, BURST)
    verdict.check(
        f"the trunk gets at most {CALLS_PER_S} new calls a second",
        is_kept=ahead_s <= AHEAD_S and outcomes["429"] == 0,
        seen=f"none is more than {ahead_s * 1000:.0f} ms too early, {outcomes['429']} answers 429",
    )
    busiest = max(call.busy for call in calls)
    verdict.check(
        f"all {CHANNELS} channels are used, and never more",
        is_kept=busiest == CHANNELS and outcomes["503"] == 0,
        seen=f"at most {busiest} at once, {outcomes['503']} answers 503",
    )
    answered = Counter(call.name for call in calls if call.outcome == "answered")
    unreported = {call.name for call in calls if call.outcome == "answered" and call.dialer == dead_dialer}
    twice = {name for name, count in answered.items() if count > 1}
    verdict.check(
        "each call is put through once",
        is_kept=answered.keys() == set(names) and twice <= unreported,
        seen=f"{len(answered)} of {len(names)} numbers, {len(twice)} of them twice because of the dialer that died",
    )
    broken = [call for call in calls if call.outcome == "broken"]
    again_s = [
        min(later.at for later in calls if later.name == call.name and later.at > call.at) - call.at
        for call in broken
        if call.name in answered
    ]
    verdict.check(
        "the calls of a dead dialer are made again",
        is_kept=len(broken) == len(again_s) > 0,
        seen=f"{len(broken)} calls broke, made again after at most {max(again_s, default=0):.1f} s "
        f"(the lease is {LEASE_S:g} s)",
    )
    return verdict.exit_code()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(read_options(__doc__ or "", seconds=4))))
