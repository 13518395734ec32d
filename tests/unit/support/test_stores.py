"""The test stores themselves: what other tests take for granted of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.support.pids import until_gone
from tests.support.stores.server import StoreFactory, StoreServer
from tests.support.tools import missing_tool

ROOT = Path(__file__).parents[3]


def test_shared_store_answers_by_tcp_and_by_its_socket(store: StoreServer, prefix: str) -> None:
    with store.client() as by_tcp, redis.Redis.from_url(store.socket_url) as by_socket:
        by_tcp.set(prefix, "here")
        assert by_socket.get(prefix) == b"here"


def test_shared_store_evicts_nothing_and_writes_nothing_to_disk(store: StoreServer) -> None:
    with store.client() as client:
        settings = client.config_get("maxmemory-policy", "save", "appendonly")
    assert settings == {"maxmemory-policy": "noeviction", "save": "", "appendonly": "no"}


def test_own_store_starts_again_on_its_port_with_its_data(own_store: StoreFactory) -> None:
    server = own_store("--appendonly", "yes")
    first_pid = server.pid
    with server.client() as client:
        client.set("kept", "1")
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(first_pid, 0)
    server.start()
    with server.client() as client:
        assert client.get("kept") == b"1"


def test_paused_store_does_not_answer_until_it_is_resumed(own_store: StoreFactory) -> None:
    server = own_store()
    with server.client(timeout_s=0.2) as client:
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
    server.resume()
    with server.client() as client:
        assert client.ping() is True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to the life of its parent")
def test_store_ends_when_its_test_process_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time; from tests.support.stores.server import StoreServer;"
        "server = StoreServer('valkey', pathlib.Path(sys.argv[1])); server.start();"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tester:
        assert tester.stdout is not None
        store_pid = int(tester.stdout.readline())
        tester.kill()
    until_gone([store_pid])


def test_store_that_cannot_start_says_why(own_store: StoreFactory) -> None:
    with pytest.raises(RuntimeError, match="maxmemory-policy"):
        own_store("--maxmemory-policy", "perhaps")


def test_missing_tool_skips_on_a_laptop_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="frobnicator"):
        missing_tool("frobnicator")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="frobnicator"):
        missing_tool("frobnicator")
