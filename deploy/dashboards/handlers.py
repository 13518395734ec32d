"""Defines the dashboard of handlers: attempts that fail, retries and dead letters, by shards and by workers."""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Limits, Query, Row, graph
from deploy.dashboards.promql import (
    OF_TYPE,
    WINDOW,
    by,
    growth,
    per_second,
    quantile,
    select,
    share_failed,
    total,
)

BY_TYPE = "queue_type"
LEGEND = "{{queue_type}}"
TYPE_VIEW = "#/type/${__field.labels.queue_type}"
DEAD_VIEW = "#/dead/${__field.labels.queue_type}"
ATTEMPTS = "sharq_lease_attempts"


def _retries() -> str:
    """Return the leases per second that begin another attempt than the first, by type."""
    first = per_second(f"{ATTEMPTS}_bucket", BY_TYPE, f'{OF_TYPE}, le="1.0"')
    return f"{per_second(f'{ATTEMPTS}_count', BY_TYPE, OF_TYPE)} - {first}"


SEEN_BY_SHARDS = Row(
    "Attempts, as the shards see them",
    (
        graph(
            "Handlers that fail",
            "Share of leases whose attempt failed: released by the worker, without those that do not count, or timed"
            " out with their lease. Each one used a slot of its queue's rate.",
            Query(share_failed(OF_TYPE, "released"), f"{LEGEND} released"),
            Query(share_failed(OF_TYPE, "timed_out"), f"{LEGEND} timed out"),
            unit="percentunit",
            limits=Limits(0.1, 0.5),
            alerts=("SharqHandlersFail",),
            console=TYPE_VIEW,
        ),
        graph(
            "Retries",
            "Leases per second that begin another attempt than a job's first.",
            Query(_retries(), LEGEND),
            unit="ops",
            alerts=("SharqHandlersFail",),
            console=TYPE_VIEW,
        ),
        graph(
            "Attempts, p99",
            "Attempts that leases begin; 1 is the first lease of a job. A high value means jobs that fail again and"
            " again: GET /dead/<type>/ and GET /job/ show their errors.",
            Query(quantile(0.99, ATTEMPTS, BY_TYPE, OF_TYPE), LEGEND),
            limits=Limits(5, 10),
            alerts=("SharqHandlersFail",),
            console=TYPE_VIEW,
        ),
        graph(
            "Leases that ended unfinished",
            "The worker died or took longer than its lease. The job is requeued.",
            Query(per_second("sharq_leases_ended_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
            console=TYPE_VIEW,
        ),
        graph(
            "Finishes, extends and releases without effect",
            "lost: the job has a newer lease. not_found: the job does not exist any more.",
            Query(
                per_second(
                    "sharq_lease_outcomes_total", f"{BY_TYPE}, outcome", f'{OF_TYPE}, outcome!="done"'
                ),
                f"{LEGEND} {{{{outcome}}}}",
            ),
            unit="ops",
            console=TYPE_VIEW,
        ),
        graph(
            "Cancelled",
            "Jobs cancelled by id or prefix, deleted with their queue, or dropped, per second.",
            Query(growth("sharq_jobs_cancelled_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
            console=TYPE_VIEW,
        ),
    ),
)

ENDED_BADLY = Row(
    "Dead letters and expired jobs",
    (
        graph(
            "New dead letters",
            "limit: past the requeue limit. expired: not leased in time.",
            Query(
                per_second("sharq_dead_letters_total", f"{BY_TYPE}, reason", OF_TYPE),
                f"{LEGEND} {{{{reason}}}}",
            ),
            unit="ops",
            alerts=("SharqDeadLetters",),
            console=DEAD_VIEW,
        ),
        graph(
            "Expired",
            "Jobs that were not leased in time, per second: too many for their queue's rate, a hold, a pause, or too"
            " few workers.",
            Query(per_second("sharq_expired_jobs_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
            console=DEAD_VIEW,
        ),
        graph(
            "Dead letters kept",
            "Jobs that wait for a person. GET /dead/<type>/ lists them.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="dead"'), LEGEND),
            limits=Limits(warn=1),
            alerts=("SharqDeadLetters",),
            console=DEAD_VIEW,
        ),
    ),
)

SEEN_BY_WORKERS = Row(
    "Handlers, as the workers see them (Python workers with metrics_port)",
    (
        graph(
            "Ends of handlers",
            "finished, and how the others ended: failed and retried raised an error, throttled gave the job back.",
            Query(
                per_second("sharq_worker_jobs_total", f"{BY_TYPE}, outcome", OF_TYPE),
                f"{LEGEND} {{{{outcome}}}}",
            ),
            unit="ops",
            alerts=("SharqHandlersFail",),
            console=TYPE_VIEW,
        ),
        graph(
            "Time of a handler",
            "From its start to its end, with its middleware; a batch counts once.",
            Query(quantile(0.5, "sharq_worker_handler_seconds", BY_TYPE, OF_TYPE), f"{LEGEND} p50"),
            Query(quantile(0.99, "sharq_worker_handler_seconds", BY_TYPE, OF_TYPE), f"{LEGEND} p99"),
            unit="s",
        ),
        graph(
            "Handlers that run",
            "Jobs in the handlers of all workers. At their concurrency the workers are busy.",
            Query(total("sharq_worker_jobs_in_flight", BY_TYPE, OF_TYPE), LEGEND),
        ),
        graph(
            "Leases that workers lost",
            "Jobs whose lease ended before the worker had reported them, so that another worker may run them again.",
            Query(
                f"sum {by(BY_TYPE)} (increase({select('sharq_worker_leases_lost_total', OF_TYPE)}[{WINDOW}]))",
                LEGEND,
            ),
            limits=Limits(warn=1),
        ),
        graph(
            "Requests for jobs that failed",
            "The server was unreachable, overloaded or refused them.",
            Query(per_second("sharq_worker_dequeue_failures_total", "instance"), "{{instance}}"),
            unit="ops",
        ),
    ),
)

HANDLERS = Dashboard(
    "sharq-handlers",
    "SHARQ / Handlers",
    '{__name__=~"sharq_lease_attempts_count|sharq_worker_jobs_in_flight"}',
    (SEEN_BY_SHARDS, ENDED_BADLY, SEEN_BY_WORKERS),
    has_types=True,
)
