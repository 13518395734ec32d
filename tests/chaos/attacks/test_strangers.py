"""Strangers who hold connections, heads, handshakes and links, or send what is none: what an honest client notices.

Times are printed and not asserted: what the machine does besides is not known here. Memory has a bound.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sharq_core.config import parse_url
from sharq_core.process.launch import tied
from tests.chaos.attacks.strangers import ATTACKS
from tests.chaos.stage import is_quick
from tests.support.processes.servers import SharqCluster, SharqProcess, running_server
from tests.support.stores.groups import make_certificates
from tests.support.stores.server import StoreServer, running_store

HOLD_S = 1.5 if is_quick() else 20.0
"""The length of each measurement; the attack begins a second before its own."""

MORE_MIB = 150
"""More memory than before that an attack may take: 32 MiB of heads, and what Python adds."""

_HONEST = """
import http.client, json, ssl, sys, time
port, seconds, scheme = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def connect():
    if scheme == "https":
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=20)
kept, took, failed, number, end = connect(), {"kept": [], "new": []}, [], 0, time.monotonic() + seconds
while time.monotonic() < end:
    for how in ("kept", "kept", "kept", "new"):
        client = kept if how == "kept" else connect()
        began = time.monotonic()
        number += 1
        try:
            body = json.dumps({"job_id": f"{began}-{number}", "interval": 0, "payload": 1})
            client.request("POST", "/enqueue/honest/q/", body)
            answer = client.getresponse()
            answer.read()
            failed += [answer.status] if answer.status != 201 else []
        except OSError as error:
            failed.append(repr(error))
            client.close()
        took[how].append(time.monotonic() - began)
        if how == "new":
            client.close()
        time.sleep(0.004)
p99 = {how: sorted(times)[int(len(times) * 0.99)] * 1000 for how, times in took.items()}
print(json.dumps({"failed": failed, **p99}))
"""


@pytest.fixture(scope="module")
def store() -> Iterator[StoreServer]:
    with running_store("valkey") as running:
        yield running


@pytest.fixture(scope="module")
def server(store: StoreServer) -> Iterator[SharqProcess]:
    environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": "plain"}
    with running_server(environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
def tls_server(store: StoreServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharqProcess]:
    directory = tmp_path_factory.mktemp("tls")
    files = make_certificates(directory / "made")
    environ = {
        "SHARQ_REDIS_URL": store.url,
        "SHARQ_REDIS_KEY_PREFIX": "tls",
        "SHARQ_SERVER_TLS_CERT": str(files / "cert.pem"),
        "SHARQ_SERVER_TLS_KEY": str(files / "key.pem"),
        "SHARQ_SERVER_MAX_CONNECTIONS": "200",
    }
    words = ["--port", "0", "--data-dir", str(directory / "data")]
    process = SharqProcess("sharq_server.main", directory, "server", 0, words, environ)
    process.launch()
    process.until(lambda: "Listening on:" in process.log)
    process.port = int(process.log.split("Listening on:")[1].split()[0].rpartition(":")[2])
    yield process
    process.stop()


@pytest.fixture(scope="module")
def cluster(store: StoreServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharqCluster]:
    environ = {"SHARQ_REDIS_KEY_PREFIX": "cluster"}
    made = SharqCluster(
        tmp_path_factory.mktemp("cluster"), parse_url(store.url), environ, routers=1, shards=1
    )
    made.start()
    yield made
    made.stop()


class Met(msgspec.Struct):
    """The experience of an honest client: times in ms, and its failures."""

    kept: float
    new: float
    failed: list[int | str]


def honest(port: int, scheme: str) -> Met:
    """Run an honest client in a process of its own; return 99th percentiles in ms, and failures."""
    words = [sys.executable, "-c", _HONEST, str(port), str(HOLD_S), scheme]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return msgspec.json.decode(done.stdout, type=Met)


def memory_mib(process: SharqProcess) -> float:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 / (1 << 20)


def check(attack: str, attacked: SharqProcess, asked: SharqProcess, scheme: str = "http") -> None:
    """Measure without and with the attack, and print both."""
    before, calm = memory_mib(attacked), honest(asked.port, scheme)
    log_bytes = len(attacked.log)
    words = tied(sys.executable, "-m", "tests.chaos.attacks.strangers", attack, str(attacked.port))
    with subprocess.Popen(words, cwd=Path(__file__).parents[3]) as strangers:
        try:
            time.sleep(1)
            attacked_by = honest(asked.port, scheme)
            more = memory_mib(attacked) - before
        finally:
            strangers.kill()
    said = attacked.log[log_bytes:]
    print(
        f"\n{attack}: p99 without and with it, in ms: kept connection {calm.kept:.1f}, {attacked_by.kept:.1f}; "
        f"new one {calm.new:.1f}, {attacked_by.new:.1f}; failed {len(attacked_by.failed)}; "
        f"{more:.0f} MiB more; {said.count(chr(10))} lines in the log"
    )
    assert calm.failed == attacked_by.failed == []
    assert more < MORE_MIB
    assert "Traceback" not in said


@pytest.mark.parametrize("attack", [name for name in ATTACKS if name != "links"])
def test_an_honest_client_goes_on_beside(server: SharqProcess, attack: str) -> None:
    check(attack, server, server)


def test_an_honest_client_goes_on_beside_handshakes_that_are_not_begun(tls_server: SharqProcess) -> None:
    check("silence", tls_server, tls_server, "https")


def test_an_honest_client_goes_on_beside_links_without_a_proof(cluster: SharqCluster) -> None:
    check("links", cluster.shards[0], cluster.routers[0])
