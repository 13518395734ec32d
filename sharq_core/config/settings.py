"""Defines every setting: its section, key, kind and default, in one table.

A field is named like its key; a duration in milliseconds ends in `_ms`. Not here: the joint meaning of the [redis] keys
(store_address.py), and the sources of the values (sources.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeAlias, get_args, get_type_hints

import msgspec

from sharq_core.config import kinds
from sharq_core.config.kinds import (
    Address,
    Kind,
    Secret,
    count_or_processors,
    host_and_port,
    hosts_and_ports,
    milliseconds,
    milliseconds_or_zero,
    whole_number,
)
from sharq_core.models import MAX_LEASE_US, MIN_LEASE_US
from sharq_core.partitions import DEFAULT_PARTITIONS

DEFAULT_KEY_PREFIX = "sharq_server"
LINK_PORT = 8090
"""The port on which a shard listens for routers if an address names none."""

_MINUTE_MS = 60_000
_DAY_MS = 24 * 3600 * 1000
_KIB = 1024
_MIB = 1024 * _KIB

_LEAST_STORE_BYTES = 16 * _MIB
"""The smallest memory limit: an empty store with our function library takes a few MiB."""


MAX_WORKERS = 64
"""Most processes of one sharq-server."""


class SharqSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs: [sharq].

    Attributes:
        job_expire_interval_ms: length of a lease if the dequeue names none.
        job_requeue_interval_ms: longest pause between two checks for ended leases.
        default_job_requeue_limit: number of requeues if the enqueue names none; -1 for no limit.
        enable_requeue_script: False runs no reaper in this process.
        finished_retention_ms: time for which a finished job is remembered.
        dead_retention_ms: time for which a dead letter is kept.
        dead_limit: dead letters kept of each queue type.
        results_bytes: memory for the results of finished jobs, over all partitions.
        max_payload_bytes: largest payload of one job.
        max_body_bytes: largest body of one HTTP request.
    """

    job_expire_interval_ms: Annotated[int, milliseconds(MIN_LEASE_US // 1000, MAX_LEASE_US // 1000)] = 60_000
    job_requeue_interval_ms: Annotated[int, milliseconds(0, 60 * _MINUTE_MS)] = 1000
    default_job_requeue_limit: Annotated[int, whole_number(-1, 2**31 - 1)] = -1
    enable_requeue_script: Annotated[bool, kinds.yes_or_no] = True
    finished_retention_ms: Annotated[int, milliseconds(_MINUTE_MS, 7 * _DAY_MS)] = 5 * _MINUTE_MS
    dead_retention_ms: Annotated[int, milliseconds(1, 3650 * _DAY_MS)] = 7 * _DAY_MS
    dead_limit: Annotated[int, whole_number(1, 100_000_000)] = 100_000
    results_bytes: Annotated[int, whole_number(0, 1 << 40, "bytes")] = 64 * _MIB
    max_payload_bytes: Annotated[int, whole_number(1, 16 * _MIB, "bytes")] = 256 * _KIB
    max_body_bytes: Annotated[int, whole_number(1, 256 * _MIB, "bytes")] = 16 * _MIB


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP server: [sharq-server].

    Attributes:
        port: 0 takes any free one.
        accesslog: file that gets a line for each request; None for no access log.
        accesslog_sample: n writes the line of one request in n.
        shutdown_timeout_ms: longest wait for the requests in flight once the server is told to stop.
        max_connections: most open connections.
        header_timeout_ms: time from the connection to the end of the first request's headers.
        body_timeout_ms: time for one body.
        answer_timeout_ms: time for which an answer may stay unread.
        keepalive_timeout_ms: time from an answer to the end of the next request's headers. It is longer than a load
            balancer keeps a connection idle, so that the load balancer closes first.
        tls_cert, tls_key: PEM files; both together enable HTTPS.
        allowed_hosts: host names under which the API may be called, besides the loopback's. None allows only the
            loopback's if the API listens on the loopback and asks for no token, and any name otherwise.
        allowed_origins: origins other than the API's own whose web pages may call it.
        console: serve the console, a web page over the API, at /console/.
        workers: number of processes of sharq-server that serve the port together; one per processor is enough.
        worker_timeout_ms: time without a sign of life after which one of them is killed and started again; 0 for never.
    """

    host: Annotated[str, kinds.host] = "127.0.0.1"
    port: Annotated[int, whole_number(0, 65535)] = 8080
    accesslog: Annotated[Path | None, kinds.log_path] = None
    accesslog_sample: Annotated[int, whole_number(1, 1_000_000)] = 1
    shutdown_timeout_ms: Annotated[int, milliseconds(0, 60 * _MINUTE_MS)] = 10_000
    max_connections: Annotated[int, whole_number(1, 1_000_000)] = 10_000
    header_timeout_ms: Annotated[int, milliseconds(100, 60 * _MINUTE_MS)] = 10_000
    body_timeout_ms: Annotated[int, milliseconds(100, 60 * _MINUTE_MS)] = 30_000
    answer_timeout_ms: Annotated[int, milliseconds(100, 60 * _MINUTE_MS)] = 30_000
    keepalive_timeout_ms: Annotated[int, milliseconds(100, 60 * _MINUTE_MS)] = 75_000
    tls_cert: Annotated[Path | None, kinds.path] = None
    tls_key: Annotated[Path | None, kinds.path] = None
    allowed_hosts: Annotated[tuple[str, ...] | None, kinds.hosts] = None
    allowed_origins: Annotated[tuple[str, ...], kinds.origins] = ()
    console: Annotated[bool, kinds.yes_or_no] = True
    workers: Annotated[int, count_or_processors(MAX_WORKERS)] = 1
    worker_timeout_ms: Annotated[int, milliseconds_or_zero(2000, 60 * _MINUTE_MS)] = 10_000


class RedisSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The [redis] keys as they were given; a StoreAddress holds their joint meaning.

    Attributes:
        key_prefix: start of every key, as written; braces in it are for the original only.
        timeout_ms: longest wait for the store's answer to one call.
        durability: promise of an acknowledged call: fast, replicated or synced.
        strict_store: refuse to start on a store whose own settings may lose jobs.
        on_data_loss: stop refuses calls to lost data until an operator accepts the loss; continue goes on at once.
    """

    url: Annotated[Secret | None, kinds.secret] = None
    conn_type: Annotated[str | None, kinds.one_of("tcp_sock", "unix_sock")] = None
    host: Annotated[str | None, kinds.host] = None
    port: Annotated[int | None, whole_number(1, 65535)] = None
    unix_socket_path: Annotated[Path | None, kinds.path] = None
    db: Annotated[int | None, whole_number(0, 65535)] = None
    username: Annotated[str | None, kinds.name] = None
    password: Annotated[Secret | None, kinds.secret] = None
    sentinels: Annotated[tuple[Address, ...], hosts_and_ports(26379)] = ()
    sentinel_service: Annotated[str | None, kinds.name] = None
    sentinel_username: Annotated[str | None, kinds.name] = None
    sentinel_password: Annotated[Secret | None, kinds.secret] = None
    sentinel_tls: Annotated[bool | None, kinds.yes_or_no] = None
    sentinel_tls_ca: Annotated[Path | None, kinds.path] = None
    sentinel_tls_cert: Annotated[Path | None, kinds.path] = None
    sentinel_tls_key: Annotated[Path | None, kinds.path] = None
    nodes: Annotated[tuple[Address, ...], hosts_and_ports(6379)] = ()
    clustered: Annotated[bool, kinds.yes_or_no] = False
    tls_ca: Annotated[Path | None, kinds.path] = None
    tls_cert: Annotated[Path | None, kinds.path] = None
    tls_key: Annotated[Path | None, kinds.path] = None
    key_prefix: Annotated[str, kinds.key_prefix] = DEFAULT_KEY_PREFIX
    timeout_ms: Annotated[int, milliseconds(10, _MINUTE_MS)] = 2000
    durability: Annotated[str, kinds.one_of("fast", "replicated", "synced")] = "fast"
    strict_store: Annotated[bool, kinds.yes_or_no] = False
    on_data_loss: Annotated[str, kinds.one_of("stop", "continue")] = "stop"


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Discovery between routers and shards, and the partitions: [cluster].

    Attributes:
        partitions: P, fixed for the life of the data.
        node_id: this shard's name in the ring; None for a generated one.
        listen: address on which this shard waits for routers.
        advertise: address at which routers reach this shard, if it differs; None for listen.
        shards: addresses of a router's first shards.
        secret: secret that router and shard prove to each other.
        link_tls_cert, link_tls_key, link_tls_ca: PEM files. All three together enable TLS on links; each end then
            presents a certificate that the ca has signed.
        heartbeat_ttl_ms: silence after which a shard is no longer a member.
    """

    partitions: Annotated[int, whole_number(1, 4096)] = DEFAULT_PARTITIONS
    node_id: Annotated[str | None, kinds.name] = None
    listen: Annotated[Address | None, host_and_port(LINK_PORT)] = None
    advertise: Annotated[Address | None, host_and_port(LINK_PORT)] = None
    shards: Annotated[tuple[Address, ...], hosts_and_ports(LINK_PORT)] = ()
    secret: Annotated[Secret | None, kinds.secret] = None
    link_tls_cert: Annotated[Path | None, kinds.path] = None
    link_tls_key: Annotated[Path | None, kinds.path] = None
    link_tls_ca: Annotated[Path | None, kinds.path] = None
    heartbeat_interval_ms: Annotated[int, milliseconds(50, _MINUTE_MS)] = 1000
    heartbeat_ttl_ms: Annotated[int, milliseconds(100, 10 * _MINUTE_MS)] = 5000


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The access control: [auth].

    Attributes:
        tokens_file: file of the accepted bearer tokens, hashed; None asks for no token.
        audit_file: file that gets a JSON line for each change; None for the log alone.
        metrics_open: /metrics needs no token.
        allow_anonymous: listen on a public address without tokens, or without the link's secret.
    """

    tokens_file: Annotated[Path | None, kinds.path] = None
    audit_file: Annotated[Path | None, kinds.log_path] = None
    metrics_open: Annotated[bool, kinds.yes_or_no] = False
    allow_anonymous: Annotated[bool, kinds.yes_or_no] = False


class EmbeddedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The store that sharq-server starts if none is named: [embedded].

    Attributes:
        max_memory_bytes: most memory for its data; None for a share of the machine's or the container's.
    """

    max_memory_bytes: Annotated[int | None, whole_number(_LEAST_STORE_BYTES, 1 << 50, "bytes")] = None


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The log on stderr: [log].

    Attributes:
        format: console, a line for people, or json, an object per line; also for the access log.
        level: least level of the events that are written.
    """

    format: Annotated[str, kinds.one_of("console", "json")] = "console"
    level: Annotated[str, kinds.one_of("debug", "info", "warning", "error")] = "info"


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The traces: [telemetry].

    Attributes:
        traces: spans are made and sent. The variables of OpenTelemetry say where to and how many; it needs the extra
            otel.
    """

    traces: Annotated[bool, kinds.yes_or_no] = False


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "sharq": SharqSettings,
    "sharq-server": ServerSettings,
    "redis": RedisSettings,
    "cluster": ClusterSettings,
    "auth": AuthSettings,
    "embedded": EmbeddedSettings,
    "log": LogSettings,
    "telemetry": TelemetrySettings,
}


class Key(msgspec.Struct, frozen=True):
    """The place of one setting: `[section] name`."""

    section: str
    name: str

    def __str__(self) -> str:
        return f"[{self.section}] {self.name}"


Setting: TypeAlias = tuple[Key, str, Kind[object]]
"""The place, the field and the kind of a setting."""


def _settings() -> Iterator[Setting]:
    for section, settings in SECTIONS.items():
        for field, hint in get_type_hints(settings, include_extras=True).items():
            *_, kind = get_args(hint)
            yield Key(section, _key_name(field)), field, kind


def _key_name(field: str) -> str:
    return field.removesuffix("_ms")


SETTINGS: tuple[Setting, ...] = tuple(_settings())
KINDS: dict[Key, Kind[object]] = {key: kind for key, _, kind in SETTINGS}
