"""Handlers of schedules, which enqueue a job again and again at set times."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from router.api import parsing
from router.api.campaigns import schedule_parsing
from router.api.campaigns.schedule_shapes import ScheduleAnswer, ScheduleRow
from router.api.campaigns.values import needs_rate, unknown_window
from router.api.response_shapes import Done
from router.bodies.parser import BodyParser
from router.handlers.list_answers import end_of, list_answer, list_pieces
from router.http.request import Request
from router.http.response import Response, answer
from router.settings import RouterSettings
from router.shards.campaigns.schedules import ScheduleRouting
from router.shards.dispatch import Dispatch
from router.shards.walks.windows import knows_window
from sharq_core.campaigns.schedules import Schedule
from sharq_core.errors import NotFound
from sharq_core.models import EnqueueStatus, QueueKey
from sharq_core.partitions import partition_of

DEFAULT_PAGE = 100

_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class ScheduleHandlers:
    """The handlers of schedules."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser, settings: RouterSettings) -> None:
        self._dispatch = dispatch
        self._schedules = ScheduleRouting(dispatch)
        self._parser = parser
        self._settings = settings

    async def put_schedule(self, request: Request) -> Response:
        """Create or replace a schedule, and return its state."""
        parsing.no_query(request.query)
        name = await self._name_of(request, is_new=True)
        rule, job, entry, gets_rate_later = await request.parsed(
            self._parser, schedule_parsing.schedule, self._settings
        )
        if job.interval_us is None and not gets_rate_later:
            await self._require_rate(QueueKey(job.queue_type, job.queue_id))
        if job.window is not None:
            partition = partition_of(job.queue_type, job.queue_id, self._dispatch.partitions)
            if not await knows_window(self._dispatch, partition, job.window):
                raise unknown_window(job.window, "job.")
        schedule = await self._schedules.put(name, rule, job, entry)
        return answer(_state(schedule, entry, job.payload))

    async def show_schedule(self, request: Request) -> Response:
        """Return the state of a schedule."""
        parsing.no_query(request.query)
        return await self._state(await self._name_of(request))

    async def delete_schedule(self, request: Request) -> Response:
        """Delete a schedule. The jobs that it has enqueued stay."""
        parsing.no_query(request.query)
        name = await self._name_of(request)
        await request.parsed(self._parser, parsing.nothing)
        await self._schedules.delete(name)
        return answer(Done())

    async def pause_schedule(self, request: Request) -> Response:
        """Pause a schedule, and return its state."""
        return await self._set_paused(request, is_paused=True)

    async def resume_schedule(self, request: Request) -> Response:
        """Resume a schedule from its next slot on, and return its state."""
        return await self._set_paused(request, is_paused=False)

    async def list_schedules(self, request: Request) -> Response:
        """Return a page of all schedules."""
        limit, cursor = parsing.page(request.query)
        walk = self._schedules.list_schedules(limit or DEFAULT_PAGE, cursor)
        rows = (
            [_row(schedule) for schedule in page.values() if request.sees(schedule.queue_type)]
            async for page in walk.pages()
        )
        return await list_answer(list_pieces("schedules", rows, lambda: end_of(walk.cursor, walk.unread)))

    async def _require_rate(self, queue: QueueKey) -> None:
        """Raise InvalidRequest if a queue has no rate, as an enqueue does whose job names none."""
        stats = await self._dispatch.queue(queue)
        if not (stats.is_known and stats.has_interval):
            raise needs_rate("job.", "; with rate_later: true it may get one later")

    async def _name_of(self, request: Request, *, is_new: bool = False) -> str:
        """Return the name of the request's schedule.

        Names are shared by all queue types, so a token with `types=` may not take the name of another type's schedule.
        A schedule that gets another type between this check and the change is changed all the same.

        Args:
            is_new: True if the schedule need not exist.

        Raises:
            Forbidden: it is a schedule of a queue type that the caller's token may not use. Nothing was done.
            NotFound: it does not exist. This is raised only for a token with `types=`. Nothing was done.
        """
        name = schedule_parsing.schedule_name(request.path_values)
        token = request.token
        if token is not None and token.types is not None:
            try:
                schedule, _, _ = await self._schedules.get(name)
            except NotFound:
                if not is_new:
                    raise
            else:
                token.check_type(schedule.queue_type, f"schedule {name}: ")
        return name

    async def _set_paused(self, request: Request, *, is_paused: bool) -> Response:
        parsing.no_query(request.query)
        name = await self._name_of(request)
        await request.parsed(self._parser, parsing.nothing)
        return answer(_state(*await self._schedules.pause(name, is_paused=is_paused)))

    async def _state(self, name: str) -> Response:
        return answer(_state(*await self._schedules.get(name)))


def _state(schedule: Schedule, entry: bytes, payload: bytes) -> ScheduleAnswer:
    job = _decode_fields(entry) | {"payload": Raw(payload)}
    return ScheduleAnswer(
        name=schedule.name,
        cron=schedule.rule.cron or None,
        every=_every_ms(schedule),
        tz=schedule.rule.tz,
        job=Raw(msgspec.json.encode(job)),
        paused=schedule.is_paused,
        next_at=_next_ms(schedule),
        last_at=_to_ms(schedule.last_slot_us),
        last_status=_last_status(schedule),
        fired=schedule.fired,
    )


def _row(schedule: Schedule) -> ScheduleRow:
    return ScheduleRow(
        name=schedule.name,
        cron=schedule.rule.cron or None,
        every=_every_ms(schedule),
        tz=schedule.rule.tz,
        queue_type=schedule.queue_type,
        queue_id=schedule.queue_id,
        paused=schedule.is_paused,
        next_at=_next_ms(schedule),
        last_at=_to_ms(schedule.last_slot_us),
        last_status=_last_status(schedule),
        fired=schedule.fired,
    )


def _every_ms(schedule: Schedule) -> int | None:
    return schedule.rule.every_us // 1000 or None


def _next_ms(schedule: Schedule) -> int | None:
    return None if schedule.is_paused else _to_ms(schedule.slot_us)


def _to_ms(at_us: int | None) -> int | None:
    return None if at_us is None else at_us // 1000


def _last_status(schedule: Schedule) -> str | None:
    return None if schedule.last_status is None else EnqueueStatus(schedule.last_status).name.lower()
