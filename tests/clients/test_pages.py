"""The programs of docs/client.md and docs/worker.md, run as they are printed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sharq_client import Client
from tests.support.processes.servers import ServerFactory, SharqServer
from tests.support.processes.sharq import SCRIPT, Sharq

DOCS = Path(__file__).parents[2] / "docs"
DEADLINE_S = 60
CAMPAIGN = "id,customer,text\n" + "".join(f"m{n},acme,hello\n" for n in range(2_500))


@pytest.fixture
def server(own_server: ServerFactory) -> SharqServer:
    """A server of the test's own, since the programs name their types."""
    return own_server()


def programs(page: str) -> list[str]:
    """Return the Python blocks of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def program(page: str, words: str) -> str:
    """Return the one Python block of a page that has these words."""
    (found,) = [block for block in programs(page) if words in block]
    return found


def environ(server: SharqServer) -> dict[str, str]:
    return {**Sharq(server.url).environ(), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


def test_the_worker_of_the_first_page_gets_the_job_and_stops(server: SharqServer, tmp_path: Path) -> None:
    text = program("client.md", '@worker.handler("reminders")')
    (tmp_path / "worker.py").write_text(text.replace("http://127.0.0.1:8080", server.url))
    with Client(server.url) as client:
        client.enqueue({"queue_type": "reminders", "queue_id": "acme", "payload": {"to": "1"}, "interval": 0})
    command = [str(SCRIPT), "worker", "worker:worker"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ(server), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "acme 1\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()


def test_a_campaign_is_enqueued_from_a_file(server: SharqServer, tmp_path: Path) -> None:
    (tmp_path / "campaign.csv").write_text(CAMPAIGN)
    done = subprocess.run(
        [sys.executable, "-c", program("client.md", "campaign.csv")],
        cwd=tmp_path, env=environ(server), capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines()[-1] == "2500 0 0"


def test_the_programs_of_the_page_about_the_worker_are_python() -> None:
    blocks = programs("worker.md")
    assert len(blocks) == 4
    for block in blocks:
        compile(block, "docs/worker.md", "exec", flags=0, dont_inherit=True)
