"""A made-up history, told call by call, for the tests of the checker."""

from __future__ import annotations

from collections import Counter

from tests.support.load.history import (
    Cancellation,
    Dequeue,
    Edit,
    End,
    Enqueue,
    Fate,
    History,
    Lease,
    Outcome,
)
from tests.support.load.promise import Promise

INTERVAL_MS = 100
LEASE_MS = 1000
BASE_MS = 1_000_000


class Story:
    """A history told call by call; each takes a tenth of a second, and the clocks agree. Each queue is a partition."""

    def __init__(self, promise: Promise | int = INTERVAL_MS) -> None:
        self.history = History(0, promise, partition_of=hash)
        self.now_s = 100.0
        self.leases: Counter[str] = Counter()

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def enqueue(
        self,
        number: int,
        outcome: Outcome = Outcome.OK,
        queue: str = "q",
        *,
        expires_ms: int | None = None,
        expires_at_ms: int | None = None,
    ) -> None:
        began_s, ended_s = self._take_time()
        self.history.enqueues.append(
            Enqueue(
                began_s=began_s,
                ended_s=ended_s,
                outcome=outcome,
                job=(queue, number),
                expires_ms=expires_ms,
                expires_at_ms=expires_at_ms,
            )
        )

    def lease(
        self,
        number: int,
        *,
        attempt: int = 1,
        at_ms: int | None = None,
        queue: str = "q",
        cost: int = 1,
        lease_ms: int = LEASE_MS,
        expires_at_ms: int | None = None,
        version: int = 0,
    ) -> Lease:
        began_s, ended_s = self._take_time()
        when_ms = int(began_s * 1000) if at_ms is None else at_ms
        lease = Lease(
            job=(queue, number),
            token=self._next_token(queue),
            attempt=attempt,
            heard_s=ended_s,
            at_ms=when_ms,
            until_ms=when_ms + lease_ms,
            cost=cost,
            expires_at_ms=expires_at_ms,
            version=version,
        )
        self.history.dequeues.append(
            Dequeue(began_s=began_s, ended_s=ended_s, outcome=Outcome.OK, leases=(lease,))
        )
        return lease

    def hear_nothing(self, outcome: Outcome = Outcome.PERHAPS, leases: int = 0, queue: str = "q") -> None:
        """A dequeue without an answer; leases: those that it took."""
        began_s, ended_s = self._take_time()
        self.leases[queue] += leases
        self.history.dequeues.append(Dequeue(began_s=began_s, ended_s=ended_s, outcome=outcome))

    def end(
        self,
        lease: Lease,
        outcome: Outcome = Outcome.OK,
        verb: str = "finish",
        *,
        counts: bool = True,
        error: str = "",
    ) -> None:
        began_s, ended_s = self._take_time()
        self.history.ends.append(
            End(
                began_s=began_s,
                ended_s=ended_s,
                outcome=outcome,
                verb=verb,
                job=lease.job,
                token=lease.token,
                counts=counts,
                error=error,
            )
        )

    def cancel(
        self, number: int, outcome: Outcome = Outcome.OK, *, was: str = "queued", is_by_prefix: bool = False
    ) -> None:
        began_s, ended_s = self._take_time()
        self.history.cancellations.append(
            Cancellation(
                began_s=began_s,
                ended_s=ended_s,
                outcome=outcome,
                job=("q", number),
                was=was,
                is_by_prefix=is_by_prefix,
            )
        )

    def edit(
        self,
        number: int,
        outcome: Outcome = Outcome.OK,
        *,
        has_new_priority: bool = False,
        has_new_expiry: bool = False,
        expires_ms: int | None = None,
    ) -> None:
        began_s, ended_s = self._take_time()
        self.history.edits.append(
            Edit(
                began_s=began_s,
                ended_s=ended_s,
                outcome=outcome,
                job=("q", number),
                has_new_priority=has_new_priority,
                has_new_expiry=has_new_expiry,
                expires_ms=expires_ms,
            )
        )

    def tell(self, number: int, state: str, *, attempt: int = 0, reason: str = "", error: str = "") -> None:
        """Record the end of a job as an answer stated it."""
        self.history.fates["q", number] = Fate(
            told_s=self._take_time()[1], state=state, attempt=attempt, reason=reason, error=error
        )

    @property
    def now_ms(self) -> int:
        """The story's time by the store's clock."""
        return round(self.history.in_ms(self.now_s))

    def lease_in_part(self, number: int) -> Lease:
        """A dequeue that took two leases; one was not kept, so it was void and given back."""
        self.leases["q"] += 1
        return self.lease(number)

    def _next_token(self, queue: str) -> str:
        self.leases[queue] += 1
        return f"{self.leases[queue]:016x}{0:016x}"

    def _take_time(self) -> tuple[float, float]:
        self.now_s += 0.2
        return self.now_s - 0.1, self.now_s


def story_of(promise: Promise, *leases: tuple[str, int, int], until_ms: int = 10) -> Story:
    """Leases (queue, time after BASE_MS, cost) of short-lived jobs that were sent before."""
    story = Story(promise)
    for number, (queue, _, _) in enumerate(leases):
        story.enqueue(number, queue=queue)
    for number, (queue, at_ms, cost) in enumerate(leases):
        story.lease(number, queue=queue, at_ms=BASE_MS + at_ms, cost=cost, lease_ms=until_ms)
    return story
