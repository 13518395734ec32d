"""Applies the ends and extends of leases to the caps of their queues.

A finish or release may hold a cap, and correct what the job cost. An extend of a lease with permits (of caps with
max_leased) changes nothing at first: the permits are renewed, and then the lease is extended. A lease never lasts
longer than its permits, so that a cap errs to too few leases and never to too many.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from shard.batching.pipeline import Pipeline
from shard.caps.ledgers import CapLedgers
from shard.cluster.partition_clocks import PartitionClocks
from sharq_core.caps import EXTEND_WITHIN_US, Permit
from sharq_core.clock import elapsed_us
from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.limits import CapHold
from sharq_core.link.messages import Failure
from sharq_core.models import ExtendJob, LeaseOutcome, LeaseStatus
from sharq_core.scheduler.caps.capped_calls import CappedCalls
from sharq_core.scheduler.executor import value_of

log = logging.getLogger(__name__)


class NodeCapLeases:
    """The follower of the leases of one node."""

    def __init__(
        self, pipeline: Pipeline, calls: CappedCalls, clocks: PartitionClocks, ledgers: CapLedgers
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._clocks = clocks
        self._ledgers = ledgers
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[Any],
        outcomes: Sequence[LeaseOutcome],
        end: Callable[[Sequence[Any]], None],
    ) -> bool:
        """Apply some ends or extends of leases to their caps, then call `end` with the outcomes.

        Args:
            jobs: the jobs of a finish, release or extend, of one type and partition.

        Returns:
            False if there is nothing to do; `end` is not called then.
        """
        holds: list[CapHold] = []
        must_renew = must_correct = False
        for job, outcome in zip(jobs, outcomes, strict=True):
            must_renew = must_renew or bool(outcome.permits)
            must_correct = must_correct or outcome.corrected is not None
            if (hold := getattr(job, "hold_cap", None)) is not None and outcome.status is LeaseStatus.DONE:
                holds.append(hold)
        if must_renew:
            self._start(self._extend_then(partition, queue_type, jobs, outcomes, end))
        elif holds or must_correct:
            self._start(self._tell_then(holds, outcomes, end))
        return must_renew or must_correct or bool(holds)

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_then(
        self, holds: Sequence[CapHold], outcomes: Sequence[LeaseOutcome], end: Callable[[Sequence[Any]], None]
    ) -> None:
        """Hold caps and correct costs. The jobs have ended even if that fails."""
        changes: Counter[str] = Counter()
        for outcome in outcomes:
            if outcome.corrected is not None:
                for name in outcome.corrected.names:
                    changes[name] += outcome.corrected.difference
        try:
            await asyncio.gather(
                *(self._ledgers.hold(hold) for hold in holds),
                *(self._ledgers.correct(name, by) for name, by in changes.items() if by),
            )
        finally:
            end(outcomes)

    async def _extend_then(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[ExtendJob],
        outcomes: Sequence[LeaseOutcome],
        end: Callable[[Sequence[Any]], None],
    ) -> None:
        answers: list[LeaseOutcome | Failure] = []
        try:
            answers = await self._extend_all(partition, queue_type, jobs, outcomes)
        except Exception as error:
            log.exception("extend_failed queue_type=%s", queue_type)
            failure = OutcomeUnknown(f"an error in this process: {type(error).__name__}")
            answers = [Failure(failure.code, failure.message)] * len(jobs)
        end(answers)

    async def _extend_all(
        self, partition: int, queue_type: str, jobs: Sequence[ExtendJob], outcomes: Sequence[LeaseOutcome]
    ) -> list[LeaseOutcome | Failure]:
        """Return the outcomes of an extend, after those jobs were extended whose outcomes name permits."""
        answers: list[LeaseOutcome | Failure] = [
            msgspec.structs.replace(outcome, permits=()) if outcome.permits else outcome
            for outcome in outcomes
        ]
        places = [index for index, outcome in enumerate(outcomes) if outcome.permits]
        sent_us = elapsed_us()
        renewed, failures = await self._renew(jobs, outcomes)
        for index in places:
            # A ledger that is away fails the jobs of its own cap alone.
            for error in (failures[permit] for permit in outcomes[index].permits if permit in failures):
                answers[index] = Failure(error.code, error.message, error.is_away)
        ready = [index for index in places if renewed.issuperset(outcomes[index].permits)]
        try:
            extended = await self._extend(partition, queue_type, [jobs[index] for index in ready], sent_us)
        except SharqError as error:
            for index in ready:
                answers[index] = Failure(error.code, error.message, error.is_away)
            return answers
        for index, outcome in zip(ready, extended, strict=True):
            answers[index] = outcome
        return answers

    async def _renew(
        self, jobs: Sequence[ExtendJob], outcomes: Sequence[LeaseOutcome]
    ) -> tuple[set[Permit], dict[Permit, SharqError]]:
        """Renew the permits of some leases; return those that last long enough now, and the errors of the others."""
        lengths: dict[Permit, int] = {}
        for job, outcome in zip(jobs, outcomes, strict=True):
            lengths.update(dict.fromkeys(outcome.permits, job.by_us))
        serials: dict[tuple[str, int], list[int]] = {}
        for (name, serial), by_us in lengths.items():
            serials.setdefault((name, by_us), []).append(serial)
        answers = await asyncio.gather(
            *(self._ledgers.renew(name, own, by_us) for (name, by_us), own in serials.items()),
            return_exceptions=True,
        )
        renewed: set[Permit] = set()
        failures: dict[Permit, SharqError] = {}
        for ((name, _), own), answer in zip(serials.items(), answers, strict=True):
            if isinstance(answer, SharqError):
                failures.update(dict.fromkeys([(name, serial) for serial in own], answer))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                renewed.update((name, serial) for serial, lasts in zip(own, answer, strict=True) if lasts)
        return renewed, failures

    async def _extend(
        self, partition: int, queue_type: str, jobs: list[ExtendJob], sent_us: int
    ) -> list[LeaseOutcome]:
        """Extend leases whose permits were renewed by calls that were sent at sent_us."""
        if not jobs:
            return []
        limit = self._clocks.deadline(partition, sent_us + EXTEND_WITHIN_US)
        if limit is None:
            raise Unavailable("the time of the partition is not known yet; nothing was done")
        call = self._calls.extend_renewed(
            partition, queue_type, jobs, not_after_us=limit[0], clock_number=limit[1]
        )
        reply, _ = await self._pipeline.submit(call)
        return value_of(reply)
