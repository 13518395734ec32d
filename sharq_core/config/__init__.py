"""Reads the configuration (sharq.conf, environment and command line) once into frozen values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from sharq_core.config.kinds import Address, Secret, describe
from sharq_core.config.readable_secrets import readable_secrets
from sharq_core.config.settings import (
    SECTIONS,
    SETTINGS,
    AuthSettings,
    ClusterSettings,
    EmbeddedSettings,
    Key,
    LogSettings,
    RedisSettings,
    ServerSettings,
    SharqSettings,
    TelemetrySettings,
)
from sharq_core.config.sources import Gathered, Refuse, Source, gather, refuse_at_once
from sharq_core.config.store_address import StoreAddress, StoreMode, chosen_by, parse_url, resolve_store
from sharq_core.errors import ConfigError

__all__ = [
    "Address",
    "AuthSettings",
    "ClusterSettings",
    "Config",
    "EmbeddedSettings",
    "Key",
    "LogSettings",
    "RedisSettings",
    "Secret",
    "ServerSettings",
    "SharqSettings",
    "StoreAddress",
    "StoreMode",
    "TelemetrySettings",
    "load",
    "parse_url",
]

SYNCED_TIMEOUT_MS = 5000
"""The least [redis] timeout with durability synced, in milliseconds.

A replica reports its synced data once a second, and a call may wait behind another one that waits for that.
"""

_TOGETHER = (
    (Key("sharq-server", "tls_cert"), Key("sharq-server", "tls_key")),
    (Key("cluster", "link_tls_cert"), Key("cluster", "link_tls_key"), Key("cluster", "link_tls_ca")),
)
"""Groups of keys that are given together or not at all."""

_SECTION_FIELDS = {section: "server" if section == "sharq-server" else section for section in SECTIONS}
"""The field of Config that holds the settings of each section."""

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration.

    Attributes:
        store: the store that the [redis] keys name.
        store_chosen_by: the place of the key that names it, or why it is the embedded one.
        key_prefix: the start of every key, without braces.
        original_key_prefix: the prefix as written, under which the original kept its data.
        notices: one line for each setting that has no effect, or not the expected one.
        readable_secrets: one line for each secret in a file that everyone on the machine can read.
    """

    sharq: SharqSettings
    server: ServerSettings
    redis: RedisSettings
    cluster: ClusterSettings
    auth: AuthSettings
    embedded: EmbeddedSettings
    log: LogSettings
    telemetry: TelemetrySettings
    store: StoreAddress
    store_chosen_by: str
    key_prefix: str
    original_key_prefix: str
    notices: tuple[str, ...]
    readable_secrets: tuple[str, ...] = ()

    def differing(self, other: Config) -> list[Key]:
        """Return the settings whose values differ in another configuration."""
        mine, others = dict(self.values()), dict(other.values())
        return [key for key, value in mine.items() if value != others[key]]

    def values(self) -> Iterator[tuple[Key, object]]:
        """Yield each setting and its value in force, in the order of the sections."""
        for key, field, _ in SETTINGS:
            section: msgspec.Struct = getattr(self, _SECTION_FIELDS[key.section])
            yield key, getattr(section, field)


def load(path: Path | None, environ: Mapping[str, str], options: Mapping[Key, str] | None = None) -> Config:
    """Read the configuration: command line over environment over file; an empty value counts as absent.

    Args:
        path: the INI file; None for none.
        environ: the environment; its SHARQ_ variables are read.
        options: texts given on the command line.

    Raises:
        ConfigError: the configuration is wrong. The message names the file, variable or option, the section and the
            key, and never holds a secret.
    """
    gathered = gather(path, environ, options or {}, refuse_at_once)
    return assemble(gathered, parse_values(gathered.given, refuse_at_once))


def parse_values(given: Source, refuse: Refuse) -> dict[Key, object]:
    """Return the value of each setting that is given. Call `refuse` for each invalid text."""
    values: dict[Key, object] = {}
    for key, _, kind in SETTINGS:
        if key not in given:
            continue
        text, origin = given[key].text.reveal(), given[key].origin
        try:
            values[key] = kind.parse(text)
            continue
        except ValueError:
            place = origin if str(key) in origin else f"{origin} ({key})"
        # Outside of the handler, so that no error is chained that quotes the text.
        refuse(f"{place}: expected {kind.expected}, got {describe(text)}")
    return values


def assemble(gathered: Gathered, values: Mapping[Key, object]) -> Config:
    """Return the configuration of the values, each of which is right by itself.

    Raises:
        ConfigError: one setting lacks, or contradicts, what another one requires.
    """
    given = gathered.given
    redis = _make(RedisSettings, "redis", values)
    origins = {key.name: value.origin for key, value in given.items() if key.section == "redis"}
    config = Config(
        sharq=_make(SharqSettings, "sharq", values),
        server=_make(ServerSettings, "sharq-server", values),
        redis=redis,
        cluster=_make(ClusterSettings, "cluster", values),
        auth=_make(AuthSettings, "auth", values),
        embedded=_make(EmbeddedSettings, "embedded", values),
        log=_make(LogSettings, "log", values),
        telemetry=_make(TelemetrySettings, "telemetry", values),
        store=resolve_store(redis, origins),
        store_chosen_by=chosen_by(origins),
        key_prefix=redis.key_prefix.replace("{", "").replace("}", ""),
        original_key_prefix=redis.key_prefix,
        notices=gathered.notices,
        readable_secrets=readable_secrets(given),
    )
    _check_together(config, given)
    return msgspec.structs.replace(config, notices=(*config.notices, *_notices(config, given)))


def _make(settings: type[SettingsT], section: str, values: Mapping[Key, object]) -> SettingsT:
    fields = {field: values[key] for key, field, _ in SETTINGS if key.section == section and key in values}
    return settings(**fields)


def _check_together(config: Config, given: Source) -> None:
    """Raise ConfigError if one setting lacks, or contradicts, what another one requires."""
    for keys in _TOGETHER:
        for key in keys:
            if key not in given and (others := [given[other].origin for other in keys if other in given]):
                raise ConfigError(f"{others[0]}: needs {key.name}, which is not given")
    if config.sharq.max_body_bytes < config.sharq.max_payload_bytes:
        raise _too_small(
            given,
            Key("sharq", "max_body_bytes"),
            Key("sharq", "max_payload_bytes"),
            config.sharq.max_payload_bytes,
        )
    if config.cluster.heartbeat_ttl_ms < 2 * config.cluster.heartbeat_interval_ms:
        raise _too_small(
            given,
            Key("cluster", "heartbeat_ttl"),
            Key("cluster", "heartbeat_interval"),
            2 * config.cluster.heartbeat_interval_ms,
        )
    if config.redis.durability == "synced" and config.redis.timeout_ms < SYNCED_TIMEOUT_MS:
        raise _too_small(given, Key("redis", "timeout"), Key("redis", "durability"), SYNCED_TIMEOUT_MS)


def _too_small(given: Source, small: Key, other: Key, least: int) -> ConfigError:
    origin = (given.get(small) or given[other]).origin
    return ConfigError(f"{origin}: {small} must be at least {least}, because of {other}")


def _notices(config: Config, given: Source) -> list[str]:
    """Return a line for each accepted setting that does not have the original's effect."""
    notices = []

    def note(key: Key, text: str) -> None:
        notices.append(f"{given[key].origin}: {text}")

    if config.redis.clustered and config.store.mode is not StoreMode.CLUSTER:
        note(
            Key("redis", "clustered"),
            "has no effect: the server itself tells whether it is a node of a Redis Cluster",
        )
    if config.key_prefix != config.original_key_prefix:
        note(Key("redis", "key_prefix"), "its braces are dropped")
    if config.store.mode is not StoreMode.EMBEDDED and Key("embedded", "max_memory_bytes") in given:
        note(
            Key("embedded", "max_memory_bytes"),
            "has no effect: a server is named, so no embedded store is used",
        )
    if config.store.mode is StoreMode.EMBEDDED:
        for name in (
            "username", "password", "db", "tls_ca", "tls_cert", "tls_key", "strict_store",
        ):  # fmt: skip
            if Key("redis", name) in given:
                note(Key("redis", name), "has no effect: no server is named, so the embedded store is used")
    return notices
