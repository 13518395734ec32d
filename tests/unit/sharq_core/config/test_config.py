"""The configuration: every key, every kind of wrong value, and the samples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sharq_core.config import (
    Address,
    AuthSettings,
    ClusterSettings,
    Key,
    LogSettings,
    RedisSettings,
    Secret,
    ServerSettings,
    SharqSettings,
    StoreMode,
    load,
)
from sharq_core.config.settings import KINDS, SECTIONS, SETTINGS
from sharq_core.config.usable_cpus import usable_cpus
from tests.unit.sharq_core.config.config_files import WriteConfig, refusal, value

ROOT = Path(__file__).parents[4]
DATA = ROOT / "tests" / "data"


GOOD: list[tuple[str, str, str, object]] = [
    ("sharq", "job_expire_interval", "100", 100),
    ("sharq", "job_requeue_interval", "0", 0),
    ("sharq", "default_job_requeue_limit", "0", 0),
    ("sharq", "default_job_requeue_limit", "-1", -1),
    ("sharq", "enable_requeue_script", "No", False),
    ("sharq", "enable_requeue_script", "1", True),
    ("sharq", "finished_retention", "60000", 60_000),
    ("sharq", "dead_retention", "+1", 1),
    ("sharq", "dead_limit", "5", 5),
    ("sharq", "results_bytes", "0", 0),
    ("sharq", "max_payload_bytes", "1024", 1024),
    ("sharq", "max_body_bytes", "268435456", 268_435_456),
    ("sharq-server", "host", "0.0.0.0", "0.0.0.0"),
    ("sharq-server", "host", "[::1]", "::1"),
    ("sharq-server", "host", "my-host.example", "my-host.example"),
    ("sharq-server", "host", "my_host.example.", "my_host.example."),
    ("sharq-server", "port", "0", 0),
    ("sharq-server", "accesslog", "off", None),
    ("sharq-server", "accesslog_sample", "100", 100),
    ("sharq-server", "console", "false", False),
    ("log", "format", "JSON", "json"),
    ("log", "level", "debug", "debug"),
    ("telemetry", "traces", "on", True),
    ("sharq-server", "accesslog", "logs/access.log", Path("logs/access.log")),
    ("sharq-server", "shutdown_timeout", "0", 0),
    ("sharq-server", "max_connections", "5", 5),
    ("sharq-server", "header_timeout", "100", 100),
    ("sharq-server", "body_timeout", "3600000", 3_600_000),
    ("sharq-server", "answer_timeout", "200", 200),
    ("sharq-server", "keepalive_timeout", "300", 300),
    (
        "sharq-server",
        "allowed_hosts",
        "Queue.internal, 10.0.0.5 [::1],*",
        ("queue.internal", "10.0.0.5", "::1", "*"),
    ),
    (
        "sharq-server",
        "allowed_origins",
        "https://A.example, http://b:81",
        ("https://a.example", "http://b:81"),
    ),
    ("sharq-server", "workers", "1", 1),
    ("sharq-server", "workers", "64", 64),
    ("sharq-server", "workers", "Auto", usable_cpus()),
    ("sharq-server", "worker_timeout", "0", 0),
    ("sharq-server", "worker_timeout", "2000", 2000),
    ("redis", "url", "redis://h:1/2", Secret("redis://h:1/2")),
    ("redis", "conn_type", "TCP_SOCK", "tcp_sock"),
    ("redis", "host", "10.0.0.5", "10.0.0.5"),
    ("redis", "port", "6380", 6380),
    ("redis", "unix_socket_path", "/run/redis.sock", Path("/run/redis.sock")),
    ("redis", "db", "3", 3),
    ("redis", "password", "p=w:;#", Secret("p=w:;#")),
    ("redis", "nodes", "a:1 b:2,[::1]:3, c", None),
    ("redis", "clustered", "true", True),
    ("redis", "tls_ca", "ca.pem", Path("ca.pem")),
    ("redis", "key_prefix", "a-b.c:d/e+f@g_1", "a-b.c:d/e+f@g_1"),
    ("redis", "timeout", "10", 10),
    ("redis", "durability", "replicated", "replicated"),
    ("redis", "strict_store", "on", True),
    ("redis", "on_data_loss", "continue", "continue"),
    ("cluster", "partitions", "256", 256),
    ("cluster", "node_id", "shard-1", "shard-1"),
    ("cluster", "listen", "0.0.0.0:9000", Address("0.0.0.0", 9000)),
    ("cluster", "listen", "[::]:9000", Address("::", 9000)),
    ("cluster", "advertise", "proxy:9001", Address("proxy", 9001)),
    ("cluster", "shards", "a:1, b:2", (Address("a", 1), Address("b", 2))),
    ("cluster", "secret", "s3", Secret("s3")),
    ("cluster", "heartbeat_interval", "500", 500),
    ("cluster", "heartbeat_ttl", "2000", 2000),
    ("auth", "tokens_file", "tokens", Path("tokens")),
    ("auth", "audit_file", "audit.jsonl", Path("audit.jsonl")),
    ("auth", "metrics_open", "yes", True),
    ("auth", "allow_anonymous", "yes", True),
    ("embedded", "max_memory_bytes", "16777216", 16_777_216),
]

_SENTINELS = "sentinels : s1\nsentinel_service : main"

PARTNERS = {
    "sentinels": "sentinel_service : main",
    "sentinel_service": "sentinels : s1, s2",
    "username": "password : p",
    "durability": "timeout : 5000",
    "sentinel_username": f"{_SENTINELS}\nsentinel_password : p",
    "sentinel_password": _SENTINELS,
    "sentinel_tls": _SENTINELS,
    "sentinel_tls_ca": _SENTINELS,
    "sentinel_tls_cert": f"{_SENTINELS}\nsentinel_tls_key : key.pem",
    "sentinel_tls_key": f"{_SENTINELS}\nsentinel_tls_cert : cert.pem",
    "link_tls_cert": "link_tls_key : key.pem\nlink_tls_ca : ca.pem",
    "link_tls_key": "link_tls_cert : cert.pem\nlink_tls_ca : ca.pem",
    "link_tls_ca": "link_tls_cert : cert.pem\nlink_tls_key : key.pem",
    "tls_cert": "tls_key : key.pem",
    "tls_key": "tls_cert : cert.pem",
}

GOOD_WITH_PARTNER: list[tuple[str, str, str, object]] = [
    ("redis", "sentinels", "s1:1, s2", (Address("s1", 1), Address("s2", 26379))),
    ("redis", "sentinel_service", "main", "main"),
    ("redis", "username", "app", "app"),
    ("redis", "tls_cert", "cert.pem", Path("cert.pem")),
    ("redis", "tls_key", "key.pem", Path("key.pem")),
    ("sharq-server", "tls_cert", "cert.pem", Path("cert.pem")),
    ("sharq-server", "tls_key", "key.pem", Path("key.pem")),
    ("cluster", "link_tls_cert", "cert.pem", Path("cert.pem")),
    ("cluster", "link_tls_key", "key.pem", Path("key.pem")),
    ("cluster", "link_tls_ca", "ca.pem", Path("ca.pem")),
    ("redis", "durability", "Synced", "synced"),
    ("redis", "sentinel_username", "watcher", "watcher"),
    ("redis", "sentinel_password", "p", Secret("p")),
    ("redis", "sentinel_tls", "off", False),
    ("redis", "sentinel_tls_ca", "ca.pem", Path("ca.pem")),
    ("redis", "sentinel_tls_cert", "cert.pem", Path("cert.pem")),
    ("redis", "sentinel_tls_key", "key.pem", Path("key.pem")),
]


@pytest.mark.parametrize(("section", "name", "text", "expected"), [*GOOD, *GOOD_WITH_PARTNER])
def test_each_key_is_read_from_a_file(
    write: WriteConfig, section: str, name: str, text: str, expected: object
) -> None:
    partner = PARTNERS.get(name, "")
    config = load(write(f"[{section}]\n{name} : {text}\n{partner}\n"), {})
    if name == "nodes":
        expected = (Address("a", 1), Address("b", 2), Address("::1", 3), Address("c", 6379))
    (field,) = [field for key, field, _ in SETTINGS if key == Key(section, name)]
    assert value(config, section, field) == expected


@pytest.mark.parametrize(("section", "name", "text", "expected"), GOOD)
def test_each_key_is_read_from_the_environment(section: str, name: str, text: str, expected: object) -> None:
    variable = f"SHARQ_{section}_{name}".replace("-", "_").upper()
    config = load(None, {variable: text})
    (field,) = [field for key, field, _ in SETTINGS if key == Key(section, name)]
    if name != "nodes":
        assert value(config, section, field) == expected
    assert not [notice for notice in config.notices if "no such setting" in notice]


def test_the_tables_of_this_module_name_every_key() -> None:
    assert {Key(section, name) for section, name, _, _ in [*GOOD, *GOOD_WITH_PARTNER]} == set(KINDS)


BAD: list[tuple[str, str, list[str]]] = [
    ("sharq", "job_expire_interval", ["99", "86400001", "1.5", "1s", "1_000", "-1", "0x10", "٣٠٠", "1e3"]),
    ("sharq", "job_requeue_interval", ["-1", "3600001", "none"]),
    ("sharq", "default_job_requeue_limit", ["-2", "2147483648", "many"]),
    ("sharq", "enable_requeue_script", ["2", "ja", "truee"]),
    ("sharq", "finished_retention", ["0", "59999", "x"]),
    ("sharq", "dead_retention", ["0", "-5", "x"]),
    ("sharq", "dead_limit", ["0", "x"]),
    ("sharq", "results_bytes", ["-1", "64M"]),
    ("sharq", "max_payload_bytes", ["0", "16777217", "256k"]),
    ("sharq", "max_body_bytes", ["0", "268435457", "16M"]),
    (
        "sharq-server",
        "host",
        ["a b", "127.0.0.1:80", "http://h", "::g", "a/b", "*", "a..b", ".a", "-a", "a" * 64],
    ),
    ("sharq-server", "port", ["-1", "65536", "http", "80.0", "9" * 400]),
    ("sharq-server", "shutdown_timeout", ["-1", "3600001", "10s"]),
    ("sharq-server", "max_connections", ["0", "1000001", "many"]),
    ("sharq-server", "header_timeout", ["99", "3600001", "10s"]),
    ("sharq-server", "body_timeout", ["99", "3600001", "10s"]),
    ("sharq-server", "answer_timeout", ["99", "3600001", "10s"]),
    ("sharq-server", "keepalive_timeout", ["99", "3600001", "10s"]),
    ("sharq-server", "allowed_hosts", ["a:80", "http://a", ",", "*.a"]),
    ("sharq-server", "allowed_origins", ["a.example", "*", "https://a/", "null"]),
    ("sharq-server", "workers", ["0", "-1", "65", "all"]),
    ("sharq-server", "worker_timeout", ["-1", "1", "1999", "3600001", "10s"]),
    ("redis", "conn_type", ["tcp", "unix"]),
    ("redis", "host", ["redis://h", "h:6379", "a..b", f"{'b' * 64}.example"]),
    ("redis", "port", ["0", "65536", "x"]),
    ("redis", "db", ["-1", "zero"]),
    ("redis", "username", ["a b", "x" * 101]),
    ("redis", "sentinels", ["a:x", "a:0", "a:65536", "a:1, a:1", ",", "[::1"]),
    ("redis", "sentinel_service", ["my main"]),
    ("redis", "nodes", ["h:1:2", "h h"]),
    ("redis", "clustered", ["maybe"]),
    ("redis", "key_prefix", ["a b", "{}", "x" * 101, "ä", "a*"]),
    ("redis", "timeout", ["9", "60001", "2s"]),
    ("redis", "durability", ["slow"]),
    ("redis", "strict_store", ["x"]),
    ("redis", "on_data_loss", ["ignore"]),
    ("cluster", "partitions", ["0", "4097", "x"]),
    ("cluster", "node_id", ["a b"]),
    ("cluster", "listen", ["h:x", "a:1, b:2"]),
    ("cluster", "advertise", ["h:x", "a:1, b:2"]),
    ("cluster", "shards", ["h:99999"]),
    ("cluster", "heartbeat_interval", ["49", "60001"]),
    ("cluster", "heartbeat_ttl", ["99", "600001"]),
    ("auth", "metrics_open", ["nein"]),
    ("auth", "allow_anonymous", ["nein"]),
    ("embedded", "max_memory_bytes", ["0", "16777215", "1 GB", "half"]),
    ("sharq-server", "accesslog_sample", ["0", "0.5"]),
    ("log", "format", ["xml"]),
    ("log", "level", ["loud"]),
    ("telemetry", "traces", ["sometimes"]),
]


@pytest.mark.parametrize(("section", "name", "texts"), BAD)
def test_a_wrong_value_is_refused_with_its_place_and_what_it_may_be(
    write: WriteConfig, section: str, name: str, texts: list[str]
) -> None:
    expected = KINDS[Key(section, name)].expected
    variable = f"SHARQ_{section}_{name}".replace("-", "_").upper()
    for text in texts:
        path = write(f"[{section}]\n{name} = {text}\n")
        message = refusal(path)
        assert message.startswith(f"{path}: [{section}] {name}: expected {expected}, got "), text
        assert not message.endswith(text)
        assert repr(text[:100]) not in message, "it may be a password in the wrong place"
        message = refusal(None, {variable: text})
        assert message.startswith(f"{variable} ([{section}] {name}): expected "), text


def test_a_path_with_a_zero_byte_is_refused(write: WriteConfig) -> None:
    assert "tls_ca: expected the path of a file" in refusal(write("[redis]\ntls_ca : a\0b\n"))
    assert "cannot be read" in refusal(Path("a\0b"))


def test_without_a_file_every_setting_has_its_default() -> None:
    config = load(None, {})
    assert config.sharq == SharqSettings(
        job_expire_interval_ms=60_000,
        job_requeue_interval_ms=1000,
        default_job_requeue_limit=-1,
        enable_requeue_script=True,
        finished_retention_ms=300_000,
        dead_retention_ms=604_800_000,
        dead_limit=100_000,
        results_bytes=67_108_864,
        max_payload_bytes=262_144,
        max_body_bytes=16_777_216,
    )
    assert config.server == ServerSettings(
        host="127.0.0.1", port=8080, accesslog=None, shutdown_timeout_ms=10_000, workers=1
    )
    assert config.redis == RedisSettings(
        key_prefix="sharq_server",
        timeout_ms=2000,
        durability="fast",
        strict_store=False,
        on_data_loss="stop",
    )
    assert config.cluster == ClusterSettings(partitions=64, heartbeat_interval_ms=1000, heartbeat_ttl_ms=5000)
    assert config.auth == AuthSettings(
        tokens_file=None, audit_file=None, metrics_open=False, allow_anonymous=False
    )
    assert config.log == LogSettings(format="console", level="info")
    assert config.store.mode is StoreMode.EMBEDDED
    assert config.notices == ()


def test_the_servers_sample_of_the_original_is_read_unchanged() -> None:
    path = DATA / "original-server.conf"
    config = load(path, {})
    assert config.sharq == SharqSettings(job_expire_interval_ms=1000, default_job_requeue_limit=0)
    assert config.server == ServerSettings(accesslog=Path("/tmp/sharq.log"))
    assert str(config.store) == "redis://127.0.0.1:6379/0"
    assert config.store.password is None
    assert (config.key_prefix, config.original_key_prefix) == ("sharq_server", "sharq_server")
    (notice,) = config.notices
    assert notice.startswith(f"{path}: [redis] clustered: has no effect")


def test_the_cores_sample_of_the_original_is_read_unchanged() -> None:
    config = load(DATA / "original-core.conf", {})
    assert config.sharq == SharqSettings(job_expire_interval_ms=120_000, job_requeue_interval_ms=5000)
    assert str(config.store) == "redis://127.0.0.1:6379/0"
    assert config.store.password is None, "an empty password sends no AUTH"
    assert config.notices == ()


def test_our_own_sample_shows_every_key_with_its_default(write: WriteConfig) -> None:
    sample = (ROOT / "deploy" / "sharq.conf").read_text()
    assert load(write(sample), {}) == load(None, {}), "as delivered it changes nothing"
    shown = re.findall(r"^#? ?(\[[a-z-]+\]|[a-z_]+ +:.*)$", sample, re.MULTILINE)
    section, seen = "", set()
    for line in shown:
        if line.startswith("["):
            section = line.strip("[]")
            continue
        name, _, text = (part.strip() for part in line.partition(":"))
        text = text.partition(" ;")[0].strip()
        seen.add(Key(section, name))
        (field,) = [field for key, field, _ in SETTINGS if key == Key(section, name)]
        default = getattr(SECTIONS[section](), field)
        if default not in (None, ()):
            assert KINDS[Key(section, name)].parse(text) == default, line
    assert seen == set(KINDS)


def test_the_reference_names_every_key_with_its_default() -> None:
    chapters = (ROOT / "docs" / "configuration.md").read_text().split("\n## ")
    rows = {
        Key(chapter[2:].partition("]")[0], name): default
        for chapter in chapters
        if chapter.startswith("`[")
        for name, default in re.findall(r"^\| `([a-z_]+)` \| ([^|]*) \|", chapter, re.MULTILINE)
    }
    assert set(rows) == set(KINDS)
    for key, field, kind in SETTINGS:
        default = getattr(SECTIONS[key.section](), field)
        if default not in (None, ()):
            assert kind.parse(rows[key].strip()) == default, key


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[sharq]\nmax_body_bytes : 1000\n", "max_body_bytes must be at least 262144"),
        ("[sharq]\nmax_payload_bytes : 16777216\nmax_body_bytes : 1\n", "must be at least 16777216"),
        ("[cluster]\nheartbeat_ttl : 1999\n", "heartbeat_ttl must be at least 2000"),
        ("[cluster]\nheartbeat_interval : 3000\n", "[cluster] heartbeat_ttl must be at least 6000"),
    ],
)
def test_settings_that_bound_each_other_are_checked_together(
    write: WriteConfig, content: str, expected: str
) -> None:
    assert expected in refusal(write(content))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[sharq-server]\ntls_cert:c", "[sharq-server] tls_cert: needs tls_key, which is not given"),
        ("[sharq-server]\ntls_key:k", "[sharq-server] tls_key: needs tls_cert, which is not given"),
        ("[cluster]\nlink_tls_ca:a", "[cluster] link_tls_ca: needs link_tls_cert, which is not given"),
        (
            "[cluster]\nlink_tls_cert:c\nlink_tls_key:k",
            "[cluster] link_tls_cert: needs link_tls_ca, which is not given",
        ),
    ],
)
def test_half_of_the_files_of_tls_is_refused(write: WriteConfig, content: str, expected: str) -> None:
    path = write(content)
    assert refusal(path) == f"{path}: {expected}"
