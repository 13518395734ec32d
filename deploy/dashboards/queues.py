"""Defines the dashboard of queue types: backlog, throughput and delay.

There are too many single queues for labels; GET /queue/ shows one.
"""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Query, graph
from deploy.dashboards.promql import OF_TYPE, growth, per_second, quantile, total, worst

BY_TYPE = "queue_type"
LEGEND = "{{queue_type}}"


def _failed_share(cause: str) -> str:
    """Return the share of leases whose attempt failed for a cause, 0 to 1."""
    failed = per_second("sharq_failed_attempts_total", BY_TYPE, f'{OF_TYPE}, cause="{cause}"')
    return f"{failed} / {per_second('sharq_lease_attempts_count', BY_TYPE, OF_TYPE)}"


QUEUES = Dashboard(
    "sharq-queues",
    "SHARQ / Queues and rates",
    (
        graph(
            "Enqueued",
            "Jobs accepted per second, by type.",
            Query(growth("sharq_jobs_enqueued_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "Leased",
            "Jobs leased to workers per second, by type.",
            Query(per_second("sharq_ready_delay_seconds_count", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "Finished",
            "Jobs finished per second, by type.",
            Query(growth("sharq_jobs_finished_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "Waiting",
            "Queued jobs. A queue that gets more than its rate has a backlog by design; watch the ready delay instead.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="queued"'), LEGEND),
        ),
        graph(
            "Leased now",
            "Jobs that workers hold.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="leased"'), LEGEND),
        ),
        graph(
            "Delayed",
            "Jobs that wait for the end of their delay.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="delayed"'), LEGEND),
        ),
        graph(
            "Ready delay, p50",
            "Time from ready to leased.",
            Query(quantile(0.5, "sharq_ready_delay_seconds", BY_TYPE, OF_TYPE), LEGEND),
            unit="s",
        ),
        graph(
            "Ready delay, p99",
            "Time from ready to leased.",
            Query(quantile(0.99, "sharq_ready_delay_seconds", BY_TYPE, OF_TYPE), LEGEND),
            unit="s",
        ),
        graph(
            "Longest ready",
            "Age of the longest ready job. GET /top/<type>/ lists the queues.",
            Query(worst(f"sharq_oldest_ready_age_seconds{{{OF_TYPE}}}", BY_TYPE), LEGEND),
            unit="s",
        ),
        graph(
            "Blocked",
            "Share of the time for which workers waited for jobs of a type that had some, by the reason (sampled).",
            Query(
                per_second("sharq_blocked_seconds_total", f"{BY_TYPE}, blocked_by", OF_TYPE),
                "{{queue_type}} {{blocked_by}}",
            ),
            unit="percentunit",
        ),
        graph(
            "Delivered of promised",
            "Jobs that queues with a rate gave, as a share of what their rates and backlogs allowed (sampled).",
            Query(
                f"{per_second('sharq_sampled_delivered_jobs_total', BY_TYPE, OF_TYPE)}"
                f" / {per_second('sharq_sampled_promised_jobs_total', BY_TYPE, OF_TYPE)}",
                LEGEND,
            ),
            unit="percentunit",
        ),
        graph(
            "Caps in use",
            "Share of each limit of a gathered type in use over the last minute, of max_leased at the moment, and of "
            "each quota in its present day or hour.",
            Query(
                worst(f"sharq_type_cap_used_ratio{{{OF_TYPE}}}", f"{BY_TYPE}, cap"),
                "{{queue_type}} {{cap}}",
            ),
            unit="percentunit",
        ),
        graph(
            "Enqueues that queued nothing",
            "duplicate: the job id exists. full: the queue is at its cap. no_interval: the queue has no rate.",
            Query(
                per_second(
                    "sharq_enqueue_outcomes_total", f"{BY_TYPE}, outcome", f'{OF_TYPE}, outcome!="queued"'
                ),
                "{{queue_type}} {{outcome}}",
            ),
            unit="ops",
        ),
        graph(
            "Finishes, extends and releases without effect",
            "lost: the job has a newer lease. not_found: the job does not exist any more.",
            Query(
                per_second(
                    "sharq_lease_outcomes_total", f"{BY_TYPE}, outcome", f'{OF_TYPE}, outcome!="done"'
                ),
                "{{queue_type}} {{outcome}}",
            ),
            unit="ops",
        ),
        graph(
            "Leases that ended unfinished",
            "The worker died or took longer than its lease. The job is requeued.",
            Query(per_second("sharq_leases_ended_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "Handlers that fail",
            "Share of leases whose attempt failed: released by the worker, without those that do not count, or timed"
            " out with their lease. Each one used a slot of its queue's rate.",
            Query(_failed_share("released"), f"{LEGEND} released"),
            Query(_failed_share("timed_out"), f"{LEGEND} timed out"),
            unit="percentunit",
        ),
        graph(
            "Attempts, p99",
            "Attempts that leases begin; 1 is the first lease of a job. A high value means jobs that fail again and"
            " again: GET /dead/<type>/ and GET /job/ show their errors.",
            Query(quantile(0.99, "sharq_lease_attempts", BY_TYPE, OF_TYPE), LEGEND),
        ),
        graph(
            "New dead letters",
            "limit: past the requeue limit. expired: not leased in time.",
            Query(
                per_second("sharq_dead_letters_total", f"{BY_TYPE}, reason", OF_TYPE),
                "{{queue_type}} {{reason}}",
            ),
            unit="ops",
        ),
        graph(
            "Expired",
            "Jobs that were not leased in time, per second: too many for their queue's rate, a hold, a pause, or too"
            " few workers.",
            Query(per_second("sharq_expired_jobs_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "Dead letters kept",
            "GET /dead/<type>/ lists them.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="dead"'), LEGEND),
        ),
        graph(
            "Cancelled",
            "Jobs cancelled by id or prefix, deleted with their queue, or dropped, per second.",
            Query(growth("sharq_jobs_cancelled_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
    ),
    has_types=True,
)
