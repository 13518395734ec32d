"""Offers the calls about schedules, which enqueue a job again and again at set times."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from sharq_client.aio.caller import AsyncCaller
from sharq_client.bodies import job_of, ready_to_send
from sharq_client.campaigns.schedules import ScheduleBody, ScheduleRow, ScheduleState
from sharq_client.decoders import Page
from sharq_client.paths import path_of
from sharq_client.requests import Enqueueable


class _ScheduleRows(Page, frozen=True, kw_only=True):
    schedules: list[ScheduleRow]


_STATE = msgspec.json.Decoder(ScheduleState)
_ROWS = msgspec.json.Decoder(_ScheduleRows)


class AsyncSchedules:
    """The calls about schedules. Every method raises as those of AsyncClient do; all are safe to repeat."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def put(
        self,
        name: str,
        job: Enqueueable,
        *,
        cron: str | None = None,
        every_ms: int | None = None,
        tz: str | None = None,
        rate_later: bool = False,
    ) -> ScheduleState:
        """Create or replace a schedule, and return its state. One that is paused stays so.

        Args:
            name: up to 86 characters. The jobs have the ids `<name>@<slot in ms>`, so that each slot enqueues once.
            job: the job that each slot enqueues; it has no job_id, delay, at, expires_at, traceparent or
                tracestate.
            cron: the slots, as a cron expression of five fields; or every_ms instead.
            every_ms: the time between two slots, 1,000 or more. The first one comes after this time.
            tz: the time zone of cron, such as "Asia/Kolkata"; None for UTC.
            rate_later: True if the queue gets its rate later. While it has none, its slots enqueue nothing.

        Raises:
            InvalidRequest: a field is wrong, or neither the job nor its queue has a rate. Nothing was done.
        """
        ready = ready_to_send(job)
        if job_of(job).job_id is None:
            ready = msgspec.structs.replace(ready, job_id=None)
        body = ScheduleBody(cron=cron, every=every_ms, tz=tz, job=ready, rate_later=rate_later)
        return await self._caller.ask("PUT", path_of("schedule", name), _STATE, body)

    async def get(self, name: str) -> ScheduleState | None:
        """Return the state of a schedule; None if there is none."""
        return await self._caller.find(path_of("schedule", name), _STATE)

    async def pause(self, name: str) -> bool:
        """Pause a schedule: no slot enqueues until `resume`. Return False if there is no such schedule."""
        return await self._caller.done("POST", path_of("schedule", name) + "pause/", is_safe_twice=True)

    async def resume(self, name: str) -> bool:
        """Resume a schedule from its next slot on. Return False if there is no such schedule."""
        return await self._caller.done("POST", path_of("schedule", name) + "resume/", is_safe_twice=True)

    async def delete(self, name: str) -> bool:
        """Delete a schedule; its jobs stay. Return False if there is no such schedule, as after a retry perhaps."""
        return await self._caller.done("DELETE", path_of("schedule", name), is_safe_twice=True)

    async def list(self, *, page: int = 1_000) -> AsyncIterator[ScheduleRow]:
        """Yield all schedules, in no order.

        Args:
            page: the number of schedules for each request, 1 to 10,000.
        """
        async for answer in self._caller.pages("/schedules/", _ROWS, page):
            for row in answer.schedules:
                yield row
