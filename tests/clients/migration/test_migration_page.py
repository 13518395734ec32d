"""The examples of docs/migration.md run as printed, on data of the libraries themselves."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from sharq_client import Client
from tests.support.foreign.processes import Bullmq, Original, celery_driver
from tests.support.processes.servers import SharqServer
from tests.support.stores.server import StoreServer

PAGE = Path(__file__).parents[3] / "docs" / "migration.md"
SERVER_URL = "http://127.0.0.1:8080"
SOURCE_URL = "redis://127.0.0.1:6379/0"


class Example:
    """The examples of the page, with the addresses and names of a test."""

    def __init__(self, capsys: pytest.CaptureFixture[str], names: dict[str, str]) -> None:
        self._capsys = capsys
        self._names = names
        blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        self.blocks = [textwrap.dedent(block) for block in blocks]

    def run(self, word: str) -> str:
        """Run the one example that holds a word, and return what it prints."""
        (text,) = [block for block in self.blocks if word in block]
        for printed, real in self._names.items():
            text = text.replace(printed, real)
        exec(compile(text, str(PAGE), "exec"), {})
        return self._capsys.readouterr().out


@pytest.fixture
def names(server: SharqServer, source: StoreServer) -> dict[str, str]:
    return {SERVER_URL: server.url, SOURCE_URL: source.url}


def test_examples_of_the_original(
    capsys: pytest.CaptureFixture[str],
    client: Client,
    original: Original,
    names: dict[str, str],
    prefix: str,
    kind: str,
) -> None:
    example = Example(capsys, {**names, "sharq_server": prefix})
    for number in range(4):
        original.enqueue(kind, f"q{number % 2}", f"j{number}")
    original.enqueue(kind, "q0", "odd", payload=b"bytes")
    plan = example.run("dry_run=True")
    assert plan.startswith("2 queues, 4 jobs, 0 leased\n")
    assert "q0 odd payload: has no equal in JSON" in plan
    assert example.run("follow=True") == "4 jobs have moved\n"
    assert example.run("undo_original") == "0 given back, 2 kept\n"
    client.finish_many(client.dequeue(kind, 10))
    assert example.run("undo_original") == "2 given back, 0 kept\n"


def test_example_of_celery(
    capsys: pytest.CaptureFixture[str],
    client: Client,
    source: StoreServer,
    names: dict[str, str],
    kind: str,
) -> None:
    producer = celery_driver(source.url)
    producer.ask(repr({"queue": kind, "kwargs": {"customer": kind}}))
    producer.ask(repr({"queue": kind, "kwargs": {}}))
    producer.end()
    example = Example(capsys, {**names, '"celery"': f'"{kind}"'})
    assert example.run("import_celery") == "1 moved, 1 stay with Celery\n"
    queue = client.queue("send", kind)
    assert queue is not None
    assert queue.rate == "10/s"


def test_example_of_bullmq(
    capsys: pytest.CaptureFixture[str],
    client: Client,
    source: StoreServer,
    names: dict[str, str],
    kind: str,
) -> None:
    bullmq = Bullmq(source.port, kind)
    bullmq.call("add", "send", {"customer": kind})
    bullmq.end()
    example = Example(capsys, {**names, 'queue="mail"': f'queue="{kind}"'})
    assert example.run("import_bullmq") == "1 moved, 0 stay with BullMQ\n"
    queue = client.queue("mail", kind)
    assert queue is not None
    assert queue.rate == "10/s"


def test_every_example_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("dry_run=True", "follow=True", "undo_original", "import_celery", "import_bullmq")
    blocks = Example(capsys, {}).blocks
    assert len(blocks) == len(words)
    assert all(sum(word in block for block in blocks) == 1 for word in words)
