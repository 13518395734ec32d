"""The restarts of a child process that has ended."""

from __future__ import annotations

from sharq_server.restarts import PAUSES_S, QUICK_S, Restarts


def test_the_first_restart_is_at_once_and_the_pauses_grow() -> None:
    restarts = Restarts()
    assert [restarts.pause_s(1.0) for _ in PAUSES_S] == list(PAUSES_S)
    assert PAUSES_S[0] == 0 and list(PAUSES_S) == sorted(PAUSES_S)


def test_too_many_quick_ends_in_a_row_are_given_up() -> None:
    restarts = Restarts()
    for _ in PAUSES_S:
        assert restarts.pause_s(QUICK_S - 0.1) is not None
    assert restarts.pause_s(QUICK_S - 0.1) is None
    assert restarts.count == len(PAUSES_S)


def test_a_worker_that_lived_long_is_started_at_once_however_often() -> None:
    restarts = Restarts()
    restarts.pause_s(1.0)
    restarts.pause_s(1.0)
    assert [restarts.pause_s(QUICK_S) for _ in range(20)] == [0.0] * 20
