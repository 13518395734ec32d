"""The worker processes: starts them, listens to them, kills one, ends the others in good order."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from deploy.demo.ledger import Finished, Leased, Ledger, Ready
from deploy.demo.processes import START_TIMEOUT_S, python_child

WORKERS = 4
STOP_TIMEOUT_S = 8.0

_RECORD = msgspec.json.Decoder(Ready | Leased | Finished)


class Sender:
    """One worker process, and which jobs it holds as far as it has said."""

    def __init__(self, process: Process, ledger: Ledger) -> None:
        self.process = process
        self.in_hand: set[str] = set()
        self.is_ready = asyncio.Event()
        self.has_jobs = asyncio.Event()
        self.listening = asyncio.create_task(self._listen(ledger))

    async def _listen(self, ledger: Ledger) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if not line.endswith(b"\n"):
                return  # cut by the kill
            record = _RECORD.decode(line)
            if isinstance(record, Ready):
                self.is_ready.set()
            else:
                ledger.hear(record)
                self._follow(record)

    def _follow(self, record: Leased | Finished) -> None:
        if isinstance(record, Leased):
            self.in_hand.add(record.job_id)
            self.has_jobs.set()
            return
        self.in_hand.discard(record.job_id)
        if not self.in_hand:
            self.has_jobs.clear()

    def stop(self) -> None:
        """Close its stdin, which asks it to finish its jobs and end."""
        assert self.process.stdin is not None
        self.process.stdin.close()


class Crew:
    """The worker processes of the demo."""

    def __init__(self, senders: list[Sender]) -> None:
        self.senders = senders

    async def ready(self) -> None:
        """Wait until every worker leases; raise TimeoutError after START_TIMEOUT_S."""
        async with asyncio.timeout(START_TIMEOUT_S):
            for sender in self.senders:
                await sender.is_ready.wait()

    async def kill_one(self, timeout_s: float = 3.0) -> tuple[int, int]:
        """Kill with SIGKILL the worker that holds most jobs, once it holds one and return its pid and how many jobs.

        Raises:
            TimeoutError: it held none for timeout_s.
        """
        victim = max(self.senders, key=lambda sender: len(sender.in_hand))
        await asyncio.wait_for(victim.has_jobs.wait(), timeout_s)
        held = len(victim.in_hand)
        victim.process.kill()
        return victim.process.pid, held

    async def stop(self) -> bool:
        """Ask all to finish what they hold; True if every one has ended and all they said was heard."""
        for sender in self.senders:
            sender.stop()
        heard = [sender.listening for sender in self.senders]
        _, late = await asyncio.wait(heard, timeout=STOP_TIMEOUT_S)
        return not late


@asynccontextmanager
async def working_crew(
    urls: Sequence[str], queue_types: Sequence[str], ledger: Ledger
) -> AsyncIterator[Crew]:
    """Start the workers, spread over the servers; none is left at the end of the block.

    Each goes on at another server when its own is gone.
    """
    async with AsyncExitStack() as stack:
        senders = []
        for number in range(WORKERS):
            first = number % len(urls)
            child = python_child("deploy.demo.sender", ",".join(queue_types), *urls[first:], *urls[:first])
            process = await stack.enter_async_context(child)
            senders.append(Sender(process, ledger))
        try:
            yield Crew(senders)
        finally:
            for sender in senders:
                sender.listening.cancel()
