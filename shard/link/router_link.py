"""Serves the link of one router: checks its proof, starts its calls, sends the answers, and voids undelivered leases.

sharq_core/link/frames.py defines the wire format; shard/call_handlers.py implements the calls.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from aiohttp import WSCloseCode, web

from shard.link.gate import LinkGate
from shard.link.watches import RouterWatches
from sharq_core.errors import Overloaded, QueueFull, SharqError, Unavailable
from sharq_core.http_port.connection import PortConnection
from sharq_core.link import frames
from sharq_core.link.frames import (
    CallFrame,
    ErrorFrame,
    FrameError,
    FromRouter,
    Hello,
    Proof,
    ReplyFrame,
    Subscribe,
    SubscribeJob,
    Unsubscribe,
    UnsubscribeJob,
    Welcome,
)
from sharq_core.link.messages import Call, Dequeued, ShardPort, View
from sharq_core.link.socket import CLOSE_S, HELLO_S, LinkBroken, Outbox, receive, say_goodbye
from sharq_core.link.void_leases import void_leases
from sharq_core.logs import request_ids
from sharq_core.models import LeasedJob
from sharq_core.telemetry import call_traces

log = logging.getLogger(__name__)

MAX_CALLS = 20_000
"""Most calls of one link in progress or with unsent answers. Further calls are refused (I11)."""

MAX_ANSWER_BYTES = 64 << 20
"""Bytes of unsent answers above which a link refuses calls (I11)."""

MAX_UNREAD = 100_000
"""Most unsent entries of one link; a router that lets more gather does not read, and its link is closed."""


class LinkHost(Protocol):
    """The server of all links (shard/link/server.py).

    Attributes:
        port: answers the calls.
        secret: the secret that both ends must know; None for none.
        hello: returns this node's id and the current view.
        is_closing: new calls are refused.
        away: the partitions that this node leaves to others.
        gate: the checks that a connection passes before it becomes a link.
    """

    port: ShardPort
    secret: str | None
    hello: Callable[[], tuple[str, View]]
    is_closing: bool
    away: list[int]
    gate: LinkGate

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that may outlive its link."""
        ...


class RouterLink:
    """The link of one router.

    Attributes:
        outbox: the entries that wait to be sent.
        under_way: the number of calls in progress.
        is_up: the router has proved that it knows the secret, and the link has not ended.
    """

    def __init__(
        self,
        server: LinkHost,
        socket: web.WebSocketResponse,
        request: web.BaseRequest,
        connection: PortConnection | None,
    ) -> None:
        self._connection = connection
        self._transport = transport = request.transport
        self._server = server
        self._socket = socket
        self._router = request.remote or "local"  # a Unix socket has no address
        self._loop = asyncio.get_running_loop()
        self.outbox: Outbox[Sequence[LeasedJob]] = Outbox(
            socket, lambda: transport is not None and not transport.is_closing()
        )
        self._sender: asyncio.Task[None] | None = None
        self._watches = RouterWatches(server.port, self.push)
        self.under_way = 0
        self.is_up = False
        self._reads_away = False
        self._is_traced = log.isEnabledFor(logging.DEBUG)

    async def run(self) -> None:
        """Do the handshake and read until the link ends. Calls in progress continue after that."""
        try:
            await self._say_hello()
            while True:
                self._read(frames.decode_from_router(await receive(self._socket)))
        except FrameError as error:
            self._server.gate.refuse(self._router, str(error))
            self._end()
            await self._say_goodbye(WSCloseCode.POLICY_VIOLATION, str(error))
        except (LinkBroken, ConnectionError) as error:
            if self.is_up:
                log.info("link_ended router=%s reason=%r", self._router, str(error))
            else:
                self._server.gate.note_end(self._router, self._connection, str(error))
        finally:
            self._end()

    def cut_off(self) -> None:
        """Abort the connection."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Send the waiting entries, then close the socket."""
        if self._sender is not None:
            self.outbox.finish()
            await asyncio.wait([self._sender], timeout=CLOSE_S)
        await self._say_goodbye(WSCloseCode.GOING_AWAY, "the shard is stopping")

    def push(self, entry: bytes) -> None:
        """Push an entry to the router if the link is up."""
        if self.is_up:
            self.outbox.add(entry, ())

    def push_away(self) -> None:
        """Push the partitions that this node leaves to others, if the router understands that entry."""
        if self._reads_away:
            self.push(frames.encode(frames.Away(self._server.away)))

    async def _say_hello(self) -> None:
        """Check the router's proof of the secret, send this end's proof, and mark the link as up."""
        nonce = os.urandom(frames.NONCE_BYTES)
        node_id, _ = self._server.hello()
        greeting = frames.encode(Hello(frames.VERSION, node_id, nonce))
        await self._socket.send_bytes(frames.pack(self._now_us(), [greeting], 1))
        match (await self._first_frame()).entries:
            case [Proof() as theirs]:
                frames.check_version(theirs.version)
            case _:
                raise FrameError("no proof")
        secret = self._server.secret
        frames.check_proof(secret, frames.ROUTER, nonce, theirs.nonce, theirs.proof)
        self._server.gate.prove(self, self._connection)
        # The view may have changed while the router was proving the secret.
        _, view = self._server.hello()
        ours = frames.prove(secret, frames.SHARD, nonce, theirs.nonce)
        self.outbox.add(frames.encode(Welcome(ours, view)), ())
        self._sender = asyncio.create_task(self.outbox.run())
        self.is_up = True
        self._reads_away = theirs.reads_away
        if self._server.away:
            self.push_away()
        log.info("link_up router=%s", self._router)

    async def _first_frame(self) -> frames.Frame[FromRouter]:
        try:
            async with asyncio.timeout(HELLO_S):
                return frames.decode_from_router(await receive(self._socket))
        except TimeoutError as error:
            raise FrameError(f"no proof within {HELLO_S:.3g} s") from error

    def _read(self, frame: frames.Frame[FromRouter]) -> None:
        now_us = self._now_us()
        if not frame.entries:
            self.outbox.nudge()
        for entry in frame.entries:
            match entry:
                case CallFrame():
                    self._start(entry, now_us)
                case Subscribe():
                    self._watches.add(entry.queue_type)
                case Unsubscribe():
                    self._watches.drop(entry.queue_type)
                case SubscribeJob():
                    self._watches.add_job(entry.job)
                case UnsubscribeJob():
                    self._watches.drop_job(entry.job)
                case _:
                    raise FrameError("a second proof")
        if len(self.outbox) > MAX_UNREAD:
            raise FrameError(f"{len(self.outbox)} entries are unsent: the router does not read")

    def _start(self, request: CallFrame[Call[Any]], now_us: int) -> None:
        """Start a call, or refuse it with nothing done."""
        if request.deadline_us <= now_us:
            self._fail(
                request.number, Unavailable("the call reached the shard too late, and nothing was done")
            )
        elif self._server.is_closing:
            self._fail(request.number, Unavailable("this shard is stopping"))
        elif self._is_full():
            self._fail(
                request.number, Overloaded("this link has too many calls in progress; try again in a moment")
            )
        else:
            self.under_way += 1
            self._server.start(self._answer(request))

    def _is_full(self) -> bool:
        return self.under_way + len(self.outbox) >= MAX_CALLS or self.outbox.size_bytes > MAX_ANSWER_BYTES

    async def _answer(self, request: CallFrame[Call[Any]]) -> None:
        number, call = request.number, request.call
        request_ids.current.set(request.request_id)
        if request.trace:
            call_traces.from_link.set(request.trace)
        if self._is_traced:
            log.debug("call call=%s router=%s", type(call).__name__, self._router)
        try:
            result = await self._server.port.call(call)
        except SharqError as error:
            self._fail(number, error)
        except Exception as error:
            log.exception("call_failed call=%s", type(call).__name__)
            self._fail(number, SharqError(f"the call failed: {type(error).__name__}"))
        else:
            # Leased jobs go with the answer, so that their leases are void if it cannot be sent.
            jobs = result.jobs if isinstance(result, Dequeued) else ()
            self._deliver(number, frames.encode(ReplyFrame(number, result)), jobs)
        finally:
            self.under_way -= 1

    def _deliver(self, number: int, entry: bytes, jobs: Sequence[LeasedJob]) -> None:
        """Send an answer, or void its leases if it cannot be sent."""
        is_too_large = len(entry) > frames.MAX_ENTRY_BYTES
        if self.is_up and not is_too_large:
            self.outbox.add(entry, jobs)
        elif jobs:
            self._server.start(void_leases(self._server.port, jobs))
        if is_too_large:
            log.error("answer_too_large bytes=%d", len(entry))
            self._fail(number, SharqError(f"the answer of {len(entry)} bytes is too large for a link"))

    def _fail(self, number: int, error: SharqError) -> None:
        queue_length = error.queue_length if isinstance(error, QueueFull) else 0
        self.push(frames.encode(ErrorFrame(number, error.code, error.message, queue_length, error.is_away)))

    def _end(self) -> None:
        """Stop watching and sending, and void the leases of unsent answers."""
        if not self.is_up:
            return
        self.is_up = False
        self._watches.end()
        if self._sender is not None:
            self._sender.cancel()
        unsent = [job for jobs in self.outbox.unsent() for job in jobs]
        if unsent:
            self._server.start(void_leases(self._server.port, unsent))

    async def _say_goodbye(self, code: int, reason: str) -> None:
        """Close the socket; abort it, with all unsent data, if the router does not read."""
        if not await say_goodbye(self._socket, code, reason) and self._transport is not None:
            self._transport.abort()

    def _now_us(self) -> int:
        return int(self._loop.time() * 1e6)
