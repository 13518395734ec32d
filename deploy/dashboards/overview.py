"""Defines the overview dashboard: the health of the service, and pointers to the cause of a problem."""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Limits, Query, Row, graph, number
from deploy.dashboards.promql import (
    OF_CLIENTS,
    OF_PROCESSES,
    OF_ROUTERS,
    OF_SHARDS,
    WINDOW,
    by,
    growth,
    per_second,
    quantile,
    select,
    share_broken,
    share_delivered,
    share_failed,
    total,
    worst,
)
from deploy.dashboards.variables import PROCESSES

FAILING = ("SharqRequestsFailFast", "SharqRequestsFailSlowly", "SharqErrorBudgetShrinks")
PAGES = 'alertname=~"Sharq.*", alertstate="firing", severity="page"'
MEMORY = f"{select('sharq_store_memory_bytes')} / ({select('sharq_store_memory_limit_bytes')} > 0)"

HEALTH = Row(
    "Health",
    (
        number(
            "Alerts of severity page",
            "Alerts that affect users now. Alertmanager and Prometheus list them with their runbook entries.",
            Query(f"{total('ALERTS', where=PAGES)} or {total('up', where=OF_PROCESSES)} * 0"),
            limits=Limits(bad=1),
        ),
        number(
            "Failed",
            "Share of requests that the service failed. The objective is 0.1 %.",
            Query(share_broken()),
            "percentunit",
            limits=Limits(0.001, 0.0144),
            alerts=FAILING,
        ),
        number(
            "Ready delay, p99",
            "Time from ready to leased. The objective is 1 s.",
            Query(quantile(0.99, "sharq_ready_delay_seconds")),
            "s",
            limits=Limits(1, 5),
            alerts=("SharqJobsAreLate",),
        ),
        number(
            "Least delivered of promised",
            "The type whose queues give the smallest share of what their rates and backlogs allow (sampled).",
            Query(f"min {by()} ({share_delivered()})"),
            "percentunit",
            limits=Limits(0.9, 0.8, is_low_bad=True),
            alerts=("SharqRatesAreNotDelivered",),
            console="#/types",
        ),
        number(
            "Most failed attempts",
            "The type with the largest share of attempts that did not finish their job.",
            Query(f"max {by()} ({share_failed()})"),
            "percentunit",
            limits=Limits(0.1, 0.5),
            alerts=("SharqHandlersFail",),
            console="#/types",
        ),
        number(
            "Longest ready",
            "Age of the longest ready job that no worker has leased.",
            Query(worst("sharq_oldest_ready_age_seconds")),
            "s",
            limits=Limits(60, 300),
            alerts=("SharqJobsStandStill",),
            console="#/types",
        ),
        number(
            "Waiting jobs",
            "Queued jobs, without delayed ones.",
            Query(total("sharq_jobs", where='state="queued"')),
            console="#/types",
        ),
        number(
            "Dead letters",
            "Jobs that wait for a person.",
            Query(total("sharq_jobs", where='state="dead"')),
            limits=Limits(warn=1),
            alerts=("SharqDeadLetters",),
            console="#/types",
        ),
        number(
            "Processes down",
            "Routers and shards that do not answer scrapes. The others do their work.",
            Query(f"sum {by()} (1 - {select('up', OF_PROCESSES)})"),
            limits=Limits(warn=1),
            alerts=("SharqProcessDown",),
            console="#/ring",
        ),
        number(
            "Routers",
            "Routers that answer scrapes.",
            Query(total("up", where=OF_ROUTERS)),
            limits=Limits(bad=1, is_low_bad=True),
            alerts=("SharqNoRouter",),
        ),
        number(
            "Shards",
            "Shards that answer scrapes.",
            Query(total("up", where=OF_SHARDS)),
            limits=Limits(bad=1, is_low_bad=True),
            alerts=("SharqNoShard",),
            console="#/ring",
        ),
        number(
            "Memory of the store's fullest server",
            "Share of its limit. At 100 %, enqueue returns 507. No data means that there is no limit.",
            Query(f"max {by()} ({MEMORY})"),
            "percentunit",
            limits=Limits(0.85, 0.95),
            alerts=("SharqStoreFillsUp",),
        ),
    ),
)

REQUESTS = Row(
    "Requests",
    (
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
            alerts=FAILING,
        ),
        graph(
            "Failed requests",
            "Share of requests that the service failed. At 1.44 % the month's error budget lasts two days.",
            Query(share_broken(), "failed"),
            unit="percentunit",
            limits=Limits(0.001, 0.0144),
            alerts=FAILING,
        ),
        graph(
            "Time to an answer, p99",
            "Without long polls, which last as long as the client asked for.",
            Query(
                quantile(0.99, "sharq_router_request_duration_seconds", "operation", OF_CLIENTS),
                "{{operation}}",
            ),
            unit="s",
            limits=Limits(0.5),
            alerts=("SharqRequestsAreSlow",),
        ),
        graph(
            "Busiest processes",
            "CPU of the busiest router and shard, in cores. A process uses at most one core.",
            Query(
                f"max {by('job')} (rate({select('process_cpu_seconds_total', OF_PROCESSES)}[{WINDOW}]))",
                "{{job}}",
            ),
            limits=Limits(0.7, 0.95),
            alerts=("SharqProcessIsFull",),
        ),
        graph(
            "Memory of the store's fullest server",
            "Share of its limit. At 100 %, enqueue returns 507. No data means that there is no limit.",
            Query(f"max {by()} ({MEMORY})", "memory"),
            unit="percentunit",
            limits=Limits(0.85, 0.95),
            alerts=("SharqStoreFillsUp",),
        ),
    ),
)

JOBS = Row(
    "Jobs",
    (
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
            limits=Limits(1, 5),
            alerts=("SharqJobsAreLate",),
        ),
        graph("Jobs by state", "Sum over all queue types.", Query(total("sharq_jobs", "state"), "{{state}}")),
        graph(
            "Longest ready",
            "Age of the longest ready job, by type. Growth means too few workers, or none.",
            Query(
                f"topk {by()} (10, {worst('sharq_oldest_ready_age_seconds', 'queue_type')})", "{{queue_type}}"
            ),
            unit="s",
            limits=Limits(60, 300),
            alerts=("SharqJobsStandStill",),
            console="#/customers/${__field.labels.queue_type}?by=age",
        ),
        graph(
            "Delivered of promised",
            "The ten types whose queues give the smallest shares of what their rates and backlogs allow (sampled).",
            Query(f"bottomk {by()} (10, {share_delivered()})", "{{queue_type}}"),
            unit="percentunit",
            limits=Limits(0.9, 0.8, is_low_bad=True),
            alerts=("SharqRatesAreNotDelivered",),
            console="#/customers/${__field.labels.queue_type}",
        ),
        graph(
            "Handlers that fail",
            "The ten types with the largest shares of attempts that did not finish their job.",
            Query(f"topk {by()} (10, {share_failed()})", "{{queue_type}}"),
            unit="percentunit",
            limits=Limits(0.1, 0.5),
            alerts=("SharqHandlersFail",),
            console="#/type/${__field.labels.queue_type}",
        ),
    ),
)

OVERVIEW = Dashboard("sharq-overview", "SHARQ / Overview", PROCESSES, (HEALTH, REQUESTS, JOBS))
