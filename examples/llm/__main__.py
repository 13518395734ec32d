"""Answers the prompts of four tenants through one provider with two limits, and judges by what the provider saw."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import aiohttp
from aiohttp import web

from examples.llm.gateway import (
    LIMITS,
    QUEUE_TYPE,
    REQUESTS_PER_MIN,
    TENANTS,
    TOKENS_BURST,
    TOKENS_PER_MIN,
    TRIAL_TOKENS_PER_S,
    Gateway,
    prompt_job,
)
from examples.llm.provider import Completion, Provider
from examples.options import Options, read_options
from examples.pace import most_ahead_s
from examples.receiver import serving, write_log
from examples.verdict import LEAST_SHARE, Verdict
from sharq_client import AsyncClient, EnqueueJob, Worker

PER_S = {"gold": 4, "ada": 2, "bob": 2, "trial": 1}
"""Prompts of each tenant for each second of the run; ada's come first, all at once."""

AHEAD_S = 0.5
"""The longest time from the lease of a request to its arrival at the provider."""


async def main(options: Options) -> int:
    """Run the example and return its exit code."""
    provider = Provider(REQUESTS_PER_MIN, TOKENS_PER_MIN)
    jobs = prompts(options.seconds)
    async with (
        AsyncClient() as client,
        serving(web.post("/", provider.complete)) as url,
        aiohttp.ClientSession() as http,
    ):
        await clear(client)
        await client.control.set_type(QUEUE_TYPE, LIMITS)
        for tenant, settings in TENANTS.items():
            await client.control.set_queue(QUEUE_TYPE, tenant, settings)
        answers = await client.enqueue_many(jobs)
        assert answers.failed == 0, answers
        async with (
            Worker(client, QUEUE_TYPE, Gateway(http, url).complete, concurrency=50, wait_ms=500),
            asyncio.timeout(options.seconds * 3 + 20),
        ):
            while not await is_done(client):
                await asyncio.sleep(0.1)
        first = await client.job(QUEUE_TYPE, jobs[0].queue_id, jobs[0].job_id or "")
        await clear(client)
    write_log(options.log, provider.completions)
    show(provider.completions)
    print(
        f"the answer to {jobs[0].job_id} is kept: {first.result['text'][:20]!r}..." if first else "no answer"
    )
    return judge(provider.completions, jobs)


def prompts(seconds: float) -> list[EnqueueJob]:
    """Return the prompts of all tenants; a prompt ends with the number of tokens of its answer."""
    return [
        prompt_job(tenant, n, f"Tell me about rate limits in words of number {50 + 30 * (n % 5)}")
        for tenant in ("ada", "gold", "bob", "trial")
        for n in range(round(seconds * PER_S[tenant]))
    ]


async def is_done(client: AsyncClient) -> bool:
    """Return True if no prompt waits and none is being answered."""
    stats = await client.control.type(QUEUE_TYPE)
    return stats.queued + stats.delayed + stats.leased == 0


async def clear(client: AsyncClient) -> None:
    """Remove what this run, or one that was interrupted, has left."""
    for tenant in TENANTS:
        await client.delete_queue(QUEUE_TYPE, tenant, purge_all=True)


def show(completions: list[Completion]) -> None:
    """Print a line for each tenant."""
    print(f"{'tenant':8}{'requests':>9}{'tokens':>8}{'seconds':>9}{'requests/s':>12}{'tokens/s':>10}")
    for tenant in TENANTS:
        own = [each for each in completions if each.tenant == tenant]
        span_s, tokens = own[-1].at - own[0].at, sum(each.tokens for each in own)
        print(
            f"{tenant:8}{len(own):9}{tokens:8}{span_s:9.1f}{len(own) / span_s:12.1f}{tokens / span_s:10.0f}"
        )


def judge(completions: list[Completion], jobs: list[EnqueueJob]) -> int:
    """Print what the provider saw and return the exit code."""
    verdict = Verdict()
    span_s = completions[-1].at - completions[0].at
    limit_per_s = TOKENS_PER_MIN / 60
    tokens_per_s = sum(each.tokens for each in completions[:-1]) / span_s
    ahead_s = most_ahead_s([(each.at, each.tokens) for each in completions], limit_per_s, TOKENS_BURST)
    reserved_per_s = sum(job.cost for job in jobs) / span_s
    verdict.check(
        f"the provider's {limit_per_s:.0f} tokens a second are used, and not more",
        is_kept=tokens_per_s >= LEAST_SHARE * limit_per_s and ahead_s <= AHEAD_S,
        seen=f"{tokens_per_s:.0f} a second used, {reserved_per_s:.0f} a second reserved",
    )
    ahead_s = most_ahead_s([(each.at, 1) for each in completions], REQUESTS_PER_MIN / 60, 2)
    refused = sum(each.status == 429 for each in completions)
    verdict.check(
        "the provider never has to refuse",
        is_kept=refused == 0 and ahead_s <= AHEAD_S,
        seen=f"{refused} answers 429, no request is more than {ahead_s * 1000:.0f} ms too early",
    )
    answered = Counter(each.name for each in completions)
    verdict.check(
        "each prompt is answered once",
        is_kept=answered == Counter(job.job_id for job in jobs),
        seen=f"{answered.total()} answers to {len(answered)} of {len(jobs)} prompts",
    )
    busy = busy_time(completions, ("gold", "ada", "bob"))
    shares = Counter(each.tenant for each in busy)
    verdict.check(
        "while all have work, gold gets two turns for one of ada and of bob",
        is_kept=abs(shares["gold"] - 2 * shares["ada"]) <= 4 and abs(shares["ada"] - shares["bob"]) <= 2,
        seen=", ".join(f"{tenant} {shares[tenant]}" for tenant in ("gold", "ada", "bob")),
    )
    trial = [each for each in completions if each.tenant == "trial"]
    rate = sum(each.tokens for each in trial[:-1]) / (trial[-1].at - trial[0].at)
    verdict.check(
        f"trial gets the {TRIAL_TOKENS_PER_S} tokens a second of its plan",
        is_kept=LEAST_SHARE * TRIAL_TOKENS_PER_S <= rate <= 1.1 * TRIAL_TOKENS_PER_S,
        seen=f"{rate:.0f} a second",
    )
    return verdict.exit_code()


def busy_time(completions: list[Completion], tenants: tuple[str, ...]) -> list[Completion]:
    """Return the part of the run in which all of these tenants had prompts left."""
    last = [max(n for n, each in enumerate(completions) if each.tenant == tenant) for tenant in tenants]
    return completions[: min(last)]


if __name__ == "__main__":
    sys.exit(asyncio.run(main(read_options(__doc__ or "", seconds=4))))
