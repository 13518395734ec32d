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
STOP_TIMEOUT_S = 45.0

LOOK_S = 0.02
"""The pause between two looks for a worker that holds a job."""

_RECORD = msgspec.json.Decoder(Ready | Leased | Finished)


class Sender:
    """One worker process, and which jobs it holds as far as it has said."""

    def __init__(self, process: Process, ledger: Ledger) -> None:
        self.process = process
        self.in_hand: set[str] = set()
        self.is_ready = asyncio.Event()
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
        else:
            self.in_hand.discard(record.job_id)

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
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                for sender in self.senders:
                    await sender.is_ready.wait()
        except TimeoutError as error:
            raise TimeoutError(f"the workers were not ready within {START_TIMEOUT_S:.0f} s") from error

    async def kill_one(self) -> tuple[int, int]:
        """Kill with SIGKILL the worker that holds most jobs, once one holds any; return its pid and how many jobs."""
        # An event for each worker would say when one of them has jobs, and not which one has most.
        while not (held := max(len(sender.in_hand) for sender in self.senders)):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        victim = next(sender for sender in self.senders if len(sender.in_hand) == held)
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
