"""The people who look after single jobs while a crowd works: they cancel and change jobs, and ask at the end what has
become of each.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.load.answers import Answer, results_of
from tests.support.load.crowd import Crowd
from tests.support.load.history import Cancellation, Edit, Fate, Job, Outcome

RECENT = 150
"""Enqueues that one looks back for a job."""

PAUSE_S = 0.05
RETRY_S = 0.1
MOST_AT_ONCE = 4
FORCED_SHARE = 0.5
PREFIX_EVERY = 12
"""The number of cancellations of which one is by prefix."""

NEW_EXPIRIES_MS = (None, 1_500, 4_000)
"""Above the longest wait of a retry, because a job that would expire before it is due cannot be changed so."""

ASKERS = 8
TOLD_WITHIN_S = 60.0


class Hands:
    """Two people who choose recent jobs of a crowd: one cancels them, the other changes each of them once at most."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._history = crowd.history
        self._random = random.Random(crowd.history.seed)
        self._edited: set[Job] = set()
        self._is_over = False

    def end(self) -> None:
        """Let both end after the call that they wait for."""
        self._is_over = True

    async def cancel(self) -> None:
        """Cancel jobs until the end: some at once, or now and then all waiting ones of a prefix."""
        urls = self._crowd.turns()
        for number in itertools.count():
            if self._is_over:
                return
            if number % PREFIX_EVERY == PREFIX_EVERY // 2:
                await self._cancel_matching(urls)
            else:
                await self._cancel_some(urls)
            await asyncio.sleep(PAUSE_S)

    async def edit(self) -> None:
        """Change jobs until the end: the payload, and by turns the priority or the expiry too."""
        urls = self._crowd.turns()
        for number in itertools.count():
            if self._is_over:
                return
            jobs = [job for job in self._recent(1) if job not in self._edited]
            for job in jobs:
                self._edited.add(job)
                await self._edit(job, number, urls)
            await asyncio.sleep(PAUSE_S)

    def _recent(self, count: int) -> list[Job]:
        """Jobs of late enqueues that were not refused, each once."""
        found = [call.job for call in self._history.enqueues[-RECENT:] if call.outcome is not Outcome.NO]
        return list({*self._random.choices(found, k=count)}) if found else []

    async def _cancel_some(self, urls: Iterator[str]) -> None:
        jobs = self._recent(self._random.randint(1, MOST_AT_ONCE))
        bodies = [
            {
                "queue_type": self._crowd.kind,
                "queue_id": queue,
                "job_id": str(number),
                "force": self._random.random() < FORCED_SHARE,
            }
            for queue, number in jobs
        ]
        answer = await self._crowd.ask("POST", f"{next(urls)}/cancel/", {"jobs": bodies})
        found = answer.content.get("results") or [{}] * len(jobs)
        results = results_of(answer, len(jobs))
        for job, result, (outcome, why, message) in zip(jobs, found, results, strict=True):
            self._note(answer, job, outcome, why, message, result.get("was", ""))

    async def _cancel_matching(self, urls: Iterator[str]) -> None:
        """Cancel the waiting jobs of one queue whose numbers begin alike."""
        for queue, number in self._recent(1):
            prefix = str(number)[:-1] or str(number)
            path = f"{next(urls)}/queue/{self._crowd.kind}/{queue}/cancel/"
            answer = await self._crowd.ask("POST", path, {"prefix": prefix})
            job = queue, int(prefix)
            self._note(answer, job, answer.outcome, answer.why, answer.message, "", is_by_prefix=True)

    def _note(
        self,
        answer: Answer,
        job: Job,
        outcome: Outcome,
        why: str,
        message: str,
        was: str,
        *,
        is_by_prefix: bool = False,
    ) -> None:
        self._history.cancellations.append(
            Cancellation(
                began_s=answer.began_s,
                ended_s=answer.ended_s,
                outcome=outcome,
                why=why,
                message=message,
                is_documented=answer.is_documented,
                job=job,
                is_by_prefix=is_by_prefix,
                was=was,
            )
        )

    async def _edit(self, job: Job, number: int, urls: Iterator[str]) -> None:
        body: dict[str, Any] = {"payload": [job[1], 1]}
        expires_ms = self._random.choice(NEW_EXPIRIES_MS)
        if number % 3 == 1:
            body["priority"] = self._random.randint(1, 9)
        elif number % 3 == 2:
            body["expires"] = expires_ms
        answer = await self._crowd.ask("PATCH", _path(self._crowd, next(urls), job), body)
        self._history.edits.append(
            Edit(
                began_s=answer.began_s,
                ended_s=answer.ended_s,
                outcome=answer.outcome,
                why=answer.why,
                message=answer.message,
                is_documented=answer.is_documented,
                job=job,
                has_new_priority="priority" in body,
                has_new_expiry="expires" in body,
                expires_ms=expires_ms if "expires" in body else None,
            )
        )


async def tell_fates(crowd: Crowd, asked: Iterable[Job]) -> None:
    """Ask for the fate of each of these jobs."""
    jobs = iter(asked)
    async with asyncio.timeout(TOLD_WITHIN_S):
        await asyncio.gather(*(_tell(crowd, jobs) for _ in range(ASKERS)))


async def _tell(crowd: Crowd, jobs: Iterator[Job]) -> None:
    urls = crowd.turns()
    for job in jobs:
        while (fate := _fate(await crowd.ask("GET", _path(crowd, next(urls), job)))) is None:
            await asyncio.sleep(RETRY_S)
        crowd.history.fates[job] = fate


def _path(crowd: Crowd, url: str, job: Job) -> str:
    return f"{url}/job/{crowd.kind}/{job[0]}/{job[1]}/"


def _fate(answer: Answer) -> Fate | None:
    """Return the fate that an answer tells; None if it tells nothing."""
    if answer.status == 404:
        return Fate(told_s=answer.ended_s, state="unknown")
    if answer.status != 200:
        return None
    found = answer.content
    return Fate(
        told_s=answer.ended_s,
        state=found["state"],
        attempt=found.get("attempt") or 0,
        reason=found.get("reason") or "",
        error=found.get("error") or "",
    )


@asynccontextmanager
async def looking_after(crowd: Crowd) -> AsyncIterator[Hands]:
    """Cancel and change jobs of a crowd for the length of the block."""
    hands = Hands(crowd)
    tasks = [asyncio.create_task(hands.cancel()), asyncio.create_task(hands.edit())]
    try:
        yield hands
    finally:
        hands.end()
        await asyncio.gather(*tasks)
