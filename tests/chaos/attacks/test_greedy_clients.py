"""An honest client while strangers take what they can: it is served, and the figures are printed."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.attacks.greedy_clients import ATTACKS, PAUSE_S
from tests.chaos.stage import is_quick
from tests.support.processes.servers import SharqServer
from tests.support.stores.server import running_store

KIND = "letters"
LETTERS = 120
PAYLOAD_BYTES = 250_000
CALLS = 100 if is_quick() else 1000
GAP_S = 0.005
JOB = b'{"interval":0,"payload":"x"}'


@pytest.fixture(scope="module")
def server() -> Iterator[SharqServer]:
    """A server that has many large dead letters."""
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        one = SharqServer(Path(directory), environ={"SHARQ_REDIS_URL": store.url})
        try:
            one.start()
            with closing(Client(one.port)) as client:
                bury(client)
            yield one
        finally:
            one.stop()


class Client:
    """An honest client with one connection, which it keeps."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __call__(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def latencies_ms(self) -> list[float]:
        """Enqueue again and again; returns how long each took, the shortest first. All must be done."""
        times: list[float] = []
        for _ in range(CALLS):
            begun = time.perf_counter()
            status, answer = self("POST", "/enqueue/honest/q/", JOB)
            times.append((time.perf_counter() - begun) * 1000)
            assert status == 201, answer
            time.sleep(GAP_S)
        return sorted(times)


def bury(client: Client) -> None:
    for first in range(0, LETTERS, 20):
        jobs = [
            {
                "queue_type": KIND,
                "queue_id": f"q{number}",
                "job_id": "j",
                "interval": 0,
                "requeue_limit": 0,
                "payload": "x" * PAYLOAD_BYTES,
            }
            for number in range(first, first + 20)
        ]
        client("POST", "/enqueue/", json.dumps({"jobs": jobs}).encode())
    done = 0
    while done < LETTERS:
        _, answer = client("POST", f"/dequeue/{KIND}/?count=1000&wait=5000")
        jobs = [
            {"queue_type": KIND, **{name: job[name] for name in ("queue_id", "job_id", "lease")}}
            for job in answer["jobs"]
        ]
        client("POST", "/release/", json.dumps({"jobs": jobs}).encode())
        done += len(jobs)


@contextmanager
def attacked(server: SharqServer, name: str) -> Iterator[None]:
    """An attack is under way."""
    attack = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.attacks.greedy_clients", name, server.url, KIND],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        assert attack.stdout is not None
        assert attack.stdout.readline() == b"ready\n"
        yield
    finally:
        attack.kill()
        attack.communicate()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ATTACKS)
def test_an_honest_client_is_served_under_an_attack(server: SharqServer, name: str) -> None:
    with closing(Client(server.port)) as client:
        without = client.latencies_ms()
        with attacked(server, name):
            time.sleep(10 * PAUSE_S)  # the attack is to be in full swing, and nothing else tells
            during = client.latencies_ms()
    print(f"\n{name}: p99 {p99(without):.1f} ms without, {p99(during):.1f} ms with; ", end="")
    print(f"median {median(without):.1f} and {median(during):.1f} ms, longest {during[-1]:.0f} ms")
    assert "Traceback" not in server.log, server.log[-4000:]


def p99(times: list[float]) -> float:
    return times[int(len(times) * 0.99)]


def median(times: list[float]) -> float:
    return times[len(times) // 2]
