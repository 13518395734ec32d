"""Makes the scheduler's call for a router's call, by the function and the fields that the router's call names.

A new kind of QueueCall, PartitionCall or JobsCall needs nothing here: its fields have the names of the function's
parameters, and tests/unit/test_scheduler_calls.py compares their types.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from sharq_core.link.catalogue import CALLS
from sharq_core.link.messages import Addressed, Call, JobsCall, PartitionCall, QueueCall
from sharq_core.scheduler.function_call import FunctionCall

JobT = TypeVar("JobT", bound=Addressed)
ReplyT = TypeVar("ReplyT")


class NotAfter(Protocol):
    """The signature of PartitionClocks.not_after_us.

    It returns the time of a partition's server, in µs, after which a call must not run whose work arrived at a time of
    the loop (None: now); None while that time is unknown.
    """

    def __call__(self, partition: int, since: float | None = None) -> int | None:
        """Return the time after which the call must not run."""
        ...


class _Maker(msgspec.Struct, frozen=True):
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
        partitions: P.
    """

    def __init__(self, sources: Sequence[object], not_after_us: NotAfter, partitions: int) -> None:
        self._not_after_us = not_after_us
        self.partitions = partitions
        self._makers = {call: _maker(sources, call) for call in CALLS if call.function}

    def of(self, call: QueueCall[ReplyT] | PartitionCall[ReplyT]) -> FunctionCall[ReplyT]:
        """Return the scheduler's call for a call about one queue or partition that arrived now."""
        maker = self._makers[type(call)]
        partition = call.partition_in(self.partitions)
        place: tuple[str, ...] = ()
        if isinstance(call, QueueCall):
            place = call.key.queue_type, call.key.queue_id
        elif maker.has_type:
            place = (call.queue_type,)
        named = {name: getattr(call, name) for name in maker.fields}
        if maker.has_deadline:
            named["not_after_us"] = self._not_after_us(partition)
        return maker.make(partition, *place, **named)

    def of_jobs(
        self, call: type[JobsCall[Any]], partition: int, queue_type: str, jobs: list[JobT], since: float
    ) -> FunctionCall[Any]:
        """Return the scheduler's call for jobs of one partition and type.

        Args:
            call: the type of call that the jobs came in.
            since: the loop's time, in seconds, at which the oldest of them arrived.
        """
        maker = self._makers[call]
        if maker.has_deadline:
            return maker.make(partition, queue_type, jobs, not_after_us=self._not_after_us(partition, since))
        return maker.make(partition, queue_type, jobs)


def _maker(sources: Sequence[object], call: type[Call[Any]]) -> _Maker:
    make = next(getattr(source, call.function) for source in sources if hasattr(source, call.function))
    base = next(base for base in (JobsCall, QueueCall, PartitionCall) if issubclass(call, base))
    fields = call.__struct_fields__[len(base.__struct_fields__) :]
    parameters = inspect.signature(make).parameters
    return _Maker(make, fields, "queue_type" in parameters, "not_after_us" in parameters)
