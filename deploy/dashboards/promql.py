"""Builds PromQL expressions for the dashboards.

Windows are Grafana's `$__rate_interval`, which is as short as the scrape interval and the zoom allow.
"""

from __future__ import annotations

WINDOW = "$__rate_interval"

OF_CLIENTS = 'operation!~"healthz|readyz|prometheus"'
"""Matches client requests, without probes and scrapes."""

OF_TYPE = 'queue_type=~"$type"'
"""Matches the selected queue types."""

OF_PROCESSES = 'job=~"sharq-router|sharq-shard"'
"""Matches routers and shards, because one Prometheus may scrape other services, too."""

BROKEN = "unavailable|outcome_unknown|internal_error|overloaded|store_full"
"""Results that count as failures of the service."""


def per_second(counter: str, by: str = "", where: str = "") -> str:
    """Return the rate of a counter per second.

    Args:
        by: labels to keep; none for one sum.
        where: label matchers.
    """
    return f"sum{_by(by)} (rate({counter}{_where(where)}[{WINDOW}]))"


def total(gauge: str, by: str = "", where: str = "") -> str:
    """Return the sum of a gauge over processes."""
    return f"sum{_by(by)} ({gauge}{_where(where)})"


def worst(gauge: str, by: str) -> str:
    """Return the maximum of a gauge that every shard exports for the same object; some shards may lag behind."""
    return f"max by ({by}) ({gauge})"


def quantile(share: float, histogram: str, by: str = "", where: str = "") -> str:
    """Return the quantile `share` (0 to 1) of a histogram."""
    buckets = per_second(f"{histogram}_bucket", f"{by}, le" if by else "le", where)
    return f"histogram_quantile({share}, {buckets})"


def growth(store_counter: str, by: str = "", where: str = "") -> str:
    """Return the rate per second of a counter that is kept in the store.

    Each shard exports the counts of the partitions that it owns, and partitions move. Only the sum over shards is
    steady, so it is built before the rate. A scrape during a move may count a partition twice or not at all; negative
    rates are clamped to 0.
    """
    return f"clamp_min(deriv({total(store_counter, by, where)}[2m:15s]), 0)"


def share_broken() -> str:
    """Return the share of requests that the service failed, 0 to 1; no value without requests."""
    counter = "sharq_router_requests_total"
    good = per_second(counter, where=f'{OF_CLIENTS}, result!~"{BROKEN}"')
    return f"1 - {good} / {per_second(counter, where=OF_CLIENTS)}"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _where(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""
