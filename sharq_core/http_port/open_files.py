"""Bounds the connections of a port by the limit on the process's open files.

Each connection is an open file. If connections took all of them, the process could not reach its store, open its log
again or read a large body, and further clients would wait without an answer.
"""

from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)

OWN_FILES = 256
"""The most open files left for other uses than accepted connections: the store, links, logs, body processes."""

_LEAST_OWN_FILES = 16

_HELD_SHARE = 4
"""Refused connections that are kept for a moment take at most one part in four of them."""


def own_files() -> int:
    """Return the number of open files that accepted connections leave for other uses."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OWN_FILES if limit == resource.RLIM_INFINITY else min(OWN_FILES, limit // 2 + _LEAST_OWN_FILES)


def fit_connections(max_connections: int) -> int:
    """Return the number of connections that the limit on open files allows, at most max_connections and at least 1.

    If that is less than max_connections, the log says so.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or max_connections <= limit - own_files():
        return max_connections
    fitting = max(limit - own_files(), 1)
    log.warning(
        "max_connections_lowered configured=%d to=%d open_files_limit=%d: raise the limit of open files (LimitNOFILE, "
        "ulimit -n), or lower [sharq-server] max_connections",
        max_connections,
        fitting,
        limit,
    )
    return fitting


def held_refusals(most: int) -> int:
    """Return the number of refused connections that may be kept for a moment, at most `most`."""
    return min(most, own_files() // _HELD_SHARE)
