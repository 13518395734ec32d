"""Opens the Redis that jobs are imported from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

from sharq_client.migration.summaries import MissingExtra

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

SOCKET_TIMEOUT_S = 30.0
"""The longest wait for an answer of the source. The longest script of an import takes some ten milliseconds."""

MARK = "~import"
"""The mark in the job list of a parked queue. No job has this id, because the original permits no `~`."""

SUPERSEDED = "SUPERSEDED a later import of the same jobs runs"
"""The error of a run whose work another one has taken up."""

FAR_MS = 9_000_000_000_000
"""The score of a parked queue, in ms since the epoch: the year 2255."""


@contextmanager
def open_source(url: str, key: str) -> Iterator[Redis]:
    """Connect to the source, and close the connections at the end.

    Args:
        url: redis://, rediss:// or unix://. Of a Redis Cluster any node.
        key: one of the keys to import. On a Redis Cluster all of them are in the slot of this one.

    Raises:
        MissingExtra: the package redis is not installed.
        ValueError: the URL is not one of a Redis.
        redis.RedisError: the source cannot be reached.
    """
    try:
        import redis  # noqa: PLC0415 (an extra of this distribution, which only an import needs)
    except ImportError as error:
        raise MissingExtra(
            "an import needs the package redis; install it with: pip install 'sharq-client[import]'"
        ) from error
    with redis.Redis.from_url(url, socket_timeout=SOCKET_TIMEOUT_S) as client:
        if not is_cluster_node(client):
            yield client
            return
        with redis.RedisCluster.from_url(url, socket_timeout=SOCKET_TIMEOUT_S) as cluster:
            node = cluster.get_node_from_key(key)
            # A deployment of the original lives in one slot, so that one plain connection reaches all of it.
            address = {"host": node.host, "port": node.port, "db": 0}
            options = client.connection_pool.connection_kwargs | address
            pool = redis.ConnectionPool(client.connection_pool.connection_class, **options)
            with redis.Redis(connection_pool=pool) as master:
                yield master


def is_cluster_node(client: Redis) -> bool:
    """Return True if the server is a node of a Redis Cluster."""
    return bool(client.info("cluster").get("cluster_enabled"))


def script(client: Redis, package: str, name: str) -> Script:
    """Return a script of a package's folder `lua`, with the constants that all scripts of imports share."""
    text = resources.files(package).joinpath("lua", f"{name}.lua").read_text()
    constants = f"local MARK, FAR, SUPERSEDED = '{MARK}', {FAR_MS}, '{SUPERSEDED}'"
    return client.register_script(f"{constants}\n{text}")


def now_ms(client: Redis) -> int:
    """Return the time by the source's clock, in ms since the epoch."""
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def rows_of(texts: Sequence[bytes], length: int) -> list[tuple[bytes, ...]]:
    """Split a flat reply into rows of a length."""
    return list(zip(*[iter(texts)] * length, strict=True))
