"""While a shard of an older version is a member, nothing is sent that it would misread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from router.shards.campaigns.batches import BatchRouting
from router.shards.campaigns.schedules import ScheduleRouting
from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from router.shards.upgrade import CAMPAIGNS, CAPS, IDENTIFIERS, LIFE, LIMITS
from router.shards.walks.unread import Unread
from sharq_core.campaigns.quotas import PeriodLength
from sharq_core.campaigns.schedules import ScheduleRule
from sharq_core.errors import SharqError, Unavailable
from sharq_core.job_changes import CancelJob, CancelOutcome, CancelStatus, JobChange
from sharq_core.job_life import DeadRef, OnExpiry, Retry
from sharq_core.limits import CapHold, QueueSettings, Quota, TypeSettings
from sharq_core.link.campaigns.batch_calls import CancelBatch, GetBatch
from sharq_core.link.campaigns.schedule_calls import PutSchedule
from sharq_core.link.control_calls import Explain, HoldQueue, ListTypes, SetQueue, SetType
from sharq_core.link.job_calls import (
    Cancel,
    CancelMatching,
    ChangeJob,
    DropDeadLetter,
    DropLetters,
    ListDead,
    ListJobs,
)
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import (
    FORMATS,
    Call,
    Enqueue,
    Extend,
    Finish,
    GetJob,
    GetQueue,
    OnDue,
    Release,
    SetPaused,
    SetRate,
)
from sharq_core.models import (
    Enqueued,
    EnqueueStatus,
    ExtendJob,
    FinishJob,
    JobState,
    LeaseOutcome,
    LeaseStatus,
    NewJob,
    QueueKey,
    QueueStats,
    ReleaseJob,
)

KEY = QueueKey("sms", "q")
JOB = NewJob("sms", "q", "j", b"1", -1, 1000)
STATS = QueueStats(True, 1000, 1, False, False, 0, 0, 0, None, None, [], [])


class Shard:
    """A shard that answers everything with success.

    Attributes:
        calls: the calls so far.
    """

    def __init__(self) -> None:
        self.calls: list[Call[Any]] = []

    async def call(self, call: Call[Any]) -> Any:
        self.calls.append(call)
        if isinstance(call, Enqueue):
            return [Enqueued(EnqueueStatus.QUEUED, 0) for _ in call.jobs]
        if isinstance(call, Finish | Extend | Release):
            return [LeaseOutcome(LeaseStatus.DONE) for _ in call.jobs]
        if isinstance(call, Cancel):
            return [CancelOutcome(CancelStatus.NOT_FOUND) for _ in call.jobs]
        return STATS if isinstance(call, GetQueue) else True

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """These tests do not call it."""

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """These tests do not call it."""

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""


class Cluster:
    """A router whose shard runs beside one of an older format, until `upgrade`."""

    def __init__(self, formats: int = LIMITS - 1) -> None:
        self.shard = Shard()
        self.directory = OneShard(self.shard, 64)
        self.directory.formats = formats
        self.dispatch = Dispatch(self.directory)

    def upgrade(self, formats: int = FORMATS) -> None:
        self.directory.formats = formats


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def new_job(**fields: Any) -> NewJob:
    return NewJob("sms", "q", "j", b"1", -1, 1000, **fields)


NEWER_JOBS: Sequence[tuple[type, Any, str]] = [
    (Enqueue, NewJob("sms", "q", "j", b"1", -1, 1000, cost=2), "cost: "),
    (Enqueue, NewJob("sms", "q", "j", b"1", -1, 1000, max_leased=2), "max_leased: "),
    (Enqueue, NewJob("sms", "q", "j", b"1", -1, 1000, 1.1), "burst: "),
    (Enqueue, NewJob("sms~a", "q", "j", b"1", -1, 1000), "queue_type"),
    (Finish, FinishJob("sms", "q", "j", "l", cost=0), "cost: "),
    (Finish, FinishJob("sms", "q", "j", "l", hold_us=1), "hold: "),
    (Release, ReleaseJob("sms", "q", "j", "l", hold_type_us=1), "hold_type: "),
    (Release, ReleaseJob("sms", "q", "j", "l", counts=False), "count: "),
]

LIFE_JOBS: Sequence[tuple[type, Any, str]] = [
    (Enqueue, new_job(priority=1), "priority: "),
    (Enqueue, new_job(at_us=1), "at: "),
    (Enqueue, new_job(expires_us=1), "expires: "),
    (Enqueue, new_job(expires_at_us=1), "expires_at: "),
    (Enqueue, new_job(on_expiry=OnExpiry.DROP), "on_expiry: "),
    (Enqueue, new_job(retry=Retry(1)), "retry: "),
    (Release, ReleaseJob("sms", "q", "j", "l", error="broken"), "error: "),
    (Cancel, CancelJob("sms", "q", "j"), "this call: "),
]


OUTPUT_JOBS: Sequence[tuple[type, Any, str]] = [
    (Finish, FinishJob("sms", "q", "j", "l", result=b"1"), "result: "),
    (Extend, ExtendJob("sms", "q", "j", "l", 1, b"1"), "progress: "),
]

NEWER_IDS: Sequence[tuple[type, Any, str]] = [
    (Enqueue, NewJob("sms", "tenant:42", "j", b"1", -1, 1000), "queue_id: "),
    (Enqueue, NewJob("sms", "tenant/42", "j", b"1", -1, 1000), "queue_id: "),
    (Enqueue, NewJob("sms", "q", "order:7", b"1", -1, 1000), "job_id: "),
    (Enqueue, new_job(batch="campaign/7"), "batch: "),
    (Finish, FinishJob("sms", "tenant:42", "j", "l"), "queue_id: "),
    (Extend, ExtendJob("sms", "q", "order/7", "l", 1), "job_id: "),
    (Release, ReleaseJob("sms", "q", "order:7", "l"), "job_id: "),
    (Cancel, CancelJob("sms", "q", "order:7"), "job_id: "),
]

CAP_JOBS: Sequence[tuple[type, Any, str]] = [
    (Enqueue, new_job(caps=("acct17",)), "caps: "),
    (Enqueue, new_job(caps=()), "caps: "),
    (Finish, FinishJob("sms", "q", "j", "l", hold_cap=CapHold("acct17", 1)), "hold_cap: "),
    (Release, ReleaseJob("sms", "q", "j", "l", hold_cap=CapHold("acct17", 1)), "hold_cap: "),
]


@pytest.mark.parametrize(
    ("formats", "kind", "job", "name"),
    [(LIMITS, *newer) for newer in NEWER_JOBS]
    + [(LIFE, *newer) for newer in LIFE_JOBS]
    + [(CAMPAIGNS, *newer) for newer in OUTPUT_JOBS]
    + [(IDENTIFIERS, *newer) for newer in NEWER_IDS]
    + [(CAPS, *newer) for newer in CAP_JOBS],
    ids=repr,
)
async def test_a_field_of_a_job_is_refused_by_name_below_its_format(
    formats: int, kind: type, job: Any, name: str
) -> None:
    cluster = Cluster(formats - 1)
    with pytest.raises(Unavailable, match=f"^{name}.*older version"):
        await cluster.dispatch.route_job(kind, job)
    assert cluster.shard.calls == []
    cluster.upgrade(formats)
    await cluster.dispatch.route_job(kind, job)
    assert len(cluster.shard.calls) == 1


async def test_in_a_bulk_call_only_the_jobs_with_newer_fields_are_refused(cluster: Cluster) -> None:
    costly = NewJob("sms", "q", "k", b"1", -1, 1000, cost=2)
    outcomes = await cluster.dispatch.enqueue([JOB, costly, JOB])
    assert [isinstance(outcome, SharqError) for outcome in outcomes] == [False, True, False]
    (call,) = cluster.shard.calls
    assert isinstance(call, Enqueue)
    assert call.jobs == [JOB, JOB]
    assert all(isinstance(outcome, Unavailable) for outcome in await cluster.dispatch.enqueue([costly] * 2))


@pytest.mark.parametrize(
    ("formats", "call", "name"),
    [
        (LIMITS, SetQueue(KEY, QueueSettings(max_leased=1)), "this call: "),
        (LIMITS, HoldQueue(KEY, 1000), "this call: "),
        (LIMITS, SetRate(KEY, 1000, 1.1), "burst: "),
        (LIMITS, SetPaused(QueueKey("sms~a", "q"), True), "queue_type"),
        (LIFE, SetQueue(KEY, QueueSettings(retry=Retry(1))), "retry: "),
        (LIFE, SetQueue(KEY, QueueSettings(expires_us=None)), "expires: "),
        (LIFE, SetType("sms~a", 0, TypeSettings(on_expiry=OnExpiry.DEAD)), "on_expiry: "),
        (CAMPAIGNS, SetType("sms~a", 0, TypeSettings(quotas=[Quota(1, PeriodLength.DAY)])), "quotas: "),
        (CAMPAIGNS, SetType("sms~a", 0, TypeSettings(quotas=None)), "quotas: "),
        (LIFE, ListDead("sms", 0, "", 1, "q"), "queue_id: "),
        (LIFE, CancelMatching(KEY, "", ""), "this call: "),
        (LIFE, ChangeJob(KEY, "j", JobChange(priority=1)), "this call: "),
        (LIFE, ListJobs(KEY, JobState.QUEUED, 1, "", ""), "this call: "),
        (LIFE, DropDeadLetter(KEY, "j"), "this call: "),
        (CAMPAIGNS, CancelBatch("sms", 0, "campaign7", ""), "this call: "),
        (CAMPAIGNS, GetBatch("sms", 0, "campaign7"), "this call: "),
        (IDENTIFIERS, SetPaused(QueueKey("sms", "tenant:42"), True), "queue_id: "),
        (IDENTIFIERS, SetQueue(QueueKey("sms", "tenant/42"), QueueSettings(weight=2)), "queue_id: "),
        (IDENTIFIERS, GetJob(KEY, "order:7"), "job_id: "),
        (IDENTIFIERS, ListDead("sms", 0, "", 1, "tenant:42"), "queue_id: "),
        (IDENTIFIERS, CancelMatching(KEY, "order:", ""), "prefix: "),
        (IDENTIFIERS, GetBatch("sms", 0, "campaign:7"), "batch: "),
        (CAPS, SetQueue(KEY, QueueSettings(caps=("acct17",))), "caps: "),
        (CAPS, SetQueue(KEY, QueueSettings(caps=None)), "caps: "),
    ],
    ids=repr,
)
async def test_a_call_or_its_field_is_not_sent_below_its_format(formats: int, call: Any, name: str) -> None:
    cluster = Cluster(formats - 1)
    with pytest.raises(Unavailable, match=f"^{name}.*older version"):
        await cluster.dispatch.route(call)
    assert cluster.shard.calls == []
    cluster.upgrade(formats)
    await cluster.dispatch.route(call)
    assert cluster.shard.calls == [call]


WHOLE: Sequence[Callable[[Dispatch], Any]] = [
    lambda dispatch: dispatch.pause_all(is_paused=True),
    lambda dispatch: dispatch.pause_type("sms", is_paused=True),
    lambda dispatch: dispatch.list_types(10, "", Unread(4)),
    lambda dispatch: BatchRouting(dispatch).get("sms", "campaign7", Unread(64)),
    lambda dispatch: BatchRouting(dispatch).cancel("sms", "campaign7", lambda: False),
    lambda dispatch: anext(aiter(dispatch.list_queue_stats("sms", 10, None).pages())),
]


@pytest.mark.parametrize("ask", WHOLE)
async def test_a_call_to_all_shards_is_not_sent_either(
    cluster: Cluster, ask: Callable[[Dispatch], Any]
) -> None:
    with pytest.raises(Unavailable, match="older version"):
        await ask(cluster.dispatch)
    assert cluster.shard.calls == []


async def test_schedule_with_newer_ids_is_refused_before_its_first_step() -> None:
    cluster = Cluster(IDENTIFIERS - 1)
    job = NewJob("sms", "tenant:42", "", b"1", -1, 1000)
    with pytest.raises(Unavailable, match=r"^queue_id: .*older version"):
        await ScheduleRouting(cluster.dispatch).put("daily", ScheduleRule(every_us=60_000_000), job, b"{}")
    assert cluster.shard.calls == []


async def test_schedule_with_caps_is_refused_before_it_is_stored() -> None:
    cluster = Cluster(CAPS - 1)
    put = PutSchedule(
        "", 0, "daily", 1, False, ScheduleRule(every_us=60_000_000), new_job(caps=("acct17",)), b"{}"
    )
    with pytest.raises(Unavailable, match=r"^caps: .*older version"):
        await cluster.dispatch.route(put)
    assert cluster.shard.calls == []


async def test_what_older_shards_know_goes_on(cluster: Cluster) -> None:
    assert await cluster.dispatch.explain("sms") is None
    assert await cluster.dispatch.queue(KEY) is STATS
    await cluster.dispatch.route_job(Enqueue, JOB)
    await cluster.dispatch.route(SetRate(KEY, 1000, 2))
    assert not any(isinstance(call, Explain | ListTypes) for call in cluster.shard.calls)
    assert all(call.formats < LIMITS for call in cluster.shard.calls)


async def test_shards_of_format_2_take_limits_and_what_they_do_not_misread() -> None:
    cluster = Cluster(LIFE - 1)
    settings = QueueSettings(max_leased=1)
    calls: list[Any] = [SetQueue(KEY, settings), ListDead("sms", 0, "", 1), GetJob(KEY, "j")]
    for call in calls:
        await cluster.dispatch.route(call)
    await cluster.dispatch.route_job(Enqueue, new_job(cost=2))
    await cluster.dispatch.route_job(Release, ReleaseJob("sms", "q", "j", "l", retries=True))
    assert len(cluster.shard.calls) == 5


async def test_named_dead_letters_are_not_dropped_by_an_older_shard() -> None:
    """An unknown call would close the link."""
    cluster = Cluster(DropLetters.formats - 1)
    with pytest.raises(Unavailable, match=r"^this call: .*older version"):
        await cluster.dispatch.drop_letters([DeadRef("sms", "q", "j")])
    assert cluster.shard.calls == []
