"""Tests the store that the [redis] keys name, and the notices about a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharq_core.config import StoreMode, load
from sharq_core.config.settings import KINDS
from sharq_core.errors import ConfigError
from tests.unit.sharq_core.config.config_files import WriteConfig, refusal


def redis_section(write: WriteConfig, *lines: str) -> Path:
    return write("\n".join(["[redis]", *lines, ""]))


@pytest.mark.parametrize(
    ("lines", "mode", "shown", "url"),
    [
        (["host:127.0.0.1"], StoreMode.SERVER, "redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        (["port:1", "db:2"], StoreMode.SERVER, "redis://127.0.0.1:1/2", "redis://127.0.0.1:1/2"),
        (["host:::1"], StoreMode.SERVER, "redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        (
            ["port:6379", "password:p@/w"],
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
        (["conn_type:unix_sock"], "unix_sock needs unix_socket_path"),
        (["unix_socket_path:/s", "host:h"], "set conn_type"),
        (["username:u"], "[redis] username: needs password"),
        (["tls_cert:c"], "[redis] tls_cert: needs tls_key"),
        (["tls_key:c"], "[redis] tls_key: needs tls_cert"),
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
        ("[redis]\n", {}, StoreMode.EMBEDDED),
        ("[redis]\ntimeout : 100\nkey_prefix : p\n", {}, StoreMode.EMBEDDED),
        ("[redis]\npassword : p\ndb : 1\n", {}, StoreMode.EMBEDDED),
        ("[redis]\nport : 6379\n", {}, StoreMode.SERVER),
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
        ("[redis]\nclustered : true\n", "[redis] clustered: has no effect"),
        ("[redis]\nkey_prefix : {sharq}\n", "[redis] key_prefix: its braces are dropped"),
    ],
)
def test_what_has_no_meaning_here_gets_one_line_of_notice(
    write: WriteConfig, content: str, expected: str
) -> None:
    (notice,) = load(write(content), {}).notices
    assert expected in notice


@pytest.mark.parametrize(
    ("content", "environ", "because"),
    [
        ("[redis]\ntimeout : 100\n", {}, "no key names a server"),
        ("[redis]\nhost : h\n", {}, "[redis] host"),
        ("", {"SHARQ_REDIS_URL": "redis://h"}, "SHARQ_REDIS_URL"),
    ],
)
def test_what_chose_the_store_is_known(
    write: WriteConfig, content: str, environ: dict[str, str], because: str
) -> None:
    assert because in load(write(content), environ).store_chosen_by


SECRET = "hunter2-is-my-password"


def said(file: Path | None, environ: dict[str, str]) -> str:
    """Return all that is said of a configuration, which may be refused."""
    try:
        config = load(file, environ)
    except ConfigError as error:
        return str(error)
    return "".join((*config.notices, config.store_chosen_by))


@pytest.mark.parametrize("value", [SECRET, f"redis://u:{SECRET}@h", f"u:{SECRET}@h:1", f"{SECRET} {SECRET}"])
def test_a_password_in_the_wrong_key_is_never_shown(write: WriteConfig, value: str) -> None:
    for key in KINDS:
        variable = f"SHARQ_{key.section}_{key.name}".replace("-", "_").upper()
        path = write(f"[{key.section}]\n{key.name} = {value}\n")
        for file, environ in ((path, {}), (None, {variable: value})):
            assert SECRET not in said(file, environ), key


@pytest.mark.parametrize(
    "content",
    [
        f"[redis]\npassword_file : {SECRET}\n",
        f"[cluster]\nsecret_file : {SECRET}\n",
        f"[redis]\npassword {SECRET}=\n",
        f"[redis]\npassword {SECRET}\n",
        f"[redis]\npassword {SECRET}=\npassword {SECRET}=\n",
        f"[password {SECRET}]\n",
        f"[redis]\nurl redis://u:{SECRET}@h\n",
        f"password : {SECRET}\n",
        f"[redis]\npassword : x\n  {SECRET}\n",
    ],
)
def test_a_password_in_a_broken_line_is_never_shown(write: WriteConfig, content: str) -> None:
    assert SECRET not in refusal(write(content))


def test_a_secret_file_may_begin_with_a_byte_order_mark(write: WriteConfig, tmp_path: Path) -> None:
    named = tmp_path / "secret"
    named.write_text("hush\n", encoding="utf-8-sig")
    password = load(redis_section(write, "host : h", f"password_file : {named}"), {}).store.password
    assert password is not None
    assert password.reveal() == "hush"


def test_a_password_without_a_server_is_noticed() -> None:
    (notice,) = load(None, {"SHARQ_REDIS_PASSWORD": "hunter2"}).notices
    assert notice == "SHARQ_REDIS_PASSWORD: has no effect: no server is named, so the embedded store is used"


def test_the_original_prefix_is_kept_beside_the_one_without_braces(write: WriteConfig) -> None:
    config = load(redis_section(write, "key_prefix : {sharq}"), {})
    assert (config.key_prefix, config.original_key_prefix) == ("sharq", "{sharq}")
