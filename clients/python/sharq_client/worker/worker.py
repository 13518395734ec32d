"""Offers the worker: an application registers its handlers and middleware, and runs it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, overload

import msgspec

from sharq_client.aio.client import AsyncClient
from sharq_client.requests import Types
from sharq_client.sync.client import Client
from sharq_client.worker.handlers.kinds import BatchHandler, Handler
from sharq_client.worker.handlers.middleware import Middleware
from sharq_client.worker.handlers.registry import Registry, names_of
from sharq_client.worker.options import WorkerOptions
from sharq_client.worker.outcomes import OnReported
from sharq_client.worker.run import Run
from sharq_client.worker.signals import stopped_by_signals

if TYPE_CHECKING:
    from sharq_client.worker.metrics import WorkerMetrics

HandlerT = TypeVar("HandlerT", bound=Handler)
BatchHandlerT = TypeVar("BatchHandlerT", bound=BatchHandler)
MiddlewareT = TypeVar("MiddlewareT", bound=Middleware)


class Worker:
    """A worker that leases jobs of one queue type or several, and runs a handler for each.

        worker = Worker(Client(), concurrency=50)

        @worker.handler("sms")
        def send(job): ...

        worker.run_forever()

    An `async def` handler runs on the event loop, a plain function in a thread. A job is finished if its handler
    returns, and released with the text of the error if it raises; the retry policy of the job then decides when it
    comes back. A handler may also raise Throttled, Retry or Drop, and return a JobResult.

    `worker.run_forever()` works until SIGTERM, SIGINT or SIGHUP, `await worker.run()` likewise in an event loop of
    yours, and `async with worker` works in the background of its block.

    Delivery is at least once: a handler may get a job again after a crash, so it must be safe to run twice.
    """

    def __init__(
        self,
        client: AsyncClient | Client,
        queue_type: Types | None = None,
        handler: Handler | Mapping[str, Handler] | None = None,
        *,
        concurrency: int = 10,
        batch: int = 100,
        lease_ms: float = 30_000,
        wait_ms: float = 2_000,
        release_delay_ms: float | None = None,
        stop_timeout_s: float = 30.0,
        on_reported: OnReported | None = None,
        middleware: Iterable[Middleware] = (),
        handle_signals: bool = True,
        metrics_port: int | None = None,
        metrics_host: str = "127.0.0.1",
        tracing: bool = True,
    ) -> None:
        """Configure the worker. This leases nothing yet.

        Args:
            client: the client to use. For a sync Client the worker makes an AsyncClient of the same settings.
            queue_type: the type of `handler`, or up to 16 types: the short form of `@worker.handler`.
            handler: the handler of these types, or a mapping with a handler for each.
            concurrency: the most handlers that run at once, 1 or more, and the most threads. Each batch handler has as
                many calls of its own.
            batch: the most jobs to lease with one request for handlers that get one job, 1 to 1,000.
            lease_ms: the length of a lease, 100 to 86,400,000. The worker extends a lease half-way to its end, for as
                long as the handler runs.
            wait_ms: the time that the server holds a request while no job is ready, 0 to 60,000. A stop waits for the
                request, so that no lease is lost in an unread response.
            release_delay_ms: the delay of a job whose handler raised, 0 for none. None for that of the retry policy of
                the job, its queue or its gathered type, or a second if there is none, as for a job from a program that
                does not use this client.
            stop_timeout_s: the time that a stop waits for handlers, and then again for the reports.
            on_reported: called for each job once the server has accepted its outcome, or refused it for good.
            middleware: runs around every handler, the first one outermost; see `middleware` below.
            handle_signals: True if SIGTERM, SIGINT and SIGHUP stop `run`: the first one gracefully, a second one at
                once.
            metrics_port: the port of a Prometheus endpoint at `/metrics`; None for none. It needs the extra `metrics`.
            metrics_host: the address that the endpoint listens on; 0.0.0.0 for all.
            tracing: False for no spans of handlers, although the program uses OpenTelemetry.

        Raises:
            TypeError: a handler or middleware is of no kind that could work, such as a class or a generator function.
            ValueError: an option is out of range, or a mapping of handlers has other types than queue_type.
            ModuleNotFoundError: metrics_port is given, and the extra `metrics` is not installed.
        """
        self._options = WorkerOptions(
            concurrency=concurrency,
            batch=batch,
            lease_ms=lease_ms,
            wait_ms=wait_ms,
            release_delay_ms=release_delay_ms,
            stop_timeout_s=stop_timeout_s,
            on_reported=on_reported,
            handle_signals=handle_signals,
            metrics_port=metrics_port,
            metrics_host=metrics_host,
            tracing=tracing,
        )
        self._client = async_client_of(client)
        self._owns_client = self._client is not client
        self._registry = _registry_of(queue_type, handler, middleware)
        if metrics_port is not None:
            import_module(_METRICS)  # a missing extra is an error now, not first at the run
        self._run: Run | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: int | None = None
        self._has_run = False
        self._is_stopped = False
        self._background: asyncio.Task[None] | None = None

    @property
    def queue_types(self) -> list[str]:
        """The queue types that have a handler."""
        return self._registry.queue_types

    @overload
    def handler(self, *queue_types: str) -> Callable[[HandlerT], HandlerT]: ...
    @overload
    def handler(self, *queue_types: str, batch: int) -> Callable[[BatchHandlerT], BatchHandlerT]: ...
    def handler(
        self, *queue_types: str, batch: int | None = None
    ) -> Callable[[HandlerT], HandlerT] | Callable[[BatchHandlerT], BatchHandlerT]:
        """Register the decorated function as the handler of queue types.

        A handler is an `async def` function, or a plain function, which runs in a thread; or a callable that behaves
        like one of them. An awaitable result is awaited. A JobResult is kept with the finished job; any other result
        is ignored. The job is a RunningJob, whose `progress` says how far the work is, and whose `queue_type` tells
        several types apart.

        Args:
            queue_types: the types, 1 to 16 for all handlers together.
            batch: the most jobs of one call, 1 to 1,000. The handler then gets a list of the jobs that were ready. If
                it raises, all of them are released. It may return a list with the outcome of each job, in order: a
                JobResult, an exception such as Retry(5) or Drop("unknown number"), or None. None: one job.

        Raises:
            TypeError: the function is of neither kind, or takes other arguments.
            ValueError: there is no type, more than 16, or one that has a handler already; or batch is out of range.
            RuntimeError: the worker runs already.
        """
        names = names_of(queue_types)

        def register(handler: HandlerT) -> HandlerT:
            self._check_not_running()
            self._registry.add(names, handler, batch)
            return handler

        return register

    def middleware(self, function: MiddlewareT) -> MiddlewareT:
        """Register the decorated `async def` function to run around every handler, for logs, metrics or traces.

        It gets the job (around a batch handler the list of jobs) and `call_next`; it returns, or raises, what
        `await call_next(job)` does. Of several, the one that was registered first is the outermost.

        Raises:
            TypeError: it is no `async def` function of two arguments.
            RuntimeError: the worker runs already.
        """
        self._check_not_running()
        self._registry.add_middleware(function)
        return function

    def configure(self, *, concurrency: int | None = None, metrics_port: int | None = None) -> None:
        """Change options before the run, as `sharq worker --concurrency` does. None keeps an option as it is.

        Raises:
            ValueError: an option is out of range.
            ModuleNotFoundError: metrics_port is given, and the extra `metrics` is not installed.
            RuntimeError: the worker runs already.
        """
        self._check_not_running()
        given = {"concurrency": concurrency, "metrics_port": metrics_port}
        changes = {name: value for name, value in given.items() if value is not None}
        self._options = msgspec.structs.replace(self._options, **changes)
        if metrics_port is not None:
            import_module(_METRICS)

    def stop(self) -> None:
        """Stop leasing. run() returns once all current jobs are done and reported.

        Handlers of both kinds, other threads and signal handlers may call it.
        """
        self._is_stopped = True
        if self._run is not None:
            self._tell(self._run.stop)

    def abort(self) -> None:
        """End at once: cancel the handlers and release their jobs. A job in a thread keeps its lease."""
        self._is_stopped = True
        if self._run is not None:
            self._tell(self._run.abort)

    def run_forever(self) -> None:
        """Work until SIGTERM, SIGINT or SIGHUP, in an event loop of its own. Call it once, and from no event loop.

        Raises:
            InvalidRequest, Unauthorized, Forbidden, NotFound, TypeError, RuntimeError, OSError: as `run`.
        """
        if _is_in_event_loop():
            raise RuntimeError("run_forever: an event loop runs here already; use `await worker.run()`")
        asyncio.run(self._run_and_close())

    async def run(self) -> None:
        """Work until stop() or a signal, also across restarts of the server. Call it once.

        SIGTERM, SIGINT and SIGHUP stop it if it runs in the main thread, unless handle_signals is False: the first one
        as stop() does, a second one as abort() does, except SIGHUP. Afterwards the previous signal handlers are in
        place again.
        Cancelling it stops it gracefully, too.

        Raises:
            InvalidRequest, Unauthorized, Forbidden, NotFound: the server refuses to lease, and a retry cannot help.
            TypeError: the handler returned a generator, so that it would never handle a job.
            RuntimeError: no handler is registered, or the worker has run already.
            OSError: the port of the metrics is taken.
        """
        self._begin()
        with stopped_by_signals(self) if self._options.handle_signals else contextlib.nullcontext():
            await self._work()

    async def __aenter__(self) -> Self:
        self._begin()
        self._background = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._background is not None:
            await self._background

    def _tell(self, action: Callable[[], None]) -> None:
        """Do something that may be done twice in the event loop, from any thread or signal handler."""
        if threading.get_ident() == self._loop_thread:
            action()
        # In a signal handler the loop may be asleep, and only this wakes it up.
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(action)

    def _begin(self) -> None:
        if not self._registry.handlers:
            raise RuntimeError('run: no handler is registered; register one with @worker.handler("sms")')
        if self._has_run:
            raise RuntimeError("run: this worker has been run already; make a new Worker for another run")
        self._has_run = True

    async def _work(self) -> None:
        async with self._served_metrics() as metrics:
            self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
            self._run = Run(self._client, self._options, self._registry, metrics)
            if self._is_stopped:
                self._run.stop()
            try:
                with self._client.tracing.detached():
                    await self._run.work()
            finally:
                if self._owns_client:
                    await self._client.close()

    async def _run_and_close(self) -> None:
        try:
            await self.run()
        finally:
            await self._client.close()

    @contextlib.asynccontextmanager
    async def _served_metrics(self) -> AsyncIterator[WorkerMetrics | None]:
        """Yield the metrics of the worker while they are served; None without a port."""
        if self._options.metrics_port is None:
            yield None
            return
        module = import_module(_METRICS)
        metrics = module.WorkerMetrics(self.queue_types)
        async with module.served(metrics, self._options.metrics_host, self._options.metrics_port):
            yield metrics

    def _check_not_running(self) -> None:
        if self._has_run:
            raise RuntimeError("handler: register all handlers and middleware before the worker runs")


_METRICS = "sharq_client.worker.metrics"
"""The module that needs the extra `metrics`."""


def async_client_of(client: AsyncClient | Client) -> AsyncClient:
    """Return the client, or an async client with the settings of a sync one.

    Raises:
        TypeError: it is no client, or a sync client whose connections are not HTTP.
    """
    if isinstance(client, AsyncClient):
        return client
    if not isinstance(client, Client):
        raise TypeError(f"client: expected an AsyncClient or a Client, got {client!r}")
    settings = client.settings
    if not settings.uses_http:
        raise TypeError("client: expected a Client over HTTP, or an AsyncClient with your connections")
    return AsyncClient(
        settings.urls,
        token=settings.token,
        timeout_s=settings.timeout_s,
        retries=settings.retries,
        ca=settings.tls,
        tracing=settings.tracing,
    )


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _registry_of(
    queue_type: Types | None,
    handler: Handler | Mapping[str, Handler] | None,
    middleware: Iterable[Middleware],
) -> Registry:
    registry = Registry()
    for each in middleware:
        registry.add_middleware(each)
    if queue_type is not None:
        types = [queue_type] if isinstance(queue_type, str) else list(queue_type)
        registry.add_each(names_of(types), handler)
    elif handler is not None:
        raise TypeError("queue_type: expected the type of the handler, got None")
    return registry
