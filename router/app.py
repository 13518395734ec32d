"""Assembles the router's HTTP interface from its parts."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from router.access.token import Token
from router.api.cluster_shapes import ClusterInfo
from router.api.openapi import build_openapi
from router.api.routes.route import spellings
from router.api.routes.table import ROUTES, SERVED
from router.audit.audit_log import AuditLog
from router.bodies.parser import BodyParser
from router.console.assets import AssetHandlers
from router.console.snapshots import Snapshots
from router.console.stream import StreamHandlers
from router.handlers.campaigns.batches import BatchHandlers
from router.handlers.campaigns.schedules import ScheduleHandlers
from router.handlers.campaigns.windows import WindowHandlers
from router.handlers.caps.caps import CapHandlers
from router.handlers.caps.reasons import CapReasons
from router.handlers.counts import CountHandlers
from router.handlers.dequeue import DequeueHandlers
from router.handlers.enqueue import EnqueueHandlers
from router.handlers.job_changes import JobChangeHandlers
from router.handlers.job_lists import JobListHandlers
from router.handlers.jobs import JobHandlers
from router.handlers.leases import LeaseHandlers
from router.handlers.listings import ListingHandlers
from router.handlers.operations import OperationHandlers
from router.handlers.queues import QueueHandlers
from router.handlers.types import TypeHandlers
from router.http.gate import Gate
from router.http.gateway import Endpoint, Gateway, Handler
from router.http.metrics import RouterMetrics
from router.http.path_table import Paths
from router.http.tokens import Guard
from router.longpoll.dequeues import Polls
from router.readiness import Readiness
from router.settings import RouterSettings
from router.shards.dispatch import Dispatch
from sharq_core.logs.line_queue import LineQueue


def make_gateway(
    dispatch: Dispatch,
    polls: Polls,
    settings: RouterSettings,
    registry: CollectorRegistry,
    readiness: Readiness,
    cluster_info: Callable[[], Awaitable[ClusterInfo]],
    guard: Guard | None = None,
    gate: Gate | None = None,
    audit_file: LineQueue | None = None,
    all_metrics: Callable[[], Awaitable[Collector]] | None = None,
) -> Gateway:
    """Return the entry point of requests, with every route of router/api/routes.

    Args:
        registry: the registry that gets the router's metrics; the Prometheus endpoint exports everything on it.
        readiness: the state that /readyz reports; the caller updates it.
        cluster_info: returns the content of /cluster/.
        guard: the check of tokens; None if no token is required.
        gate: the check of request heads; None for one without configured names.
        audit_file: the lines of the audit file; None for the log alone.
        all_metrics: returns what the Prometheus endpoint exports instead of the registry; None for the registry.
    """
    parser = BodyParser()
    document = build_openapi(ROUTES, asks_token=guard is not None)
    operations = OperationHandlers(dispatch, registry, readiness, cluster_info, document, all_metrics)
    reasons = CapReasons(dispatch)
    handlers = _handlers(dispatch, polls, parser, settings, operations, reasons)
    if settings.serves_console:
        snapshots = Snapshots(dispatch, cluster_info, reasons)
        readiness.when_draining(snapshots.end)
        handlers |= _console_handlers(
            StreamHandlers(dispatch, snapshots, guard.still_has if guard else _always, reasons)
        )
    paths = _paths(handlers)
    audit_log = AuditLog(ROUTES, parser, audit_file)
    return Gateway(paths, RouterMetrics(registry), settings, readiness, guard, gate, parser, audit_log)


def _paths(handlers: Mapping[str, Handler]) -> Paths[Endpoint]:
    """Return every path of router/api/routes, in each of its spellings, with the handler of its operation.

    An operation without a handler is one of the console, which is turned off.
    """
    paths: Paths[Endpoint] = Paths()
    for route in SERVED if "console" in handlers else ROUTES:
        endpoint = Endpoint(route.operation, handlers[route.operation])
        for path, method in itertools.product(route.paths, route.served_methods):
            for spelling in spellings(path):
                paths.add(method, spelling, endpoint)
    return paths


def _always(_token: Token) -> bool:
    return True


def _console_handlers(stream: StreamHandlers) -> dict[str, Handler]:
    """Return operation → handler, for every operation of the console."""
    assets = AssetHandlers()
    return {
        "console": assets.page,
        "console_file": assets.file,
        "console_view": assets.view_file,
        "console_widget": assets.widget_file,
        "console_stream": stream.stream,
    }


def _handlers(
    dispatch: Dispatch,
    polls: Polls,
    parser: BodyParser,
    settings: RouterSettings,
    operations: OperationHandlers,
    reasons: CapReasons,
) -> dict[str, Handler]:
    """Return operation → handler, for every operation of the API."""
    return {
        **_job_handlers(dispatch, polls, parser, settings, reasons),
        **_queue_handlers(dispatch, parser, reasons),
        **_campaign_handlers(dispatch, parser, settings),
        "hello": operations.hello,
        "deepstatus": operations.deepstatus,
        "healthz": operations.healthz,
        "readyz": operations.readyz,
        "cluster": operations.cluster,
        "token": operations.token,
        "prometheus": operations.prometheus,
        "openapi": operations.openapi,
    }


def _job_handlers(
    dispatch: Dispatch, polls: Polls, parser: BodyParser, settings: RouterSettings, reasons: CapReasons
) -> dict[str, Handler]:
    """Return operation → handler, for the operations on jobs."""
    enqueue = EnqueueHandlers(dispatch, parser, settings)
    dequeue = DequeueHandlers(dispatch, polls, parser, settings, reasons)
    leases = LeaseHandlers(dispatch, parser)
    jobs = JobHandlers(dispatch, polls.job_waits, parser, reasons)
    job_lists = JobListHandlers(dispatch, reasons)
    job_changes = JobChangeHandlers(dispatch, parser, settings, reasons)
    return {
        "enqueue": enqueue.enqueue,
        "enqueue_bulk": enqueue.enqueue_bulk,
        "dequeue": dequeue.dequeue,
        "finish": leases.finish,
        "finish_bulk": leases.finish_bulk,
        "extend": leases.extend,
        "extend_bulk": leases.extend_bulk,
        "release": leases.release,
        "release_bulk": leases.release_bulk,
        "job": jobs.job,
        "change_job": job_changes.change,
        "cancel_job": job_changes.cancel,
        "cancel_bulk": job_changes.cancel_bulk,
        "cancel_prefix": job_changes.cancel_prefix,
        "list_jobs": job_lists.list_jobs,
        "dead": job_lists.list_dead,
        "redrive_letter": jobs.redrive_letter,
        "drop_letter": jobs.drop_letter,
        "drop_letters": jobs.drop_letters,
        "drop_dead": jobs.drop_dead,
        "redrive": jobs.redrive,
    }


def _queue_handlers(dispatch: Dispatch, parser: BodyParser, reasons: CapReasons) -> dict[str, Handler]:
    """Return operation → handler, for the operations on queues, types and their counts."""
    queues = QueueHandlers(dispatch, parser, reasons)
    counts = CountHandlers(dispatch)
    listings = ListingHandlers(dispatch, reasons)
    types = TypeHandlers(dispatch, parser, reasons)
    return {
        "interval": queues.interval,
        "queue": queues.queue,
        "set_queue": queues.set_queue,
        "pause": queues.pause,
        "resume": queues.resume,
        "deletequeue": queues.deletequeue,
        "queues": listings.queues,
        "types": listings.types,
        "type": types.show_type,
        "set_type": types.set_type,
        "clear_type": types.clear_type,
        "pause_type": types.pause_type,
        "resume_type": types.resume_type,
        "pause_all": types.pause_all,
        "resume_all": types.resume_all,
        "metrics": counts.all_counts,
        "metrics_type": counts.queue_ids,
        "metrics_queue": counts.queue_counts,
        "top": counts.top_queues,
    }


def _campaign_handlers(
    dispatch: Dispatch, parser: BodyParser, settings: RouterSettings
) -> dict[str, Handler]:
    """Return operation → handler, for the operations on batches, schedules, windows and caps."""
    batches = BatchHandlers(dispatch, parser)
    schedules = ScheduleHandlers(dispatch, parser, settings)
    windows = WindowHandlers(dispatch, parser)
    caps = CapHandlers(dispatch, parser)
    return {
        "batch": batches.show_batch,
        "cancel_batch": batches.cancel_batch,
        "put_schedule": schedules.put_schedule,
        "schedule": schedules.show_schedule,
        "delete_schedule": schedules.delete_schedule,
        "pause_schedule": schedules.pause_schedule,
        "resume_schedule": schedules.resume_schedule,
        "schedules": schedules.list_schedules,
        "put_window": windows.put_window,
        "window": windows.window,
        "windows": windows.windows,
        "drop_window": windows.drop_window,
        "put_cap": caps.put_cap,
        "cap": caps.cap,
        "caps": caps.caps,
        "hold_cap": caps.hold_cap,
        "drop_cap": caps.drop_cap,
    }
