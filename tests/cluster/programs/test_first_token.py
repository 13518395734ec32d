"""`sharq-server --make-token`: one token at the first start, printed once, kept as a hash, and used from then on."""

from __future__ import annotations

import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from router.access.token_file import new_token, read_tokens
from sharq_core.config import Config, load
from sharq_core.errors import ConfigError
from sharq_server.first_token import require_tokens
from tests.support.processes.commands import ended
from tests.support.processes.servers import SharqProcess, SharqServer
from tests.support.stores.server import StoreFactory, StoreServer
from tests.support.waits import wait_until

TOKEN = re.compile(r"\bsharq_[A-Za-z0-9_-]{43}\b")


@pytest.fixture
def started() -> Iterator[list[SharqProcess]]:
    """The processes that a test starts; they are stopped at its end."""
    processes: list[SharqProcess] = []
    yield processes
    for process in processes:
        process.stop()


@pytest.fixture
def store(own_store: StoreFactory) -> StoreServer:
    """One of one kind is enough here."""
    return own_store()


def status(server: SharqProcess, token: str | None = None) -> int:
    """The HTTP status of a call of a queue with a token, or without one."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{server.url}/types/", headers=headers)
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def without_configuration(**environ: str) -> Config:
    return load(None, environ)


def test_first_start_prints_a_token_and_later_ones_ask_for_it(
    tmp_path: Path, started: list[SharqProcess]
) -> None:
    server = SharqServer(tmp_path, "--data-dir", "data", "--make-token")
    started.append(server)
    server.start()
    said = ("SHARQ_AUTH_ALLOW_ANONYMOUS=true", "Authorization: Bearer")
    server.until(lambda: TOKEN.search(server.log) is not None and all(text in server.log for text in said))
    (token,) = TOKEN.findall(server.log)
    assert (status(server), status(server, token), status(server, f"{token}x")) == (401, 200, 401)
    path = tmp_path / "data" / "tokens"
    assert path.stat().st_mode & 0o777 == 0o600
    assert token not in path.read_text()
    assert [(known.name, known.digest) for known in read_tokens(path)] == [
        ("first", sha256(token.encode()).digest())
    ]
    assert not list(path.parent.glob("tokens.*"))
    assert server.stop() == 0
    server.start()
    server.until(lambda: f"tokens_in_force path={path}" in server.log)
    assert TOKEN.findall(server.log) == [token]
    assert (status(server), status(server, token)) == (401, 200)


def test_two_servers_on_one_directory_print_one_token_and_both_take_it(
    tmp_path: Path, store: StoreServer, started: list[SharqProcess]
) -> None:
    environ = {"SHARQ_REDIS_URL": store.url}
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        words = ("--data-dir", str(tmp_path / "shared"), "--make-token")
        started.append(SharqServer(folder, *words, environ=environ))
    for server in started:
        server.launch()
    for server in started:
        server.until_status(200)
    wait_until(lambda: any(TOKEN.search(server.log) for server in started))
    (token,) = [token for server in started for token in TOKEN.findall(server.log)]
    assert [status(server, token) for server in started] == [200, 200]
    assert [status(server) for server in started] == [401, 401]
    assert not any("--data-dir: has no effect" in server.log for server in started)


def test_of_many_that_make_the_file_at_once_one_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = without_configuration()
    for number in range(20):
        barrier = threading.Barrier(8)

        def make(folder: Path, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            require_tokens(config, folder)

        threads = [threading.Thread(target=make, args=(tmp_path / str(number),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (token,) = TOKEN.findall(capsys.readouterr().out)
        (known,) = read_tokens(tmp_path / str(number) / "tokens")
        assert known.digest == sha256(token.encode()).digest()
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == ["tokens"]


def test_no_token_is_made_if_the_configuration_says_who_may_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    own.write_text(new_token("a")[1])
    for environ in ({"SHARQ_AUTH_TOKENS_FILE": str(own)}, {"SHARQ_AUTH_ALLOW_ANONYMOUS": "true"}):
        config = without_configuration(**environ)
        assert require_tokens(config, tmp_path / "data") is config
    assert not (tmp_path / "data").exists()
    assert capsys.readouterr().out == ""


def test_a_file_that_is_there_is_used_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = new_token("mine")[1]
    (tmp_path / "tokens").write_text(line)
    config = require_tokens(without_configuration(), tmp_path)
    assert config.auth.tokens_file == tmp_path / "tokens"
    assert (tmp_path / "tokens").read_text() == line
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(
    os.geteuid() == 0, reason="root may write everywhere; tests/deploy does this as another user"
)
def test_a_directory_that_cannot_be_written_is_named_with_the_ways_on(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be made: Permission denied"):
        require_tokens(without_configuration(), tmp_path)


def test_a_path_that_is_no_directory_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    words = ["--data-dir", "data", "--make-token", "--port", "0"]
    done = ended("sharq_server.main", *words, directory=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"sharq-server: --make-token: {tmp_path}/data/tokens cannot be made: ")
    for way in (f"user {os.getuid()}", "SHARQ_AUTH_TOKENS_FILE", "SHARQ_AUTH_ALLOW_ANONYMOUS"):
        assert way in said


def test_a_server_that_cannot_listen_makes_no_token(tmp_path: Path, started: list[SharqProcess]) -> None:
    first = SharqServer(tmp_path, "--data-dir", "data")
    started.append(first)
    first.start()
    words = ["--data-dir", "other", "--make-token", "--port", str(first.port)]
    done = ended("sharq_server.main", *words, directory=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert not (tmp_path / "other").exists()
