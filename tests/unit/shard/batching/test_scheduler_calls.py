"""Every call of a router that names a function of the scheduler fits that function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pytest

from shard.batching.scheduler_calls import SchedulerCalls
from shard.batching.store_calls import StoreCalls
from sharq_core.limits import PauseStatus
from sharq_core.link import messages
from sharq_core.link.catalogue import CALLS
from sharq_core.link.messages import Call, Failure, JobsCall, PartitionCall, QueueCall
from sharq_core.models import DeletedQueue, QueueKey
from sharq_core.partitions import partition_of
from sharq_core.scheduler import library
from sharq_core.scheduler.campaigns.batch_calls import BatchCalls
from sharq_core.scheduler.campaigns.schedule_calls import ScheduleCalls
from sharq_core.scheduler.campaigns.windows import WindowCalls
from sharq_core.scheduler.caps.cap_calls import CapCalls
from sharq_core.scheduler.caps.capped_calls import CappedCalls
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.job_calls import JobCalls
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.limit_calls import LimitCalls, TypeCalls

PARTITIONS = 64
KEY = QueueKey("sms", "q1")
NAMED = sorted((call for call in CALLS if call.function), key=lambda call: call.__name__)


def makers(asked: list[tuple[int, float | None]]) -> SchedulerCalls:
    """The makers of a node whose deadlines are 77; `asked` gets what they were asked for."""

    def not_after_us(partition: int, since: float | None = None) -> int:
        asked.append((partition, since))
        return 77

    keys = Keys("t", PARTITIONS)
    return SchedulerCalls(StoreCalls(keys, Retention()).sources, not_after_us, PARTITIONS)


def maker_of(call: type[Call[Any]]) -> Callable[..., Any]:
    """The method that makes the call to the store."""
    sources = (
        Functions,
        JobCalls,
        LimitCalls,
        TypeCalls,
        BatchCalls,
        ScheduleCalls,
        WindowCalls,
        CapCalls,
        CappedCalls,
    )
    make: Callable[..., Any] = next(
        getattr(source, call.function) for source in sources if hasattr(source, call.function)
    )
    return make


def test_fields_of_each_call_are_parameters_of_its_function() -> None:
    for call in NAMED:
        parameters = get_type_hints(maker_of(call))
        fields = get_type_hints(call)
        own = set(call.__struct_fields__) - {"key", "queue_type", "partition", "jobs"}
        assert {name: fields[name] for name in own} == {name: parameters[name] for name in own}, call


@pytest.mark.parametrize("call", NAMED, ids=lambda call: call.__name__)
def test_reply_of_a_call_is_the_value_of_its_function(call: type[Call[Any]]) -> None:
    (value,) = get_args(get_type_hints(maker_of(call))["return"])
    (reply,) = get_args(call.__orig_bases__[0])  # type: ignore[attr-defined] # by typing
    if issubclass(call, JobsCall):
        assert reply == list[get_args(value)[0] | Failure]  # type: ignore[misc] # a type at run time
    elif reply is DeletedQueue:
        assert value is int
    elif call is messages.SetPaused:
        assert (reply, value) == (bool, PauseStatus)
    else:
        assert reply == value


def test_each_call_is_a_read_if_its_function_is() -> None:
    functions = {function.name: function for function in library.FUNCTIONS}
    for call in NAMED:
        assert call.is_read is functions[call.function].is_read, call


def test_each_call_that_writes_has_a_deadline() -> None:
    """Without one, it would take a step of the store's clock for elapsed time."""
    made = makers([]).makers
    assert [call for call in NAMED if not (call.is_read or made[call].has_deadline)] == []


def test_calls_about_a_queue_and_a_partition_go_to_their_partition() -> None:
    asked: list[tuple[int, float | None]] = []
    made = makers(asked)
    partition = partition_of("sms", "q1", PARTITIONS)
    assert made.of(messages.GetJob(KEY, "j")).partition == partition
    assert made.of(messages.ListQueues("sms", 5, 0, 10)).partition == 5
    assert made.of(messages.SetPaused(KEY, True)).command.arguments[-1] == 77
    assert asked == [(partition, None)]


def test_every_call_with_a_function_is_of_one_of_the_three_kinds() -> None:
    kinds = (JobsCall, QueueCall, PartitionCall)
    assert all(issubclass(call, kinds) == bool(call.function) for call in CALLS)
