"""The configuration: every key, every kind of wrong value, the sources in their order, and secrets kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sharq_core.config import (
    Address,
    AuthSettings,
    ClusterSettings,
    Config,
    Key,
    RedisSettings,
    Secret,
    ServerSettings,
    SharqSettings,
    StoreMode,
    load,
)
from sharq_core.config.settings import KINDS, SECTIONS, SETTINGS
from sharq_core.errors import ConfigError

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"

WriteConfig = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteConfig:
    def write_config(content: str | bytes) -> Path:
        path = tmp_path / "sharq.conf"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_config


def refusal(path: Path | None, environ: dict[str, str] | None = None, **options: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(path, environ or {}, {Key("sharq-server", name): text for name, text in options.items()})
    return str(refused.value)


def value(config: Config, section: str, field: str) -> object:
    settings = {"sharq-server": config.server}.get(section)
    found: object = getattr(settings or getattr(config, section), field)
    return found


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
    ("sharq", "max_payload_bytes", "1024", 1024),
    ("sharq", "max_body_bytes", "268435456", 268_435_456),
    ("sharq-server", "host", "0.0.0.0", "0.0.0.0"),
    ("sharq-server", "host", "[::1]", "::1"),
    ("sharq-server", "host", "my-host.example", "my-host.example"),
    ("sharq-server", "port", "0", 0),
    ("sharq-server", "accesslog", "off", None),
    ("sharq-server", "accesslog", "logs/access.log", Path("logs/access.log")),
    ("sharq-server", "shutdown_timeout", "0", 0),
    ("sharq-server", "max_connections", "5", 5),
    ("sharq-server", "header_timeout", "100", 100),
    ("sharq-server", "body_timeout", "3600000", 3_600_000),
    ("sharq-server", "answer_timeout", "200", 200),
    ("sharq-server", "keepalive_timeout", "300", 300),
    ("sharq-server", "workers", "1", 1),
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
    ("cluster", "partitions", "256", 256),
    ("cluster", "node_id", "shard-1", "shard-1"),
    ("cluster", "listen", "0.0.0.0:9000", Address("0.0.0.0", 9000)),
    ("cluster", "listen", "[::]:9000", Address("::", 9000)),
    ("cluster", "shards", "a:1, b:2", (Address("a", 1), Address("b", 2))),
    ("cluster", "secret", "s3", Secret("s3")),
    ("cluster", "heartbeat_interval", "500", 500),
    ("cluster", "heartbeat_ttl", "2000", 2000),
    ("auth", "tokens_file", "tokens", Path("tokens")),
    ("auth", "metrics_open", "yes", True),
    ("auth", "allow_anonymous", "yes", True),
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
    ("sharq", "max_payload_bytes", ["0", "16777217", "256k"]),
    ("sharq", "max_body_bytes", ["0", "268435457", "16M"]),
    ("sharq-server", "host", ["a b", "127.0.0.1:80", "http://h", "::g", "a/b", "*"]),
    ("sharq-server", "port", ["-1", "65536", "http", "80.0", "9" * 400]),
    ("sharq-server", "shutdown_timeout", ["-1", "3600001", "10s"]),
    ("sharq-server", "max_connections", ["0", "1000001", "many"]),
    ("sharq-server", "header_timeout", ["99", "3600001", "10s"]),
    ("sharq-server", "body_timeout", ["99", "3600001", "10s"]),
    ("sharq-server", "answer_timeout", ["99", "3600001", "10s"]),
    ("sharq-server", "keepalive_timeout", ["99", "3600001", "10s"]),
    ("sharq-server", "workers", ["0", "-1", "auto"]),
    ("redis", "conn_type", ["tcp", "unix"]),
    ("redis", "host", ["redis://h", "h:6379"]),
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
    ("cluster", "partitions", ["0", "4097", "x"]),
    ("cluster", "node_id", ["a b"]),
    ("cluster", "listen", ["h:x", "a:1, b:2"]),
    ("cluster", "shards", ["h:99999"]),
    ("cluster", "heartbeat_interval", ["49", "60001"]),
    ("cluster", "heartbeat_ttl", ["99", "600001"]),
    ("auth", "metrics_open", ["nein"]),
    ("auth", "allow_anonymous", ["nein"]),
]


@pytest.mark.parametrize(
    ("section", "name", "text"), [(section, name, text) for section, name, texts in BAD for text in texts]
)
def test_a_wrong_value_is_refused_with_its_place_and_what_it_may_be(
    write: WriteConfig, section: str, name: str, text: str
) -> None:
    path = write(f"[{section}]\n{name} = {text}\n")
    message = refusal(path)
    assert message.startswith(
        f"{path}: [{section}] {name}: expected {KINDS[Key(section, name)].expected}, got "
    )
    assert repr(text[:100]) in message
    variable = f"SHARQ_{section}_{name}".replace("-", "_").upper()
    message = refusal(None, {variable: text})
    assert message.startswith(f"{variable} ([{section}] {name}): expected ")


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
        max_payload_bytes=262_144,
        max_body_bytes=16_777_216,
    )
    assert config.server == ServerSettings(
        host="127.0.0.1", port=8080, accesslog=None, shutdown_timeout_ms=10_000, workers=1
    )
    assert config.redis == RedisSettings(
        key_prefix="sharq_server", timeout_ms=2000, durability="fast", strict_store=False
    )
    assert config.cluster == ClusterSettings(partitions=64, heartbeat_interval_ms=1000, heartbeat_ttl_ms=5000)
    assert config.auth == AuthSettings(tokens_file=None, metrics_open=False, allow_anonymous=False)
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
    "content",
    [
        "[sharq-server]\nport : 99\n",
        "[sharq-server]\nport=99\n",
        "[sharq-server]\nPORT  :  99  ; a comment\n",
        "[sharq-server]\r\nport : 99\t \r\n",
        "\ufeff[sharq-server]\nport : 99\n",
        "; comment\n# comment\n;; comment\n\n[sharq-server]\n  # indented comment\n  port : 99\n",
        "[sharq-server]\nhost :\nport : 99\n",
    ],
)
def test_the_file_may_be_written_in_many_ways(write: WriteConfig, content: str) -> None:
    config = load(write(content), {})
    assert (config.server.host, config.server.port) == ("127.0.0.1", 99)


def test_signs_of_other_ini_dialects_are_plain_text(write: WriteConfig) -> None:
    config = load(write("[redis]\npassword : 100%(x)s;y$ #z\n"), {})
    assert config.redis.password == Secret("100%(x)s;y$ #z")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[sharq-sever]\n", "unknown section [sharq-sever]; did you mean sharq-server?"),
        ("[DEFAULT]\nport : 1\n", "unknown section [DEFAULT]"),
        (
            "[sharq]\njob_expire_intervall : 1\n",
            "[sharq] job_expire_intervall; did you mean job_expire_interval?",
        ),
        ("[sharq]\nport : 1\n", "unknown key [sharq] port; port belongs into [sharq-server]"),
        ("[redis]\nxyzzy : 1\n", "unknown key [redis] xyzzy"),
        ("[redis]\nport_file : 1\n", "unknown key [redis] port_file"),
        ("[redis]\npasword_file : p\n", "unknown key [redis] pasword_file; did you mean password_file?"),
        ("[sharq]\n[redis]\n[sharq]\n", "line 3: [sharq] is opened a second time"),
        ("[sharq-server]\nport : 1\nport : 2\n", "line 3: [sharq-server] port is given a second time"),
        ("port : 1\n", "line 1: stands before the first [section]"),
        ("[sharq-server]\nport 80\n", "line 2: expected [section], key : value or key = value"),
        ("[sharq-server]\nhost : h\n  port : 80\n", "[sharq-server] host: a value is one line"),
        (b"[sharq]\n\n# caf\xe9\n", "line 3: is not UTF-8"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(
    write: WriteConfig, content: str | bytes, expected: str
) -> None:
    path = write(content)
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    assert expected in message


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none.conf"
    assert refusal(missing) == f"{missing}: cannot be read: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(write: WriteConfig) -> None:
    path = write("[sharq-server]\nport : 1\nhost : file\nshutdown_timeout : 1\n")
    environ = {"SHARQ_SERVER_PORT": "2", "SHARQ_SERVER_HOST": "env"}
    config = load(path, environ, {Key("sharq-server", "port"): "3"})
    assert (config.server.port, config.server.host, config.server.shutdown_timeout_ms) == (3, "env", 1)


def test_a_wrong_option_is_refused_by_its_name() -> None:
    assert refusal(None, port="eighty") == (
        "--port ([sharq-server] port): expected a whole number from 0 to 65535, got 'eighty'"
    )


def test_an_empty_value_counts_as_absent_everywhere(write: WriteConfig) -> None:
    path = write("[sharq-server]\nport : 7\n[redis]\npassword :\n")
    config = load(path, {"SHARQ_SERVER_PORT": " ", "SHARQ_REDIS_URL": ""}, {Key("sharq-server", "port"): ""})
    assert config.server.port == 7
    assert config.store.password is None


def test_the_servers_section_has_a_long_and_a_short_variable() -> None:
    assert load(None, {"SHARQ_SHARQ_SERVER_PORT": "5"}).server.port == 5
    assert load(None, {"SHARQ_SERVER_PORT": "5"}).server.port == 5
    both = {"SHARQ_SHARQ_SERVER_PORT": "5", "SHARQ_SERVER_PORT": "6"}
    assert (
        refusal(None, both) == "SHARQ_SHARQ_SERVER_PORT and SHARQ_SERVER_PORT both give [sharq-server] port"
    )


def test_an_unknown_variable_is_noticed_and_its_value_not_shown() -> None:
    config = load(None, {"SHARQ_REDIS_PASWORD": "hunter2", "HOME": "x", "OTHER_SHARQ_X": "y"})
    (notice,) = config.notices
    assert notice == "SHARQ_REDIS_PASWORD: no such setting, not used; did you mean SHARQ_REDIS_PASSWORD?"


def test_a_kubernetes_service_link_is_not_taken_for_a_port() -> None:
    config = load(
        None, {"SHARQ_SERVER_PORT": "tcp://10.0.0.1:8080", "SHARQ_REDIS_PORT": "tcp://10.0.0.2:6379"}
    )
    assert config.server.port == 8080
    assert config.store.mode is StoreMode.EMBEDDED
    assert [notice.partition(":")[0] for notice in config.notices] == [
        "SHARQ_REDIS_PORT",
        "SHARQ_SERVER_PORT",
    ]


@pytest.mark.parametrize(
    ("section", "name"), [("redis", "password"), ("cluster", "secret"), ("redis", "url")]
)
def test_a_secret_can_be_read_from_a_file(
    write: WriteConfig, tmp_path: Path, section: str, name: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("\n redis://from-file:1/0 \n")
    config = load(write(f"[{section}]\n{name}_file : {secret}\n"), {})
    assert value(config, section, name) == Secret("redis://from-file:1/0")
    variable = f"SHARQ_{section}_{name}_FILE".upper()
    assert value(load(None, {variable: str(secret)}), section, name) == Secret("redis://from-file:1/0")


def test_a_secret_from_a_file_in_the_environment_wins_over_one_in_the_configuration(
    write: WriteConfig, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("new")
    path = write("[redis]\npassword : old\n")
    config = load(path, {"SHARQ_REDIS_PASSWORD_FILE": str(tmp_path / "secret")})
    assert config.redis.password == Secret("new")


def test_a_secret_given_twice_in_one_place_is_refused(write: WriteConfig, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    path = write(f"[redis]\npassword : hunter2\npassword_file : {tmp_path / 'secret'}\n")
    assert refusal(path) == (
        f"{path}: [redis] password and {path}: [redis] password_file are both given; one of them is enough"
    )
    environ = {"SHARQ_CLUSTER_SECRET": "hunter2", "SHARQ_CLUSTER_SECRET_FILE": str(tmp_path / "secret")}
    assert "SHARQ_CLUSTER_SECRET and SHARQ_CLUSTER_SECRET_FILE are both given" in refusal(None, environ)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_a_secret_file_without_a_secret_is_refused(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    message = refusal(None, {"SHARQ_REDIS_PASSWORD_FILE": str(secret)})
    assert message.startswith(f"SHARQ_REDIS_PASSWORD_FILE: {secret} ")
    assert expected in message


def test_a_secret_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x" * 70_000)
    assert "is larger than 65536 bytes" in refusal(
        None, {"SHARQ_CLUSTER_SECRET_FILE": str(tmp_path / "secret")}
    )


def redis_section(write: WriteConfig, *lines: str) -> Path:
    return write("\n".join(["[redis]", *lines, ""]))


@pytest.mark.parametrize(
    ("lines", "mode", "shown", "url"),
    [
        ([], StoreMode.SERVER, "redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        (["port:1", "db:2"], StoreMode.SERVER, "redis://127.0.0.1:1/2", "redis://127.0.0.1:1/2"),
        (["host:::1"], StoreMode.SERVER, "redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        (
            ["password:p@/w"],
            StoreMode.SERVER,
            "redis://127.0.0.1:6379/0",
            "redis://:p%40%2Fw@127.0.0.1:6379/0",
        ),
        (["unix_socket_path:/a b"], StoreMode.SERVER, "unix:///a%20b?db=0", "unix:///a%20b?db=0"),
        (
            ["conn_type:unix_sock", "unix_socket_path:/s", "host:h", "port:1", "db:4"],
            StoreMode.SERVER,
            "unix:///s?db=4",
            "unix:///s?db=4",
        ),
        (
            ["conn_type:tcp_sock", "unix_socket_path:/s", "host:h"],
            StoreMode.SERVER,
            "redis://h:6379/0",
            "redis://h:6379/0",
        ),
        (
            ["url:redis://u:p%2Fw@h:1/2"],
            StoreMode.SERVER,
            "redis://h:1/2",
            "redis://u:p%2Fw@h:1/2",
        ),
        (["url:redis://h", "password:p"], StoreMode.SERVER, "redis://h:6379/0", "redis://:p@h:6379/0"),
        (["url:unix://:p@/s?db=3"], StoreMode.SERVER, "unix:///s?db=3", "unix://:p@/s?db=3"),
        (
            ["url:rediss://h", "tls_ca:/c a"],
            StoreMode.SERVER,
            "rediss://h:6379/0?ssl_ca_certs=%2Fc+a",
            "rediss://h:6379/0?ssl_ca_certs=%2Fc+a",
        ),
        (["host:h", "tls_ca:/c"], StoreMode.SERVER, "rediss://h:6379/0?ssl_ca_certs=%2Fc", None),
        (
            ["sentinels:a,b:2", "sentinel_service:m", "db:1"],
            StoreMode.SENTINEL,
            "redis://a:26379,b:2/1",
            None,
        ),
        (["nodes:a,b:2", "db:0"], StoreMode.CLUSTER, "redis://a:6379,b:2/0", None),
    ],
)
def test_the_redis_keys_name_a_store(
    write: WriteConfig, lines: list[str], mode: StoreMode, shown: str, url: str | None
) -> None:
    store = load(redis_section(write, *lines), {}).store
    assert (store.mode, str(store)) == (mode, shown)
    if url is not None:
        assert store.url.reveal() == url


SENTINELS = ["sentinels:s", "sentinel_service:m"]


@pytest.mark.parametrize(
    ("lines", "url", "other"),
    [
        ([], "redis://s:26379/0", "redis://s:26379/0"),
        (["username:u", "password:p", "db:3"], "redis://u:p@s:26379/0", "redis://s:26379/0"),
        (["password:p", "sentinel_password:q"], "redis://:q@s:26379/0", "redis://:q@s:26379/0"),
        (
            ["username:u", "password:p", "sentinel_username:v", "sentinel_password:q"],
            "redis://v:q@s:26379/0",
            "redis://v:q@s:26379/0",
        ),
        (["tls_ca:c"], "rediss://s:26379/0?ssl_ca_certs=c", "rediss://s:26379/0?ssl_ca_certs=c"),
        (["tls_ca:c", "sentinel_tls:no"], "redis://s:26379/0", "redis://s:26379/0"),
        (["sentinel_tls:yes"], "rediss://s:26379/0", "rediss://s:26379/0"),
        (
            ["password:p", "tls_ca:c", "sentinel_tls_ca:d"],
            "rediss://:p@s:26379/0?ssl_ca_certs=d",
            "rediss://s:26379/0?ssl_ca_certs=d",
        ),
    ],
)
def test_sentinels_are_reached_as_the_servers_unless_they_have_keys_of_their_own(
    write: WriteConfig, lines: list[str], url: str, other: str
) -> None:
    store = load(redis_section(write, *SENTINELS, *lines), {}).store
    assert store.sentinel_urls() == [(url, other)]
    if "sentinel_tls_ca:d" in lines:
        assert store.url_of("h", 1) == "rediss://:p@h:1/0?ssl_ca_certs=c", "the servers keep theirs"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["url:redis://h", "host:i"], "[redis] host contradicts"),
        (["url:redis://h", "db:1"], "[redis] db contradicts"),
        (["url:redis://h", "conn_type:tcp_sock"], "[redis] conn_type contradicts"),
        (["url:redis://h", "sentinels:s", "sentinel_service:m"], "[redis] sentinels contradicts"),
        (["url:redis://h", "nodes:n"], "[redis] nodes contradicts"),
        (["url:redis://:p@h", "password:q"], "which holds a user or a password"),
        (["url:redis://h", "tls_ca:c"], "TLS needs rediss://"),
        (["url:unix:///s", "tls_ca:c"], "a unix socket has no TLS"),
        (["sentinels:s"], "[redis] sentinels: needs sentinel_service"),
        (["sentinel_service:s"], "[redis] sentinel_service: needs sentinels"),
        (["sentinels:s", "sentinel_service:m", "host:h"], "[redis] host contradicts"),
        (["sentinels:s", "sentinel_service:m", "nodes:n"], "[redis] nodes contradicts"),
        (["sentinels:s", "sentinel_service:m", "conn_type:unix_sock"], "unix_sock contradicts"),
        (["nodes:n", "port:1"], "[redis] port contradicts"),
        (["nodes:n", "db:1"], "[redis] db: expected 0"),
        (["nodes:n", "unix_socket_path:/s"], "[redis] unix_socket_path contradicts"),
        (["conn_type:unix_sock"], "unix_sock needs unix_socket_path"),
        (["unix_socket_path:/s", "host:h"], "say conn_type"),
        (["username:u"], "[redis] username: needs password"),
        (["tls_cert:c"], "[redis] tls_cert: needs tls_key"),
        (["tls_key:c"], "[redis] tls_key: needs tls_cert"),
        (["sentinel_password:p"], "[redis] sentinel_password: needs sentinels"),
        (["nodes:n", "sentinel_tls:on"], "[redis] sentinel_tls: needs sentinels"),
        ([*SENTINELS, "sentinel_username:u"], "[redis] sentinel_username: needs sentinel_password"),
        ([*SENTINELS, "sentinel_tls_cert:c"], "[redis] sentinel_tls_cert: needs sentinel_tls_key"),
        ([*SENTINELS, "sentinel_tls_key:c"], "[redis] sentinel_tls_key: needs sentinel_tls_cert"),
        ([*SENTINELS, "sentinel_tls:off", "sentinel_tls_ca:c"], "[redis] sentinel_tls_ca contradicts"),
        (
            ["host:h", "durability:synced"],
            "[redis] timeout must be at least 5000, because of [redis] durability",
        ),
    ],
)
def test_redis_keys_that_contradict_each_other_are_refused(
    write: WriteConfig, lines: list[str], expected: str
) -> None:
    path = redis_section(write, *lines)
    message = refusal(path)
    assert str(path) in message
    assert expected in message


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


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "h:6379",
        "redis://",
        "redis://h:x",
        "redis://h/one",
        "redis://h/1/2",
        "redis://h?ssl=1",
        "redis://h#f",
        "redis://@h",
        "redis://[::1",
        "unix://",
        "unix://h/s",
        "unix:///s?db=x",
        "unix:///s?user=x",
    ],
)
def test_a_wrong_url_is_refused_and_not_shown(write: WriteConfig, url: str) -> None:
    path = redis_section(write, f"url : {url}")
    message = refusal(path)
    assert message.startswith(f"{path}: [redis] url: expected redis://host:port/db")
    assert url not in message.removeprefix(str(path)).replace("redis://host", "").replace("unix:///path", "")


@pytest.mark.parametrize(
    ("content", "environ", "mode"),
    [
        ("", {}, StoreMode.EMBEDDED),
        ("[redis]\n", {}, StoreMode.SERVER),
        ("", {"SHARQ_REDIS_TIMEOUT": "100", "SHARQ_REDIS_KEY_PREFIX": "p"}, StoreMode.EMBEDDED),
        ("", {"SHARQ_REDIS_HOST": "h"}, StoreMode.SERVER),
        ("", {"SHARQ_REDIS_PORT": "1"}, StoreMode.SERVER),
        ("", {"SHARQ_REDIS_URL": "redis://h"}, StoreMode.SERVER),
        ("", {"SHARQ_REDIS_UNIX_SOCKET_PATH": "/s"}, StoreMode.SERVER),
        ("", {"SHARQ_REDIS_NODES": "h"}, StoreMode.CLUSTER),
        ("", {"SHARQ_REDIS_SENTINELS": "h", "SHARQ_REDIS_SENTINEL_SERVICE": "m"}, StoreMode.SENTINEL),
    ],
)
def test_the_embedded_store_is_for_who_names_no_server(
    write: WriteConfig, content: str, environ: dict[str, str], mode: StoreMode
) -> None:
    assert load(write(content), environ).store.mode is mode


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[sharq-server]\nworkers : 4\n", "[sharq-server] workers: 4 has no effect"),
        ("[redis]\nclustered : true\n", "[redis] clustered: has no effect"),
        ("[redis]\nkey_prefix : {sharq}\n", "[redis] key_prefix: braces are dropped: the prefix is sharq"),
    ],
)
def test_what_has_no_meaning_here_gets_one_line_of_notice(
    write: WriteConfig, content: str, expected: str
) -> None:
    (notice,) = load(write(content), {}).notices
    assert expected in notice


def test_a_password_without_a_server_is_noticed() -> None:
    (notice,) = load(None, {"SHARQ_REDIS_PASSWORD": "hunter2"}).notices
    assert notice == "SHARQ_REDIS_PASSWORD: has no effect: no server is named, so the embedded store is used"


def test_the_original_prefix_is_kept_beside_the_one_without_braces(write: WriteConfig) -> None:
    config = load(redis_section(write, "key_prefix : {sharq}"), {})
    assert (config.key_prefix, config.original_key_prefix) == ("sharq", "{sharq}")


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


def everything_said(write: WriteConfig, content: str, environ: dict[str, str]) -> str:
    try:
        config = load(write(content), environ)
    except ConfigError as error:
        return f"{error} {error!r} {error.__cause__!r} {error.__suppress_context__}"
    return f"{config!r} {config} {config.store} {config.notices} {list(config.redis.__rich_repr__())}"


@pytest.mark.parametrize(
    "content",
    [
        "[redis]\npassword : hunter2\n",
        "[redis]\nurl : redis://u:hunter2@h\n",
        "[redis]\nurl : redis://u:hunter2@h/x\n",
        "[redis]\nurl : redis://u:hunter2@h\npassword : hunter2\n",
        "[redis]\npassword hunter2\n",
        "[redis]\npassword : a\n hunter2\n",
        "[redis]\npassword : hunter2\npassword : hunter2\n",
        "[cluster]\nsecret : hunter2\n",
        "hunter2\n",
    ],
)
def test_a_secret_is_never_said(write: WriteConfig, content: str) -> None:
    said = everything_said(write, content, {"SHARQ_CLUSTER_SECRET": "hunter2"})
    assert "hunter2" not in said
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret("hunter2"))
