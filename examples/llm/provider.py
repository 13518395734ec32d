"""A provider of a language model over HTTP, which counts requests and tokens and answers 429 beyond its limits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aiohttp import web

LATENCY_S = 0.05
TOKENS_PER_S = 1_000
"""The speed at which an answer is written."""


@dataclass(frozen=True)
class Completion:
    """A request that has arrived; the time is in seconds since the epoch."""

    at: float
    tenant: str
    name: str
    tokens: int
    status: int


class Provider:
    """A provider with two limits a minute.

    The buckets hold what the limits give in a tenth of a minute, and fill again all the time. It counts the tokens that
    an answer has really had.
    """

    def __init__(self, requests_per_min: int, tokens_per_min: int) -> None:
        self.completions: list[Completion] = []
        self._limits = (requests_per_min / 60, tokens_per_min / 60)
        self._buckets = (requests_per_min / 10, tokens_per_min / 10)
        self._filled_at_s = time.monotonic()

    async def complete(self, request: web.Request) -> web.Response:
        """Answer a prompt: 200 with the usage, or 429."""
        body = await request.json()
        prompt_tokens = count_tokens(body["prompt"])
        # The answer is as long as the prompt asks for, and shorter than the caller allows.
        answer_tokens = min(body["max_tokens"], int(body["prompt"].rsplit(maxsplit=1)[-1]))
        tokens = prompt_tokens + answer_tokens
        status = 200 if self._take(tokens) else 429
        self.completions.append(Completion(time.time(), body["tenant"], body["name"], tokens, status))
        if status == 429:
            return web.Response(status=429, headers={"Retry-After": "1"})
        await asyncio.sleep(LATENCY_S + answer_tokens / TOKENS_PER_S)
        return web.json_response({"text": "word " * answer_tokens, "usage": {"total_tokens": tokens}})

    def _take(self, tokens: int) -> bool:
        now_s = time.monotonic()
        passed_s, self._filled_at_s = now_s - self._filled_at_s, now_s
        requests, tokens_left = (
            min(bucket + limit * passed_s, limit * 6)
            for bucket, limit in zip(self._buckets, self._limits, strict=True)
        )
        has_room = requests >= 1 and tokens_left >= tokens
        self._buckets = (requests - 1, tokens_left - tokens) if has_room else (requests, tokens_left)
        return has_room


def count_tokens(text: str) -> int:
    """Return about how many tokens a text has; a real gateway asks the tokenizer of the model."""
    return len(text) // 4 + 1
