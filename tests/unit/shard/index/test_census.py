"""The census: running sums that agree with the rows, some types by name and the rest together."""

from __future__ import annotations

from shard.index.census import MAX_NAMED, Census
from sharq_core.scheduler.surveys import TypeRow


def row(enqueued: int, queued: int = 0, dead: int = 0) -> TypeRow:
    finished = enqueued - queued - dead
    numbers = (enqueued, queued, 0, 0, finished, dead, 0, 0, 0)
    return TypeRow(b"".join(number.to_bytes(7, "big") for number in numbers))


def test_the_sums_follow_the_rows_of_all_partitions() -> None:
    census = Census()
    census.put(0, "sms", row(5, 2))
    census.put(1, "sms", row(7, 1))
    census.put(0, "sms", row(6, 3))
    ((totals,), others) = census.totals()
    assert (totals.queue_type, totals.enqueued, totals.queued, totals.finished) == ("sms", 13, 4, 9)
    assert others is None
    census.put(1, "sms", None)
    assert census.totals()[0][0].enqueued == 6
    census.put(0, "sms", None)
    assert census.totals() == ([], None)


def test_types_beyond_the_named_ones_are_one_sum_and_get_a_name_that_comes_free() -> None:
    census = Census()
    for number in range(MAX_NAMED + 50):
        census.put(0, f"type-{number}", row(2, 1))
    named, others = census.totals()
    assert len(named) == MAX_NAMED
    assert others is not None and (others.enqueued, others.queued) == (100, 50)
    for number in range(50):
        census.put(0, f"type-{number}", None)
    named, others = census.totals()
    assert (len(named), others) == (MAX_NAMED, None)
    assert {one.enqueued for one in named} == {2}


def test_a_partition_is_forgotten_a_few_types_at_a_time() -> None:
    census = Census()
    for number in range(5):
        census.put(3, f"type-{number}", row(1))
        census.put(4, f"type-{number}", row(1))
    assert [census.forget(3, 2) for _ in range(3)] == [True, True, False]
    assert (census.partitions(), census.types_in(3)) == ([4], [])
    assert sum(one.enqueued for one in census.totals()[0]) == 5


def test_types_with_too_many_dead_letters_are_found_however_many_have_some() -> None:
    census = Census()
    for number in range(10):
        census.put(number % 2, f"type-{number}", row(number + 1, dead=number + 1))
    found = {name for _ in range(4) for name in census.with_dead_above(8, 3)}
    assert found == {"type-8", "type-9"}
    assert census.dead_by_partition("type-9") == {1: 10}
