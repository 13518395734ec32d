"""Queues with caps: where they stand, and what a node learns of them."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from sharq_core.caps import CapUses
from sharq_core.limits import BlockedBy, Explanation, QueueSettings
from sharq_core.scheduler.caps import capped_calls
from sharq_core.top_queues import TopOrder
from tests.scheduler.drivers.capped import CappedDriver, capped
from tests.scheduler.drivers.driver import LEASE_US, MINUTE_US, SECOND_US, START_US
from tests.scheduler.stored.records import assert_keys_agree
from tests.scheduler.test_bounds import commands_of


def test_a_queue_with_caps_is_not_leased_by_a_dequeue(caps: CappedDriver) -> None:
    caps.put_capped("a", "acct1")
    assert caps.dequeue_ids() == []
    assert caps.capped_ids("acct1") == ["a"]
    assert_keys_agree(caps)


def test_a_dequeue_leases_only_from_queues_with_exactly_its_caps(caps: CappedDriver) -> None:
    caps.put_capped("1", "a", queue_id="one")
    caps.put_capped("2", "a", "b", queue_id="two")
    caps.put_capped("3", "b", queue_id="three")
    caps.enqueue(capped("4", queue_id="none"))
    assert caps.capped_ids("a", "b") == ["2"]
    assert caps.capped_ids("c") == []
    assert caps.capped_ids("a") == ["1"]
    assert caps.capped_ids("b") == ["3"]
    assert caps.dequeue_ids() == ["4"]
    assert_keys_agree(caps)


def test_the_last_caps_of_an_enqueue_win_and_none_named_keeps_them(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    caps.enqueue(capped("2", "b"))
    caps.put_job("3")
    assert caps.get_queue().caps == ("b",)
    assert_keys_agree(caps)
    assert caps.capped_ids("a") == []
    assert caps.capped_ids("b") == ["1", "2", "3"]
    caps.enqueue(capped("4"))
    assert caps.get_queue().caps == ()
    assert caps.dequeue_ids() == ["4"]
    assert_keys_agree(caps)


def test_settings_win_over_an_enqueue_until_they_are_cleared(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    stats = caps.set_caps("x", "y")
    assert (stats.caps, stats.settings) == (("x", "y"), ("caps",))
    caps.enqueue(capped("2", "b"))
    assert caps.get_queue().caps == ("x", "y")
    assert caps.parked_sets() == {("x", "y"): (START_US, 1)}
    stats = caps.set_caps()
    assert (stats.caps, stats.settings) == ((), ())
    assert caps.dequeue_ids() == ["1", "2"]
    assert_keys_agree(caps)


def test_a_pinned_queue_keeps_its_caps(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    caps.set_queue(QueueSettings(pin=True))
    caps.enqueue(capped("2", "b"), capped("3"))
    assert caps.get_queue().caps == ("a",)


def test_settings_of_a_queue_without_jobs_are_kept(caps: CappedDriver) -> None:
    caps.set_caps("a")
    caps.advance(60 * MINUTE_US)
    caps.reap()
    caps.put_job("1")
    assert caps.dequeue_ids() == []
    assert caps.capped_ids("a") == ["1"]
    assert_keys_agree(caps)


def test_a_forgotten_queue_gives_its_set_back(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    (job,) = caps.capped_reply("a").dequeue.jobs
    caps.finish(job.job_id, job.lease)
    caps.advance(11 * MINUTE_US)
    caps.put_job("2")
    assert caps.dequeue_ids() == ["2"]
    assert caps.get_queue().caps == ()
    assert_keys_agree(caps)


def test_the_reaper_gives_back_the_set_of_a_forgotten_queue(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    (job,) = caps.capped_reply("a").dequeue.jobs
    caps.finish(job.job_id, job.lease)
    caps.advance(11 * MINUTE_US)
    caps.reap()
    assert not caps.client.exists(caps.key("queues"))
    assert_keys_agree(caps)


def test_pause_hold_and_delete_move_the_queue_as_in_ready(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    caps.pause(True)
    assert caps.parked_sets() == {}
    assert_keys_agree(caps)
    caps.pause(False)
    assert caps.parked_sets() == {("a",): (START_US, 1)}
    caps.hold(MINUTE_US)
    assert caps.parked_sets() == {("a",): (START_US + MINUTE_US, 0)}
    assert caps.capped_ids("a") == []
    caps.advance(MINUTE_US)
    assert caps.parked_sets() == {("a",): (START_US + MINUTE_US, 1)}
    assert_keys_agree(caps)
    caps.delete_queue()
    assert caps.parked_sets() == {}
    assert_keys_agree(caps)


def test_a_full_queue_is_parked_again_when_a_lease_ends(caps: CappedDriver) -> None:
    caps.enqueue(capped("1", "a", max_leased=1), capped("2", "a", max_leased=1))
    reply = caps.capped_reply("a")
    assert [job.job_id for job in reply.dequeue.jobs] == ["1"]
    assert (reply.due_us, reply.dequeue.due_after) == (None, 0)
    before = caps.parked().changed
    caps.advance(LEASE_US)
    caps.reap()
    page = caps.parked(before)
    assert [(found.names, found.due_queues) for found in page.sets] == [(("a",), 1)]
    assert_keys_agree(caps)


def test_a_node_learns_which_sets_have_news(caps: CappedDriver) -> None:
    caps.put_capped("1", "a", queue_id="one")
    caps.put_capped("2", "b", queue_id="two")
    first = caps.parked(limit=1)
    assert [found.names for found in first.sets] == [("a",)]
    assert first.has_more
    second = caps.parked(first.changed)
    assert [found.names for found in second.sets] == [("b",)]
    assert not second.has_more
    assert caps.parked(second.changed).sets == []
    caps.put_capped("3", "a", queue_id="three")
    page = caps.parked(second.changed)
    assert [(found.names, found.due_queues) for found in page.sets] == [(("a",), 2)]


def test_a_dequeue_of_the_set_itself_is_no_news(caps: CappedDriver) -> None:
    caps.enqueue(*(capped(str(n), "a", interval_us=SECOND_US) for n in range(3)))
    changed = caps.parked().changed
    reply = caps.capped_reply("a")
    assert (reply.due_us, reply.dequeue.due_after) == (START_US + SECOND_US, 0)
    assert caps.parked(changed).sets == []
    assert reply.dequeue.parked is not None
    assert reply.dequeue.parked.changed == changed


def test_a_dequeue_of_the_type_tells_the_latest_change(caps: CappedDriver) -> None:
    caps.put_job("0")
    assert caps.dequeue_reply().parked is None
    caps.put_capped("1", "a", queue_id="one")
    reply = caps.dequeue_reply()
    assert reply.parked is not None
    assert (reply.parked.changed, reply.parked.type_ready_us) == (caps.parked().changed, 0)
    assert reply.head_us is None


def test_a_job_that_is_put_where_queues_have_caps_gives_a_hint(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    caps.dequeue()
    call = caps.functions.enqueue(0, caps.queue_type, [capped("2", "b", queue_id="two")], now_us=caps.now_us)
    assert caps.reply(call).hint.ready_us == caps.now_us


def test_blocked_by_names_a_cap_after_all_that_is_the_queue_s_own(caps: CappedDriver) -> None:
    caps.put_capped("1", "a", interval_us=SECOND_US)
    caps.put_capped("2", "a", interval_us=SECOND_US)
    assert caps.get_queue().blocked_by is BlockedBy.CAP
    caps.capped_reply("a", count=1)
    assert caps.get_queue().blocked_by is BlockedBy.RATE
    assert caps.list_queue_stats()["q"].caps == ("a",)


def test_explain_tells_the_caps_of_the_queue_that_comes_first(caps: CappedDriver) -> None:
    caps.put_capped("1", "b", "c", queue_id="later", interval_us=MINUTE_US)
    caps.put_capped("2", "b", "c", queue_id="later", interval_us=MINUTE_US)
    assert caps.capped_ids("b", "c") == ["1"]
    assert (caps.explain().blocked_by, caps.explain().caps) == (BlockedBy.RATE, ())
    caps.put_capped("3", "a")
    assert caps.explain() == Explanation(BlockedBy.CAP, 0, ("a",))
    assert caps.type_stats().caps == ("a",)
    caps.put_job("4", queue_id="free")
    caps.dequeue()
    assert caps.explain() == Explanation(BlockedBy.CAP, 0, ("a",))
    caps.pause(True)
    assert caps.explain().blocked_by is BlockedBy.RATE


def test_a_queue_without_caps_that_is_due_is_told_first(caps: CappedDriver) -> None:
    caps.put_job("1", queue_id="free")
    caps.advance(1)
    caps.put_capped("2", "a")
    assert caps.explain() == Explanation(None, 0)
    caps.dequeue()
    assert caps.explain().caps == ("a",)


def test_the_longest_due_queues_are_those_with_caps_too(caps: CappedDriver) -> None:
    caps.put_capped("1", "a", queue_id="one")
    caps.advance(1)
    caps.put_job("2", queue_id="two")
    caps.advance(1)
    caps.put_capped("3", "b", queue_id="three")
    caps.put_capped("4", "a", queue_id="four")
    found = caps.top_queues(TopOrder.AGE, 3)
    assert [(queue.queue_id, queue.due_for_us) for queue in found] == [("one", 2), ("two", 1), ("four", 0)]
    assert [queue.due_for_us for queue in caps.top_queues(TopOrder.DEPTH)] == [0, 2, 0, 1]


def test_a_survey_tells_the_latest_change(caps: CappedDriver) -> None:
    caps.put_job("1", queue_id="two")
    row, _ = caps.value(caps.surveys.get_type(0, caps.queue_type, now_us=caps.now_us))
    assert row is not None
    assert row.changed == 0
    caps.put_capped("1", "a", queue_id="one")
    survey = caps.value(caps.surveys.survey(0, count=10, now_us=caps.now_us))
    assert [row.changed for _, row in survey.page] == [caps.parked().changed]


def test_numbers_of_changes_go_on_after_the_type_was_forgotten(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    changed = caps.parked().changed
    (job,) = caps.capped_reply("a").dequeue.jobs
    caps.finish(job.job_id, job.lease)
    caps.advance(60 * MINUTE_US)
    caps.reap()
    assert caps.parked().changed == 0
    caps.put_capped("2", "a")
    assert [found.names for found in caps.parked(changed).sets] == [("a",)]


def test_the_queues_and_the_jobs_of_a_cap_are_counted_over_its_sets(caps: CappedDriver) -> None:
    caps.enqueue(*(capped(str(n), "a", queue_id="one") for n in range(3)))
    caps.enqueue(*(capped(str(n), "a", "b", queue_id="two") for n in range(2)))
    caps.enqueue(capped("1", "b", queue_id="three"), capped("1", queue_id="none"))
    assert caps.uses("a") == CapUses(2, 5)
    assert caps.uses("b") == CapUses(2, 3)
    assert caps.uses("c") == CapUses(0, 0)
    caps.capped_reply("a", "b", count=1)
    caps.delete_queue("one")
    caps.set_caps("c", queue_id="three")
    assert caps.uses("a") == CapUses(2, 1)
    assert caps.uses("b") == CapUses(1, 1)
    assert caps.uses("c") == CapUses(1, 1)
    assert_keys_agree(caps)


def test_the_uses_of_a_cap_are_read_in_pages(caps: CappedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capped_calls, "MAX_SETS", 2)
    for n in range(5):
        caps.put_capped("1", "a", f"b{n}", queue_id=str(n))
    after, found = 0, list[int]()
    while not found or after:
        page = caps.uses("a", after)
        after = page.after
        found.append(page.queues)
    assert found == [2, 2, 1]


def test_pages_miss_no_set_of_those_that_one_call_has_made(
    caps: CappedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capped_calls, "MAX_SETS", 7)
    for first in (0, 60):
        caps.enqueue(*(capped("1", "a", f"b{n}", queue_id=str(n)) for n in range(first, first + 60)))
    page = caps.uses("a")
    found = page.queues
    while page.after:
        page = caps.uses("a", page.after)
        found += page.queues
    assert found == 120
    for n in range(120):
        caps.set_caps("c", queue_id=str(n))
        assert caps.uses(f"b{n}") == CapUses(0, 0)
    assert caps.uses("a") == CapUses(0, 0)
    assert_keys_agree(caps)


def test_a_dead_letter_takes_the_caps_of_its_queue_along(caps: CappedDriver) -> None:
    """A redrive brings a forgotten queue back, and its job must not leave without slots."""
    caps.enqueue(capped("1", "a", "b", requeue_limit=0))
    caps.capped_reply("a", "b")
    caps.advance(LEASE_US)
    caps.reap()
    caps.advance(60 * MINUTE_US)
    caps.reap()
    assert caps.uses("a") == CapUses(0, 0)
    caps.redrive("1")
    assert caps.dequeue_ids() == []
    assert caps.capped_ids("a", "b") == ["1"]
    assert_keys_agree(caps)


def test_a_window_holds_back_a_queue_with_caps_until_it_opens(caps: CappedDriver) -> None:
    caps.put("w", (START_US + MINUTE_US, START_US + 2 * MINUTE_US))
    caps.put_capped("1", "a")
    caps.set_window("w")
    assert caps.parked_sets() == {("a",): (START_US + MINUTE_US, 0)}
    assert caps.capped_ids("a") == []
    changed = caps.parked().changed
    assert caps.put("w", (START_US + SECOND_US, START_US + 2 * MINUTE_US))
    caps.rescore_all("0")
    assert [found.due_us for found in caps.parked(changed).sets] == [START_US + SECOND_US]
    caps.advance(SECOND_US)
    assert caps.capped_ids("a") == ["1"]
    assert_keys_agree(caps)


def test_a_queue_without_caps_pays_no_command_for_those_that_have_some(lone_capped: CappedDriver) -> None:
    """The flag of the type is in the record of its counts, which each call reads."""
    for job_id in ("0", "1"):
        lone_capped.put_job(job_id)
        lone_capped.dequeue()
    before = commands_of(lone_capped.client, lambda: lone_capped.put_job("2"))
    leased = commands_of(lone_capped.client, lone_capped.dequeue)
    lone_capped.put_capped("1", "a", queue_id="capped")
    lone_capped.dequeue()
    assert commands_of(lone_capped.client, lambda: lone_capped.put_job("3")) == before
    assert commands_of(lone_capped.client, lone_capped.dequeue) == leased


def test_a_dequeue_of_a_set_costs_the_same_beside_1000_other_sets(lone_capped: CappedDriver) -> None:
    found: list[tuple[Counter[str], Counter[str]]] = []
    for others in (range(10), range(10, 1010)):
        for n in others:
            lone_capped.put_capped("1", f"cap{n}", queue_id=str(n))
        news = lone_capped.dequeue_reply().parked
        assert news is not None
        lone_capped.put_capped("1", "a", queue_id=f"own{len(others)}")
        listed = commands_of(lone_capped.client, partial(lone_capped.parked, news.changed))
        found.append((listed, commands_of(lone_capped.client, partial(lone_capped.capped_reply, "a"))))
    assert found[0] == found[1]
