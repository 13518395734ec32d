"""Tests the order of settings from the file, the environment and the command line, and that secrets are kept."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sharq_core.config import (
    Key,
    Secret,
    StoreMode,
    load,
)
from sharq_core.errors import ConfigError
from tests.unit.sharq_core.config.config_files import WriteConfig, refusal, value


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
        ("[sharq]\nport : 1\n", "unknown key [sharq] port; port belongs in [sharq-server]"),
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
        "--port ([sharq-server] port): expected a whole number from 0 to 65535, got "
        "something else (not shown here: it may be a secret)"
    )


def test_an_option_is_named_as_it_is_typed() -> None:
    with pytest.raises(
        ConfigError, match=r"--node-id \(\[cluster\] node_id\): expected .*, got something else"
    ):
        load(None, {}, {Key("cluster", "node_id"): "no id!"})


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
        f"{path}: [redis] password and {path}: [redis] password_file are both given; give only one of them"
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
