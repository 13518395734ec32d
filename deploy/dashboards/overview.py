"""Defines the overview dashboard: the health of the service, and pointers to the cause of a problem."""

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
            "Requests per second, all routers.",
            Query(per_second("sharq_router_requests_total", where=OF_CLIENTS)),
            "reqps",
        ),
        number("Failed", "Share of requests that the service failed.", Query(share_broken()), "percentunit"),
        number(
            "Waiting jobs",
            "Queued jobs, without delayed ones.",
            Query(total("sharq_jobs", where='state="queued"')),
        ),
        number(
            "Dead letters", "Jobs that wait for a person.", Query(total("sharq_jobs", where='state="dead"'))
        ),
        number("Routers", "Routers that answer scrapes.", Query("sum(up{job='sharq-router'})")),
        number("Shards", "Shards that answer scrapes.", Query("sum(up{job='sharq-shard'})")),
        graph(
            "Requests by operation",
            "A bulk call counts once.",
            Query(per_second("sharq_router_requests_total", "operation", OF_CLIENTS), "{{operation}}"),
            unit="reqps",
        ),
        graph(
            "Answers by result",
            "empty: no job was ready. unavailable: not done. outcome_unknown: perhaps done.",
            Query(per_second("sharq_router_requests_total", "result", OF_CLIENTS), "{{result}}"),
            unit="reqps",
        ),
        graph(
            "Time to an answer, p99",
            "Without long polls, which last as long as the client asked for.",
            Query(
                quantile(0.99, "sharq_router_request_duration_seconds", "operation", OF_CLIENTS),
                "{{operation}}",
            ),
            unit="s",
        ),
        graph(
            "Jobs in and out",
            "As counted by the store. If enqueued stays above finished, the backlog grows.",
            Query(growth("sharq_jobs_enqueued_total"), "enqueued"),
            Query(growth("sharq_jobs_finished_total"), "finished"),
            unit="ops",
        ),
        graph(
            "Ready delay",
            "Time from ready to leased. High values mean too few workers or a slow store.",
            Query(quantile(0.5, "sharq_ready_delay_seconds"), "p50"),
            Query(quantile(0.99, "sharq_ready_delay_seconds"), "p99"),
            unit="s",
        ),
        graph("Jobs by state", "Sum over all queue types.", Query(total("sharq_jobs", "state"), "{{state}}")),
        graph(
            "Longest ready",
            "Age of the longest ready job, by type. Growth means too few workers, or none.",
            Query(f"topk(10, {worst('sharq_oldest_ready_age_seconds', 'queue_type')})", "{{queue_type}}"),
            unit="s",
        ),
        graph(
            "Busiest processes",
            "CPU of the busiest router and shard, in cores. A process uses at most one core.",
            Query(f"max by (job) (rate(process_cpu_seconds_total{{{OF_PROCESSES}}}[{WINDOW}]))", "{{job}}"),
        ),
        graph(
            "Memory of the store's fullest server",
            "Share of its limit. At 100 %, enqueue returns 507. No data means that there is no limit.",
            Query("max(sharq_store_memory_bytes / (sharq_store_memory_limit_bytes > 0))", "memory"),
            unit="percentunit",
        ),
    ),
)
