"""Resolves the store that the [redis] keys name together: one server, Sentinel, Redis Cluster, or the embedded one."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit

import msgspec

from sharq_core.config.kinds import Address, Secret, parse_address
from sharq_core.config.sentinel_access import SentinelAccess, resolve_sentinel_access
from sharq_core.config.settings import RedisSettings
from sharq_core.errors import ConfigError

_DEFAULT_SERVER = Address("127.0.0.1", 6379)
_WHERE = ("url", "host", "port", "unix_socket_path", "sentinels", "sentinel_service", "nodes", "conn_type")
"""Keys that name a store. Without them the embedded store is used, whatever else is in [redis]."""


class StoreMode(enum.StrEnum):
    """The ways to reach the store."""

    EMBEDDED = "embedded"
    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class StoreAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The location of the store and the credentials for it.

    Attributes:
        servers: the server, the Sentinels, or some nodes of the Cluster; empty for a socket or the embedded store.
        unix_socket_path: socket of the server; None for TCP.
        sentinel_service: the Sentinels' name for the primary; None in other modes.
        has_tls: TLS on every connection; tls_ca None trusts the system's authorities.
        sentinel_access: the differences between the Sentinels' access and the servers'.
    """

    mode: StoreMode
    servers: tuple[Address, ...] = ()
    unix_socket_path: Path | None = None
    sentinel_service: str | None = None
    db: int = 0
    username: str | None = None
    password: Secret | None = None
    has_tls: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    sentinel_access: SentinelAccess = SentinelAccess()

    def __str__(self) -> str:
        """Return the URL for a log, without user and password."""
        if self.mode is StoreMode.EMBEDDED:
            return "embedded"
        return self._url(credentials="")

    @property
    def url(self) -> Secret:
        """The store as the driver's URL, password included; for one server only."""
        user = quote(self.username or "", safe="")
        password = quote(self.password.reveal(), safe="") if self.password else ""
        return Secret(self._url(f"{user}:{password}@" if user or password else ""))

    def url_of(self, host: str, port: int) -> str:
        """Return the driver's URL, password included, of another server of the same store."""
        server = Address(host, port)
        return msgspec.structs.replace(self, servers=(server,), unix_socket_path=None).url.reveal()

    def sentinel_urls(self) -> list[tuple[str, str]]:
        """Return the driver's URL of each Sentinel, and another URL to try if that is refused (the same, for none)."""
        access = self.sentinel_access
        has_tls = self.has_tls if access.has_tls is None else access.has_tls
        named = msgspec.structs.replace(
            self,
            db=0,
            username=access.username if access.password else self.username,
            password=access.password or self.password,
            has_tls=has_tls,
            tls_ca=(access.tls_ca or self.tls_ca) if has_tls else None,
            tls_cert=(access.tls_cert or self.tls_cert) if has_tls else None,
            tls_key=(access.tls_key or self.tls_key) if has_tls else None,
        )
        other = named if access.password else msgspec.structs.replace(named, username=None, password=None)
        return [
            (named.url_of(server.host, server.port), other.url_of(server.host, server.port))
            for server in self.servers
        ]

    def _url(self, credentials: str) -> str:
        if self.unix_socket_path is not None:
            return f"unix://{credentials}{quote(str(self.unix_socket_path))}?db={self.db}"
        scheme = "rediss" if self.has_tls else "redis"
        files = {"ssl_ca_certs": self.tls_ca, "ssl_certfile": self.tls_cert, "ssl_keyfile": self.tls_key}
        query = urlencode({option: str(file) for option, file in files.items() if file is not None})
        servers = ",".join(map(str, self.servers))
        return f"{scheme}://{credentials}{servers}/{self.db}{query and '?' + query}"


def chosen_by(origins: Mapping[str, str]) -> str:
    """Return the place of the first key that names a store, or why there is none."""
    named = next((origins[key] for key in _WHERE if key in origins), None)
    return named or f"no key names a server ([redis] {', '.join(_WHERE[:4])}, sentinels or nodes)"


def resolve_store(redis: RedisSettings, origins: Mapping[str, str]) -> StoreAddress:
    """Return the store that the [redis] keys name.

    Args:
        origins: the place of each given key, for errors.

    Raises:
        ConfigError: keys contradict each other, or one lacks its partner.
    """
    _check_pairs(origins)
    if not any(key in _WHERE or key.startswith("sentinel") for key in origins):
        return StoreAddress(mode=StoreMode.EMBEDDED)
    tls = {"tls_ca": redis.tls_ca, "tls_cert": redis.tls_cert, "tls_key": redis.tls_key}
    address = _resolve_place(redis, origins)
    if any(tls.values()):
        _refuse_tls(address, redis, origins)
        address = msgspec.structs.replace(address, has_tls=True, **tls)
    return msgspec.structs.replace(address, sentinel_access=resolve_sentinel_access(redis, origins))


def _resolve_place(redis: RedisSettings, origins: Mapping[str, str]) -> StoreAddress:
    if redis.url is not None:
        return _resolve_url(redis, redis.url, origins)
    if redis.sentinels:
        return _resolve_sentinels(redis, origins)
    if redis.nodes:
        return _resolve_nodes(redis, origins)
    return _resolve_server(redis, origins)


def _resolve_url(redis: RedisSettings, url: Secret, origins: Mapping[str, str]) -> StoreAddress:
    _refuse_beside(
        "url", ("sentinels", "nodes", "host", "port", "unix_socket_path", "conn_type", "db"), origins
    )
    try:
        address = parse_url(url.reveal())
    except ValueError:
        # Not chained, and the URL not shown: it may hold a password.
        raise ConfigError(
            f"{origins['url']}: expected redis://host:port/db, rediss://host:port/db or unix:///path?db=0, "
            "optionally with user:password@ before the host, and nothing else"
        ) from None
    if address.username or address.password:
        _refuse_beside("url", ("username", "password"), origins, "which holds a user or a password")
        return address
    return msgspec.structs.replace(address, username=redis.username, password=redis.password)


def parse_url(text: str) -> StoreAddress:
    """Return the one server that redis://, rediss:// or unix:// names.

    Raises:
        ValueError: the text is not such a URL.
    """
    url = urlsplit(text)
    if url.fragment or url.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("scheme")
    userinfo, at, place = url.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    if at and not userinfo:
        raise ValueError("user")
    where = _parse_unix(url, place) if url.scheme == "unix" else _parse_tcp(url, place)
    return msgspec.structs.replace(
        where, username=unquote(username) or None, password=Secret(unquote(password)) if password else None
    )


def _parse_unix(url: SplitResult, place: str) -> StoreAddress:
    options = parse_qs(url.query, strict_parsing=bool(url.query))
    (db,) = options.pop("db", ["0"])
    if options or place or not url.path.strip("/"):
        raise ValueError("path")
    return StoreAddress(mode=StoreMode.SERVER, unix_socket_path=Path(unquote(url.path)), db=_parse_db(db))


def _parse_tcp(url: SplitResult, place: str) -> StoreAddress:
    if url.query:
        raise ValueError("query")
    server = parse_address(place, _DEFAULT_SERVER.port)
    db = _parse_db(url.path.removeprefix("/") or "0")
    return StoreAddress(mode=StoreMode.SERVER, servers=(server,), db=db, has_tls=url.scheme == "rediss")


def _parse_db(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):
        raise ValueError("db")
    return int(text)


def _resolve_sentinels(redis: RedisSettings, origins: Mapping[str, str]) -> StoreAddress:
    _refuse_beside("sentinels", ("nodes", "host", "port", "unix_socket_path"), origins)
    _refuse_unix("sentinels", redis, origins)
    return StoreAddress(
        mode=StoreMode.SENTINEL,
        servers=redis.sentinels,
        sentinel_service=redis.sentinel_service,
        db=redis.db or 0,
        username=redis.username,
        password=redis.password,
    )


def _resolve_nodes(redis: RedisSettings, origins: Mapping[str, str]) -> StoreAddress:
    _refuse_beside("nodes", ("host", "port", "unix_socket_path"), origins)
    _refuse_unix("nodes", redis, origins)
    if redis.db:
        raise ConfigError(f"{origins['db']}: expected 0: a Redis Cluster (nodes) has no other database")
    return StoreAddress(
        mode=StoreMode.CLUSTER, servers=redis.nodes, username=redis.username, password=redis.password
    )


def _resolve_server(redis: RedisSettings, origins: Mapping[str, str]) -> StoreAddress:
    """Return the one server; if both a socket and a host are named, conn_type decides, as in the original."""
    is_tcp_named = "host" in origins or "port" in origins
    if redis.conn_type is None and redis.unix_socket_path is not None and is_tcp_named:
        raise ConfigError(
            f"{origins['unix_socket_path']} contradicts host or port: set conn_type to tcp_sock or unix_sock"
        )
    address = StoreAddress(
        mode=StoreMode.SERVER, db=redis.db or 0, username=redis.username, password=redis.password
    )
    is_unix = redis.conn_type == "unix_sock" or (
        redis.conn_type is None and redis.unix_socket_path is not None
    )
    if not is_unix:
        server = Address(redis.host or _DEFAULT_SERVER.host, redis.port or _DEFAULT_SERVER.port)
        return msgspec.structs.replace(address, servers=(server,))
    if redis.unix_socket_path is None:
        raise ConfigError(f"{origins['conn_type']}: unix_sock needs unix_socket_path")
    return msgspec.structs.replace(address, unix_socket_path=redis.unix_socket_path)


def _check_pairs(origins: Mapping[str, str]) -> None:
    pairs = (
        ("sentinels", "sentinel_service"),
        ("sentinel_service", "sentinels"),
        ("tls_cert", "tls_key"),
        ("tls_key", "tls_cert"),
        ("username", "password"),
    )
    for key, partner in pairs:
        if key in origins and partner not in origins:
            raise ConfigError(f"{origins[key]}: needs {partner}, which is not given")


def _refuse_beside(key: str, others: Iterable[str], origins: Mapping[str, str], why: str = "") -> None:
    for other in others:
        if other in origins:
            raise ConfigError(
                f"{origins[other]} contradicts {origins[key]}{why and ', ' + why}: leave one of them out"
            )


def _refuse_unix(key: str, redis: RedisSettings, origins: Mapping[str, str]) -> None:
    if redis.conn_type == "unix_sock":
        raise ConfigError(f"{origins['conn_type']}: unix_sock contradicts {origins[key]}")


def _refuse_tls(address: StoreAddress, redis: RedisSettings, origins: Mapping[str, str]) -> None:
    given = next(origins[key] for key in ("tls_ca", "tls_cert", "tls_key") if key in origins)
    if address.unix_socket_path is not None:
        raise ConfigError(f"{given}: a unix socket has no TLS")
    if redis.url is not None and not address.has_tls:
        raise ConfigError(f"{given} contradicts {origins['url']}: TLS needs rediss://")
