"""Defines the dashboard of routers and shards: ownership, links and the load of each process."""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Limits, Query, Row, graph
from deploy.dashboards.promql import (
    OF_CLIENTS,
    OF_PROCESSES,
    by,
    least,
    per_second,
    quantile,
    select,
    total,
    worst,
)
from deploy.dashboards.variables import PROCESSES

LEGEND = "{{instance}}"
PROCESS_LEGEND = "{{instance}} {{process}}"
"""The workers of one sharq-server are apart by their label `process`, which other processes do not have."""

RING_AND_PARTITIONS = Row(
    "Ring and partitions",
    (
        graph(
            "Partitions owned",
            "Partitions of each shard. At most 15 % above the average.",
            Query(select("sharq_shard_partitions"), LEGEND),
            console="#/ring",
        ),
        graph(
            "Members seen",
            "Members that each process knows. Equal curves mean that all routers and shards agree.",
            Query(select("sharq_shard_members"), LEGEND),
            Query(select("sharq_router_members"), LEGEND),
            alerts=("SharqMembersDisagree",),
            console="#/ring",
        ),
        graph(
            "Ring version",
            "Each step is a shard that joined or left. All curves reach the same value within seconds.",
            Query(select("sharq_shard_ring_version"), LEGEND),
            Query(select("sharq_router_ring_version"), LEGEND),
            alerts=("SharqMembersDisagree",),
            console="#/ring",
        ),
        graph(
            "Partitions that moved",
            "Partitions that a shard took over. Expected only after a ring change; repeated moves: an unstable shard.",
            Query(per_second("sharq_partitions_taken_total", "instance"), LEGEND),
            unit="ops",
        ),
        graph(
            "Partitions left to others",
            "Partitions of a shard that cannot reach their store server. Other shards serve them.",
            Query(worst("sharq_shard_partitions_away", "instance"), LEGEND),
            limits=Limits(warn=1),
            alerts=("SharqShardAway",),
            console="#/ring",
        ),
        graph(
            "Partitions set aside",
            "Partitions with an error of their own, such as a key of the wrong type. Their jobs are not served.",
            Query(select("sharq_partitions_set_aside"), LEGEND),
            limits=Limits(bad=1),
            alerts=("SharqPartitionSetAside",),
            console="#/ring",
        ),
        graph(
            "Versions",
            "More than one version means that an upgrade is in progress.",
            Query(f"count {by('version')} ({select('sharq_router_build_info')})", "router {{version}}"),
            Query(f"count {by('version')} ({select('sharq_shard_build_info')})", "shard {{version}}"),
            alerts=("SharqVersionsDiffer",),
        ),
    ),
)

NAMED_CAPS = Row(
    "Named caps",
    (
        graph(
            "Slots of named caps",
            "Slots that a shard reserved, and of those used, given back, or lost because a call came after the grace. "
            "Lost slots mean a slow store or a busy machine: the caps deliver less than they may.",
            Query(per_second("sharq_cap_grants_total", "outcome"), "{{outcome}}"),
            unit="ops",
        ),
        graph(
            "Questions to ledgers",
            "Calls that asked for slots. There are none while no worker waits for a queue with caps.",
            Query(per_second("sharq_cap_asks_total", "instance"), LEGEND),
            Query(per_second("sharq_cap_failures_total", "instance"), f"{LEGEND} failed"),
            unit="ops",
        ),
        graph(
            "Sets of caps that queues wait for",
            "By shard.",
            Query(select("sharq_cap_sets_waiting"), LEGEND),
        ),
    ),
)

LINKS = Row(
    "Links",
    (
        graph(
            "Links that are down",
            "Router-shard pairs without a link. The router sends calls for that shard's partitions to other shards.",
            Query(f"sum {by('instance')} (1 - {select('sharq_router_link_up')})", LEGEND),
            limits=Limits(warn=1),
            alerts=("SharqLinkDown",),
            console="#/ring",
        ),
        graph(
            "Links that came up",
            "New links. A rate that starts of processes do not explain means that links break.",
            Query(per_second("sharq_router_link_connects_total", "shard"), "to {{shard}}"),
            unit="ops",
        ),
        graph(
            "Links of routers",
            "Links of each shard. Expected: the number of routers.",
            Query(select("sharq_shard_links"), LEGEND),
            limits=Limits(warn=1, is_low_bad=True),
            alerts=("SharqShardWithoutLinks",),
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
            Query(total("sharq_router_link_calls_in_flight", "shard"), "to {{shard}}"),
            Query(select("sharq_shard_calls_in_flight"), "at {{instance}}"),
        ),
    ),
)

ROUTERS_AND_THEIR_CONNECTIONS = Row(
    "Routers and their connections",
    (
        graph(
            "Requests by router",
            "A router without requests is not in the load balancer's rotation.",
            Query(per_second("sharq_router_requests_total", "instance", OF_CLIENTS), LEGEND),
            unit="reqps",
        ),
        graph(
            "Requests in flight",
            "Requests without an answer yet, except waiting dequeues.",
            Query(select("sharq_router_in_flight_requests"), LEGEND),
        ),
        graph(
            "Waiting dequeues",
            "Long polls of idle workers.",
            Query(select("sharq_router_waiting_dequeues"), LEGEND),
            alerts=("SharqJobsAreLate", "SharqJobsStandStill"),
        ),
        graph(
            "Time to an answer by router, p99",
            "If one curve is high, look at that machine; if all are, look at the store and the shards.",
            Query(quantile(0.99, "sharq_router_request_duration_seconds", "instance", OF_CLIENTS), LEGEND),
            unit="s",
            limits=Limits(0.5),
            alerts=("SharqRequestsAreSlow", "SharqRequestsFailSlowly"),
        ),
        graph(
            "Connections, share of the limit",
            "Client connections of each router. At 100 %, new connections get a 503 and are closed.",
            Query(
                f"{select('sharq_router_connections')} / {select('sharq_router_connections_limit')}", LEGEND
            ),
            unit="percentunit",
            limits=Limits(0.8, 0.95),
            alerts=("SharqConnectionsRunOut", "SharqConnectionsRefused"),
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
            alerts=("SharqConnectionsRefused",),
        ),
    ),
)

SHARDS_AND_THEIR_TIMERS = Row(
    "Shards and their timers",
    (
        graph(
            "Leased by shard",
            "Jobs leased to workers.",
            Query(per_second("sharq_ready_delay_seconds_count", "instance"), LEGEND),
            unit="ops",
            alerts=("SharqRequestsFailSlowly",),
        ),
        graph(
            "Reaper lag",
            "How long the earliest timer is overdue. Jobs of ended leases are requeued that late.",
            Query(select("sharq_reaper_lag_seconds"), LEGEND),
            unit="s",
            limits=Limits(10, 60),
            alerts=("SharqReaperLags",),
        ),
        graph(
            "Windows known ahead",
            "Time for which the openings of all windows are known, two days as a rule. At 0 a window closes.",
            Query(least("sharq_calendar_known_seconds", "instance"), LEGEND),
            unit="s",
            limits=Limits(86_400, 3_600, is_low_bad=True),
            alerts=("SharqWindowsAreNotExtended",),
            console="#/windows",
        ),
        graph(
            "Schedules that are late",
            "How long the earliest slot is overdue. Each shard fires the schedules of its own partitions.",
            Query(worst("sharq_schedule_lag_seconds", "instance"), LEGEND),
            unit="s",
            limits=Limits(30, 300),
            alerts=("SharqSchedulesAreLate",),
        ),
        graph(
            "Schedules fired",
            "Slots per second, by the outcome of the enqueue. failed: the call failed, and is tried again.",
            Query(per_second("sharq_schedule_firings_total", "outcome"), "{{outcome}}"),
            unit="ops",
            alerts=("SharqSchedulesAreLate",),
        ),
    ),
)

EACH_PROCESS = Row(
    "Processes",
    (
        graph(
            "CPU of each process",
            "In cores. A process uses at most one core; near 1, add processes.",
            Query(per_second("process_cpu_seconds_total", "instance, process", OF_PROCESSES), PROCESS_LEGEND),
            limits=Limits(0.7, 0.95),
            alerts=("SharqProcessIsFull",),
        ),
        graph(
            "Event loop lag, p99",
            "Delay of the event loop's wake-ups. It is part of every duration above.",
            Query(
                quantile(0.99, "sharq_event_loop_lag_seconds", "instance, process", OF_PROCESSES),
                PROCESS_LEGEND,
            ),
            unit="s",
            limits=Limits(0.1, 0.5),
            alerts=("SharqProcessIsFull",),
        ),
        graph(
            "Memory of each process",
            "Grows with connections and calls in flight, not with queued jobs.",
            Query(select("process_resident_memory_bytes", OF_PROCESSES), PROCESS_LEGEND),
            unit="bytes",
        ),
        graph(
            "Open files, share of the limit",
            "Each connection takes one file descriptor. At 100 %, new connections are refused.",
            Query(
                f"{select('process_open_fds', OF_PROCESSES)} / {select('process_max_fds', OF_PROCESSES)}",
                LEGEND,
            ),
            unit="percentunit",
            limits=Limits(0.8, 0.95),
            alerts=("SharqFilesRunOut",),
        ),
        graph(
            "Log lines lost",
            "Lines dropped because the log's reader stalled or its disk was full. Expected: none.",
            Query(per_second("sharq_log_lines_lost_total", "instance, log"), "{{instance}} {{log}}"),
            unit="ops",
            alerts=("SharqLogLinesLost",),
        ),
        graph(
            "Certificates",
            "Time until a certificate or an authority ends, by its use. Empty without TLS.",
            Query(f"{least('sharq_certificate_expiry_seconds', 'use')} - time()", "{{use}}"),
            unit="s",
            limits=Limits(604_800, 86_400, is_low_bad=True),
            alerts=("SharqCertificateExpires",),
        ),
    ),
)

NODES = Dashboard(
    "sharq-nodes",
    "SHARQ / Routers and shards",
    PROCESSES,
    (
        RING_AND_PARTITIONS,
        LINKS,
        NAMED_CAPS,
        ROUTERS_AND_THEIR_CONNECTIONS,
        SHARDS_AND_THEIR_TIMERS,
        EACH_PROCESS,
    ),
)
