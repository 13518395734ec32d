"""Routes each request to its handler, and turns errors into answers."""

from __future__ import annotations

from collections.abc import Callable

from sharq_client import errors
from sharq_client.answers import LeasedJob
from sharq_client.testing.engine.engine import Engine
from sharq_client.testing.wire.answers import Reply, failed_reply, reply
from sharq_client.testing.wire.job_handlers import JobHandlers
from sharq_client.testing.wire.life_handlers import LifeHandlers
from sharq_client.testing.wire.queue_handlers import QueueHandlers
from sharq_client.testing.wire.requests import Request, refuse

REFUSED = {
    "window": "windows",
    "windows": "windows",
    "schedule": "schedules",
    "schedules": "schedules",
    "cap": "caps",
    "caps": "caps",
}
"""The verbs of what the fake does not have."""


class FakeServer:
    """The HTTP API over an engine."""

    def __init__(self, engine: Engine, on_leased: Callable[[LeasedJob], None]) -> None:
        self._engine = engine
        self._handlers = _handlers(engine, on_leased)

    def answer(self, request: Request) -> Reply:
        """Answer a request, at once.

        Raises:
            NotImplementedError: the fake does not have the feature, which the message names.
        """
        if request.verb in REFUSED:
            refuse(REFUSED[request.verb])
        handler = self._handlers.get(request.route)
        if handler is None:
            raise NotImplementedError(f"sharq_client.testing: {request.route} is not part of the fake")
        try:
            return handler(request)
        except errors.SharqError as error:
            return failed_reply(error)
        finally:
            self._engine.settle()


def _handlers(
    engine: Engine, on_leased: Callable[[LeasedJob], None]
) -> dict[str, Callable[[Request], Reply]]:
    """Return the handler of each route."""
    jobs, lives, queues = JobHandlers(engine, on_leased), LifeHandlers(engine), QueueHandlers(engine)
    return {
        "POST /enqueue/*/*/": jobs.enqueue,
        "POST /enqueue/": jobs.enqueue_many,
        "POST /dequeue/": jobs.dequeue,
        "POST /dequeue/*/": jobs.dequeue,
        "POST /finish/*/*/*/": jobs.finish,
        "POST /finish/": jobs.finish_many,
        "POST /extend/*/*/*/": jobs.extend,
        "POST /extend/": jobs.extend_many,
        "POST /release/*/*/*/": jobs.release,
        "POST /release/": jobs.release_many,
        "GET /job/*/*/*/": lives.job,
        "PATCH /job/*/*/*/": lives.change,
        "DELETE /job/*/*/*/": lives.cancel,
        "POST /cancel/": lives.cancel_many,
        "POST /queue/*/*/cancel/": lives.cancel_matching,
        "GET /queue/*/*/jobs/": lives.list_jobs,
        "GET /dead/*/": lives.dead,
        "DELETE /dead/*/": lives.drop_dead,
        "POST /dead/*/drop/": lives.drop_letters,
        "POST /dead/*/redrive/": lives.redrive,
        "DELETE /dead/*/*/*/": lives.drop_letter,
        "POST /dead/*/*/*/redrive/": lives.redrive_one,
        "GET /batch/*/*/": lives.batch,
        "POST /batch/*/*/cancel/": lives.cancel_batch,
        "POST /interval/*/*/": queues.interval,
        "GET /queue/*/*/": queues.queue,
        "POST /queue/*/*/": queues.set_queue,
        "POST /queue/*/*/pause/": queues.pause,
        "POST /queue/*/*/resume/": queues.resume,
        "DELETE /deletequeue/*/*/": queues.delete,
        "GET /type/*/": queues.show_type,
        "POST /type/*/": queues.set_type,
        "DELETE /type/*/": queues.clear_type,
        "POST /type/*/pause/": queues.pause_type,
        "POST /type/*/resume/": queues.resume_type,
        "POST /pause/": queues.pause_all,
        "POST /resume/": queues.resume_all,
        "GET /queues/*/": queues.queues,
        "GET /types/": queues.types,
        "GET /metrics/": queues.counts,
        "GET /metrics/*/": queues.queue_ids,
        "GET /metrics/*/*/": queues.queue_counts,
        "GET /healthz/": lambda _: reply({}),
        "GET /readyz/": lambda _: reply({}),
        "GET /deepstatus/": lambda _: reply({}),
    }
