"""Makes the scheduler's call for a router's call, by the function and the fields that the router's call names.

Calls about jobs are made in batches (batches.py) by the makers here.

A new kind of QueueCall, PartitionCall or JobsCall needs nothing here: its fields have the names of the function's
parameters, and tests/unit/shard/batching/test_scheduler_calls.py compares their types.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from sharq_core.link.catalogue import CALLS
from sharq_core.link.messages import Call, JobsCall, PartitionCall, QueueCall
from sharq_core.scheduler.function_call import FunctionCall

ReplyT = TypeVar("ReplyT")


class NotAfter(Protocol):
    """The signature of Executor.not_after_us.

    It returns the time, in µs, after which a call must not run whose work arrived at a time of the loop (None: now);
    None while that time is unknown.
    """

    def __call__(self, partition: int, since: float | None = None) -> int | None:
        """Return the time after which the call must not run."""
        ...


class Maker(msgspec.Struct, frozen=True):
    """The function of one type of call.

    Attributes:
        make: the method that makes the call.
        fields: the fields of the call that the function takes by name.
        has_type: the function takes the queue type; if not, it is about a partition as a whole.
        has_deadline: the function takes `not_after_us`.
    """

    make: Callable[..., FunctionCall[Any]]
    fields: tuple[str, ...]
    has_type: bool
    has_deadline: bool


class SchedulerCalls:
    """The makers of one node's scheduler calls.

    Args:
        sources: the objects that have a method for each function that a call names.

    Attributes:
        makers: the function of each type of call that names one.
        not_after_us: returns the time after which a call must not run.
        partitions: P.
    """

    def __init__(self, sources: Sequence[object], not_after_us: NotAfter, partitions: int) -> None:
        self.not_after_us = not_after_us
        self.partitions = partitions
        self.makers = {call: _maker(sources, call) for call in CALLS if call.function}

    def of(self, call: QueueCall[ReplyT] | PartitionCall[ReplyT]) -> FunctionCall[ReplyT]:
        """Return the scheduler's call for a call about one queue or partition that arrived now."""
        maker = self.makers[type(call)]
        partition = call.partition_in(self.partitions)
        place: tuple[str, ...] = ()
        if isinstance(call, QueueCall):
            place = call.key.queue_type, call.key.queue_id
        elif maker.has_type:
            place = (call.queue_type,)
        named = {name: getattr(call, name) for name in maker.fields}
        if maker.has_deadline:
            named["not_after_us"] = self.not_after_us(partition)
        return maker.make(partition, *place, **named)


def _maker(sources: Sequence[object], call: type[Call[Any]]) -> Maker:
    make = next(getattr(source, call.function) for source in sources if hasattr(source, call.function))
    base = next(base for base in (JobsCall, QueueCall, PartitionCall) if issubclass(call, base))
    fields = call.__struct_fields__[len(base.__struct_fields__) :]
    parameters = inspect.signature(make).parameters
    return Maker(make, fields, "queue_type" in parameters, "not_after_us" in parameters)
