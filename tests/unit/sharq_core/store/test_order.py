"""Tests which refused calls are sent again: none after a later call of its kind was done, alone or merged (I3)."""

from __future__ import annotations

from typing import Any

import pytest

from sharq_core.models import NewJob
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.joint import MergedCall
from sharq_core.scheduler.keys import Keys
from sharq_core.store.commands import FcallCommand
from sharq_core.store.failures import Misplaced
from sharq_core.store.resend import to_resend

FUNCTIONS = Functions(Keys("orders", 8), Retention())
DONE = ["done"]
REFUSED = Misplaced("elsewhere")


def sent(queue_type: str, *partitions: int) -> FcallCommand:
    """Enqueues of a type in these partitions, sent as one."""
    job = NewJob(queue_type, "q", "1", b"{}", requeue_limit=-1, interval_us=1)
    calls: list[FunctionCall[Any]] = [FUNCTIONS.enqueue(at, queue_type, [job]) for at in partitions]
    return MergedCall(tuple(calls)).command


@pytest.mark.parametrize(
    ("refused", "done", "again"),
    [
        (sent("sms", 1), sent("sms", 1), []),
        (sent("sms", 0, 1), sent("sms", 1), []),
        (sent("sms", 1), sent("sms", 0, 1), []),
        (sent("sms", 0, 1), sent("sms", 1, 2), []),
        (sent("sms", 0, 1), sent("sms", 2, 3), [0]),
        (sent("sms", 0, 1), sent("sms", 2), [0]),
        (sent("sms", 0, 1), sent("mail", 0, 1), [0]),
        (sent("sms", 1), sent("mail", 1), [0]),
    ],
)
def test_a_refused_call_is_sent_again_unless_a_later_one_of_its_kind_was_done(
    refused: FcallCommand, done: FcallCommand, again: list[int]
) -> None:
    assert to_resend([refused, done], [REFUSED, DONE], Misplaced) == again
    assert to_resend([done, refused], [DONE, REFUSED], Misplaced) == [1]


def test_other_functions_may_come_behind() -> None:
    other = FUNCTIONS.get_counts(1).command
    assert to_resend([sent("sms", 0, 1), other], [REFUSED, DONE], Misplaced) == [0]
