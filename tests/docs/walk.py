"""Follows a page step by step, as a reader does who has one server, one folder and three terminals.

Files are saved, programs and commands run, and what they print is held against what the page prints. What differs from
run to run, such as times and ids, is compared by its form.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.api.test_readme import Comparison, curl, examples
from tests.api.test_worked_examples import comments, zone_at
from tests.clients.command.test_page import form_of
from tests.docs.blocks import ROOT, Block, blocks
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import SCRIPT, Sharq

DEADLINE_S = 60.0
PRINTED_URL = "http://127.0.0.1:8080"
DENVER = "America/Denver"
NOON = 12
"""The hour in Denver in the pages. A run replaces Denver by a zone in which it is noon now."""

_SPEED = re.compile(r" \([\d,]+/s\)$", re.MULTILINE)
"""Shown if a file took longer than a second."""

READS = {"batch", "job", "queue", "queues", "type", "types", "dead", "jobs", "window"}
"""Commands that show how far others have come: they are asked again until they show what is printed."""


class Walk:
    """One walk through a page.

    Args:
        languages: the languages of the blocks to follow.
    """

    def __init__(self, page: str, server: SharqServer, folder: Path, languages: set[str]) -> None:
        self.blocks = [block for block in blocks(ROOT / page) if block.language in languages]
        self.folder = folder
        self._server = server
        self._sharq = Sharq(server.url)
        self._comparison = Comparison()
        self._names: dict[str, object] = {}
        self._zone = zone_at(NOON)
        self._workers: list[subprocess.Popen[bytes]] = []

    async def follow(self) -> None:
        """Do every step, in order.

        Raises:
            AssertionError: a step does not do what the page says; the message names its place.
        """
        with contextlib.ExitStack() as ends:
            ends.callback(self._stop_workers)
            for block in self.blocks:
                await self._step(block)

    async def _step(self, block: Block) -> None:
        if block.title:
            (self.folder / block.title).write_text(block.text)
        elif block.language == "console":
            for command, printed in examples(f"```console\n{block.text}```"):
                await self._type(self._translate(command), printed, block)
        else:
            assert block.language == "python", block.place
            assert self._paste(block) == comments(block.text), block.place

    async def _type(self, command: str, printed: str, block: Block) -> None:
        place = f"{block.place}: {command}"
        match command.split():
            case ["curl", *_]:
                answer = json.loads(await curl(self._comparison.translate(command), self._server.url))
                self._comparison.check(json.loads(printed), answer, place)
            case ["sharq", "worker", *_]:
                self._start_worker(command, printed.splitlines(), place)
            case ["sharq", word, *_]:
                await self._ask(command, printed, word in READS, place)
            case ["python", program]:
                assert form_of(self._run(program)) == form_of(printed), place
            case _:
                raise AssertionError(f"{place}: nothing knows how to type this")

    async def _ask(self, command: str, printed: str, may_come_later: bool, place: str) -> None:
        deadline_s = time.monotonic() + (DEADLINE_S if may_come_later else 0)
        while True:
            outcome = await asyncio.to_thread(self._sharq.any_code, *shlex.split(command)[1:])
            real = (
                (outcome.out + outcome.err).replace(self._server.url, PRINTED_URL).replace(self._zone, DENVER)
            )
            if form_of(_SPEED.sub("", real)) == form_of(printed):
                return
            assert time.monotonic() < deadline_s, f"{place}\n{real}"
            await asyncio.sleep(0.1)

    def _run(self, program: str) -> str:
        done = subprocess.run(
            [sys.executable, program],
            cwd=self.folder, env=self._environ(), capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), f"{program}: {done.stderr}"
        return done.stdout

    def _paste(self, block: Block) -> list[str]:
        """Return what a block prints that is pasted into a running Python."""
        text = block.text.replace(PRINTED_URL, self._server.url)
        code = compile(ast.parse(text, block.place), block.place, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(code, self._names)
        return output.getvalue().splitlines()

    def _start_worker(self, command: str, printed: list[str], place: str) -> None:
        """Start a worker, which works until the walk ends, and wait until it has printed every line."""
        path = self.folder / "worker.log"
        with path.open("w") as log:
            process = subprocess.Popen(
                [SCRIPT, *shlex.split(command)[1:]],
                cwd=self.folder, env=self._environ(), stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._workers.append(process)
        deadline_s = time.monotonic() + DEADLINE_S
        expected = {form_of(line) for line in printed}
        # Threads print at the same time, so a line may follow another one without a break.
        while not all(line in form_of(path.read_text()) for line in expected):
            assert process.poll() is None and time.monotonic() < deadline_s, f"{place}\n{path.read_text()}"
            time.sleep(0.05)

    def _stop_workers(self) -> None:
        for process in self._workers:
            process.terminate()
            try:
                assert process.wait(DEADLINE_S) == 0, list(self.worker_lines())
            finally:
                process.kill()

    def worker_lines(self) -> Iterator[str]:
        """Yield the lines that the worker printed."""
        yield from (self.folder / "worker.log").read_text().splitlines()

    def _translate(self, command: str) -> str:
        return command.replace(DENVER, self._zone)

    def _environ(self) -> dict[str, str]:
        return {
            **os.environ,
            **self._sharq.environ(),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
