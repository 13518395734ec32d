"""Keeps a router's link to one shard: connects, proves the secret, carries calls and pushes, and reconnects."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import aiohttp

from router.shards.job_watches import JobWatches
from router.shards.link_reasons import why_link_ended, why_not_connected
from router.shards.pending_calls import PendingCalls
from sharq_core.errors import OutcomeUnknown, Overloaded, SharqError, Unavailable
from sharq_core.link import frames
from sharq_core.link.frames import Away, Due, ErrorFrame, FrameError, FromShard, NewView, ReplyFrame
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import Call, Dequeue, Dequeued, Enqueue, Failure, Finish, OnDue, View
from sharq_core.link.socket import CLOSE_S, HEARTBEAT_S, HELLO_S, LinkBroken, Outbox, receive, say_goodbye
from sharq_core.link.void_leases import void_leases
from sharq_core.logs.troubles import Trouble
from sharq_core.models import LeasedJob

log = logging.getLogger(__name__)

ReplyT = TypeVar("ReplyT")

MIN_PAUSE_S = 0.05
MAX_PAUSE_S = 2.0
"""Bounds of the pauses between two tries to connect: each is twice as long as the one before, less up to half of it at
random.
"""

_COMMON_ERRORS = (Unavailable.code, OutcomeUnknown.code, Overloaded.code)
"""Error codes whose counters exist from the start, so that the first error is visible as a change."""


class ShardLink:
    """The link to the shard at an address. It is a `ShardPort`.

    Args:
        address: the address of the shard, host:port.
        secret: the secret that both ends must prove; None for no secret.
        on_view: called with each view that the shard sends, the first as soon as the link is up.
        on_down: called after a link that was up broke and its calls have failed; not called by `close`.
        on_away: called when `away` has changed.
        timeout_s: the timeout of a call, in seconds.
        tls: None for a plain connection.
        socket_path: the Unix socket to connect to instead; the address is only a name then.

    Attributes:
        node_id: the id of the shard's node; None before the first connection.
        is_draining: True if the shard has announced that it stops soon.
        connects: the number of times that the link was established.
        errors: by code, the number of calls that failed as a whole.
        away: the partitions that the shard leaves to others, because it does not reach their store server.
        away_since: the time at which `away` last became empty or non-empty, by the loop, in seconds.
        covered_at: the time of the last successful request to cover for others, by the loop, in seconds.
        doubted_until: the time until which the shard counts as away from all stores, by the loop, in seconds.
    """

    def __init__(
        self,
        address: str,
        secret: str | None,
        *,
        on_view: Callable[[View], None],
        on_down: Callable[[ShardLink], None],
        on_away: Callable[[ShardLink], None] = lambda _: None,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
        socket_path: Path | None = None,
    ) -> None:
        self.address = address
        self.node_id: str | None = None
        self.is_draining = False
        self.connects = 0
        self.away: frozenset[int] = frozenset()
        self.away_since = 0.0
        self.covered_at = 0.0
        self.doubted_until = 0.0
        self.errors = Counter(dict.fromkeys(_COMMON_ERRORS, 0))
        self._secret = secret
        self._on_view = on_view
        self._on_down = on_down
        self._on_away = on_away
        self._timeout_s = timeout_s
        self._tls = tls
        self._socket_path = socket_path
        self._loop = asyncio.get_running_loop()
        self._calls: PendingCalls | None = None
        self._outbox: Outbox[int] | None = None
        self._frames_before = 0
        self._sender: asyncio.Task[None] | None = None
        self._watches: dict[str, list[OnDue]] = {}
        self._job_watches = JobWatches()
        self._is_closing = False
        self._down = Trouble(log, "link_down", "shard=%s node=%s")
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._voidings: set[asyncio.Task[None]] = set()

    @property
    def is_up(self) -> bool:
        """True if the connection is up and both ends have identified themselves."""
        return self._calls is not None

    @property
    def reason(self) -> str | None:
        """The reason why the shard is not asked, in plain text without its address; None while it is asked."""
        if self._calls is None:
            return self._down.reason or "it has not answered yet"
        return "it is silent" if self._calls.is_silent else None

    @property
    def is_suspect(self) -> bool:
        """True if another shard should be asked: the link is down, or the shard is silent.

        A shard is silent after 500 ms without a frame with calls waiting, until its next frame.
        """
        return self._calls is None or self._calls.is_silent

    @property
    def lost_at(self) -> float:
        """The time at which the shard lost its store, or is in doubt, by the loop, in seconds."""
        return self.away_since if self.away else self.doubted_until

    @property
    def frames_sent(self) -> int:
        """The number of frames sent over all connections."""
        return self._frames_before + (0 if self._outbox is None else self._outbox.frames_sent)

    @property
    def in_flight(self) -> int:
        """The number of calls that wait for their answer."""
        return 0 if self._calls is None else len(self._calls)

    async def start(self) -> None:
        """Connect in the background, again after every break, until closed."""
        connector = aiohttp.UnixConnector(str(self._socket_path)) if self._socket_path else None
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        self._task = asyncio.create_task(self._run(self._session))

    async def close(self) -> None:
        """End the link. Calls in flight fail as they do if it breaks."""
        self._is_closing = True
        tasks = [task for task in (self._task, *self._voidings) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def call(self, call: Call[ReplyT]) -> ReplyT:
        """Send one call; see ShardPort.

        Raises:
            Unavailable: the shard was not reached or got the call too late, or a read got no answer. Nothing was done.
            Overloaded, TooLarge: nothing was done.
            OutcomeUnknown: the call was sent, and no answer came in time or before the link broke. It perhaps
                happened.
        """
        if isinstance(call, Enqueue | Finish) and len(call.jobs) > 1:
            parts = frames.split_jobs(call)
            if len(parts) > 1:
                return cast(ReplyT, await self._send_parts(parts))
        future = self._send(call)
        try:
            return await future
        except asyncio.CancelledError:
            if isinstance(call, Dequeue) and _has_result(future):
                self._void_soon(cast(Dequeued, future.result()).jobs)
            raise

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """Call on_due soon with the next due time of a type, and again whenever an earlier one becomes known.

        The time is None while the link is down.
        """
        self._watches.setdefault(queue_type, []).append(on_due)
        if self._outbox is None:
            self._loop.call_soon(self._tell_nothing, queue_type, on_due)
        else:
            self._outbox.add(frames.encode(frames.Subscribe(queue_type)), 0)

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """Stop calling on_due; an unknown on_due is ignored."""
        watches = self._watches.get(queue_type, [])
        if on_due not in watches:
            return
        watches.remove(on_due)
        if not watches:
            del self._watches[queue_type]
            if self._outbox is not None:
                self._outbox.add(frames.encode(frames.Unsubscribe(queue_type)), 0)

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Call on_end whenever the shard says that a job is perhaps over, and when the link breaks."""
        self._job_watches.add(job, on_end, self._outbox)

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Stop calling on_end; an unknown on_end is ignored."""
        self._job_watches.remove(job, on_end, self._outbox)

    def _send(self, call: Call[ReplyT]) -> asyncio.Future[ReplyT]:
        if self._calls is None:
            raise Unavailable(f"a shard cannot be reached: {self.reason}")
        return self._calls.send(call)

    async def _send_parts(self, parts: Sequence[frames.LongCall]) -> list[Any]:
        """Send a bulk in several frames, so that other calls can go between them.

        Each part waits for the previous one: the shard might process parallel parts in another order (I3).
        """
        answers: list[Any] = []
        give_up_at = self._loop.time() + self._timeout_s
        for index, part in enumerate(parts):
            try:
                outcomes: list[Any] = await self._send(part)
            except SharqError as error:
                answers += [Failure(error.code, error.message, error.is_away)] * len(part.jobs)
                return answers + _not_sent(parts[index + 1 :], error.message)
            answers += outcomes
            if self._loop.time() > give_up_at:
                return answers + _not_sent(parts[index + 1 :], f"{self._timeout_s:.3g} s have passed")
        return answers

    async def _run(self, session: aiohttp.ClientSession) -> None:
        pause_s = MIN_PAUSE_S
        while True:
            started_at = self._loop.time()
            try:
                reason = await self._connect_once(session)
            except Exception as error:
                log.exception("link_failed shard=%s", self.address)
                reason = f"an error in this process: {type(error).__name__}"
            self._down.note(reason, self.address, self.node_id)
            if self._loop.time() - started_at > MAX_PAUSE_S:
                pause_s = MIN_PAUSE_S
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _connect_once(self, session: aiohttp.ClientSession) -> str:
        """Connect and serve the connection to its end; return why it ended. No call is left in flight."""
        try:
            async with asyncio.timeout(HELLO_S):
                socket = await self._open(session)
        except (aiohttp.ClientError, OSError) as error:
            return why_not_connected(error, HELLO_S, has_tls=self._tls is not None)
        # This stays if the task is cancelled, which is how the router closes the link.
        reason, code = "this router has closed it", aiohttp.WSCloseCode.GOING_AWAY
        try:
            await self._serve(socket)
        except FrameError as error:
            reason, code = str(error), aiohttp.WSCloseCode.POLICY_VIOLATION
        except (LinkBroken, ConnectionError) as error:
            reason = str(error)
        finally:
            self._go_down(why_link_ended(reason))
            await say_goodbye(socket, code, reason)
        return why_link_ended(reason)

    async def _open(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        return await session.ws_connect(
            f"{'https' if self._tls else 'http'}://{self.address}{frames.PATH}",
            ssl=self._tls or True,
            heartbeat=HEARTBEAT_S,
            max_msg_size=frames.MAX_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
        )

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Do the handshake, then read frames until FrameError or LinkBroken."""
        first = await self._say_hello(socket)
        self._go_up(socket, first.clock_us)
        self._read(first)
        while True:
            self._read(frames.decode_from_shard(await receive(socket)))

    async def _say_hello(self, socket: aiohttp.ClientWebSocketResponse) -> frames.Frame[FromShard]:
        """Prove the secret and check the shard's proof; return the shard's first frame without its welcome."""
        match (await self._next_hello(socket)).entries:
            case [frames.Hello() as greeting]:
                frames.check_version(greeting.version)
            case _:
                raise FrameError("no greeting")
        nonce = os.urandom(frames.NONCE_BYTES)
        proof = frames.prove(self._secret, frames.ROUTER, greeting.nonce, nonce)
        entry = frames.encode(frames.Proof(frames.VERSION, nonce, proof, reads_away=True))
        await socket.send_bytes(frames.pack(int(self._loop.time() * 1e6), [entry], 1))
        frame = await self._next_hello(socket)
        match frame.entries:
            case [frames.Welcome() as welcome, *more]:
                frames.check_proof(self._secret, frames.SHARD, greeting.nonce, nonce, welcome.proof)
            case _:
                raise FrameError("no welcome")
        self.node_id = greeting.node_id
        return frames.Frame(frame.clock_us, [NewView(welcome.view), *more])

    async def _next_hello(self, socket: aiohttp.ClientWebSocketResponse) -> frames.Frame[FromShard]:
        try:
            async with asyncio.timeout(HELLO_S):
                return frames.decode_from_shard(await receive(socket))
        except TimeoutError as error:
            raise FrameError(f"no word of welcome within {HELLO_S:.3g} s") from error

    def _go_up(self, socket: aiohttp.ClientWebSocketResponse, clock_us: int) -> None:
        outbox = self._outbox = Outbox(socket, lambda: not socket.closed)
        self._sender = asyncio.create_task(outbox.run())
        self._calls = PendingCalls(outbox, clock_us, self._timeout_s, self._void_soon, self.errors)
        self.connects += 1
        self.is_draining = False
        for queue_type in self._watches:
            outbox.add(frames.encode(frames.Subscribe(queue_type)), 0)
        self._job_watches.repeat(outbox)
        down_s = self._down.end()
        if down_s is None:
            log.info("link_up shard=%s node=%s", self.address, self.node_id)
        else:
            log.info("link_up shard=%s node=%s down_s=%.1f", self.address, self.node_id, down_s)

    def _go_down(self, reason: str) -> None:
        self._frames_before = self.frames_sent
        calls, self._calls, self._outbox = self._calls, None, None
        self.away, self.doubted_until = frozenset(), 0.0
        if calls is None or self._sender is None:
            return
        self._sender.cancel()
        calls.end(reason)
        if not self._is_closing:
            self._down.note(reason, self.address, self.node_id)
            self._on_down(self)
        for queue_type, watches in list(self._watches.items()):
            for on_due in list(watches):
                self._tell_nothing(queue_type, on_due)
        self._job_watches.tell_all()

    def _read(self, frame: frames.Frame[FromShard]) -> None:
        assert self._calls is not None
        self._calls.hear(frame.clock_us)
        for entry in frame.entries:
            match entry:
                case ReplyFrame():
                    self._calls.answer(entry.number, entry.result)
                case ErrorFrame():
                    self._calls.fail(entry)
                case Due():
                    for on_due in list(self._watches.get(entry.queue_type, ())):
                        on_due(entry.in_us)
                case frames.JobEnded():
                    self._job_watches.tell(entry.job)
                case NewView():
                    self._on_view(entry.view)
                case Away():
                    self._take_away(entry.partitions)
                case frames.Draining():
                    self.is_draining = True
                case _:
                    raise FrameError("a second greeting or welcome")

    def _take_away(self, partitions: list[int]) -> None:
        """Record the partitions that the shard leaves to others; the report ends any doubt about the shard."""
        if bool(partitions) != bool(self.away):
            self.away_since = self._loop.time()
            names = f"shard={self.address} node={self.node_id}"
            if partitions:
                log.warning(
                    "shard_away %s partitions=%d: it does not reach its store", names, len(partitions)
                )
            else:
                log.info("shard_back %s: it reaches its store again", names)
        self.away, self.doubted_until = frozenset(partitions), 0.0
        self._on_away(self)

    def _tell_nothing(self, queue_type: str, on_due: OnDue) -> None:
        """Report no due time while the shard cannot be reached."""
        if self._calls is None and on_due in self._watches.get(queue_type, ()):
            on_due(None)

    def _void_soon(self, jobs: list[LeasedJob]) -> None:
        if jobs:
            task = asyncio.create_task(void_leases(self, jobs))
            self._voidings.add(task)
            task.add_done_callback(self._voidings.discard)


def _has_result(future: asyncio.Future[ReplyT]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _not_sent(parts: Sequence[frames.LongCall], reason: str) -> list[Failure]:
    """Return the answers for the unsent parts of a bulk."""
    failure = Failure(Unavailable.code, f"the bulk was not sent any further: {reason}")
    return [failure for part in parts for _ in part.jobs]
