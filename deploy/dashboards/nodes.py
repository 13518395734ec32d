"""The processes: routers and shards, who owns what, the links between them, and how full each of them is."""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Query, graph
from deploy.dashboards.promql import OF_CLIENTS, OF_PROCESSES, per_second, quantile

LEGEND = "{{instance}}"

NODES = Dashboard(
    "sharq-nodes",
    "SHARQ / Routers and shards",
    (
        graph(
            "Partitions owned", "Even, up to 15 % above the average.", Query("sharq_shard_partitions", LEGEND)
        ),
        graph(
            "Members seen",
            "All curves at one height: all routers and shards agree.",
            Query("sharq_shard_members", LEGEND),
            Query("sharq_router_members", LEGEND),
        ),
        graph(
            "Ring version",
            "A step is a shard that came or went. All curves at one height within seconds.",
            Query("sharq_shard_ring_version", LEGEND),
            Query("sharq_router_ring_version", LEGEND),
        ),
        graph(
            "Partitions that moved",
            "To a shard. After a step of the ring only; again and again: a shard that comes and goes.",
            Query(per_second("sharq_partitions_taken_total", "instance"), LEGEND),
            unit="ops",
        ),
        graph(
            "Links that are down",
            "Pairs of router and shard. The router asks others for that shard's partitions.",
            Query("sum by (instance) (1 - sharq_router_link_up)", LEGEND),
        ),
        graph(
            "Partitions left to others",
            "By a shard that does not reach their store server. The others answer for them.",
            Query("max by (instance) (sharq_shard_partitions_away)", LEGEND),
        ),
        graph(
            "Links that came up",
            "More than a start explains: they break.",
            Query(per_second("sharq_router_link_connects_total", "shard"), "to {{shard}}"),
            unit="ops",
        ),
        graph(
            "Calls that failed on the way to a shard",
            "By the shard and the error: as a whole, not a single job of them.",
            Query(per_second("sharq_router_link_errors_total", "shard, code"), "{{shard}} {{code}}"),
            unit="ops",
        ),
        graph(
            "Calls in flight",
            "To each shard, and as that shard counts them. Growing: it is full, or it waits for the store.",
            Query("sum by (shard) (sharq_router_link_calls_in_flight)", "to {{shard}}"),
            Query("sharq_shard_calls_in_flight", "at {{instance}}"),
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
            "Connections, of those allowed",
            "Of clients, by router. At 100 % new ones are answered 503 and closed.",
            Query("sharq_router_connections / sharq_router_connections_limit", LEGEND),
            unit="percentunit",
        ),
        graph(
            "Connections refused and ended",
            "Refused: one too many. Ended: no whole request, answer unread, or not HTTP. No files: not accepted.",
            Query(per_second("sharq_router_refused_connections_total", "instance"), "{{instance}} refused"),
            Query(
                per_second("sharq_router_ended_connections_total", "instance, reason"),
                "{{instance}} {{reason}}",
            ),
            Query(per_second("sharq_router_malformed_requests_total", "instance"), "{{instance}} not HTTP"),
            Query(per_second("sharq_router_failed_accepts_total", "instance"), "{{instance}} no files"),
            unit="ops",
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
            "Partitions set aside",
            "Partitions that fail by themselves, as at a key of a wrong type; their jobs stand still.",
            Query("sharq_partitions_set_aside", LEGEND),
        ),
        graph(
            "CPU of each process",
            "A process uses one core: near 1 it is full. Then more processes help, and nothing else.",
            Query(per_second("process_cpu_seconds_total", "instance", OF_PROCESSES), LEGEND),
        ),
        graph(
            "Event loop lag, p99",
            "How late a process wakes up; it is part of every time measured above.",
            Query(quantile(0.99, "sharq_event_loop_lag_seconds", "instance", OF_PROCESSES), LEGEND),
            unit="s",
        ),
        graph(
            "Memory of each process",
            "Jobs are not in it: it grows with connections and with what is in flight.",
            Query(f"process_resident_memory_bytes{{{OF_PROCESSES}}}", LEGEND),
            unit="bytes",
        ),
        graph(
            "Open files, of those allowed",
            "Each connection is one. At 100 % new ones are refused.",
            Query(f"process_open_fds{{{OF_PROCESSES}}} / process_max_fds{{{OF_PROCESSES}}}", LEGEND),
            unit="percentunit",
        ),
        graph(
            "Lines of logs lost",
            "Dropped because the log's reader stood still or its disk was full. None, or the log collector hangs.",
            Query(per_second("sharq_log_lines_lost_total", "instance, log"), "{{instance}} {{log}}"),
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
