"""The idioms of the queries. Each gives the text of a PromQL expression.

Windows are Grafana's `$__rate_interval`: as short as the scrapes and the zoom allow.
"""

from __future__ import annotations

WINDOW = "$__rate_interval"

OF_CLIENTS = 'operation!~"healthz|readyz|prometheus"'
"""Requests, probes and scrapes left out."""

OF_TYPE = 'queue_type=~"$type"'
"""What the dashboard's choice of queue types leaves."""

OF_PROCESSES = 'job=~"sharq-router|sharq-shard"'
"""Ours, where one Prometheus scrapes others, too."""

BROKEN = "unavailable|outcome_unknown|internal_error|overloaded|store_full"
"""Results that are the service's fault; the others are answers."""


def per_second(counter: str, by: str = "", where: str = "") -> str:
    """How fast a counter grows.

    Args:
        by: labels to keep; none for one sum.
        where: label matchers.
    """
    return f"sum{_by(by)} (rate({counter}{_where(where)}[{WINDOW}]))"


def total(gauge: str, by: str = "", where: str = "") -> str:
    """The sum of a gauge over processes."""
    return f"sum{_by(by)} ({gauge}{_where(where)})"


def worst(gauge: str, by: str) -> str:
    """A gauge that every shard tells of the same thing: the highest of them, for one may not have heard of it yet."""
    return f"max by ({by}) ({gauge})"


def quantile(share: float, histogram: str, by: str = "", where: str = "") -> str:
    """What this share of the observations stays below."""
    buckets = per_second(f"{histogram}_bucket", f"{by}, le" if by else "le", where)
    return f"histogram_quantile({share}, {buckets})"


def growth(store_counter: str, by: str = "", where: str = "") -> str:
    """How fast a counter grows that is kept in the store.

    Each shard tells of the partitions that it owns, and these move: only the sum over shards is steady, so it comes
    first. A scrape in mid-move may show a partition twice, or not at all; that is not shown as less than nothing.
    """
    return f"clamp_min(deriv({total(store_counter, by, where)}[2m:15s]), 0)"


def share_broken() -> str:
    """Share of requests that failed by the service's fault, 0 to 1; nothing without requests."""
    counter = "sharq_router_requests_total"
    good = per_second(counter, where=f'{OF_CLIENTS}, result!~"{BROKEN}"')
    return f"1 - {good} / {per_second(counter, where=OF_CLIENTS)}"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _where(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""
