"""Defines the dashboard of routers and shards: ownership, links and the load of each process."""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Query, graph
from deploy.dashboards.promql import OF_CLIENTS, OF_PROCESSES, per_second, quantile

LEGEND = "{{instance}}"

NODES = Dashboard(
    "sharq-nodes",
    "SHARQ / Routers and shards",
    (
        graph(
            "Partitions owned",
            "Partitions of each shard. At most 15 % above the average.",
            Query("sharq_shard_partitions", LEGEND),
        ),
        graph(
            "Members seen",
            "Members that each process knows. Equal curves mean that all routers and shards agree.",
            Query("sharq_shard_members", LEGEND),
            Query("sharq_router_members", LEGEND),
        ),
        graph(
            "Ring version",
            "Each step is a shard that joined or left. All curves reach the same value within seconds.",
            Query("sharq_shard_ring_version", LEGEND),
            Query("sharq_router_ring_version", LEGEND),
        ),
        graph(
            "Partitions that moved",
            "Partitions that a shard took over. Expected only after a ring change; repeated moves: an unstable shard.",
            Query(per_second("sharq_partitions_taken_total", "instance"), LEGEND),
            unit="ops",
        ),
        graph(
            "Links that are down",
            "Router-shard pairs without a link. The router sends calls for that shard's partitions to other shards.",
            Query("sum by (instance) (1 - sharq_router_link_up)", LEGEND),
        ),
        graph(
            "Partitions left to others",
            "Partitions of a shard that cannot reach their store server. Other shards serve them.",
            Query("max by (instance) (sharq_shard_partitions_away)", LEGEND),
        ),
        graph(
            "Links that came up",
            "New links. A rate that starts of processes do not explain means that links break.",
            Query(per_second("sharq_router_link_connects_total", "shard"), "to {{shard}}"),
            unit="ops",
        ),
        graph(
            "Calls that failed on the way to a shard",
            "By shard and error. Only calls that failed as a whole, not single jobs in a bulk call.",
            Query(per_second("sharq_router_link_errors_total", "shard, code"), "{{shard}} {{code}}"),
            unit="ops",
        ),
        graph(
            "Calls in flight",
            "As routers and shards count them. Growth means that the shard is saturated or waits for the store.",
            Query("sum by (shard) (sharq_router_link_calls_in_flight)", "to {{shard}}"),
            Query("sharq_shard_calls_in_flight", "at {{instance}}"),
        ),
        graph(
            "Links of routers",
            "Links of each shard. Expected: the number of routers.",
            Query("sharq_shard_links", LEGEND),
        ),
        graph(
            "Requests by router",
            "A router without requests is not in the load balancer's rotation.",
            Query(per_second("sharq_router_requests_total", "instance", OF_CLIENTS), LEGEND),
            unit="reqps",
        ),
        graph(
            "Requests in flight",
            "Requests without an answer yet, except waiting dequeues.",
            Query("sharq_router_in_flight_requests", LEGEND),
        ),
        graph(
            "Waiting dequeues",
            "Long polls of idle workers.",
            Query("sharq_router_waiting_dequeues", LEGEND),
        ),
        graph(
            "Connections, share of the limit",
            "Client connections of each router. At 100 %, new connections get a 503 and are closed.",
            Query("sharq_router_connections / sharq_router_connections_limit", LEGEND),
            unit="percentunit",
        ),
        graph(
            "Connections refused and ended",
            "Refused at the limit; ended (slow request, unread answer, not HTTP); not accepted without free files.",
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
            "If one curve is high, look at that machine; if all are, look at the store and the shards.",
            Query(quantile(0.99, "sharq_router_request_duration_seconds", "instance", OF_CLIENTS), LEGEND),
            unit="s",
        ),
        graph(
            "Leased by shard",
            "Jobs leased to workers.",
            Query(per_second("sharq_ready_delay_seconds_count", "instance"), LEGEND),
            unit="ops",
        ),
        graph(
            "Reaper lag",
            "How long the earliest timer is overdue. Jobs of ended leases are requeued that late.",
            Query("sharq_reaper_lag_seconds", LEGEND),
            unit="s",
        ),
        graph(
            "Windows known ahead",
            "Time for which the openings of all windows are known, two days as a rule. At 0 a window closes.",
            Query("min by (instance) (sharq_calendar_known_seconds)", LEGEND),
            unit="s",
        ),
        graph(
            "Schedules that are late",
            "How long the earliest slot is overdue. Each shard fires the schedules of its own partitions.",
            Query("max by (instance) (sharq_schedule_lag_seconds)", LEGEND),
            unit="s",
        ),
        graph(
            "Schedules fired",
            "Slots per second, by the outcome of the enqueue. failed: the call failed, and is tried again.",
            Query(per_second("sharq_schedule_firings_total", "outcome"), "{{outcome}}"),
            unit="ops",
        ),
        graph(
            "Partitions set aside",
            "Partitions with an error of their own, such as a key of the wrong type. Their jobs are not served.",
            Query("sharq_partitions_set_aside", LEGEND),
        ),
        graph(
            "CPU of each process",
            "In cores. A process uses at most one core; near 1, add processes.",
            Query(per_second("process_cpu_seconds_total", "instance", OF_PROCESSES), LEGEND),
        ),
        graph(
            "Event loop lag, p99",
            "Delay of the event loop's wake-ups. It is part of every duration above.",
            Query(quantile(0.99, "sharq_event_loop_lag_seconds", "instance", OF_PROCESSES), LEGEND),
            unit="s",
        ),
        graph(
            "Memory of each process",
            "Grows with connections and calls in flight, not with queued jobs.",
            Query(f"process_resident_memory_bytes{{{OF_PROCESSES}}}", LEGEND),
            unit="bytes",
        ),
        graph(
            "Open files, share of the limit",
            "Each connection takes one file descriptor. At 100 %, new connections are refused.",
            Query(f"process_open_fds{{{OF_PROCESSES}}} / process_max_fds{{{OF_PROCESSES}}}", LEGEND),
            unit="percentunit",
        ),
        graph(
            "Log lines lost",
            "Lines dropped because the log's reader stalled or its disk was full. Expected: none.",
            Query(per_second("sharq_log_lines_lost_total", "instance, log"), "{{instance}} {{log}}"),
            unit="ops",
        ),
        graph(
            "Certificates",
            "Time until a certificate or an authority ends, by its use. Empty without TLS.",
            Query("min by (use) (sharq_certificate_expiry_seconds) - time()", "{{use}}"),
            unit="s",
        ),
        graph(
            "Versions",
            "More than one version means that an upgrade is in progress.",
            Query("count by (version) (sharq_router_build_info)", "router {{version}}"),
            Query("count by (version) (sharq_shard_build_info)", "shard {{version}}"),
        ),
    ),
)
