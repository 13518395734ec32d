"""Types whose queues have caps, as a node shows them to a dequeue that does not wait."""

from __future__ import annotations

from sharq_core.link.control_calls import PeekTypes
from sharq_core.link.messages import Peek
from tests.cluster.caps.test_named_caps import KIND, put_cap
from tests.support.nodes.parts import Parts, enqueued, job
from tests.support.waits import until_answer


async def test_slots_that_only_a_dequeue_reserves_are_told_of_several_types_as_of_one(parts: Parts) -> None:
    """Nobody waits. Once a dequeue has found what was reserved ahead, the index knows of no slot that is due."""
    await put_cap(parts.node, "acct", 1_000)
    await enqueued(parts, *(job(KIND, f"q{n}", "j", caps=("acct",)) for n in range(20)))
    await until_answer(lambda: parts.dequeue(KIND))
    is_unreserved = parts.node.parts.index.due_in_us
    await until_answer(
        lambda: parts.node.call(Peek(KIND)), lambda due: due == 0 and (is_unreserved(KIND) or 1) > 0
    )
    assert await parts.node.call(PeekTypes([KIND, "other"])) == [0, None]
