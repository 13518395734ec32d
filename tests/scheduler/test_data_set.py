"""The identity of a data set, function by function: begun once, missed when it is gone, accepted by an operator."""

from __future__ import annotations

from typing import TypeVar

import pytest
import redis

from sharq_core.models import EnqueueStatus
from sharq_core.scheduler.data_set import DataCalls, DataRecord, Missed, Remembered
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.joint import MergedCall
from sharq_core.scheduler.keys import Keys
from sharq_core.store.failures import OtherData, refusal
from tests.scheduler.drivers.driver import SECOND_US, START_US, TYPE, Driver, execute, new_job

T = TypeVar("T")

PARTITIONS = 8


class Deployment:
    """The data set of one deployment, at a clock that only the test moves."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client = client
        self.keys = Keys(prefix, PARTITIONS)
        self.calls = DataCalls(self.keys)
        self.now_us = START_US

    def value(self, call: FunctionCall[T]) -> T:
        value = call.decode(execute(self.client, *call.command.words)).value
        assert value is not None
        return value

    def claim(self, data_id: str) -> DataRecord:
        return self.value(self.calls.claim(data_id, now_us=self.now_us))

    def look(self, remembered: Remembered | None = None, node_id: str = "n1") -> DataRecord:
        return self.value(self.calls.look(remembered, node_id, now_us=self.now_us))

    def accept(self, data_id: str, seen_id: str, *follows: str) -> bool:
        return self.value(self.calls.accept(data_id, seen_id, follows, now_us=self.now_us)).is_done

    def begin(self, data_id: str) -> None:
        """A whole data set, of this id if none was begun before."""
        held = self.claim(data_id).data_id
        for partition in range(PARTITIONS):
            assert self.value(self.calls.enter(partition, held, ())) == held
        assert self.value(self.calls.settle(held, 1))

    def forget(self) -> None:
        """The store loses everything of the deployment."""
        for key in self.client.scan_iter(match=f"{{{self.keys.prefix}:*", count=1000):
            self.client.delete(key)


@pytest.fixture
def deployment(client: redis.Redis, prefix: str) -> Deployment:
    return Deployment(client, prefix)


def test_a_data_set_is_begun_once(deployment: Deployment) -> None:
    first = deployment.claim("a")
    assert (first.data_id, first.generation, first.is_whole, first.partitions) == ("a", 1, False, PARTITIONS)
    assert deployment.claim("b") == first
    deployment.begin("a")
    assert deployment.claim("b").is_whole


def test_a_half_begun_data_set_is_finished_under_its_id(deployment: Deployment) -> None:
    """A crash in the middle of the first start."""
    deployment.claim("a")
    deployment.value(deployment.calls.enter(0, "a", ()))
    assert not deployment.look().is_whole
    deployment.begin("b")
    found = deployment.look()
    assert (found.data_id, found.is_whole) == ("a", True)


def test_a_partition_keeps_its_id_unless_the_new_one_follows_it(deployment: Deployment) -> None:
    enter, check = deployment.calls.enter, deployment.calls.check
    assert deployment.value(check(3)) == ""
    assert deployment.value(enter(3, "a", ())) == "a"
    assert deployment.value(enter(3, "b", ())) == "a"
    assert deployment.value(enter(3, "b", ("x", "aa"))) == "a"
    assert deployment.value(enter(3, "b", ("x", "a"))) == "b"
    assert deployment.value(check(3)) == "b"


def test_data_of_an_older_version_is_given_an_id_and_keeps_its_number(
    deployment: Deployment, client: redis.Redis
) -> None:
    client.set(deployment.keys.partition_count, PARTITIONS)
    assert deployment.claim("a").data_id == "a"
    client.delete(deployment.keys.partition_count)
    other = DataCalls(Keys(deployment.keys.prefix, 64))
    assert deployment.value(other.claim("b")).partitions == PARTITIONS, "the record knows it, too"


def test_a_node_of_an_older_version_is_told_the_number_and_changes_nothing_else(
    deployment: Deployment, client: redis.Redis
) -> None:
    arguments: list[str | bytes | int] = [
        "FCALL",
        "sharq_1_claim_partitions",
        1,
        deployment.keys.partition_count,
        "",
        "",
        4,
    ]
    assert execute(client, *arguments)[4:] == [4]
    assert not client.exists(deployment.keys.identity)
    reply = deployment.calls.claim("a").decode(execute(client, *arguments))
    assert reply.value == DataRecord(4, now_us=reply.hint.now_us), "so does a new node on an old library"


def test_who_finds_nothing_leaves_word_of_it_and_no_new_data_set_begins(deployment: Deployment) -> None:
    deployment.begin("a")
    deployment.forget()
    assert deployment.look(Remembered("a", 1, deployment.now_us)).data_id == ""
    found = deployment.claim("b")
    assert (found.data_id, found.missed) == ("", (Missed("a", True, "n1"),))
    assert found.replaces("") == ("a",)


def test_the_first_number_of_partitions_outlives_the_data_while_a_node_does(deployment: Deployment) -> None:
    deployment.begin("a")
    deployment.forget()
    other = DataCalls(Keys(deployment.keys.prefix, 64))
    assert deployment.value(other.claim("b", now_us=deployment.now_us)).partitions == 64
    deployment.look(Remembered("a", 1, deployment.now_us - 1))
    assert deployment.look().partitions == PARTITIONS
    assert deployment.value(other.claim("c")).partitions == PARTITIONS


def test_a_data_set_begun_in_the_place_of_another_hears_of_it(deployment: Deployment) -> None:
    deployment.begin("a")
    deployment.forget()
    deployment.now_us += SECOND_US
    deployment.begin("b")
    deployment.look(Remembered("a", 1, deployment.now_us - SECOND_US))
    assert deployment.look().replaces("b") == ("a",)


def test_an_older_data_set_of_somebody_else_goes_on(deployment: Deployment) -> None:
    """After SWAPDB the other deployment's nodes are not stopped for good by ours."""
    deployment.begin("b")
    deployment.now_us += SECOND_US
    deployment.look(Remembered("a", 1, deployment.now_us))
    found = deployment.look()
    assert found.missed == (Missed("a", False, "n1"),)
    assert found.replaces("b") == ()


def test_word_of_a_missing_data_set_goes_when_it_is_back(deployment: Deployment) -> None:
    deployment.begin("a")
    deployment.client.delete(deployment.keys.identity)
    deployment.look(Remembered("a", 1, deployment.now_us))
    assert deployment.value(deployment.calls.settle("a", 1, pulse=7))
    assert deployment.look().pulse == 7, "so that it does not pass for an older copy"
    deployment.look(Remembered("a", 1, deployment.now_us))
    found = deployment.look()
    assert (found.data_id, found.is_whole, found.missed) == ("a", True, ())


def test_each_look_of_a_node_makes_the_pulse_grow(deployment: Deployment) -> None:
    deployment.begin("a")
    for _ in range(3):
        deployment.look(Remembered("a", 1, deployment.now_us))
    deployment.look()
    found = deployment.look()
    assert (found.pulse, found.pulsed_us) == (3, deployment.now_us)


def test_an_accepted_loss_is_a_new_generation_that_follows_what_was_missed(deployment: Deployment) -> None:
    deployment.begin("a")
    deployment.forget()
    deployment.look(Remembered("a", 7, deployment.now_us))
    assert deployment.accept("b", "", "p")
    found = deployment.look()
    assert (found.data_id, found.generation, found.is_whole) == ("b", 8, False)
    assert set(found.follows) == {"a", "p"}
    deployment.look(Remembered("a", 7, 0))
    assert deployment.look().missed == (), "it is followed, so nobody misses it"


def test_only_one_of_two_who_accept_together_does(deployment: Deployment) -> None:
    deployment.begin("a")
    assert deployment.accept("b", "a")
    assert not deployment.accept("c", "a")
    assert deployment.look().data_id == "b"


def test_no_loss_is_accepted_for_another_number_of_partitions(deployment: Deployment) -> None:
    deployment.begin("a")
    other = DataCalls(Keys(deployment.keys.prefix, 64))
    acceptance = deployment.value(other.accept("b", "a", ()))
    assert (acceptance.is_done, acceptance.partitions) == (False, PARTITIONS)
    assert deployment.look().data_id == "a"


def test_the_list_of_followed_ids_is_bounded(deployment: Deployment) -> None:
    deployment.claim("0")
    for number in range(40):
        assert deployment.accept(str(number + 1), str(number))
    found = deployment.look()
    assert found.follows == tuple(str(number) for number in range(39, 23, -1))
    assert found.generation == 41


def test_nodes_that_miss_many_data_sets_leave_a_bounded_number_of_words(deployment: Deployment) -> None:
    for number in range(40):
        deployment.look(Remembered(f"x{number}", 1))
    assert len(deployment.look().missed) == 16


@pytest.mark.parametrize("key", ["identity", "partition_count"])
def test_a_record_of_the_wrong_type_counts_as_none_and_is_written_anew(
    deployment: Deployment, client: redis.Redis, key: str
) -> None:
    deployment.begin("a")
    client.delete(getattr(deployment.keys, key))
    client.lpush(getattr(deployment.keys, key), "planted")
    deployment.look(Remembered("a", 1, deployment.now_us))
    assert deployment.value(deployment.calls.settle("a", 1))
    found = deployment.look()
    assert (found.data_id, found.partitions, found.is_whole) == ("a", PARTITIONS, True)


def test_the_index_is_told_which_data_set_a_partition_belongs_to(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    assert driver.refresh().data_id == ""
    driver.value(DataCalls(driver.keys).enter(driver.partition, "a", ()))
    assert driver.refresh().data_id == "a"
    assert [totals.queue_type for totals in driver.refresh().totals] == [driver.queue_type]
    assert driver.get_counts().queue_types == [driver.queue_type]


@pytest.mark.parametrize("is_joint", [False, True])
def test_a_job_that_is_meant_for_another_data_set_is_not_taken(driver: Driver, is_joint: bool) -> None:
    """Its type is new there: in an emptied store all of them are."""
    data = DataCalls(driver.keys)
    driver.functions.data_id = b"mine"
    calls = [driver.functions.enqueue(0, TYPE, [new_job(job_id)], now_us=driver.now_us) for job_id in "12"]
    whole = MergedCall(tuple(calls)) if is_joint else MergedCall((calls[0],))
    for _ in range(2):
        try:
            answers = whole.split_reply(execute(driver.client, *whole.command.words))
        except redis.ResponseError as error:
            answers = [refusal(error)]
        assert [type(answer) for answer in answers] == [OtherData] * len(whole.calls)
        assert driver.store_keys() <= {driver.keys.counters(0)}, "nothing was written"
        driver.value(data.enter(0, "theirs", ()))
    driver.value(data.enter(0, "mine", ("theirs",)))
    assert [one.status for one in driver.enqueue(new_job("1"))] == [EnqueueStatus.QUEUED]
    driver.client.hdel(driver.keys.counters(0), ":id")
    assert [one.status for one in driver.enqueue(new_job("2"))] == [EnqueueStatus.QUEUED], "a known type"
