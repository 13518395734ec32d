"""Builds PromQL expressions for the dashboards.

Every selector is limited to the clusters, namespaces and instances that the reader has selected, and every aggregation
keeps clusters and namespaces apart, so that one Prometheus may hold several clusters. Windows are Grafana's
`$__rate_interval`, which is as short as the scrape interval and the zoom allow.
"""

from __future__ import annotations

WINDOW = "$__rate_interval"

SCOPE = 'cluster=~"$cluster", namespace=~"$namespace", instance=~"$instance"'
"""Matches what the reader has selected. Without a selection it matches series without these labels, too."""

APART = "cluster, namespace"
"""The labels that tell clusters apart."""

OF_CLIENTS = 'operation!~"healthz|readyz|prometheus"'
"""Matches client requests, without probes and scrapes."""

OF_TYPE = 'queue_type=~"$type"'
"""Matches the selected queue types."""

OF_ROUTERS = 'job=~"sharq-router|sharq-server"'
OF_SHARDS = 'job=~"sharq-shard|sharq-server"'

OF_PROCESSES = 'job=~"sharq-router|sharq-shard|sharq-server"'
"""Matches routers and shards, because one Prometheus may scrape other services, too."""

BROKEN = "unavailable|outcome_unknown|internal_error|overloaded|store_full"
"""Results that count as failures of the service."""


def select(metric: str, where: str = "") -> str:
    """Return the selector of a metric.

    Args:
        where: label matchers besides those of the scope.
    """
    return f"{metric}{{{SCOPE}{', ' if where else ''}{where}}}"


def by(labels: str = "") -> str:
    """Return the clause that keeps these labels, and clusters apart."""
    return f"by ({APART}, {labels})" if labels else f"by ({APART})"


def per_second(counter: str, labels: str = "", where: str = "") -> str:
    """Return the rate of a counter per second.

    Args:
        labels: labels to keep; none for one sum of each cluster.
        where: label matchers.
    """
    return f"sum {by(labels)} (rate({select(counter, where)}[{WINDOW}]))"


def total(gauge: str, labels: str = "", where: str = "") -> str:
    """Return the sum of a gauge over processes."""
    return f"sum {by(labels)} ({select(gauge, where)})"


def worst(gauge: str, labels: str = "", where: str = "") -> str:
    """Return the maximum of a gauge that every shard exports for the same object; some shards may lag behind."""
    return f"max {by(labels)} ({select(gauge, where)})"


def least(gauge: str, labels: str = "", where: str = "") -> str:
    """Return the minimum of a gauge."""
    return f"min {by(labels)} ({select(gauge, where)})"


def quantile(share: float, histogram: str, labels: str = "", where: str = "") -> str:
    """Return the quantile `share` (0 to 1) of a histogram."""
    buckets = per_second(f"{histogram}_bucket", f"{labels}, le" if labels else "le", where)
    return f"histogram_quantile({share}, {buckets})"


def growth(store_counter: str, labels: str = "", where: str = "") -> str:
    """Return the rate per second of a counter that is kept in the store.

    Each shard exports the counts of the partitions that it owns, and partitions move. Only the sum over shards is
    steady, so it is built before the rate. A scrape during a move may count a partition twice or not at all; negative
    rates are clamped to 0.
    """
    return f"clamp_min(deriv({total(store_counter, labels, where)}[2m:15s]), 0)"


def share_broken() -> str:
    """Return the share of requests that the service failed, 0 to 1; no value without requests."""
    counter = "sharq_router_requests_total"
    good = per_second(counter, where=f'{OF_CLIENTS}, result!~"{BROKEN}"')
    every = per_second(counter, where=OF_CLIENTS)
    return f"1 - ({good} or {every} * 0) / {every}"


def share_delivered(where: str = "") -> str:
    """Return the jobs that sampled queues gave, as a share of what their rates and backlogs allowed, by type."""
    delivered = per_second("sharq_sampled_delivered_jobs_total", "queue_type", where)
    return f"{delivered} / {per_second('sharq_sampled_promised_jobs_total', 'queue_type', where)}"


def share_failed(where: str = "", cause: str = "") -> str:
    """Return the share of leases whose attempt failed, 0 to 1, by type.

    Args:
        where: label matchers.
        cause: `released` or `timed_out`; both if empty.
    """
    matchers = ", ".join(filter(None, [where, f'cause="{cause}"' if cause else ""]))
    failed = per_second("sharq_failed_attempts_total", "queue_type", matchers)
    return f"{failed} / {per_second('sharq_lease_attempts_count', 'queue_type', where)}"
