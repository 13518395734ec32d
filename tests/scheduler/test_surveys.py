"""A shard's reading of a partition's types: pages that together name every one, and other nodes' changes."""

from __future__ import annotations

import pytest

from sharq_core.scheduler.surveys import SurveyCalls, SurveyReply, TypesReply
from tests.scheduler.drivers.driver import LEASE_US, MINUTE_US, SECOND_US, Driver, new_job

TYPES = 2_500
PAGE = 100


@pytest.fixture
def surveys(driver: Driver) -> SurveyCalls:
    return SurveyCalls(driver.keys, 1000)


def enqueue_types(driver: Driver, names: list[str], job_id: str = "1") -> None:
    driver.replies(
        [
            driver.functions.enqueue(0, name, [new_job(job_id, queue_type=name)], now_us=driver.now_us)
            for name in names
        ]
    )


def survey(
    driver: Driver, surveys: SurveyCalls, *, touches: int = -1, scan: int = 0, count: int = 0
) -> SurveyReply:
    call = surveys.survey(0, touches=touches, scan=scan, count=count, now_us=driver.now_us)
    return driver.value(call)


def touched(reply: SurveyReply) -> set[str]:
    return {name for name, _ in reply.touched}


def test_the_pages_of_a_scan_name_every_type_and_each_is_bounded(
    driver: Driver, surveys: SurveyCalls
) -> None:
    names = [f"type-{number}" for number in range(TYPES)]
    enqueue_types(driver, names)
    found: set[str] = set()
    scan, pages = 0, 0
    while True:
        reply = survey(driver, surveys, scan=scan, count=PAGE)
        assert len(reply.page) <= 2 * PAGE
        found.update(name for name, _ in reply.page)
        scan, pages = reply.scan, pages + 1
        if not scan:
            break
    assert found == set(names)
    assert pages > TYPES // (2 * PAGE)
    assert TYPES <= survey(driver, surveys).fields <= TYPES + 20


def test_a_row_says_what_the_totals_and_the_agenda_are(driver: Driver, surveys: SurveyCalls) -> None:
    driver.enqueue(new_job("1"), new_job("2", delay_us=MINUTE_US), new_job("3", "other"))
    leased = driver.dequeue(1)
    ((name, row),) = survey(driver, surveys, count=PAGE).page
    assert (name, row.totals()) == ("sms", [3, 1, 1, 1, 0, 0, 0])
    assert row.ready_us == driver.now_us
    assert row.timer_us == driver.now_us + LEASE_US
    assert driver.value(surveys.get_type(0, "sms", now_us=driver.now_us)) == (row, 0)
    assert driver.reply(surveys.get_type(0, "voice", now_us=driver.now_us)).value == (None, 0)
    driver.finish(leased[0].job_id, leased[0].lease, leased[0].queue_id)
    assert survey(driver, surveys).tombstones == 1


def test_words_of_other_nodes_name_what_they_changed_and_nothing_older(
    driver: Driver, surveys: SurveyCalls
) -> None:
    enqueue_types(driver, ["sms", "voice"])
    before = survey(driver, surveys).touches
    driver.reply(surveys.touch(0, "sms"))
    driver.reply(surveys.touch(0, "gone"))
    heard = survey(driver, surveys, touches=before)
    assert touched(heard) == {"sms", "gone"}
    assert dict(heard.touched)["gone"] is None
    driver.reply(surveys.touch(0, "voice"))
    again = survey(driver, surveys, touches=heard.touches)
    assert (touched(again), again.is_cut) == ({"voice"}, False)
    assert touched(survey(driver, surveys, touches=again.touches)) == set()
    assert [name for name, _ in survey(driver, surveys, count=PAGE).page if name.startswith(":")] == []


def test_more_words_than_there_is_room_for_say_that_some_are_missing(
    driver: Driver, surveys: SurveyCalls
) -> None:
    for number in range(500):
        driver.reply(surveys.touch(0, "busy" if number % 2 else f"type-{number}"))
    assert survey(driver, surveys, touches=0).is_cut
    now = survey(driver, surveys).touches
    for _ in range(500):
        driver.reply(surveys.touch(0, "busy"))
    heard = survey(driver, surveys, touches=now)
    assert (touched(heard), heard.is_cut) == ({"busy"}, False)
    driver.reply(surveys.touch(0, ""))
    assert survey(driver, surveys, touches=heard.touches).is_cut


def test_words_of_a_store_that_was_emptied_are_not_taken_for_none(
    driver: Driver, surveys: SurveyCalls
) -> None:
    for _ in range(5):
        driver.reply(surveys.touch(0, "sms"))
    known = survey(driver, surveys).touches
    driver.client.delete(driver.key("counters"))
    driver.reply(surveys.touch(0, "sms"))
    assert survey(driver, surveys, touches=known).is_cut


def test_the_pages_of_the_counts_add_up_to_what_one_call_counts(driver: Driver, surveys: SurveyCalls) -> None:
    enqueue_types(driver, [f"type-{number}" for number in range(300)])
    driver.advance(MINUTE_US)
    enqueue_types(driver, [f"type-{number}" for number in range(100, 400)], "2")
    driver.advance(SECOND_US)
    whole = driver.get_counts()
    names: set[str] = set()
    minutes: dict[str, tuple[int, int, int]] = {}
    scan = 0
    while True:
        page: TypesReply = driver.value(surveys.list_types(0, scan, PAGE, now_us=driver.now_us))
        names.update(page.queue_types)
        minutes.update(page.minutes)
        scan = page.scan
        if not scan:
            break
    assert names == set(whole.queue_types)
    assert sum(row[1] for row in minutes.values()) == sum(row[1] for row in whole.minutes) == 600
