"""A stream of jobs in any interleaving of its calls: order, bounds, and where it resumes after a failure."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from sharq_client import EnqueueStopped, Unavailable, streaming
from sharq_client.bulk import Result
from sharq_client.streaming import EnqueueStream, EnqueueSummary, StreamCall

MAX_JOBS = 4


class Calls:
    """The calls of a stream, whose answers come when the test says so.

    Attributes:
        accepted: the places of the jobs that the server has queued, in the order of their arrival.
    """

    def __init__(self, stream: EnqueueStream, chance: strategies.DataObject, may_fail: bool) -> None:
        self._stream = stream
        self._chance = chance
        self._may_fail = may_fail
        self._in_flight: dict[int, StreamCall] = {}
        self.accepted: list[int] = []

    def begin(self, batch: StreamCall) -> None:
        self.end(batch.lane)
        assert len(batch.bodies) <= MAX_JOBS
        if self._stream.stopped_by is None:
            self._in_flight[batch.lane] = batch
        for lane in list(self._in_flight):
            if self._chance.draw(strategies.booleans()):
                self.end(lane)

    def end(self, lane: int) -> None:
        batch = self._in_flight.pop(lane, None)
        if batch is None:
            return
        answers: list[Result | Unavailable] = []
        for index in batch.indexes:
            if self._may_fail and self._chance.draw(strategies.integers(0, 20)) == 0:
                answers.append(Unavailable("away"))
            else:
                self.accepted.append(index)
                answers.append(Result("queued"))
        self._stream.record(batch, answers)

    def end_all(self) -> None:
        for lane in list(self._in_flight):
            self.end(lane)


def run(
    queues: list[int], in_flight: int, chance: strategies.DataObject, may_fail: bool
) -> tuple[list[int], EnqueueSummary | EnqueueStopped]:
    """Send one job for each queue of a list. Return the places that were accepted, and the outcome."""
    stream = EnqueueStream(iter(()), in_flight)
    calls = Calls(stream, chance, may_fail)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "MAX_JOBS_A_CALL", MAX_JOBS)
        for queue in queues:
            for batch in stream.add({"queue_type": "t", "queue_id": f"{queue}", "payload": 1}):
                calls.begin(batch)
            if stream.stopped_by is not None:
                break
        for batch in stream.rest():
            calls.begin(batch)
        calls.end_all()
    try:
        outcome = stream.outcome()
    except EnqueueStopped as stopped:
        return calls.accepted, stopped
    assert isinstance(outcome, EnqueueSummary)
    return calls.accepted, outcome


QUEUES = strategies.lists(strategies.integers(0, 5), max_size=60)


@given(queues=QUEUES, in_flight=strategies.integers(1, 5), chance=strategies.data())
def test_every_job_is_sent_once_and_in_the_order_of_its_queue(
    queues: list[int], in_flight: int, chance: strategies.DataObject
) -> None:
    accepted, outcome = run(queues, in_flight, chance, may_fail=False)
    assert sorted(accepted) == list(range(len(queues)))
    assert isinstance(outcome, EnqueueSummary) and outcome.queued == outcome.sent == len(queues)
    for queue in set(queues):
        places = [place for place in accepted if queues[place] == queue]
        assert places == sorted(places)


@given(queues=QUEUES, in_flight=strategies.integers(1, 5), chance=strategies.data())
def test_every_job_before_the_place_to_resume_at_is_queued(
    queues: list[int], in_flight: int, chance: strategies.DataObject
) -> None:
    accepted, outcome = run(queues, in_flight, chance, may_fail=True)
    assert len(set(accepted)) == len(accepted)
    if isinstance(outcome, EnqueueStopped):
        assert set(range(outcome.resume_at)) <= set(accepted)
        assert outcome.resume_at not in accepted
        assert outcome.summary.queued == outcome.summary.sent == len(accepted)
        assert isinstance(outcome.__cause__, Unavailable)
    else:
        assert sorted(accepted) == list(range(len(queues)))
