"""The first page: is the service well, and if not, where to look next."""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Query, graph, number
from deploy.dashboards.promql import (
    OF_CLIENTS,
    OF_PROCESSES,
    WINDOW,
    growth,
    per_second,
    quantile,
    share_broken,
    total,
    worst,
)

OVERVIEW = Dashboard(
    "sharq-overview",
    "SHARQ / Overview",
    (
        number(
            "Requests",
            "All routers.",
            Query(per_second("sharq_router_requests_total", where=OF_CLIENTS)),
            "reqps",
        ),
        number("Failed", "Share that is the service's fault.", Query(share_broken()), "percentunit"),
        number(
            "Waiting jobs",
            "In their queues, delayed ones left out.",
            Query(total("sharq_jobs", where='state="queued"')),
        ),
        number(
            "Dead letters", "Kept for a person to look at.", Query(total("sharq_jobs", where='state="dead"'))
        ),
        number("Routers", "That answer scrapes.", Query("sum(up{job='sharq-router'})")),
        number("Shards", "That answer scrapes.", Query("sum(up{job='sharq-shard'})")),
        graph(
            "Requests by operation",
            "A bulk call counts once.",
            Query(per_second("sharq_router_requests_total", "operation", OF_CLIENTS), "{{operation}}"),
            unit="reqps",
        ),
        graph(
            "Answers by result",
            "empty: a dequeue that found nothing. unavailable: not done. outcome_unknown: perhaps done.",
            Query(per_second("sharq_router_requests_total", "result", OF_CLIENTS), "{{result}}"),
            unit="reqps",
        ),
        graph(
            "Time to an answer, p99",
            "Dequeues that wait are left out: they last as long as their client wished.",
            Query(
                quantile(0.99, "sharq_router_request_duration_seconds", "operation", OF_CLIENTS),
                "{{operation}}",
            ),
            unit="s",
        ),
        graph(
            "Jobs in and out",
            "By the store's count. Far apart for long: the backlog grows.",
            Query(growth("sharq_jobs_enqueued_total"), "enqueued"),
            Query(growth("sharq_jobs_finished_total"), "finished"),
            unit="ops",
        ),
        graph(
            "Ready delay",
            "From when a job might be leased to when it was. High: too few workers, or a slow store.",
            Query(quantile(0.5, "sharq_ready_delay_seconds"), "p50"),
            Query(quantile(0.99, "sharq_ready_delay_seconds"), "p99"),
            unit="s",
        ),
        graph("Jobs by state", "All queue types.", Query(total("sharq_jobs", "state"), "{{state}}")),
        graph(
            "Longest ready",
            "How long jobs have been ready that nobody took, by type. Growing: too few workers, or none.",
            Query(f"topk(10, {worst('sharq_oldest_ready_age_seconds', 'queue_type')})", "{{queue_type}}"),
            unit="s",
        ),
        graph(
            "Processes that are full",
            "The fullest router and shard, in cores: a process uses one.",
            Query(f"max by (job) (rate(process_cpu_seconds_total{{{OF_PROCESSES}}}[{WINDOW}]))", "{{job}}"),
        ),
        graph(
            "Memory of the store's fullest server",
            "Of what it may take; at 100 % enqueue is answered 507. Empty: it has no limit.",
            Query("max(sharq_store_memory_bytes / (sharq_store_memory_limit_bytes > 0))", "memory"),
            unit="percentunit",
        ),
    ),
)
