"""The programs of docs/typescript.md compile under strict rules, and do what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sharq_client import Client, EnqueueJob, JobState
from tests.clients.typescript.workspace import PAGE, PROGRAMS, Workspace, run
from tests.support.foreign.libraries import node
from tests.support.processes.servers import ServerFactory, SharqServer
from tests.support.waits import wait_until

DEADLINE_S = 60.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def page_server(own_server: ServerFactory) -> SharqServer:
    """A server of its own, because the page's queue types are those of its readers."""
    return own_server()


@contextmanager
def started(folder: Path, name: str, url: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program that works until it is stopped."""
    with subprocess.Popen(
        [node(), f"{name}.js"],
        cwd=folder,
        env={**os.environ, "TEST_URL": url, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stopped(process: subprocess.Popen[str]) -> list[str]:
    """Stop a worker in order, and return the lines that it wrote."""
    process.terminate()
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, out
    return out.splitlines()


class Gateway(BaseHTTPRequestHandler):
    """A gateway for messages whose answer is the status that the text names."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        (status,) = re.findall(rb'"text":"(\d+)"', body)
        self.send_response(int(status))
        self.send_header("Retry-After", "60")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"g-1")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the interface
        """Write nothing."""


@pytest.fixture
def gateway() -> Iterator[str]:
    """The URL of a gateway."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/messages"
        server.shutdown()


def state(client: Client, queue_type: str, queue_id: str, job_id: str) -> JobState | None:
    status = client.job(queue_type, queue_id, job_id)
    return None if status is None else status.state


def test_every_program_of_the_page_is_run() -> None:
    assert set(PROGRAMS) == {"first", "worker", "campaign", "errors", "sms", "metrics"}
    assert PAGE.count("```ts") == len(PROGRAMS)


def test_the_programs_do_what_the_page_says(
    workspace: Workspace,
    page_server: SharqServer,
    gateway: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, programs = page_server.url, workspace.suite / "dist" / "page"
    monkeypatch.setenv("TEST_URL", url)
    assert run(node(), programs / "first.js", cwd=tmp_path) == "acme +15550100\n"
    (tmp_path / "campaign.csv").write_text("a,acme,+15550100\nb,initech,+15550101\nc,acme,+15550102\n")
    assert run(node(), programs / "campaign.js", cwd=tmp_path) == "3 sent\n3 queued, 0 refused\n"
    assert run(node(), programs / "errors.js", cwd=tmp_path) == "full with 0 jobs\n"
    with Client(url) as client:
        for customer in ("acme", "initech"):  # the campaign's jobs have no text for the gateway
            assert client.delete_queue("sms", customer)
        worker_of_the_page(programs, client, url)
        sms_of_the_page(programs, client, url, gateway)
        metrics_of_the_page(programs, client, url)


def worker_of_the_page(folder: Path, client: Client, url: str) -> None:
    job = {
        "queue_type": "reminders",
        "queue_id": "acme",
        "job_id": "r",
        "payload": {"to": "+1"},
        "rate": "10/s",
    }
    client.enqueue(job)
    with started(folder, "worker", url) as process:
        wait_until(lambda: state(client, "reminders", "acme", "r") is JobState.FINISHED, DEADLINE_S)
        assert stopped(process) == ["acme +1", "sharq worker_stopping signal=SIGTERM"]


def sms_of_the_page(folder: Path, client: Client, url: str, gateway: str) -> None:
    expected = {
        "200": JobState.FINISHED,
        "429": JobState.QUEUED,
        "400": JobState.FINISHED,
        "503": JobState.DELAYED,
        "500": JobState.DELAYED,
    }
    for status in expected:
        payload = {"to": "+1", "text": status}
        job = EnqueueJob(queue_type="sms", queue_id=status, job_id=status, payload=payload, interval=0)
        client.enqueue(job)
    with started(folder, "sms", url, GATEWAY_URL=gateway) as process:
        for status, outcome in expected.items():
            wait_until(partial(is_settled, client, status, outcome), DEADLINE_S)
        lines = stopped(process)
    assert any(line.startswith("sharq job_failed queue_type=sms queue_id=500") for line in lines)
    sent = client.job("sms", "200", "200")
    assert sent is not None
    assert sent.result == {"gateway_id": "g-1"}


def is_settled(client: Client, status: str, outcome: JobState) -> bool:
    """The job of a status has its outcome; the one that waits behind a hold was tried, too."""
    if state(client, "sms", status, status) is not outcome:
        return False
    queue = client.queue("sms", status)
    return status != "429" or (queue is not None and queue.held_until is not None)


def is_finished(client: Client, row: str) -> bool:
    return state(client, "rows", row, row) is JobState.FINISHED


def metrics_of_the_page(folder: Path, client: Client, url: str) -> None:
    jobs = [
        EnqueueJob(queue_type="rows", queue_id=str(n), job_id=str(n), payload={"row": n}, interval=0)
        for n in range(2)
    ]
    client.enqueue_many(jobs)
    with started(folder, "metrics", url) as process:
        for job in jobs:
            wait_until(partial(is_finished, client, str(job.job_id)), DEADLINE_S)
        lines = stopped(process)
    assert "finished: 2" in lines
    assert "a call with 2 jobs is done" in lines
    assert {"insert 0, 1", "insert 1, 0"} & set(lines)
