"""Holds the settings of every store that is started here, apart from its socket and its data directory."""

from __future__ import annotations

SERVER_SETTINGS = {
    "dir": ".",
    "daemonize": "no",
    "loglevel": "notice",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "rdbcompression": "no",
    "hash-max-listpack-entries": "16",
    "zset-max-listpack-entries": "16",
    "hash-max-listpack-value": "256",
    "zset-max-listpack-value": "128",
}
"""Settings with which acknowledged work survives the store's process. A crash of the machine may take the last second,
and so may a kill during a sync, because until that has ended the store answers before it writes.

Lists that are searched from end to end are short: at 128 entries, the default, the searches were 15 % of the store's
instructions. Their values may be long: a record of a job or of a queue has more than 64 bytes, the default, at which a
hash of one record would become a table. With a hundred queues a type that is a quarter of the store's memory.

The file is not compressed. The store rewrites it whenever it has doubled, and during that each page that it changes is
copied; a compressed file has doubled much sooner, and takes three times the processor (docs/store.md).
"""


def as_options(settings: dict[str, str]) -> list[str]:
    """Return settings as words of a server's command line."""
    return [word for name, value in settings.items() for word in (f"--{name}", value)]
