"""Hands the prompts of tenants to the provider as its limits allow: this is the part to take over."""

from __future__ import annotations

import aiohttp

from examples.llm.provider import count_tokens
from sharq_client import EnqueueJob, JobResult, Limit, QueueSettings, RunningJob, Throttled, TypeSettings

QUEUE_TYPE = "llm~large"
REQUESTS_PER_MIN, TOKENS_PER_MIN = 600, 60_000
TOKENS_BURST = 2_000
"""More than what the prompts at work have reserved and will not use, and less than the provider takes at once."""

TRIAL_TOKENS_PER_S = 150
LIMITS = TypeSettings(
    limits=[
        Limit(rate=f"{REQUESTS_PER_MIN}/min", burst=2),
        Limit(rate=f"{TOKENS_PER_MIN}/min", burst=TOKENS_BURST, unit="cost"),
    ]
)
TENANTS = {
    "gold": QueueSettings(interval=0, weight=2),  # two jobs in its turn
    "ada": QueueSettings(interval=0),
    "bob": QueueSettings(interval=0),
    "trial": QueueSettings(rate=f"{TRIAL_TOKENS_PER_S}/s", burst=150),  # the rate of a queue counts cost, too
}
MAX_TOKENS = 400


def prompt_job(tenant: str, n: int, prompt: str) -> EnqueueJob:
    """Return the job of a prompt. It reserves all the tokens that it may use."""
    return EnqueueJob(
        queue_type=QUEUE_TYPE,
        queue_id=tenant,
        job_id=f"{tenant}-{n}",
        payload={"prompt": prompt, "max_tokens": MAX_TOKENS},
        cost=count_tokens(prompt) + MAX_TOKENS,
    )


class Gateway:
    """The handler of the worker."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def complete(self, job: RunningJob) -> JobResult:
        """Get the answer to a prompt. What it has not used of its tokens is given back to the limits at once."""
        body = {**job.payload, "tenant": job.queue_id, "name": job.job_id}
        async with self._http.post(self._url, json=body) as answer:
            if answer.status == 429:
                raise Throttled(float(answer.headers["Retry-After"]), holds_type=True)
            answer.raise_for_status()
            completion = await answer.json()
        return JobResult({"text": completion["text"]}, cost=completion["usage"]["total_tokens"])
