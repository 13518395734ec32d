"""Registers the handlers and the middleware of a worker, and refuses what could never work at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from sharq_client.worker.handlers import kinds
from sharq_client.worker.handlers.kinds import BatchHandler, Handler, Unfit
from sharq_client.worker.handlers.middleware import Middleware, check_middleware

MAX_TYPES = 16
"""The most queue types that one dequeue may name."""

MAX_BATCH = 1_000
"""The most jobs that one dequeue may lease."""


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A handler and what it handles.

    Attributes:
        queue_types: its types, one or more.
        batch: the most jobs of one call; None for a handler that gets one job.
        is_async: True for a handler that runs on the event loop, False for one that runs in a thread.
    """

    queue_types: tuple[str, ...]
    handler: Handler | BatchHandler
    batch: int | None
    is_async: bool

    @property
    def name(self) -> str:
        """The name of the handler, for people."""
        return kinds.name_of(self.handler)


class Registry:
    """The handlers and the middleware of one worker."""

    def __init__(self) -> None:
        self.handlers: list[Registration] = []
        self.middleware: list[Middleware] = []

    @property
    def queue_types(self) -> list[str]:
        """The types that have a handler, in the order of their registration."""
        return [name for registration in self.handlers for name in registration.queue_types]

    def add(
        self, queue_types: Sequence[str], handler: Handler | BatchHandler | None, batch: int | None = None
    ) -> None:
        """Register a handler.

        Raises:
            Unfit: the handler can never handle a job.
            ValueError: there is no type, more than 16, or one that has a handler already; or batch is out of range.
        """
        is_async = kinds.is_async(handler, takes="the job" if batch is None else "the list of jobs")
        assert handler is not None
        self._check_types(queue_types, handler)
        if batch is not None and not 1 <= batch <= MAX_BATCH:
            raise ValueError(f"batch: expected 1 to {MAX_BATCH:,}, got {batch}")
        self.handlers.append(
            Registration(queue_types=tuple(queue_types), handler=handler, batch=batch, is_async=is_async)
        )

    def add_each(self, queue_types: Sequence[str], handler: Handler | Mapping[str, Handler] | None) -> None:
        """Register one handler for all types, or the handler of each.

        Raises:
            Unfit, ValueError: as `add`; or there is no handler, or a mapping of handlers has other types.
        """
        if not isinstance(handler, Mapping):
            self.add(queue_types, handler)
            return
        if handler.keys() != set(queue_types):
            raise ValueError(
                f"handler: expected one for each of {', '.join(queue_types)}, got {', '.join(handler)}"
            )
        for queue_type in queue_types:
            self.add([queue_type], handler[queue_type])

    def add_middleware(self, middleware: Middleware) -> None:
        """Register middleware. The first one is the outermost.

        Raises:
            TypeError: it is no `async def` function of two arguments.
        """
        check_middleware(middleware)
        self.middleware.append(middleware)

    def _check_types(self, queue_types: Sequence[str], handler: object) -> None:
        if not queue_types:
            raise ValueError("queue_type: expected a type, or a list of 1 to 16 types, got an empty list")
        owners = {name: each.name for each in self.handlers for name in each.queue_types}
        for index, queue_type in enumerate(queue_types):
            if queue_type in owners or queue_type in queue_types[:index]:
                owner = owners.get(queue_type, kinds.name_of(handler))
                raise ValueError(f"queue_type: {queue_type} has a handler already: {owner}")
        if len(owners) + len(queue_types) > MAX_TYPES:
            raise ValueError(f"queue_type: expected up to {MAX_TYPES} types, got more")


def names_of(queue_types: Iterable[object]) -> list[str]:
    """Return the queue types that a decorator was given.

    Raises:
        Unfit: one is no text, such as the handler itself after `@worker.handler` without parentheses.
    """
    names = []
    for queue_type in queue_types:
        if not isinstance(queue_type, str):
            raise Unfit(
                'queue_type: expected the names of queue types, as in @worker.handler("sms"), '
                f"got {kinds.name_of(queue_type)}"
            )
        names.append(queue_type)
    return names
