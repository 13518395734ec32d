"""The function library as the store sees it: it loads, declares what it touches, and refuses before it writes.

U and a number: a fault of the original, listed in docs/compatibility.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import pytest
import redis
from redis.exceptions import NoPermissionError, OutOfMemoryError

from sharq_core.campaigns.quotas import PeriodLength, Zone
from sharq_core.job_changes import CancelJob, JobChange
from sharq_core.job_life import DeadRef
from sharq_core.limits import Limit, LimitUnit, QueueSettings, Quota, TypeSettings
from sharq_core.link.messages import Member
from sharq_core.models import EnqueueStatus, FinishJob, JobState, ReleaseJob
from sharq_core.scheduler import library
from sharq_core.scheduler.campaigns.quotas import PeriodCalls
from sharq_core.scheduler.caps.cap_calls import CapCalls
from sharq_core.scheduler.data_set import DataCalls, Remembered
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.joint import merge
from sharq_core.scheduler.keys import Keys, slot_of, tags
from sharq_core.scheduler.limit_calls import TypeCalls
from sharq_core.scheduler.membership import MembershipCalls
from sharq_core.scheduler.replies import Reply
from sharq_core.store.topology.layout import SLOTS
from sharq_core.top_queues import TopOrder
from tests.scheduler.drivers.cap_life import use_caps
from tests.scheduler.drivers.capped_life import use_capped_queues
from tests.scheduler.drivers.driver import (
    DAY_US,
    LEASE_US,
    MINUTE_US,
    SECOND_US,
    TYPE,
    Driver,
    execute,
    new_job,
)
from tests.scheduler.drivers.schedule_life import use_schedules
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.ports import free_port
from tests.support.stores.server import KINDS, StoreFactory, StoreServer

T = TypeVar("T")

DIGEST = Path(__file__).with_name("library.sha256")
CLUSTER_DEADLINE_S = 20.0


def load(server: StoreServer) -> redis.Redis:
    """A client of a private store that has the library."""
    client = server.client(timeout_s=20.0)
    client.function_load(library.source())
    return client


def live_every_life(driver: Driver) -> None:
    """Call every function, and take jobs through every state."""
    data, at = DataCalls(driver.keys), driver.partition
    driver.value(data.claim("one", now_us=driver.now_us))
    driver.value(data.enter(at, "one", (), now_us=driver.now_us))
    driver.value(data.settle("one", 1, now_us=driver.now_us))
    driver.value(data.look(Remembered("other", 1), "n", now_us=driver.now_us))
    driver.value(data.accept("two", "one", (), now_us=driver.now_us))
    driver.value(data.enter(at, "two", ["one"], now_us=driver.now_us))
    driver.value(data.settle("two", 2, now_us=driver.now_us))
    assert driver.value(data.check(at, now_us=driver.now_us)) == "two"
    members = MembershipCalls(driver.keys)
    driver.value(members.heartbeat(Member("n", "1", "n:8090"), MINUTE_US, now_us=driver.now_us))
    driver.reply(members.leave("n", "1", now_us=driver.now_us))
    driver.enqueue(*(new_job(str(n), interval_us=0, requeue_limit=n % 2, delay_us=n // 4) for n in range(6)))
    driver.interval(SECOND_US, burst=100, pin=True)
    leased = driver.dequeue()
    driver.extend(leased[0].job_id, leased[0].lease, LEASE_US)
    driver.finish(leased[0].job_id, leased[0].lease)
    driver.finish(leased[1].job_id, None)
    driver.release(leased[2].job_id, leased[2].lease)
    driver.release(leased[3].job_id, leased[3].lease, MINUTE_US, is_void=True)
    driver.advance(2 * LEASE_US)
    driver.dequeue()
    driver.redrive(*(letter.job_id for letter in driver.list_dead().jobs))
    driver.enqueue(*(new_job(str(n), repeat=True) for n in range(6)))
    driver.pause(True)
    driver.pause(False)
    driver.delete_queue(limit=1)
    driver.enqueue(*(new_job(str(n), repeat=True) for n in range(6)))
    driver.set_queue(QueueSettings(interval_us=0, max_leased=9))
    driver.hold(1)
    driver.advance(1)
    leased = driver.dequeue(2)
    driver.finish(leased[0].job_id, leased[0].lease, cost=2)
    driver.release(leased[1].job_id, leased[1].lease, hold_us=1, counts=False)
    driver.get_queue()
    driver.list_queue_stats()
    driver.get_job("1")
    driver.list_queues()
    driver.top_queues(TopOrder.AGE)
    driver.top_queues(TopOrder.DEPTH)
    use_capped_queues(driver)
    limit_the_type(driver)
    look_after_jobs(driver)
    use_schedules(driver)
    use_caps(driver)
    driver.advance(DAY_US)
    for _ in range(3):
        driver.reap()
        driver.dequeue()
        driver.turn()
        driver.get_counts()
        driver.refresh()
        driver.advance(DAY_US)
    driver.drop_dead()


def look_after_jobs(driver: Driver) -> None:
    """Call every function about single jobs, with notes that come and go."""
    calls, at, now_us = driver.job_calls, driver.partition, driver.now_us
    names = [str(n) for n in range(6)]
    driver.enqueue(*(new_job(name, "life", interval_us=0, requeue_limit=2) for name in names))
    for _ in range(2):
        released = [
            ReleaseJob(TYPE, leased.queue_id, leased.job_id, leased.lease, error="no route", retries=True)
            for leased in driver.dequeue()
            if leased.queue_id == "life"
        ]
        driver.value(driver.functions.release(at, TYPE, released, now_us=now_us))
    for state in (JobState.QUEUED, JobState.DELAYED, JobState.LEASED):
        driver.value(calls.list_jobs(at, TYPE, "life", state, 10, "", "", now_us=now_us))
    driver.value(calls.change_job(at, TYPE, "life", "1", JobChange(priority=1, expires_us=5), now_us=now_us))
    driver.value(calls.cancel(at, TYPE, [CancelJob(TYPE, "life", "2")], now_us=now_us))
    driver.value(calls.cancel_matching(at, TYPE, "life", "3", "", now_us=now_us))
    for job_id in names:
        driver.value(calls.get_job(at, TYPE, "life", job_id, knows_life=True, now_us=now_us))
    for leased in driver.dequeue():
        driver.release(leased.job_id, leased.lease, queue_id=leased.queue_id)
    driver.value(calls.list_dead(at, TYPE, "", 10, "life", now_us=now_us))
    driver.value(calls.drop_dead_letter(at, TYPE, "life", "4", now_us=now_us))
    driver.value(calls.drop_letters(at, TYPE, [DeadRef(TYPE, "life", "4")], now_us=now_us))
    driver.value(calls.cancel(at, TYPE, [CancelJob(TYPE, "life", "5", force=True)], now_us=now_us))
    assert driver.client.exists(driver.key("notes")) == 0


def limit_the_type(driver: Driver) -> None:
    """Call every function about a whole type while its limits, its hold and its pauses matter."""
    types, at, now_us = TypeCalls(driver.keys), driver.partition, driver.now_us
    limits = [Limit(LimitUnit.COST, 1, 2), Limit(LimitUnit.JOB, 1)]
    quotas = [Quota(1_000, length, unit=LimitUnit.COST) for length in PeriodLength]
    bounds = {Zone(quota.period, quota.tz): (now_us - DAY_US, now_us + DAY_US) for quota in quotas}
    settings = TypeSettings(limits, max_leased=2, quotas=quotas)
    driver.value(types.set_type(at, TYPE, settings, bounds=bounds, now_us=now_us))
    periods = PeriodCalls(driver.keys)
    assert driver.value(periods.put_periods(at, bounds, now_us=now_us)) == len(bounds)
    assert len(driver.value(periods.get_periods(at, now_us=now_us))) == len(bounds)
    driver.set_queue(QueueSettings(weight=2))
    for is_paused in (True, False):
        driver.reply(types.pause_type(at, TYPE, is_paused=is_paused, now_us=now_us))
        driver.reply(types.pause_all(at, is_paused=is_paused, now_us=now_us))
        driver.value(types.explain(at, TYPE, now_us=now_us))
        driver.value(types.explain_types(at, [TYPE], now_us=now_us))
    driver.advance(MINUTE_US)
    for leased in driver.dequeue():
        finish = FinishJob(TYPE, "q", leased.job_id, leased.lease, cost=0, hold_type_us=SECOND_US)
        driver.value(driver.functions.finish(at, TYPE, [finish], now_us=driver.now_us))
        driver.extend(leased.job_id, leased.lease, LEASE_US)
    driver.value(types.get_type_stats(at, TYPE, now_us=driver.now_us))
    driver.value(types.list_type_stats(at, 0, 100, now_us=driver.now_us))
    driver.value(types.set_type(at, TYPE, TypeSettings(None, None, None, quotas=None), now_us=driver.now_us))
    driver.set_queue(QueueSettings(weight=None))


def test_the_library_has_every_function_and_says_its_revision(client: redis.Redis) -> None:
    (loaded,) = client.function_list(library=library.LIBRARY)
    functions = dict(zip(loaded[::2], loaded[1::2], strict=True))[b"functions"]
    found = {dict(zip(row[::2], row[1::2], strict=True))[b"name"] for row in functions}
    joint = {function.joint_name for function in library.FUNCTIONS if function.joins}
    assert found == {*(function.wire_name for function in library.FUNCTIONS), *joint, b"sharq_1_revision"}
    assert client.fcall(f"{library.LIBRARY}_revision", 0) == library.REVISION


def test_every_lua_file_is_part_of_the_library() -> None:
    lines = set(library.source().split("\n"))
    lua = [entry for entry in (files(library.__package__) / "lua").iterdir() if entry.name.endswith(".lua")]
    assert len(lua) > 20
    missing = {
        (entry.name, line)
        for entry in lua
        for line in entry.read_text(encoding="utf-8").split("\n")
        if line not in lines and not line.startswith(f"local {entry.name.removesuffix('.lua')} = ")
    }
    assert missing == set()


def test_a_changed_library_has_a_new_revision() -> None:
    """A server replaces a library only by one of a higher revision: text must not change under the same number."""
    line = f"{library.REVISION} {sha256(library.source().encode()).hexdigest()}"
    assert DIGEST.read_text(encoding="utf-8").strip() == line, (
        f"the library's text changed: if revision {library.REVISION} was ever released raise library.REVISION, "
        f"then write the line that this test finds into tests/scheduler/{DIGEST.name}"
    )


def test_functions_that_only_read_run_on_a_replica(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    for call in (
        driver.job_calls.get_job(0, TYPE, "q", "1"),
        driver.functions.get_queue(0, TYPE, "q"),
        driver.functions.list_queues(0, TYPE, 0, 10),
        driver.limits.list_queue_stats(0, TYPE, 0, 10),
        driver.functions.top_queues(0, TYPE, TopOrder.DEPTH, 10),
        driver.functions.get_counts(0),
        driver.job_calls.list_dead(0, TYPE, "", 10),
        driver.surveys.refresh(0),
        CapCalls(driver.keys).get_cap(0, "account"),
        CapCalls(driver.keys).list_caps(0, 0, 10),
    ):
        reply = execute(driver.client, b"FCALL_RO", *call.command.words[1:])
        assert reply[0] == 0


def test_an_unknown_function_is_refused_by_name(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="Function not found"):
        client.fcall("sharq_0_enqueue", 0)


def test_a_malformed_job_in_a_batch_leaves_the_whole_batch_undone(driver: Driver) -> None:
    call = driver.functions.enqueue(0, TYPE, [new_job("1"), new_job("2")], now_us=driver.now_us)
    call.command.arguments[-4] = b"short"
    with pytest.raises(redis.ResponseError, match="too short"):
        driver.reply(call)
    assert driver.store_keys() == set()


class RestrictedDriver(Driver):
    """Runs each call as a user who may touch the keys that the call declares and no other."""

    def __init__(self, user: redis.Redis, admin: redis.Redis, prefix: str) -> None:
        self.admin, self.user, self.withheld = admin, prefix, 0
        execute(admin, "ACL", "SETUSER", prefix, "reset", "on", "nopass", "+@all")
        super().__init__(user, prefix)

    def reply(self, call: FunctionCall[T]) -> Reply[T]:
        patterns = [b"~" + key for key in call.command.keys[0].names[self.withheld :]]
        execute(self.admin, "ACL", "SETUSER", self.user, "resetkeys", *patterns)
        return super().reply(call)


@pytest.fixture
def restricted(store: StoreServer, client: redis.Redis, prefix: str) -> Iterator[RestrictedDriver]:
    """A driver whose every undeclared key is refused by the store itself."""
    with redis.Redis(port=store.port, username=prefix, password="any", socket_timeout=20.0) as user:
        yield RestrictedDriver(user, client, prefix)


def test_a_key_beyond_the_allowed_ones_is_refused(restricted: RestrictedDriver) -> None:
    restricted.enqueue(new_job("1"))
    restricted.withheld = 1
    with pytest.raises(NoPermissionError):
        restricted.dequeue()


def test_functions_touch_only_the_keys_that_they_declare(restricted: RestrictedDriver) -> None:
    live_every_life(restricted)


@pytest.mark.parametrize("kind", KINDS)
def test_every_function_runs_on_a_cluster(own_store: StoreFactory, prefix: str, kind: str) -> None:
    """U18: all keys of a call are in one slot; the store refuses anything else."""
    arguments = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with load(own_store(*arguments, kind=kind)) as client:
        execute(client, "CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        deadline_s = time.monotonic() + CLUSTER_DEADLINE_S
        while b"cluster_state:ok" not in execute(client, "CLUSTER", "INFO"):
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        driver = Driver(client, prefix, partitions=64, partition=63)
        live_every_life(driver)
        assert {execute(client, "CLUSTER", "KEYSLOT", key) for key in driver.store_keys()} == {
            slot_of(tags(prefix, 64)[63]),
            slot_of(f"{prefix}:members"),
        }
        (joint,) = merge([driver.functions.enqueue(at, TYPE, [new_job("joint")]) for at in (62, 63)])
        with pytest.raises(redis.ResponseError, match="slot"):
            execute(client, *joint.command.words)
        assert driver.get_job("joint") is None


@pytest.mark.parametrize("partitions", [1, 6, 64, 256])
def test_partitions_lie_in_equal_parts_of_the_slot_space(prefix: str, partitions: int) -> None:
    found = [slot_of(tag) * partitions // SLOTS for tag in tags(prefix, partitions)]
    assert found == list(range(partitions))


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_store_takes_no_job_and_drains(own_store: StoreFactory, prefix: str, kind: str) -> None:
    with load(own_store(kind=kind)) as client:
        driver = Driver(client, prefix)
        driver.enqueue(*(new_job(str(n), interval_us=0, requeue_limit=0) for n in range(4)))
        client.config_set("maxmemory", "1mb")
        for _ in range(2):
            with pytest.raises(OutOfMemoryError):
                driver.enqueue(new_job("more", interval_us=5))
        assert driver.get_job("more") is None
        assert driver.get_queue().interval_us == 0
        leased = driver.dequeue()
        assert [driver.finish(job.job_id, job.lease) for job in leased[:3]] == [0, 0, 0]
        driver.advance(LEASE_US)
        assert driver.reap().died == 1
        assert driver.drop_dead() == 1
        client.config_set("maxmemory", "0")
        assert_keys_agree(driver)
        assert driver.enqueue(new_job("more"))[0].status is EnqueueStatus.QUEUED


@pytest.mark.parametrize("kind", KINDS)
def test_jobs_and_functions_outlive_a_restart_of_a_store_with_aof(
    own_store: StoreFactory, prefix: str, kind: str
) -> None:
    server = own_store("--appendonly", "yes", kind=kind)
    with load(server) as client:
        driver = Driver(client, prefix)
        live_every_life(driver)
        driver.enqueue(new_job("kept", "other"))
        before = driver.totals()
    server.stop()
    server.start()
    with server.client(timeout_s=20.0) as client:
        driver.client = client
        assert driver.totals() == before
        assert_keys_agree(driver)
        assert "kept" in driver.dequeue_ids()


def test_every_life_leaves_keys_that_agree(driver: Driver) -> None:
    live_every_life(driver)
    assert_keys_agree(driver)


def test_the_number_of_partitions_is_written_once(client: redis.Redis, prefix: str) -> None:
    first, second = (DataCalls(Keys(prefix, number)) for number in (64, 16))
    driver = Driver(client, prefix)
    assert [driver.value(calls.claim("an id")).partitions for calls in (first, second, first)] == [
        64,
        64,
        64,
    ]


def test_bytes_of_a_newer_version_survive_every_older_function(driver: Driver) -> None:
    """A rolling upgrade runs both versions on one record: each keeps what it does not know."""
    driver.enqueue(new_job("1", interval_us=0), new_job("2", interval_us=0))
    first = driver.dequeue(1)[0]
    _add_newer_bytes(driver)
    for is_void in (False, True):
        driver.release("1", first.lease, is_void=is_void)
        first = driver.dequeue(1)[0]
        assert (first.job_id, first.payload) == ("1", b'{"a":1}')
        assert driver.extend("1", first.lease, DAY_US) == 0
        assert driver.release("1", first.lease, is_void=is_void) == 0
        assert driver.finish("1", "00" * 16) == 2
        first = driver.dequeue(1)[0]
    kept = [driver.client.hget(driver.key(key), field) for key, field in NEWER]
    assert all(record is not None and b"@NEWER" in record for record in kept)


NEWER = (("jobs", "q:1"), ("queues", "q"), ("counters", "sms"))


def _add_newer_bytes(driver: Driver) -> None:
    records = [driver.client.hget(driver.key(key), field) for key, field in NEWER]
    job, queue, counts = (record for record in records if isinstance(record, bytes))
    length = job[1]
    job = job[:1] + bytes([length + 6]) + job[2:length] + b"@NEWER" + job[length:]
    newer = (job, *(record + b"@NEWER" for record in (queue, counts)))
    for (key, field), record in zip(NEWER, newer, strict=True):
        driver.client.hset(driver.key(key), field, record)


def test_calls_of_one_pipeline_see_each_other(driver: Driver) -> None:
    functions, now_us = driver.functions, driver.now_us
    replies = driver.replies(
        [
            functions.enqueue(0, TYPE, [new_job("1")], now_us=now_us),
            functions.dequeue(0, TYPE, 1, LEASE_US, b"12345678", now_us=now_us),
            functions.finish(0, TYPE, [FinishJob(TYPE, "q", "1")], now_us=now_us),
            driver.job_calls.redrive(0, TYPE, [DeadRef(TYPE, "q", "1")], now_us=now_us),
        ]
    )
    dequeued, finished = replies[1].value, replies[2].value
    assert dequeued is not None and [job.job_id for job in dequeued.jobs] == ["1"]
    assert finished is not None and finished[0].status == 0
