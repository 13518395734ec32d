"""Defines the routes of schedules."""

from __future__ import annotations

from router.access.permissions import Permission, TypesAt
from router.api.campaigns.schedule_shapes import ScheduleAnswer, ScheduleBody, ScheduleRows
from router.api.request_shapes import NoBody, PageQuery
from router.api.response_shapes import Done
from router.api.routes.route import READ, WRITE, Route, Tag
from sharq_core.errors import NotFound, StoreFull

_PATH = "/schedule/{schedule}/"

SCHEDULES = (
    Route(
        operation="put_schedule",
        tag=Tag.SCHEDULES,
        permissions=(Permission.OPERATE,),
        types=TypesAt.BODY,
        methods=("PUT",),
        paths=(_PATH,),
        summary="Create or replace a schedule: it enqueues a job again and again at set times.",
        body=ScheduleBody,
        needs_body=True,
        answers={200: (ScheduleAnswer,)},
        failures=(*WRITE, StoreFull),
    ),
    Route(
        operation="schedule",
        operation_id="get_schedule",
        tag=Tag.SCHEDULES,
        permissions=(Permission.READ,),
        types=TypesAt.RECORD,
        methods=("GET",),
        paths=(_PATH,),
        summary="Get the state of a schedule: its job, its next slot, and how the latest enqueue went.",
        answers={200: (ScheduleAnswer,)},
        failures=(*READ, NotFound),
    ),
    Route(
        operation="delete_schedule",
        tag=Tag.SCHEDULES,
        permissions=(Permission.OPERATE,),
        types=TypesAt.RECORD,
        methods=("DELETE",),
        paths=(_PATH,),
        summary="Delete a schedule. The jobs that it has enqueued stay.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*WRITE, NotFound),
    ),
    Route(
        operation="pause_schedule",
        tag=Tag.SCHEDULES,
        permissions=(Permission.OPERATE,),
        types=TypesAt.RECORD,
        methods=("POST",),
        paths=(f"{_PATH}pause/",),
        summary="Pause a schedule: no slot enqueues until it is resumed.",
        body=NoBody,
        answers={200: (ScheduleAnswer,)},
        failures=(*WRITE, NotFound),
    ),
    Route(
        operation="resume_schedule",
        tag=Tag.SCHEDULES,
        permissions=(Permission.OPERATE,),
        types=TypesAt.RECORD,
        methods=("POST",),
        paths=(f"{_PATH}resume/",),
        summary="Resume a schedule. The slots that passed during the pause are skipped.",
        body=NoBody,
        answers={200: (ScheduleAnswer,)},
        failures=(*WRITE, NotFound),
    ),
    Route(
        operation="schedules",
        operation_id="list_schedules",
        tag=Tag.SCHEDULES,
        permissions=(Permission.READ,),
        types=TypesAt.LISTED,
        methods=("GET",),
        paths=("/schedules/",),
        summary="List all schedules: their jobs' queues and their next slots, page by page.",
        query=PageQuery,
        answers={200: (ScheduleRows,)},
        failures=READ,
    ),
)
