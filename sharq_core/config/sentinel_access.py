"""How we prove who we are to Sentinels: as to the servers that they watch, or by keys of their own.

Not here: where they are (store_address.py), and asking them (sharq_core/store/topology/sentinel.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from sharq_core.config.kinds import Secret
from sharq_core.config.settings import RedisSettings
from sharq_core.errors import ConfigError

_TLS_FILES = ("sentinel_tls_ca", "sentinel_tls_cert", "sentinel_tls_key")
_KEYS = ("sentinel_username", "sentinel_password", "sentinel_tls", *_TLS_FILES)
_PAIRS = (
    ("sentinel_username", "sentinel_password"),
    ("sentinel_tls_cert", "sentinel_tls_key"),
    ("sentinel_tls_key", "sentinel_tls_cert"),
)


class SentinelAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What the Sentinels ask for where it is not what the servers ask for.

    Attributes:
        password: None for the user and password of the servers, or none at all: whichever a Sentinel takes.
        has_tls: None for the same as the servers.
        tls_ca, tls_cert, tls_key: None for those of the servers.
    """

    username: str | None = None
    password: Secret | None = None
    has_tls: bool | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None


def resolve_sentinel_access(redis: RedisSettings, origins: Mapping[str, str]) -> SentinelAccess:
    """What the sentinel_ keys say.

    Args:
        origins: for each key that was given, how an error names its place.

    Raises:
        ConfigError: one lacks its partner, or there are no Sentinels, or files are named for TLS that is off.
    """
    given = [key for key in _KEYS if key in origins]
    for key, partner in [*((key, "sentinels") for key in given), *_PAIRS]:
        if key in origins and partner not in origins:
            raise ConfigError(f"{origins[key]}: needs {partner}, which is not given")
    files = [key for key in _TLS_FILES if key in origins]
    if files and redis.sentinel_tls is False:
        raise ConfigError(f"{origins[files[0]]} contradicts {origins['sentinel_tls']}")
    return SentinelAccess(
        username=redis.sentinel_username,
        password=redis.sentinel_password,
        has_tls=True if files else redis.sentinel_tls,
        tls_ca=redis.sentinel_tls_ca,
        tls_cert=redis.sentinel_tls_cert,
        tls_key=redis.sentinel_tls_key,
    )
