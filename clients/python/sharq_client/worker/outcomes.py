"""Reports the outcomes of leased jobs (finish or release) in bulk, and retries until the server has answered.

While a call is in flight, further outcomes collect for the next one, so calls carry more the busier the worker is.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from sharq_client import errors, failures
from sharq_client.aio.client import AsyncClient
from sharq_client.answers import LeasedJob
from sharq_client.campaigns.caps import CapHold
from sharq_client.worker.handlers.results import Retry, Throttled
from sharq_client.worker.turns import pass_turns

log = logging.getLogger("sharq.worker")


class Outcome(enum.StrEnum):
    """The outcome of a job."""

    FINISH = "finish"
    RELEASE = "release"


class ReleaseTerms(msgspec.Struct, frozen=True):
    """The conditions of a release.

    Attributes:
        delay_ms: the delay; None for that of the job's retry policy.
        prefer_retry: delay_ms applies only to jobs without a retry policy.
    """

    delay_ms: float | None = None
    prefer_retry: bool = False
    hold_ms: float = 0
    hold_type_ms: float = 0
    counts: bool = True
    hold_cap: CapHold | None = None

    @property
    def holds_more(self) -> bool:
        """True if it holds a type or a cap."""
        return self.hold_type_ms > 0 or self.hold_cap is not None

    def of_queue(self) -> ReleaseTerms:
        """Return the same conditions with a hold of the job's queue alone."""
        hold_ms = max(self.hold_ms, self.hold_type_ms, 0 if self.hold_cap is None else self.hold_cap.ms)
        return msgspec.structs.replace(self, hold_ms=hold_ms, hold_type_ms=0, hold_cap=None)


class Report(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one job.

    Attributes:
        release: the conditions of a release; None for a finish. Jobs with the same ones travel in one call.
        error: the reason of a release; None for none.
        result: the result of a finished job, as JSON text; UNSET for none.
        cost: the cost that a finished job turned out to have; None if it is as enqueued.
    """

    job: LeasedJob
    release: ReleaseTerms | None = None
    error: str | None = None
    result: msgspec.Raw | UnsetType = UNSET
    cost: int | None = None

    @property
    def is_detailed(self) -> bool:
        """True if it has a result, an error, or a hold of more than the job's queue, which the server may refuse."""
        holds_more = self.release is not None and self.release.holds_more
        return holds_more or self.result is not UNSET or self.error is not None

    @property
    def outcome(self) -> Outcome:
        """FINISH or RELEASE."""
        return Outcome.FINISH if self.release is None else Outcome.RELEASE


_UNSTARTED = ReleaseTerms(counts=False)

DELAY_WITHOUT_POLICY_MS = 1_000
"""The delay of a failed job for which neither the job, its queue nor its gathered type has a retry policy."""

MAX_ERROR_BYTES = 2048
"""The length at which the server cuts the error of a release, in bytes of UTF-8."""

OnReported: TypeAlias = Callable[[LeasedJob, Outcome, errors.SharqError | None], None]
"""A callback that gets a job, its outcome, and None if the server accepted it, else the error of the refusal."""


class Outcomes:
    """The outcomes that the server has not answered yet."""

    def __init__(
        self,
        client: AsyncClient,
        release_delay_ms: float | None,
        on_reported: Callable[[Report, errors.SharqError | None], None],
        on_answered: Callable[[], None],
    ) -> None:
        """Create an empty set of outcomes.

        Args:
            release_delay_ms: the delay of jobs that failed; None for that of their retry policies.
            on_reported: called once for each outcome that the server has answered.
            on_answered: called after each round of calls, when fewer outcomes are unreported.
        """
        self._client = client
        self._failed = (
            ReleaseTerms(DELAY_WITHOUT_POLICY_MS, prefer_retry=True)
            if release_delay_ms is None
            else ReleaseTerms(release_delay_ms)
        )
        self._on_reported = on_reported
        self._on_answered = on_answered
        self._waiting: list[Report] = []
        self._sending: list[Report] = []
        self._changed = asyncio.Event()
        self._is_closed = False

    def add_finished(
        self, job: LeasedJob, result: msgspec.Raw | UnsetType = UNSET, cost: int | None = None
    ) -> None:
        """Add the finish of a job to the next report, with its result as JSON text and its actual cost."""
        self._add(Report(job, None, None, result, cost))

    def add_failed(self, job: LeasedJob, error: BaseException | None) -> None:
        """Add the release of a job whose attempt failed, with the text of the error; None if it was interrupted."""
        self._add(Report(job, self._failed, None if error is None else text_of(error)))

    def add_unstarted(self, job: LeasedJob) -> None:
        """Add the release of a job that no handler has seen. Its attempt does not count."""
        self._add(Report(job, _UNSTARTED))

    def add_throttled(self, job: LeasedJob, throttled: Throttled) -> None:
        """Add the release of a job whose attempt does not count, with a hold of its queue, its type or a cap."""
        hold_ms = throttled.hold_ms
        if throttled.cap is not None:
            terms = ReleaseTerms(hold_cap=CapHold(throttled.cap, hold_ms), counts=False)
        elif throttled.holds_type:
            terms = ReleaseTerms(hold_type_ms=hold_ms, counts=False)
        else:
            terms = ReleaseTerms(hold_ms=hold_ms, counts=False)
        self._add(Report(job, terms))

    def add_retry(self, job: LeasedJob, retry: Retry) -> None:
        """Add the release of a job that is tried again after the delay which its handler chose."""
        reason = _cut(retry.reason) or text_of(retry.__cause__ or retry)
        self._add(Report(job, ReleaseTerms(retry.delay_ms), reason))

    def close(self) -> None:
        """Let run() return once everything is reported."""
        self._is_closed = True
        self._changed.set()

    async def run(self) -> None:
        """Report outcomes until `close` was called and all are reported. Retry while the server is unreachable.

        If it is cancelled, the remaining outcomes stay unreported: those jobs are requeued when their leases end.
        """
        tries = 0
        while self.unreported() or not self._is_closed:
            await self._changed.wait()
            # Handlers that end together are reported together.
            await pass_turns()
            self._changed.clear()
            error = await self._report()
            tries = 0 if error is None else tries + 1
            if error is not None:
                log.warning("outcomes_not_reported count=%d error=%s", self.unreported(), error)
                await asyncio.sleep(failures.pause_s(error, tries))
                self._changed.set()

    def unreported(self) -> int:
        """Return the number of outcomes that the server has not answered."""
        return len(self._sending) + len(self._waiting)

    def _add(self, report: Report) -> None:
        self._waiting.append(report)
        self._changed.set()

    async def _report(self) -> errors.SharqError | None:
        """Send the current outcomes. Return an error after which a retry can help, or None."""
        self._sending, self._waiting = self._waiting, []
        groups: dict[ReleaseTerms | None, list[Report]] = {}
        for report in self._sending:
            groups.setdefault(report.release, []).append(report)
        answers = await asyncio.gather(*(self._send(*group) for group in groups.items()))
        kept: list[Report] = []
        last_error: errors.SharqError | None = None
        for reports, errors_of_jobs in zip(groups.values(), answers, strict=True):
            for report, error in zip(reports, errors_of_jobs, strict=True):
                if error is not None and failures.may_repeat(error, is_safe_twice=True):
                    kept.append(report)
                    last_error = error
                elif isinstance(error, errors.InvalidRequest | errors.TooLarge) and report.is_detailed:
                    kept.append(_without_details(report, error))
                    self._changed.set()
                else:
                    self._settle(report, error)
        self._sending, self._waiting = [], kept + self._waiting
        self._on_answered()
        return last_error

    async def _send(
        self, release: ReleaseTerms | None, reports: Sequence[Report]
    ) -> Sequence[errors.SharqError | None]:
        jobs = [report.job for report in reports]
        if release is None:
            results, costs = [report.result for report in reports], [report.cost for report in reports]
            return await self._client.finish_many(
                jobs,
                results=None if results.count(UNSET) == len(jobs) else results,
                costs=None if costs.count(None) == len(jobs) else costs,
            )
        return await self._client.release_many(
            jobs,
            release.delay_ms,
            hold_ms=release.hold_ms,
            hold_type_ms=release.hold_type_ms,
            hold_cap=release.hold_cap,
            counts=release.counts,
            error=[report.error for report in reports],
            prefer_retry=release.prefer_retry,
        )

    def _settle(self, report: Report, error: errors.SharqError | None) -> None:
        if error is not None:
            job = report.job
            log.warning(
                "outcome_refused outcome=%s queue_type=%s queue_id=%s job_id=%s error=%s",
                report.outcome, job.queue_type, job.queue_id, job.job_id, error.code,
            )  # fmt: skip
        self._on_reported(report, error)


def _without_details(report: Report, error: errors.SharqError) -> Report:
    """Return the report of a job without what the server perhaps refused: what was done is not done again for it."""
    job, release = report.job, report.release
    log.error(
        "details_left_out queue_type=%s queue_id=%s job_id=%s error=%s",
        job.queue_type, job.queue_id, job.job_id, error,
    )  # fmt: skip
    terms = None if release is None else release.of_queue()
    return msgspec.structs.replace(report, release=terms, result=UNSET, error=None)


def text_of(error: BaseException) -> str:
    """Return the error as "TypeName: message", cut to 2 KiB of UTF-8. What UTF-8 cannot encode becomes "?"."""
    try:
        message = str(error)
    except Exception as failure:  # noqa: BLE001 - an exception of the application may have any __str__
        message = f"its message raised {type(failure).__name__}"
    return _cut(f"{type(error).__name__}: {message}".removesuffix(": "))


def _cut(text: str) -> str:
    """Return a text cut to 2 KiB of UTF-8. What UTF-8 cannot encode becomes "?"."""
    return text.encode(errors="replace")[:MAX_ERROR_BYTES].decode(errors="ignore")
