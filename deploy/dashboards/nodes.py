"""The processes: routers and shards, who owns what, and what the shards see of the store."""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Query, graph
from deploy.dashboards.promql import OF_CLIENTS, per_second, quantile

LEGEND = "{{instance}}"

NODES = Dashboard(
    "sharq-nodes",
    "SHARQ / Shards and store",
    (
        graph(
            "Partitions owned", "Even, up to 15 % above the average.", Query("sharq_shard_partitions", LEGEND)
        ),
        graph(
            "Members seen",
            "All curves at one height: all shards agree.",
            Query("sharq_shard_members", LEGEND),
        ),
        graph("Links of routers", "As many as there are routers.", Query("sharq_shard_links", LEGEND)),
        graph(
            "Requests by router",
            "A router that gets none is out of turn.",
            Query(per_second("sharq_router_requests_total", "instance", OF_CLIENTS), LEGEND),
            unit="reqps",
        ),
        graph(
            "Requests in flight",
            "Unanswered, waiting dequeues left out.",
            Query("sharq_router_in_flight_requests", LEGEND),
        ),
        graph(
            "Waiting dequeues",
            "Long polls: workers with nothing to do.",
            Query("sharq_router_waiting_dequeues", LEGEND),
        ),
        graph(
            "Time to an answer by router, p99",
            "One curve above the others: that machine. All: the store or the shards.",
            Query(quantile(0.99, "sharq_router_request_duration_seconds", "instance", OF_CLIENTS), LEGEND),
            unit="s",
        ),
        graph(
            "Leased by shard",
            "Jobs handed out.",
            Query(per_second("sharq_ready_delay_seconds_count", "instance"), LEGEND),
            unit="ops",
        ),
        graph(
            "Reaper lag",
            "How long the earliest timer is overdue: ended leases come back that late.",
            Query("sharq_reaper_lag_seconds", LEGEND),
            unit="s",
        ),
        graph(
            "Finished jobs remembered",
            "What makes a repeated finish or enqueue harmless.",
            Query("sum(sharq_finished_remembered)", "remembered"),
        ),
        graph(
            "Forgotten before a minute",
            "More finished jobs than may be remembered: a late repetition may be done twice.",
            Query(per_second("sharq_finished_forgotten_early_total", "instance"), LEGEND),
            unit="ops",
        ),
        graph(
            "Versions",
            "More than one is an upgrade under way.",
            Query("count by (version) (sharq_router_build_info)", "router {{version}}"),
            Query("count by (version) (sharq_shard_build_info)", "shard {{version}}"),
        ),
    ),
)
