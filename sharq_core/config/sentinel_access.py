"""Resolves how to authenticate to Sentinels: as to the servers that they monitor, or with keys of their own."""

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
    """The access settings of the Sentinels that differ from those of the servers.

    Attributes:
        password: None tries the user and password of the servers, then none at all.
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
    """Return the access that the sentinel_ keys configure.

    Args:
        origins: the place of each given key, for errors.

    Raises:
        ConfigError: a key lacks its partner, or there are no Sentinels, or files are named although TLS is off.
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
