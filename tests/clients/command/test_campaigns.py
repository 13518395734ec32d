"""`sharq` with windows, schedules and profiles."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from sharq_client import Client
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import Sharq


@pytest.fixture
def sharq(server: SharqServer) -> Sharq:
    return Sharq(server.url)


@pytest.fixture
def name() -> str:
    """A name of this test alone: windows and schedules are of the whole server."""
    return f"w-{uuid.uuid4().hex[:12]}"


def test_window_is_defined_shown_listed_and_dropped(
    client: Client, sharq: Sharq, server: SharqServer, name: str
) -> None:
    words = ["--tz", "Europe/Paris", "--open", "mon-sat 08:00-20:00", "--open", "sun 10:00-12:00"]
    said = sharq("window", "put", name, *words, "--except", "2099-07-14").out
    assert said == f"The window {name} is defined.\n"
    window = client.control.window(name)
    assert window is not None and (window.tz, window.closed_dates) == ("Europe/Paris", ["2099-07-14"])
    shown = sharq("window", "show", name).out
    assert shown.startswith(f"{name}\nnow      {'open' if window.is_open else 'closed'}\n")
    assert "open     mon-sat 08:00-20:00\nopen     sun 10:00-12:00\nzone     Europe/Paris\n" in shown
    document = sharq("window", "show", name, "--json").document
    assert document["open"][0] == {"days": "mon-sat", "from": "08:00", "to": "20:00"}
    assert (document["except"], document["uses"]) == (["2099-07-14"], 0)
    assert any(line.startswith(name) for line in sharq("window", "ls").out.splitlines())
    assert name in {row["name"] for row in sharq("window", "ls", "--json").documents}
    assert sharq("window", "drop", name).out == f"The window {name} is dropped.\n"
    for verb in ("show", "drop"):
        assert (
            sharq("window", verb, name, code=3).err == f"sharq: there is no window {name} at {server.url}\n"
        )


def test_window_in_use_is_kept(sharq: Sharq, kind: str, name: str) -> None:
    sharq("window", "put", name, "--tz", "UTC", "--open", "daily 08:00-20:00")
    sharq("set", kind, "acme", "--rate", "1/s", "--window", name)
    assert "use" in sharq("window", "drop", name, code=1).err
    sharq("set", kind, "acme", "--clear", "window")
    sharq("window", "drop", name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tz", "Mars/Base", "--open", "daily 08:00-20:00"], "tz: expected"),
        (["--tz", "UTC", "--open", "daily"], "--open: expected DAYS HH:MM-HH:MM"),
        (["--tz", "UTC", "--open", "someday 08:00-20:00"], "open"),
    ],
)
def test_wrong_window_is_refused_by_field(sharq: Sharq, name: str, words: list[str], message: str) -> None:
    assert message in sharq("window", "put", name, *words, code=2).err


def test_schedule_of_a_cron_expression(sharq: Sharq, kind: str, name: str) -> None:
    words = [kind, "acme", '{"of": "yesterday"}', "--cron", "0 9 * * mon-fri", "--tz", "Asia/Kolkata"]
    document = sharq("schedule", "put", name, *words, "--rate", "40/s", "--priority", "2", "--json").document
    assert (document["cron"], document["tz"], document["every"]) == ("0 9 * * mon-fri", "Asia/Kolkata", None)
    job = document["job"]
    assert (job["queue_type"], job["payload"], job["rate"], job["priority"]) == (
        kind, {"of": "yesterday"}, "40/s", 2,
    )  # fmt: skip
    assert "queue_type" not in document
    shown = sharq("schedule", "show", name).out
    assert "slots    0 9 * * mon-fri (Asia/Kolkata)\n" in shown and f"queue    {kind} acme\n" in shown


def test_schedule_is_paused_resumed_listed_and_dropped(
    sharq: Sharq, server: SharqServer, kind: str, name: str
) -> None:
    shown = sharq(
        "schedule", "put", name, kind, "acme", '"Still there?"', "--every", "60s", "--rate", "unlimited"
    )
    assert shown.out.startswith(f"{name}\nstate    active\nslots    every 1 min\nnext     2")
    assert sharq("schedule", "pause", name).out.startswith(f"The schedule {name} is paused.")
    (row,) = [row for row in sharq("schedule", "ls", "--json").documents if row["name"] == name]
    assert (row["paused"], row["every"], row["queue_id"]) == (True, 60_000, "acme")
    (line,) = [line for line in sharq("schedule", "ls").out.splitlines() if line.startswith(name)]
    assert "every 1 min" in line and "paused" in line
    sharq("schedule", "resume", name)
    assert sharq("schedule", "show", name, "--json").document["paused"] is False
    assert sharq("schedule", "drop", name, "--json").document == {"status": "success"}
    for verb in ("show", "pause", "resume", "drop"):
        message = f"sharq: there is no schedule {name} at {server.url}\n"
        assert sharq("schedule", verb, name, code=3).err == message


def test_schedule_needs_a_rate_or_says_that_it_comes_later(sharq: Sharq, kind: str, name: str) -> None:
    words = ["schedule", "put", name, kind, "acme", '"x"', "--every", "60s"]
    assert "job.interval: required" in sharq(*words, code=2).err
    assert sharq(*words, "--rate-later").out.startswith(f"{name}\nstate    active\n")
    sharq("schedule", "drop", name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (['"x"'], "expected --cron or --every"),
        (['"x"', "--every", "60s", "--cron", "* * * * *"], "expected --cron or --every"),
        (["x", "--every", "60s"], "PAYLOAD: expected JSON"),
        (['"x"', "--every", "60"], "--every: expected a duration"),
        (['"x"', "--cron", "0 25 * * *"], "cron: expected five fields"),
    ],
)
def test_wrong_schedule_is_refused_by_field(
    sharq: Sharq, kind: str, name: str, words: list[str], message: str
) -> None:
    assert message in sharq("schedule", "put", name, kind, "acme", *words, code=2).err


PROFILES = """
default = "local"

[local]
url = "{url}"

[production]
url = ["https://router-1.example:8080", "https://router-2.example:8080"]
token_file = "{token_file}"
ca = "~/ca.pem"
timeout = "30s"
"""


@pytest.fixture
def home(tmp_path: Path, server: SharqServer) -> Path:
    """A directory of configuration with two profiles."""
    (tmp_path / "sharq").mkdir()
    (tmp_path / "token").write_text("secret\n")
    text = PROFILES.format(url=server.url, token_file=tmp_path / "token")
    (tmp_path / "sharq" / "profiles.toml").write_text(text)
    return tmp_path


def shown(home: Path, *words: str, **environ: str | None) -> dict[str, object]:
    """Return the server that commands talk to."""
    sharq = Sharq("", **{"SHARQ_URL": None, "XDG_CONFIG_HOME": str(home), **environ})
    document: dict[str, object] = sharq("profile", "show", *words, "--json").document
    return document


ROUTERS = ["https://router-1.example:8080", "https://router-2.example:8080"]


def test_settings_come_from_the_nearest_place(home: Path, server: SharqServer) -> None:
    assert shown(home)["url"] == [server.url]
    by_variable = shown(home, SHARQ_PROFILE="production")
    assert (by_variable["url"], by_variable["token"], by_variable["timeout_s"]) == (ROUTERS, True, 30)
    assert by_variable["ca"] == str(Path("~/ca.pem").expanduser())
    environ = {"SHARQ_URL": "http://a:1 http://b:2", "SHARQ_PROFILE": "production"}
    assert shown(home, **environ) == {
        "url": ["http://a:1", "http://b:2"], "token": False, "ca": None, "timeout_s": 10,
    }  # fmt: skip
    named = shown(home, "--profile", "production", **environ)
    assert (named["url"], named["token"]) == (ROUTERS, True)
    given = shown(home, "--url", "http://c:3", "--timeout", "2s", SHARQ_PROFILE="production")
    # The token of a profile is not sent to the URL of somebody else.
    assert (given["url"], given["token"], given["timeout_s"]) == (["http://c:3"], False, 2)
    assert shown(home, "--url", "http://c:3", "--profile", "production")["token"] is True


def test_without_a_file_the_default_server_is_asked(tmp_path: Path) -> None:
    assert shown(tmp_path)["url"] == ["http://127.0.0.1:8080"]


def test_profiles_are_listed(home: Path, server: SharqServer) -> None:
    sharq = Sharq(server.url, XDG_CONFIG_HOME=str(home))
    assert [row["name"] for row in sharq("profile", "ls", "--json").documents] == ["local", "production"]
    assert (
        "secret" not in sharq("profile", "ls").out + sharq("profile", "show", "--profile", "production").out
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nurl = 1\n", "profile a: Expected"),
        ("[a]\nurll = 'x'\n", "profile a: Object contains unknown field `urll`"),
        ("[a\n", "profiles.toml"),
        ("default = 'b'\n[a]\nurl = 'http://a:1'\n", "default: expected the name of a profile, got 'b'"),
        ("[b]\nurl = 'http://a:1'\n", "there is no profile a in "),
        ("[a]\nurl = 'http://a:1'\ntoken_file = '/nowhere/token'\n", "token_file of the profile"),
    ],
)
def test_wrong_profile_is_wrong_usage(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "sharq").mkdir()
    (tmp_path / "sharq" / "profiles.toml").write_text(text)
    sharq = Sharq("", SHARQ_URL=None, XDG_CONFIG_HOME=str(tmp_path))
    assert message in sharq("types", "--profile", "a", code=2).err
