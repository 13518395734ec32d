"""Queue types: what waits, what leaves and how late. Single queues are too many for labels; ask /queue/ for one."""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Query, graph
from deploy.dashboards.promql import OF_TYPE, growth, per_second, quantile, total, worst

BY_TYPE = "queue_type"
LEGEND = "{{queue_type}}"

QUEUES = Dashboard(
    "sharq-queues",
    "SHARQ / Queues and rates",
    (
        graph(
            "Enqueued",
            "By type.",
            Query(growth("sharq_jobs_enqueued_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "Leased",
            "Jobs handed out.",
            Query(per_second("sharq_ready_delay_seconds_count", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "Finished",
            "By type.",
            Query(growth("sharq_jobs_finished_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "Waiting",
            "In their queues. A queue above its rate has a backlog by design; what counts is the ready delay.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="queued"'), LEGEND),
        ),
        graph(
            "Leased now",
            "With workers.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="leased"'), LEGEND),
        ),
        graph(
            "Delayed",
            "Not before their time.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="delayed"'), LEGEND),
        ),
        graph(
            "Ready delay, p50",
            "Ready to handed out.",
            Query(quantile(0.5, "sharq_ready_delay_seconds", BY_TYPE, OF_TYPE), LEGEND),
            unit="s",
        ),
        graph(
            "Ready delay, p99",
            "Ready to handed out.",
            Query(quantile(0.99, "sharq_ready_delay_seconds", BY_TYPE, OF_TYPE), LEGEND),
            unit="s",
        ),
        graph(
            "Longest ready",
            "How long jobs have been ready that nobody took. GET /top/<type>/ names the queues.",
            Query(worst(f"sharq_oldest_ready_age_seconds{{{OF_TYPE}}}", BY_TYPE), LEGEND),
            unit="s",
        ),
        graph(
            "Enqueues that queued nothing",
            "duplicate: the job is there already. full: the cap. no_interval: a queue without a rate.",
            Query(
                per_second(
                    "sharq_enqueue_outcomes_total", f"{BY_TYPE}, outcome", f'{OF_TYPE}, outcome!="queued"'
                ),
                "{{queue_type}} {{outcome}}",
            ),
            unit="ops",
        ),
        graph(
            "Finishes, extends and releases in vain",
            "lost: by a worker whose lease had passed to another. not_found: the job is gone.",
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
            "Workers that died, or took longer than their lease: the job comes back.",
            Query(per_second("sharq_leases_ended_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "New dead letters",
            "Jobs past their requeue limit.",
            Query(per_second("sharq_dead_letters_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
        ),
        graph(
            "Dead letters kept",
            "GET /dead/<type>/ lists them.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="dead"'), LEGEND),
        ),
    ),
    has_types=True,
)
