"""Runs the scheduler's functions about windows beside those about jobs."""

from __future__ import annotations

from msgspec import structs

from sharq_core.campaigns.windows import DropStatus, PutOutcome, PutStatus, StoredWindow
from sharq_core.limits import Explanation, QueueSettings, TypeSettings, TypeStats
from sharq_core.models import EnqueueStatus, NewJob, QueueStats
from sharq_core.scheduler.campaigns.windows import WindowCalls
from sharq_core.scheduler.limit_calls import TypeCalls
from tests.scheduler.drivers.driver import DAY_US, new_job
from tests.scheduler.drivers.jobs import JobDriver

DEFINITION = b'{"tz":"UTC","open":[]}'


def windowed(
    job_id: str,
    window: str | None = None,
    queue_id: str = "q",
    *,
    ignores: bool = False,
    interval_us: int = 0,
    delay_us: int = 0,
    priority: int = 5,
    requeue_limit: int = -1,
    expires_us: int | None = None,
    queue_type: str = "sms",
) -> NewJob:
    """A job with a window for queue `q`, which has no rate, unless told otherwise."""
    job = new_job(
        job_id,
        queue_id,
        interval_us=interval_us,
        delay_us=delay_us,
        requeue_limit=requeue_limit,
        queue_type=queue_type,
    )
    return structs.replace(
        job, window=window, ignores_window=ignores, priority=priority, expires_us=expires_us
    )


class WindowDriver(JobDriver):
    """A driver of one type, and of the windows of its partition."""

    @property
    def calls(self) -> WindowCalls:
        """The maker of calls about windows."""
        return WindowCalls(self.keys)

    @property
    def types(self) -> TypeCalls:
        """The maker of calls about types."""
        return TypeCalls(self.keys)

    def put_all(
        self,
        name: str,
        *openings: tuple[int, int],
        until_us: int | None = None,
        version: int = 0,
        most: int = 1000,
    ) -> PutOutcome:
        """Put a window with openings, known for two days unless told otherwise."""
        until_us = self.now_us + 2 * DAY_US if until_us is None else until_us
        return self.value(
            self.calls.put_window(
                self.partition,
                name,
                DEFINITION,
                version,
                until_us,
                [*openings],
                most=most,
                now_us=self.now_us,
            )
        )

    def put(self, name: str, *openings: tuple[int, int], until_us: int | None = None) -> bool:
        """Put a window. True if a walk is due."""
        outcome = self.put_all(name, *openings, until_us=until_us)
        assert outcome.status is PutStatus.DONE
        return outcome.must_rescore

    def extend_window(self, name: str, version: int, until_us: int, *openings: tuple[int, int]) -> bool:
        """Extend a window. True if a walk is due."""
        call = self.calls.extend_window(
            self.partition, name, version, until_us, [*openings], now_us=self.now_us
        )
        return self.value(call)

    def drop_window(self, name: str) -> DropStatus:
        """Remove a window."""
        return self.value(self.calls.drop_window(self.partition, name, now_us=self.now_us))

    def window(self, name: str) -> StoredWindow | None:
        """A window as the partition keeps it."""
        return self.reply(self.calls.get_window(self.partition, name, now_us=self.now_us)).value

    def rescore(self, cursor: str = "", count: int = 100) -> str:
        """One step of the walk; the next cursor."""
        call = self.calls.rescore_windows(self.partition, cursor, count=count, now_us=self.now_us)
        return self.value(call)

    def rescore_all(self, cursor: str = "", count: int = 100) -> int:
        """The walk to its end; the number of steps."""
        for step in range(1000):
            cursor = self.rescore(cursor, count)
            if not cursor:
                return step + 1
        raise AssertionError("the walk has no end")

    def put_job(
        self, job_id: str, window: str | None = None, queue_id: str = "q", *, ignores: bool = False
    ) -> None:
        """Queue one job."""
        (answer,) = self.enqueue(
            windowed(job_id, window, queue_id, ignores=ignores, queue_type=self.queue_type)
        )
        assert answer.status is EnqueueStatus.QUEUED

    def set_window(self, window: str | None, queue_id: str = "q") -> QueueStats:
        """Set or clear the window of a queue."""
        return self.set_queue(QueueSettings(window=window), queue_id)

    def set_type_window(self, window: str | None) -> TypeStats:
        """Set or clear the default window of the type."""
        settings = TypeSettings(window=window)
        return self.value(self.types.set_type(self.partition, self.queue_type, settings, now_us=self.now_us))

    def type_stats(self) -> TypeStats:
        """The statistics of the type."""
        return self.value(self.types.get_type_stats(self.partition, self.queue_type, now_us=self.now_us))

    def explain(self) -> Explanation:
        """Why the type leases nothing."""
        return self.value(self.types.explain(self.partition, self.queue_type, now_us=self.now_us))

    def score(self, queue_id: str = "q") -> int | None:
        """The time at which the queue is ready, None if it is not in ready."""
        score = self.client.zscore(self.key("ready"), queue_id)
        return None if score is None else int(score)
