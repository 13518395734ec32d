"""Defines the dashboard of the store as the shards see it: reachability, latency, memory and risks to jobs.

The store's own exporter has more metrics.
"""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Limits, Query, Row, graph, number
from deploy.dashboards.promql import by, least, per_second, quantile, select, total, worst
from deploy.dashboards.variables import PROCESSES

LEGEND = "{{server}}"
CALLS = "sharq_store_call_duration_seconds"

HEALTH = Row(
    "Health",
    (
        number(
            "Primaries",
            "Primaries that any shard knows.",
            Query(f"count {by()} ({worst('sharq_store_up', 'server')})"),
            limits=Limits(bad=1, is_low_bad=True),
            alerts=("SharqStoreAway",),
            console="#/ring",
        ),
        number(
            "Not reached",
            "Primaries that at least one shard cannot reach. That shard does not serve their queues.",
            Query(
                f"count {by()} ({worst('sharq_store_up', 'server')}) - sum {by()} ({least('sharq_store_up', 'server')})"
            ),
            limits=Limits(bad=1),
            alerts=("SharqStoreAway",),
            console="#/ring",
        ),
        number(
            "Replicas",
            "Replicas connected to all primaries.",
            Query(f"sum {by()} ({worst('sharq_store_replicas', 'server')})"),
            alerts=("SharqReplicaGone",),
        ),
        number(
            "Settings that may cost jobs",
            "GET /cluster/ lists them; docs/store.md explains the checks.",
            Query(f"sum {by()} ({worst('sharq_store_notices', 'check')})"),
            limits=Limits(warn=1),
            alerts=("SharqStoreMayLoseJobs",),
            console="#/overview",
        ),
        number(
            "Calls, p99",
            "Time of one pipeline of calls.",
            Query(quantile(0.99, CALLS)),
            "s",
            limits=Limits(0.05, 0.5),
            alerts=("SharqRequestsAreSlow",),
        ),
        number(
            "Finished jobs remembered",
            "Remembered so that a repeated finish or enqueue is harmless.",
            Query(total("sharq_finished_remembered")),
        ),
    ),
)

CALLS_OF_SHARDS = Row(
    "Calls",
    (
        graph(
            "Reached",
            "1 means that every shard reaches the server.",
            Query(least("sharq_store_up", "server"), LEGEND),
            limits=Limits(bad=1, is_low_bad=True),
            alerts=("SharqStoreAway", "SharqShardAway"),
        ),
        graph(
            "Time of a call",
            "Time of one pipeline of calls, including the network.",
            Query(quantile(0.5, CALLS), "p50"),
            Query(quantile(0.99, CALLS), "p99"),
            unit="s",
            limits=Limits(0.05, 0.5),
            alerts=("SharqRequestsAreSlow",),
        ),
        graph(
            "Time of a call by shard, p99",
            "If one curve is high, look at that shard's machine and its network.",
            Query(quantile(0.99, CALLS, "instance"), "{{instance}}"),
            unit="s",
            limits=Limits(0.05, 0.5),
            alerts=("SharqRequestsAreSlow",),
        ),
        graph(
            "Calls by shard",
            "Pipelines per second; each carries the calls that were collected together.",
            Query(per_second(f"{CALLS}_count", "instance"), "{{instance}}"),
            unit="ops",
        ),
        graph(
            "Failed calls",
            "not_done: refused, then retried or answered with 503. perhaps_done: no answer, 504.",
            Query(per_second("sharq_store_failures_total", "server, outcome"), "{{server}} {{outcome}}"),
            unit="ops",
            alerts=("SharqRequestsFailFast", "SharqStoreAway"),
        ),
        graph(
            "Calls sent again",
            "Calls whose slot had moved to another server, by a failover or by resharding.",
            Query(per_second("sharq_store_resent_calls_total", "instance"), "{{instance}}"),
            unit="ops",
        ),
        graph(
            "Connections opened",
            "Expected when a shard starts; otherwise connections break.",
            Query(per_second("sharq_store_connects_total", "server"), LEGEND),
            unit="ops",
        ),
    ),
)

SAFETY_OF_JOBS = Row(
    "Safety of jobs",
    (
        graph(
            "Writes refused",
            "1 means that the store cannot write to its disk, and refuses every call that changes something.",
            Query(worst("sharq_store_writes_refused", "instance"), "{{instance}}"),
            limits=Limits(bad=1),
            alerts=("SharqStoreCannotWrite",),
        ),
        graph(
            "Replicas by primary",
            "With `replicated` or `synced`, a primary without replicas refuses new jobs and leases (503).",
            Query(worst("sharq_store_replicas", "server"), LEGEND),
            alerts=("SharqReplicaGone", "SharqPromisesNotKept"),
        ),
        graph(
            "Promises kept",
            "0 means that no replica confirms this primary's writes, so new work is refused.",
            Query(least("sharq_store_promises_kept", "server"), LEGEND),
            limits=Limits(bad=1, is_low_bad=True),
            alerts=("SharqPromisesNotKept",),
        ),
        graph(
            "Risks to jobs",
            "Number of primaries that fail a check.",
            Query(worst("sharq_store_notices", "check"), "{{check}}"),
            limits=Limits(warn=1),
            alerts=("SharqStoreMayLoseJobs", "SharqStoreClockStepped"),
        ),
        graph(
            "Lost partitions",
            "Partitions that are refused because the store has lost their data.",
            Query(worst("sharq_store_lost_partitions"), "lost"),
            Query(total("sharq_store_data_rollbacks_total"), "older copies seen"),
            limits=Limits(bad=1),
            alerts=("SharqDataLost",),
        ),
        graph(
            "Clocks",
            "Lead over the shards' clocks. If servers differ, a failover between them is a clock step.",
            Query(f"avg {by('server')} ({select('sharq_store_clock_difference_seconds')})", LEGEND),
            unit="s",
            alerts=("SharqStoreClockStepped",),
        ),
        graph(
            "Clock steps",
            "Steps that shards noticed in ten minutes. Queues keep their rates.",
            Query(
                f"max {by('server, direction')} (increase({select('sharq_store_clock_steps_total')}[10m]))",
                "{{server}} {{direction}}",
            ),
            limits=Limits(warn=1),
            alerts=("SharqStoreClockStepped",),
        ),
    ),
)

MEMORY = Row(
    "Memory",
    (
        graph(
            "Memory",
            "At the limit, enqueue returns 507; all other operations work.",
            Query(worst("sharq_store_memory_bytes", "server"), LEGEND),
            Query(f"{worst('sharq_store_memory_limit_bytes', 'server')} > 0", "limit of {{server}}"),
            unit="bytes",
            alerts=("SharqStoreFillsUp",),
        ),
        graph(
            "Results of finished jobs",
            "Memory that they take (results_bytes is the most), and results dropped early to make room for others.",
            Query(total("sharq_result_bytes"), "bytes"),
            unit="bytes",
        ),
        graph(
            "Results without room",
            "Dropped before their time, or not kept at all. Raise results_bytes, or send shorter results.",
            Query(per_second("sharq_results_dropped_total", "instance"), "dropped {{instance}}"),
            Query(
                per_second("sharq_job_results_total", "instance", 'outcome="not_kept"'),
                "not kept {{instance}}",
            ),
            unit="ops",
        ),
        graph(
            "Finished jobs forgotten early",
            "Forgotten within a minute, because of too many finished jobs. A late repeat may run twice.",
            Query(per_second("sharq_finished_forgotten_early_total", "instance"), "{{instance}}"),
            unit="ops",
            alerts=("SharqForgetsEarly",),
        ),
    ),
)

STORE = Dashboard(
    "sharq-store", "SHARQ / Store", PROCESSES, (HEALTH, CALLS_OF_SHARDS, SAFETY_OF_JOBS, MEMORY)
)
