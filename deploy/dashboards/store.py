"""The store as the shards see it: whether it answers, how fast, how full it is, and what may cost jobs.

Its own exporter knows more; these are what the service itself goes by.
"""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Query, graph, number
from deploy.dashboards.promql import per_second, quantile, worst

LEGEND = "{{server}}"
CALLS = "sharq_store_call_duration_seconds"

STORE = Dashboard(
    "sharq-store",
    "SHARQ / Store",
    (
        number("Primaries", "That some shard knows.", Query(f"count({worst('sharq_store_up', 'server')})")),
        number(
            "Not reached",
            "Primaries that at least one shard does not reach: their queues stand still there.",
            Query(f"count({worst('sharq_store_up', 'server')}) - sum(min by (server) (sharq_store_up))"),
        ),
        number(
            "Replicas",
            "Connected to the primaries, all together.",
            Query(f"sum({worst('sharq_store_replicas', 'server')})"),
        ),
        number(
            "Settings that may cost jobs",
            "GET /cluster/ names them; docs/store.md says what is looked at.",
            Query(f"sum({worst('sharq_store_notices', 'check')})"),
        ),
        number("Calls, p99", "One pipeline of calls.", Query(quantile(0.99, CALLS)), "s"),
        number(
            "Finished jobs remembered",
            "What makes a repeated finish or enqueue harmless.",
            Query("sum(sharq_finished_remembered)"),
        ),
        graph(
            "Reached",
            "1: every shard reaches it.",
            Query("min by (server) (sharq_store_up)", LEGEND),
        ),
        graph(
            "Time of a call",
            "What the store and the way to it take for one pipeline of calls.",
            Query(quantile(0.5, CALLS), "p50"),
            Query(quantile(0.99, CALLS), "p99"),
            unit="s",
        ),
        graph(
            "Time of a call by shard, p99",
            "One curve above the others: that shard's machine or its way to the store.",
            Query(quantile(0.99, CALLS, "instance"), "{{instance}}"),
            unit="s",
        ),
        graph(
            "Calls by shard",
            "Pipelines; each carries what came together.",
            Query(per_second(f"{CALLS}_count", "instance"), "{{instance}}"),
            unit="ops",
        ),
        graph(
            "Failed calls",
            "not_done: refused, and answered 503 or sent again. perhaps_done: no answer came, 504.",
            Query(per_second("sharq_store_failures_total", "server, outcome"), "{{server}} {{outcome}}"),
            unit="ops",
        ),
        graph(
            "Calls sent again",
            "Because their slot is on another server: a failover, or slots that move.",
            Query(per_second("sharq_store_resent_calls_total", "instance"), "{{instance}}"),
            unit="ops",
        ),
        graph(
            "Connections opened",
            "Beside starts of shards: it breaks them.",
            Query(per_second("sharq_store_connects_total", "server"), LEGEND),
            unit="ops",
        ),
        graph(
            "Memory",
            "At the limit enqueue is answered 507; everything else goes on.",
            Query(worst("sharq_store_memory_bytes", "server"), LEGEND),
            Query(f"{worst('sharq_store_memory_limit_bytes', 'server')} > 0", "limit of {{server}}"),
            unit="bytes",
        ),
        graph(
            "Replicas by primary",
            "With `replicated` or `synced` none is too few: nothing new is taken and nothing leased (503).",
            Query(worst("sharq_store_replicas", "server"), LEGEND),
        ),
        graph(
            "Promises kept",
            "0: no replica confirms what this primary does, so it refuses new work.",
            Query("min by (server) (sharq_store_promises_kept)", LEGEND),
        ),
        graph(
            "Clocks",
            "Ahead of the shards' own. Servers far from each other: a failover between them is a step of the clock.",
            Query("avg by (server) (sharq_store_clock_difference_seconds)", LEGEND),
            unit="s",
        ),
        graph(
            "Steps of the clock",
            "That shards noticed in ten minutes; the queues go on at their pace.",
            Query(
                "max by (server, direction) (increase(sharq_store_clock_steps_total[10m]))",
                "{{server}} {{direction}}",
            ),
        ),
        graph(
            "What may cost jobs",
            "On how many primaries a check is off.",
            Query(worst("sharq_store_notices", "check"), "{{check}}"),
        ),
        graph(
            "Lost partitions",
            "Refused, because the store has lost their data: docs/runbook.md, SharqDataLost.",
            Query("max(sharq_store_lost_partitions)", "lost"),
            Query("sum(sharq_store_data_rollbacks_total)", "older copies seen"),
        ),
        graph(
            "Forgotten before a minute",
            "More finished jobs than may be remembered: a late repetition may be done twice.",
            Query(per_second("sharq_finished_forgotten_early_total", "instance"), "{{instance}}"),
            unit="ops",
        ),
    ),
)
